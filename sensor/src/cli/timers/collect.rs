//! Asks every manager of this host, and reads the files of each.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::inside;
use super::origin::Origins;
use super::row::{OnDisk, Row, Run, Sources, Started, rows, user};
use crate::event::{Manager, Process};
use crate::host::clock::ClockAnchor;
use crate::host::mounts::Mounts;
use crate::host::procs::{self, Seed};
use crate::host::users::Users;
use crate::systemd::bus::{ManagerSocket, loaded_timers};
use crate::systemd::cgroup::unit_of_cgroup;
use crate::systemd::installed::{Installed, TimerRef};
use crate::systemd::load_path::Serves;
use crate::systemd::load_paths::LoadPaths;
use crate::systemd::presence;
use crate::systemd::service::Service;
use crate::systemd::unit_name::UnitName;

/// Most containers that are looked into.
const CONTAINERS_MAX: usize = 256;

/// The timers, and who was asked for them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct List {
    /// Every manager that was looked at.
    pub(super) managers: Vec<Listed>,
    /// Their timers: those first that elapse first.
    pub(super) timers: Vec<Row>,
}

/// A manager, and by what its timers are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    /// `system`, `user:1000`, `container:…`
    pub(super) manager: String,
    /// systemd's version, where it was asked.
    pub(super) version: Option<String>,
    /// `manager`: it was asked, and its files were read. `files`: these alone.
    pub(super) source: Source,
    /// Why it was not asked.
    pub(super) why: Option<String>,
}

/// By what timers are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Source {
    Manager,
    Files,
}

impl List {
    /// Leaves what was asked for, sorted by the next elapse.
    pub(super) fn select(&mut self, manager: Option<&str>, all: bool) {
        self.managers
            .retain(|listed| is_wanted(&listed.manager, manager));
        self.timers.retain(|row| {
            let elapses = matches!(row.state.as_str(), "waiting" | "running" | "elapsed");
            let by_files = row.state == "unknown" && row.enabled;
            is_wanted(&row.manager, manager) && (all || elapses || by_files)
        });
        self.timers.sort_by(|a, b| {
            let key = |row: &Row| (row.next.is_none(), row.next);
            let names = (&a.manager, &a.timer).cmp(&(&b.manager, &b.timer));
            key(a).cmp(&key(b)).then(names)
        });
    }

    pub(super) fn add(
        &mut self,
        manager: &Manager,
        asked: Result<String, String>,
        timers: Vec<Row>,
    ) {
        let (version, source, why) = match asked {
            Ok(version) => (Some(version), Source::Manager, None),
            Err(why) => (None, Source::Files, Some(why)),
        };
        self.managers.push(Listed {
            manager: manager.to_string(),
            version,
            source,
            why,
        });
        self.timers.extend(timers);
    }
}

/// Whether a manager is meant by `--manager`: by its whole name or its kind.
fn is_wanted(manager: &str, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| {
        manager == wanted
            || manager
                .strip_prefix(wanted)
                .is_some_and(|rest| rest.starts_with(':'))
    })
}

/// Everything of this host. Managers that are not `wanted` are not asked; `state` is where the
/// agent's store lies.
pub(super) fn host(wanted: Option<&str>, state: &Path) -> anyhow::Result<List> {
    let clock = ClockAnchor::now()?;
    let users = Users::read().unwrap_or_else(|error| {
        log::warn!("{error}; homes are not known");
        Users::default()
    });
    let seed = procs::seed(&clock, &users, &Mounts::read()?)?;
    let running = presence::running_managers(&seed.processes);
    let mut paths = presence::load_paths_of_host(&users, &running);
    let sockets = ManagerSocket::among(&seed);
    let mut list = List::default();
    let mut managers: Vec<Manager> = paths.managers().cloned().collect();
    managers.sort_by_key(|manager| (*manager != Manager::System, manager.to_string()));
    let mut installed = Installed::new();
    for manager in managers {
        if !is_wanted(&manager.to_string(), wanted) {
            continue;
        }
        let socket = sockets.iter().find(|socket| socket.manager == manager);
        let is_running = manager == Manager::System || socket.is_some();
        let asked = if is_running {
            loaded_timers(socket).map_err(|error| error.to_string())
        } else {
            Err("it does not run".to_owned())
        };
        if let Ok(loaded) = &asked {
            paths.set_unit_path(&manager, &loaded.unit_path);
        }
        let mut sources = disk(&mut installed, &paths, &manager);
        if !is_running {
            only_own(&mut sources, &paths, &manager);
            if sources.disk.is_empty() && sources.masked.is_empty() {
                continue;
            }
        }
        let version = asked.map(|loaded| {
            sources.loaded = Some(loaded.timers);
            loaded.version
        });
        let timers = rows(&manager, sources, &clock);
        list.add(&manager, version, timers);
    }
    for problem in installed.take_problems() {
        log::warn!("{problem}");
    }
    Origins::of_host(state).fill(&mut list);
    for (manager, tgid) in containers(&seed) {
        if is_wanted(&manager.to_string(), wanted) {
            inside::add(&mut list, &manager, tgid);
        }
    }
    Ok(list)
}

/// The timers on disk of one manager, with what they start.
pub(super) fn disk(installed: &mut Installed, paths: &LoadPaths, manager: &Manager) -> Sources {
    let timers = installed.timers(paths, manager);
    let disk = timers.into_iter().map(|timer| OnDisk {
        starts: vec![starts(installed, paths, manager, &timer.unit)],
        enabled: installed.is_pulled(paths, manager, &timer.name),
        stamp: stamp(manager, &timer),
        timer,
    });
    Sources {
        loaded: None,
        disk: disk.collect(),
        masked: installed.masked_timers(paths, manager),
    }
}

fn starts(installed: &mut Installed, paths: &LoadPaths, manager: &Manager, unit: &str) -> Started {
    let mut started = Started {
        unit: unit.to_owned(),
        ..Started::default()
    };
    let name = UnitName::parse(unit).ok();
    let found = name.zip(installed.unit(paths, manager, unit));
    if let Some((name, (file, files))) = found {
        started.file = files
            .first()
            .map(|path| path.to_string_lossy().into_owned());
        let service = Service::new(&name, &file);
        let starting = service
            .commands
            .into_iter()
            .filter(|command| !command.key.contains("Stop") && !command.key.contains("Reload"));
        started.commands = starting
            .map(|command| Run {
                setting: command.key.to_owned(),
                argv: command.argv,
            })
            .collect();
        started.user = user(manager, service.user, &started.commands);
    }
    started
}

/// When the stamp file of a persistent timer says that it elapsed last.
fn stamp(manager: &Manager, timer: &TimerRef) -> Option<u64> {
    if *manager != Manager::System || !timer.timer.persistent {
        return None;
    }
    let path = Path::new("/var/lib/systemd/timers").join(format!("stamp-{}", timer.name));
    let touched = std::fs::symlink_metadata(path).ok()?.modified().ok()?;
    let since = touched.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// Of a manager that does not run, leaves what is its own: the directories that all users share
/// would be listed for each.
fn only_own(sources: &mut Sources, paths: &LoadPaths, manager: &Manager) {
    let own: Vec<&str> = paths
        .dirs()
        .iter()
        .filter(|dir| dir.serves.manager().as_ref() == Some(manager))
        .filter(|dir| dir.serves != Serves::AllUsers)
        .map(|dir| dir.path.as_str())
        .collect();
    let is_own = |path: &Path| own.iter().any(|dir| path.starts_with(dir));
    sources.disk.retain(|it| is_own(&it.timer.path));
    sources.masked.retain(|(_, path)| is_own(path));
}

/// The systemd of each container: the first process of another pid namespace.
fn containers(seed: &Seed) -> Vec<(Manager, u32)> {
    let own = seed.processes.iter().find(|process| process.key.tgid == 1);
    let own = own.map_or(0, |process| process.pid_ns);
    let is_first = |process: &&Process| {
        process.pid_ns != own
            && process.name() == "systemd"
            && procs::namespaced_pid(process.key.tgid) == Some(1)
    };
    let found = seed.processes.iter().filter(is_first).map(|process| {
        let cgroup = process.cgroup.as_deref().unwrap_or("/");
        let manager = match unit_of_cgroup(cgroup).manager {
            container @ Manager::Container(_) => container,
            _ => Manager::Container(cgroup.to_owned()),
        };
        (manager, process.key.tgid)
    });
    found.take(CONTAINERS_MAX).collect()
}

/// What lies on disk below `/`, of PID 1 alone.
pub(super) fn files() -> anyhow::Result<(LoadPaths, Sources, ClockAnchor)> {
    let clock = ClockAnchor::now().context("cannot tell the time")?;
    let paths = LoadPaths::builtin();
    let sources = disk(&mut Installed::new(), &paths, &Manager::System);
    Ok((paths, sources, clock))
}
