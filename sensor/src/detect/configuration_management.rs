//! Tools that keep hosts as they are described elsewhere: Ansible, Puppet, Chef, Salt, cloud-init.
//!
//! They do what an intruder does, and an intruder uses them. So none is known by itself: whoever runs one
//! names its program, what starts that, and where it writes.

use std::path::Path;

use jiff::civil::Date;

use super::exception::holds_until;
use crate::event::{Actor, Cause, Finding, LinkKind, Severity, Timestamp, Trait};

/// One tool, as it is trusted on this host: what it alone did gives findings that are
/// `informational`, and say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationManagement {
    /// The executable of the one who writes and asks, or of a process that it descends from.
    pub program: String,
    /// The executable of that one's own spawner.
    pub parent: String,
    /// The directory below which the files lie.
    pub path: String,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// The last day on which it holds, UTC.
    pub expires: Date,
}

impl ConfigurationManagement {
    /// Whether it holds at a time; one without a date does not.
    #[must_use]
    pub fn holds(&self, time: Timestamp) -> bool {
        holds_until(self.expires, time)
    }

    /// Whether all that a finding rests on is this tool's: each deed is known to be by it, and each
    /// file lies where it writes.
    fn did(&self, finding: &Finding) -> bool {
        let deeds = [
            LinkKind::Wrote,
            LinkKind::Linked,
            LinkKind::Asked,
            LinkKind::Enabled,
            LinkKind::Reloaded,
        ];
        let is_deed = |link: &&Cause| deeds.contains(&link.link);
        // What a manager wrote, it was asked to: that is a link of its own.
        let mut deeds = finding
            .cause
            .iter()
            .filter(is_deed)
            .filter(|link| !super::is_by_manager(link))
            .peekable();
        let own = |link: &Cause| link.actor.as_ref().is_some_and(|actor| self.is(actor));
        let mut files = finding.cause.iter().filter_map(|link| link.file.as_ref());
        deeds.peek().is_some()
            && deeds.all(own)
            && files.all(|file| Path::new(&file.path).starts_with(&self.path))
    }

    fn is(&self, actor: &Actor) -> bool {
        let chain: Vec<_> = std::iter::once(&actor.process)
            .chain(&actor.ancestry)
            .map(|process| process.exe.as_ref().map(|exe| exe.path.as_str()))
            .collect();
        chain
            .windows(2)
            .any(|pair| pair == [Some(self.program.as_str()), Some(self.parent.as_str())])
    }
}

/// Lowers a finding that is one of these tools' work, and says by whose word.
pub(super) fn lower(tools: &[ConfigurationManagement], finding: &mut Finding, now: Timestamp) {
    let found = tools
        .iter()
        .find(|tool| tool.holds(now) && tool.did(finding));
    if let Some(tool) = found {
        finding.severity = Severity::Informational;
        finding.traits.push(Trait {
            name: "configuration-management",
            value: format!(
                "{} {}: {} (until {})",
                tool.program, tool.owner, tool.reason, tool.expires
            ),
        });
    }
}
