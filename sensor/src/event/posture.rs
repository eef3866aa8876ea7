//! What a look at a host's state says: results of `scan`, and and how controls stand.

use super::{Rule, Severity};

/// One result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posture {
    /// The check.
    pub entry: &'static Rule,
    /// How bad this case is.
    pub severity: Severity,
    /// Whose manager it concerns: `system`, `user alice`; empty for what is of no manager.
    pub scope: String,
    /// The unit concerned.
    pub unit: Option<String>,
    /// The file or directory concerned.
    pub path: Option<String>,
    /// One sentence with the facts of this case.
    pub message: String,
    /// The facts, one by one.
    pub evidence: Vec<String>,
    /// A command or edit that mends it, where there is one.
    pub fix: Option<String>,
    /// Ids of the controls and mitigations that it bears on.
    pub controls: Vec<&'static str>,
    /// Who said that it is expected, and why.
    pub excepted: Option<Excepted>,
}

/// An exception of the configuration that a result is covered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excepted {
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// The last day on which it holds, UTC.
    pub expires: String,
    /// How bad the result is by itself.
    pub severity: Severity,
}

impl Posture {
    /// The same for the same case, whenever it is looked at: what a consumer can count by.
    #[must_use]
    pub fn key(&self) -> String {
        [
            self.entry.id,
            &self.scope,
            self.unit.as_deref().unwrap_or_default(),
            self.path.as_deref().unwrap_or_default(),
        ]
        .join("|")
    }
}

/// How a control stands on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ControlStatus {
    /// It holds, as far as was looked.
    Pass,
    /// That could not be found out.
    Unknown,
    /// It does not hold.
    Fail,
}

impl ControlStatus {
    /// The word used in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Unknown => "unknown",
            Self::Fail => "fail",
        }
    }
}

/// One published control, mitigation or data component, and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// Its id: `AC-3`.
    pub id: &'static str,
    /// Whose it is.
    pub framework: &'static str,
    /// Its name there.
    pub title: &'static str,
    /// What whodunit does for it.
    pub does: &'static str,
    /// How it stands.
    pub status: ControlStatus,
    /// The facts behind that.
    pub evidence: Vec<String>,
}
