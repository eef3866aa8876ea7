//! What the manager told of its units, timers and jobs, as far as it decides triggers.

use std::collections::{HashMap, VecDeque};

use crate::event::{Manager, Timestamp};
use crate::systemd::bus::{BusFact, Details, JobFound, TimerFact, Told, UnitFact, UnitLinks};

/// Most units, and most timers, of PID 1 that are known at a time.
const UNITS_MAX: usize = 16_384;
/// The same of each other manager: it belongs to somebody who may wish the agent ill.
const UNITS_MAX_OF_OTHERS: usize = 1024;
/// Most jobs that are known at a time; those that ended go first.
const JOBS_MAX: usize = 4096;
/// How long after a reload units are told as new that are not, in nanoseconds.
const SETTLED: u64 = 5_000_000_000;
/// How long a manager may take for its first answer, in nanoseconds: it tells of starts already.
const ANSWER: u64 = 2_000_000_000;
/// Starts of one unit that are kept: the newest.
const STARTS_MAX: usize = 8;

/// Where a fact stands among all, and when it arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct At {
    pub(super) number: u64,
    pub(super) seen: u64,
}

#[derive(Debug, Default)]
pub(super) struct Unit {
    /// The last invocation that was told.
    invocation: Option<String>,
    pub(super) active: String,
    sub: String,
    /// `NRestarts`, and when it was told.
    restarts: Option<(u32, At)>,
    pub(super) links: Option<UnitLinks>,
    /// The newest job for it.
    pub(super) job: Option<u32>,
    /// When it began to run; for sockets and paths: when something came.
    pub(super) stirred: Option<At>,
    /// When it ended or failed.
    pub(super) ended: Option<At>,
    pub(super) starts: VecDeque<Start>,
    told: bool,
    left_inactive: u64,
    pub(super) became_inactive: u64,
    touched: u64,
}

/// One start of a unit: a new invocation id.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) at: At,
    pub(super) invocation: String,
    pub(super) left_inactive: u64,
    /// When the unit had ended before that, 0 for never; `None` when it was told late, after the
    /// end of this start.
    pub(super) ended_before: Option<u64>,
    pub(super) details: Option<Details>,
    pub(super) job: Option<u32>,
    pub(super) restarts: Option<(u32, At)>,
    /// Whether the unit was not inactive in between.
    pub(super) anew: bool,
    /// The start before this one.
    pub(super) previous: Option<At>,
}

/// A firing of a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fired {
    pub(super) time: Timestamp,
    pub(super) at: At,
    /// Whether it was asked for, and so told out of its order.
    pub(super) asked: bool,
}

#[derive(Debug)]
pub(super) struct Job {
    pub(super) unit: String,
    pub(super) at: At,
    pub(super) standing: bool,
    pub(super) read: JobRead,
    removed: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum JobRead {
    Waiting,
    Gone,
    Found(JobFound),
}

#[derive(Debug, Default)]
pub(super) struct World {
    /// Most units, and most timers.
    room: usize,
    pub(super) connected: bool,
    /// Whether it is known if there is a bus.
    pub(super) heard: bool,
    pub(super) booting: bool,
    /// Whether facts came before it was told that the bus can be read.
    begun: bool,
    /// When the bus could first be read.
    pub(super) since: u64,
    /// When unit files were read again last.
    reloaded: u64,
    last: u64,
    /// The first fact after the latest loss: what is older does not add up with what is newer.
    pub(super) whole_from: u64,
    pub(super) units: HashMap<String, Unit>,
    pub(super) timers: HashMap<String, VecDeque<Fired>>,
    pub(super) jobs: HashMap<u32, Job>,
}

/// What a fact means for those who wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    Fired(TimerFact, Timestamp),
    /// Something about a unit, or about one it depends on.
    Changed,
    /// Nothing more is to come.
    Ended,
}

impl Unit {
    /// Notes a start.
    fn begin(&mut self, fact: &UnitFact, at: At) {
        let Some(invocation) = fact.invocation.clone() else {
            return;
        };
        let previous = self.starts.back();
        let anew = previous.is_some_and(|start| start.left_inactive == fact.left_inactive);
        let before = fact.became_inactive < fact.left_inactive;
        let start = Start {
            at,
            invocation,
            left_inactive: fact.left_inactive,
            ended_before: before.then_some(fact.became_inactive),
            details: fact.details.clone(),
            job: self.job,
            restarts: self.restarts,
            anew,
            previous: previous.map(|start| start.at),
        };
        if self.starts.len() >= STARTS_MAX {
            self.starts.pop_front();
        }
        self.starts.push_back(start);
    }
}

impl World {
    pub(super) fn of_manager(manager: &Manager) -> Self {
        let room = match manager {
            Manager::System => UNITS_MAX,
            _ => UNITS_MAX_OF_OTHERS,
        };
        Self {
            room,
            ..Self::default()
        }
    }

    /// Facts after all that were taken so far were lost.
    pub(super) fn lost(&mut self) {
        self.whole_from = self.last + 1;
    }

    pub(super) fn take(&mut self, told: Told) -> News {
        let Told {
            number, seen, fact, ..
        } = told;
        let at = At { number, seen };
        if number != self.last + 1 {
            self.whole_from = number.max(self.last + 1);
        }
        self.last = self.last.max(number);
        // Signals may come before the first answer.
        let about = matches!(
            fact,
            BusFact::Connected { .. } | BusFact::Disconnected(_) | BusFact::Gone
        );
        if !self.connected && !self.begun && !about {
            (self.begun, self.since, self.whole_from) = (true, seen, number);
        }
        match fact {
            BusFact::Connected { booting, .. } => {
                self.heard = true;
                if !self.connected && !self.begun {
                    (self.since, self.whole_from) = (seen, number);
                }
                self.connected = true;
                self.booting = booting;
            }
            BusFact::Disconnected(_) | BusFact::Gone => {
                self.heard = true;
                (self.connected, self.begun) = (false, false);
                self.whole_from = number;
                self.jobs.clear();
                return News::Ended;
            }
            BusFact::Reloading(_) => {
                self.reloaded = seen;
                // Dependencies may be others. Timers are asked for again at once, and one that
                // elapses meanwhile still is what it was.
                let others = self
                    .units
                    .iter_mut()
                    .filter(|(name, _)| !name.ends_with(".timer"));
                others.for_each(|(_, unit)| unit.links = None);
            }
            BusFact::UnitPath(_) => {}
            BusFact::Timer(timer) => return self.timer(timer, at),
            BusFact::Unit(fact) => self.unit(fact, at),
            BusFact::Links(links) => {
                let name = links.unit.clone();
                self.of(&name, number).links = Some(links);
            }
            BusFact::Restarts { unit, count } => {
                self.of(&unit, number).restarts = Some((count, at));
            }
            BusFact::JobNew {
                job,
                unit,
                standing,
            } => self.job(job, unit, standing, at),
            BusFact::JobRead { job, found } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.read = found.map_or(JobRead::Gone, JobRead::Found);
                }
            }
            BusFact::JobRemoved { job, unit } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.removed = true;
                }
                // A job that started nothing leaves nothing behind.
                let unit = self.of(&unit, number);
                if unit.job == Some(job) {
                    unit.job = None;
                }
            }
            // After a reload all are new.
            BusFact::UnitNew(unit) if seen.saturating_sub(self.reloaded) > SETTLED => {
                self.of(&unit, number).stirred = Some(at);
            }
            BusFact::UnitNew(_) => {}
            BusFact::UnitRemoved(unit) => {
                // What it did stays of interest; when it is loaded again, it begins anew.
                if let Some(unit) = self.units.get_mut(&unit) {
                    (unit.told, unit.invocation) = (false, None);
                    unit.active.clear();
                }
            }
        }
        News::Changed
    }

    fn of(&mut self, name: &str, number: u64) -> &mut Unit {
        if !self.units.contains_key(name) && self.units.len() >= self.room {
            let mut touched: Vec<u64> = self.units.values().map(|unit| unit.touched).collect();
            let middle = touched.len() / 2;
            let (_, &mut limit, _) = touched.select_nth_unstable(middle);
            self.units.retain(|_, unit| unit.touched > limit);
            self.whole_from = number;
        }
        let unit = self.units.entry(name.to_owned()).or_default();
        unit.touched = number;
        unit
    }

    fn timer(&mut self, fact: TimerFact, at: At) -> News {
        let first = !self.timers.contains_key(&fact.timer);
        if first && self.timers.len() >= self.room {
            self.timers.clear();
            self.whole_from = at.number;
        }
        let since = self.since;
        let firings = self.timers.entry(fact.timer.clone()).or_default();
        let Some(time) = fact.fired else {
            return News::Changed;
        };
        let last = firings.back().map(|fired| fired.time.boot);
        if last.is_some_and(|last| last >= time.boot) {
            return News::Changed;
        }
        if firings.len() >= STARTS_MAX {
            firings.pop_front();
        }
        let asked = fact.asked;
        firings.push_back(Fired { time, at, asked });
        // What elapsed before anybody listened is old.
        if first && time.boot < since {
            return News::Changed;
        }
        News::Fired(fact, time)
    }

    fn unit(&mut self, fact: UnitFact, at: At) {
        let since = self.since;
        let unit = self.of(&fact.unit, at.number);
        if fact.asked {
            // What is asked for can be ahead of what is told: only that tells starts, in order. But
            // of what runs since before anybody listened nothing else is told.
            if unit.active.is_empty() {
                let runs = matches!(fact.active.as_str(), "active" | "activating" | "reloading");
                if runs && fact.left_inactive < since && unit.starts.is_empty() {
                    unit.begin(&fact, at);
                    unit.invocation = fact.invocation;
                    (unit.left_inactive, unit.became_inactive) =
                        (fact.left_inactive, fact.became_inactive);
                }
                (unit.active, unit.sub) = (fact.active, fact.sub);
            }
            return;
        }
        // Sockets, paths and automounts run when something came; what has no job is active then.
        if fact.sub != unit.sub && matches!(fact.sub.as_str(), "running" | "plugged" | "mounted") {
            unit.stirred = Some(at);
        }
        let runs = matches!(fact.active.as_str(), "active" | "activating");
        let over = |active: &str| matches!(active, "inactive" | "failed" | "deactivating");
        let began = fact.invocation.is_some()
            && fact.invocation != unit.invocation
            && (unit.told
                || fact.left_inactive >= since
                // It was told before the first answer came.
                || runs && fact.left_inactive.saturating_add(ANSWER) >= since)
            // The id is there before the start is: that is told next.
            && (!over(&fact.active) || fact.left_inactive > unit.left_inactive);
        if over(&fact.active) && (!over(&unit.active) || began) {
            unit.ended = Some(at);
        }
        if began {
            unit.begin(&fact, at);
        }
        if began || !over(&fact.active) {
            unit.invocation = fact.invocation;
        }
        unit.told = true;
        unit.left_inactive = fact.left_inactive;
        unit.became_inactive = fact.became_inactive;
        (unit.active, unit.sub) = (fact.active, fact.sub);
    }

    fn job(&mut self, job: u32, unit: String, standing: bool, at: At) {
        // What is listed anew after a reload came while somebody listened.
        let standing = standing && self.reloaded < self.since;
        if self.jobs.len() >= JOBS_MAX {
            let oldest = self
                .jobs
                .iter()
                .min_by_key(|(job, known)| (!known.removed, **job));
            if let Some(oldest) = oldest.map(|(job, _)| *job) {
                self.jobs.remove(&oldest);
            }
        }
        self.of(&unit, at.number).job = Some(job);
        let known = Job {
            unit,
            at,
            standing,
            read: JobRead::Waiting,
            removed: false,
        };
        // One that was told is asked for again by a list of jobs.
        self.jobs.entry(job).or_insert(known);
    }

    /// Whether the unit was told to have ended: what the manager runs for it now is a new start.
    pub(super) fn is_over(&self, unit: &str) -> bool {
        let unit = self.units.get(unit);
        unit.is_some_and(|unit| matches!(unit.active.as_str(), "inactive" | "failed"))
    }

    /// The unit that was started with an invocation id.
    pub(super) fn started_as(&self, id: &str) -> Option<&String> {
        let with = |unit: &Unit| unit.starts.iter().any(|start| start.invocation == id);
        let found = self.units.iter().find(|(_, unit)| with(unit));
        found.map(|(name, _)| name)
    }

    /// The timers that lead to a unit.
    pub(super) fn timers_of<'a>(&'a self, unit: &'a str) -> impl Iterator<Item = &'a str> {
        self.timers.keys().map(String::as_str).filter(move |timer| {
            let links = self.units.get(*timer).and_then(|unit| unit.links.as_ref());
            links.is_some_and(|links| links.triggers.iter().any(|name| name == unit))
        })
    }
}
