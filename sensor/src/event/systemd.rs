//! What systemd has to do with a process.

use super::Timestamp;

/// How sure a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Nothing supports it.
    None,
    /// One fact that can be stale or forged.
    Hint,
    /// Facts that fit, none that proves.
    Probable,
    /// Proved by a fact the process concerned could not have set.
    Certain,
}

impl Grade {
    /// The word used in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Hint => "hint",
            Self::Probable => "probable",
            Self::Certain => "certain",
        }
    }
}

/// A systemd that runs units.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Manager {
    /// PID 1 of the host.
    System,
    /// `systemd --user` of this user.
    User(u32),
    /// The `systemd --user` of the capsule of this name (256 and later).
    Capsule(String),
    /// A systemd inside a container or another pid namespace: named by its cgroup.
    Container(String),
}

impl std::fmt::Display for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::User(uid) => write!(f, "user:{uid}"),
            Self::Capsule(name) => write!(f, "capsule:{name}"),
            Self::Container(cgroup) => write!(f, "container:{cgroup}"),
        }
    }
}

impl Manager {
    /// What a sentence calls it.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::System => "PID 1".to_owned(),
            Self::User(uid) => format!("the manager of user {uid}"),
            Self::Capsule(name) => format!("the manager of capsule {name}"),
            Self::Container(_) => "a manager in a container".to_owned(),
        }
    }
}

/// What made a manager start a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerType {
    /// A timer elapsed.
    Timer,
    /// A path unit saw its path.
    Path,
    /// Something came in on a socket.
    Socket,
    /// Somebody sent a message to its name on the bus.
    Bus,
    /// Somebody asked the manager for it.
    Request,
    /// The start or end of another unit brought it.
    Dependency,
    /// It ended, and the manager started it again.
    Restart,
    /// The boot.
    Boot,
    /// Not known.
    Unknown,
}

impl TriggerType {
    /// The word used in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timer => "timer",
            Self::Path => "path",
            Self::Socket => "socket",
            Self::Bus => "bus",
            Self::Request => "request",
            Self::Dependency => "dependency",
            Self::Restart => "restart",
            Self::Boot => "boot",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a unit was started, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// What kind of thing it was.
    pub kind: TriggerType,
    /// The unit that triggered.
    pub unit: Option<String>,
    /// When it fired, if that is known.
    pub fired_at: Option<Timestamp>,
    /// How sure this is.
    pub grade: Grade,
    /// The facts it rests on, each a short phrase.
    pub evidence: Vec<String>,
}

/// The unit a process runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemdContext {
    /// Which manager runs the unit.
    pub manager: Manager,
    /// Whether the manager itself forked the process (else it descends from one that was).
    pub spawned: bool,
    /// The unit, from the cgroup's path.
    pub unit: Option<String>,
    /// This start of the unit: 32 hex digits. Text from the environment.
    pub invocation_id: Option<String>,
    /// Path of the cgroup.
    pub cgroup: Option<String>,
    /// Why the unit was started.
    pub trigger: Option<Trigger>,
}
