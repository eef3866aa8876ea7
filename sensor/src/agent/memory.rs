//! What the agent has the store keep, and what it knows from it at the start.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::time::Duration;

use crate::correlate::activation::Judgement;
use crate::emit::ocsf::Ocsf;
use crate::event::{
    Body, Event, Exec, Finding, Health, LossCount, Manager, ProcessKey, Related, Timestamp,
    Trigger, is_change,
};
use crate::host::Host;
use crate::lineage::Table;
use crate::store::{
    ChangeNote, Database, FindingNote, FiringNote, Limits, LineageNote, LiveProcess, Memory, Note,
    PackageNote, RequestNote, RunNote, Store,
};
use crate::{
    correlate::{Lasting, Seen},
    event::Actor,
};

use super::Agent;

/// How often the living processes are compared with what is kept of them, in nanoseconds.
const SNAPSHOT: u64 = 60_000_000_000;
/// How long a process has to live to be kept: a host that starts thousands a second writes nothing
/// for it.
const SETTLED: u64 = 10_000_000_000;
/// How often it is written down that the agent watches, if nothing else is written.
const ALIVE: u64 = 300_000_000_000;
/// Most starts of units that are known to be kept.
const RUNS_MAX: usize = 4096;

/// The agent's side of the store.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    /// `None` if nothing is kept.
    store: Option<Store>,
    /// For findings, which are kept as events.
    encoder: Option<Ocsf>,
    /// Processes that are kept, by key, with the time of the exec.
    processes: HashMap<ProcessKey, Option<u64>>,
    /// Starts of units that are kept.
    runs: HashSet<(Manager, String, String)>,
    order: VecDeque<(Manager, String, String)>,
    snapshot_at: u64,
    alive_at: u64,
}

/// The store as it was found at the start.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) database: Option<Database>,
    pub(crate) memory: Memory,
    /// What is to be told of it.
    pub(crate) gap: Option<String>,
}

/// Opens the store. Whatever is wrong with it, the agent goes on without.
pub(crate) fn open(directory: Option<&Path>, host: &Host, now: Timestamp) -> Found {
    let Some(directory) = directory else {
        return Found::default();
    };
    let Some(boot) = &host.boot_id else {
        let gap = "nothing is kept: the id of this boot cannot be read".to_owned();
        return Found {
            gap: Some(gap),
            ..Found::default()
        };
    };
    match Database::open(directory, boot, Limits::default(), now.wall) {
        Ok(opened) => Found {
            database: Some(opened.database),
            memory: opened.memory,
            gap: opened.gap,
        },
        Err(error) => Found {
            gap: Some(format!("nothing is kept: {error}")),
            ..Found::default()
        },
    }
}

impl Keeper {
    /// Hands the database over to its thread.
    pub(crate) fn start(&mut self, database: Option<Database>, host: &Host) -> anyhow::Result<()> {
        self.store = database.map(Store::spawn).transpose()?;
        self.encoder = Some(Ocsf::new(host)?);
        Ok(())
    }

    fn keep(&self, note: Note) {
        if let Some(store) = &self.store {
            store.keep(note);
        }
    }

    /// A change that was told.
    pub(crate) fn change(&self, seen: &Seen) {
        if self.store.is_none() {
            return;
        }
        let mut change = seen.change.as_ref().clone();
        change.content = change
            .content
            .map(|content| Box::new(content.without_texts()));
        self.keep(Note::Change(Box::new(ChangeNote {
            uid: Some(seen.uid.clone()),
            time: seen.time,
            serves: seen.serves.clone(),
            change: change.into(),
        })));
    }

    /// A request that was told, if it matters for longer who made it.
    pub(crate) fn request(&self, lasting: &Lasting) {
        if self.store.is_none() {
            return;
        }
        self.keep(Note::Request(Box::new(RequestNote {
            uid: lasting.uid.clone(),
            time: lasting.time,
            manager: lasting.manager.clone(),
            by: lasting.author.clone(),
            login: lasting.login.clone(),
            method: lasting.method.clone(),
            class: lasting.class,
            units: lasting.units.clone(),
        })));
    }

    /// The package of a change that was kept before it was known.
    pub(crate) fn package(&self, seen: &Seen) {
        if let Some(packaging) = &seen.change.packaging {
            self.keep(Note::Package(Box::new(PackageNote {
                change: seen.uid.clone(),
                writer: seen.change.writer.clone(),
                packaging: packaging.as_ref().clone(),
            })));
        }
    }

    /// A finding that was told, and the newest change that it rests on.
    pub(crate) fn finding(&self, event: &Event, finding: &Finding) {
        let (Some(_), Some(encoder)) = (&self.store, &self.encoder) else {
            return;
        };
        let mut line = Vec::new();
        if let Err(error) = encoder.encode(event, &mut line) {
            log::error!("finding {} cannot be encoded: {error}", event.uid);
            return;
        }
        let context = finding.systemd.as_ref();
        let unit = context.and_then(|context| context.unit.clone());
        let newest = newest_change(&finding.related);
        if let (Some(context), Some(unit), Some(uid)) = (context, &unit, newest) {
            self.keep(Note::Told {
                manager: context.manager.clone(),
                unit: unit.clone(),
                uid: uid.clone(),
            });
        }
        self.keep(Note::Finding(Box::new(FindingNote {
            uid: event.uid.clone(),
            time: event.time.wall,
            code: finding.rule.id.to_owned(),
            severity: finding.severity.id(),
            unit: unit.or_else(|| finding.timer.clone()),
            title: finding.title.clone(),
            event: String::from_utf8_lossy(&line).into_owned(),
        })));
    }

    /// A timer elapsed.
    pub(crate) fn firing(&self, event: &Event) {
        if let Body::TimerFired(fired) = &event.body {
            self.keep(Note::Firing(FiringNote {
                manager: fired.manager.clone(),
                timer: fired.timer.clone(),
                time: event.time,
                uid: event.uid.clone(),
                triggers: fired.triggers.clone(),
            }));
        }
    }

    /// A process that a manager started, with its verdict. The first of an invocation counts.
    pub(crate) fn run(
        &mut self,
        exec: &Exec,
        uid: &str,
        time: Timestamp,
        behind: Option<&Trigger>,
    ) {
        let context = exec.systemd.as_ref().filter(|context| context.spawned);
        let Some(context) = context.filter(|_| self.store.is_some()) else {
            return;
        };
        let (Some(unit), Some(trigger)) = (&context.unit, &context.trigger) else {
            return;
        };
        if let Some(invocation) = &context.invocation_id {
            let key = (context.manager.clone(), unit.clone(), invocation.clone());
            if !self.runs.insert(key.clone()) {
                return;
            }
            self.order.push_back(key);
            if self.order.len() > RUNS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.runs.remove(&oldest);
            }
        }
        self.keep(Note::Run(Box::new(RunNote {
            manager: context.manager.clone(),
            unit: unit.clone(),
            invocation: context.invocation_id.clone(),
            time,
            trigger: trigger.clone(),
            behind: behind.cloned(),
            process: Actor {
                process: exec.process.clone(),
                ancestry: exec.ancestry.clone(),
            },
            uid: uid.to_owned(),
        })));
    }

    /// What is due now and then.
    pub(crate) fn tick(&mut self, table: &Table, now: Timestamp) {
        if self.store.is_none() {
            return;
        }
        if now.boot >= self.snapshot_at {
            self.snapshot_at = now.boot.saturating_add(SNAPSHOT);
            self.snapshot(table, now);
        }
        if now.boot >= self.alive_at {
            self.alive_at = now.boot.saturating_add(ALIVE);
            self.keep(Note::Alive(now.wall));
        }
    }

    /// Keeps how the living processes differ from what is kept of them.
    fn snapshot(&mut self, table: &Table, now: Timestamp) {
        let mut note = LineageNote::default();
        let mut living = HashMap::new();
        for known in table.living() {
            let process = &known.process;
            let executed = process.executed.map(|time| time.boot);
            let since = executed.unwrap_or(process.started.boot);
            let settled = since.saturating_add(SETTLED) <= now.boot;
            let before = self.processes.get(&process.key);
            if !settled && before.is_none() {
                continue;
            }
            living.insert(process.key, executed);
            if before != Some(&executed) {
                note.live.push(LiveProcess {
                    process: process.clone(),
                    ancestry: table.ancestry(process),
                    cgroup: known.cgroup,
                    systemd: known.systemd.clone(),
                });
            }
        }
        let gone = self
            .processes
            .keys()
            .filter(|key| !living.contains_key(key));
        note.gone.extend(gone);
        self.processes = living;
        if !note.live.is_empty() || !note.gone.is_empty() {
            self.keep(Note::Lineage(note));
        }
    }

    /// What was lost and what went wrong since this was last asked.
    pub(crate) fn troubles(&self) -> (Vec<LossCount>, Vec<String>) {
        match &self.store {
            Some(store) => (store.losses(), store.gaps()),
            None => (Vec::new(), Vec::new()),
        }
    }

    /// Writes what waits, and what lives now.
    pub(crate) fn finish(
        &mut self,
        table: &Table,
        now: Timestamp,
        limit: Duration,
    ) -> (Vec<LossCount>, Vec<String>) {
        self.snapshot(table, now);
        self.keep(Note::Ended(now.wall));
        let Some(store) = self.store.take() else {
            return (Vec::new(), Vec::new());
        };
        let gaps = store.gaps();
        (store.finish(limit), gaps)
    }
}

impl Agent {
    /// Takes in what earlier agents knew: changes, verdicts, processes. Leaves the files.
    pub(super) fn recall(&mut self, mut memory: Memory) -> Memory {
        let told = std::mem::take(&mut memory.told);
        let runs = std::mem::take(&mut memory.runs);
        let lineage = std::mem::take(&mut memory.lineage);
        let changes = std::mem::take(&mut memory.changes);
        let past = changes.into_iter().map(|past| Seen {
            uid: past.uid,
            sequence: 0,
            time: past.time,
            serves: past.serves,
            gone: false,
            change: past.change.into(),
        });
        self.correlator.remember(past.collect(), told);
        for request in std::mem::take(&mut memory.requests) {
            self.correlator.requests.recall(Lasting {
                uid: request.uid,
                time: request.time,
                manager: request.manager,
                author: request.by,
                login: request.login,
                method: request.method,
                class: request.class,
                units: request.units,
            });
        }
        for run in runs {
            let judgement = Judgement {
                trigger: run.trigger,
                behind: run.behind,
                started: None,
            };
            self.activations
                .recall(run.manager, run.unit, run.invocation, judgement);
        }
        // What lives no more goes with the first look.
        let processes = lineage.live.iter();
        self.keeper.processes = processes
            .map(|live| {
                let process = &live.process;
                (process.key, process.executed.map(|time| time.boot))
            })
            .collect();
        memory
    }

    /// Tells what the store lost or could not do.
    pub(super) fn tell_troubles(&mut self, (losses, gaps): (Vec<LossCount>, Vec<String>)) {
        for gap in gaps {
            self.tell_gap(gap);
        }
        if !losses.is_empty() {
            self.stream
                .tell(self.facts.now(), Body::Health(Health::Loss(losses)));
        }
    }

    /// Tells a gap.
    pub(super) fn tell_gap(&mut self, gap: String) {
        self.stream
            .tell(self.facts.now(), Body::Health(Health::Gap(gap)));
    }
}

/// The newest of the changes that a finding rests on, which stand in their order; requests and an exec
/// come after them.
fn newest_change(related: &[Related]) -> Option<&String> {
    let mut changes = related.iter().filter(|one| is_change(one.type_uid));
    changes.next_back().map(|related| &related.uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_finding_was_told_of_is_its_newest_change() {
        let of = |uids: &[(&str, u32)]| {
            let related = uids.iter().map(|&(uid, type_uid)| Related {
                uid: uid.to_owned(),
                type_uid,
            });
            newest_change(&related.collect::<Vec<_>>()).cloned()
        };
        let (change, rename, request, exec) = (100_101, 100_105, 100_799, 100_701);
        let all = [
            ("1", change),
            ("2", rename),
            ("3", request),
            ("4", request),
            ("5", exec),
        ];
        assert_eq!(of(&all).as_deref(), Some("2"));
        assert_eq!(of(&[("1", change), ("5", exec)]).as_deref(), Some("1"));
        assert_eq!(of(&[("3", request), ("5", exec)]), None);
    }
}
