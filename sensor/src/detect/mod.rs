//! What a correlation means: findings, their words and their severity.

mod agent_tampered;
mod asked;
pub mod baseline;
pub mod catalogue;
mod changed_file;
mod changed_unit_ran;
mod command_outside_unit;
mod configuration_management;
mod environment_asked;
mod exception;
mod glob;
mod guards;
pub mod mapping;
pub mod posture;
mod settle;
mod techniques;
mod tunables;

pub use agent_tampered::{AGENT_UNIT, agent_cut_off, agent_signalled};
pub use changed_unit_ran::changed_unit_ran;
pub use command_outside_unit::{Outside, command_outside_unit};
pub use configuration_management::ConfigurationManagement;
pub use environment_asked::environment_asked;
pub use exception::{Exception, except_results};
pub use tunables::Tunables;

use crate::{
    correlate::Seen,
    event::{Asked, Cause, Finding, Process, Timestamp, Verb},
    systemd::presence::MANAGER_PROGRAMS,
};
use exception::Exceptions;
use settle::{Key, Settling};

/// Judges changes of files. Pure: time is an input.
#[derive(Debug, Default)]
pub struct Detector {
    tunables: Tunables,
    exceptions: Exceptions,
    managed: Vec<ConfigurationManagement>,
    settling: Settling,
}

impl Detector {
    /// A detector that weighs by `tunables` and lowers what `exceptions` are for.
    #[must_use]
    pub fn new(tunables: Tunables, exceptions: Vec<Exception>) -> Self {
        Self {
            tunables,
            exceptions: Exceptions::new(exceptions),
            managed: Vec::new(),
            settling: Settling::default(),
        }
    }

    /// The same, which lowers what these tools did.
    #[must_use]
    pub fn trusting(mut self, tools: Vec<ConfigurationManagement>) -> Self {
        self.managed = tools;
        self
    }

    /// Judges a change. What comes of it is told by [`Self::due`], once the file stands still.
    /// `now` is nanoseconds since boot.
    pub fn changed(&mut self, seen: &Seen, now: u64) {
        if let Some(finding) = changed_file::judge(seen, &self.tunables) {
            let key = Key {
                rule: finding.rule.id,
                path: seen.change.path.clone(),
            };
            let content = seen.change.sha256().map(str::to_owned);
            // What a mount brings is told with the mount.
            let finding = match seen.change.verb {
                Verb::Mount => self.settling.join(&key, finding, now),
                _ => Some(finding),
            };
            if let Some(finding) = finding {
                self.settling.hold(key, finding, content, now);
            }
        }
    }

    /// Judges a request. `expected`: a package manager's run that was verified sent it, or a
    /// signal was sent by a tool of systemd's own as its package shipped it. What comes of it is told by [`Self::due`].
    pub fn asked(&mut self, uid: &str, time: Timestamp, asked: &Asked, expected: bool, now: u64) {
        if let Some(finding) = asked::judge(uid, time, asked, expected) {
            let key = Key {
                rule: finding.rule.id,
                path: asked::subject(asked),
            };
            self.settling.hold_worst(key, finding, now);
        }
    }

    /// Whether a request can amount to anything: asked before more is found out about it.
    #[must_use]
    pub fn concerns(asked: &Asked) -> bool {
        asked::judge("", Timestamp::default(), asked, false).is_some()
    }

    /// The findings that are due. `now` is nanoseconds since boot.
    pub fn due(&mut self, now: u64) -> Vec<Finding> {
        self.settling.due(now)
    }

    /// Weighs a finding about a process. `None` when the tunables leave it out. `manager` is the
    /// pid of the manager that started it.
    #[must_use]
    pub fn ran(&self, finding: Finding, manager: u32) -> Option<Finding> {
        let uid = finding.process.euid;
        self.tunables
            .judges_process(manager, uid)
            .then_some(finding)
    }

    /// Lowers a finding that somebody said is expected.
    pub fn except(&mut self, finding: &mut Finding, now: Timestamp) {
        self.exceptions.apply(finding, now);
        configuration_management::lower(&self.managed, finding, now);
    }

    /// When the next finding is due, in nanoseconds since boot.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.settling.next_due()
    }
}

/// Whether a process is a manager, which does what others ask it to.
fn is_manager(process: &Process) -> bool {
    process.key.tgid == 1
        || process
            .exe
            .as_ref()
            .is_some_and(|exe| MANAGER_PROGRAMS.contains(&exe.path.as_str()))
}

/// Whether the one who did it was a manager, which does so at somebody's request.
fn is_by_manager(link: &Cause) -> bool {
    let actor = link.actor.as_ref();
    actor.is_some_and(|actor| is_manager(&actor.process))
}
