//! What managers really load, against what is known of it: a difference that no change accounts
//! for was made by a way that nobody watches.

use std::path::Path;

use super::{
    Agent,
    changes::{self, Classified},
};
use crate::{
    event::{Change, Content, FileClass, Unseen},
    kernel::ChangeSeen,
};

/// How long a load that shows something new waits for the change that accounts for it, in
/// nanoseconds: what was read may be what somebody wrote just after the load.
const CONFIRM: u64 = 100_000_000;
/// Most loads that wait.
const SUSPECTS_MAX: usize = 1024;

/// A load that shows what no change has told so far.
#[derive(Debug)]
struct Suspect {
    load: Classified,
    time: u64,
    due: u64,
}

/// Loads that wait for a change that accounts for what they show, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Suspects(Vec<Suspect>);

impl Suspects {
    /// A change was told: what was loaded of that file is accounted for.
    pub(super) fn account(&mut self, change: &Change) {
        let same = |object: &Change| {
            object.path == change.path
                || change.object.inode != 0
                    && object.object.inode == change.object.inode
                    && object.object.device == change.object.device
        };
        self.0.retain(|suspect| !same(&suspect.load.change));
    }

    /// When the next is due, in nanoseconds since boot.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.0.first().map(|suspect| suspect.due)
    }

    fn take(&mut self, now: u64) -> Option<Suspect> {
        let full = self.0.len() > SUSPECTS_MAX;
        (full || self.next_due()? <= now).then(|| self.0.remove(0))
    }
}

impl Agent {
    /// A manager reads a file: what it really runs by, whatever put it there. Told when its content
    /// is not what was last known, or when it is a unit from a place that is no load path.
    pub(super) fn loaded(&mut self, seen: ChangeSeen) {
        let (time, size) = (seen.time, seen.object.size);
        let contained = seen.task.pid_ns != 0 && seen.task.pid_ns != self.facts.pid_ns;
        if let Some(held) = self.held.close(seen.object.device, seen.object.inode) {
            self.tell_held(held);
        }
        // A rename that the manager has followed has landed.
        while let Some(held) = self.held.landed(time) {
            self.tell_held(held);
        }
        let loaded = changes::loaded(seen, &self.watching, &mut self.table, &self.facts);
        let Some(loaded) = loaded else {
            return;
        };
        let mut load = loaded.change;
        // A container's manager reads what came with its image, which nobody has looked at.
        if contained && (!loaded.listed || !self.contents.knows(Path::new(&load.change.path))) {
            return;
        }
        if !loaded.listed {
            return self.loaded_from_elsewhere(load, time);
        }
        let content = self.glance(&load.change);
        let unseen = self.unaccounted(&load.change, &content, size);
        if unseen.is_none() {
            if content.previous_sha256.is_none() {
                self.learn(&load.change);
            }
            return;
        }
        load.change.unseen = unseen;
        load.change.content = Some(Box::new(content));
        let due = self.facts.now().boot.saturating_add(CONFIRM);
        self.suspects.0.push(Suspect { load, time, due });
    }

    /// A unit from a place that is no load path: nobody looked there. From now on it is watched as
    /// if it lay in one.
    fn loaded_from_elsewhere(&mut self, mut load: Classified, time: u64) {
        let change = &load.change;
        if self.recent.has(&change.path) {
            return;
        }
        self.watching
            .add_unit(&change.path, change.unit.as_deref(), &change.object);
        load.change.content = Some(Box::new(self.learn(&load.change)));
        self.tell_change(load, time);
    }

    /// Reads a file without taking it for known.
    fn glance(&mut self, change: &Change) -> Content {
        let expected = Some(&change.object).filter(|object| object.inode != 0);
        self.contents.glance(
            Path::new(&change.path),
            expected,
            change.class,
            change.unit.as_deref(),
            &self.facts.mounts,
        )
    }

    /// Reads a file and takes it for known.
    fn learn(&mut self, change: &Change) -> Content {
        let expected = Some(&change.object).filter(|object| object.inode != 0);
        self.contents.capture(
            Path::new(&change.path),
            expected,
            change.class,
            change.unit.as_deref(),
            &self.facts.mounts,
        )
    }

    /// What a load shows that is not known, and since when it may be so.
    fn unaccounted(&self, load: &Change, content: &Content, loaded_size: u64) -> Option<Unseen> {
        let since = content.previous_at.map(|boot| self.facts.time(boot));
        let restored = content.size.is_some_and(|size| size != loaded_size);
        let new = match (&content.sha256, &content.previous_sha256) {
            (Some(now), Some(before)) => now != before,
            // What units name outside the load paths is not learned before it is loaded.
            (Some(_), None) => load.class != FileClass::Target && self.contents.is_complete(),
            _ => false,
        };
        (new || restored).then_some(Unseen { since, restored })
    }

    /// Tells the loads that no change came to account for.
    pub(super) fn tell_suspects(&mut self, now: u64) {
        while let Some(Suspect { mut load, time, .. }) = self.suspects.take(now) {
            if self.held.concerns(&load.change) {
                continue; // it is still being written, and told when that is done
            }
            let now = self.learn(&load.change).sha256;
            let change = &mut load.change;
            let then = change.content.as_ref().map(|found| found.sha256.as_ref());
            if let (Some(unseen), Some(now), Some(Some(then))) = (&mut change.unseen, &now, then) {
                unseen.restored |= then != now;
            }
            self.tell_change(load, time);
        }
    }
}
