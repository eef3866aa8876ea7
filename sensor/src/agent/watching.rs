//! Keeps the watched places in step with where systemd looks.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{facts::Facts, targets::Targets};
use crate::{
    event::{FileIdentity, Manager},
    host::lookup::{self, Lookups},
    kernel::{Watches, fanotify::Scope},
    systemd::{
        installed::Installed,
        load_path::UserDirs,
        load_paths::LoadPaths,
        presence::{self, RunningManager, State},
    },
};

/// Most subdirectories of one directory that are marked one by one.
const SUBDIRECTORIES_MAX: usize = 4096;

/// Most drop-in and dependency directories that lie elsewhere.
const ENTERED_MAX: usize = 4096;

/// The load paths of every manager, and the watches that cover them.
#[derive(Debug)]
pub(crate) struct Watching {
    pub(crate) paths: LoadPaths,
    pub(crate) watches: Watches,
    /// What timed units execute and read.
    pub(crate) targets: Targets,
    /// By which places are looked up.
    pub(crate) lookups: Lookups,
    /// Drop-in and dependency directories that lie elsewhere: mounts, and what links lead to.
    entered: Vec<(PathBuf, FileIdentity)>,
    /// Places that cannot be watched, each with its reason.
    pub(crate) blind: Vec<String>,
}

impl Watching {
    /// Watches all load paths of this host, those that do not exist yet by what is above them.
    pub(crate) fn start(watches: Watches, facts: &Facts, running: &[RunningManager]) -> Self {
        let paths = presence::load_paths_of_host(&facts.users, running);
        let mut watching = Self {
            paths,
            watches,
            targets: Targets::default(),
            lookups: Lookups::default(),
            entered: Vec::new(),
            blind: Vec::new(),
        };
        watching.survey(&BTreeSet::from(["/".to_owned()]), facts);
        watching
    }

    /// Adds the load paths of a user whose manager starts. Says whether they are new.
    pub(crate) fn add_user(&mut self, uid: u32, facts: &Facts) -> bool {
        if !self.paths.unit_dirs(&Manager::User(uid)).is_empty() {
            return false;
        }
        let home = facts.users.all().iter().find(|user| user.uid == uid);
        let home = home.map_or("/nonexistent", |user| user.home.as_str());
        self.paths
            .add_user(UserDirs::new(uid, home, Some(&format!("/run/user/{uid}"))));
        true
    }

    /// Takes in where a manager says it looks for units. Says whether a place is new.
    pub(crate) fn set_unit_path(&mut self, manager: &Manager, paths: &[String]) -> bool {
        let known = self.paths.dirs().len();
        for refused in self.paths.set_unit_path(manager, paths) {
            self.gap(format!(
                "manager {manager} looks for units in {refused}, which is not watched for it"
            ));
        }
        self.paths.dirs().len() > known
    }

    /// Adds the load paths of a capsule whose manager starts. Says whether they are new.
    pub(crate) fn add_capsule(&mut self, name: &str) -> bool {
        let manager = Manager::Capsule(name.to_owned());
        let new = self.paths.unit_dirs(&manager).is_empty();
        if new {
            self.paths.add_user(UserDirs::capsule(name));
        }
        new
    }

    /// Adds the load paths of users that passwd has now. Returns those that are new.
    pub(crate) fn add_users(&mut self, facts: &Facts) -> Vec<u32> {
        let homes: Vec<u32> = facts.users.homes().map(|user| user.uid).collect();
        let new = homes.into_iter().filter(|&uid| self.add_user(uid, facts));
        new.collect()
    }

    /// Looks which places at and below those paths exist now and watches them. Returns the
    /// directories that came into view.
    pub(crate) fn survey(&mut self, below: &BTreeSet<String>, facts: &Facts) -> Vec<PathBuf> {
        let mut new = Vec::new();
        let places = self.paths.dirs_below(below);
        let mut ways: BTreeSet<PathBuf> = places
            .iter()
            .flat_map(|place| Path::new(&place.path).ancestors().skip(1))
            .map(Path::to_owned)
            .collect();
        let (paths, lookups) = (&mut self.paths, &mut self.lookups);
        // A file that is read may be made anew, and replaced: its directory tells.
        let files = places.iter().filter(|place| place.is_file);
        let holding: BTreeSet<PathBuf> = files
            .filter_map(|place| Path::new(&place.path).parent().map(Path::to_owned))
            .collect();
        for place in presence::survey(places, paths, lookups, &facts.mounts) {
            match place.state {
                State::Present(found) => {
                    let scope = if place.dir.is_file {
                        Scope::File
                    } else {
                        Scope::Content
                    };
                    let path = PathBuf::from(found.path);
                    if self.watch(&path, &found.identity, scope) {
                        new.push(path.clone());
                    }
                    if scope == Scope::Content {
                        self.subdirectories(&path, facts);
                    }
                }
                State::Missing(above) => {
                    self.watch(Path::new(&above.path), &above.identity, Scope::Ancestor);
                }
                State::Unknown(error) => self.gap(error.to_string()),
            }
        }
        let below = self.paths.directories_below(below);
        ways.extend(below.into_iter().map(PathBuf::from));
        for way in ways {
            if let Ok((path, identity)) = self.lookups.find(&way, &facts.mounts) {
                let scope = if holding.contains(&way) {
                    Scope::Entries
                } else {
                    Scope::Ancestor
                };
                self.watch(&path, &identity, scope);
            }
        }
        new
    }

    /// Marks see one level: drop-in and dependency directories need their own. The programs walk
    /// up and do not.
    fn subdirectories(&mut self, path: &Path, facts: &Facts) {
        if self.watches.fanotify().is_none() {
            return;
        }
        let Ok(entries) = lookup::list(path, &facts.mounts) else {
            return;
        };
        for entry in entries.flatten().take(SUBDIRECTORIES_MAX) {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let wanted = [".d", ".wants", ".requires", ".upholds"];
            if wanted.iter().any(|suffix| name.ends_with(suffix))
                && entry.file_type().is_ok_and(|kind| kind.is_dir())
                && let path = path.join(entry.file_name())
                && let Some(identity) = lookup::identify_link(&path, &facts.mounts)
            {
                self.watch(&path, &identity, Scope::Content);
            }
        }
    }

    /// Remembers a directory that belongs to a load path and lies elsewhere.
    pub(crate) fn entered(&mut self, path: &Path, identity: FileIdentity) {
        self.entered.retain(|(known, _)| known != path);
        if self.entered.len() < ENTERED_MAX {
            self.entered.push((path.to_owned(), identity));
        }
    }

    /// Forgets the directories from elsewhere that belong to a load path no more.
    pub(crate) fn leave_gone(&mut self, facts: &Facts) {
        for (path, identity) in std::mem::take(&mut self.entered) {
            let now = self.lookups.find(&path, &facts.mounts);
            let same = now
                .is_ok_and(|(_, now)| (now.device, now.inode) == (identity.device, identity.inode));
            if same {
                self.entered.push((path, identity));
            } else {
                self.watches.forget(&identity);
            }
        }
    }

    /// Watches one place. Says whether it was not watched so before.
    pub(crate) fn watch(&mut self, path: &Path, identity: &FileIdentity, scope: Scope) -> bool {
        match self.watches.add(path, identity, scope) {
            Ok(new) => new,
            Err(error) => {
                self.gap(error.to_string());
                false
            }
        }
    }

    /// Watches a unit file that a manager loads from a place that is no load path.
    pub(crate) fn add_unit(&mut self, path: &str, unit: Option<&str>, identity: &FileIdentity) {
        self.targets.add(path, unit.unwrap_or_default());
        self.watch(Path::new(path), identity, Scope::File);
    }

    /// Begins to find out anew what timed units rest on.
    pub(crate) fn begin_targets(&mut self, facts: &Facts) {
        let mut targets = std::mem::take(&mut self.targets);
        targets.begin(self, facts);
        self.targets = targets;
    }

    /// Goes on with that until it is done, or `until` (nanoseconds since boot) has come.
    pub(crate) fn step_targets(&mut self, installed: &mut Installed, facts: &Facts, until: u64) {
        let mut targets = std::mem::take(&mut self.targets);
        while targets.is_busy() {
            targets.step(installed, self, facts);
            if facts.now().boot >= until {
                break;
            }
        }
        self.targets = targets;
    }

    /// Watches anew the targets that one comes to by a directory or link, and says what they are called.
    pub(crate) fn targets_by_way_of(&mut self, name: &Path, facts: &Facts) -> Vec<PathBuf> {
        let mut targets = std::mem::take(&mut self.targets);
        let found = targets.by_way_of(name, self, facts);
        self.targets = targets;
        found
    }

    /// Remembers a place that cannot be watched, and says so.
    pub(crate) fn gap(&mut self, reason: String) {
        if !self.blind.contains(&reason) && self.blind.len() < 256 {
            log::warn!("{reason}");
            self.blind.push(reason);
        }
    }
}
