//! How the agent starts: probes, what was there before them, and what earlier agents kept.

use std::{
    collections::{BTreeSet, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;

use super::{
    Agent,
    activations::Firings,
    churn::Churn,
    facts::Facts,
    gaps::Gaps,
    held::Waiting,
    late::Late,
    leading::Leading,
    loads::Suspects,
    managers,
    memory::{self, Found, Keeper},
    outside::Loaded,
    packages::PackageManagers,
    processes::{self, Cgroups},
    recent::Recent,
    recheck::Recheck,
    requests::Requests,
    stream::Stream,
    turn::Batch,
    watching::Watching,
};
use crate::{
    content::{self, Contents},
    correlate::{Correlator, activation::Activations},
    detect::Detector,
    event::{Body, Health, Tier},
    host::{Host, mounts::Mounts, procs},
    kernel::{KernelProcesses, Probes, TierChoice, Watches, fanotify::Fanotify},
    lineage::{Known, Limits, Table},
    store::Remembered,
    systemd::{bus::ManagerSocket, installed::Installed, presence},
};

impl Agent {
    /// Attaches the probes, then reads what was there before them, and what earlier agents kept in
    /// the directory `state`. `settings` are the files that it was told to go by.
    pub(crate) fn start(
        choice: TierChoice,
        exits: bool,
        detector: Detector,
        stream: Stream,
        host: &Host,
        state: Option<&Path>,
        settings: &[PathBuf],
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
            recheck: Recheck::new(facts.now()),
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
            installed: Installed::default(),
            loaded: Loaded::default(),
            leading: Leading::default(),
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
        agent.watch_own_files(settings, state);
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
