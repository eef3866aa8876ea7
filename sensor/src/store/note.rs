//! What the agent has the store keep.

use std::sync::Arc;

use crate::event::{
    Actor, Change, Login, Manager, Packaging, Process, ProcessKey, RequestClass, SystemdContext,
    Timestamp, Trigger,
};
use crate::systemd::load_path::Serves;

/// One thing to keep.
#[derive(Clone, Debug)]
pub enum Note {
    /// A file changed.
    Change(Box<ChangeNote>),
    /// Somebody asked a manager to start units, or to read them anew.
    Request(Box<RequestNote>),
    /// It became known which package a changed file belongs to.
    Package(Box<PackageNote>),
    /// A finding was made that rests on changes up to this one.
    Told {
        /// Whose unit.
        manager: Manager,
        /// The unit.
        unit: String,
        /// `metadata.uid` of the newest change.
        uid: String,
    },
    /// A finding.
    Finding(Box<FindingNote>),
    /// A timer elapsed.
    Firing(FiringNote),
    /// A unit was started.
    Run(Box<RunNote>),
    /// Processes came and went.
    Lineage(LineageNote),
    /// The agent watches, as of this wall time in nanoseconds.
    Alive(u64),
    /// The agent ends, at this wall time in nanoseconds.
    Ended(u64),
}

impl Note {
    /// What it is called when it is lost.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Change(_) => "change",
            Self::Request(_) => "request",
            Self::Package(_) => "package",
            Self::Told { .. } => "told",
            Self::Finding(_) => "finding",
            Self::Firing(_) => "firing",
            Self::Run(_) => "run",
            Self::Lineage(_) => "lineage",
            Self::Alive(_) | Self::Ended(_) => "alive",
        }
    }

    /// Whether it is committed at once: the others may wait for company.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        match self {
            Self::Change(_) | Self::Package(_) | Self::Told { .. } | Self::Finding(_) => true,
            // Anybody may ask: what is only perhaps done does not keep the disk busy.
            Self::Request(request) => request.is_trusted(),
            _ => false,
        }
    }
}

/// A change of a file.
#[derive(Clone, Debug)]
pub struct ChangeNote {
    /// `metadata.uid` of its event; `None` for what was there when first looked at.
    pub uid: Option<String>,
    /// When.
    pub time: Timestamp,
    /// Whose manager reads the file.
    pub serves: Serves,
    /// What.
    pub change: Arc<Change>,
}

/// A request whose author matters for longer than until it is carried out.
#[derive(Clone, Debug)]
pub struct RequestNote {
    /// `metadata.uid` of its event.
    pub uid: String,
    /// When. Of another boot the time since boot is 0.
    pub time: Timestamp,
    /// Who was asked.
    pub manager: Manager,
    /// Who asked.
    pub by: Actor,
    /// Where the author's session comes from.
    pub login: Login,
    /// By which method, or signal: `StartUnit`, `SIGHUP`.
    pub method: String,
    /// What for.
    pub class: RequestClass,
    /// The units to start.
    pub units: Vec<String>,
}

impl RequestNote {
    /// Whether PID 1 does it without asking anybody.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.manager == Manager::System && self.by.process.euid == 0
    }
}

/// Which package the file of a change belongs to, of a change that is kept already: dpkg enters
/// files when all of them are in their places.
#[derive(Clone, Debug)]
pub struct PackageNote {
    /// `metadata.uid` of the change.
    pub change: String,
    /// Who made it.
    pub writer: Actor,
    /// What is known now.
    pub packaging: Packaging,
}

/// A finding.
#[derive(Clone, Debug)]
pub struct FindingNote {
    /// `metadata.uid`.
    pub uid: String,
    /// When, in nanoseconds since the epoch.
    pub time: u64,
    /// Stable id of the detection.
    pub code: String,
    /// OCSF `severity_id`.
    pub severity: u8,
    /// The unit it is about.
    pub unit: Option<String>,
    /// Its title.
    pub title: String,
    /// The event as OCSF.
    pub event: String,
}

/// An elapse of a timer.
#[derive(Clone, Debug)]
pub struct FiringNote {
    /// Whose timer.
    pub manager: Manager,
    /// The timer.
    pub timer: String,
    /// When.
    pub time: Timestamp,
    /// `metadata.uid` of its event.
    pub uid: String,
    /// What it starts.
    pub triggers: Vec<String>,
}

/// A start of a unit.
#[derive(Clone, Debug)]
pub struct RunNote {
    /// Whose unit.
    pub manager: Manager,
    /// The unit.
    pub unit: String,
    /// The start.
    pub invocation: Option<String>,
    /// When its first process was executed.
    pub time: Timestamp,
    /// Why.
    pub trigger: Trigger,
    /// Of a unit that another one brought: why that one was started.
    pub behind: Option<Trigger>,
    /// The first process.
    pub process: Actor,
    /// `metadata.uid` of its exec.
    pub uid: String,
}

/// How the living processes differ from what is kept.
#[derive(Clone, Debug, Default)]
pub struct LineageNote {
    /// Processes that are new or run another image, with what they descend from.
    pub live: Vec<LiveProcess>,
    /// Processes that ended.
    pub gone: Vec<ProcessKey>,
}

/// A living process.
#[derive(Clone, Debug)]
pub struct LiveProcess {
    /// The process.
    pub process: Arc<Process>,
    /// Its spawner first.
    pub ancestry: Vec<Arc<Process>>,
    /// Inode number of its cgroup.
    pub cgroup: u64,
    /// The unit it runs in.
    pub systemd: Option<Arc<SystemdContext>>,
}
