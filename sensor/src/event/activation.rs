//! Activations: why a unit was started, and timers that elapsed.

use super::{Cause, Exec, Manager, Timestamp};

/// What caused an exec that was told before.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// `metadata.uid` of the exec's event.
    pub refers_to: String,
    /// The exec, with the final trigger.
    pub exec: Exec,
    /// The chain, oldest first.
    pub cause: Vec<Cause>,
}

/// A timer elapsed, whether or not that started something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerFired {
    /// Whose timer.
    pub manager: Manager,
    /// Its name.
    pub timer: String,
    /// When it elapses next, if that is known yet.
    pub next: Option<Timestamp>,
    /// The units it starts.
    pub triggers: Vec<String>,
    /// Whether one of them was active already: then nothing is started. `None` if not known.
    pub active: Option<bool>,
    /// What the first of them runs, by its files.
    pub command_line: Option<String>,
    /// The timer's file.
    pub file: Option<String>,
}
