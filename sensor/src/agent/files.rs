//! File changes: from what was seen to what is told.

use std::{path::Path, sync::Arc};

use super::{
    Agent,
    changes::{self, Classified},
    churn::{Fate, Kept},
    held::Held,
};
use crate::{
    correlate::Seen,
    event::{Body, Change, Event, FileClass, Finding, Health, LossCount, Timestamp, Verb},
    host::lookup,
    kernel::{
        ChangeSeen,
        fanotify::{FileChange, FileEvent, Scope},
    },
    systemd::load_path::{Serves, is_generated},
};

/// How long a rename or link may take to land, in nanoseconds.
const LANDING_MAX: u64 = 100_000_000;

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
        let seen = self.by_its_name(seen);
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
        let change = change.filter(|change| !self.is_own_doing(&change.change));
        match change {
            Some(change) if verb == Verb::Closed => self.changed(change, time),
            Some(change) => self.hold(change, time),
            None => {}
        }
    }

    /// A file that is watched by itself, and a directory on the way to something, may no longer be what
    /// its name leads to: then what happens there is what the record calls it.
    fn by_its_name(&mut self, seen: ChangeSeen) -> ChangeSeen {
        let names = matches!(seen.verb, Verb::Unlink | Verb::Rename | Verb::Link);
        let asked = match self.watching.watches.scope(seen.watch) {
            Some(Scope::File) => seen.depth == 0 && !names,
            Some(Scope::Ancestor | Scope::Entries) => seen.depth > 0,
            Some(Scope::Content) | None => false,
        };
        if !asked || self.is_in_place(seen.watch) {
            return seen;
        }
        self.watching.watches.remove(seen.watch);
        // It may be watched by another name.
        self.targets_due = true;
        self.survey();
        ChangeSeen { watch: 0, ..seen }
    }

    /// Whether the name by which something is watched still leads there.
    fn is_in_place(&self, watch: u32) -> bool {
        let watches = &self.watching.watches;
        let (Some(path), Some(identity)) = (watches.path(watch), watches.identity(watch)) else {
            return true;
        };
        let found = lookup::identify_link(path, &self.facts.mounts);
        found.is_some_and(|found| (found.device, found.inode) == identity)
    }

    /// An event from the fanotify queue.
    pub(super) fn file_event(&mut self, event: FileEvent, seen_at: u64) {
        match event {
            FileEvent::Change(change) => self.marked(&change, seen_at),
            FileEvent::Gone { id, .. } => self.watching.watches.remove(id),
            FileEvent::Moved { .. } => {
                self.targets_due = true;
                self.survey();
            }
            FileEvent::Overflow => {
                self.lost += 1;
                let loss = LossCount {
                    stage: "fanotify",
                    kind: "change",
                    count: 1,
                };
                self.stream
                    .tell(self.facts.now(), Body::Health(Health::Loss(vec![loss])));
                self.recheck.lost();
                self.survey();
            }
        }
    }

    /// A change that fanotify reports. A new directory is marked before anything else: what was
    /// made in it meanwhile is found by listing it, without its writer.
    fn marked(&mut self, event: &FileChange, seen_at: u64) {
        // The agent writes to its own store alone, all the time.
        if event.pid == std::process::id() || !changes::may_matter(event, &self.watching) {
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
        if let Some(change) = change.filter(|change| !self.is_own_doing(&change.change)) {
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
        // What a rename brings along is looked at once that is told.
        if let Some(identity) = lookup::identify_link(&path, &self.facts.mounts)
            && self.watching.watch(&path, &identity, scope)
            && event.verb == Verb::Mkdir
        {
            self.recent.look_later(path, seen_at);
        }
    }

    /// Holds a change until it is finished.
    fn hold(&mut self, change: Classified, time: u64) {
        if matches!(change.change.verb, Verb::Unlink) {
            return self.changed(change, time);
        }
        self.leading.changed(change.change.class);
        self.held.hold(change, time, self.facts.now().boot);
    }

    /// Tells the changes that have waited long enough.
    pub(crate) fn tell_due(&mut self) {
        let now = self.facts.now().boot;
        // What finishes a change may be in the queues still.
        while let Some(held) = self.held.due(now.min(self.drained)) {
            let late = held.time.saturating_add(LANDING_MAX) <= now;
            if !late && self.has_not_landed(&held.change) {
                self.held.hold(held.change, held.time, now);
            } else {
                self.tell_held(held);
            }
        }
        self.tell_churn(now.min(self.drained));
        self.tell_suspects(now);
    }

    /// Tells all that waits: a verdict may rest on it. But for what a reload has removed: no unit
    /// rests on that.
    pub(super) fn tell_all(&mut self) {
        while let Some(held) = self.held.all() {
            self.tell_held(held);
        }
        self.tell_suspects(u64::MAX);
    }

    /// Tells what a reload did and did not undo, of what is due at `now`.
    pub(super) fn tell_churn(&mut self, now: u64) {
        while let Some(kept) = self.churn.due(now) {
            let change = &kept.change.change;
            let path = Path::new(&change.path);
            let found = lookup::identify_link(path, &self.facts.mounts);
            let (class, unit) = (change.class, change.unit.as_deref());
            let mounts = &self.facts.mounts;
            let contents = &mut self.contents;
            let same = || contents.glance(path, None, class, unit, mounts).unchanged;
            if !kept.is_undone(found.as_ref(), same) {
                self.tell_change(kept.change, kept.time);
            }
        }
    }

    pub(super) fn tell_held(&mut self, held: Held) {
        let Held { change, time, .. } = held;
        while let Some(Held { change, time, .. }) = self.held.landed(time) {
            self.changed(change, time);
        }
        if change.change.verb == Verb::Rmdir && self.is_still_there(&change) {
            return;
        }
        self.changed(change, time);
    }

    /// Whether a name does not have its new meaning yet, or a file its new size: programs see the
    /// rename, link or cut before the file system does.
    fn has_not_landed(&self, classified: &Classified) -> bool {
        let change = &classified.change;
        if change.verb == Verb::Setattr && change.truncates {
            let found = lookup::identify_link(Path::new(&change.path), &self.facts.mounts);
            let object = &change.object;
            return found.is_some_and(|found| {
                (found.device, found.inode, found.size)
                    == (object.device, object.inode, object.size)
            });
        }
        let name = Path::new(&change.path);
        if matches!(change.verb, Verb::Symlink | Verb::Mkdir) {
            return lookup::identify_link(name, &self.facts.mounts).is_none();
        }
        let waits = matches!(change.verb, Verb::Rename | Verb::Link | Verb::Mount);
        if change.object.inode == 0 || !waits {
            return false;
        }
        let found = lookup::identify_link(name, &self.facts.mounts);
        let same = found.is_some_and(|found| {
            let object = &change.object;
            (found.device, found.inode) == (object.device, object.inode)
        });
        // What is mounted over is seen until then.
        same == (change.verb == Verb::Mount)
    }

    /// Whether the removal of a directory was refused. Programs see it before the file system does,
    /// and that one keeps what is not empty, as systemd finds at each reload.
    fn is_still_there(&self, removal: &Classified) -> bool {
        let change = &removal.change;
        let found = lookup::identify_link(Path::new(&change.path), &self.facts.mounts);
        found.is_some_and(|found| found.inode == change.object.inode)
    }

    /// Tells a change, and follows it where directories move.
    pub(super) fn changed(&mut self, mut classified: Classified, time: u64) {
        self.leading.changed(classified.change.class);
        self.read_content(&mut classified);
        if classified.change.verb == Verb::Rmdir {
            self.watching.watches.forget(&classified.change.object);
        }
        self.watch_behind(&classified);
        self.follow_own(&classified.change, time);
        if classified.structural {
            self.follow(&classified.change, time);
        }
        self.tell_difference(classified, time);
    }

    /// Tells a change, unless it is one half of what a reload does and undoes.
    fn tell_difference(&mut self, classified: Classified, time: u64) {
        let path = classified.change.path.clone();
        let found = is_generated(&path)
            .then(|| lookup::identify_link(Path::new(&path), &self.facts.mounts))
            .flatten();
        let now = self.facts.now().boot;
        match self.churn.take(classified, time, now, found.as_ref()) {
            Fate::Tell(classified) => {
                while let Some(Kept { change, time, .. }) = self.churn.on_the_way(&path) {
                    self.tell_change(change, time);
                }
                self.tell_change(*classified, time);
            }
            // Not to be found anew when its directory is looked into.
            Fate::Quiet => self.recent.tell(&path, now),
        }
    }

    /// Watches what can be changed by another name: the file behind a link, and one that has
    /// several names.
    fn watch_behind(&mut self, classified: &Classified) {
        let change = &classified.change;
        let parts = [FileClass::UnitFile, FileClass::DropIn];
        if !parts.contains(&change.class) {
            return;
        }
        // Of a file that got a name outside, the name inside counts.
        let outside = change.verb == Verb::Link && classified.outward;
        let path = change.from.as_deref().filter(|_| outside);
        let path = path.unwrap_or(&change.path).to_owned();
        let several = change.verb == Verb::Link || change.object.nlink > 1;
        if change.verb == Verb::Symlink || several && change.verb != Verb::Unlink {
            self.watch_by_identity(&path, change.unit.as_deref());
        }
    }

    pub(super) fn watch_by_identity(&mut self, path: &str, unit: Option<&str>) {
        let found = self
            .watching
            .lookups
            .find(Path::new(path), &self.facts.mounts);
        let Ok((real, identity)) = found else {
            return;
        };
        if identity.mode & libc::S_IFMT != libc::S_IFREG {
            return;
        }
        let name = real.to_string_lossy();
        if self.watching.paths.classify(&name).is_none() {
            self.watching.add_unit(&name, unit, &identity);
        } else if identity.nlink > 1 {
            self.watching.watch(&real, &identity, Scope::File);
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
            Verb::Mkdir | Verb::Rmdir => None,
            _ if change.class == FileClass::Directory => None,
            _ if self.watching.targets.is_own(path) => None,
            _ if change.object.mode & libc::S_IFMT == libc::S_IFDIR => None,
            _ => {
                // Of a mount the object is what it covers, unless it was found there.
                let covered = change.verb == Verb::Mount && !classified.found;
                let known = change.object.inode != 0 && !covered;
                let expected = Some(&change.object).filter(|_| known);
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
    pub(super) fn tell_change(&mut self, classified: Classified, time: u64) {
        let Classified {
            mut change,
            serves,
            structural: _,
            found: _,
            outward: _,
        } = classified;
        let asked = self
            .correlator
            .requests
            .of_change(&change, self.facts.time(time));
        change.on_behalf_of = asked.map(Box::new);
        self.health_check(&mut change);
        self.recent.tell(&change.path, time);
        self.recheck.tell(&change);
        self.suspects.account(&change);
        let told = self.facts.time(time);
        change.packaging = self.packages.packaging(&change, told, &self.facts.mounts);
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
                gone: false,
                change: Arc::new(change),
            };
            self.keeper.change(&seen);
            if seen.serves == Serves::Elsewhere {
                self.recent.unread(seen.clone());
            }
            if self.hides_nothing(&seen.change) {
                self.correlator.changed(seen);
            } else {
                self.take_in(seen);
            }
        }
    }

    /// Whether a mount is on a directory on the way to load paths that has no directory below, and so
    /// none of them, as each login brings one (`/run/user/UID`). What it brings is told by itself.
    fn hides_nothing(&self, change: &Change) -> bool {
        let is_read = || {
            let mut dirs = self.watching.paths.dirs().iter();
            dirs.any(|dir| Path::new(&change.path).starts_with(&dir.path))
        };
        change.verb == Verb::Mount
            && change.class == FileClass::Directory
            && change.object.nlink == 2
            && !is_read()
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
}
