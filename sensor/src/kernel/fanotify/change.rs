//! What a read of the group yields.

use std::ffi::OsString;

use whodunit_common::Verb;

/// Something read from the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileEvent {
    /// Something was done in a watched directory, or to a watched object.
    Change(FileChange),
    /// The watched object is gone, and its watch with it.
    Gone {
        /// The caller's number of the watch.
        id: u32,
        /// The process that let go of it last: who removed it, unless someone held it open.
        pid: u32,
    },
    /// The watched object was moved. The watch stays on it, but its path is stale: unwatch it, or
    /// watch its new path under the same number.
    Moved {
        /// The caller's number of the watch.
        id: u32,
        /// The process that moved it.
        pid: u32,
    },
    /// Events were lost. Nothing says which: list all that is watched again.
    Overflow,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The caller's number of the directory; `None` when a watched file was reached through a
    /// directory that is not watched.
    pub dir: Option<u32>,
    /// The entry's name; `.` is the directory itself, `#<number>` a file from `O_TMPFILE`.
    pub name: OsString,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// What was done. [`Verb::Create`] stands for all that makes an entry which is not a
    /// directory until [`super::Fanotify::look`] has refined it.
    pub verb: Verb,
    /// Where; of a rename the new name, `None` when that is not in a watched directory.
    pub at: Option<Place>,
    /// The old name of a rename, `None` when that was not in a watched directory.
    pub from: Option<Place>,
    /// The thread group that did it, in the agent's pid namespace; 0 when it has no number there.
    /// It may have exited already.
    pub pid: u32,
    /// Whether the object is a directory.
    pub is_directory: bool,
    /// The caller's number of the object itself, when that is watched.
    pub watched: Option<u32>,
    /// The object, where the kernel tells it.
    pub object: Option<Object>,
}

/// The kernel's identity of a file (file system id and file handle, which holds the inode's
/// generation): equal for all names of one file, and never used again for another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Object(pub(super) Box<[u8]>);
