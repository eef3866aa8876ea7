//! File changes: from what was seen to what is told.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Agent,
    changes::{self, Classified},
    held::Held,
};
use crate::{
    correlate::Seen,
    event::{Body, Change, Event, FileClass, Finding, Health, LossCount, Timestamp, Verb},
    kernel::{
        ChangeSeen,
        fanotify::{FileChange, FileEvent, Scope},
    },
};

/// How long a rename or link may take to land, in nanoseconds.
const LANDING_MAX: u64 = 100_000_000;
/// Least time between two looks at which places exist, in nanoseconds.
const SURVEY_INTERVAL: u64 = 50_000_000;
/// Most entries of one directory that are told when it comes into view.
const FOUND_MAX: usize = 4096;

impl Agent {
    /// A change that the programs report.
    pub(super) fn changed_by_programs(&mut self, seen: ChangeSeen) {
        let (verb, time, object) = (seen.verb, seen.time, seen.object);
        if !self.facts.mounts.shows(object.device) {
            self.facts.refresh_mounts();
        }
        if verb == Verb::Closed
            && let Some(held) = self.held.close(object.device, object.inode)
        {
            return self.tell_held(held);
        }
        let elsewhere = seen.task.mount_ns != 0 && seen.task.mount_ns != self.facts.mount_ns;
        let change = match verb {
            // What a service mounts for itself hides nothing from its manager.
            Verb::Mount if elsewhere => return,
            Verb::Load => return self.loaded(seen),
            // Written through a descriptor from before the probes.
            Verb::Closed => ChangeSeen {
                verb: Verb::Write,
                ..seen
            },
            _ => seen,
        };
        let change =
            changes::seen_by_programs(change, &self.watching, &mut self.table, &self.facts);
        match change {
            Some(change) if verb == Verb::Closed => self.changed(change, time),
            Some(change) => self.hold(change, time),
            None => {}
        }
    }

    /// An event from the fanotify queue.
    pub(super) fn file_event(&mut self, event: FileEvent, seen_at: u64) {
        match event {
            FileEvent::Change(change) => self.marked(&change, seen_at),
            FileEvent::Gone { id, .. } => self.watching.watches.remove(id),
            FileEvent::Moved { .. } => self.survey(),
            FileEvent::Overflow => {
                self.lost += 1;
                let loss = LossCount {
                    stage: "fanotify",
                    kind: "change",
                    count: 1,
                };
                self.stream
                    .tell(self.facts.now(), Body::Health(Health::Loss(vec![loss])));
                self.survey();
            }
        }
    }

    /// A change that fanotify reports. A new directory is marked before anything else: what was
    /// made in it meanwhile is found by listing it, without its writer.
    fn marked(&mut self, event: &FileChange, seen_at: u64) {
        if !changes::may_matter(event, &self.watching) {
            return;
        }
        if event.verb == Verb::Mkdir || event.verb == Verb::Rename && event.is_directory {
            self.mark_directory(event, seen_at);
        }
        let Some(fanotify) = self.watching.watches.fanotify() else {
            return;
        };
        let look = fanotify.look(event);
        if event.verb == Verb::Closed {
            let facts = look.facts.unwrap_or_default();
            if let Some(held) = self.held.close(facts.device, facts.inode) {
                self.tell_held(held);
            }
            return;
        }
        let change = changes::seen_by_marks(
            event,
            look,
            seen_at,
            &self.watching,
            &mut self.table,
            &self.kernel,
            &self.facts,
        );
        if let Some(change) = change {
            self.hold(change, seen_at);
        }
    }

    fn mark_directory(&mut self, event: &FileChange, seen_at: u64) {
        let place = event.at.as_ref();
        let path = place.and_then(|at| self.watching.watches.entry(at.dir?, &at.name));
        let Some(path) = path else { return };
        let below = self.watching.paths.classify(&path.to_string_lossy());
        let Some(below) = below.filter(|below| below.class == FileClass::Directory) else {
            return;
        };
        // A drop-in or dependency directory; what else matters, the survey finds out.
        let holds = below.unit.is_some() || below.dependent.is_some();
        let scope = if holds {
            Scope::Content
        } else {
            Scope::Ancestor
        };
        if let Ok(identity) = self.facts.mounts.identify(&path)
            && self.watching.watch(&path, &identity, scope)
        {
            self.recent.look_later(path, seen_at);
        }
    }

    /// Holds a change until it is finished.
    fn hold(&mut self, change: Classified, time: u64) {
        if matches!(change.change.verb, Verb::Unlink) {
            return self.changed(change, time);
        }
        self.held.hold(change, time, self.facts.now().boot);
    }

    /// Tells the changes that have waited long enough.
    pub(crate) fn tell_due(&mut self) {
        let now = self.facts.now().boot;
        while let Some(held) = self.held.due(now) {
            let late = held.time.saturating_add(LANDING_MAX) <= now;
            if !late && self.has_not_landed(&held.change) {
                self.held.hold(held.change, held.time, now);
            } else {
                self.tell_held(held);
            }
        }
    }

    /// Tells all that waits: a verdict may rest on it.
    pub(super) fn tell_all(&mut self) {
        while let Some(held) = self.held.all() {
            self.tell_held(held);
        }
    }

    fn tell_held(&mut self, held: Held) {
        let Held { change, time, .. } = held;
        while let Some(Held { change, time, .. }) = self.held.landed(time) {
            self.changed(change, time);
        }
        if change.change.verb == Verb::Rmdir && self.is_still_there(&change) {
            return;
        }
        self.changed(change, time);
    }

    /// Whether a name does not have its new meaning yet: programs see the rename or link before the
    /// file system does.
    fn has_not_landed(&self, classified: &Classified) -> bool {
        let change = &classified.change;
        if change.object.inode == 0 || !matches!(change.verb, Verb::Rename | Verb::Link) {
            return false;
        }
        let found = self.facts.mounts.identify_link(Path::new(&change.path));
        !found.is_ok_and(|found| found.inode == change.object.inode)
    }

    /// Whether the removal of a directory was refused. Programs see it before the file system does,
    /// and that one keeps what is not empty, as systemd finds at each reload.
    fn is_still_there(&self, removal: &Classified) -> bool {
        let change = &removal.change;
        let found = self.facts.mounts.identify(Path::new(&change.path));
        found.is_ok_and(|found| found.inode == change.object.inode)
    }

    /// Tells a change, and follows it where directories move.
    fn changed(&mut self, mut classified: Classified, time: u64) {
        let structural = classified.structural;
        self.read_content(&mut classified);
        match classified.change.verb {
            Verb::Mount => self.recent.forget(),
            Verb::Rmdir => self.watching.watches.forget(&classified.change.object),
            _ => {}
        }
        self.watch_linked(&classified);
        self.tell_change(classified, time);
        if structural {
            self.survey();
        }
    }

    /// A unit that is linked into a load path is watched where it lies.
    fn watch_linked(&mut self, classified: &Classified) {
        let change = &classified.change;
        if change.verb != Verb::Symlink || change.class != FileClass::UnitFile {
            return;
        }
        let Ok(real) = std::fs::canonicalize(&change.path) else {
            return;
        };
        let path = real.to_string_lossy();
        if self.watching.paths.classify(&path).is_none()
            && let Ok(identity) = self.facts.mounts.identify(&real)
            && identity.mode & 0o170_000 == 0o100_000
        {
            self.watching
                .add_unit(&path, change.unit.as_deref(), &identity);
        }
    }

    /// Reads what the file holds now.
    fn read_content(&mut self, classified: &mut Classified) {
        let change = &mut classified.change;
        let path = Path::new(&change.path);
        if let Some(from) = change
            .from
            .as_deref()
            .filter(|_| change.verb == Verb::Rename)
        {
            self.contents.renamed(Path::new(from), path);
        }
        change.content = match change.verb {
            Verb::Unlink => self.contents.removed(path).map(Box::new),
            Verb::Mkdir | Verb::Rmdir | Verb::Mount => None,
            _ if change.class == FileClass::Directory => None,
            _ => {
                let expected = Some(&change.object).filter(|object| object.inode != 0);
                let unit = change.unit.as_deref();
                let mounts = &self.facts.mounts;
                Some(Box::new(self.contents.capture(
                    path,
                    expected,
                    change.class,
                    unit,
                    mounts,
                )))
            }
        };
    }

    /// Tells a change and remembers it.
    fn tell_change(&mut self, classified: Classified, time: u64) {
        let Classified {
            change,
            serves,
            structural: _,
        } = classified;
        self.recent.tell(&change.path);
        self.targets_due |= matches!(
            change.class,
            FileClass::UnitFile | FileClass::DropIn | FileClass::DependencyLink | FileClass::Target
        );
        let time = self.facts.time(time);
        let Event {
            uid,
            sequence,
            body,
            ..
        } = self.stream.tell(time, Body::Change(change));
        if let Body::Change(change) = body {
            let seen = Seen {
                uid,
                sequence,
                time,
                serves,
                change: Arc::new(change),
            };
            self.keeper.change(&seen);
            if !self.leaves(&seen.change) {
                self.detector.changed(&seen, self.facts.now().boot);
            }
            self.correlator.changed(seen);
        }
    }

    /// Whether a file was renamed out of what managers read.
    pub(super) fn leaves(&self, change: &Change) -> bool {
        let read = |path: &str| self.watching.paths.classify(path).is_some();
        change.verb == Verb::Rename
            && change.from.as_deref().is_some_and(read)
            && !read(&change.path)
    }

    /// Tells the findings about changes that are due.
    pub(super) fn find(&mut self, now: u64) {
        for finding in self.detector.due(now) {
            let time = finding.cause.last().map(|link| link.time);
            self.tell_finding(time.unwrap_or_else(|| self.facts.now()), finding);
        }
    }

    /// Tells a finding, lowered if it is expected.
    pub(super) fn tell_finding(&mut self, time: Timestamp, mut finding: Finding) {
        self.detector.except(&mut finding, self.facts.now());
        let event = self.stream.tell(time, Body::Finding(Box::new(finding)));
        if let Body::Finding(finding) = &event.body {
            self.keeper.finding(&event, finding);
        }
    }

    /// A manager reads a file: what it really runs by, whatever put it there. Told when its content
    /// is not what was last known, or when it is a unit from a place that is no load path.
    fn loaded(&mut self, seen: ChangeSeen) {
        if let Some(held) = self.held.close(seen.object.device, seen.object.inode) {
            self.tell_held(held);
        }
        let time = seen.time;
        let Some(mut loaded) = changes::loaded(seen, &self.watching, &mut self.table, &self.facts)
        else {
            return;
        };
        let odd = !loaded.listed;
        if odd && self.recent.has(&loaded.change.change.path) {
            return;
        }
        self.read_content(&mut loaded.change);
        let content = loaded.change.change.content.as_ref();
        let differs = content.is_some_and(|content| {
            let (now, before) = (&content.sha256, &content.previous_sha256);
            now.is_some() && before.is_some() && now != before
        });
        if odd {
            // From now on it is watched like a unit in a load path.
            let change = &loaded.change.change;
            self.watching
                .add_unit(&change.path, change.unit.as_deref(), &change.object);
        }
        if odd || differs {
            self.tell_change(loaded.change, time);
        }
    }

    /// File systems came or went: places may be elsewhere now.
    pub(crate) fn mounts_changed(&mut self) {
        self.facts.refresh_mounts();
        self.survey();
    }

    /// Asks for a look at which places exist. One look serves all that asked since the last.
    pub(super) fn survey(&mut self) {
        self.survey_due = true;
    }

    /// Brings the watches in step with what exists, if that was asked for and not done just now.
    /// What is in directories that came into view is looked at a little later.
    pub(crate) fn survey_now(&mut self) {
        let now = self.facts.now().boot;
        if !self.survey_due || now < self.surveyed.saturating_add(SURVEY_INTERVAL) {
            return;
        }
        self.survey_due = false;
        for directory in self.watching.survey(&self.facts) {
            self.recent.look_later(directory, now);
        }
        self.surveyed = self.facts.now().boot;
    }

    /// Tells what is found in directories that came into view and have settled: it was made before
    /// anybody looked, or a mount brought it.
    pub(super) fn look_into_new(&mut self) {
        let now = self.facts.now().boot;
        while let Some(directory) = self.recent.settled(now) {
            for path in entries(&directory) {
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
                log::info!("{gap}");
            }
        }
        unread
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .flatten()
        .take(FOUND_MAX)
        .map(|entry| entry.path())
        .collect()
}
