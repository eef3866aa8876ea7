//! The trusted state of a host: what its units, and all they rest on, were when somebody said that
//! they are good. Saved by `baseline save`, compared by `baseline diff`, used by `run --baseline`.

mod diff;
mod document;
mod sign;
mod state;

pub use diff::{Difference, What, diff};
pub use document::{Document, DocumentError, read, write};
pub use sign::{KeyError, PublicKey, SecretKey};
pub use state::{FileState, State, UnitState};

use crate::event::{Finding, LinkKind, Manager};

impl State {
    /// Weighs a finding: what leads to the trusted state is a step less bad, a unit that is not in
    /// it a step worse.
    pub fn weigh(&self, finding: &mut Finding) {
        let Some(context) = &finding.systemd else {
            return;
        };
        let Some(unit) = context.unit.as_deref() else {
            return;
        };
        if !self.knows(&context.manager, unit) {
            finding.severity = finding.severity.up();
            finding
                .message
                .push_str("; the unit is not in the baseline");
            return;
        }
        let mut files = finding
            .cause
            .iter()
            .filter(|link| matches!(link.link, LinkKind::Wrote | LinkKind::Linked))
            .map(|link| (link.link, link.file.as_ref()))
            .peekable();
        let any = files.peek().is_some();
        let same = files.all(|(link, file)| {
            let known = file.and_then(|file| Some((self.files.get(&file.path)?, file)));
            known.is_some_and(|(known, file)| match link {
                LinkKind::Linked => known.link.is_some(),
                _ => known.sha256.is_some() && known.sha256 == file.sha256,
            })
        });
        if any && same {
            finding.severity = finding.severity.lowered();
            finding
                .message
                .push_str("; its files are as in the baseline");
        }
    }

    /// Whether a manager had this unit.
    fn knows(&self, manager: &Manager, unit: &str) -> bool {
        let has = |scope: &str, unit: &str| self.units.contains_key(&State::key(scope, unit));
        let known = |unit: &str| match manager {
            Manager::System => has("system", unit),
            Manager::User(uid) => {
                has("all users", unit)
                    || self
                        .users
                        .get(uid)
                        .is_some_and(|name| has(&format!("user {name}"), unit))
            }
            // What is in a capsule itself is in no baseline.
            Manager::Capsule(_) => has("all users", unit),
            Manager::Container(_) => false,
        };
        let template = crate::systemd::unit_name::UnitName::parse(unit)
            .ok()
            .and_then(|name| name.template());
        known(unit) || template.is_some_and(|template| known(template.as_str()))
    }
}

#[cfg(test)]
mod tests;
