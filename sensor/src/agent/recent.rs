//! What was told lately, and directories that came into view, with what brought them: so that a look
//! into one tells what came along, by whom, and nothing twice.

use std::{
    collections::{HashMap, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::correlate::Seen;
use crate::event::{Actor, Change, Verb};

/// Most paths that are remembered.
const PATHS_MAX: usize = 8192;
/// Most deeds that are remembered.
const BROUGHT_MAX: usize = 256;
/// How long a directory that came into view is left alone, in nanoseconds: what was made in it
/// meanwhile arrives as changes of its own, with the writer.
const SETTLE: u64 = 300_000_000;
/// How long after a deed directories that come into view below its path came by it, in nanoseconds.
const BROUGHT: u64 = 5_000_000_000;

/// Most changes that are remembered where no manager was known to read.
const UNREAD_MAX: usize = 256;

/// A rename, link or mount, which brings along all that is in a directory.
#[derive(Debug)]
pub(crate) struct Brought {
    pub(crate) verb: Verb,
    /// What the directory is called now.
    pub(crate) path: PathBuf,
    /// The old name, of a rename.
    pub(crate) from: Option<PathBuf>,
    /// The text of a link, the source of a mount.
    pub(crate) target: Option<PathBuf>,
    pub(crate) writer: Actor,
    /// When, in nanoseconds since boot.
    pub(crate) time: u64,
}

impl Brought {
    fn new(change: &Change, time: u64) -> Self {
        Self {
            verb: change.verb,
            path: PathBuf::from(&change.path),
            from: change.from.as_deref().map(PathBuf::from),
            target: change.target.as_deref().map(PathBuf::from),
            writer: change.writer.clone(),
            time,
        }
    }

    /// What `path`, which lies below, was called before.
    pub(crate) fn old_name(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.path).ok()?;
        Some(self.from.as_ref()?.join(below))
    }

    /// What `path`, which lies below, is called where the link leads to or the mount comes from.
    pub(crate) fn source(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.path).ok()?;
        Some(self.target.as_ref()?.join(below))
    }
}

/// A directory that is to be looked into.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) directory: PathBuf,
    /// What brought it, if that is known.
    pub(crate) by: Option<Arc<Brought>>,
    /// When it came into view, in nanoseconds since boot.
    since: u64,
}

/// Paths told lately, deeds, and directories that wait to be looked into.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    told: HashMap<String, u64>,
    order: VecDeque<String>,
    brought: VecDeque<(u64, Arc<Brought>)>,
    waiting: VecDeque<Look>,
    /// Changes of what looks like units, where no known manager read it then.
    unread: VecDeque<Seen>,
}

impl Recent {
    /// Remembers that a change of `path` at `time` was told.
    pub(crate) fn tell(&mut self, path: &str, time: u64) {
        match self.told.get_mut(path) {
            Some(told) => *told = time.max(*told),
            None => {
                self.told.insert(path.to_owned(), time);
                self.order.push_back(path.to_owned());
            }
        }
        while self.order.len() > PATHS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.told.remove(&oldest);
        }
    }

    /// Remembers a change where no known manager reads: the place may become one that is read, and the
    /// change may have come faster than the news of that.
    pub(crate) fn unread(&mut self, seen: Seen) {
        if self.unread.len() >= UNREAD_MAX {
            self.unread.pop_front();
        }
        self.unread.push_back(seen);
    }

    /// The changes of `path` that were remembered so.
    pub(crate) fn take_unread(&mut self, path: &str) -> Vec<Seen> {
        let (found, rest) = std::mem::take(&mut self.unread)
            .into_iter()
            .partition(|seen| seen.change.path == path);
        self.unread = rest;
        Vec::from(found)
    }

    /// Whether a change of `path` was told lately.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.told.contains_key(path)
    }

    /// Whether a change of `path` was told that happened since what brought it, if that is known.
    pub(crate) fn has_since(&self, path: &str, by: Option<&Brought>) -> bool {
        let since = by.map_or(0, |by| by.time);
        self.told.get(path).is_some_and(|&told| told >= since)
    }

    /// Remembers that a directory was brought, as was found out at `now`.
    pub(crate) fn bring(&mut self, change: &Change, time: u64, now: u64) {
        if self.brought.len() >= BROUGHT_MAX {
            self.brought.pop_front();
        }
        let brought = Brought::new(change, time);
        self.brought.push_back((now, Arc::new(brought)));
    }

    /// What brought a directory that came into view at `since`: the last deed at it or above it.
    fn brought(&self, directory: &Path, since: u64) -> Option<Arc<Brought>> {
        let lately = |&&(at, _): &&(u64, Arc<Brought>)| since <= at.saturating_add(BROUGHT);
        let mut deeds = self.brought.iter().rev().take_while(lately);
        let (_, by) = deeds.find(|(_, by)| directory.starts_with(&by.path))?;
        Some(Arc::clone(by))
    }

    /// Remembers a directory that came into view at `now`.
    pub(crate) fn look_later(&mut self, directory: PathBuf, now: u64) {
        let known = |look: &Look| look.directory == directory;
        if self.waiting.len() >= PATHS_MAX || self.waiting.iter().any(known) {
            return;
        }
        self.waiting.push_back(Look {
            directory,
            by: None,
            since: now,
        });
    }

    /// The next directory that has settled by `now`, with what brought it: that may have been found
    /// out only after it came into view.
    pub(crate) fn settled(&mut self, now: u64) -> Option<Look> {
        if self.next_due()? > now {
            return None;
        }
        let look = self.waiting.pop_front()?;
        let by = self.brought(&look.directory, look.since);
        Some(Look { by, ..look })
    }

    /// When the next directory has settled, in nanoseconds since boot.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let next = self.waiting.front()?;
        Some(next.since.saturating_add(SETTLE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        agent::samples::{actor, change},
        event::Timestamp,
        systemd::load_path::Serves,
    };

    fn seen(path: &str) -> Seen {
        Seen {
            uid: path.to_owned(),
            sequence: 0,
            time: Timestamp::default(),
            serves: Serves::Elsewhere,
            gone: false,
            change: Arc::new(change(Verb::Create, path, actor(9, "/"), false).change),
        }
    }

    #[test]
    fn what_nobody_read_is_found_again_once() {
        let mut recent = Recent::default();
        for path in ["/a", "/b", "/a"] {
            recent.unread(seen(path));
        }
        let count = |found: Vec<Seen>| found.len();
        assert_eq!(count(recent.take_unread("/c")), 0);
        assert_eq!(count(recent.take_unread("/a")), 2);
        assert_eq!(count(recent.take_unread("/a")), 0);
        for _ in 0..UNREAD_MAX {
            recent.unread(seen("/d"));
        }
        assert_eq!(
            count(recent.take_unread("/b")),
            0,
            "the oldest made room for the rest"
        );
    }
}
