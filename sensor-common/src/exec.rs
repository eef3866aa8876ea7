//! A program was executed.

use crate::{FileFacts, Header, NAME_MAX, PATH_MAX, PathBytes, TaskFacts, layout};

/// Most bytes of the argument vector that are kept.
pub const ARGS_MAX: usize = 4096;
/// Most bytes of it that fit a short record: most commands are no longer, and take half the room.
pub const ARGS_SHORT: usize = 512;
/// Most bytes of the environment that are kept, for a manager's children alone.
pub const ENV_MAX: usize = 4096;
/// Room for the working directory's path.
pub const CWD_MAX: usize = 512;
/// Room for the cgroup's path.
pub const CGROUP_MAX: usize = 1024;

/// `sched_process_exec`: the new program is in place.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ExecRecordOf<const ARGS: usize> {
    /// Kind [`crate::Kind::Exec`].
    pub header: Header,
    /// The process.
    pub task: TaskFacts,
    /// The program that runs (of a script: its interpreter).
    pub exe: FileFacts,
    /// How many bytes the argument vector has in all.
    pub args_total: u32,
    /// How many bytes of it are in `args`.
    pub args_len: u32,
    /// Path of `exe` from the root of the mount namespace.
    pub exe_path: PathBytes<{ PATH_MAX + NAME_MAX }>,
    /// Working directory.
    pub cwd: PathBytes<{ CWD_MAX + NAME_MAX }>,
    /// The arguments, each ended by a NUL.
    pub args: [u8; ARGS],
}

/// An exec with room for every argument vector.
pub type ExecRecord = ExecRecordOf<ARGS_MAX>;
/// An exec with a short argument vector. [`Header::size`] tells the two apart.
pub type ShortExecRecord = ExecRecordOf<ARGS_SHORT>;

layout!(
    ExecRecord,
    16 + 208 + 32 + 8 + 8 + 1280 + 8 + 768 + ARGS_MAX
);
layout!(
    ShortExecRecord,
    size_of::<ExecRecord>() - ARGS_MAX + ARGS_SHORT
);

/// The same for a process that a manager spawned, with what names its unit.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ManagedExecRecord {
    /// Kind [`crate::Kind::ManagedExec`] in its header.
    pub exec: ExecRecord,
    /// How many bytes the environment has in all.
    pub env_total: u32,
    /// How many bytes of it are in `env`.
    pub env_len: u32,
    /// The cgroup's path: kernfs names, leaf first.
    pub cgroup: PathBytes<{ CGROUP_MAX + NAME_MAX }>,
    /// The environment, each variable ended by a NUL. Only systemd's own variables leave the agent.
    pub env: [u8; ENV_MAX],
}

layout!(
    ManagedExecRecord,
    size_of::<ExecRecord>() + 8 + 8 + 1280 + ENV_MAX
);
