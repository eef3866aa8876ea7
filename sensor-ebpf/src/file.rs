//! Files and names that are made, written, moved and removed.

use aya_ebpf::{
    macros::{fentry, kprobe, lsm},
    programs::{FEntryContext, LsmContext, ProbeContext},
};
use whodunit_common::{MISSING, Verb, change_flags};

use crate::{
    change::{S_IFIFO, S_IFMT, S_IFREG, directory_flag, from_of, is_link, report},
    hook::{function, hook},
    kernel::{self, field, offset},
    manager, path, request, watch,
};

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
function!("__fput", closed, fentry_fput, kprobe_fput);
function!(
    "vfs_create",
    made_1,
    fentry_vfs_create_1,
    kprobe_vfs_create_1
);
function!(
    "vfs_create",
    made_2,
    fentry_vfs_create_2,
    kprobe_vfs_create_2
);

/// `FMODE_WRITE` and `FMODE_CREATED`: <https://github.com/torvalds/linux/blob/v6.12/include/linux/fs.h#L108>.
const FMODE_WRITE: u32 = 1 << 1;
const FMODE_CREATED: u32 = 1 << 20;
const O_TRUNC: u32 = 0o1000;

/// `file_open(file)`. Runs at every open on the host: reading must leave at once.
#[inline(always)]
fn opened(arg: impl Fn(usize) -> u64) {
    let file = arg(0);
    let mode: u32 = field!(file, file_mode);
    if mode & FMODE_WRITE == 0 {
        if manager::is_manager() {
            manager::loaded(file);
        }
        return;
    }
    let Some((dentry, inode)) = regular(file) else {
        return fifo(file);
    };
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
        path::none(from_of(record));
    });
}

/// The dentry and inode of an open regular file.
#[inline(always)]
pub(crate) fn regular(file: u64) -> Option<(u64, u64)> {
    let inode: u64 = field!(file, file_inode);
    let kind: u16 = field!(inode, inode_mode);
    if kind & S_IFMT != S_IFREG || offset!(file_path) == MISSING {
        return None;
    }
    let dentry: u64 = field!(file + u64::from(offset!(file_path)), path_dentry);
    Some((own_dentry(dentry, inode), inode))
}

/// The dentry by which an inode lies in its own file system.
///
/// Before 6.7 overlayfs opens the file behind one of its own by the path of the merged view:
/// <https://github.com/torvalds/linux/commit/def3ae83da02>. That dentry has another inode.
#[inline(always)]
fn own_dentry(dentry: u64, inode: u64) -> u64 {
    let named: u64 = field!(dentry, dentry_inode);
    let alias: u64 = field!(inode, inode_dentries);
    if named == inode || alias == 0 || offset!(dentry_alias) == MISSING {
        return dentry;
    }
    alias - u64::from(offset!(dentry_alias))
}

/// A FIFO is opened for writing.
#[inline(always)]
fn fifo(file: u64) {
    let inode: u64 = field!(file, file_inode);
    let kind: u16 = field!(inode, inode_mode);
    if kind & S_IFMT != S_IFIFO || offset!(file_path) == MISSING {
        return;
    }
    let dentry: u64 = field!(file + u64::from(offset!(file_path)), path_dentry);
    request::fifo_opened(dentry, inode);
}

/// `__fput(file)`: the last reference is gone; the dentry is not yet.
#[inline(always)]
fn closed(arg: impl Fn(usize) -> u64) {
    let file = arg(0);
    let mode: u32 = field!(file, file_mode);
    if mode & FMODE_WRITE == 0 {
        return;
    }
    let Some((dentry, inode)) = regular(file) else {
        return;
    };
    let Some(found) = watch::matching(dentry, false) else {
        return;
    };
    report(Verb::Closed, found, 0, dentry, inode, |record| {
        path::none(from_of(record));
    });
}

/// `vfs_create`, by which mknod(2) makes regular files; open(2) goes another way. The dentry is
/// the second argument, or the third.
#[inline(always)]
fn made_1(arg: impl Fn(usize) -> u64) {
    made_empty(arg(1));
}

#[inline(always)]
fn made_2(arg: impl Fn(usize) -> u64) {
    made_empty(arg(2));
}

#[inline(always)]
fn made_empty(dentry: u64) {
    let Some(found) = watch::matching(dentry, false) else {
        return;
    };
    report(Verb::Mknod, found, 0, dentry, 0, |record| {
        path::none(from_of(record));
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
    let (found, side) = match watch::matching(new, false) {
        Some(found) => (found, 0),
        // Another name for a unit file, by which it can be written to later.
        None => match watch::matching(old, false) {
            Some(found) => (found, change_flags::MATCHED_FROM),
            None => return,
        },
    };
    let inode = field!(old, dentry_inode);
    report(Verb::Link, found, side, new, inode, |record| {
        path::in_filesystem(from_of(record), old);
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
        path::text(from_of(record), text);
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
        path::none(from_of(record));
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
        path::none(from_of(record));
    });
}
