//! A verdict worth a person's time.

use std::sync::Arc;

use super::{Actor, Grade, Login, Process, Rule, SystemdContext, Timestamp};

/// How bad a finding is, in OCSF's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth keeping.
    Informational,
    /// Worth a look some day.
    Low,
    /// Worth a look.
    Medium,
    /// Worth a look now.
    High,
    /// Wake somebody.
    Critical,
}

impl Severity {
    /// OCSF `severity_id`.
    #[must_use]
    pub fn id(self) -> u8 {
        match self {
            Self::Informational => 1,
            Self::Low => 2,
            Self::Medium => 3,
            Self::High => 4,
            Self::Critical => 5,
        }
    }

    /// Every one, the mildest first.
    pub const ALL: [Self; 5] = [
        Self::Informational,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Critical,
    ];

    /// One step less.
    #[must_use]
    pub fn lowered(self) -> Self {
        match self {
            Self::Informational | Self::Low => Self::Informational,
            Self::Medium => Self::Low,
            Self::High => Self::Medium,
            Self::Critical => Self::High,
        }
    }

    /// One step more; [`Self::High`] is the most that weighing comes to.
    #[must_use]
    pub fn up(self) -> Self {
        match self {
            Self::Informational => Self::Low,
            Self::Low => Self::Medium,
            Self::Medium | Self::High => Self::High,
            Self::Critical => Self::Critical,
        }
    }

    /// The word used in output and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What one link of a cause says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// Somebody wrote a file the activation rests on.
    Wrote,
    /// Somebody made a link that pulls the unit in.
    Linked,
    /// Somebody asked the manager to make or start it.
    Asked,
    /// Somebody asked the manager to have it started from now on.
    Enabled,
    /// Somebody made the manager read its units anew.
    Reloaded,
    /// A timer elapsed.
    Fired,
    /// The manager started the process.
    Spawned,
}

impl LinkKind {
    /// The word used in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wrote => "wrote",
            Self::Linked => "linked",
            Self::Asked => "asked",
            Self::Enabled => "enabled",
            Self::Reloaded => "reloaded",
            Self::Fired => "fired",
            Self::Spawned => "spawned",
        }
    }
}

/// The file of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseFile {
    /// Its path on the host.
    pub path: String,
    /// SHA-256 of its content in hex, when known.
    pub sha256: Option<String>,
}

/// The request of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseRequest {
    /// What was called: a method, or a signal's name.
    pub method: String,
    /// The unit that it names, if any.
    pub unit: Option<String>,
    /// Where the author's session comes from.
    pub login: Login,
}

/// One link from a process back to those who caused it.
#[derive(Clone, Debug)]
pub struct Cause {
    /// What it says.
    pub link: LinkKind,
    /// When it happened.
    pub time: Timestamp,
    /// How sure it is.
    pub grade: Grade,
    /// Who did it.
    pub actor: Option<Actor>,
    /// The file concerned.
    pub file: Option<CauseFile>,
    /// What was asked.
    pub request: Option<CauseRequest>,
    /// The unit concerned: the timer that fired, the service that ran.
    pub unit: Option<String>,
    /// `metadata.uid` of the event that told it.
    pub event_uid: Option<String>,
}

/// An event that a finding rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// `metadata.uid` of that event.
    pub uid: String,
    /// Its OCSF `type_uid`.
    pub type_uid: u32,
}

/// A finding.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which detection it is of.
    pub rule: &'static Rule,
    /// One line that stands alone.
    pub title: String,
    /// One sentence with the facts of this case.
    pub message: String,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub grade: Grade,
    /// The process it is about.
    pub process: Arc<Process>,
    /// That process's spawner first.
    pub ancestry: Vec<Arc<Process>>,
    /// The unit it ran in.
    pub systemd: Option<SystemdContext>,
    /// The timer that leads to the unit, if there is one.
    pub timer: Option<String>,
    /// The chain, oldest first.
    pub cause: Vec<Cause>,
    /// The events it rests on.
    pub related: Vec<Related>,
    /// What its severity was weighed by.
    pub traits: Vec<Trait>,
}

/// Something that a severity was weighed by: the tunables of ATT&CK's analytic keep their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trait {
    /// Which: `TimerIntervalThreshold`, `UserContext`, `package` …
    pub name: &'static str,
    /// What it is in this case.
    pub value: String,
}

impl Trait {
    /// Of the analytic's `UserContext`: as whom a process acts.
    #[must_use]
    pub fn user_context(process: &Process) -> Self {
        Self {
            name: "UserContext",
            value: match &process.user {
                Some(user) => user.to_string(),
                None => process.euid.to_string(),
            },
        }
    }
}
