//! Units that bring others: by their jobs, their ends, or by beginning to run.

use super::decide::{Decision, Judgement, SOON, made, trigger};
use super::world::{Job, JobRead, Start, World};
use crate::event::{Grade, Trigger, TriggerType};
use crate::systemd::bus::UnitLinks;

/// Jobs of one transaction have numbers and arrive close together.
const TOGETHER: u64 = 1_000_000_000;
const TOGETHER_MAX: u32 = 512;

impl World {
    /// A socket with `Accept=yes` makes an instance of its template for each connection, numbered.
    pub(super) fn accepting(&self, name: &str) -> Option<Trigger> {
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
    pub(super) fn unasked<'a>(
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
    pub(super) fn stirred(&self, name: &str, job: &Job, start: Option<&Start>) -> bool {
        let stirred = self.units.get(name).and_then(|unit| unit.stirred);
        stirred.is_some_and(|at| {
            let previous = start.and_then(|start| start.previous);
            at.number < job.at.number
                && job.at.seen.saturating_sub(at.seen) <= SOON
                && previous.is_none_or(|previous| previous.number < at.number)
        })
    }

    /// The unit whose start or end brought the job.
    pub(super) fn by_dependency(
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
}
