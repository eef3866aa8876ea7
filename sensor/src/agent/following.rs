//! What comes along with directories: those that are renamed, linked or mounted into place.

use std::{
    collections::BTreeSet,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{Agent, changes, recent::Look};
use crate::{
    correlate::Seen,
    event::{Change, FileClass, Manager, Verb},
    host::{lookup, mounts::Mounts},
    kernel::fanotify::Scope,
};

/// Least time between two looks at which places exist, in nanoseconds.
const SURVEY_INTERVAL: u64 = 50_000_000;
/// Most entries of one directory that are told when it comes into view.
const FOUND_MAX: usize = 4096;

impl Agent {
    /// Brings the watches in step with what happened to a directory.
    pub(super) fn follow(&mut self, change: &Change, time: u64) {
        let now = self.facts.now().boot;
        if matches!(change.verb, Verb::Rename | Verb::Symlink | Verb::Mount) {
            self.recent.bring(change, time, now);
            self.enter(Path::new(&change.path), change.verb != Verb::Rename, now);
        }
        for path in std::iter::once(&change.path).chain(&change.from) {
            if self.watching.targets.on_the_way(path).is_some() {
                self.lead_elsewhere(Path::new(path), now);
            }
        }
        self.survey_at(&change.path);
        if let Some(from) = &change.from {
            self.survey_at(from);
        }
    }

    /// A directory or link on the way to targets is another one: they are other files.
    fn lead_elsewhere(&mut self, name: &Path, now: u64) {
        self.watching.targets_by_way_of(name, &self.facts);
        self.targets_due = true;
        self.recent.look_later(name.to_owned(), now);
    }

    /// Looks into a drop-in or dependency directory that came into view whole. `elsewhere` says that
    /// its files lie in no load path by their own file system: it has to be watched itself.
    fn enter(&mut self, path: &Path, elsewhere: bool, now: u64) {
        if !self.holds_parts(path) {
            return; // a place, or one on the way: the survey enters those
        }
        let identity = match self.watching.lookups.find(path, &self.facts.mounts) {
            Ok((_, identity)) if identity.mode & libc::S_IFMT == libc::S_IFDIR => identity,
            _ => return,
        };
        if elsewhere || self.watching.watches.fanotify().is_some() {
            self.watching.watch(path, &identity, Scope::Content);
        }
        if elsewhere {
            self.watching.entered(path, identity);
        }
        self.recent.look_later(path.to_owned(), now);
    }

    /// Whether a path is that of a drop-in or dependency directory.
    pub(super) fn holds_parts(&self, path: &Path) -> bool {
        let place = self.watching.paths.classify(&path.to_string_lossy());
        place.is_some_and(|place| {
            place.class == FileClass::Directory
                && (place.unit.is_some() || place.dependent.is_some())
        })
    }

    /// File systems came or went: places may be elsewhere now.
    pub(crate) fn mounts_changed(&mut self) {
        self.leading.forget();
        self.refresh_mounts();
        let before = std::mem::replace(&mut self.mounts_followed, self.facts.mounts.clone());
        // The records of those who mounted come first.
        self.drain_all();
        self.tell_all();
        self.watching.leave_gone(&self.facts);
        let now = self.facts.now().boot;
        for point in differing(&before, &self.mounts_followed) {
            self.enter(Path::new(&point), true, now);
            if self.watching.targets.on_the_way(&point).is_some() {
                self.lead_elsewhere(Path::new(&point), now);
            }
            self.survey_at(&point);
        }
    }

    /// Reads the table of mounts: nothing must be looked for by one that is out of date.
    pub(super) fn refresh_mounts(&mut self) {
        self.facts.refresh_mounts();
        self.installed.avoid(self.facts.mounts.doubtful());
    }

    /// Looks for mounts that were there at the start.
    pub(super) fn enter_mounts(&mut self) {
        self.mounts_followed = self.facts.mounts.clone();
        let points = differing(&Mounts::default(), &self.facts.mounts);
        for point in points {
            let path = Path::new(&point);
            if self.holds_parts(path)
                && let Ok((_, identity)) = self.watching.lookups.find(path, &self.facts.mounts)
                && identity.mode & libc::S_IFMT == libc::S_IFDIR
            {
                self.watching.watch(path, &identity, Scope::Content);
                self.watching.entered(path, identity);
            }
        }
    }

    /// Asks for a look at which places exist. One look serves all that asked since the last.
    pub(super) fn survey(&mut self) {
        self.survey_due.insert("/".to_owned());
    }

    /// Asks for a look at a manager's places.
    pub(super) fn survey_manager(&mut self, manager: &Manager) {
        let dirs = self.watching.paths.dirs().iter();
        let own = dirs.filter(|dir| dir.serves.manager().as_ref() == Some(manager));
        let own: Vec<String> = own.map(|dir| dir.path.clone()).collect();
        for path in own {
            self.survey_at(&path);
        }
    }

    /// Asks for a look at the places at and below a path.
    pub(super) fn survey_at(&mut self, path: &str) {
        // Many single paths are as good as all.
        if self.survey_due.len() < 256 {
            self.survey_due.insert(path.to_owned());
        } else {
            self.survey();
        }
    }

    /// When the next look at which places exist is due, in nanoseconds since boot.
    pub(super) fn next_survey(&self) -> Option<u64> {
        let asked = !self.survey_due.is_empty();
        asked.then(|| self.surveyed.saturating_add(SURVEY_INTERVAL))
    }

    /// Brings the watches in step with what exists, if that was asked for and not done just now.
    /// What is in directories that came into view is looked at a little later.
    pub(crate) fn survey_now(&mut self) {
        let now = self.facts.now().boot;
        let asked = !self.survey_due.is_empty();
        if !asked || now < self.surveyed.saturating_add(SURVEY_INTERVAL) {
            return;
        }
        self.refresh_mounts();
        let below = std::mem::take(&mut self.survey_due);
        for directory in self.watching.survey(&below, &self.facts) {
            self.recent.look_later(directory, now);
        }
        self.surveyed = self.facts.now().boot;
        self.tell_gaps();
    }

    /// Tells what is found in directories that came into view and have settled.
    pub(super) fn look_into_new(&mut self) {
        let now = self.facts.now().boot;
        while let Some(look) = self.recent.settled(now) {
            let mut found = self
                .watching
                .targets_by_way_of(&look.directory, &self.facts);
            let path = look.directory.to_string_lossy();
            if found.is_empty() || self.watching.paths.classify(&path).is_some() {
                found.extend(self.entries(&look.directory));
            }
            // What is listed was made before: its record, if there is one, is in the rings by now.
            self.drain_all();
            for path in found {
                self.look_at(&path, &look, now);
            }
        }
    }

    fn look_at(&mut self, path: &Path, look: &Look, now: u64) {
        let by = look.by.as_deref();
        let by = by.filter(|by| !self.is_younger(path, by.time));
        let name = path.to_string_lossy();
        if self.recent.has_since(&name, by) || self.held.has(&name) {
            self.is_read_now(&name);
            return;
        }
        let tier = self.file_tier();
        let Some(found) = changes::found(path, by, tier, &self.facts, &self.watching) else {
            return;
        };
        // Directories that came along are no news; what is in them has come by itself.
        if by.is_none() || found.change.class != FileClass::Directory {
            let time = by.map_or(now, |by| by.time);
            self.changed(found, time);
        }
    }

    /// Judges anew what was told of a file before the news that a manager reads it.
    fn is_read_now(&mut self, path: &str) {
        let Some(place) = self.watching.paths.classify(path) else {
            return;
        };
        for seen in self.recent.take_unread(path) {
            let seen = Seen {
                serves: place.serves.clone(),
                ..seen
            };
            self.keeper.change(&seen);
            self.correlator.forget(&seen.uid);
            self.take_in(seen);
        }
    }

    /// Whether a file was changed after `time`: then it did not come along as it is. Its ctime is
    /// never ahead, and cannot be set back.
    fn is_younger(&self, path: &Path, time: u64) -> bool {
        let wall = i128::from(self.facts.time(time).wall);
        let meta = lookup::open_link(path, &self.facts.mounts).and_then(|it| it.metadata().ok());
        meta.is_some_and(|meta| {
            i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec()) > wall
        })
    }

    /// What is in a directory, and in the drop-in and dependency directories in there.
    fn entries(&mut self, directory: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for path in self.list(directory) {
            if self.holds_parts(&path) {
                let link = lookup::identify_link(&path, &self.facts.mounts);
                let link = link.is_some_and(|link| link.mode & libc::S_IFMT == libc::S_IFLNK);
                if (link || self.watching.watches.fanotify().is_some())
                    && let Ok((_, identity)) = self.watching.lookups.find(&path, &self.facts.mounts)
                {
                    self.watching.watch(&path, &identity, Scope::Content);
                }
                found.extend(self.list(&path));
            }
            found.push(path);
        }
        found.truncate(FOUND_MAX);
        found
    }

    /// What is in a directory; nothing of one on a file system that may not answer.
    fn list(&mut self, directory: &Path) -> Vec<PathBuf> {
        let Ok(entries) = lookup::list(directory, &self.facts.mounts) else {
            return Vec::new();
        };
        let mut entries = entries.flatten();
        let some = entries.by_ref().take(FOUND_MAX);
        let some = some
            .map(|entry| directory.join(entry.file_name()))
            .collect();
        if entries.next().is_some() {
            let many = format!("{}: more than {FOUND_MAX} entries", directory.display());
            self.gaps.note(many);
        }
        some
    }
}

/// Where something is mounted in one table and not in the other.
fn differing(before: &Mounts, after: &Mounts) -> BTreeSet<String> {
    let points = |mounts: &Mounts| -> BTreeSet<(i32, String)> {
        let all = mounts.all().iter();
        all.map(|mount| (mount.id, mount.point.clone())).collect()
    };
    let (before, after) = (points(before), points(after));
    let differing = before.symmetric_difference(&after);
    differing.map(|(_, point)| point.clone()).collect()
}
