//! What was there before anybody watched.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use super::{Agent, changes};

/// Most entries of one directory that are told when it comes into view.
const FOUND_MAX: usize = 4096;

impl Agent {
    /// Tells what is found in directories that came into view and have settled: it was made before
    /// anybody looked, or a mount brought it.
    pub(super) fn look_into_new(&mut self) {
        let now = self.facts.now().boot;
        while let Some(directory) = self.recent.settled(now) {
            let (paths, more) = entries(&directory);
            if more {
                let many = format!("{}: more than {FOUND_MAX} entries", directory.display());
                self.gaps.note(many);
            }
            for path in paths {
                let found = changes::found(&path, &self.facts, &self.watching);
                if let Some(found) = found.filter(|found| !self.recent.has(&found.change.path)) {
                    self.changed(found, now);
                }
            }
        }
    }

    /// Learns what is in all load paths and in what timed units rest on, so that the first change
    /// shows what it changed. Gives the names that were not read.
    pub(super) fn learn_contents(&mut self) -> HashSet<PathBuf> {
        let dirs = self.watching.paths.dirs().iter();
        let mut places: Vec<PathBuf> = dirs.map(|dir| PathBuf::from(&dir.path)).collect();
        places.extend(self.watching.targets.paths());
        let mut unread = HashSet::new();
        for place in places {
            let primed = self
                .contents
                .prime(&place, &self.watching.paths, &self.facts.mounts);
            unread.extend(primed.unread);
            if let Some(gap) = primed.gap {
                self.gaps.note(format!("not known: {gap}"));
            }
        }
        unread
    }
}

/// What is in a directory, and whether there is more.
fn entries(directory: &Path) -> (Vec<PathBuf>, bool) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return (Vec::new(), false);
    };
    let mut entries = entries.flatten().map(|entry| entry.path());
    let some = entries.by_ref().take(FOUND_MAX).collect();
    (some, entries.next().is_some())
}
