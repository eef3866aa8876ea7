//! After changes were lost: what is there is compared with what is known, and what differs is told,
//! without its writer.

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Agent, changes, changes::Classified, missed};
use crate::event::{Between, Change, FileClass, Timestamp, Verb};
use crate::host::lookup;
use crate::store::{Content, KnownFile};
use crate::systemd::load_path::Serves;

/// Most names that are looked at.
const NAMES_MAX: usize = 131_072;

/// What is to be compared, and since when.
#[derive(Debug, Default)]
pub(super) struct Recheck {
    /// The last tick before which nothing was lost.
    calm: Timestamp,
    /// Since when changes may be missing.
    since: Option<Timestamp>,
    /// Whether some were lost since the last tick.
    losing: bool,
    /// What was told since the last calm tick, by name and content: of a flood the contents known
    /// are forgotten again.
    told: HashSet<u64>,
    keys: RandomState,
    /// When the names were listed, and those still to be looked at.
    listed: Timestamp,
    names: Vec<PathBuf>,
}

impl Recheck {
    /// Nothing was lost before `now`.
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            calm: now,
            ..Self::default()
        }
    }

    /// Changes were lost.
    pub(super) fn lost(&mut self) {
        self.since.get_or_insert(self.calm);
        self.losing = true;
        self.names.clear();
    }

    /// A change was told.
    pub(super) fn tell(&mut self, change: &Change) {
        let sha256 = change.content.as_ref().and_then(|it| it.sha256.as_ref());
        if let Some(sha256) = sha256.filter(|_| self.told.len() < NAMES_MAX) {
            self.told.insert(self.keys.hash_one((&change.path, sha256)));
        }
    }

    fn was_told(&self, path: &str, sha256: &str) -> bool {
        self.told.contains(&self.keys.hash_one((path, sha256)))
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.names.is_empty()
    }

    /// Whether names are to be listed: something was lost, but nothing since the last tick.
    fn is_due(&mut self, now: Timestamp) -> bool {
        if std::mem::take(&mut self.losing) || self.is_busy() {
            return false;
        }
        if self.since.is_none() {
            self.calm = now;
            self.told = HashSet::new();
        }
        self.since.is_some()
    }

    /// The next name, and between when it may have been changed.
    fn next(&mut self) -> Option<(PathBuf, Between)> {
        let (name, since) = (self.names.pop()?, self.since?);
        if self.names.is_empty() {
            self.since = None;
            self.calm = self.listed;
        }
        let between = Between {
            after: since,
            before: self.listed,
        };
        Some((name, between))
    }
}

impl Agent {
    /// Begins to compare once nothing is lost any more. To be called at each tick.
    pub(super) fn begin_recheck(&mut self) {
        let now = self.facts.now();
        if !self.recheck.is_due(now) {
            return;
        }
        let mut names: Vec<PathBuf> = self.names().into_iter().collect();
        names.reverse();
        self.recheck.listed = now;
        self.recheck.names = names;
    }

    /// Everything that is known or lies in a watched directory.
    fn names(&mut self) -> BTreeSet<PathBuf> {
        let mut names: BTreeSet<PathBuf> = self.contents.standing().map(Path::to_owned).collect();
        let dirs: Vec<PathBuf> = self
            .watching
            .paths
            .dirs()
            .iter()
            .map(|dir| PathBuf::from(&dir.path))
            .collect();
        let mut seen = BTreeSet::new();
        for dir in dirs {
            // `/lib` is `/usr/lib`: told by one name.
            let Ok((real, identity)) = self.watching.lookups.find(&dir, &self.facts.mounts) else {
                continue;
            };
            if identity.mode & libc::S_IFMT != libc::S_IFDIR {
                names.insert(real);
            } else if seen.insert((identity.device, identity.inode)) {
                self.list_all(&real, 1, &mut names);
            }
        }
        names
    }

    /// What is in a directory, and in those for parts of units in there.
    fn list_all(&mut self, directory: &Path, depth: usize, names: &mut BTreeSet<PathBuf>) {
        let Ok(entries) = lookup::list(directory, &self.facts.mounts) else {
            return;
        };
        for entry in entries.flatten() {
            if names.len() >= NAMES_MAX {
                let many = format!("{}: more than {NAMES_MAX} names", directory.display());
                self.gaps.note(many);
                return;
            }
            let path = directory.join(entry.file_name());
            if depth > 0 && self.holds_parts(&path) {
                self.list_all(&path, depth - 1, names);
            }
            names.insert(path);
        }
    }

    /// Goes on comparing until `until`, in nanoseconds since boot.
    pub(super) fn step_recheck(&mut self, until: u64) {
        while let Some((name, between)) = self.recheck.next() {
            if let Some(missed) = self.missed_change(&name, between) {
                self.changed(missed, between.before.boot);
            }
            if self.facts.now().boot >= until {
                break;
            }
        }
    }

    /// How a name differs from what is known of it.
    fn missed_change(&mut self, path: &Path, between: Between) -> Option<Classified> {
        if self.held.has(&path.to_string_lossy()) {
            return None; // about to be told
        }
        let tier = self.file_tier();
        let Some(mut found) = changes::found(path, None, tier, &self.facts, &self.watching) else {
            return self.missed_removal(path, between);
        };
        let mounts = &self.facts.mounts;
        let change = &mut found.change;
        if change.class == FileClass::Directory {
            return None;
        }
        let (class, unit) = (change.class, change.unit.as_deref());
        let is = self.contents.glance(path, None, class, unit, mounts);
        let known = is.previous_sha256.is_some();
        let told = is.unchanged || is.sha256.is_none() && is.link.is_none();
        let sha256 = is.sha256.as_deref().unwrap_or_default();
        let told = told || self.recheck.was_told(&change.path, sha256);
        // A file that a timed unit names was perhaps there before the timer.
        if told || !known && class == FileClass::Target {
            return None;
        }
        if known && change.verb == Verb::Create {
            change.verb = Verb::Write;
        }
        change.between = Some(between);
        Some(found)
    }

    fn missed_removal(&self, path: &Path, between: Between) -> Option<Classified> {
        let error = std::fs::symlink_metadata(path).err()?;
        if error.kind() != ErrorKind::NotFound || !self.contents.is_standing(path) {
            return None;
        }
        let name = path.to_string_lossy();
        let place = self.watching.paths.classify(&name);
        let known = match place {
            Some(place) => KnownFile {
                content: Content::Unknown,
                class: place.class,
                unit: place.unit,
                serves: place.serves,
            },
            None => KnownFile {
                content: Content::Unknown,
                class: FileClass::Target,
                unit: None,
                serves: Serves::Everyone,
            },
        };
        Some(missed::removal(&name, &known, between))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(boot: u64) -> Timestamp {
        Timestamp { boot, wall: boot }
    }

    #[test]
    fn it_waits_until_nothing_is_lost() {
        let mut recheck = Recheck::new(at(1));
        recheck.lost();
        assert!(!recheck.is_due(at(2)), "something was lost since");
        recheck.lost();
        assert!(!recheck.is_due(at(3)));
        assert!(recheck.is_due(at(4)));
        recheck.listed = at(4);
        recheck.names = vec![PathBuf::from("/b"), PathBuf::from("/a")];
        assert!(!recheck.is_due(at(5)), "it goes on");
        let (name, between) = recheck.next().expect("a name");
        assert_eq!(name, Path::new("/a"));
        assert_eq!((between.after, between.before), (at(1), at(4)));
        // What was looked at may have changed since.
        recheck.lost();
        assert!(recheck.next().is_none());
        assert!(!recheck.is_due(at(6)));
        assert!(recheck.is_due(at(7)));
        recheck.listed = at(7);
        recheck.names = vec![PathBuf::from("/a")];
        let (_, between) = recheck.next().expect("a name");
        assert_eq!(between.after, at(1));
        assert!(!recheck.is_due(at(8)), "nothing was lost");
        recheck.lost();
        assert_eq!(recheck.since, Some(at(8)));
    }
}
