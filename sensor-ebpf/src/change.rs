//! One change, as a record.

use whodunit_common::{ChangeRecord, Kind, PathBytes, Verb, change_flags};

use crate::{
    kernel::{self, field},
    maps::{self, BULK, PRIORITY},
    path, task,
    watch::Match,
};

pub(crate) const S_IFMT: u16 = 0o170_000;
pub(crate) const S_IFREG: u16 = 0o100_000;
pub(crate) const S_IFIFO: u16 = 0o010_000;
const S_IFDIR: u16 = 0o040_000;
const S_IFLNK: u16 = 0o120_000;

/// Sends one change. `rest` fills in what differs: the old name, what is replaced.
#[inline(always)]
pub(crate) fn report(
    verb: Verb,
    found: Match,
    flags: u16,
    dentry: u64,
    inode: u64,
    rest: impl FnOnce(*mut ChangeRecord),
) {
    // A reload makes a manager read hundreds of files: they must not crowd out a change.
    let ring = if verb as u16 == Verb::Load as u16 {
        &BULK
    } else {
        &PRIORITY
    };
    let Some(mut entry) = maps::reserve::<ChangeRecord>(ring, Kind::Change) else {
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
pub(crate) fn from_of(record: *mut ChangeRecord) -> *mut PathBytes<1280> {
    // SAFETY: `record` is ours until it is submitted.
    unsafe { &raw mut (*record).from }
}

#[inline(always)]
pub(crate) fn directory_flag(inode: u64) -> u16 {
    let mode: u16 = field!(inode, inode_mode);
    if mode & S_IFMT == S_IFDIR {
        change_flags::DIRECTORY
    } else {
        0
    }
}

#[inline(always)]
pub(crate) fn is_link(inode: u64) -> bool {
    let mode: u16 = field!(inode, inode_mode);
    mode & S_IFMT == S_IFLNK
}
