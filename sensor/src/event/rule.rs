//! What kind of thing a finding is.

/// A detection: all that is the same for each of its findings.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable id.
    pub id: &'static str,
    /// What happened, in a few words.
    pub title: &'static str,
    /// What an attacker may be after.
    pub techniques: &'static [Technique],
    /// Whether it is part of ATT&CK's analytic AN0645.
    pub is_analytic: bool,
    /// When it fires, and why that matters.
    pub explanation: &'static str,
    /// How severe it is, and what makes it more or less so.
    pub severity: &'static str,
    /// What a person should look at.
    pub check: &'static str,
    /// How to silence it where it is expected.
    pub silence: &'static str,
}

/// A technique of ATT&CK, version 19.
#[derive(Debug, PartialEq, Eq)]
pub struct Technique {
    /// Its id and name, as `T1053` and `Scheduled Task/Job`.
    pub technique: (&'static str, &'static str),
    /// The sub-technique's, if there is one.
    pub sub: Option<(&'static str, &'static str)>,
    /// Tactics that it serves here.
    pub tactics: &'static [(&'static str, &'static str)],
}
