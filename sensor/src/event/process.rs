//! Processes: who, by whom, with what image.

use std::sync::Arc;

use super::{Intent, SystemdContext, Timestamp};

pub use whodunit_common::ProcessKey;

/// How the agent came to know a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Its exec was seen by the kernel probe.
    Exec,
    /// It was forked while the agent watched and runs its spawner's image.
    Fork,
    /// It was there before the agent: read from procfs. Its parent may be the reaper it was
    /// given to, not who spawned it.
    Procfs,
    /// Only its key is known.
    Unknown,
}

/// The file a process executes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executable {
    /// Path from the root of the process's mount namespace, for display; identity is below.
    pub path: String,
    /// Whether the root's side of `path` is missing.
    pub truncated: bool,
    /// Device of the superblock: major << 20 | minor. Zero when unknown.
    pub device: u32,
    /// Inode number. Zero when unknown.
    pub inode: u64,
    /// Number of hard links: 0 for a deleted file or a memfd.
    pub nlink: u32,
    /// `st_mode`.
    pub mode: u32,
    /// Size in bytes.
    pub size: u64,
}

/// One process, as of its latest exec.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its identity.
    pub key: ProcessKey,
    /// Id of the boot in which it ran, if that is not this one: its key means nothing here then.
    pub boot: Option<Arc<str>>,
    /// How it is known.
    pub origin: Origin,
    /// Who called fork or clone for it; `None` when that is not known.
    pub spawner: Option<ProcessKey>,
    /// What it runs; `None` for kernel threads and unknown processes.
    pub exe: Option<Executable>,
    /// Argument vector; bytes that are not UTF-8 are replaced.
    pub argv: Vec<String>,
    /// Whether `argv` was cut.
    pub argv_truncated: bool,
    /// Working directory at the exec.
    pub cwd: Option<String>,
    /// `task_struct.comm`: set by the process itself, for display alone.
    pub comm: String,
    /// Real user id.
    pub uid: u32,
    /// Effective user id.
    pub euid: u32,
    /// Real group id.
    pub gid: u32,
    /// Name of `uid` on the host, when it has one.
    pub user: Option<Arc<str>>,
    /// Login uid; `None` when unset.
    pub auid: Option<u32>,
    /// Audit session; `None` when unset.
    pub session: Option<u32>,
    /// Path of the cgroup (v2), when it was read.
    pub cgroup: Option<String>,
    /// Inode number of the mount namespace; zero when unknown.
    pub mount_ns: u32,
    /// Inode number of the pid namespace; zero when unknown.
    pub pid_ns: u32,
    /// When it started (the fork).
    pub started: Timestamp,
    /// When it executed this image; `None` if before the agent.
    pub executed: Option<Timestamp>,
}

impl Process {
    /// Nobody in particular: something was done, and nobody saw by whom.
    #[must_use]
    pub fn unknown(now: Timestamp) -> Self {
        Self::of_key(ProcessKey::default(), None, now)
    }

    /// A process of which only the key and perhaps the spawner are known.
    #[must_use]
    pub fn of_key(key: ProcessKey, spawner: Option<ProcessKey>, started: Timestamp) -> Self {
        Self {
            key,
            boot: None,
            origin: Origin::Unknown,
            spawner,
            exe: None,
            argv: Vec::new(),
            argv_truncated: false,
            cwd: None,
            comm: String::new(),
            uid: u32::MAX,
            euid: u32::MAX,
            gid: u32::MAX,
            user: None,
            auid: None,
            session: None,
            cgroup: None,
            mount_ns: 0,
            pid_ns: 0,
            started,
            executed: None,
        }
    }

    /// The short name people know it by: the file name of its program, or its comm.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.exe {
            Some(exe) if !exe.path.is_empty() => exe.path.rsplit('/').next().unwrap_or(&exe.path),
            _ => &self.comm,
        }
    }

    /// The arguments as one line, with shell quoting where a reader would be misled without.
    #[must_use]
    pub fn command_line(&self) -> String {
        let mut line = String::new();
        for argument in &self.argv {
            if !line.is_empty() {
                line.push(' ');
            }
            let plain = !argument.is_empty()
                && argument
                    .chars()
                    .all(|c| c.is_alphanumeric() || "%+,-./:=@_^~".contains(c));
            if plain {
                line.push_str(argument);
            } else {
                line.push('\'');
                line.push_str(&argument.replace('\'', r"'\''"));
                line.push('\'');
            }
        }
        if self.argv_truncated {
            line.push_str(" …");
        }
        line
    }
}

/// A process that did something, with those it descends from.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Who did it.
    pub process: Arc<Process>,
    /// Its spawner, that one's spawner, and so on: nearest first.
    pub ancestry: Vec<Arc<Process>>,
}

/// A program was executed.
#[derive(Clone, Debug)]
pub struct Exec {
    /// The process, after the exec.
    pub process: Arc<Process>,
    /// Its spawner first, measured at fork.
    pub ancestry: Vec<Arc<Process>>,
    /// What systemd has to do with it, if it runs under a manager.
    pub systemd: Option<SystemdContext>,
    /// What it is to do, if it is one of the tools that ask a manager or schedule something.
    pub intent: Option<Box<Intent>>,
    /// Whether a verdict follows.
    pub awaited: bool,
}

/// A process ended.
#[derive(Clone, Debug)]
pub struct Exit {
    /// The process.
    pub process: Arc<Process>,
    /// Its spawner first.
    pub ancestry: Vec<Arc<Process>>,
    /// Exit code, if it ended by itself.
    pub code: Option<u32>,
    /// The signal that killed it, otherwise.
    pub signal: Option<u32>,
}
