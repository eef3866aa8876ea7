//! Keeps the watched places in step with where systemd looks.

use std::path::{Path, PathBuf};

use super::{facts::Facts, targets::Targets};
use crate::{
    event::{FileIdentity, Manager},
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

/// The load paths of every manager, and the watches that cover them.
#[derive(Debug)]
pub(crate) struct Watching {
    pub(crate) paths: LoadPaths,
    pub(crate) watches: Watches,
    /// What timed units execute and read.
    pub(crate) targets: Targets,
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
            blind: Vec::new(),
        };
        watching.survey(facts);
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

    /// Adds the load paths of users that passwd has now. Says whether there are any.
    pub(crate) fn add_users(&mut self, facts: &Facts) -> bool {
        let homes: Vec<u32> = facts.users.homes().map(|user| user.uid).collect();
        homes
            .into_iter()
            .filter(|&uid| self.add_user(uid, facts))
            .count()
            > 0
    }

    /// Looks which places exist now and watches them. Returns the directories that came into view.
    pub(crate) fn survey(&mut self, facts: &Facts) -> Vec<PathBuf> {
        let mut new = Vec::new();
        for place in presence::survey(&mut self.paths, &facts.mounts) {
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
        let ways: Vec<String> = self
            .paths
            .all_directories()
            .into_iter()
            .map(str::to_owned)
            .collect();
        for way in ways {
            if let Ok(identity) = facts.mounts.identify(Path::new(&way)) {
                self.watch(Path::new(&way), &identity, Scope::Ancestor);
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
        let Ok(entries) = std::fs::read_dir(path) else {
            return;
        };
        for entry in entries.flatten().take(SUBDIRECTORIES_MAX) {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let wanted = [".d", ".wants", ".requires", ".upholds"];
            if wanted.iter().any(|suffix| name.ends_with(suffix))
                && entry.file_type().is_ok_and(|kind| kind.is_dir())
                && let Ok(identity) = facts.mounts.identify(&entry.path())
            {
                self.watch(&entry.path(), &identity, Scope::Content);
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

    /// Finds out anew what timed units rest on.
    pub(crate) fn refresh_targets(&mut self, installed: &mut Installed, facts: &Facts) {
        let mut targets = std::mem::take(&mut self.targets);
        targets.refresh(installed, self, facts);
        self.targets = targets;
    }

    fn gap(&mut self, reason: String) {
        if !self.blind.contains(&reason) && self.blind.len() < 256 {
            log::warn!("{reason}");
            self.blind.push(reason);
        }
    }
}
