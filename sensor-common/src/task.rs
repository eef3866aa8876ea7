//! The task that did what a record tells.

use crate::{ProcessKey, layout};

/// How many ancestors a record carries at most.
pub const ANCESTORS_MAX: usize = 8;

/// Facts about the acting task, taken in its own context.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TaskFacts {
    /// Its process.
    pub key: ProcessKey,
    /// Thread id.
    pub tid: u32,
    /// Real user id.
    pub uid: u32,
    /// Effective user id.
    pub euid: u32,
    /// Real group id.
    pub gid: u32,
    /// Login uid of the audit session; `u32::MAX` when unset or not kept by this kernel.
    pub auid: u32,
    /// Audit session id; `u32::MAX` when unset.
    pub session: u32,
    /// Inode number of the mount namespace; zero when unknown.
    pub mount_ns: u32,
    /// Inode number of the pid namespace; zero when unknown.
    pub pid_ns: u32,
    /// Inode number of the cgroup (v2) directory; zero when unknown.
    pub cgroup: u64,
    /// `task_struct.comm`, NUL-terminated. Set by the process itself: for display alone.
    pub comm: [u8; 16],
    /// [`crate::process_flags`].
    pub flags: u32,
    /// How many of `ancestors` are set.
    pub ancestor_count: u32,
    /// Who spawned it, who spawned that one, and so on: nearest first.
    pub ancestors: [ProcessKey; ANCESTORS_MAX],
}

layout!(TaskFacts, 16 + 8 * 4 + 8 + 16 + 8 + 16 * ANCESTORS_MAX);
