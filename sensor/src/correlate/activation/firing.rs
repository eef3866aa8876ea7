//! Timers and paths: what the manager wrote into the job or the unit, and firings that fit.

use super::decide::{SOON, kind_of};
use super::world::{Fired, Job, Start, World};
use crate::event::{Grade, Trigger, TriggerType};
use crate::systemd::bus::Details;

/// How long after a timer elapsed the job that it queued at once may be told, in nanoseconds.
const LATE: u64 = 5_000_000_000;

impl World {
    /// Whether a job was there before a timer elapsed that then put its name on it. Units are told
    /// before jobs.
    pub(super) fn precedes(&self, job: &Job, details: &Details) -> bool {
        let firings = self.timers.get(&details.unit).into_iter().flatten();
        let Some(time) = details.fired else {
            return false;
        };
        let mut told = firings.filter(|fired| fired.time.boot == time.boot && !fired.asked);
        told.any(|fired| fired.at.number > job.at.number)
            || !job.standing && time.boot > job.at.seen
    }

    /// The unit's own details are those of the first trigger since it was loaded: of this start,
    /// if the timer fired after the unit had ended last.
    pub(super) fn by_unit_details(
        &self,
        start: &Start,
        job: Option<(u32, &Job)>,
    ) -> Option<Trigger> {
        let details = start.details.as_ref()?;
        let fired = details.fired?;
        if job.is_some_and(|(_, job)| self.precedes(job, details)) {
            return None;
        }
        let this = start.ended_before? < fired.boot && fired.boot <= start.left_inactive;
        let known = self.is_no_restart(start) && job.is_some_and(|(_, job)| self.is_proof(job));
        this.then(|| Trigger {
            kind: kind_of(&details.unit),
            unit: Some(details.unit.clone()),
            fired_at: Some(fired),
            grade: if known {
                Grade::Certain
            } else {
                Grade::Probable
            },
            evidence: vec![format!(
                "the unit's ActivationDetails name this firing of {}",
                details.unit
            )],
        })
    }

    pub(super) fn by_job_details(&self, id: u32, job: &Job, details: &Details) -> Trigger {
        let mut evidence = vec![format!(
            "ActivationDetails of job {id} name {}",
            details.unit
        )];
        evidence.extend(
            details
                .path
                .as_ref()
                .map(|path| format!("the path is {path}")),
        );
        Trigger {
            kind: kind_of(&details.unit),
            unit: Some(details.unit.clone()),
            fired_at: details.fired,
            grade: if self.is_proof(job) {
                Grade::Certain
            } else {
                Grade::Probable
            },
            evidence,
        }
    }

    /// A timer that leads to the unit and fired while it was inactive, before the job was told
    /// and after any other job for it. PID 1 tells units before jobs: who asked by a message was
    /// told of his job earlier.
    pub(super) fn by_firing(
        &self,
        name: &str,
        job: &Job,
        start: Option<&Start>,
    ) -> Option<Trigger> {
        // A timer that elapses has its job at once: the first that follows, and no other.
        let spent = |fired: &Fired| {
            let unheard = !job.standing && fired.time.boot.saturating_add(SOON) < self.since;
            let mut others = self.jobs.values().filter(|other| other.unit == name);
            unheard
                || others.any(|other| {
                    other.at.number < job.at.number
                        && if fired.asked {
                            fired.time.boot < other.at.seen && !other.standing
                        } else {
                            fired.at.number < other.at.number
                        }
                })
        };
        let fits = |fired: &&Fired| {
            let before =
                fired.at.number < job.at.number || fired.asked && fired.time.boot <= job.at.seen;
            let soon = job.standing || job.at.seen.saturating_sub(fired.time.boot) <= LATE;
            before
                && soon
                && !spent(fired)
                && match start {
                    Some(start) => {
                        fired.time.boot <= start.left_inactive
                            && start
                                .previous
                                .is_none_or(|last| last.number < fired.at.number)
                            && start.ended_before.is_none_or(|end| end <= fired.time.boot)
                    }
                    None => job.at.seen.saturating_sub(fired.time.boot) <= SOON,
                }
        };
        let mut firings: Vec<(&str, &Fired)> = self
            .timers_of(name)
            .filter_map(|timer| Some((timer, self.timers.get(timer)?.iter().rev().find(fits)?)))
            .collect();
        firings.sort_unstable_by_key(|(timer, fired)| (fired.time.boot, *timer));
        let (&(timer, fired), others) = firings.split_first()?;
        let named = start
            .and_then(|start| start.details.as_ref())
            .is_some_and(|details| details.unit == timer);
        let adds_up = start.is_some_and(|start| {
            start.ended_before.is_some()
                && self.is_no_restart(start)
                && self.whole(fired.at)
                && self.is_proof(job)
                && fired.at.number < job.at.number
        });
        let mut evidence = vec![format!("{timer} elapsed, and the job for {name} followed")];
        if named {
            evidence.push("the unit's ActivationDetails name the timer".to_owned());
        }
        let also = others
            .iter()
            .map(|(other, _)| format!("{other} elapsed too"));
        evidence.extend(also);
        let grade = if named && adds_up && others.is_empty() {
            Grade::Certain
        } else {
            Grade::Probable
        };
        Some(Trigger {
            kind: TriggerType::Timer,
            unit: Some(timer.to_owned()),
            fired_at: Some(fired.time),
            grade,
            evidence,
        })
    }
}
