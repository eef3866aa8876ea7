//! The kernel side's table of watched directories.

use crate::layout;

/// Key: identity of a directory.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WatchKey {
    /// Inode number.
    pub inode: u64,
    /// Device of the superblock, in the kernel's encoding: major << 20 | minor.
    pub device: u32,
    /// Always zero.
    pub reserved: u32,
}

layout!(WatchKey, 16);

/// What [`WatchValue::flags`] says.
pub mod watch_flags {
    /// What happens to entries of this directory, and one level below, is a change.
    pub const CONTENT: u32 = 1 << 0;
    /// A directory on the way to a load path: only what happens to it or makes, moves or
    /// removes directories and links in it is a change.
    pub const ANCESTOR: u32 = 1 << 1;
    /// A single file: writes to it are changes whatever its name.
    pub const FILE: u32 = 1 << 2;
    /// A directory in which single files matter: what happens to its own entries is a change, what
    /// happens below them is not.
    pub const ENTRIES: u32 = 1 << 3;
}

/// Value: which entry of the agent's own table this is.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchValue {
    /// The agent's number for it, from 1.
    pub id: u32,
    /// [`watch_flags`].
    pub flags: u32,
}

layout!(WatchValue, 8);
