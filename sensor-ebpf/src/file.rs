//! Changes to watched files and directories.
//!
//! Each fact has one body and three programs: LSM hook, fentry and kprobe on the `security_*`
//! function of the same name. All see the same objects, below the syscall layer, after the
//! kernel's own permission checks and before the deed. The agent loads one of the three.

use aya_ebpf::{
    macros::{fentry, kprobe, lsm},
    programs::{FEntryContext, LsmContext, ProbeContext},
};
use whodunit_common::{ChangeRecord, Kind, Verb, change_flags};

use crate::{
    kernel::{self, field, offset},
    maps::{self, PRIORITY},
    path, task,
    watch::{self, Match},
};

/// Defines the three programs of one hook around `$body`, which asks for the arguments it needs:
/// no more than the hook has, or the verifier objects.
macro_rules! hook {
    ($name:literal, $body:path, $lsm:ident, $fentry:ident, $kprobe:ident) => {
        #[lsm(hook = $name)]
        pub(crate) fn $lsm(ctx: LsmContext) -> i32 {
            $body(|n| ctx.arg(n));
            0 // never an opinion on whether it is allowed
        }

        #[fentry(function = $name)]
        pub(crate) fn $fentry(ctx: FEntryContext) -> i32 {
            $body(|n| ctx.arg(n));
            0
        }

        #[kprobe]
        pub(crate) fn $kprobe(ctx: ProbeContext) -> u32 {
            $body(|n| ctx.arg(n).unwrap_or(0));
            0
        }
    };
}

hook!(
    "file_open",
    opened,
    lsm_file_open,
    fentry_file_open,
    kprobe_file_open
);
hook!(
    "inode_rename",
    renamed,
    lsm_inode_rename,
    fentry_inode_rename,
    kprobe_inode_rename
);
hook!(
    "inode_link",
    linked,
    lsm_inode_link,
    fentry_inode_link,
    kprobe_inode_link
);
hook!(
    "inode_symlink",
    symlinked,
    lsm_inode_symlink,
    fentry_inode_symlink,
    kprobe_inode_symlink
);
hook!(
    "inode_unlink",
    unlinked,
    lsm_inode_unlink,
    fentry_inode_unlink,
    kprobe_inode_unlink
);
hook!(
    "inode_mkdir",
    made_directory,
    lsm_inode_mkdir,
    fentry_inode_mkdir,
    kprobe_inode_mkdir
);
hook!(
    "inode_rmdir",
    removed_directory,
    lsm_inode_rmdir,
    fentry_inode_rmdir,
    kprobe_inode_rmdir
);
hook!(
    "inode_mknod",
    made_node,
    lsm_inode_mknod,
    fentry_inode_mknod,
    kprobe_inode_mknod
);
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

/// `FMODE_WRITE` and `FMODE_CREATED`: <https://github.com/torvalds/linux/blob/v6.12/include/linux/fs.h#L108>.
const FMODE_WRITE: u32 = 1 << 1;
const FMODE_CREATED: u32 = 1 << 20;
const O_TRUNC: u32 = 0o1000;
const S_IFMT: u16 = 0o170_000;
const S_IFREG: u16 = 0o100_000;

/// `file_open(file)`. Runs at every open on the host: reading must leave at once.
#[inline(always)]
fn opened(arg: impl Fn(usize) -> u64) {
    let file = arg(0);
    let mode: u32 = field!(file, file_mode);
    if mode & FMODE_WRITE == 0 {
        return;
    }
    let inode: u64 = field!(file, file_inode);
    let kind: u16 = field!(inode, inode_mode);
    if kind & S_IFMT != S_IFREG || offset!(file_path) == whodunit_common::MISSING {
        return;
    }
    let from = file + u64::from(offset!(file_path));
    let dentry: u64 = field!(from, path_dentry);
    let Some(found) = watch::matching(dentry, false) else {
        return;
    };

    let verb = if mode & FMODE_CREATED != 0 {
        Verb::Create
    } else {
        Verb::Write
    };
    let flags: u32 = field!(file, file_flags);
    let cut = if flags & O_TRUNC != 0 {
        change_flags::TRUNCATE
    } else {
        0
    };
    report(verb, found, cut, dentry, inode, |record| {
        path::none(from_of(record))
    });
}

/// `inode_rename(old_dir, old_dentry, new_dir, new_dentry)`.
#[inline(always)]
fn renamed(arg: impl Fn(usize) -> u64) {
    let (old, new) = (arg(1), arg(3));
    let inode: u64 = field!(old, dentry_inode);
    let directory = directory_flag(inode);
    let structural = directory != 0 || is_link(inode);
    let (found, side) = match watch::matching(new, structural) {
        Some(found) => (found, 0),
        None => match watch::matching(old, structural) {
            Some(found) => (found, change_flags::MATCHED_FROM),
            None => return,
        },
    };
    report(
        Verb::Rename,
        found,
        directory | side,
        new,
        inode,
        |record| {
            let replaced: u64 = field!(new, dentry_inode);
            // SAFETY: `record` is ours until it is submitted.
            kernel::file_facts(unsafe { &raw mut (*record).replaced }, replaced);
            path::in_filesystem(from_of(record), old);
        },
    );
}

/// `inode_link(old_dentry, dir, new_dentry)`.
#[inline(always)]
fn linked(arg: impl Fn(usize) -> u64) {
    let (old, new) = (arg(0), arg(2));
    let Some(found) = watch::matching(new, false) else {
        return;
    };
    let inode = field!(old, dentry_inode);
    report(Verb::Link, found, 0, new, inode, |record| {
        path::in_filesystem(from_of(record), old)
    });
}

/// `inode_symlink(dir, dentry, old_name)`.
#[inline(always)]
fn symlinked(arg: impl Fn(usize) -> u64) {
    let (dentry, text) = (arg(1), arg(2));
    let Some(found) = watch::matching(dentry, true) else {
        return;
    };
    report(Verb::Symlink, found, 0, dentry, 0, |record| {
        path::text(from_of(record), text)
    });
}

/// `inode_unlink(dir, dentry)`.
#[inline(always)]
fn unlinked(arg: impl Fn(usize) -> u64) {
    let dentry = arg(1);
    let inode: u64 = field!(dentry, dentry_inode);
    let Some(found) = watch::matching(dentry, is_link(inode)) else {
        return;
    };
    report(Verb::Unlink, found, 0, dentry, inode, |record| {
        path::none(from_of(record))
    });
}

/// `inode_mkdir(dir, dentry, mode)`.
#[inline(always)]
fn made_directory(arg: impl Fn(usize) -> u64) {
    let dentry = arg(1);
    let Some(found) = watch::matching(dentry, true) else {
        return;
    };
    report(
        Verb::Mkdir,
        found,
        change_flags::DIRECTORY,
        dentry,
        0,
        |record| {
            path::none(from_of(record));
        },
    );
}

/// `inode_rmdir(dir, dentry)`.
#[inline(always)]
fn removed_directory(arg: impl Fn(usize) -> u64) {
    let dentry = arg(1);
    let Some(found) = watch::matching(dentry, true) else {
        return;
    };
    let inode = field!(dentry, dentry_inode);
    report(
        Verb::Rmdir,
        found,
        change_flags::DIRECTORY,
        dentry,
        inode,
        |record| {
            path::none(from_of(record));
        },
    );
}

/// `inode_mknod(dir, dentry, mode, dev)`.
#[inline(always)]
fn made_node(arg: impl Fn(usize) -> u64) {
    let dentry = arg(1);
    let Some(found) = watch::matching(dentry, false) else {
        return;
    };
    report(Verb::Mknod, found, 0, dentry, 0, |record| {
        path::none(from_of(record))
    });
}

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

/// Sends one change. `rest` fills in what differs: the old name, what is replaced.
#[inline(always)]
fn report(
    verb: Verb,
    found: Match,
    flags: u16,
    dentry: u64,
    inode: u64,
    rest: impl FnOnce(*mut ChangeRecord),
) {
    let Some(mut entry) = maps::reserve::<ChangeRecord>(&PRIORITY, Kind::Change) else {
        return;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: `record` is ours until it is submitted.
    unsafe {
        maps::head::<ChangeRecord>(&raw mut (*record).header, Kind::Change);
        task::facts(&raw mut (*record).task, kernel::current_task());
        (*record).verb = verb as u16;
        (*record).flags = flags | found.flags;
        (*record).watch_id = found.id;
        (*record).watch_depth = found.depth;
        (*record).attributes = 0;
        kernel::file_facts(&raw mut (*record).object, inode);
        kernel::file_facts(&raw mut (*record).replaced, 0);
        path::in_filesystem(&raw mut (*record).path, dentry);
    }
    if inode == 0 {
        // It does not exist yet; its directory tells the device.
        let parent: u64 = field!(dentry, dentry_parent);
        let device = kernel::device_of(field!(parent, dentry_inode));
        // SAFETY: as above.
        unsafe { (*record).object.device = device };
    }
    rest(record);
    entry.submit(0);
}

/// Where a record keeps the old name.
#[inline(always)]
fn from_of(record: *mut ChangeRecord) -> *mut whodunit_common::PathBytes<1280> {
    // SAFETY: `record` is ours until it is submitted.
    unsafe { &raw mut (*record).from }
}

#[inline(always)]
fn directory_flag(inode: u64) -> u16 {
    let mode: u16 = field!(inode, inode_mode);
    if mode & S_IFMT == 0o040_000 {
        change_flags::DIRECTORY
    } else {
        0
    }
}

#[inline(always)]
fn is_link(inode: u64) -> bool {
    let mode: u16 = field!(inode, inode_mode);
    mode & S_IFMT == 0o120_000
}
