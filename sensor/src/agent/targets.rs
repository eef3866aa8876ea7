//! What timed units execute and read: files that are worth watching wherever they are.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs,
    path::{Path, PathBuf},
};

use super::{facts::Facts, watching::Watching};
use crate::{
    event::{FileIdentity, Manager},
    host::{lookup, mounts::MountError},
    kernel::fanotify::Scope,
    systemd::{
        brought::brought,
        installed::Installed,
        service::Service,
        targets::{self, Target as Named},
        unit_name::{UnitName, UnitType},
    },
};

/// Most files that are watched as targets.
const TARGETS_MAX: usize = 4096;

/// Most units that timers lead to.
const UNITS_MAX: usize = 8192;
/// Most directories of which each file is run.
const DIRECTORIES_MAX: usize = 256;
/// Most names on the way to targets.
const WAYS_MAX: usize = 16_384;

/// Where everybody makes files all the time: a target in there is watched while it is there.
const BUSY: [&str; 3] = ["/dev/shm", "/tmp", "/var/tmp"];

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
    /// Directories of which each file is run, with one unit that does so.
    directories: HashMap<String, String>,
    /// Directories and links on the way to a target, with its unit: whoever changes one of them changes
    /// what the unit runs.
    ways: HashMap<PathBuf, String>,
    /// The agent's own, with the unit that runs it.
    own: Option<Own>,
    /// The units that were looked at, in the look at all of them that goes on.
    followed: HashSet<(Manager, String)>,
    /// What is still to be done of a look at all of them.
    steps: VecDeque<Step>,
}

/// What the agent itself keeps: by name, for it comes and goes.
#[derive(Debug)]
struct Own {
    unit: String,
    /// Directories that are watched whole, and files in them.
    directories: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

/// A piece of work that is short enough to be done between two looks at the rings.
#[derive(Debug)]
enum Step {
    /// Find a manager's timers.
    Manager(Manager),
    /// Find what a unit rests on.
    Unit(Manager, String),
    /// Watch a file.
    File(String),
}

#[derive(Debug)]
struct Target {
    unit: String,
    identity: Option<FileIdentity>,
    /// What was met on the way to it.
    way: Vec<PathBuf>,
}

impl Targets {
    /// The files that timed units name, and those that lie in the directories of well-known ones.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let named = self.files.keys().map(PathBuf::from);
        let named = named.map(|path| fs::canonicalize(&path).unwrap_or(path));
        let hooks = HOOKS.iter().map(|(hook, _)| *hook);
        let hooks = hooks
            .chain(self.directories.keys().map(String::as_str))
            .filter_map(|hook| fs::read_dir(hook).ok())
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
        if self.is_own(Path::new(path)) {
            return Some(&self.own.as_ref()?.unit);
        }
        let (directory, name) = path.rsplit_once('/')?;
        let hook = HOOKS.iter().find(|(hook, _)| *hook == directory);
        let unit = match hook {
            Some((_, unit)) => *unit,
            None => self.directories.get(directory)?,
        };
        // What a package manager or an editor puts beside a file is run by none of them.
        let temporary = name.starts_with('.') || name.ends_with('~') || name.contains(".dpkg-");
        (!temporary).then_some(unit)
    }

    /// The timed unit to whose target a directory or link leads.
    pub(crate) fn on_the_way(&self, path: &str) -> Option<&str> {
        self.ways.get(Path::new(path)).map(String::as_str)
    }

    /// Watches anew the targets that one comes to by `name`, a directory or link that is another one
    /// now. Returns what they are called: below `name` where that is so, else without links.
    pub(crate) fn by_way_of(
        &mut self,
        name: &Path,
        watching: &mut Watching,
        facts: &Facts,
    ) -> Vec<PathBuf> {
        let leads = |(path, target): (&String, &Target)| {
            let met = target.way.iter().any(|met| met == name);
            met.then(|| path.clone())
        };
        let led: Vec<String> = self.files.iter().filter_map(leads).collect();
        let mut found = Vec::new();
        for path in led {
            self.watch(&path, watching, facts);
            let path = PathBuf::from(path);
            if path.starts_with(name) {
                found.push(path);
            } else if let Ok((real, _)) = watching.lookups.find(&path, &facts.mounts) {
                found.push(real);
            }
        }
        found
    }

    /// Begins to find out what the timed units of every manager rest on.
    pub(crate) fn begin(&mut self, watching: &mut Watching, facts: &Facts) {
        for (hook, _) in HOOKS {
            if let Ok((_, identity)) = watching.lookups.find(Path::new(hook), &facts.mounts) {
                watching.watch(Path::new(hook), &identity, Scope::Content);
            }
        }
        self.watch_own(watching, facts);
        let managers = watching.paths.managers().cloned();
        self.steps = managers.map(Step::Manager).collect();
        self.followed.clear();
    }

    /// Whether that is not done yet.
    pub(crate) fn is_busy(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Does one step of it.
    pub(crate) fn step(
        &mut self,
        installed: &mut Installed,
        watching: &mut Watching,
        facts: &Facts,
    ) {
        match self.steps.pop_front() {
            Some(Step::Manager(manager)) => {
                let timers = installed.timers(&watching.paths, &manager);
                let last = self.steps.is_empty();
                for timer in timers {
                    let step = Step::Unit(manager.clone(), timer.unit);
                    self.steps.push_back(step);
                }
                if last && self.steps.is_empty() {
                    self.watch_all();
                }
            }
            Some(Step::Unit(manager, unit)) => {
                self.add_unit(installed, watching, &manager, &unit, facts);
                if self.steps.is_empty() {
                    self.watch_all();
                }
            }
            Some(Step::File(path)) => self.watch(&path, watching, facts),
            None => {}
        }
    }

    fn watch_all(&mut self) {
        self.steps = self.files.keys().cloned().map(Step::File).collect();
    }

    /// Adds what a unit rests on that a timer leads to, and goes on to those that it brings.
    fn add_unit(
        &mut self,
        installed: &mut Installed,
        watching: &mut Watching,
        manager: &Manager,
        unit: &str,
        facts: &Facts,
    ) {
        let Ok(name) = UnitName::parse(unit) else {
            return;
        };
        let known = (manager.clone(), unit.to_owned());
        if self.followed.len() >= UNITS_MAX || !self.followed.insert(known) {
            return;
        }
        let Some((file, _)) = installed.unit(&watching.paths, manager, unit) else {
            return;
        };
        for unit in brought(&name, &file) {
            self.steps.push_back(Step::Unit(manager.clone(), unit));
        }
        let section = match name.kind() {
            UnitType::Service => "Service",
            UnitType::Socket => "Socket",
            UnitType::Mount => "Mount",
            UnitType::Swap => "Swap",
            _ => return,
        };
        if let Some(kind) = file.last(section, "Type")
            && name.kind() == UnitType::Mount
            && !kind.contains('/')
        {
            self.add(&format!("/sbin/mount.{kind}"), unit);
        }
        let service = Service::in_section(section, &name, &file);
        for target in targets::targets(&service) {
            match target {
                Named::File(path) => self.add(&path, unit),
                // Those before the one that is there would be run in its stead.
                Named::FirstOf(paths) => {
                    for path in paths {
                        self.add(&path, unit);
                        if lookup::identify_link(Path::new(&path), &facts.mounts).is_some() {
                            break;
                        }
                    }
                }
                Named::Directory(path) if self.directories.len() < DIRECTORIES_MAX => {
                    self.add_directory(&path, unit, watching, facts);
                }
                Named::Directory(_) => {}
            }
        }
    }

    /// Watches a directory of which each file is run.
    fn add_directory(&mut self, path: &str, unit: &str, watching: &mut Watching, facts: &Facts) {
        if let Ok((real, identity)) = watching.lookups.find(Path::new(path), &facts.mounts)
            && identity.mode & libc::S_IFMT == libc::S_IFDIR
        {
            watching.watch(&real, &identity, Scope::Content);
            let real = real.to_string_lossy().into_owned();
            self.directories.insert(real, unit.to_owned());
        }
        self.directories.insert(path.to_owned(), unit.to_owned());
        self.add(path, unit);
    }

    /// Adds one file that `unit` rests on.
    pub(crate) fn add(&mut self, path: &str, unit: &str) {
        if self.files.len() < TARGETS_MAX {
            let target = || Target {
                unit: unit.to_owned(),
                identity: None,
                way: Vec::new(),
            };
            self.files.entry(path.to_owned()).or_insert_with(target);
        }
    }

    /// Has directories of the agent's own watched, for `files` in them and themselves. They are not read:
    /// what is in them changes all the time.
    pub(crate) fn keep_own(&mut self, directories: Vec<PathBuf>, files: Vec<PathBuf>, unit: &str) {
        self.own = Some(Own {
            unit: unit.to_owned(),
            directories,
            files,
        });
    }

    /// Whether `path` is one of those.
    pub(crate) fn is_own(&self, path: &Path) -> bool {
        let own = self.own.as_ref();
        own.is_some_and(|own| {
            own.directories
                .iter()
                .chain(&own.files)
                .any(|one| one == path)
        })
    }

    /// Watches the agent's own directories, as far as they are there.
    pub(crate) fn watch_own(&self, watching: &mut Watching, facts: &Facts) {
        for directory in self.own.iter().flat_map(|own| &own.directories) {
            if let Some(identity) = lookup::identify_link(directory, &facts.mounts)
                && identity.mode & libc::S_IFMT == libc::S_IFDIR
            {
                watching.watch(directory, &identity, Scope::Content);
            }
        }
    }

    /// Watches a file as it is now; one that was replaced is another one.
    fn watch(&mut self, path: &str, watching: &mut Watching, facts: &Facts) {
        self.watch_way(path, watching, facts);
        let Some(target) = self.files.get_mut(path) else {
            return;
        };
        let found = watching.lookups.find(Path::new(path), &facts.mounts);
        let (real, identity) = match found {
            Ok(found) => found,
            Err(error @ MountError::Silent { .. }) => return watching.gap(error.to_string()),
            Err(_) => return, // not there now
        };
        if real != Path::new(path)
            && self.real.len() < TARGETS_MAX
            && let Some(real) = real.to_str()
        {
            self.real.insert(real.to_owned(), target.unit.clone());
        }
        let regular = identity.mode & libc::S_IFMT == libc::S_IFREG;
        let same = target
            .identity
            .is_some_and(|known| (known.device, known.inode) == (identity.device, identity.inode));
        if regular && !same {
            watching.watch(&real, &identity, Scope::File);
            target.identity = Some(identity);
        }
    }

    /// Watches what is met on the way to a file: the directories and links that lead to it, and its
    /// name, which may be given to another file.
    fn watch_way(&mut self, path: &str, watching: &mut Watching, facts: &Facts) {
        let lookup::Way { names, whole } = lookup::way(Path::new(path), &facts.mounts);
        let Some(target) = self.files.get_mut(path) else {
            return;
        };
        if target.way != names {
            if whole
                && self.real.len() < TARGETS_MAX
                && let Some(name) = names.last().and_then(|name| name.to_str())
            {
                self.real.insert(name.to_owned(), target.unit.clone());
            }
            let on_the_way = names.iter().take(names.len() - usize::from(whole));
            for name in on_the_way {
                if self.ways.len() < WAYS_MAX {
                    let unit = || target.unit.clone();
                    self.ways.entry(name.clone()).or_insert_with(unit);
                }
            }
            target.way.clone_from(&names);
        }
        for (at, name) in names.iter().enumerate() {
            let Some(parent) = name.parent() else {
                continue;
            };
            let Ok((real, identity)) = watching.lookups.find(parent, &facts.mounts) else {
                continue;
            };
            let busy = BUSY.iter().any(|busy| Path::new(busy) == real);
            let own = whole && at + 1 == names.len() && !busy;
            let scope = if own { Scope::Entries } else { Scope::Ancestor };
            watching.watch(&real, &identity, scope);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_own_is_known_by_name() {
        let mut targets = Targets::default();
        targets.add("/usr/bin/whodunit", "whodunit.service");
        let directories = vec![PathBuf::from("/var/lib/whodunit")];
        let files = vec![PathBuf::from("/var/lib/whodunit/store.db")];
        targets.keep_own(directories, files, "whodunit.service");
        let own = [
            ("/usr/bin/whodunit", false),
            ("/var/lib/whodunit", true),
            ("/var/lib/whodunit/store.db", true),
        ];
        for (path, kept) in own {
            assert_eq!(targets.unit_of(path), Some("whodunit.service"), "{path}");
            assert_eq!(targets.is_own(Path::new(path)), kept, "{path}");
        }
        for path in ["/var/lib/whodunit/lock", "/var/lib/other", "/var/lib"] {
            assert_eq!(targets.unit_of(path), None, "{path}");
        }
        // What is kept is not read at the start: it is never the same twice.
        let read = targets.paths();
        assert!(read.contains(&PathBuf::from("/usr/bin/whodunit")));
        assert!(!read.iter().any(|path| targets.is_own(path)), "{read:?}");
    }
}
