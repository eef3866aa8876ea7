//! Why a unit was started: the procedure of decision.
//!
//! What PID 1 wrote into the job, or into the unit by its first trigger, and what adds up without
//! a gap is certain. What fits is probable. What is left when nothing fits is a request.

use super::world::{At, Fired, Job, JobRead, Start, Unit, World};
use crate::event::{Grade, Trigger, TriggerType};
use crate::systemd::bus::{Details, UnitLinks};

/// How long after a unit stirred, or ended, the job that it led to may be told, in nanoseconds.
const SOON: u64 = 1_000_000_000;
/// How long after a timer elapsed the job that it queued at once may be told, in nanoseconds.
const LATE: u64 = 5_000_000_000;
/// Jobs of one transaction have numbers and arrive close together.
const TOGETHER: u64 = 1_000_000_000;
const TOGETHER_MAX: u32 = 512;
/// How long after the manager was first heard, while the host booted, a job of the boot may wait.
const BOOTING: u64 = 300_000_000_000;
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

fn made(trigger: Trigger) -> Decision {
    Decision::Made(Judgement {
        trigger,
        behind: None,
        started: None,
    })
}

fn kind_of(unit: &str) -> TriggerType {
    match unit.rsplit_once('.') {
        Some((_, "timer")) => TriggerType::Timer,
        Some((_, "path")) => TriggerType::Path,
        Some((_, "socket")) => TriggerType::Socket,
        _ => TriggerType::Dependency,
    }
}

/// Whether a unit has a timer, socket or path.
fn may_be_triggered(unit: &Unit) -> bool {
    let links = unit.links.as_ref();
    links.is_some_and(|links| !links.triggered_by.is_empty())
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

    /// Whether a job was there before a timer elapsed that then put its name on it. Units are told
    /// before jobs.
    fn precedes(&self, job: &Job, details: &Details) -> bool {
        let firings = self.timers.get(&details.unit).into_iter().flatten();
        let Some(time) = details.fired else {
            return false;
        };
        let mut told = firings.filter(|fired| fired.time.boot == time.boot && !fired.asked);
        told.any(|fired| fired.at.number > job.at.number)
            || !job.standing && time.boot > job.at.seen
    }

    /// Whether nothing but the trigger that a job names can have queued it.
    fn is_proof(&self, job: &Job) -> bool {
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
    fn is_no_restart(&self, start: &Start) -> bool {
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

    /// The unit's own details are those of the first trigger since it was loaded: of this start,
    /// if the timer fired after the unit had ended last.
    fn by_unit_details(&self, start: &Start, job: Option<(u32, &Job)>) -> Option<Trigger> {
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

    fn by_job(
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
        made(self.by_exclusion(job, links, untriggered))
    }

    fn by_job_details(&self, id: u32, job: &Job, details: &Details) -> Trigger {
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
    fn by_firing(&self, name: &str, job: &Job, start: Option<&Start>) -> Option<Trigger> {
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

    /// A socket with `Accept=yes` makes an instance of its template for each connection, numbered.
    fn accepting(&self, name: &str) -> Option<Trigger> {
        let (prefix, instance) = name.strip_suffix(".service")?.split_once('@')?;
        let (number, _) = instance.split_once('-')?;
        let numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let socket = format!("{prefix}.socket");
        let known = self.units.get(&socket).filter(|_| numbered)?;
        let why = format!("{socket} listens, and numbers instances by connections");
        let found = |why| trigger(TriggerType::Socket, Some(&socket), Grade::Probable, why);
        (known.active == "active").then(|| found(why))
    }

    /// A unit that came without a job of its own, as devices do, and wants this one.
    fn unasked<'a>(
        &self,
        links: &'a UnitLinks,
        job: &Job,
        start: Option<&Start>,
    ) -> Option<&'a str> {
        let asked = |by: &str| self.jobs.values().any(|other| other.unit == by);
        let mut pulling = links.pulled_by.iter().map(String::as_str);
        pulling.find(|by| self.stirred(by, job, start) && !asked(by))
    }

    /// Whether a unit began to run right before a job was told.
    fn stirred(&self, name: &str, job: &Job, start: Option<&Start>) -> bool {
        let stirred = self.units.get(name).and_then(|unit| unit.stirred);
        stirred.is_some_and(|at| {
            let previous = start.and_then(|start| start.previous);
            at.number < job.at.number
                && job.at.seen.saturating_sub(at.seen) <= SOON
                && previous.is_none_or(|previous| previous.number < at.number)
        })
    }

    /// The unit whose start or end brought the job.
    fn by_dependency(
        &self,
        name: &str,
        links: &UnitLinks,
        (id, job): (u32, &Job),
        finally: bool,
        depth: usize,
    ) -> Option<Decision> {
        let handled = self.units.iter().find(|(other, unit)| {
            let linked = links.handler_of.contains(other)
                || unit
                    .links
                    .as_ref()
                    .is_some_and(|links| links.handlers.iter().any(|handler| handler == name));
            linked
                && unit.ended.is_some_and(|at| {
                    at.number < job.at.number && job.at.seen.saturating_sub(at.seen) <= SOON
                })
        });
        if let Some((other, unit)) = handled {
            let why = format!("{other} became {} right before the job", unit.active);
            let found = trigger(TriggerType::Dependency, Some(other), Grade::Probable, why);
            return Some(made(found));
        }
        // A restart is one only until the unit has stopped: then its job is a start.
        let restarts = |by: &str, job: &Job| {
            let ended = self.units.get(by).and_then(|unit| unit.ended);
            let stopped = ended.is_some_and(|ended| ended.number > job.at.number);
            stopped
                || match &job.read {
                    JobRead::Found(found) => {
                        matches!(found.kind.as_str(), "restart" | "try-restart")
                    }
                    JobRead::Waiting | JobRead::Gone => false,
                }
        };
        let pulling = links.pulled_by.iter().map(|by| (by, false));
        let restarted = links.restarted_with.iter().map(|by| (by, true));
        let puller = pulling.chain(restarted).find_map(|(by, restarted)| {
            let other = self.jobs.iter().find(|(other_id, other)| {
                other.unit == *by
                    && (!restarted || restarts(by, other))
                    && **other_id < id
                    && id - **other_id <= TOGETHER_MAX
                    && job.at.seen.abs_diff(other.at.seen) <= TOGETHER
                    && other.standing == job.standing
            });
            other.map(|(other_id, other)| (by, *other_id, other))
        });
        if let Some((by, other_id, other)) = puller {
            if job.standing {
                return None;
            }
            let why = format!("job {other_id} for {by} brought job {id}");
            let found = trigger(TriggerType::Dependency, Some(by), Grade::Probable, why);
            let behind = match (depth.checked_sub(1), self.units.get(by.as_str())) {
                (Some(depth), Some(unit)) => {
                    match self.by_job(by, unit, (other_id, other), None, finally, depth) {
                        Decision::Open => return Some(Decision::Open),
                        Decision::Made(made) => Some(made.behind.unwrap_or(made.trigger)),
                    }
                }
                _ => None,
            };
            return Some(Decision::Made(Judgement {
                trigger: found,
                behind,
                started: None,
            }));
        }
        let upholder = links.upheld_by.iter().find(|by| {
            self.units
                .get(by.as_str())
                .is_some_and(|unit| unit.active == "active")
        });
        upholder.map(|by| {
            let why = format!("{by} upholds it");
            made(trigger(TriggerType::Dependency, Some(by), Grade::Hint, why))
        })
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

    /// The start was told and no job for it.
    fn without_job(&self, name: &str, unit: &Unit, start: &Start, finally: bool) -> Decision {
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
