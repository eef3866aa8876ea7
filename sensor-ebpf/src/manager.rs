//! What a manager really loads.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::bpf_get_current_comm;
use whodunit_common::{ProcessKey, Verb, change_flags, process_flags};

use crate::{
    change::{from_of, report},
    file::regular,
    kernel::{self, field},
    path, task,
    watch::{self, Match},
};

/// Whether the current process runs units. The name is a cheap first look; the table decides.
#[inline(always)]
pub(crate) fn is_manager() -> bool {
    let tgid = task::current_tgid();
    if tgid == 1 {
        return true;
    }
    let mut comm = MaybeUninit::<[u64; 2]>::uninit();
    // SAFETY: the helper writes all 16 bytes, zeroes if it fails.
    let [name, _] = unsafe {
        bpf_get_current_comm(comm.as_mut_ptr().cast(), 16);
        comm.assume_init()
    };
    if name != u64::from_le_bytes(*b"systemd\0") {
        return false;
    }
    let key = ProcessKey::new(tgid, task::start_of(kernel::current_task()));
    task::entry(&key).is_some_and(|entry| entry.flags & process_flags::IS_MANAGER != 0)
}

/// Superblocks whose files are the kernel's own words: procfs, sysfs, cgroup, cgroup2.
const PSEUDO: [u64; 4] = [0x9fa0, 0x6265_6572, 0x0027_e0eb, 0x6367_7270];

/// A manager reads a file. Wherever that is: a unit from an odd place is the point.
#[inline(always)]
pub(crate) fn loaded(file: u64) {
    let Some((dentry, inode)) = regular(file) else {
        return;
    };
    let superblock: u64 = field!(inode, inode_sb);
    let magic: u64 = field!(superblock, super_block_magic);
    if PSEUDO[0] == magic || PSEUDO[1] == magic || PSEUDO[2] == magic || PSEUDO[3] == magic {
        return;
    }
    let elsewhere = Match {
        id: 0,
        depth: 0,
        flags: change_flags::BY_NAME,
    };
    let found = watch::matching(dentry, false).unwrap_or(elsewhere);
    report(Verb::Load, found, 0, dentry, inode, |record| {
        path::none(from_of(record));
    });
}
