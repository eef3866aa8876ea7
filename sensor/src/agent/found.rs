//! What was there before anybody watched.

use std::{collections::HashSet, path::PathBuf};

use super::Agent;

impl Agent {
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
            for path in primed.elsewhere {
                let name = path.to_string_lossy();
                let unit = self.watching.paths.classify(&name);
                let unit = unit.and_then(|unit| unit.unit);
                self.watch_by_identity(&name, unit.as_deref());
            }
        }
        unread
    }
}
