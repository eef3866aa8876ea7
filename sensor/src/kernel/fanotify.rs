//! File changes on kernels where no program can attach below the syscall layer.
//!
//! fanotify reports from inside the VFS: io_uring is seen (worker and SQPOLL threads alike, with
//! the pid of the process they serve) and, by construction, so are 32-bit callers; there is no path
//! string to race against, and only directories that are marked cost anything. Every event carries the directory
//! as (file system id, file handle) and the entry's name; from Linux 5.17 also the handle of the
//! object, by which [`Fanotify::look`] tells whether a name still stands for what the event is about.
//!
//! # What the kernel reports (read off Linux 6.18, ext4 and tmpfs)
//!
//! | done | reported |
//! |---|---|
//! | `open(O_CREAT)`, `link`, `symlink`, `mknod`, `bind` | CREATE, without saying which: `look` refines it |
//! | `O_TRUNC` (even of an empty file), `truncate(2)` | MODIFY; `truncate(2)` brings no CLOSE_WRITE |
//! | `fallocate`, `copy_file_range`, `sendfile`, `splice` | MODIFY |
//! | store to a shared mapping, `msync` | nothing; CLOSE_WRITE at `munmap`, even when the descriptor was closed long before |
//! | `chmod`, `chown`, `setxattr`, both times | ATTRIB; only mtime: MODIFY; only atime: nothing |
//! | `rename` out of, or into, what is watched | RENAME with the watched side alone: the other is unknown |
//! | `rename` over an existing name | RENAME; nothing says that a file was replaced |
//! | `RENAME_EXCHANGE` | two RENAMEs, one for each object, each with the watched sides |
//! | `O_TMPFILE`, write | nothing, then MODIFY of the name `#<inode>`, of which there is no entry |
//! | `linkat` of that file, write, close | CREATE of the new name; MODIFY, CLOSE_WRITE still of `#<inode>` |
//! | the same with a file made in a directory that is not watched | CREATE; later writes through that descriptor: nothing |
//! | file renamed in while open, then written | MODIFY under the new name; renamed out: nothing any more |
//! | write through a descriptor of an unlinked file | MODIFY of the old name, whoever has that name now |
//! | hard link to somewhere else made, and written through | nothing, unless the file has its own mark ([`Scope::File`]) |
//! | access through a bind mount | the same events: the mark is on the inode |
//! | attributes of a subdirectory | ATTRIB with the *subdirectory's* handle and the name `.` |
//! | watched directory removed | DELETE_SELF, before the parent's DELETE; while someone holds it open, only when they close it |
//! | another file system mounted over it | nothing; what happens in there is not seen |
//! | its file system unmounted | nothing; marks don't hold it back and go with it |
//!
//! What is said of kernels before 6.18 is from the kernel's documentation; the tests run the flags
//! of the older ones on the present one.
//!
//! overlayfs can be watched too (tried on 6.18), but a write straight to its upper directory shows
//! only on a mark there.
//!
//! The kernel merges events of one process, name and object that wait in the queue, into the place of
//! the first. So the order of verbs *within* one such event is this module's convention (create,
//! attributes, write, close, remove), and of two processes that wrote a file in turns between two
//! reads the last cannot be told.
//!
//! # Self-wakeups
//!
//! Nothing is filtered by pid. Opening, reading, listing and `look` cause no event (no access mask
//! is asked for, and reads change no attribute in the sense of ATTRIB); only what the agent itself
//! writes into a watched directory comes back, with the agent's pid.
//!
//! # Cost
//!
//! Release build, 2 cores, 6.18, tmpfs: the writer of a new file pays 2 µs for its three events
//! (6.4 µs instead of 4.5), and 0.37 µs for each `write(2)` of one byte (0.63 instead of 0.26); in a
//! directory beside a marked one nothing that can be told from noise. The agent pays 0.9 µs an event
//! for reading and 1.7 µs for `look`. 200 000 writes between two reads arrive as one event.

mod change;
mod decode;
mod error;
mod identity;
mod look;
mod parse;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::fanotify::{EventFFlags, Fanotify as Group, InitFlags, MarkFlags, MaskFlags};
use nix::sys::stat::Mode;

pub use change::{FileChange, FileEvent, Object, Place};
pub use error::FanotifyError;
pub use look::{Found, Listing, Look, SCAN_MAX, Standing, scan};

/// Bytes asked for in one read of the group.
const BUFFER: usize = 64 * 1024;
/// Reads in one call of [`Fanotify::read`]: a writer that never stops must not hold the caller.
const READS_MAX: usize = 16;

/// How much of an object is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// A directory on the way to one that matters: entries made, renamed and removed, and its own
    /// attributes. The kernel cannot be asked for directories and links alone, so the names of
    /// plain files come too: compare the name before doing anything else.
    Ancestor,
    /// A directory in which single files matter, by their names: compare them as well.
    Entries,
    /// A directory, and writes to, and attributes of, what is in it.
    Content,
    /// One regular file, by whatever name or hard link it is reached.
    File,
}

/// Whether [`Fanotify::read`] emptied the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Nothing is queued; the descriptor becomes readable with the next event.
    Empty,
    /// The bound of one call was reached. Call again (an edge-triggered poll would not wake up).
    More,
}

/// What this kernel's fanotify can do; each `false` is a blind spot to name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// Events carry the object's handle (5.17, and stable kernels it was brought to).
    pub objects: bool,
    /// A rename is one event with both names (5.17); without, two unrelated halves.
    pub renames: bool,
}

impl Abilities {
    /// What is not seen, each a phrase: see the table above.
    #[must_use]
    pub fn blind(self) -> Vec<String> {
        let mut blind: Vec<String> = [
            "stores to a shared mapping, until it is unmapped",
            "files made in a directory before it was marked: found by listing it, without their time",
            "writes through a hard link elsewhere, or through a descriptor of a file renamed away",
            "the other name of a rename out of or into what is watched",
            "what is mounted over a watched place, and what is written below that mount",
            "what managers load",
            "who wrote last, of two processes that write in turns",
            "credentials of a writer that is gone at once: its pid and ancestry alone are known",
        ]
        .map(str::to_owned)
        .into();
        if !self.renames {
            blind.push(
                "which old name belongs to which new one in a rename (Linux 5.17)".to_owned(),
            );
        }
        if !self.objects {
            blind.push(
                "whether a name still stands for the file that changed (Linux 5.17)".to_owned(),
            );
        }
        blind
    }
}

#[derive(Debug)]
struct Watch {
    path: PathBuf,
    scope: Scope,
    identity: Box<[u8]>,
}

/// A fanotify group and the directories it watches.
///
/// The queue is bounded by `fs.fanotify.max_queued_events` (16384): what does not fit is lost, and
/// [`FileEvent::Overflow`] says so. An unlimited queue would trade that for kernel memory that any
/// writer could fill. The queue belongs to the group: keep directories that users may write to in
/// a group of their own, or a user can drown what happens in the system's.
#[derive(Debug)]
pub struct Fanotify {
    group: Group,
    abilities: Abilities,
    watches: HashMap<u32, Watch>,
    ids: HashMap<Box<[u8]>, u32>,
    buffer: Vec<u8>,
    unmatched: u64,
}

impl Fanotify {
    /// Opens a group with the most that the running kernel can report.
    ///
    /// # Errors
    ///
    /// [`FanotifyError::Privilege`], [`FanotifyError::Unsupported`] and the limits of groups and files.
    pub fn new() -> Result<Self, FanotifyError> {
        let best = Abilities {
            objects: true,
            renames: true,
        };
        match Self::with(best) {
            Err(FanotifyError::Unsupported(Errno::EINVAL)) => Self::with(Abilities {
                objects: false,
                ..best
            }),
            other => other,
        }
    }

    fn with(abilities: Abilities) -> Result<Self, FanotifyError> {
        // nix has no names for the FAN_REPORT flags. FAN_REPORT_FID is what identifies a File mark.
        let mut report = libc::FAN_REPORT_DFID_NAME | libc::FAN_REPORT_FID;
        if abilities.objects {
            report |= libc::FAN_REPORT_TARGET_FID;
        }
        let flags = InitFlags::FAN_CLASS_NOTIF
            | InitFlags::FAN_CLOEXEC
            | InitFlags::FAN_NONBLOCK
            | InitFlags::FAN_UNLIMITED_MARKS
            | InitFlags::from_bits_retain(report);
        let group = Group::init(flags, EventFFlags::O_RDONLY).map_err(FanotifyError::init)?;
        Ok(Self {
            group,
            abilities,
            watches: HashMap::new(),
            ids: HashMap::new(),
            buffer: vec![0; BUFFER],
            unmatched: 0,
        })
    }

    /// What the kernel can report. `renames` is settled by the first directory that is watched.
    #[must_use]
    pub fn abilities(&self) -> Abilities {
        self.abilities
    }

    /// Events that concerned nothing watched and were left out: attributes of subdirectories
    /// without a watch of their own, and what was queued or marked when a watch ended.
    #[must_use]
    pub fn unmatched(&self) -> u64 {
        self.unmatched
    }

    /// Watches `path` (links are followed) and returns the number its events will carry: `id`, or
    /// the number under which the same inode is watched already (`/lib` and `/usr/lib`).
    ///
    /// An id that is in use moves to the new place. A scope only widens; `unwatch` to narrow it.
    /// The caller lists the directory afterwards ([`scan`]): what was made before the mark is not
    /// reported.
    ///
    /// # Errors
    ///
    /// [`FanotifyError::Blind`] when the file system has no ids or handles; [`FanotifyError::Open`]
    /// when there is no such directory; [`FanotifyError::MarkLimit`], [`FanotifyError::Mark`].
    pub fn watch(&mut self, path: &Path, id: u32, scope: Scope) -> Result<u32, FanotifyError> {
        let object = open(path, scope)?;
        let identity =
            identity::of(object.as_fd()).map_err(|source| FanotifyError::mark(path, source))?;
        let kept = self.ids.get(&identity).copied();
        // A mark by name would leave a gap between it and the handle: both use this descriptor.
        self.add_mark(&object, scope)
            .map_err(|source| FanotifyError::mark(path, source))?;
        if let Some(kept) = kept {
            if let Some(watch) = self.watches.get_mut(&kept) {
                watch.scope = watch.scope.max(scope);
                if kept == id {
                    watch.path = path.to_owned();
                }
            }
            if kept != id {
                self.unwatch(id);
            }
            return Ok(kept);
        }
        self.unwatch(id);
        self.ids.insert(identity.clone(), id);
        self.watches.insert(
            id,
            Watch {
                path: path.to_owned(),
                scope,
                identity,
            },
        );
        Ok(id)
    }

    /// Forgets a watch. The mark itself stays when its directory is no longer found under its
    /// path; its events are then left out (see [`Self::unmatched`]).
    pub fn unwatch(&mut self, id: u32) {
        let Some(watch) = self.watches.remove(&id) else {
            return;
        };
        self.ids.remove(&watch.identity);
        if let Ok(object) = open(&watch.path, watch.scope)
            && identity::of(object.as_fd()).is_ok_and(|identity| identity == watch.identity)
        {
            // It fails when the mark went with a removed directory: nothing is left to remove.
            let _ = self.mark(MarkFlags::FAN_MARK_REMOVE, &object, watch.scope);
        }
    }

    fn add_mark(&mut self, object: &impl AsFd, scope: Scope) -> nix::Result<()> {
        match self.mark(MarkFlags::FAN_MARK_ADD, object, scope) {
            Err(Errno::EINVAL) if self.abilities.renames && scope != Scope::File => {
                self.abilities.renames = false;
                let again = self.mark(MarkFlags::FAN_MARK_ADD, object, scope);
                self.abilities.renames = again.is_err();
                again
            }
            other => other,
        }
    }

    fn mark(&self, action: MarkFlags, object: &impl AsFd, scope: Scope) -> nix::Result<()> {
        let mask = self.mask(scope);
        if scope == Scope::File {
            // fanotify_mark(2) takes neither an O_PATH descriptor nor an empty path.
            let path = format!("/proc/self/fd/{}", object.as_fd().as_raw_fd());
            self.group
                .mark(action, mask, object.as_fd(), Some(path.as_str()))
        } else {
            self.group.mark(
                action | MarkFlags::FAN_MARK_ONLYDIR,
                mask,
                object.as_fd(),
                Some("."),
            )
        }
    }

    fn mask(&self, scope: Scope) -> MaskFlags {
        let itself = MaskFlags::FAN_ATTRIB | MaskFlags::FAN_DELETE_SELF | MaskFlags::FAN_MOVE_SELF;
        let writes = MaskFlags::FAN_MODIFY | MaskFlags::FAN_CLOSE_WRITE;
        let rename = if self.abilities.renames {
            MaskFlags::FAN_RENAME
        } else {
            MaskFlags::FAN_MOVE
        };
        let entries = MaskFlags::FAN_CREATE | MaskFlags::FAN_DELETE | rename | MaskFlags::FAN_ONDIR;
        match scope {
            Scope::Ancestor => itself | entries,
            Scope::Entries | Scope::Content => {
                itself | entries | writes | MaskFlags::FAN_EVENT_ON_CHILD
            }
            Scope::File => itself | writes,
        }
    }

    /// Appends what is queued to `out`, in order, repeats within this call merged: of one process
    /// and name, writes, closes and attribute changes are told once until the name changes hands,
    /// and no write is told after its own create.
    ///
    /// # Errors
    ///
    /// [`FanotifyError::Read`], and [`FanotifyError::Malformed`] when the kernel's format is not
    /// the one known here; events up to that point are in `out`, followed by an overflow.
    pub fn read(&mut self, out: &mut Vec<FileEvent>) -> Result<Drained, FanotifyError> {
        let mut batch = decode::Batch::default();
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut result = Ok(Drained::More);
        for _ in 0..READS_MAX {
            match nix::unistd::read(self.group.as_fd(), &mut buffer) {
                Ok(0) | Err(Errno::EAGAIN) => {
                    result = Ok(Drained::Empty);
                    break;
                }
                Ok(length) => {
                    let filled = buffer.get(..length).unwrap_or_default();
                    if let Err(error) = self.decode(filled, &mut batch, out) {
                        out.push(FileEvent::Overflow);
                        result = Err(error);
                        break;
                    }
                }
                Err(Errno::EINTR) => {}
                Err(source) => {
                    result = Err(FanotifyError::Read(source));
                    break;
                }
            }
        }
        self.buffer = buffer;
        result
    }
}

impl AsFd for Fanotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.group.as_fd()
    }
}

impl AsRawFd for Fanotify {
    fn as_raw_fd(&self) -> RawFd {
        self.group.as_fd().as_raw_fd()
    }
}

/// Opens without reading: a descriptor that is not `O_PATH` would itself be an access. It is not
/// kept, since an open directory delays the news of its own removal and holds back unmounting.
fn open(path: &Path, scope: Scope) -> Result<std::os::fd::OwnedFd, FanotifyError> {
    let kind = match scope {
        Scope::File => OFlag::empty(),
        Scope::Ancestor | Scope::Entries | Scope::Content => OFlag::O_DIRECTORY,
    };
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC | kind;
    nix::fcntl::open(path, flags, Mode::empty()).map_err(|source| FanotifyError::Open {
        path: path.to_owned(),
        source,
    })
}
