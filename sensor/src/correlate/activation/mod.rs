//! Why a manager started what it started: the exec of a unit's process, joined with what the
//! manager tells of jobs, timers and units.
//!
//! The kernel tells an exec before the bus tells its reason, so a manager's child is held for a
//! while. The first exec of an invocation decides; later ones, and all that descends from them,
//! have the same trigger. No clock is read: time comes in with the facts.

mod decide;
mod firing;
mod neighbours;
mod no_job;
mod verdict;
mod world;

use std::collections::{HashMap, VecDeque};

use crate::event::{Grade, Manager, Timestamp, Trigger, TriggerType};
use crate::systemd::bus::{BusFact, Told};
use verdict::{cap, is_latest, is_of_later_start, judge};
use world::{News, World};

use decide::Decision;

pub use decide::Judgement;

/// How long an exec waits for the facts, in nanoseconds.
pub const HOLD: u64 = 1_500_000_000;
/// Most activations that wait at a time; the oldest are judged by what is there.
const HELD_MAX: usize = 2048;
/// Most processes of one activation that wait.
const MEMBERS_MAX: usize = 256;
/// Most managers that are listened to at a time.
const MANAGERS_MAX: usize = 1024;
/// Most activations whose verdict is remembered.
const JUDGED_MAX: usize = 8192;
/// By how much an exec may be seen before the time at which the manager notes the start: before
/// 255 the child runs on its own by then.
const AHEAD: u64 = 100_000_000;
/// How long another start may take to be told, when one is known that no exec has named.
const GRACE: u64 = 200_000_000;
/// How close an exec without an invocation id has to follow a start to be its own.
const CLOSE: u64 = 1_000_000_000;

/// A process that runs in a unit.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Whose unit.
    pub manager: &'a Manager,
    /// The unit.
    pub unit: &'a str,
    /// The invocation, by the environment of the manager's child it is or descends from.
    pub invocation: Option<&'a str>,
    /// Whether the manager itself forked it.
    pub spawned: bool,
    /// When it was executed, in nanoseconds since boot.
    pub time: u64,
    /// What its environment says.
    pub hint: Option<&'a Trigger>,
}

/// A timer elapsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firing {
    /// Whose timer.
    pub manager: Manager,
    /// The timer.
    pub timer: String,
    /// When.
    pub time: Timestamp,
    /// When it will again, in nanoseconds since the epoch or since boot, if that is known yet.
    pub next: Next,
    /// The units it starts.
    pub triggers: Vec<String>,
    /// Whether one of them was active already: then nothing is started. `None` where that is not
    /// known: of what runs since before anybody listened nothing is told.
    pub active: Option<bool>,
}

/// The next elapse of a timer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Next {
    /// By the calendar, in nanoseconds since the epoch.
    pub wall: Option<u64>,
    /// Counted from an event, in nanoseconds since boot.
    pub boot: Option<u64>,
}

/// What comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<H> {
    /// A timer elapsed.
    Fired(Firing),
    /// The verdict on an exec that was held.
    Judged(H, Judgement),
}

type Key = (Manager, String, Option<String>);

#[derive(Debug)]
struct Held<H> {
    due: u64,
    members: Vec<Member<H>>,
}

#[derive(Debug)]
struct Member<H> {
    time: u64,
    spawned: bool,
    hint: Option<Trigger>,
    held: H,
}

/// Activations that wait for their verdict, those that have one, and what managers told so far.
#[derive(Debug)]
pub struct Activations<H> {
    worlds: HashMap<Manager, World>,
    held: HashMap<Key, Held<H>>,
    judged: HashMap<Key, Judgement>,
    order: VecDeque<Key>,
}

impl<H> Default for Activations<H> {
    fn default() -> Self {
        Self {
            worlds: HashMap::from([(Manager::System, World::of_manager(&Manager::System))]),
            held: HashMap::new(),
            judged: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<H> Activations<H> {
    /// The verdict on an exec, if an earlier one of the same start has it already. The first of them is
    /// held, even if only for this moment: its verdict tells the cause for all.
    #[must_use]
    pub fn known(&self, seen: &Seen<'_>) -> Option<Judgement> {
        let key = key(seen);
        key.2.as_ref()?;
        if self.held.contains_key(&key) {
            return None;
        }
        let world = self.worlds.get(seen.manager);
        let mut judgement = self.judged.get(&key)?.clone();
        // An id can be forged, of an earlier start too.
        let stale = seen.spawned
            && world
                .is_some_and(|world| world.is_over(seen.unit) || is_of_later_start(world, seen));
        let latest = |world: &World| is_latest(world, seen.unit, seen.invocation);
        if seen.spawned && !world.is_some_and(latest) {
            cap(&mut judgement.trigger);
        }
        (!stale).then_some(judgement)
    }

    /// Whether the verdict on an exec can still come: [`Self::hold`] it then.
    #[must_use]
    pub fn awaits(&self, seen: &Seen<'_>) -> bool {
        self.held.contains_key(&key(seen)) || self.waits_for(seen)
    }

    fn waits_for(&self, seen: &Seen<'_>) -> bool {
        let waits = |world: &World| {
            // Of PID 1 it is not known yet, at the start, whether it will tell.
            world.connected || *seen.manager == Manager::System && !world.heard
        };
        seen.spawned && self.worlds.get(seen.manager).is_some_and(waits)
    }

    /// Holds an exec until its verdict. Gives back what there is no room for.
    pub fn hold(&mut self, seen: &Seen<'_>, held: H, out: &mut Vec<Output<H>>) -> Option<H> {
        let key = key(seen);
        let member = Member {
            time: seen.time,
            spawned: seen.spawned,
            hint: seen.hint.cloned(),
            held,
        };
        if let Some(waiting) = self.held.get_mut(&key) {
            if waiting.members.len() >= MEMBERS_MAX {
                return Some(member.held);
            }
            waiting.members.push(member);
            return None;
        }
        if self.held.len() >= HELD_MAX {
            let oldest = self.held.iter().min_by_key(|(_, held)| held.due);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.settle(&key, true, out);
            }
        }
        let waiting = Held {
            due: seen.time.saturating_add(HOLD),
            members: vec![member],
        };
        self.held.insert(key.clone(), waiting);
        self.settle(&key, false, out);
        None
    }

    /// Takes in what a manager told.
    pub fn told(&mut self, told: Told, out: &mut Vec<Output<H>>) {
        let manager = told.manager.clone();
        let gone = told.fact == BusFact::Gone;
        if !self.worlds.contains_key(&manager) && (gone || self.worlds.len() >= MANAGERS_MAX) {
            return;
        }
        let world = self
            .worlds
            .entry(manager.clone())
            .or_insert_with(|| World::of_manager(&manager));
        let news = world.take(told);
        let finally = news == News::Ended;
        if let News::Fired(timer, time) = news {
            let links = world
                .units
                .get(&timer.timer)
                .and_then(|unit| unit.links.as_ref());
            let triggers = links.map_or_else(Vec::new, |links| links.triggers.clone());
            let state = |unit: &String| {
                let state = world.units.get(unit).map(|unit| unit.active.as_str());
                let state = state.filter(|state| !state.is_empty())?;
                Some(matches!(state, "active" | "activating" | "reloading"))
            };
            let states: Vec<_> = triggers.iter().map(state).collect();
            let any = states.contains(&Some(true));
            let known = any || !states.contains(&None);
            out.push(Output::Fired(Firing {
                manager: manager.clone(),
                active: known.then_some(any),
                timer: timer.timer,
                time,
                next: Next {
                    wall: timer.next_wall.filter(|next| *next > time.wall),
                    boot: timer.next_boot.filter(|next| *next > time.boot),
                },
                triggers,
            }));
        }
        let concerned = self.held.keys().filter(|(of, ..)| *of == manager);
        for key in concerned.cloned().collect::<Vec<_>>() {
            self.settle(&key, finally, out);
        }
        if gone {
            self.worlds.remove(&manager);
        }
    }

    /// Facts that came after all that were [`Self::told`] were lost: of PID 1, or of others.
    pub fn lost(&mut self, of_system: bool) {
        for (manager, world) in &mut self.worlds {
            if (*manager == Manager::System) == of_system {
                world.lost();
            }
        }
    }

    /// Judges what has waited long enough by `now`.
    pub fn tick(&mut self, now: u64, out: &mut Vec<Output<H>>) {
        let due = self.held.iter().filter(|(_, held)| held.due <= now);
        for key in due.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.settle(&key, true, out);
        }
    }

    /// When [`Self::tick`] has something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.held.values().map(|held| held.due).min()
    }

    /// Judges an activation that waits, if that can be done now.
    fn settle(&mut self, key: &Key, finally: bool, out: &mut Vec<Output<H>>) {
        let Some(first) = self.held.get(key).and_then(|held| held.members.first()) else {
            return;
        };
        let Some(world) = self.worlds.get(&key.0) else {
            return;
        };
        let member = (first.time, first.hint.as_ref());
        let judgement = judge(world, key, member, finally)
            .and_then(|judgement| self.with_behind(&key.0, judgement, first.time, finally));
        let Some(judgement) = judgement else {
            let time = first.time;
            self.hasten(key, time);
            return;
        };
        let Some(held) = self.held.remove(key) else {
            return;
        };
        // Without an id a later process of the manager is a start of its own, perhaps.
        let mut later = Vec::new();
        let first = held.members.first().map_or(0, |member| member.time);
        for member in held.members {
            let same = key.2.is_some() || !member.spawned || member.time == first;
            if same || finally {
                out.push(Output::Judged(member.held, judgement.clone()));
            } else {
                later.push(member);
            }
        }
        if let Some(first) = later.first() {
            let due = first.time.saturating_add(HOLD);
            self.held.insert(
                key.clone(),
                Held {
                    due,
                    members: later,
                },
            );
        } else if key.2.is_some() {
            self.remember(key.clone(), judgement);
        }
    }

    /// Adds why the unit ran whose end or run brought this start, as that of `OnFailure=` does. `None` when
    /// that can still be told.
    fn with_behind(
        &self,
        manager: &Manager,
        mut judgement: Judgement,
        time: u64,
        finally: bool,
    ) -> Option<Judgement> {
        let trigger = &judgement.trigger;
        if trigger.kind != TriggerType::Dependency || judgement.behind.is_some() {
            return Some(judgement);
        }
        let Some(by) = trigger.unit.clone() else {
            return Some(judgement);
        };
        let world = self.worlds.get(manager);
        let known = world.and_then(|world| world.units.get(&by));
        let mut starts = known.into_iter().flat_map(|unit| &unit.starts).rev();
        let (Some(world), Some(start)) = (world, starts.find(|start| start.left_inactive <= time))
        else {
            return Some(judgement);
        };
        let key = (manager.clone(), by, Some(start.invocation.clone()));
        let made = match self.judged.get(&key) {
            Some(judged) => judged.clone(),
            None => match world.decide(&key.1, start, finally) {
                Decision::Made(made) => made,
                Decision::Open if finally => return Some(judgement),
                Decision::Open => return None,
            },
        };
        let mut behind = made.behind.unwrap_or(made.trigger);
        cap(&mut behind);
        judgement.behind = (behind.grade > Grade::None).then_some(behind);
        Some(judgement)
    }

    /// Does not let an exec wait long whose environment names a start that nobody told of, when one
    /// was told that no exec named: it is of that one, by all that is known.
    fn hasten(&mut self, (manager, unit, named): &Key, time: u64) {
        let world = self.worlds.get(manager);
        let known = world.and_then(|world| world.units.get(unit));
        let mut starts = known.into_iter().flat_map(|unit| &unit.starts).rev();
        let near = starts.find(|start| start.left_inactive <= time.saturating_add(AHEAD));
        let near = near.filter(|near| {
            time.saturating_sub(near.left_inactive) <= CLOSE
                && named.as_ref() != Some(&near.invocation)
        });
        let Some(near) = near else { return };
        let own = (manager.clone(), unit.clone(), Some(near.invocation.clone()));
        if self.judged.contains_key(&own) || self.held.contains_key(&own) {
            return;
        }
        let key = (manager.clone(), unit.clone(), named.clone());
        if let Some(held) = self.held.get_mut(&key) {
            held.due = held.due.min(near.at.seen.saturating_add(GRACE));
        }
    }

    /// Takes in the verdict on an activation from before, whose processes may still run.
    pub fn recall(
        &mut self,
        manager: Manager,
        unit: String,
        invocation: String,
        judgement: Judgement,
    ) {
        self.remember((manager, unit, Some(invocation)), judgement);
    }

    fn remember(&mut self, key: Key, judgement: Judgement) {
        while self.judged.len() >= JUDGED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.judged.remove(&oldest);
        }
        if self.judged.insert(key.clone(), judgement).is_none() {
            self.order.push_back(key);
        }
    }
}

fn key(seen: &Seen<'_>) -> Key {
    (
        seen.manager.clone(),
        seen.unit.to_owned(),
        seen.invocation.map(str::to_owned),
    )
}
