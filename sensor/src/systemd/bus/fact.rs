//! What managers say, in words of our own.

use crate::event::{Manager, Timestamp};

/// A fact with its place in the order in which its manager told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Who told it.
    pub manager: Manager,
    /// Counts up by one. A number that is left out is a fact that was lost.
    pub number: u64,
    /// When it arrived, in nanoseconds since boot.
    pub seen: u64,
    /// What was told.
    pub fact: BusFact,
}

/// The way to a manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The system bus.
    Bus,
    /// The manager's own socket, `systemd/private` in its runtime directory.
    Private,
}

impl Way {
    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bus => "the system bus",
            Self::Private => "its private socket",
        }
    }
}

/// One fact from a manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusFact {
    /// The manager can be read from now on.
    Connected {
        /// How.
        way: Way,
        /// `Manager.Version`.
        version: String,
        /// Whether the boot is not over yet.
        booting: bool,
    },
    /// The manager cannot be read, and why.
    Disconnected(String),
    /// The manager ended: nothing more will come from it.
    Gone,
    /// `Manager.UnitPath`: where it looks for units, highest priority first.
    UnitPath(Vec<String>),
    /// The manager begins (`true`) or has ended to read its unit files again.
    Reloading(bool),
    /// The state of a timer.
    Timer(TimerFact),
    /// The state of a unit.
    Unit(UnitFact),
    /// What leads to a unit and what it leads to.
    Links(UnitLinks),
    /// `Service.NRestarts`: how often it was restarted by itself since somebody started it.
    Restarts {
        /// The service.
        unit: String,
        /// How often.
        count: u32,
    },
    /// A job was queued.
    JobNew {
        /// Its number.
        job: u32,
        /// The unit it is for.
        unit: String,
        /// Whether it was there before the manager could be read.
        standing: bool,
    },
    /// A job was looked at; `None` when it had ended before that.
    JobRead {
        /// Its number.
        job: u32,
        /// What was found.
        found: Option<JobFound>,
    },
    /// A job ended.
    JobRemoved {
        /// Its number.
        job: u32,
        /// The unit it was for.
        unit: String,
    },
    /// A device is there: it is told as new, not as changed.
    UnitNew(String),
    /// A unit was unloaded.
    UnitRemoved(String),
}

/// A timer as the manager has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimerFact {
    /// Its name.
    pub timer: String,
    /// Whether this was asked for, not told: an old state then.
    pub asked: bool,
    /// When it last elapsed (`LastTriggerUSec`, `LastTriggerUSecMonotonic`).
    pub fired: Option<Timestamp>,
    /// When it elapses next, in nanoseconds since the epoch, if it counts on the calendar.
    pub next_wall: Option<u64>,
    /// When it elapses next, in nanoseconds since boot, if it counts from an event.
    pub next_boot: Option<u64>,
}

/// A unit as the manager has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitFact {
    /// Its name.
    pub unit: String,
    /// Whether this was asked for, not told.
    pub asked: bool,
    /// `ActiveState`: `active`, `activating`, `failed` …
    pub active: String,
    /// `SubState`: `running`, `waiting` …
    pub sub: String,
    /// `InvocationID` in hex.
    pub invocation: Option<String>,
    /// When it last left the state inactive, in nanoseconds since boot; 0 for never.
    pub left_inactive: u64,
    /// When it last became inactive; 0 for never.
    pub became_inactive: u64,
    /// `ActivationDetails` (252): of the first trigger since it was loaded.
    pub details: Option<Details>,
}

/// `ActivationDetails` of a job or unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// `trigger_unit`
    pub unit: String,
    /// `trigger_timer_realtime_usec`, `trigger_timer_monotonic_usec`
    pub fired: Option<Timestamp>,
    /// `trigger_path`
    pub path: Option<String>,
}

/// A job while it lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFound {
    /// `JobType`: `start`, `restart`, `stop` …
    pub kind: String,
    /// What triggered it: the outer `None` when this manager does not tell (before 252), the inner
    /// when nothing did.
    pub details: Option<Option<Details>>,
}

/// Dependencies of a unit, by what they do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitLinks {
    /// Its name.
    pub unit: String,
    /// `Triggers`
    pub triggers: Vec<String>,
    /// `TriggeredBy`
    pub triggered_by: Vec<String>,
    /// `RequiredBy`, `WantedBy`, `BoundBy`, `UpheldBy`: a job for one of these may bring one for
    /// this unit.
    pub pulled_by: Vec<String>,
    /// `PartOf`, `Requires`, `BindsTo`: when one of these is restarted, this unit is too.
    pub restarted_with: Vec<String>,
    /// `UpheldBy`
    pub upheld_by: Vec<String>,
    /// `OnFailureOf`, `OnSuccessOf` (249)
    pub handler_of: Vec<String>,
    /// `OnFailure`, `OnSuccess`
    pub handlers: Vec<String>,
    /// `Service.BusName`: the service may be started through the bus.
    pub bus_name: Option<String>,
}
