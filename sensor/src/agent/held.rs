//! Changes that are not finished: a file is written to, a rename is about to land.
//!
//! A change is told when its content can be: at the close, or a moment after the name has its new
//! meaning. What takes longer is told as it stands.

use std::collections::{HashMap, VecDeque};

use super::changes::Classified;
use crate::event::{Change, FileIdentity, Verb};

/// Most changes that are held; the oldest are told early.
const HELD_MAX: usize = 4096;
/// How long a file may stay open for writing before that is told, in nanoseconds.
const OPEN: u64 = 1_000_000_000;
/// How long the kernel gets to carry out what the programs saw coming, in nanoseconds.
const LANDING: u64 = 2_000_000;
/// How long after a node was made it may be opened by whoever made it, in nanoseconds.
const OPENING: u64 = 50_000_000;
/// The same for the removal of a directory, which may wait for a disk.
const REMOVAL: u64 = 50_000_000;

/// A change that waits.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) change: Classified,
    /// When it happened, in nanoseconds since boot.
    pub(crate) time: u64,
    /// When it is told at the latest.
    due: u64,
}

impl Held {
    fn is_by(&self, other: &Classified) -> bool {
        self.change.change.writer.process.key == other.change.writer.process.key
    }
}

/// What waits, in the order in which it happened.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    held: VecDeque<Held>,
    /// How many of `held` are writes to each inode (device, inode).
    open: HashMap<(u32, u64), u32>,
}

impl Waiting {
    /// Holds a change. `now` is nanoseconds since boot.
    ///
    /// What one process does to a file under a temporary name is part of the rename that follows,
    /// and what it writes in several goes between two looks is one write.
    pub(crate) fn hold(&mut self, change: Classified, time: u64, now: u64) {
        if let Some(key) = writing(&change)
            && self.open.contains_key(&key)
            && self
                .held
                .iter()
                .any(|held| writing(&held.change) == Some(key) && held.is_by(&change))
        {
            return;
        }
        let (mut change, mut time) = (change, time);
        match change.change.verb {
            Verb::Rename => self.join(&change),
            // overlayfs makes its upper file by one call and opens it by another.
            Verb::Write => {
                let made = self.held.iter().position(|held| {
                    let made = &held.change.change;
                    made.verb == Verb::Mknod
                        && made.path == change.change.path
                        && held.is_by(&change)
                });
                if let Some(made) = made.and_then(|index| self.take(index)) {
                    change.change.verb = Verb::Create;
                    time = made.time;
                }
            }
            // Tried again: the first time it was refused.
            Verb::Rmdir => self.held.retain(|held| {
                let same = held.change.change.object.inode == change.change.object.inode;
                !(held.change.change.verb == Verb::Rmdir && same)
            }),
            _ => {}
        }
        let wait = match change.change.verb {
            Verb::Create | Verb::Write => OPEN,
            Verb::Rmdir => REMOVAL,
            Verb::Mknod => OPENING,
            _ => LANDING,
        };
        if let Some(key) = writing(&change) {
            *self.open.entry(key).or_default() += 1;
        }
        self.held.push_back(Held {
            change,
            time,
            due: now.saturating_add(wait),
        });
    }

    /// The write to this inode that has waited longest, as its file was closed.
    pub(crate) fn close(&mut self, device: u32, inode: u64) -> Option<Held> {
        if !self.open.contains_key(&(device, inode)) {
            return None;
        }
        let is_it = |held: &Held| writing(&held.change) == Some((device, inode));
        let index = self.held.iter().position(is_it)?;
        self.take(index)
    }

    /// Whether a change to this name or inode waits.
    pub(crate) fn concerns(&self, change: &Change) -> bool {
        let of = |object: &FileIdentity| (object.device, object.inode);
        self.open.contains_key(&of(&change.object))
            || self
                .held
                .iter()
                .any(|held| held.change.change.path == change.path)
    }

    /// Lets go of what the process of a rename did to the old name.
    fn join(&mut self, rename: &Classified) {
        let from = rename.change.from.as_deref();
        while let Some(index) = self.held.iter().position(|held| {
            let renamed = held.change.change.verb == Verb::Rename;
            let path = held.change.change.path.as_str();
            !renamed && Some(path) == from && held.is_by(rename)
        }) {
            self.take(index);
        }
    }

    /// The next change to a name or directory from before `time`: what came later shows that it
    /// has landed.
    pub(crate) fn landed(&mut self, time: u64) -> Option<Held> {
        let index = self.held.iter().position(|held| {
            let verb = held.change.change.verb;
            let waits = [Verb::Create, Verb::Write, Verb::Rmdir, Verb::Mknod];
            held.time < time && !waits.contains(&verb)
        })?;
        self.take(index)
    }

    /// The next change that is due.
    pub(crate) fn due(&mut self, now: u64) -> Option<Held> {
        let full = self.held.len() > HELD_MAX;
        let index = self.held.iter().position(|held| full || held.due <= now)?;
        self.take(index)
    }

    /// When the next change is due.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.held.iter().map(|held| held.due).min()
    }

    /// Whether a change of this name waits.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.held.iter().any(|held| held.change.change.path == path)
    }

    /// Everything, for a verdict that may rest on it.
    pub(crate) fn all(&mut self) -> Option<Held> {
        self.take(0)
    }

    fn take(&mut self, index: usize) -> Option<Held> {
        let held = self.held.remove(index)?;
        if let Some(key) = writing(&held.change)
            && let Some(count) = self.open.get_mut(&key)
        {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&key);
            }
        }
        Some(held)
    }
}

fn writing(change: &Classified) -> Option<(u32, u64)> {
    let object = &change.change.object;
    let writes = matches!(change.change.verb, Verb::Create | Verb::Write);
    (writes && object.inode != 0).then_some((object.device, object.inode))
}
