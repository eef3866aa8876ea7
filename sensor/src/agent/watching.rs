//! Keeps the watched places in step with where systemd looks.

use std::path::{Path, PathBuf};

use super::facts::Facts;
use crate::{
    event::{FileIdentity, Manager},
    kernel::{Watches, fanotify::Scope},
    systemd::{
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
            blind: Vec::new(),
        };
        watching.survey(facts);
        watching
    }

    /// Adds the load paths of a user manager that was not known.
    pub(crate) fn add_user(&mut self, uid: u32, facts: &Facts) {
        let manager = Manager::User(uid);
        if !self.paths.unit_dirs(&manager).is_empty() {
            return;
        }
        let home = facts.users.all().iter().find(|user| user.uid == uid);
        let runtime = format!("/run/user/{uid}");
        let home = home.map_or("/nonexistent", |user| user.home.as_str());
        self.paths
            .add_user(UserDirs::new(uid, home, Some(&runtime)));
        self.survey(facts);
    }

    /// Looks which places exist now and watches them. Returns the directories that were new.
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

    fn gap(&mut self, reason: String) {
        if !self.blind.contains(&reason) && self.blind.len() < 256 {
            log::warn!("{reason}");
            self.blind.push(reason);
        }
    }
}
