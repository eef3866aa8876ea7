//! Which changes concern which unit.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    event::{Change, FileClass, Manager, Process, Timestamp, Verb},
    systemd::{load_path::Serves, presence::MANAGER_PROGRAMS, unit_name::defining_names},
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
    /// Whether the file is gone since. Its manager still goes by it where it has read it before, until it
    /// reads its units anew.
    pub gone: bool,
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
        self.replace_gone(&seen.change);
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

    /// Takes in that a file is gone. What a manager removes it forgets; of what others remove it knows
    /// nothing until it reads its units anew.
    fn forget_gone(&mut self, change: &Change) {
        let gone = match change.verb {
            Verb::Unlink | Verb::Rmdir => change.path.as_str(),
            Verb::Rename => match &change.from {
                Some(from) => from.as_str(),
                None => return,
            },
            _ => return,
        };
        let by_manager = is_manager(&change.writer.process);
        let within = format!("{gone}/");
        for changes in self.by_name.values_mut() {
            changes.retain_mut(|kept| {
                let path = &kept.change.path;
                let is_gone = path == gone || path.starts_with(&within);
                // Of the removal itself nothing is left to go by.
                let removal = matches!(kept.change.verb, Verb::Unlink | Verb::Rmdir);
                kept.gone |= is_gone;
                !(is_gone && (by_manager || removal))
            });
        }
    }

    /// Forgets what was done to a file that is gone, when there is another by its name.
    fn replace_gone(&mut self, change: &Change) {
        if matches!(change.verb, Verb::Unlink | Verb::Rmdir) {
            return;
        }
        if let Some(changes) = change
            .unit
            .as_ref()
            .and_then(|name| self.by_name.get_mut(name))
        {
            changes.retain(|kept| !(kept.gone && kept.change.path == change.path));
        }
    }

    /// A manager begins to read its units anew: what is gone by then is no cause any more.
    pub fn reloads(&mut self, manager: &Manager) {
        for changes in self.by_name.values_mut() {
            changes.retain(|kept| !(kept.gone && kept.serves.includes(manager)));
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

/// Whether a process is a manager.
fn is_manager(process: &Process) -> bool {
    let program = process.exe.as_ref().map(|exe| exe.path.as_str());
    process.key.tgid == 1 || program.is_some_and(|path| MANAGER_PROGRAMS.contains(&path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Actor, ProcessKey};

    const PATH: &str = "/etc/systemd/system/a.service";

    fn seen(verb: Verb, by: u32) -> Seen {
        let process = Process::of_key(ProcessKey::new(by, 7), None, Timestamp::default());
        let writer = Actor {
            process: Arc::new(process),
            ancestry: Vec::new(),
        };
        Seen {
            uid: format!("{by}"),
            sequence: 0,
            time: Timestamp::default(),
            serves: Serves::System,
            gone: false,
            change: Arc::new(Change {
                unit: Some("a.service".to_owned()),
                ..Change::sample(verb, FileClass::UnitFile, PATH, writer)
            }),
        }
    }

    /// What is kept: the verb, and whether the file is gone.
    fn kept(changes: &Changes) -> Vec<(Verb, bool)> {
        let found = changes.of("a.service", &Manager::System, Timestamp::default());
        found
            .iter()
            .map(|seen| (seen.change.verb, seen.gone))
            .collect()
    }

    #[test]
    fn a_manager_goes_by_what_is_gone_until_it_reloads() {
        let mut changes = Changes::default();
        changes.note(seen(Verb::Create, 9));
        changes.note(seen(Verb::Unlink, 9));
        let gone = [(Verb::Create, true), (Verb::Unlink, false)];
        assert_eq!(kept(&changes), gone);
        changes.reloads(&Manager::User(7));
        assert_eq!(kept(&changes), gone, "another's manager");
        changes.reloads(&Manager::System);
        assert_eq!(kept(&changes), [(Verb::Unlink, false)]);
    }

    #[test]
    fn what_a_manager_removes_it_forgets() {
        let mut changes = Changes::default();
        changes.note(seen(Verb::Create, 9));
        changes.note(seen(Verb::Unlink, 1));
        assert_eq!(kept(&changes), [(Verb::Unlink, false)]);
    }

    #[test]
    fn another_file_of_that_name_takes_its_place() {
        let mut changes = Changes::default();
        for verb in [Verb::Create, Verb::Unlink, Verb::Create] {
            changes.note(seen(verb, 9));
        }
        assert_eq!(
            kept(&changes),
            [(Verb::Unlink, false), (Verb::Create, false)]
        );
    }
}
