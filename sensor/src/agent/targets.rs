//! What timed units execute and read: files that are worth watching wherever they are.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use super::{facts::Facts, watching::Watching};
use crate::{
    event::{FileIdentity, Manager},
    kernel::fanotify::Scope,
    systemd::{
        installed::Installed,
        service::Service,
        unit_name::{UnitName, UnitType},
    },
};

/// Most files that are watched as targets.
const TARGETS_MAX: usize = 4096;

/// Directories whose files well-known timed services run or read: apt-daily, anacron and the
/// `cron-*` timers, logrotate, certbot, systemd-tmpfiles-clean, fwupd, man-db.
const HOOKS: [(&str, &str); 13] = [
    ("/etc/apt/apt.conf.d", "apt-daily.service"),
    ("/etc/cron.hourly", "anacron.service"),
    ("/etc/cron.daily", "anacron.service"),
    ("/etc/cron.weekly", "anacron.service"),
    ("/etc/cron.monthly", "anacron.service"),
    ("/etc/cron.d", "cron.service"),
    ("/etc/logrotate.d", "logrotate.service"),
    ("/etc/letsencrypt/renewal-hooks/pre", "certbot.service"),
    ("/etc/letsencrypt/renewal-hooks/deploy", "certbot.service"),
    ("/etc/letsencrypt/renewal-hooks/post", "certbot.service"),
    ("/etc/tmpfiles.d", "systemd-tmpfiles-clean.service"),
    ("/usr/lib/tmpfiles.d", "systemd-tmpfiles-clean.service"),
    ("/run/tmpfiles.d", "systemd-tmpfiles-clean.service"),
];

/// Files that timed units rest on, by path, with one unit that does.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    files: HashMap<String, Target>,
    /// The names of the same files without links, by which changes are told.
    real: HashMap<String, String>,
}

#[derive(Debug)]
struct Target {
    unit: String,
    identity: Option<FileIdentity>,
}

impl Targets {
    /// The files that timed units name, and those that lie in the directories of well-known ones.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let named = self.files.keys().map(PathBuf::from);
        let named = named.map(|path| fs::canonicalize(&path).unwrap_or(path));
        let hooks = HOOKS
            .iter()
            .filter_map(|(hook, _)| fs::read_dir(hook).ok())
            .flatten()
            .flatten()
            .take(TARGETS_MAX)
            .map(|entry| entry.path());
        let wanted = |path: &PathBuf| path.to_str().is_some_and(|it| self.unit_of(it).is_some());
        named.chain(hooks.filter(wanted)).collect()
    }

    /// The timed unit that runs or reads `path`.
    pub(crate) fn unit_of(&self, path: &str) -> Option<&str> {
        if let Some(target) = self.files.get(path) {
            return Some(&target.unit);
        }
        if let Some(unit) = self.real.get(path) {
            return Some(unit);
        }
        let (directory, name) = path.rsplit_once('/')?;
        let hook = HOOKS.iter().find(|(hook, _)| *hook == directory)?;
        // What a package manager or an editor puts beside a file is run by none of them.
        let temporary = name.starts_with('.') || name.ends_with('~') || name.contains(".dpkg-");
        (!temporary).then_some(hook.1)
    }

    /// Finds out what the timed units of every manager rest on, and watches it.
    pub(crate) fn refresh(
        &mut self,
        installed: &mut Installed,
        watching: &mut Watching,
        facts: &Facts,
    ) {
        for (hook, _) in HOOKS {
            if let Ok(identity) = facts.mounts.identify(Path::new(hook)) {
                watching.watch(Path::new(hook), &identity, Scope::Content);
            }
        }
        let managers: Vec<Manager> = watching.paths.managers().cloned().collect();
        for manager in managers {
            for timer in installed.timers(&watching.paths, &manager) {
                self.add_service(installed, watching, &manager, &timer.unit);
            }
        }
        self.watch(watching, facts);
    }

    fn add_service(
        &mut self,
        installed: &mut Installed,
        watching: &Watching,
        manager: &Manager,
        unit: &str,
    ) {
        let Ok(name) = UnitName::parse(unit) else {
            return;
        };
        if name.kind() != UnitType::Service {
            return;
        }
        let Some((file, _)) = installed.unit(&watching.paths, manager, unit) else {
            return;
        };
        let service = Service::new(&name, &file);
        for path in service
            .paths()
            .filter(|path| !path.contains(char::is_whitespace))
        {
            self.add(path, unit);
        }
    }

    /// Adds one file that `unit` rests on.
    pub(crate) fn add(&mut self, path: &str, unit: &str) {
        if self.files.len() < TARGETS_MAX {
            let target = || Target {
                unit: unit.to_owned(),
                identity: None,
            };
            self.files.entry(path.to_owned()).or_insert_with(target);
        }
    }

    /// Watches the files as they are now; a file that was replaced is another one.
    pub(crate) fn watch(&mut self, watching: &mut Watching, facts: &Facts) {
        for (path, target) in &mut self.files {
            let real = fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
            let Ok(identity) = facts.mounts.identify(&real) else {
                continue;
            };
            if real != Path::new(path)
                && self.real.len() < TARGETS_MAX
                && let Some(real) = real.to_str()
            {
                self.real.insert(real.to_owned(), target.unit.clone());
            }
            let regular = identity.mode & 0o170_000 == 0o100_000;
            let same = target.identity.is_some_and(|known| {
                (known.device, known.inode) == (identity.device, identity.inode)
            });
            if regular && !same {
                watching.watch(&real, &identity, Scope::File);
                target.identity = Some(identity);
            }
        }
    }
}
