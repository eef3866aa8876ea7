//! Something was done to a watched file or directory.

use crate::{FileFacts, Header, NAME_MAX, PATH_MAX, PathBytes, TaskFacts, layout};

/// What was done.
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// A regular file was made by opening it.
    Create = 0,
    /// An existing file was opened for writing.
    Write = 1,
    /// Renamed, from or to a watched place.
    Rename = 2,
    /// A hard link was made.
    Link = 3,
    /// A symbolic link was made.
    Symlink = 4,
    /// A name was removed.
    Unlink = 5,
    /// A directory was made.
    Mkdir = 6,
    /// A directory was removed.
    Rmdir = 7,
    /// A FIFO, socket, device or empty regular file was made by mknod.
    Mknod = 8,
    /// Mode, owner, times or size were set by path.
    Setattr = 9,
    /// The last descriptor of a file that was open for writing was closed.
    Closed = 10,
    /// Something was mounted over it, or a mount was moved there.
    Mount = 11,
    /// A manager opened it for reading: what it really loads, whatever put it there.
    Load = 12,
}

impl Verb {
    /// Every verb, in the order of its number.
    pub const ALL: [Self; 13] = [
        Self::Create,
        Self::Write,
        Self::Rename,
        Self::Link,
        Self::Symlink,
        Self::Unlink,
        Self::Mkdir,
        Self::Rmdir,
        Self::Mknod,
        Self::Setattr,
        Self::Closed,
        Self::Mount,
        Self::Load,
    ];

    /// The verb with this number.
    #[must_use]
    pub fn from_raw(raw: u16) -> Option<Self> {
        Self::ALL.get(usize::from(raw)).copied()
    }
}

/// What [`ChangeRecord::flags`] says.
pub mod change_flags {
    /// Opened with `O_TRUNC`, or the size was set.
    pub const TRUNCATE: u16 = 1 << 0;
    /// No watched directory matched, but the name of one on the way did (`systemd`).
    pub const BY_NAME: u16 = 1 << 1;
    /// The object is a directory.
    pub const DIRECTORY: u16 = 1 << 2;
    /// [`super::ChangeRecord::watch_id`] belongs to the old name, not to the new one.
    pub const MATCHED_FROM: u16 = 1 << 3;
}

/// One change. Sent before the kernel carries it out, but after its own permission checks.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ChangeRecord {
    /// Kind [`crate::Kind::Change`].
    pub header: Header,
    /// Who does it.
    pub task: TaskFacts,
    /// A [`Verb`].
    pub verb: u16,
    /// [`change_flags`].
    pub flags: u16,
    /// [`crate::WatchValue::id`] of the watched directory that matched; zero when none did.
    pub watch_id: u32,
    /// How many components of the path lie below the watched directory.
    pub watch_depth: u32,
    /// `iattr.ia_valid` of a [`Verb::Setattr`].
    pub attributes: u32,
    /// The object; of a name that is being made only the device is known.
    pub object: FileFacts,
    /// What a rename replaces, if something.
    pub replaced: FileFacts,
    /// The name concerned, up to the root of its file system.
    pub path: PathBytes<{ PATH_MAX + NAME_MAX }>,
    /// The old name of a rename or link, or the text of a symbolic link, the name of an extended
    /// attribute, or the source of a mount.
    pub from: PathBytes<{ PATH_MAX + NAME_MAX }>,
}

layout!(ChangeRecord, 16 + 208 + 16 + 64 + 2 * (8 + 1280));
