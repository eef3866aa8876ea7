//! What the kernel side saw, as owned values.

use whodunit_common::ProcessKey;

use crate::event::{Executable, FileIdentity, Tier, Verb};

/// One record.
#[derive(Clone, Debug)]
pub enum Record {
    /// A program was executed.
    Exec(Box<ExecSeen>),
    /// A process ended.
    Exit(ExitSeen),
    /// Something was done to a watched file or directory.
    Change(Box<ChangeSeen>),
    /// Bytes were sent to a manager or a bus.
    Message(Box<MessageSeen>),
    /// A manager's socket was connected to, or its FIFO opened.
    Connect(Box<ConnectSeen>),
    /// A signal was sent to a manager.
    Signal(Box<SignalSeen>),
}

impl Record {
    /// What kind it is, in a few words.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exec(_) => "an exec",
            Self::Exit(_) => "an exit",
            Self::Change(_) => "a change",
            Self::Message(_) => "a message",
            Self::Connect(_) => "a connect",
            Self::Signal(_) => "a signal",
        }
    }

    /// Nanoseconds since boot.
    #[must_use]
    pub fn time(&self) -> u64 {
        match self {
            Self::Exec(exec) => exec.time,
            Self::Exit(exit) => exit.time,
            Self::Change(change) => change.time,
            Self::Message(message) => message.time,
            Self::Connect(connect) => connect.time,
            Self::Signal(signal) => signal.time,
        }
    }
}

/// The acting task.
#[derive(Clone, Debug, Default)]
pub struct TaskSeen {
    /// Its process.
    pub key: ProcessKey,
    /// Real user id; `None` when the tier does not tell.
    pub uid: Option<u32>,
    /// Effective user id.
    pub euid: Option<u32>,
    /// Real group id.
    pub gid: Option<u32>,
    /// Login uid.
    pub auid: Option<u32>,
    /// Audit session.
    pub session: Option<u32>,
    /// Inode number of the mount namespace; zero when unknown.
    pub mount_ns: u32,
    /// Inode number of the pid namespace; zero when unknown.
    pub pid_ns: u32,
    /// Inode number of the cgroup; zero when unknown.
    pub cgroup: u64,
    /// `task_struct.comm`.
    pub comm: String,
    /// [`whodunit_common::process_flags`].
    pub flags: u32,
    /// Spawner first.
    pub ancestors: Vec<ProcessKey>,
}

/// A program was executed.
#[derive(Clone, Debug)]
pub struct ExecSeen {
    /// Nanoseconds since boot.
    pub time: u64,
    /// The process.
    pub task: TaskSeen,
    /// What it runs now.
    pub exe: Option<Executable>,
    /// Argument vector.
    pub argv: Vec<String>,
    /// Whether `argv` was cut.
    pub argv_truncated: bool,
    /// Working directory.
    pub cwd: Option<String>,
    /// What is sent of a manager's children alone.
    pub managed: Option<ManagedSeen>,
}

/// What names the unit of a manager's child.
#[derive(Clone, Debug)]
pub struct ManagedSeen {
    /// Path of its cgroup, from the root of the unified hierarchy.
    pub cgroup: Option<String>,
    /// Its environment, variables ended by NULs. May hold secrets: pick, never print.
    pub environment: Vec<u8>,
    /// Whether `environment` was cut.
    pub environment_truncated: bool,
}

/// A process ended.
#[derive(Clone, Copy, Debug)]
pub struct ExitSeen {
    /// Nanoseconds since boot.
    pub time: u64,
    /// Which.
    pub key: ProcessKey,
    /// Wait status: exit code << 8, or the signal.
    pub status: u32,
}

/// A name inside a file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathSeen {
    /// Components from the root's side, without slashes.
    pub components: Vec<String>,
    /// Whether the root's side is missing.
    pub truncated: bool,
}

/// Something was done to a watched file or directory.
#[derive(Clone, Debug)]
pub struct ChangeSeen {
    /// Nanoseconds since boot.
    pub time: u64,
    /// Who.
    pub task: TaskSeen,
    /// What.
    pub verb: Verb,
    /// [`whodunit_common::change_flags`].
    pub flags: u16,
    /// Which watched directory or file matched; zero when only a name did.
    pub watch: u32,
    /// How many components of the matching name lie below the watched directory.
    pub depth: u32,
    /// `iattr.ia_valid` of a [`Verb::Setattr`].
    pub attributes: u32,
    /// The object.
    pub object: FileIdentity,
    /// The name, up to the root of its file system.
    pub path: PathSeen,
    /// The old name of a rename or link.
    pub from: Option<PathSeen>,
    /// The text of a symbolic link.
    pub target: Option<String>,
    /// How it was seen.
    pub tier: Tier,
}

/// A connection, as seen from the one who asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SocketSeen {
    /// Address of the kernel's socket: an identity as long as the connection lasts.
    pub address: u64,
    /// Inode number of the socket; zero when unknown.
    pub inode: u64,
    /// Device and inode number of the listening socket.
    pub listener: (u32, u64),
    /// Which of [`super::Sockets`]; zero when it is known by its name alone.
    pub id: u32,
    /// [`whodunit_common::socket_flags`].
    pub flags: u32,
}

/// Bytes that were sent to a manager or a bus.
#[derive(Clone, Debug)]
pub struct MessageSeen {
    /// Nanoseconds since boot.
    pub time: u64,
    /// Who.
    pub task: TaskSeen,
    /// Where to.
    pub socket: SocketSeen,
    /// How many bytes were sent in all.
    pub total: u64,
    /// How many of them are the rest of a message that was not told.
    pub skip: u64,
    /// [`whodunit_common::message_flags`].
    pub flags: u32,
    /// The first of the bytes.
    pub data: Vec<u8>,
}

/// A manager's socket was connected to, or its FIFO opened for writing.
#[derive(Clone, Debug)]
pub struct ConnectSeen {
    /// Nanoseconds since boot.
    pub time: u64,
    /// Who.
    pub task: TaskSeen,
    /// Where to.
    pub socket: SocketSeen,
    /// Path of the listening socket, up to the root of its file system.
    pub path: PathSeen,
}

/// A signal was sent to a manager.
#[derive(Clone, Debug)]
pub struct SignalSeen {
    /// Nanoseconds since boot.
    pub time: u64,
    /// Who.
    pub task: TaskSeen,
    /// The manager.
    pub target: ProcessKey,
    /// User that the manager runs as.
    pub target_uid: Option<u32>,
    /// The signal's number.
    pub signal: u32,
}
