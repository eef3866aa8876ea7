//! Changes that are not finished: a file is written to, a rename is about to land.
//!
//! A change is told when its content can be: at the close, or a moment after the name has its new
//! meaning. What takes longer is told as it stands.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::changes::Classified;
use crate::event::{Change, Verb};

/// Most changes that are held; the oldest are told early.
const HELD_MAX: usize = 4096;
/// How long a file may stay open for writing before that is told, in nanoseconds.
const OPEN: u64 = 1_000_000_000;
/// How long the kernel gets to carry out what the programs saw coming, in nanoseconds.
const LANDING: u64 = 2_000_000;
/// How long after a node was made it may be opened by whoever made it, in nanoseconds.
const OPENING: u64 = 1_000_000_000;
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

/// What waits, numbered in the order in which it happened.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    held: BTreeMap<u64, Held>,
    last: u64,
    /// When each is told at the latest.
    dues: BTreeSet<(u64, u64)>,
    /// Those of each name.
    paths: HashMap<String, BTreeSet<u64>>,
    /// Writes to each inode (device, inode).
    open: HashMap<(u32, u64), BTreeSet<u64>>,
    /// Changes to names and directories that have landed once something later is seen.
    landing: BTreeSet<u64>,
}

impl Waiting {
    /// Holds a change. `now` is nanoseconds since boot.
    ///
    /// What one process does to a file under a temporary name is part of the rename that follows,
    /// and what it writes in several goes between two looks is one write.
    pub(crate) fn hold(&mut self, change: Classified, time: u64, now: u64) {
        let writes = writing(&change).and_then(|key| self.open.get(&key));
        let mut writes = writes.into_iter().flatten();
        if writes.any(|number| self.is_by(*number, &change)) {
            return;
        }
        let (mut change, mut time) = (change, time);
        match change.change.verb {
            Verb::Rename => self.join(&change),
            // overlayfs makes its upper file by one call and opens it by another.
            Verb::Write => {
                let made = self.named(&change.change.path).find(|number| {
                    self.verb(*number) == Some(Verb::Mknod) && self.is_by(*number, &change)
                });
                if let Some(made) = made.and_then(|number| self.take(number)) {
                    change.change.verb = Verb::Create;
                    time = made.time;
                }
            }
            // Tried again: the first time it was refused.
            Verb::Rmdir => {
                let inode = change.change.object.inode;
                let refused = self.held.iter().filter(|(_, held)| {
                    let before = &held.change.change;
                    before.verb == Verb::Rmdir && before.object.inode == inode
                });
                for number in refused.map(|(number, _)| *number).collect::<Vec<_>>() {
                    self.take(number);
                }
            }
            _ => {}
        }
        self.put(change, time, now);
    }

    fn put(&mut self, change: Classified, time: u64, now: u64) {
        let wait = match change.change.verb {
            Verb::Create | Verb::Write => OPEN,
            Verb::Rmdir => REMOVAL,
            Verb::Mknod => OPENING,
            _ => LANDING,
        };
        self.last += 1;
        let (number, due) = (self.last, now.saturating_add(wait));
        if let Some(key) = writing(&change) {
            self.open.entry(key).or_default().insert(number);
        }
        if lands(&change) {
            self.landing.insert(number);
        }
        let path = change.change.path.clone();
        self.paths.entry(path).or_default().insert(number);
        self.dues.insert((due, number));
        self.held.insert(number, Held { change, time, due });
    }

    /// The write to this inode that has waited longest, as its file was closed.
    pub(crate) fn close(&mut self, device: u32, inode: u64) -> Option<Held> {
        let number = *self.open.get(&(device, inode))?.first()?;
        self.take(number)
    }

    /// Whether a change to this name or inode waits.
    pub(crate) fn concerns(&self, change: &Change) -> bool {
        let object = (change.object.device, change.object.inode);
        self.open.contains_key(&object) || self.has(&change.path)
    }

    /// Lets go of what the process of a rename did to the old name.
    fn join(&mut self, rename: &Classified) {
        let Some(from) = rename.change.from.as_deref() else {
            return;
        };
        let joined = self.named(from).filter(|number| {
            self.verb(*number) != Some(Verb::Rename) && self.is_by(*number, rename)
        });
        for number in joined.collect::<Vec<_>>() {
            self.take(number);
        }
    }

    /// The next change to a name or directory from before `time`: what came later shows that it
    /// has landed.
    pub(crate) fn landed(&mut self, time: u64) -> Option<Held> {
        let before = |number: &u64| self.held.get(number).is_some_and(|held| held.time < time);
        let number = self.landing.iter().copied().find(before)?;
        self.take(number)
    }

    /// The next change that is due, where all that happened until `now` has been held.
    pub(crate) fn due(&mut self, now: u64) -> Option<Held> {
        if self.held.len() > HELD_MAX {
            return self.all();
        }
        let (due, number) = *self.dues.first()?;
        (due <= now).then(|| self.take(number)).flatten()
    }

    /// When the next change is due.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.dues.first().map(|(due, _)| *due)
    }

    /// Whether a change of this name waits.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.paths.contains_key(path)
    }

    /// Everything, for a verdict that may rest on it.
    pub(crate) fn all(&mut self) -> Option<Held> {
        let number = *self.held.first_key_value()?.0;
        self.take(number)
    }

    /// Those of a name, oldest first.
    fn named<'a>(&'a self, path: &str) -> impl Iterator<Item = u64> + use<'a> {
        self.paths.get(path).into_iter().flatten().copied()
    }

    fn verb(&self, number: u64) -> Option<Verb> {
        Some(self.held.get(&number)?.change.change.verb)
    }

    fn is_by(&self, number: u64, other: &Classified) -> bool {
        let held = self.held.get(&number);
        held.is_some_and(|held| held.is_by(other))
    }

    fn take(&mut self, number: u64) -> Option<Held> {
        let held = self.held.remove(&number)?;
        self.dues.remove(&(held.due, number));
        self.landing.remove(&number);
        leave(&mut self.paths, &held.change.change.path, number);
        if let Some(key) = writing(&held.change) {
            leave(&mut self.open, &key, number);
        }
        Some(held)
    }
}

/// Takes a number out of a table, and its set when that is the last.
fn leave<K, Q>(table: &mut HashMap<K, BTreeSet<u64>>, key: &Q, number: u64)
where
    K: std::hash::Hash + Eq + std::borrow::Borrow<Q>,
    Q: std::hash::Hash + Eq + ?Sized,
{
    if let Some(numbers) = table.get_mut(key) {
        numbers.remove(&number);
        if numbers.is_empty() {
            table.remove(key);
        }
    }
}

fn writing(change: &Classified) -> Option<(u32, u64)> {
    let object = &change.change.object;
    let writes = matches!(change.change.verb, Verb::Create | Verb::Write);
    (writes && object.inode != 0).then_some((object.device, object.inode))
}

/// Whether something that comes later shows that a change has landed.
fn lands(change: &Classified) -> bool {
    let waits = [Verb::Create, Verb::Write, Verb::Rmdir, Verb::Mknod];
    !waits.contains(&change.change.verb)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::samples::{actor, change};

    const UNIT: &str = "/etc/systemd/system/a.service";
    const SHELL: u32 = 7;

    /// A change that the process of `pid` makes.
    fn by(pid: u32, verb: Verb) -> Classified {
        change(verb, UNIT, actor(pid, "/user.slice"), false)
    }

    /// What is told of each, and when it happened.
    fn told(waiting: &mut Waiting) -> Vec<(Verb, u64)> {
        let held = std::iter::from_fn(|| waiting.all());
        held.map(|held| (held.change.change.verb, held.time))
            .collect()
    }

    #[test]
    fn a_file_made_and_opened_by_two_calls_is_created_once() {
        let mut waiting = Waiting::default();
        waiting.hold(by(SHELL, Verb::Mknod), 1, 1);
        // The guest stood still in between.
        let opened = 1 + 60_000_000;
        assert!(waiting.due(opened).is_none());
        waiting.hold(by(SHELL, Verb::Write), opened, opened);
        assert_eq!(told(&mut waiting), [(Verb::Create, 1)]);
    }

    #[test]
    fn a_node_that_nobody_opens_is_told_as_what_it_is() {
        let mut waiting = Waiting::default();
        waiting.hold(by(SHELL, Verb::Mknod), 1, 1);
        waiting.hold(by(SHELL + 1, Verb::Write), 2, 2);
        assert_eq!(waiting.next_due(), Some(1 + OPENING));
        let due = waiting.due(1 + OPENING).expect("due");
        assert_eq!(due.change.change.verb, Verb::Mknod);
        assert_eq!(told(&mut waiting), [(Verb::Write, 2)]);
    }

    #[test]
    fn a_temporary_name_is_part_of_its_rename() {
        let mut waiting = Waiting::default();
        waiting.hold(by(SHELL, Verb::Create), 1, 1);
        let mut rename = by(SHELL, Verb::Rename);
        rename.change.from = Some(UNIT.to_owned());
        rename.change.path = format!("{UNIT}.d");
        waiting.hold(rename, 2, 2);
        assert_eq!(told(&mut waiting), [(Verb::Rename, 2)]);
    }
}
