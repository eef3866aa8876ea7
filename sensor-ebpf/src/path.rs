//! Names of dentries and cgroups, leaf first.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel_str;
use whodunit_common::{COMPONENTS_MAX, MISSING, NAME_MAX, PathBytes, path_state};

use crate::kernel::{self, field, offset};

/// Begins an empty path that ends for want of room, unless [`finish`] says otherwise.
///
/// How far a walk came is kept in the record, not in a register: the verifier forgets what it
/// knows of it there, and so finds the states after the walk alike, however it ended.
#[inline(always)]
fn begin<const N: usize>(path: *mut PathBytes<N>, state: u32) {
    // SAFETY: `path` lies in a record that the caller reserved.
    unsafe {
        (*path).len = 0;
        (*path).state = state | path_state::TRUNCATED;
    }
}

/// Says how the walk ended.
#[inline(always)]
fn finish<const N: usize>(path: *mut PathBytes<N>, state: u32) {
    // SAFETY: as above.
    unsafe { (*path).state = state };
}

/// Appends the string at `name`. Says whether it did.
///
/// There is room while [`NAME_MAX`] bytes are free, so that the longest name always fits.
#[inline(always)]
fn push<const N: usize>(path: *mut PathBytes<N>, name: u64) -> bool {
    // SAFETY: `at` + NAME_MAX lies within `bytes`; the helper checks the source address.
    unsafe {
        let at = u64::from((*path).len);
        if at > (N - NAME_MAX) as u64 {
            return false;
        }
        let to = (&raw mut (*path).bytes).cast::<u8>().add(at as usize);
        let wrote = bpf_probe_read_kernel_str(to.cast(), NAME_MAX as u32, name as *const _);
        if wrote <= 0 {
            return false;
        }
        (*path).len = (at + wrote as u64) as u32;
    }
    true
}

/// The empty path.
#[inline(always)]
pub(crate) fn none<const N: usize>(path: *mut PathBytes<N>) {
    begin(path, 0);
    finish(path, path_state::UNAVAILABLE);
}

/// The path of `dentry` on mount `mnt`, up to the root of the mount namespace.
#[inline(always)]
pub(crate) fn from_mount<const N: usize>(path: *mut PathBytes<N>, mnt: u64, dentry: u64) {
    if offset!(mount_mnt) == MISSING || mnt == 0 || dentry == 0 {
        return none(path);
    }
    begin(path, 0);
    let mut dentry = dentry;
    // `mnt` is embedded in the mount: https://github.com/torvalds/linux/blob/v6.12/fs/mount.h#L39
    let mut mount = mnt - u64::from(offset!(mount_mnt));
    let mut root: u64 = field!(mnt, vfsmount_root);
    for _ in 0..COMPONENTS_MAX {
        let Dentry {
            parent,
            name,
            inode: _,
        } = self::dentry(dentry);
        if dentry == root {
            let above: u64 = field!(mount, mount_parent);
            if above == mount || above == 0 {
                finish(path, 0);
                break;
            }
            dentry = field!(mount, mount_mountpoint);
            mount = above;
            root = field!(mount + u64::from(offset!(mount_mnt)), vfsmount_root);
            continue;
        }
        if dentry == parent {
            // In no directory: a memfd, whose name is all there is.
            push(path, name);
            finish(path, 0);
            break;
        }
        if !push(path, name) {
            break;
        }
        dentry = parent;
    }
}

/// The path of `dentry` up to the root of its file system, whatever is mounted where.
#[inline(always)]
pub(crate) fn in_filesystem<const N: usize>(path: *mut PathBytes<N>, dentry: u64) {
    begin(path, path_state::IN_FILESYSTEM);
    let mut dentry = dentry;
    for _ in 0..COMPONENTS_MAX {
        let Dentry {
            parent,
            name,
            inode: _,
        } = self::dentry(dentry);
        if dentry == parent {
            finish(path, path_state::IN_FILESYSTEM);
            break;
        }
        if !push(path, name) {
            break;
        }
        dentry = parent;
    }
}

/// The kernfs names from `node` to the root.
#[inline(always)]
pub(crate) fn kernfs<const N: usize>(path: *mut PathBytes<N>, node: u64) {
    begin(path, 0);
    let mut node = node;
    for _ in 0..COMPONENTS_MAX {
        let parent: u64 = field!(node, kernfs_node_parent);
        if parent == 0 {
            finish(path, 0);
            break;
        }
        let name: u64 = field!(node, kernfs_node_name);
        if !push(path, name) {
            break;
        }
        node = parent;
    }
}

/// A plain string in kernel memory: the text of a symbolic link.
#[inline(always)]
pub(crate) fn text<const N: usize>(path: *mut PathBytes<N>, string: u64) {
    // SAFETY: the whole array may be written; the helper checks the source address.
    let wrote = unsafe {
        let to = (&raw mut (*path).bytes).cast::<u8>();
        bpf_probe_read_kernel_str(to.cast(), N as u32, string as *const _)
    };
    if wrote <= 0 {
        return none(path);
    }
    let cut = if wrote as usize == N {
        path_state::TRUNCATED
    } else {
        0
    };
    // SAFETY: as above.
    unsafe { (*path).len = wrote as u32 };
    finish(path, path_state::TEXT | cut);
}

/// What a walk needs of a dentry.
pub(crate) struct Dentry {
    pub(crate) parent: u64,
    pub(crate) name: u64,
    pub(crate) inode: u64,
}

/// Reads a dentry: in one go where parent, name and inode lie side by side, as they ever did.
#[inline(always)]
pub(crate) fn dentry(address: u64) -> Dentry {
    let at = offset!(dentry_parent);
    let together = at != MISSING
        && offset!(dentry_name) == at + 8
        && offset!(qstr_name) == 8
        && offset!(dentry_inode) == at + 24;
    if together {
        let [parent, _, name, inode] = kernel::read_at::<[u64; 4]>(address, at);
        return Dentry {
            parent,
            name,
            inode,
        };
    }
    Dentry {
        parent: field!(address, dentry_parent),
        name: dentry_name(address),
        inode: field!(address, dentry_inode),
    }
}

/// Address of a dentry's name.
#[inline(always)]
pub(crate) fn dentry_name(dentry: u64) -> u64 {
    if dentry == 0 || offset!(dentry_name) == MISSING {
        return 0;
    }
    field!(dentry + u64::from(offset!(dentry_name)), qstr_name)
}
