//! The agent at work: rooms put together, and the loop that moves data through them.

mod activations;
mod changes;
mod churn;
mod facts;
mod files;
mod following;
mod found;
mod gaps;
mod health_check;
mod held;
mod late;
mod loads;
mod managers;
mod memory;
mod missed;
mod outside;
mod own;
mod packages;
mod processes;
mod recent;
mod requests;
mod run;
mod stream;
mod streams;
mod targets;
mod watching;

use std::{
    collections::{BTreeSet, HashSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;

pub use run::{Options, run};
pub use stream::Totals;

use crate::{
    content::{self, Contents},
    correlate::{Correlator, activation::Activations},
    detect::Detector,
    emit::SinkError,
    event::{Body, Health, LossCount, Manager, Tier},
    host::{Host, mounts::Mounts, procs},
    kernel::{
        KernelProcesses, Losses, Probes, Record, Rings, Skips, TierChoice, Watches,
        fanotify::{Drained, Fanotify, FileEvent},
    },
    lineage::{Known, Limits, Table},
    store::Remembered,
    systemd::{bus::ManagerSocket, presence},
};
use activations::{Firings, HeldExec};
use churn::Churn;
use facts::Facts;
use gaps::Gaps;
use held::Waiting;
use late::Late;
use loads::Suspects;
use memory::{Found, Keeper};
use outside::Loaded;
use packages::PackageManagers;
use processes::Cgroups;
use recent::Recent;
use requests::Requests;
use stream::Stream;
use watching::Watching;

/// How long work that can wait may keep records waiting, in nanoseconds.
const SLICE: u64 = 2_000_000;
/// How often it is looked which programs the kernel skipped, in nanoseconds.
const SKIPS_INTERVAL: u64 = 5_000_000_000;

/// Everything that a running agent holds.
pub(crate) struct Agent {
    probes: Probes,
    rings: Rings,
    losses: Losses,
    skips: Skips,
    /// When it is looked next which programs were skipped.
    skips_at: u64,
    kernel: KernelProcesses,
    facts: Facts,
    table: Table,
    cgroups: Cgroups,
    watching: Watching,
    requests: Requests,
    correlator: Correlator,
    detector: Detector,
    activations: Activations<Box<HeldExec>>,
    firings: Firings,
    /// Managers of which it was told that they cannot be listened to.
    unheard: HashSet<Manager>,
    /// Managers that were found and are not listened to yet.
    found: Vec<ManagerSocket>,
    installed: crate::systemd::installed::Installed,
    loaded: Loaded,
    recent: Recent,
    /// Whether units changed since it was last found out what timed ones rest on.
    targets_due: bool,
    /// Paths below which it was asked which places exist, and when that was found out last.
    survey_due: BTreeSet<String>,
    surveyed: u64,
    /// The mounts as they were when the watches followed them last.
    mounts_followed: Mounts,
    /// How many of the places that cannot be watched were told.
    gaps_told: usize,
    held: Waiting,
    /// What a reload did and may undo.
    churn: Churn,
    /// When the rings were emptied last, in nanoseconds since boot: all from before is known.
    drained: u64,
    suspects: Suspects,
    packages: PackageManagers,
    late: Late,
    gaps: Gaps,
    contents: Contents,
    stream: Stream,
    keeper: Keeper,
    exits: bool,
    lost: u64,
    batch: Batch,
}

/// Buffers that are used again.
#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    errors: Vec<crate::kernel::DecodeError>,
    files: Vec<FileEvent>,
}

impl Agent {
    /// Attaches the probes, then reads what was there before them, and what earlier agents kept in
    /// the directory `state`.
    pub(crate) fn start(
        choice: TierChoice,
        exits: bool,
        detector: Detector,
        stream: Stream,
        host: &Host,
        state: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let mut probes = Probes::load(choice)?;
        let facts = Facts::read()?;
        let Found {
            mut database,
            memory,
            gap,
        } = memory::open(state, host, facts.now());
        let mut kernel = probes.processes()?;
        managers::introduce(&mut kernel, &facts);
        let mut table = Table::new(Limits {
            tick: procs::tick_nanoseconds(),
            ..Limits::default()
        });
        let mut cgroups = Cgroups::default();
        let (running, found) = seed(
            &facts,
            &mut kernel,
            &mut table,
            &mut cgroups,
            &memory.lineage,
        )?;
        kernel.mark_agent(std::process::id());
        let watches = match (probes.file_tier, choice) {
            (Some(_), _) => Watches::by_programs(probes.watches()?),
            (None, TierChoice::Only(tier)) if tier != Tier::Tracepoint => {
                anyhow::bail!(
                    "no file probe attaches in tier {}; see `whodunit doctor`",
                    tier.as_str()
                )
            }
            (None, _) => Watches::by_marks(Fanotify::new().context("file changes cannot be seen")?),
        };
        let watching = Watching::start(watches, &facts, &running);
        let mut requests = Requests::new(probes.sockets()?, probes.request_tier());
        for manager in &running {
            if let Some(known) = table.current(manager.tgid) {
                requests.manages(manager.uid, known.process.key);
            }
        }
        let mut agent = Self {
            rings: probes.rings()?,
            losses: probes.losses()?,
            skips: probes.skips(),
            skips_at: 0,
            kernel,
            facts,
            table,
            cgroups,
            watching,
            requests,
            correlator: Correlator::default(),
            detector,
            activations: Activations::default(),
            firings: Firings::default(),
            unheard: HashSet::new(),
            found,
            installed: crate::systemd::installed::Installed::default(),
            loaded: Loaded::default(),
            recent: Recent::default(),
            targets_due: false,
            survey_due: BTreeSet::new(),
            surveyed: 0,
            mounts_followed: Mounts::default(),
            gaps_told: 0,
            held: Waiting::default(),
            churn: Churn::default(),
            drained: 0,
            suspects: Suspects::default(),
            packages: PackageManagers::default(),
            late: Late::default(),
            gaps: Gaps::default(),
            contents: Contents::new(content::Limits::default()),
            stream,
            keeper: Keeper::default(),
            exits,
            lost: 0,
            batch: Batch::default(),
            probes,
        };
        agent.installed.avoid(agent.facts.mounts.doubtful());
        agent.watch_own_files();
        agent.watching.begin_targets(&agent.facts);
        agent
            .watching
            .step_targets(&mut agent.installed, &agent.facts, u64::MAX);
        agent.enter_mounts();
        agent.list_sockets();
        let unread = agent.learn_contents();
        agent.tell_start();
        if let Some(gap) = gap {
            agent.tell_gap(gap);
        }
        let files = agent.recall(memory);
        agent.tell_cut_off(&files);
        if let Some(database) = &mut database {
            agent.tell_missed(database, &files, &unread);
        }
        agent.keeper.start(database, host)?;
        agent.tell_gaps();
        Ok(agent)
    }

    fn tell_start(&mut self) {
        let mut blind: Vec<String> = self
            .probes
            .hooks
            .iter()
            .filter(|status| {
                let served = self.probes.file_tier.is_some() || status.hook.is_beyond_marks();
                status.tier.is_none() && served
            })
            .map(|status| format!("{}: {} are not seen", status.hook.name, status.hook.sees))
            .collect();
        if let Some(marks) = self.watching.watches.fanotify() {
            blind.extend(marks.abilities().blind());
        }
        blind.extend(self.watching.blind.iter().cloned());
        self.gaps_told = self.watching.blind.len();
        let started = Health::Started {
            file_tier: Some(self.file_tier()),
            watched: self.watching.watches.len(),
            blind,
        };
        self.stream.tell(self.facts.now(), Body::Health(started));
    }

    /// The tier that file changes are seen by.
    pub(crate) fn file_tier(&self) -> Tier {
        self.probes.file_tier.unwrap_or(Tier::Tracepoint)
    }

    /// How many places are watched.
    pub(crate) fn watched(&self) -> usize {
        self.watching.watches.len()
    }

    /// Handles all that waits in the rings and in the fanotify queue. Returns how much that was.
    pub(crate) fn drain_all(&mut self) -> usize {
        let mut handled = 0;
        loop {
            let (count, more) = self.drain();
            handled += count;
            if !more {
                return handled;
            }
        }
    }

    /// Handles one batch. Says how much that was, and whether more waits.
    fn drain(&mut self) -> (usize, bool) {
        let mut batch = std::mem::take(&mut self.batch);
        // Marks first: what led to them is in the rings already.
        let more = match self
            .watching
            .watches
            .fanotify()
            .map(|marks| marks.read(&mut batch.files))
        {
            Some(Ok(drained)) => drained == Drained::More,
            Some(Err(error)) => {
                log::warn!("{error}");
                false
            }
            None => false,
        };
        let seen_at = self.facts.now().boot;
        self.drained = seen_at;
        self.rings.take(&mut batch.records, &mut batch.errors);
        let count = batch.records.len() + batch.files.len();
        for record in batch.records.drain(..) {
            self.record(record);
        }
        for error in batch.errors.drain(..) {
            log::warn!("{error}");
            self.lost += 1;
        }
        for event in batch.files.drain(..) {
            self.file_event(event, seen_at);
        }
        self.tell_due();
        self.survey_now();
        self.judge_due();
        self.find(self.facts.now().boot);
        self.batch = batch;
        (count, more)
    }

    fn record(&mut self, record: Record) {
        match record {
            Record::Exec(seen) => {
                let time = self.facts.time(seen.time);
                let (key, flags) = (seen.task.key, seen.task.flags);
                let managed = seen.managed.is_some();
                let exec =
                    processes::executed(*seen, &mut self.table, &mut self.cgroups, &self.facts);
                let Some((exec, arrival)) = exec else {
                    return;
                };
                if exec.process.name() == "systemd" {
                    self.named_like_manager(key, flags, managed, &exec);
                }
                self.executed(time, exec, &arrival);
            }
            Record::Exit(seen) => {
                let exit = processes::ended(&seen, &mut self.table);
                if let Some(exit) = exit.filter(|_| self.exits) {
                    self.stream
                        .tell(self.facts.time(seen.time), Body::Exit(exit));
                }
            }
            Record::Change(seen) => self.changed_by_programs(*seen),
            Record::Message(seen) => self.sent(*seen),
            Record::Connect(seen) => self.connected(*seen),
            Record::Signal(seen) => self.signalled(*seen),
        }
    }

    /// Managers that were found since this was last asked.
    pub(crate) fn take_found(&mut self) -> Vec<ManagerSocket> {
        std::mem::take(&mut self.found)
    }

    /// What is due now and then: clocks, names, losses.
    pub(crate) fn tick(&mut self) {
        // What is found below must not come before the records that tell of it.
        self.drain_all();
        if self.facts.refresh() {
            for uid in self.watching.add_users(&self.facts) {
                self.survey_manager(&Manager::User(uid));
            }
        }
        self.drain_all();
        self.tell_due();
        self.survey_now();
        self.judge_due();
        self.find(self.facts.now().boot);
        if !self.watching.targets.is_busy() && std::mem::take(&mut self.targets_due) {
            self.refresh_mounts();
            self.watching.begin_targets(&self.facts);
        }
        self.look_into_new();
        self.tend_requests();
        let now = self.facts.now();
        self.keeper.tick(&self.table, now);
        let troubles = self.keeper.troubles();
        self.tell_troubles(troubles);
        self.packages.read_ahead();
        self.weigh_late(false);
        self.tell_gaps();
        let mut losses = self.losses.take();
        losses.extend(self.stream.losses());
        losses.extend(self.skipped(now.boot));
        let requests = ["message", "connect", "signal"];
        if losses.iter().any(|loss| requests.contains(&loss.kind)) {
            self.requests_lost();
        }
        if !losses.is_empty() {
            self.lost += losses
                .iter()
                .filter(|loss| loss.stage == "kernel")
                .map(|loss| loss.count)
                .sum::<u64>();
            self.stream
                .tell(self.facts.now(), Body::Health(Health::Loss(losses)));
        }
    }

    /// How often programs were skipped, now and then.
    fn skipped(&mut self, now: u64) -> Vec<LossCount> {
        if now < self.skips_at {
            return Vec::new();
        }
        self.skips_at = now.saturating_add(SKIPS_INTERVAL);
        self.skips.take()
    }

    /// What has waited long enough, and a slice of what takes long.
    pub(crate) fn due(&mut self) {
        self.tell_due();
        self.survey_now();
        self.look_into_new();
        if self.watching.targets.is_busy() {
            self.refresh_mounts();
            let until = self.facts.now().boot.saturating_add(SLICE);
            self.watching
                .step_targets(&mut self.installed, &self.facts, until);
        }
    }

    /// How long until there is something to do.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        let busy = self.watching.targets.is_busy();
        let due = [
            self.held.next_due(),
            self.activations.next_due(),
            self.recent.next_due(),
            self.next_survey(),
            busy.then_some(0),
            self.detector.next_due(),
            self.churn.next_due(),
            self.suspects.next_due(),
        ];
        let due = due.into_iter().flatten().min()?;
        Some(Duration::from_nanos(
            due.saturating_sub(self.facts.now().boot),
        ))
    }

    /// Whether there is no use in going on.
    pub(crate) fn is_done(&self) -> bool {
        self.stream.is_full() || self.stream.is_closed()
    }

    /// Detaches, writes what waits, and says what the run came to.
    pub(crate) fn finish(mut self, limit: Duration) -> Result<Totals, SinkError> {
        self.tell_all();
        self.tell_churn(u64::MAX);
        self.judge_all();
        self.skips_at = 0;
        self.tick();
        self.weigh_late(true);
        self.find(u64::MAX);
        let now = self.facts.now();
        let troubles = self.keeper.finish(&self.table, now, limit);
        self.tell_troubles(troubles);
        let totals = self.stream.totals();
        let stopped = Health::Stopped {
            events: totals.events + 1,
            findings: totals.findings,
            lost: self.lost,
        };
        self.stream.tell(self.facts.now(), Body::Health(stopped));
        drop(self.probes);
        let totals = self.stream.finish(limit)?;
        Ok(Totals {
            lost: totals.lost + self.lost,
            ..totals
        })
    }
}

/// Enters the processes of the host into both tables. The probes are attached already: what is
/// forked meanwhile is theirs.
fn seed(
    facts: &Facts,
    kernel: &mut KernelProcesses,
    table: &mut Table,
    cgroups: &mut Cgroups,
    remembered: &Remembered,
) -> anyhow::Result<(Vec<presence::RunningManager>, Vec<ManagerSocket>)> {
    let seed = procs::seed(&facts.clock, &facts.users, &facts.mounts)?;
    let running = presence::running_managers(&seed.processes);
    let sockets = ManagerSocket::among(&seed);
    let now = facts.now().boot;
    let ancestors = remembered.ancestors();
    for mut process in seed.processes {
        // A process whose parent is PID 1 may as well be an orphan.
        let parent = seed.reapers.get(&process.key.tgid).copied();
        process.spawner = parent.filter(|parent| parent.tgid > 1);
        let manager = process.key.tgid != 1
            && running
                .iter()
                .any(|manager| manager.tgid == process.key.tgid);
        if let Some(path) = &process.cgroup {
            cgroups.seed(path);
        }
        let systemd = process
            .cgroup
            .as_deref()
            .and_then(processes::resident)
            .map(Arc::new);
        let seeded = Known {
            process: Arc::new(process),
            cgroup: 0,
            systemd,
        };
        let known = processes::recognised(seeded, remembered, &ancestors);
        kernel.seed(known.process.key, known.process.spawner, manager);
        table.insert(known, now);
    }
    for ancestor in ancestors {
        // It may have died since, and somebody still descends from it.
        if table.get(&ancestor.key).is_none() {
            let key = ancestor.key;
            let known = Known {
                process: ancestor,
                cgroup: 0,
                systemd: None,
            };
            table.insert(known, now);
            table.end(&key, now);
        }
    }
    Ok((running, sockets))
}
