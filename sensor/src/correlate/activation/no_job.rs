//! Starts whose job was not told: older than what is known, or lost.

use super::decide::{Decision, made, trigger};
use super::world::{Start, Unit, World};
use crate::event::{Grade, Trigger, TriggerType};

/// How long after the manager was first heard, while the host booted, a job of the boot may wait.
const BOOTING: u64 = 300_000_000_000;

/// Whether a unit has a timer, socket or path.
fn may_be_triggered(unit: &Unit) -> bool {
    let links = unit.links.as_ref();
    links.is_some_and(|links| !links.triggered_by.is_empty())
}

impl World {
    /// The start was told and no job for it.
    pub(super) fn without_job(
        &self,
        name: &str,
        unit: &Unit,
        start: &Start,
        finally: bool,
    ) -> Decision {
        // A manager that was reached just now has yet to list its jobs. Dependencies are asked for
        // after them.
        let early = !self.connected || self.booting && unit.links.is_none();
        if early && !finally {
            return Decision::Open;
        }
        made(self.by_no_job(name, unit, start))
    }

    fn by_no_job(&self, name: &str, unit: &Unit, start: &Start) -> Trigger {
        let details = start.details.as_ref().map(|details| details.unit.as_str());
        let named = details.filter(|unit| self.timers_of(name).any(|timer| timer == *unit));
        match named {
            Some(timer) => trigger(
                TriggerType::Timer,
                Some(timer),
                Grade::Hint,
                "ActivationDetails of the unit name it; they may be of an earlier start".to_owned(),
            ),
            // It is older than the connection: while the host boots most are of the boot.
            None if self.booting && self.whole(start.at) && !may_be_triggered(unit) => trigger(
                TriggerType::Boot,
                None,
                if self.is_of_boot(name, unit, start) {
                    Grade::Probable
                } else {
                    Grade::Hint
                },
                "the job is older than what is known, and the host boots".to_owned(),
            ),
            None => trigger(
                TriggerType::Unknown,
                None,
                Grade::None,
                "no job was seen".to_owned(),
            ),
        }
    }

    /// Whether nothing but the boot is known to have wanted a unit whose job was not told.
    fn is_of_boot(&self, name: &str, unit: &Unit, start: &Start) -> bool {
        let told = self.jobs.values().any(|job| job.unit == name);
        let links = unit.links.as_ref();
        let wanted =
            links.is_some_and(|links| links.bus_name.is_none() && !links.pulled_by.is_empty());
        wanted && !told && start.at.seen.saturating_sub(self.since) <= BOOTING
    }
}
