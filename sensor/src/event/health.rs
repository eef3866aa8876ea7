//! What the agent says of itself.

use serde::Serialize;

/// Records of one kind that were lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LossCount {
    /// Where: `kernel` (a ring was full), `skipped` (a program was not run: at most so many facts of a
    /// hook were missed), `decode`, `sink`.
    pub stage: &'static str,
    /// What: the record's or event's kind.
    pub kind: &'static str,
    /// How many since the last report.
    pub count: u64,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// The probes are attached and the tables are seeded.
    Started {
        /// How file changes are seen.
        file_tier: Option<super::Tier>,
        /// How many directories are watched.
        watched: usize,
        /// What this kernel keeps hidden, each a short phrase.
        blind: Vec<String>,
    },
    /// Something was lost.
    Loss(Vec<LossCount>),
    /// Something could not be seen; each a short phrase that names it.
    Gap(String),
    /// The agent ends.
    Stopped {
        /// Events written.
        events: u64,
        /// Of them findings.
        findings: u64,
        /// Records lost.
        lost: u64,
    },
}
