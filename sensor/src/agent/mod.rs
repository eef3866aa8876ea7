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
mod leading;
mod loads;
mod managers;
mod memory;
mod missed;
mod outside;
mod own;
mod pace;
mod packages;
mod processes;
mod recent;
mod recheck;
mod requests;
mod run;
#[cfg(test)]
mod samples;
mod snaps;
mod start;
mod stream;
mod streams;
mod targets;
mod turn;
mod watching;
mod who;

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

pub use run::{Options, run};
pub use stream::Totals;

use crate::{
    content::Contents,
    correlate::{Correlator, activation::Activations},
    detect::Detector,
    emit::SinkError,
    event::{Body, Health, LossCount, Manager, Tier},
    host::mounts::Mounts,
    kernel::{KernelProcesses, Losses, Probes, Rings, Skips},
    lineage::Table,
    systemd::{bus::ManagerSocket, installed::Installed},
};
use activations::{Firings, HeldExec};
use churn::Churn;
use facts::Facts;
use gaps::Gaps;
use held::Waiting;
use late::Late;
use leading::Leading;
use loads::Suspects;
use memory::Keeper;
use outside::Loaded;
use pace::Step;
use packages::PackageManagers;
use processes::Cgroups;
use recent::Recent;
use recheck::Recheck;
use requests::Requests;
use stream::Stream;
use turn::Batch;
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
    installed: Installed,
    loaded: Loaded,
    leading: Leading,
    recent: Recent,
    recheck: Recheck,
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

impl Agent {
    /// The tier that file changes are seen by.
    pub(crate) fn file_tier(&self) -> Tier {
        self.probes.file_tier.unwrap_or(Tier::Tracepoint)
    }

    /// How many places are watched.
    pub(crate) fn watched(&self) -> usize {
        self.watching.watches.len()
    }

    /// Managers that were found since this was last asked.
    pub(crate) fn take_found(&mut self) -> Vec<ManagerSocket> {
        std::mem::take(&mut self.found)
    }

    /// What is due now and then: clocks, names, losses.
    pub(crate) fn tick(&mut self) {
        let _whole = Step::begin("tick");
        // Before what they did so far is read, so that they are known when they are named.
        let throttled = self.requests.throttled();
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
        self.tend_requests(throttled);
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
        if losses
            .iter()
            .any(|loss| loss.stage == "kernel" && loss.kind == "change")
        {
            self.recheck.lost();
        }
        self.begin_recheck();
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
        let _whole = Step::begin("due");
        self.tell_due();
        self.survey_now();
        self.look_into_new();
        if self.recheck.is_busy() {
            self.step_recheck(self.facts.now().boot.saturating_add(SLICE));
        }
        if self.watching.targets.is_busy() {
            self.refresh_mounts();
            let until = self.facts.now().boot.saturating_add(SLICE);
            self.watching
                .step_targets(&mut self.installed, &self.facts, until);
        }
    }

    /// How long until there is something to do.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        let busy = self.watching.targets.is_busy() || self.recheck.is_busy();
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
