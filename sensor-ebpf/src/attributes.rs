//! Mode, owner, times, size, extended attributes and ACLs.

use aya_ebpf::{
    macros::{fentry, kprobe, lsm},
    programs::{FEntryContext, LsmContext, ProbeContext},
};
use whodunit_common::{Verb, change_flags};

use crate::{
    change::{directory_flag, from_of, report},
    hook::hook,
    kernel::field,
    path, watch,
};

hook!(
    "inode_setattr",
    attributes,
    lsm_inode_setattr,
    fentry_inode_setattr,
    kprobe_inode_setattr
);
hook!(
    "inode_setattr",
    attributes_idmapped,
    lsm_inode_setattr_idmapped,
    fentry_inode_setattr_idmapped,
    kprobe_inode_setattr_idmapped
);
hook!(
    "inode_setxattr",
    xattr,
    lsm_inode_setxattr,
    fentry_inode_setxattr,
    kprobe_inode_setxattr
);
hook!(
    "inode_setxattr",
    xattr_idmapped,
    lsm_inode_setxattr_idmapped,
    fentry_inode_setxattr_idmapped,
    kprobe_inode_setxattr_idmapped
);
hook!(
    "inode_set_acl",
    xattr_idmapped,
    lsm_inode_set_acl,
    fentry_inode_set_acl,
    kprobe_inode_set_acl
);

hook!(
    "inode_removexattr",
    xattr,
    lsm_inode_removexattr,
    fentry_inode_removexattr,
    kprobe_inode_removexattr
);
hook!(
    "inode_removexattr",
    xattr_idmapped,
    lsm_inode_removexattr_idmapped,
    fentry_inode_removexattr_idmapped,
    kprobe_inode_removexattr_idmapped
);
hook!(
    "inode_remove_acl",
    xattr_idmapped,
    lsm_inode_remove_acl,
    fentry_inode_remove_acl,
    kprobe_inode_remove_acl
);

/// Bits of `iattr.ia_valid`: <https://github.com/torvalds/linux/blob/v6.12/include/linux/fs.h#L220>.
const ATTR_SIZE: u32 = 1 << 3;
const ATTR_OPEN: u32 = 1 << 15;
/// Mode, uid, gid, size, an explicit atime or mtime, or both set to now.
const ATTR_WATCHED: u32 = 0b1111 | 1 << 7 | 1 << 8 | 1 << 17;

/// `inode_setattr(dentry, attr)`.
#[inline(always)]
fn attributes(arg: impl Fn(usize) -> u64) {
    set_attributes(arg(0), arg(1));
}

/// `inode_setattr(idmap, dentry, attr)`, as newer kernels call it.
#[inline(always)]
fn attributes_idmapped(arg: impl Fn(usize) -> u64) {
    set_attributes(arg(1), arg(2));
}

#[inline(always)]
fn set_attributes(dentry: u64, attributes: u64) {
    let valid: u32 = field!(attributes, iattr_valid);
    // O_TRUNC comes here too, but has been reported with the open.
    if valid & ATTR_WATCHED == 0 || valid & ATTR_OPEN != 0 {
        return;
    }
    let Some(found) = watch::matching(dentry, false) else {
        return;
    };
    let inode: u64 = field!(dentry, dentry_inode);
    let cut = if valid & ATTR_SIZE != 0 {
        change_flags::TRUNCATE
    } else {
        0
    };
    report(
        Verb::Setattr,
        found,
        cut | directory_flag(inode),
        dentry,
        inode,
        |record| {
            // SAFETY: `record` is ours until it is submitted.
            unsafe { (*record).attributes = valid };
            path::none(from_of(record));
        },
    );
}

/// `inode_setxattr(dentry, name, …)`.
#[inline(always)]
fn xattr(arg: impl Fn(usize) -> u64) {
    set_xattr(arg(0), arg(1));
}

/// `inode_setxattr(idmap, dentry, name, …)`, and `inode_set_acl` alike.
#[inline(always)]
fn xattr_idmapped(arg: impl Fn(usize) -> u64) {
    set_xattr(arg(1), arg(2));
}

#[inline(always)]
fn set_xattr(dentry: u64, name: u64) {
    let Some(found) = watch::matching(dentry, false) else {
        return;
    };
    let inode: u64 = field!(dentry, dentry_inode);
    report(
        Verb::Setattr,
        found,
        directory_flag(inode),
        dentry,
        inode,
        |record| {
            path::text(from_of(record), name);
        },
    );
}
