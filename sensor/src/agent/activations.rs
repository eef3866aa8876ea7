//! Execs held until it is known why they came about.

use std::collections::HashMap;

use super::{Agent, pace::Step, processes::Arrival};
use crate::{
    correlate::{
        Started,
        activation::{Firing, Judgement, Output, Seen},
    },
    event::{
        Body, Event, Exec, Health, LossCount, Manager, Process, SystemdContext, TimerFired,
        Timestamp, Trigger, Verdict,
    },
    systemd::{
        bus::{BusFact, Dropped, Told},
        service::Service,
        unit_name::UnitName,
    },
};

/// Most timers whose last firing is remembered by its event.
const FIRINGS_MAX: usize = 4096;

/// An exec that was told and waits for its verdict.
#[derive(Debug)]
pub(crate) struct HeldExec {
    pub(super) uid: String,
    pub(super) time: Timestamp,
    pub(super) exec: Exec,
}

/// The event of each timer's last firing, with its time since boot.
#[derive(Debug, Default)]
pub(crate) struct Firings(HashMap<(Manager, String), (u64, String)>);

impl Firings {
    fn note(&mut self, timer: (Manager, String), time: u64, uid: &str) {
        if self.0.len() >= FIRINGS_MAX {
            self.0.clear(); // a link without its event at worst
        }
        self.0.insert(timer, (time, uid.to_owned()));
    }

    fn of(&self, manager: &Manager, trigger: Option<&Trigger>) -> Option<&str> {
        let trigger = trigger?;
        let timer = (manager.clone(), trigger.unit.clone()?);
        let (time, uid) = self.0.get(&timer)?;
        (trigger.fired_at?.boot == *time).then_some(uid.as_str())
    }
}

/// What the verdict depends on, of an exec in a unit.
fn seen(exec: &Exec, time: u64) -> Option<Seen<'_>> {
    let context = exec.systemd.as_ref()?;
    (context.spawned || context.invocation_id.is_some()).then_some(())?;
    Some(Seen {
        manager: &context.manager,
        unit: context.unit.as_deref()?,
        invocation: context.invocation_id.as_deref(),
        spawned: context.spawned,
        time,
        hint: context.trigger.as_ref(),
    })
}

/// Names the unit that was started. What descends from it is where it went by itself: a login's
/// shell belongs to its session.
fn of_its_start(context: &mut SystemdContext, started: Option<String>) {
    if let Some(unit) = started.filter(|_| context.spawned) {
        context.unit = Some(unit);
    }
}

impl Agent {
    /// Tells an exec: with its verdict, where there is one already, else ahead of it.
    pub(super) fn executed(&mut self, time: Timestamp, mut exec: Exec, arrival: &Arrival) {
        let seen_now = seen(&exec, time.boot);
        let known = seen_now
            .as_ref()
            .and_then(|seen| self.activations.known(seen));
        if let (Some(judgement), Some(context)) = (&known, &mut exec.systemd) {
            context.trigger = Some(judgement.trigger.clone());
            of_its_start(context, judgement.started.clone());
        }
        let awaits = |seen: &Seen<'_>| known.is_none() && self.activations.awaits(seen);
        exec.awaited = seen(&exec, time.boot).as_ref().is_some_and(awaits);
        let spawned = exec.systemd.as_ref().is_some_and(|context| context.spawned);
        let event = self.stream.tell(time, Body::Exec(exec));
        let Event {
            uid,
            body: Body::Exec(exec),
            ..
        } = event
        else {
            return;
        };
        if spawned {
            // What it rests on is told before anything is made of it.
            self.tell_all();
        }
        let held = HeldExec { uid, time, exec };
        self.look_at_command(&held, arrival);
        let awaited = seen(&held.exec, time.boot).filter(|_| held.exec.awaited);
        let Some(awaited) = awaited else {
            let judged = known.is_some();
            let behind = known.and_then(|judgement| judgement.behind);
            if judged {
                self.keeper
                    .run(&held.exec, &held.uid, held.time, behind.as_ref());
            }
            let timers = self.timers_of(&held.exec);
            self.judge(&held, &timers, behind.as_ref());
            return;
        };
        // The exec goes along: what is asked about it is owned.
        let (manager, unit) = (awaited.manager.clone(), awaited.unit.to_owned());
        let (invocation, hint) = (awaited.invocation.map(str::to_owned), awaited.hint.cloned());
        let awaited = Seen {
            manager: &manager,
            unit: &unit,
            invocation: invocation.as_deref(),
            spawned: awaited.spawned,
            time: awaited.time,
            hint: hint.as_ref(),
        };
        let mut out = Vec::new();
        if let Some(held) = self.activations.hold(&awaited, Box::new(held), &mut out) {
            let judgement = Judgement::without_room(hint);
            out.push(Output::Judged(held, judgement));
        }
        self.judged(out);
    }

    /// Takes in what a manager told.
    pub(crate) fn told(&mut self, told: Told) {
        let _step = Step::begin("a fact");
        let manager = &told.manager;
        match &told.fact {
            BusFact::Connected { way, version, .. } => {
                let way = way.as_str();
                log::info!("manager {manager}, systemd {version}, is read by {way}");
                self.unheard.remove(manager);
            }
            BusFact::Disconnected(reason) if !self.unheard.contains(manager) => {
                self.churn.reloaded(manager, self.facts.now().boot);
                self.unheard.insert(manager.clone());
                let gap = format!(
                    "triggers of manager {manager} are hints, it cannot be listened to: {reason}"
                );
                self.stream
                    .tell(self.facts.now(), Body::Health(Health::Gap(gap)));
            }
            BusFact::Gone => {
                self.churn.reloaded(manager, self.facts.now().boot);
                self.unheard.remove(manager);
            }
            BusFact::UnitPath(paths) if self.watching.set_unit_path(manager, paths) => {
                self.leading.forget();
                self.survey();
            }
            BusFact::Reloading(true) => {
                self.loaded.reloads(manager, told.seen);
                self.correlator.reloads(manager);
                self.churn.reloads(manager.clone(), self.facts.now().boot);
            }
            BusFact::Reloading(false) => self.churn.reloaded(manager, self.facts.now().boot),
            _ => {}
        }
        let mut out = Vec::new();
        self.activations.told(told, &mut out);
        self.judged(out);
    }

    /// Judges what has waited long enough.
    pub(super) fn judge_due(&mut self) {
        let mut out = Vec::new();
        self.activations.tick(self.facts.now().boot, &mut out);
        self.judged(out);
    }

    /// Judges all that waits: nothing more will be told.
    pub(super) fn judge_all(&mut self) {
        let mut out = Vec::new();
        self.activations.tick(u64::MAX, &mut out);
        self.judged(out);
    }

    /// Says that facts from the bus were lost.
    pub(crate) fn facts_lost(&mut self, dropped: Dropped) {
        let Dropped { system, others } = dropped;
        for (count, of_system) in [(system, true), (others, false)] {
            if count == 0 {
                continue;
            }
            self.activations.lost(of_system);
            let loss = LossCount {
                stage: "bus",
                kind: "fact",
                count,
            };
            self.stream
                .tell(self.facts.now(), Body::Health(Health::Loss(vec![loss])));
        }
    }

    fn judged(&mut self, out: Vec<Output<Box<HeldExec>>>) {
        for output in out {
            match output {
                Output::Fired(firing) => self.fired(firing),
                Output::Judged(held, judgement) => self.tell_verdict(*held, judgement),
            }
        }
    }

    fn tell_verdict(&mut self, mut held: HeldExec, judgement: Judgement) {
        let _step = Step::begin("a verdict");
        let Judgement {
            trigger,
            behind,
            started,
        } = judgement;
        if let Some(context) = &mut held.exec.systemd {
            context.trigger = Some(trigger);
            of_its_start(context, started);
        }
        let timers = self.timers_of(&held.exec);
        let cause = self
            .correlator
            .cause(&self.started(&held, &timers, behind.as_ref()));
        let verdict = Verdict {
            refers_to: held.uid.clone(),
            exec: held.exec.clone(),
            cause,
        };
        self.stream
            .tell(self.facts.now(), Body::Verdict(Box::new(verdict)));
        self.keeper
            .run(&held.exec, &held.uid, held.time, behind.as_ref());
        self.judge(&held, &timers, behind.as_ref());
    }

    /// Asks the correlator about a process that a manager started; `timers` are those that lead to
    /// its unit.
    fn judge(&mut self, held: &HeldExec, timers: &[String], behind: Option<&Trigger>) {
        if !self.correlator.concerns(&held.exec) {
            return;
        }
        self.weigh_late(false);
        let firing = self.firing(&held.exec, behind).map(str::to_owned);
        let started = Started {
            exec: &held.exec,
            uid: &held.uid,
            time: held.time,
            timers,
            behind,
            firing: firing.as_deref(),
        };
        let manager = held.exec.process.spawner.map_or(0, |spawner| spawner.tgid);
        let finding = self.correlator.started(&started);
        if let Some(finding) = finding.and_then(|finding| self.detector.ran(finding, manager)) {
            self.tell_finding(held.time, finding);
        }
    }

    pub(super) fn started<'a>(
        &'a self,
        held: &'a HeldExec,
        timers: &'a [String],
        behind: Option<&'a Trigger>,
    ) -> Started<'a> {
        Started {
            exec: &held.exec,
            uid: &held.uid,
            time: held.time,
            timers,
            behind,
            firing: self.firing(&held.exec, behind),
        }
    }

    fn firing(&self, exec: &Exec, behind: Option<&Trigger>) -> Option<&str> {
        let context = exec.systemd.as_ref()?;
        let of = |trigger| self.firings.of(&context.manager, trigger);
        of(context.trigger.as_ref()).or_else(|| of(behind))
    }

    /// The timers on disk that lead to the unit of an exec; none are looked for when nothing was
    /// changed that it could rest on.
    fn timers_of(&mut self, exec: &Exec) -> Vec<String> {
        let context = exec.systemd.as_ref();
        let unit = context.and_then(|context| Some((context, context.unit.as_ref()?)));
        let Some((context, unit)) = unit.filter(|_| self.correlator.concerns(exec)) else {
            return Vec::new();
        };
        let paths = &self.watching.paths;
        let now = self.facts.now().boot;
        self.leading.to(&context.manager, unit, now, || {
            let timers = self.installed.timers_for(paths, &context.manager, unit);
            timers.into_iter().map(|timer| timer.name).collect()
        })
    }

    fn fired(&mut self, firing: Firing) {
        let manager = firing.manager;
        let clock = &self.facts.clock;
        let next = [
            firing.next.wall.map(|wall| clock.from_wall(wall)),
            firing.next.boot.map(|boot| clock.to_timestamp(boot)),
        ];
        let runs = firing.triggers.first().cloned();
        let fired = TimerFired {
            next: next.into_iter().flatten().min(),
            command_line: runs.and_then(|unit| self.command_line(&manager, &unit)),
            file: self.unit_file(&manager, &firing.timer),
            manager,
            timer: firing.timer,
            triggers: firing.triggers,
            active: firing.active,
        };
        let timer = (fired.manager.clone(), fired.timer.clone());
        let time = firing.time;
        let event = self.stream.tell(time, Body::TimerFired(Box::new(fired)));
        self.keeper.firing(&event);
        self.firings.note(timer, time.boot, &event.uid);
    }

    fn unit_file(&mut self, manager: &Manager, unit: &str) -> Option<String> {
        let found = self.installed.unit(&self.watching.paths, manager, unit)?;
        let path = found.1.first()?;
        Some(path.to_string_lossy().into_owned())
    }

    /// The first command of a service, by its files.
    fn command_line(&mut self, manager: &Manager, unit: &str) -> Option<String> {
        let name = UnitName::parse(unit).ok()?;
        let (file, _) = self.installed.unit(&self.watching.paths, manager, unit)?;
        let service = Service::new(&name, &file);
        let mut commands = service.commands.into_iter();
        let argv = commands.find(|command| command.key == "ExecStart")?.argv;
        let process = Process {
            argv,
            ..Process::unknown(Timestamp::default())
        };
        Some(process.command_line())
    }
}
