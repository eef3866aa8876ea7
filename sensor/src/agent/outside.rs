//! Processes in a service that its unit does not account for.

use std::collections::HashMap;

use super::{Agent, activations::HeldExec, processes::Arrival};
use crate::{
    detect::{Outside, command_outside_unit},
    event::Manager,
    systemd::{
        cgroup::unit_of_cgroup,
        known_command::is_known_command,
        service::Service,
        unit_name::{UnitName, UnitType},
    },
};

/// Most managers whose reloads are remembered, and most findings.
const MANAGERS_MAX: usize = 4096;
const TOLD_MAX: usize = 1024;
/// For how long the same is not said again, in nanoseconds.
const SILENCE: u64 = 60_000_000_000;

/// When managers read their units last, and what was said of processes outside of them.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// When the last reload began, in nanoseconds since boot.
    reloads: HashMap<Manager, u64>,
    told: HashMap<(Manager, String, String), u64>,
}

impl Loaded {
    /// A manager begins to read its units anew. `now` is nanoseconds since boot.
    pub(crate) fn reloads(&mut self, manager: &Manager, now: u64) {
        if self.reloads.len() >= MANAGERS_MAX {
            self.reloads.clear(); // then less is said
        }
        self.reloads.insert(manager.clone(), now);
    }

    fn is_news(&mut self, what: (Manager, String, String), now: u64) -> bool {
        self.told
            .retain(|_, time| time.saturating_add(SILENCE) > now);
        if self.told.len() >= TOLD_MAX {
            self.told.clear(); // at worst something is told twice
        }
        self.told.insert(what, now).is_none()
    }
}

impl Agent {
    /// Tells when a process in a service is none that the unit accounts for.
    pub(super) fn look_at_command(&mut self, held: &HeldExec, arrival: &Arrival) {
        let outside = match arrival {
            Arrival::Within => None,
            Arrival::Started => self.is_unnamed(held).then_some(Outside::Unnamed),
            Arrival::Moved(from, to) => Some(Outside::Moved {
                from: from.clone(),
                to: unit_of_cgroup(to),
            }),
        };
        let Some(outside) = outside else { return };
        let process = &held.exec.process;
        let (manager, unit) = match (&outside, &held.exec.systemd) {
            (Outside::Moved { to, .. }, _) => (to.manager.clone(), to.unit.clone()),
            (Outside::Unnamed, Some(context)) => (context.manager.clone(), context.unit.clone()),
            (Outside::Unnamed, None) => return,
        };
        let what = (manager, unit.unwrap_or_default(), process.command_line());
        if !self.loaded.is_news(what, held.time.boot) {
            return;
        }
        let cause = self.correlator.cause(&self.started(held, &[], None));
        let finding = command_outside_unit(&held.exec, &held.uid, &outside, cause);
        let spawner = process.spawner.map_or(0, |spawner| spawner.tgid);
        if let Some(finding) = self.detector.ran(finding, spawner) {
            self.tell_finding(held.time, finding);
        }
    }

    /// Whether a process that a manager started is none of the commands of its unit, as far as it
    /// is sure what the manager has loaded: all that the unit is made of was not touched since.
    fn is_unnamed(&mut self, held: &HeldExec) -> bool {
        let process = &held.exec.process;
        let context = held.exec.systemd.as_ref();
        let Some(context) = context.filter(|context| context.invocation_id.is_some()) else {
            return false;
        };
        let name = context.unit.as_deref().map(UnitName::parse);
        let Some(Ok(name)) = name.filter(|name| {
            name.as_ref()
                .is_ok_and(|name| name.kind() == UnitType::Service)
        }) else {
            return false;
        };
        let (manager, paths) = (&context.manager, &self.watching.paths);
        let Some((file, _)) = self.installed.unit(paths, manager, name.as_str()) else {
            return false;
        };
        let service = Service::new(&name, &file);
        if service.commands.is_empty()
            || is_known_command(&service, &process.argv, process.argv_truncated)
        {
            return false;
        }
        let started = match manager {
            Manager::System => 0,
            _ => process.spawner.map_or(u64::MAX, |spawner| spawner.start),
        };
        let reloaded = self.loaded.reloads.get(manager).copied();
        let since = self.facts.time(reloaded.unwrap_or(started)).wall;
        self.installed
            .is_untouched_since(paths, manager, name.as_str(), since)
    }
}
