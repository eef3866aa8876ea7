//! The identity of a process, and what the kernel side remembers of it.

use crate::layout;

/// The identity of a process. A bare pid never is one: pids are used again.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessKey {
    /// When the thread group's leader was forked: nanoseconds since boot
    /// (`task_struct.start_boottime`). Zero when unknown.
    pub start: u64,
    /// Thread group id in the initial pid namespace.
    pub tgid: u32,
    /// Always zero: keeps the layout free of padding.
    pub reserved: u32,
}

impl ProcessKey {
    /// The key of process `tgid` that started at `start` nanoseconds since boot.
    #[must_use]
    pub const fn new(tgid: u32, start: u64) -> Self {
        Self {
            start,
            tgid,
            reserved: 0,
        }
    }

    /// Whether the start time is known, without which this is only a pid.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.start != 0
    }
}

layout!(ProcessKey, 16);

/// What [`ProcessEntry::flags`] and [`crate::TaskFacts::flags`] say of a process.
pub mod process_flags {
    /// PID 1 forked it, by its own call.
    pub const BY_PID1: u32 = 1 << 0;
    /// A manager forked it: PID 1 or another systemd that runs units.
    pub const BY_MANAGER: u32 = 1 << 1;
    /// It runs a manager's program, so its children may be units' processes: `systemd`, with the
    /// identity of PID 1's or of the one installed, or as the first process of a container.
    pub const IS_MANAGER: u32 = 1 << 2;
    /// It now runs systemd-executor, between the manager and the payload.
    pub const IN_EXECUTOR: u32 = 1 << 3;
    /// The manager's mark was carried over systemd-executor (an exec or one fork).
    pub const VIA_EXECUTOR: u32 = 1 << 4;
    /// It executed a program since it was forked.
    pub const EXECED: u32 = 1 << 5;
    /// Seen for the first time at an exec: who forked it is not known to the kernel side.
    pub const SPAWNER_UNKNOWN: u32 = 1 << 6;
    /// The agent entered it from procfs: its start is rounded down to [`super::SEED_TICK`], and
    /// its spawner is the parent it has now.
    pub const SEEDED: u32 = 1 << 7;
    /// It is the agent: signals to it are told.
    pub const IS_AGENT: u32 = 1 << 8;
    /// Its end was told.
    pub const ENDED: u32 = 1 << 9;
}

/// Length of a clock tick, in nanoseconds: `USER_HZ` is 100 on every architecture that runs BPF.
pub const SEED_TICK: u64 = 10_000_000;

/// Value of the kernel's process table, whose key is the tgid.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessEntry {
    /// Start time of the process this entry is about: with the map's key, its [`ProcessKey`].
    pub start: u64,
    /// Who called fork or clone for it.
    pub spawner: ProcessKey,
    /// [`process_flags`].
    pub flags: u32,
    /// Which image was told last: the lower half of `task_struct.self_exec_id`. Zero before the first.
    pub image: u32,
}

layout!(ProcessEntry, 32);
