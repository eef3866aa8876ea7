//! Which changes concern which unit.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    event::{Change, FileClass, Manager, Timestamp, Verb},
    systemd::{load_path::Serves, unit_name::defining_names},
};

/// Most names that changes are kept for.
const NAMES_MAX: usize = 8192;
/// Most changes kept for one name: the newest.
const CHANGES_MAX: usize = 64;

/// A change that was seen, with what identifies its event.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `metadata.uid` of its event.
    pub uid: String,
    /// Later changes have higher ones; counted by [`Changes::note`].
    pub sequence: u64,
    /// When.
    pub time: Timestamp,
    /// Whose manager reads the file.
    pub serves: Serves,
    /// What.
    pub change: Arc<Change>,
}

impl Seen {
    /// Whether it made or removed a link, rather than content.
    #[must_use]
    pub fn is_link(&self) -> bool {
        self.change.class == FileClass::DependencyLink
            || self.change.verb == Verb::Symlink && self.change.class == FileClass::UnitFile
    }
}

/// Changes by the name of the unit, template, prefix or type they concern.
#[derive(Debug, Default)]
pub struct Changes {
    by_name: HashMap<String, VecDeque<Seen>>,
    /// Names in the order in which they were first changed.
    order: VecDeque<String>,
    /// How many changes came so far.
    count: u64,
}

impl Changes {
    /// Keeps a change, if it concerns a unit. Says which number it has.
    pub fn note(&mut self, mut seen: Seen) -> u64 {
        self.count += 1;
        seen.sequence = self.count;
        self.forget_gone(&seen.change);
        let name = seen.change.unit.clone();
        let Some(name) = name.filter(|_| seen.change.defines_unit()) else {
            return self.count;
        };
        if let Some(content) = &seen.change.content {
            // What was said of the content stays in the event; its hash is enough here.
            let content = Some(Box::new(content.without_texts()));
            seen.change = Arc::new(Change {
                content,
                ..seen.change.as_ref().clone()
            });
        }
        if !self.by_name.contains_key(&name) {
            while self.by_name.len() >= NAMES_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.by_name.remove(&oldest);
            }
            self.order.push_back(name.clone());
        }
        let changes = self.by_name.entry(name).or_default();
        if changes.len() >= CHANGES_MAX {
            changes.pop_front();
        }
        changes.push_back(seen);
        self.count
    }

    /// Forgets the change that was told by this uid: it is to be noted anew.
    pub fn forget(&mut self, uid: &str) {
        for changes in self.by_name.values_mut() {
            changes.retain(|kept| kept.uid != uid);
        }
    }

    /// Takes in what is known by now of the package of a change that was kept.
    pub fn repackaged(&mut self, seen: &Seen) {
        let name = seen.change.unit.as_ref();
        let kept = name.and_then(|name| self.by_name.get_mut(name));
        for old in kept.into_iter().flatten() {
            if old.uid == seen.uid {
                let mut change = old.change.as_ref().clone();
                change.packaging.clone_from(&seen.change.packaging);
                old.change = Arc::new(change);
            }
        }
    }

    /// What was done to a file that is gone is no cause any more: no unit rests on it.
    fn forget_gone(&mut self, change: &Change) {
        let gone = match change.verb {
            Verb::Unlink | Verb::Rmdir => change.path.as_str(),
            Verb::Rename => match &change.from {
                Some(from) => from.as_str(),
                None => return,
            },
            _ => return,
        };
        let within = format!("{gone}/");
        for changes in self.by_name.values_mut() {
            let is_gone = |path: &str| path == gone || path.starts_with(&within);
            changes.retain(|kept| !is_gone(&kept.change.path));
        }
    }

    /// The changes to what defines `unit` for `manager`, up to `until`, oldest first: its file,
    /// its template's, drop-ins for it, for a prefix of its name and for its type, and links.
    #[must_use]
    pub fn of(&self, unit: &str, manager: &Manager, until: Timestamp) -> Vec<Seen> {
        let mut found: Vec<Seen> = defining_names(unit)
            .iter()
            .filter_map(|name| self.by_name.get(name))
            .flatten()
            .filter(|seen| seen.time <= until && seen.serves.includes(manager))
            .cloned()
            .collect();
        found.sort_by_key(|seen| seen.sequence);
        found
    }

    /// Whether nothing was ever changed: the common case, and the cheap one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}
