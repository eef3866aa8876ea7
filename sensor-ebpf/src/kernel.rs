//! Reading the kernel's structures.
//!
//! Addresses are plain `u64`s: every access goes through `bpf_probe_read_kernel`, so the same
//! code serves tracing, LSM and kprobe programs, and a stale pointer reads as nothing.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::{
    bpf_get_current_task, bpf_ktime_get_boot_ns, bpf_probe_read_kernel,
};
use whodunit_common::{FileFacts, MISSING, Offsets};

/// Where this kernel keeps its fields; the agent overrides it before the programs are loaded.
#[unsafe(no_mangle)]
pub(crate) static OFFSETS: Offsets = Offsets::NONE;

/// Reads a constant that the agent overrode.
#[inline(always)]
pub(crate) fn constant(value: &'static u32) -> u32 {
    // SAFETY: a reference is valid to read; volatile, because the compiler must not take the
    // value in the object for the one in the kernel.
    unsafe { core::ptr::read_volatile(value) }
}

/// The offset of a field: a constant for the verifier, since the section is frozen.
macro_rules! offset {
    ($field:ident) => {
        $crate::kernel::constant(&$crate::kernel::OFFSETS.$field)
    };
}

/// Reads the field at `offset!(field)` of the struct at `base`. Zero if the kernel lacks the field
/// or the address cannot be read.
macro_rules! field {
    ($base:expr, $field:ident) => {
        $crate::kernel::read_at($base, $crate::kernel::offset!($field))
    };
}

pub(crate) use {field, offset};

/// Types that a read may return: all bits zero is a value.
pub(crate) trait Word: Copy {}
impl Word for u8 {}
impl Word for u16 {}
impl Word for u32 {}
impl Word for i32 {}
impl Word for u64 {}
impl Word for [u32; 2] {}
impl Word for [u64; 2] {}
impl Word for [u64; 4] {}

#[inline(always)]
pub(crate) fn read_at<T: Word>(base: u64, offset: u32) -> T {
    // A missing field is known to the verifier as a constant; address 0 cannot be read.
    read(if offset == MISSING {
        0
    } else {
        base + u64::from(offset)
    })
}

/// Reads kernel memory, zeroes if that fails.
///
/// The helper itself zeroes the destination on failure, so its result needs no look:
/// <https://github.com/torvalds/linux/blob/v6.12/kernel/trace/bpf_trace.c#L218>. A branch here
/// would double the verifier's work at every read.
#[inline(always)]
pub(crate) fn read<T: Word>(address: u64) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the helper checks the address, and writes all of `value` in any case.
    unsafe {
        bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            address as *const _,
        );
        value.assume_init()
    }
}

/// Nanoseconds since boot, suspended time included.
#[inline(always)]
pub(crate) fn boot_time() -> u64 {
    // SAFETY: takes no arguments.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Address of the current `task_struct`.
#[inline(always)]
pub(crate) fn current_task() -> u64 {
    // SAFETY: takes no arguments.
    unsafe { bpf_get_current_task() }
}

/// `inode.i_sb.s_dev`.
#[inline(always)]
pub(crate) fn device_of(inode: u64) -> u32 {
    let superblock: u64 = field!(inode, inode_sb);
    field!(superblock, super_block_dev)
}

/// Fills in the identity and attributes of `inode`, or zeroes.
#[inline(always)]
pub(crate) fn file_facts(facts: *mut FileFacts, inode: u64) {
    // SAFETY: `facts` lies in a record that the caller reserved.
    unsafe {
        (*facts).inode = field!(inode, inode_ino);
        (*facts).size = field!(inode, inode_size);
        (*facts).device = device_of(inode);
        (*facts).nlink = field!(inode, inode_nlink);
        (*facts).mode = u32::from(read_at::<u16>(inode, offset!(inode_mode)));
        (*facts).uid = field!(inode, inode_uid);
    }
}
