//! Why a unit was started: the procedure of decision.
//!
//! What PID 1 wrote into the job, or into the unit by its first trigger, and what adds up without
//! a gap is certain. What fits is probable. What is left when nothing fits is a request.

use super::world::{At, Job, JobRead, Start, Unit, World};
use crate::event::{Grade, Trigger, TriggerType};
use crate::systemd::bus::UnitLinks;

/// How long after a unit stirred, or ended, the job that it led to may be told, in nanoseconds.
pub(super) const SOON: u64 = 1_000_000_000;
/// Longest chain of units that is followed.
const DEPTH_MAX: usize = 4;

/// What a start rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Why the unit was started.
    pub trigger: Trigger,
    /// Of a dependency: why the unit was started that brought it.
    pub behind: Option<Trigger>,
    /// The unit that was started, where it is another than the one whose group the process is in:
    /// before 255 what a service with `PAMName=` runs is in the scope of its session.
    pub started: Option<String>,
}

impl Judgement {
    /// Of an exec for which there is no room to wait for facts.
    #[must_use]
    pub fn without_room(hint: Option<Trigger>) -> Self {
        let why = "too many processes wait for their verdict".to_owned();
        Self {
            trigger: hint.unwrap_or_else(|| trigger(TriggerType::Unknown, None, Grade::None, why)),
            behind: None,
            started: None,
        }
    }
}

/// A decision, or that an answer is still on its way.
pub(super) enum Decision {
    Made(Judgement),
    Open,
}

/// Words a trigger.
pub(super) fn trigger(kind: TriggerType, unit: Option<&str>, grade: Grade, why: String) -> Trigger {
    Trigger {
        kind,
        unit: unit.map(str::to_owned),
        fired_at: None,
        grade,
        evidence: vec![why],
    }
}

/// A decision with nothing behind it.
pub(super) fn made(trigger: Trigger) -> Decision {
    Decision::Made(Judgement {
        trigger,
        behind: None,
        started: None,
    })
}

/// What a unit is as a trigger, by its name.
pub(super) fn kind_of(unit: &str) -> TriggerType {
    match unit.rsplit_once('.') {
        Some((_, "timer")) => TriggerType::Timer,
        Some((_, "path")) => TriggerType::Path,
        Some((_, "socket")) => TriggerType::Socket,
        _ => TriggerType::Dependency,
    }
}

impl World {
    /// The trigger of a start of `unit`. `finally` when no answer is waited for any more.
    pub(super) fn decide(&self, name: &str, start: &Start, finally: bool) -> Decision {
        let Some(unit) = self.units.get(name) else {
            return Decision::Open;
        };
        if start.restarts.is_some_and(|(count, _)| count > 0) || start.anew {
            return made(self.restarted(name, start));
        }
        let job = self.job_of(name, start);
        if let Some(trigger) = self.by_unit_details(start, job) {
            return made(trigger);
        }
        let Some((id, job)) = job else {
            return self.without_job(name, unit, start, finally);
        };
        self.by_job(name, unit, (id, job), Some(start), finally, DEPTH_MAX)
    }

    /// The job that started a unit: the newest that was known then and starts something. A job that
    /// stops the unit may follow at once.
    fn job_of(&self, name: &str, start: &Start) -> Option<(u32, &Job)> {
        let newest = start.job?;
        let starts = |job: &Job| match &job.read {
            JobRead::Found(found) => !matches!(found.kind.as_str(), "stop" | "reload"),
            JobRead::Waiting | JobRead::Gone => true,
        };
        if let Some(job) = self.jobs.get(&newest).filter(|job| starts(job)) {
            return Some((newest, job));
        }
        let after = start.previous.map_or(0, |previous| previous.number);
        let of_unit = self.jobs.iter().filter(|(id, job)| {
            **id < newest && job.unit == name && job.at.number > after && starts(job)
        });
        let (id, job) = of_unit.max_by_key(|(id, _)| **id)?;
        Some((*id, job))
    }

    /// Whether nothing but the trigger that a job names can have queued it.
    pub(super) fn is_proof(&self, job: &Job) -> bool {
        !job.standing && self.whole(job.at)
    }

    /// Whether nothing was lost since.
    pub(super) fn whole(&self, since: At) -> bool {
        since.number >= self.whole_from
    }

    fn grade(&self, since: At, best: Grade) -> Grade {
        if self.whole(since) {
            best
        } else {
            best.min(Grade::Probable)
        }
    }

    /// Without its count a restart cannot be told from a start.
    pub(super) fn is_no_restart(&self, start: &Start) -> bool {
        start
            .restarts
            .is_some_and(|(count, at)| count == 0 && self.whole(at))
    }

    fn restarted(&self, name: &str, start: &Start) -> Trigger {
        let why = match start.restarts {
            Some((count, _)) if count > 0 => {
                format!("NRestarts is {count}: the manager restarted it")
            }
            _ => "a new invocation without having been inactive".to_owned(),
        };
        trigger(
            TriggerType::Restart,
            Some(name),
            self.grade(start.at, Grade::Probable),
            why,
        )
    }

    pub(super) fn by_job(
        &self,
        name: &str,
        unit: &Unit,
        (id, job): (u32, &Job),
        start: Option<&Start>,
        finally: bool,
        depth: usize,
    ) -> Decision {
        let mut untriggered = false;
        match &job.read {
            JobRead::Waiting if !finally => return Decision::Open,
            JobRead::Waiting | JobRead::Gone => {}
            JobRead::Found(found) => match &found.details {
                Some(Some(details)) if !self.precedes(job, details) => {
                    return made(self.by_job_details(id, job, details));
                }
                of => untriggered = of.is_some(),
            },
        }
        if !untriggered && let Some(trigger) = self.by_firing(name, job, start) {
            return made(trigger);
        }
        if let Some(socket) = self.accepting(name) {
            return made(socket);
        }
        let Some(links) = &unit.links else {
            if !finally {
                return Decision::Open;
            }
            // What leads to it is not known: nothing is left out of account for sure.
            let mut found = self.by_exclusion(job, &UnitLinks::default(), untriggered);
            found.grade = found.grade.min(Grade::Hint);
            return made(found);
        };
        // A timer or path would have left its name in the job.
        let stirring = links.triggered_by.iter().find(|by| {
            !(by.ends_with(".timer") || untriggered && by.ends_with(".path"))
                && self.stirred(by, job, start)
        });
        if let Some(by) = stirring {
            let why = format!("{by} began to run right before the job");
            let kind = kind_of(by);
            return made(trigger(kind, Some(by), Grade::Probable, why));
        }
        if let Some(decision) = self.by_dependency(name, links, (id, job), finally, depth) {
            return decision;
        }
        if let Some(by) = self.unasked(links, job, start) {
            let why = format!("{by} came without a job, right before this one");
            let found = trigger(TriggerType::Dependency, Some(by), Grade::Probable, why);
            return made(found);
        }
        if self.booting && job.standing {
            let why = "the job is of the boot".to_owned();
            return made(trigger(TriggerType::Boot, None, Grade::Probable, why));
        }
        if job.standing {
            let why = "the job is older than what is known".to_owned();
            return made(trigger(TriggerType::Unknown, None, Grade::None, why));
        }
        let found = self.by_exclusion(job, links, untriggered);
        let again = start.filter(|_| found.grade == Grade::Hint && !untriggered);
        made(
            again
                .and_then(|start| again_by(links, start))
                .unwrap_or(found),
        )
    }

    /// Nothing that the manager does by itself fits.
    fn by_exclusion(&self, job: &Job, links: &UnitLinks, untriggered: bool) -> Trigger {
        if let Some(bus_name) = &links.bus_name {
            let why = format!("a job that nothing else explains, for the owner of {bus_name}");
            return trigger(TriggerType::Bus, None, Grade::Hint, why);
        }
        // A device that is there already may come to want more. A path or socket that waits and runs
        // again at once is told as running all the time; a path leaves its name in the job.
        let wanted = links.pulled_by.iter().any(|by| by.ends_with(".device"));
        let quick = links
            .triggered_by
            .iter()
            .any(|by| !(by.ends_with(".timer") || untriggered && by.ends_with(".path")));
        let grade = if self.whole(job.at) && !wanted && !quick {
            Grade::Probable
        } else {
            Grade::Hint
        };
        let mut found = trigger(
            TriggerType::Request,
            None,
            grade,
            "a job that nothing else explains".to_owned(),
        );
        if untriggered {
            found
                .evidence
                .push("the job has no ActivationDetails".to_owned());
        }
        found
    }
}

/// A path or socket that runs its unit again at once, where nobody tells that it waited in between: the
/// unit keeps the name of the first that triggered it.
fn again_by(links: &UnitLinks, start: &Start) -> Option<Trigger> {
    let by = start.details.as_ref()?.unit.as_str();
    let kind = kind_of(by);
    let leads = links.triggered_by.iter().any(|leads| leads == by);
    let why = || format!("{by} triggered an earlier start, and nothing else explains this one");
    (leads && matches!(kind, TriggerType::Path | TriggerType::Socket))
        .then(|| trigger(kind, Some(by), Grade::Hint, why()))
}
