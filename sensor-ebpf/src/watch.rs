//! Does systemd look here? Decided by identity along the chain of dentries.

use whodunit_common::{WatchKey, change_flags, watch_flags};

use crate::{
    kernel::{self, device_of, field},
    maps::WATCHES,
    path::{self, Dentry},
};

/// Why a dentry matters.
#[derive(Clone, Copy)]
pub(crate) struct Match {
    /// The agent's number of the watched directory or file; 0 when only a name matched.
    pub(crate) id: u32,
    /// How many components lie below it.
    pub(crate) depth: u32,
    /// [`change_flags::BY_NAME`] or nothing.
    pub(crate) flags: u16,
}

/// Levels looked at: the object, its directory (a search directory), the one above (of a file in
/// `X.service.d`), and one more, where a directory named `systemd` may hold one not yet watched.
const LEVELS: u32 = 4;

/// Of a directory in which files matter.
const ENTRIES: u32 = watch_flags::CONTENT | watch_flags::ENTRIES;

/// Finds out whether `dentry` is, or lies in, a watched place.
///
/// `structural` says that directories or links are made, moved or removed: only that matters in a
/// directory on the way to a load path.
#[inline(always)]
pub(crate) fn matching(dentry: u64, structural: bool) -> Option<Match> {
    let mut dentry = dentry;
    let mut device = 0;
    let mut below = 0u32;
    for depth in 0..LEVELS {
        let Dentry {
            parent,
            name,
            inode,
        } = path::dentry(dentry);
        if device == 0 {
            // All ancestors are on the object's superblock.
            device = device_of(field!(parent, dentry_inode));
        }
        if inode != 0 {
            let key = WatchKey {
                inode: field!(inode, inode_ino),
                device,
                reserved: 0,
            };
            // SAFETY: values are replaced as a whole by the agent alone; a stale one is harmless.
            if let Some(watch) = unsafe { WATCHES.get(key) } {
                // Nothing lies below a file: a directory with its inode number came after it.
                let wanted = match depth {
                    0 => true,
                    1 if structural => watch.flags & !watch_flags::FILE != 0,
                    1 => watch.flags & ENTRIES != 0,
                    2 => watch.flags & watch_flags::CONTENT != 0,
                    _ => false,
                };
                // If not, it may still be the directory above one that is not watched yet.
                if wanted {
                    return Some(Match {
                        id: watch.id,
                        depth,
                        flags: 0,
                    });
                }
            }
        }
        let name = kernel::read::<[u32; 2]>(name);
        // A directory of that name comes or goes, or something does in what may be in a load path.
        let by_name = if depth == 0 {
            structural
        } else {
            is_search_directory(below)
        };
        if name == SYSTEMD && by_name {
            return Some(Match {
                id: 0,
                depth,
                flags: change_flags::BY_NAME,
            });
        }
        below = name[0];
        if parent == dentry {
            break;
        }
        dentry = parent;
    }
    None
}

/// The name `systemd` and its end.
const SYSTEMD: [u32; 2] = [u32::from_le_bytes(*b"syst"), u32::from_le_bytes(*b"emd\0")];

/// Whether a name that begins so, below a directory named `systemd`, may be one systemd loads
/// units or runs generators from: `system*`, `user*`, `transient`, `generator*`.
#[inline(always)]
fn is_search_directory(name: u32) -> bool {
    name == u32::from_le_bytes(*b"syst")
        || name == u32::from_le_bytes(*b"user")
        || name == u32::from_le_bytes(*b"tran")
        || name == u32::from_le_bytes(*b"gene")
}
