//! Processes: forks keep the table, execs and exits are reported.
//!
//! A program is not run where it interrupted itself on the same CPU. Up to Linux 6.18 that could not be:
//! tracepoints do not let go of the CPU. Later ones do, and then each of these needs a spare beside
//! it, which does the work that the first was not let to:
//! <https://github.com/torvalds/linux/blob/v7.0/kernel/trace/bpf_trace.c> (`__bpf_trace_run`).

use aya_ebpf::{
    bindings::BPF_ANY, helpers::generated::bpf_probe_read_user, macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use aya_log_ebpf::debug;
use whodunit_common::{
    ARGS_MAX, ARGS_SHORT, ENV_MAX, ExecRecordOf, ExitRecord, Kind, ManagedExecRecord, ProcessEntry,
    ProcessKey, WatchKey, process_flags,
};

use crate::{
    kernel::{self, field, offset},
    maps::{self, BULK, MANAGERS, PRIORITY, PROCESSES},
    path,
    task::{self, current_tgid, start_of},
};

/// Called by the parent, before the child runs for the first time:
/// <https://github.com/torvalds/linux/blob/v6.12/kernel/fork.c#L2770>.
#[btf_tracepoint(function = "sched_process_fork")]
pub(crate) fn process_fork(ctx: BtfTracePointContext) -> i32 {
    let parent: u64 = ctx.arg(0);
    let child: u64 = ctx.arg(1);
    forked(&ctx, parent, child);
    0
}

/// The spare of [`process_fork`].
#[btf_tracepoint(function = "sched_process_fork")]
pub(crate) fn spare_process_fork(ctx: BtfTracePointContext) -> i32 {
    let parent: u64 = ctx.arg(0);
    let child: u64 = ctx.arg(1);
    let start: u64 = field!(child, task_start_boottime);
    if task::entry(&ProcessKey::new(field!(child, task_tgid), start)).is_none() {
        forked(&ctx, parent, child);
    }
    0
}

#[inline(always)]
fn forked(ctx: &BtfTracePointContext, parent: u64, child: u64) {
    let tgid: u32 = field!(child, task_tgid);
    let pid: u32 = field!(child, task_pid);
    if pid != tgid {
        return; // a thread
    }
    let spawner = ProcessKey::new(current_tgid(), start_of(parent));
    let inherited = task::entry(&spawner).map_or(0, |entry| entry.flags);

    let mut flags = 0;
    if spawner.tgid == 1 {
        flags |= process_flags::BY_PID1 | process_flags::BY_MANAGER;
    } else if inherited & process_flags::IS_MANAGER != 0 {
        flags |= process_flags::BY_MANAGER;
    } else if inherited & process_flags::IN_EXECUTOR != 0 {
        // PrivatePIDs= makes the executor fork once more before the payload.
        let marks = process_flags::BY_PID1 | process_flags::BY_MANAGER;
        flags |= inherited & marks | process_flags::VIA_EXECUTOR | process_flags::IN_EXECUTOR;
    }
    let start = field!(child, task_start_boottime);
    let entry = ProcessEntry {
        start,
        spawner,
        flags,
        image: 0,
    };
    if PROCESSES.insert(tgid, entry, u64::from(BPF_ANY)).is_err() {
        debug!(ctx, "process {} does not fit into the table", tgid);
    }
}

/// Called once the new image is in place:
/// <https://github.com/torvalds/linux/blob/v6.12/fs/exec.c#L1794>.
#[btf_tracepoint(function = "sched_process_exec")]
pub(crate) fn process_exec(ctx: BtfTracePointContext) -> i32 {
    executed(ctx.arg(0), ctx.arg(2));
    0
}

/// The spare of [`process_exec`].
#[btf_tracepoint(function = "sched_process_exec")]
pub(crate) fn spare_process_exec(ctx: BtfTracePointContext) -> i32 {
    let current: u64 = ctx.arg(0);
    let key = ProcessKey::new(current_tgid(), start_of(current));
    let image = image_of(current);
    let told =
        |entry: ProcessEntry| entry.flags & process_flags::EXECED != 0 && entry.image == image;
    if !task::entry(&key).is_some_and(told) {
        executed(current, ctx.arg(2));
    }
    0
}

/// Which of its images a process runs.
#[inline(always)]
fn image_of(current: u64) -> u32 {
    field!(current, task_self_exec_id)
}

#[inline(always)]
fn executed(current: u64, binprm: u64) {
    let file: u64 = field!(binprm, binprm_file);
    let flags = mark_exec(current, file);
    if flags & process_flags::BY_MANAGER != 0 {
        managed_exec(current, file);
    } else if args_of(current).total() <= ARGS_SHORT as u64 {
        bulk_exec::<ARGS_SHORT>(current, file);
    } else {
        bulk_exec::<ARGS_MAX>(current, file);
    }
}

#[inline(always)]
fn bulk_exec<const ARGS: usize>(current: u64, file: u64) {
    let Some(mut entry) = maps::reserve::<ExecRecordOf<ARGS>>(&BULK, Kind::Exec) else {
        return;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: `record` is ours until it is submitted.
    let header = unsafe { &raw mut (*record).header };
    let time = maps::head::<ExecRecordOf<ARGS>>(header, Kind::Exec);
    fill(record, current, file);
    maps::submit_bulk(entry, time);
}

#[inline(always)]
fn managed_exec(current: u64, file: u64) {
    let Some(mut entry) = maps::reserve::<ManagedExecRecord>(&PRIORITY, Kind::ManagedExec) else {
        return;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: `record` is ours until it is submitted.
    unsafe {
        let exec = &raw mut (*record).exec;
        maps::head::<ManagedExecRecord>(&raw mut (*exec).header, Kind::ManagedExec);
        fill(exec, current, file);
        path::kernfs(&raw mut (*record).cgroup, task::cgroup_node(current));
        let mm: u64 = field!(current, task_mm);
        let env = Span {
            start: field!(mm, mm_env_start),
            end: field!(mm, mm_env_end),
        };
        let (total, len) = copy_user::<ENV_MAX>((&raw mut (*record).env).cast(), &env);
        (*record).env_total = total;
        (*record).env_len = len;
    }
    entry.submit(0);
}

/// Fills in all but the header.
#[inline(always)]
fn fill<const ARGS: usize>(record: *mut ExecRecordOf<ARGS>, current: u64, file: u64) {
    let fs: u64 = field!(current, task_fs);
    // SAFETY: `record` was reserved by the caller.
    unsafe {
        task::facts(&raw mut (*record).task, current);
        kernel::file_facts(&raw mut (*record).exe, field!(file, file_inode));
        from_struct_path(&raw mut (*record).exe_path, file, offset!(file_path));
        from_struct_path(&raw mut (*record).cwd, fs, offset!(fs_pwd));
        let (total, len) = copy_user::<ARGS>((&raw mut (*record).args).cast(), &args_of(current));
        (*record).args_total = total;
        (*record).args_len = len;
    }
}

/// The path in the `struct path` at `offset` of the struct at `base`.
#[inline(always)]
fn from_struct_path<const N: usize>(
    to: *mut whodunit_common::PathBytes<N>,
    base: u64,
    offset: u32,
) {
    if base == 0 || offset == whodunit_common::MISSING {
        return path::none(to);
    }
    let from = base + u64::from(offset);
    let mnt = field!(from, path_mnt);
    let dentry = field!(from, path_dentry);
    path::from_mount(to, mnt, dentry);
}

/// Address of the dentry of an open file.
#[inline(always)]
fn dentry_of(file: u64) -> u64 {
    if file == 0 || offset!(file_path) == whodunit_common::MISSING {
        return 0;
    }
    field!(file + u64::from(offset!(file_path)), path_dentry)
}

/// A stretch of user memory.
struct Span {
    start: u64,
    end: u64,
}

impl Span {
    #[inline(always)]
    fn total(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// Where the argument vector lies.
#[inline(always)]
fn args_of(current: u64) -> Span {
    let mm: u64 = field!(current, task_mm);
    Span {
        start: field!(mm, mm_arg_start),
        end: field!(mm, mm_arg_end),
    }
}

/// Copies at most `MAX` bytes of user memory. Returns how many there are and how many were had.
///
/// The pages were written by this very execve; one that was swapped out already reads as nothing.
#[inline(always)]
fn copy_user<const MAX: usize>(to: *mut u8, from: &Span) -> (u32, u32) {
    let total = from.total();
    let wanted = if total > MAX as u64 {
        MAX as u64
    } else {
        total
    };
    // SAFETY: `to` has room for MAX bytes; the helper checks the source.
    let failed =
        unsafe { bpf_probe_read_user(to.cast(), wanted as u32, from.start as *const _) } != 0;
    (total as u32, if failed { 0 } else { wanted as u32 })
}

/// Notes the exec in the table, and returns the process's flags.
#[inline(always)]
fn mark_exec(current: u64, file: u64) -> u32 {
    let name = path::dentry_name(dentry_of(file));
    let mut image = process_flags::EXECED;
    if is_systemd(name) {
        if is_manager(current, file) {
            image |= process_flags::IS_MANAGER;
        }
    } else if is_executor(name) {
        image |= process_flags::IN_EXECUTOR | process_flags::VIA_EXECUTOR;
    }
    let key = ProcessKey::new(current_tgid(), start_of(current));
    if let Some(entry) = PROCESSES.get_ptr_mut(key.tgid) {
        // SAFETY: preallocated, and only this process's own exec writes to its entry.
        unsafe {
            if task::is_same(&*entry, key.start) {
                let kept = !(process_flags::IS_MANAGER | process_flags::IN_EXECUTOR);
                (*entry).flags = (*entry).flags & kept | image;
                (*entry).image = image_of(current);
                return (*entry).flags;
            }
        }
    }
    // It was there before the probes, or it was forgotten.
    let flags = image | process_flags::SPAWNER_UNKNOWN;
    // No spawner is tgid 0. Its start repeats ours only so that the compiler does not turn a run
    // of zeroes into a memset, which BPF does not have.
    let spawner = ProcessKey::new(0, key.start);
    let entry = ProcessEntry {
        start: key.start,
        spawner,
        flags,
        image: image_of(current),
    };
    let _ = PROCESSES.insert(key.tgid, entry, u64::from(BPF_ANY));
    flags
}

/// Whether a file named `systemd` makes a manager of its process: it is PID 1's or known to the
/// agent as the one that packages install, or the process is the first of a container.
#[inline(always)]
fn is_manager(current: u64, file: u64) -> bool {
    let inode: u64 = field!(file, file_inode);
    let key = WatchKey {
        inode: field!(inode, inode_ino),
        device: kernel::device_of(inode),
        reserved: 0,
    };
    if current_tgid() == 1 {
        let _ = MANAGERS.insert(key, 1, u64::from(BPF_ANY));
        return true;
    }
    // SAFETY: values are never changed.
    unsafe { MANAGERS.get(key) }.is_some() || task::is_first_of_namespace(current)
}

/// Whether the file is named `systemd`, as every manager's is.
#[inline(always)]
fn is_systemd(name: u64) -> bool {
    kernel::read::<u64>(name) == SYSTEMD
}

/// Whether the file is named `systemd-executor`.
#[inline(always)]
fn is_executor(name: u64) -> bool {
    kernel::read::<[u64; 2]>(name) == EXECUTOR && kernel::read::<u8>(name + 16) == 0
}

const SYSTEMD: u64 = u64::from_le_bytes(*b"systemd\0");
const EXECUTOR: [u64; 2] = [
    u64::from_le_bytes(*b"systemd-"),
    u64::from_le_bytes(*b"executor"),
];

/// Called by each thread that ends; the last one, of a process that had executed something,
/// reports it.
#[btf_tracepoint(function = "sched_process_exit")]
pub(crate) fn process_exit(ctx: BtfTracePointContext) -> i32 {
    ended(ctx.arg(0));
    0
}

/// The spare of [`process_exit`].
#[btf_tracepoint(function = "sched_process_exit")]
pub(crate) fn spare_process_exit(ctx: BtfTracePointContext) -> i32 {
    ended(ctx.arg(0));
    0
}

#[inline(always)]
fn ended(current: u64) {
    let signal: u64 = field!(current, task_signal);
    // The count is lowered before the tracepoint:
    // https://github.com/torvalds/linux/blob/v6.12/kernel/exit.c#L917
    if kernel::read_at::<i32>(signal, offset!(signal_live)) != 0 {
        return;
    }
    let key = ProcessKey::new(current_tgid(), start_of(current));
    let Some(known) = PROCESSES.get_ptr_mut(key.tgid) else {
        return;
    };
    // SAFETY: preallocated, and only this process's own end and execs write to its entry.
    unsafe {
        let flags = (*known).flags;
        let told = flags & process_flags::EXECED == 0 || flags & process_flags::ENDED != 0;
        if told || !task::is_same(&*known, key.start) {
            return;
        }
        (*known).flags = flags | process_flags::ENDED;
    }
    if let Some(mut entry) = maps::reserve::<ExitRecord>(&BULK, Kind::Exit) {
        let record = entry.as_mut_ptr();
        // SAFETY: `record` is ours until it is submitted.
        let time = unsafe {
            (*record).key = key;
            (*record).status = field!(current, task_exit_code);
            (*record).reserved = 0;
            maps::head::<ExitRecord>(&raw mut (*record).header, Kind::Exit)
        };
        maps::submit_bulk(entry, time);
    }
}
