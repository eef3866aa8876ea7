//! The identity of a file.

use crate::layout;

/// Identity and attributes of an inode.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileFacts {
    /// Inode number; zero when there is no inode (yet).
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Device of the superblock, in the kernel's encoding: major << 20 | minor.
    pub device: u32,
    /// Number of hard links: 0 for an unlinked file or a memfd.
    pub nlink: u32,
    /// `st_mode`: type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
}

layout!(FileFacts, 32);
