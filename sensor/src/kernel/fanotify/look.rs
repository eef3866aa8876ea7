//! What an event was about, looked up after it.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, fstat, major, minor};
use whodunit_common::{FileFacts, Verb};

use super::{Fanotify, FanotifyError, FileChange, Scope, identity};

/// Entries that one listing reads at most.
pub const SCAN_MAX: usize = 4096;

/// Whether the place of an event still holds what the event was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The same file, by its handle.
    Same,
    /// There is a file; this kernel or file system does not say whether it is the same.
    Unverified,
    /// There is another file by now; its own event follows.
    Other,
    /// There is nothing (any more).
    Gone,
    /// It could not be looked at.
    Failed(Errno),
}

/// What [`Fanotify::look`] saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The event's verb; of a create, what was made: [`Verb::Symlink`], [`Verb::Link`] (a regular
    /// file with more than one name), [`Verb::Mknod`] (FIFO, socket, device), [`Verb::Create`] (a
    /// regular file, or gone before it could be told).
    pub verb: Verb,
    /// Whether this is still the event's file. Facts are there when it is `Same` or `Unverified`.
    pub standing: Standing,
    /// Identity and attributes, now. On btrfs the device is the subvolume's, not the superblock's.
    pub facts: Option<FileFacts>,
    /// The text of a symbolic link.
    pub link: Option<OsString>,
    /// The name that a file from `O_TMPFILE` was given since, in the same directory.
    pub name: Option<OsString>,
}

impl Look {
    fn nothing(verb: Verb, standing: Standing) -> Self {
        Self {
            verb,
            standing,
            facts: None,
            link: None,
            name: None,
        }
    }
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: OsString,
    /// Identity and attributes.
    pub facts: FileFacts,
    /// The text of a symbolic link.
    pub link: Option<OsString>,
}

/// What [`scan`] saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The entries, in the file system's order.
    pub entries: Vec<Found>,
    /// False when there are more than [`SCAN_MAX`], or an entry could not be looked at.
    pub complete: bool,
}

impl Fanotify {
    /// Looks at what an event was about. Costs no event, follows no link and opens no device.
    #[must_use]
    pub fn look(&self, change: &FileChange) -> Look {
        if matches!(change.verb, Verb::Unlink | Verb::Rmdir) {
            return Look::nothing(change.verb, Standing::Gone);
        }
        let Some((dir, name)) = self.path_of(change) else {
            return Look::nothing(change.verb, Standing::Gone);
        };
        let seen = self.look_at(
            change,
            &name.map_or_else(|| dir.clone(), |name| dir.join(name)),
        );
        // An O_TMPFILE descriptor keeps its `#<inode>` for a name, even when the file was linked.
        if seen.standing == Standing::Gone
            && let Some(inode) = name.and_then(unnamed)
            && let Some(linked) = entry_of(&dir, inode)
        {
            let mut seen = self.look_at(change, &dir.join(&linked));
            seen.name = seen.facts.is_some().then_some(linked);
            return seen;
        }
        seen
    }

    fn path_of<'a>(&self, change: &'a FileChange) -> Option<(PathBuf, Option<&'a OsStr>)> {
        if let Some(place) = &change.at
            && let Some(watch) = place.dir.and_then(|dir| self.watches.get(&dir))
        {
            return Some((watch.path.clone(), Some(&place.name)));
        }
        let watch = self.watches.get(&change.watched?)?;
        (watch.scope == Scope::File).then(|| (watch.path.clone(), None))
    }

    fn look_at(&self, change: &FileChange, path: &Path) -> Look {
        let object = match open(path) {
            Ok(object) => object,
            Err(Errno::ENOENT | Errno::ENOTDIR) => {
                return Look::nothing(change.verb, Standing::Gone);
            }
            Err(error) => return Look::nothing(change.verb, Standing::Failed(error)),
        };
        let standing = change
            .object
            .as_ref()
            .map_or(Standing::Unverified, |expected| {
                match identity::is(&expected.0, object.as_fd()) {
                    Ok(true) => Standing::Same,
                    Ok(false) => Standing::Other,
                    Err(_) => Standing::Unverified,
                }
            });
        if standing == Standing::Other {
            return Look::nothing(change.verb, standing);
        }
        let facts = match facts(&object) {
            Ok(facts) => facts,
            Err(error) => return Look::nothing(change.verb, Standing::Failed(error)),
        };
        Look {
            verb: refine(change.verb, &facts),
            standing,
            facts: Some(facts),
            link: link(&object, &facts),
            name: None,
        }
    }
}

/// Lists a directory, [`SCAN_MAX`] entries at most: for one that was just marked, or after an
/// overflow. What it finds may also come as an event; the inode tells.
///
/// # Errors
///
/// [`FanotifyError::List`] when the directory cannot be read.
pub fn scan(dir: &Path) -> Result<Listing, FanotifyError> {
    let list = |source| FanotifyError::List {
        path: dir.to_owned(),
        source,
    };
    let mut listing = Listing {
        entries: Vec::new(),
        complete: true,
    };
    for entry in std::fs::read_dir(dir).map_err(list)? {
        if listing.entries.len() == SCAN_MAX {
            listing.complete = false;
            break;
        }
        let name = entry.map_err(list)?.file_name();
        match open(&dir.join(&name)).and_then(|object| Ok((facts(&object)?, object))) {
            Ok((facts, object)) => listing.entries.push(Found {
                name,
                facts,
                link: link(&object, &facts),
            }),
            // Removed since it was listed.
            Err(Errno::ENOENT) => {}
            Err(_) => listing.complete = false,
        }
    }
    Ok(listing)
}

fn open(path: &Path) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    nix::fcntl::open(path, flags, Mode::empty())
}

fn facts(object: &OwnedFd) -> nix::Result<FileFacts> {
    let stat = fstat(object)?;
    let device = (major(stat.st_dev) << 20) | minor(stat.st_dev);
    Ok(FileFacts {
        inode: stat.st_ino,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        device: u32::try_from(device).unwrap_or(0),
        nlink: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
        mode: stat.st_mode,
        uid: stat.st_uid,
    })
}

fn kind(facts: &FileFacts) -> SFlag {
    SFlag::from_bits_truncate(facts.mode & SFlag::S_IFMT.bits())
}

fn link(object: &OwnedFd, facts: &FileFacts) -> Option<OsString> {
    (kind(facts) == SFlag::S_IFLNK)
        .then(|| nix::fcntl::readlinkat(object, "").ok())
        .flatten()
}

fn refine(verb: Verb, facts: &FileFacts) -> Verb {
    match (verb, kind(facts)) {
        (Verb::Create, SFlag::S_IFLNK) => Verb::Symlink,
        (Verb::Create, SFlag::S_IFREG) if facts.nlink > 1 => Verb::Link,
        (Verb::Create, SFlag::S_IFREG) => Verb::Create,
        (Verb::Create, SFlag::S_IFDIR) => Verb::Mkdir,
        (Verb::Create, _) => Verb::Mknod,
        (other, _) => other,
    }
}

/// The inode number in the name that the kernel gives to a file from `O_TMPFILE`.
fn unnamed(name: &OsStr) -> Option<u64> {
    let digits = name.as_bytes().strip_prefix(b"#")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn entry_of(dir: &Path, inode: u64) -> Option<OsString> {
    std::fs::read_dir(dir)
        .ok()?
        .take(SCAN_MAX)
        .filter_map(Result::ok)
        .find(|entry| entry.ino() == inode)
        .map(|entry| entry.file_name())
}
