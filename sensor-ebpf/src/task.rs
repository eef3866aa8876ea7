//! Facts about the current task.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_get_current_comm};
use whodunit_common::{
    ANCESTORS_MAX, MISSING, ProcessEntry, ProcessKey, SEED_TICK, TaskFacts, process_flags,
};

use crate::{
    kernel::{self, field, offset},
    maps::PROCESSES,
};

/// The tgid of the current task, in the initial pid namespace.
#[inline(always)]
pub(crate) fn current_tgid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// When the thread group of `task` started.
#[inline(always)]
pub(crate) fn start_of(task: u64) -> u64 {
    let leader: u64 = field!(task, task_group_leader);
    field!(leader, task_start_boottime)
}

/// What the table holds of this very process.
#[inline(always)]
pub(crate) fn entry(key: &ProcessKey) -> Option<ProcessEntry> {
    // SAFETY: preallocated; an entry that is reused meanwhile shows in its start time.
    let entry = unsafe { PROCESSES.get(key.tgid) }?;
    is_same(entry, key.start).then_some(*entry)
}

/// Whether the entry is about the process of its tgid that started at `start`.
#[inline(always)]
pub(crate) fn is_same(entry: &ProcessEntry, start: u64) -> bool {
    let seeded = entry.flags & process_flags::SEEDED != 0;
    entry.start == start || seeded && start.wrapping_sub(entry.start) < SEED_TICK
}

/// Fills in all that a record says of the current task, and its ancestors.
#[inline(always)]
pub(crate) fn facts(facts: *mut TaskFacts, task: u64) {
    let ids = bpf_get_current_pid_tgid();
    let key = ProcessKey::new((ids >> 32) as u32, start_of(task));
    let cred: u64 = field!(task, task_cred);
    // SAFETY: `facts` lies in a record that the caller reserved.
    unsafe {
        (*facts).key = key;
        (*facts).tid = ids as u32;
        (*facts).uid = or_unset(cred, offset!(cred_uid));
        (*facts).euid = or_unset(cred, offset!(cred_euid));
        (*facts).gid = or_unset(cred, offset!(cred_gid));
        (*facts).auid = or_unset(task, offset!(task_loginuid));
        (*facts).session = or_unset(task, offset!(task_sessionid));
        (*facts).mount_ns = mount_namespace(task);
        (*facts).pid_ns = pid_namespace(task);
        (*facts).cgroup = field!(cgroup_node(task), kernfs_node_id);
        bpf_get_current_comm((&raw mut (*facts).comm).cast(), 16);
    }
    ancestors(facts, &key);
}

/// Real user id of another task.
#[inline(always)]
pub(crate) fn uid_of(task: u64) -> u32 {
    or_unset(field!(task, task_cred), offset!(cred_uid))
}

/// Ids for which zero would be a lie: unset when the kernel has no such field.
#[inline(always)]
fn or_unset(base: u64, offset: u32) -> u32 {
    if offset == MISSING {
        u32::MAX
    } else {
        kernel::read_at(base, offset)
    }
}

/// Address of the kernfs node of the task's cgroup in the unified hierarchy.
#[inline(always)]
pub(crate) fn cgroup_node(task: u64) -> u64 {
    let set: u64 = field!(task, task_cgroups);
    let cgroup: u64 = field!(set, css_set_dfl_cgrp);
    field!(cgroup, cgroup_kn)
}

#[inline(always)]
fn mount_namespace(task: u64) -> u32 {
    let proxy: u64 = field!(task, task_nsproxy);
    let namespace: u64 = field!(proxy, nsproxy_mnt_ns);
    field!(namespace, mnt_namespace_inum)
}

/// The namespace the task's own pid belongs to, not the one its children will have.
#[inline(always)]
fn pid_namespace(task: u64) -> u32 {
    let namespace: u64 = field!(own_pid(task), upid_ns);
    field!(namespace, pid_namespace_inum)
}

/// Whether the task has pid 1 in its own pid namespace, as a container's manager.
#[inline(always)]
pub(crate) fn is_first_of_namespace(task: u64) -> bool {
    let number: u32 = field!(own_pid(task), upid_nr);
    number == 1
}

/// Address of the task's number in its own pid namespace; 0 where that cannot be had.
#[inline(always)]
fn own_pid(task: u64) -> u64 {
    if offset!(upid_size) == MISSING || offset!(pid_numbers) == MISSING {
        return 0;
    }
    let pid: u64 = field!(task, task_thread_pid);
    let level: u32 = field!(pid, pid_level);
    let numbers = pid + u64::from(offset!(pid_numbers));
    numbers + u64::from(level) * u64::from(offset!(upid_size))
}

/// Follows the spawners through the table. The first may be known even when its own entry is not.
#[inline(always)]
fn ancestors(facts: *mut TaskFacts, key: &ProcessKey) {
    // SAFETY: `facts` lies in a record that the caller reserved, and `index` is below the array's
    // length. The count is kept there, not in a register: see `path::begin`.
    unsafe {
        (*facts).flags = 0;
        (*facts).ancestor_count = 0;
        let Some(own) = entry(key) else { return };
        (*facts).flags = own.flags;
        let mut next = own.spawner;
        for index in 0..ANCESTORS_MAX {
            if next.tgid == 0 {
                break;
            }
            (*facts).ancestors[index] = next;
            (*facts).ancestor_count = index as u32 + 1;
            let Some(above) = entry(&next) else { break };
            next = above.spawner;
        }
    }
}
