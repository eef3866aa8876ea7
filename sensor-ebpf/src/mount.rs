//! What is mounted over, or moved over, a watched place.

use aya_ebpf::{
    macros::{fentry, kprobe, lsm},
    programs::{FEntryContext, LsmContext, ProbeContext},
};
use whodunit_common::Verb;

use crate::{
    change::{directory_flag, from_of, report},
    hook::hook,
    kernel::field,
    path, watch,
};

hook!(
    "sb_mount",
    mounted,
    lsm_sb_mount,
    fentry_sb_mount,
    kprobe_sb_mount
);
hook!(
    "move_mount",
    mount_moved,
    lsm_move_mount,
    fentry_move_mount,
    kprobe_move_mount
);

/// `sb_mount(dev_name, path, type, flags, data)`.
#[inline(always)]
fn mounted(arg: impl Fn(usize) -> u64) {
    let (source, path, flags) = (arg(0), arg(1), arg(3));
    // Remounts and changes of propagation hide nothing.
    if flags & MS_NOTHING_NEW != 0 {
        return;
    }
    let dentry: u64 = field!(path, path_dentry);
    let Some(found) = watch::matching(dentry, true) else {
        return;
    };
    let inode: u64 = field!(dentry, dentry_inode);
    report(
        Verb::Mount,
        found,
        directory_flag(inode),
        dentry,
        inode,
        |record| {
            path::text(from_of(record), source);
        },
    );
}

/// `MS_REMOUNT`, `MS_UNBINDABLE`, `MS_PRIVATE`, `MS_SLAVE` and `MS_SHARED`.
const MS_NOTHING_NEW: u64 = 1 << 5 | 1 << 17 | 1 << 18 | 1 << 19 | 1 << 20;

/// `move_mount(from_path, to_path)`: also the last step of the newer mount calls.
#[inline(always)]
fn mount_moved(arg: impl Fn(usize) -> u64) {
    let (from, to) = (arg(0), arg(1));
    let dentry: u64 = field!(to, path_dentry);
    let Some(found) = watch::matching(dentry, true) else {
        return;
    };
    let inode: u64 = field!(dentry, dentry_inode);
    report(
        Verb::Mount,
        found,
        directory_flag(inode),
        dentry,
        inode,
        |record| {
            path::in_filesystem(from_of(record), field!(from, path_dentry));
        },
    );
}
