//! What was told lately, so that a look at a directory does not tell it again.

use std::{
    collections::{HashSet, VecDeque},
    path::PathBuf,
};

/// Most paths that are remembered.
const PATHS_MAX: usize = 8192;
/// How long a directory that came into view is left alone, in nanoseconds: what was made in it
/// meanwhile arrives as changes of its own, with the writer.
const SETTLE: u64 = 300_000_000;

/// Paths told lately, and directories that wait to be looked into.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    told: HashSet<String>,
    order: VecDeque<String>,
    waiting: VecDeque<(u64, PathBuf)>,
}

impl Recent {
    /// Remembers that a change of `path` was told.
    pub(crate) fn tell(&mut self, path: &str) {
        if self.told.insert(path.to_owned()) {
            self.order.push_back(path.to_owned());
        }
        while self.order.len() > PATHS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.told.remove(&oldest);
        }
    }

    /// Whether a change of `path` was told lately.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.told.contains(path)
    }

    /// Forgets all: other file systems may lie behind the same paths now.
    pub(crate) fn forget(&mut self) {
        self.told.clear();
        self.order.clear();
    }

    /// Remembers a directory that came into view at `now`.
    pub(crate) fn look_later(&mut self, directory: PathBuf, now: u64) {
        if self.waiting.len() < PATHS_MAX {
            self.waiting
                .push_back((now.saturating_add(SETTLE), directory));
        }
    }

    /// The next directory that has settled by `now`.
    pub(crate) fn settled(&mut self, now: u64) -> Option<PathBuf> {
        if self.waiting.front()?.0 > now {
            return None;
        }
        self.waiting.pop_front().map(|(_, directory)| directory)
    }
}
