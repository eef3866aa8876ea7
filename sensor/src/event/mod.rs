//! The vocabulary: what the agent knows and says, in types that no room owns alone.
//!
//! Nothing here reads a clock, a file or the kernel. Encoders in [`crate::emit`] are pure functions
//! of an [`Event`] and the [`crate::host::Host`] it was seen on.

mod activation;
mod asked;
mod change;
mod content;
mod finding;
mod health;
mod intent;
mod package;
mod posture;
mod process;
mod request;
mod rule;
mod systemd;
mod time;

pub use activation::{TimerFired, Verdict};
pub use asked::{Asked, Login, Means, OnBehalfOf, signal_name};
pub use change::{Between, Change, FileClass, FileIdentity, Tier, Unseen, Verb, is_change};
pub use content::{Content, Diff, LinkTarget, UnitSettings};
pub use finding::{Cause, CauseFile, CauseRequest, Finding, LinkKind, Related, Severity, Trait};
pub use health::{Health, LossCount};
pub use intent::Intent;
pub use package::{PackageFile, Packaging, Shipped, Transaction};
pub use posture::{Control, ControlStatus, Excepted, Posture};
pub use process::{Actor, Exec, Executable, Exit, Origin, Process, ProcessKey};
pub use request::{Protocol, Request, RequestClass, TransientCommand, TransientUnit};
pub use rule::{Rule, Technique};
pub use systemd::{Grade, Manager, SystemdContext, Trigger, TriggerType};
pub use time::Timestamp;

/// One thing to tell, with its identity in the stream.
#[derive(Clone, Debug)]
pub struct Event {
    /// Unique over all agents and runs.
    pub uid: String,
    /// Counts up by one in a run of the agent, without gaps but where loss is declared.
    pub sequence: u64,
    /// When it happened.
    pub time: Timestamp,
    /// What happened.
    pub body: Body,
}

/// What an [`Event`] is about.
#[derive(Clone, Debug)]
pub enum Body {
    /// A program was executed.
    Exec(Exec),
    /// A process ended.
    Exit(Exit),
    /// What caused an exec that was told before.
    Verdict(Box<Verdict>),
    /// A timer elapsed.
    TimerFired(Box<TimerFired>),
    /// Something was done to a watched file or directory.
    Change(Change),
    /// Somebody asked a manager for something.
    Asked(Box<Asked>),
    /// A verdict worth a person's time.
    Finding(Box<Finding>),
    /// A result of a scan.
    Posture(Box<Posture>),
    /// How a published control stands on the host, by a scan.
    Control(Box<Control>),
    /// The agent speaks about itself: loss, gaps, start and end.
    Health(Health),
}
