//! From the kernel's events to changes: verbs in order, watch numbers, repeats merged.

use std::collections::HashMap;

use whodunit_common::Verb;

use super::parse::{self, Entry, RawEvent};
use super::{Fanotify, FanotifyError, FileChange, FileEvent, Object, Place, Standing};

/// What was told already in one read, by place: the last process, and its verbs since the name
/// last changed hands.
#[derive(Debug, Default)]
pub(super) struct Batch {
    told: HashMap<Box<[u8]>, (u32, u16)>,
}

fn bit(verb: Verb) -> u16 {
    1 << (verb as u16)
}

impl Batch {
    /// Whether `verb` at `place` by `pid` says nothing new; takes note of it.
    fn repeats(&mut self, place: &[u8], pid: u32, verb: Verb) -> bool {
        match verb {
            Verb::Write | Verb::Closed | Verb::Setattr => {}
            _ => {
                self.told.remove(place);
            }
        }
        if let Some((last, told)) = self.told.get_mut(place) {
            if *last != pid {
                (*last, *told) = (pid, 0);
            }
            let implied = verb == Verb::Write && *told & bit(Verb::Create) != 0;
            let repeated = *told & bit(verb) != 0;
            *told |= bit(verb);
            return implied || repeated;
        }
        self.told.insert(place.into(), (pid, bit(verb)));
        false
    }
}

impl Fanotify {
    pub(super) fn decode(
        &mut self,
        buffer: &[u8],
        batch: &mut Batch,
        out: &mut Vec<FileEvent>,
    ) -> Result<(), FanotifyError> {
        for event in parse::events(buffer) {
            let event = event?;
            if event.mask & libc::FAN_Q_OVERFLOW != 0 {
                *batch = Batch::default();
                out.push(FileEvent::Overflow);
            } else if !self.translate(&event, batch, out) {
                self.unmatched = self.unmatched.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Appends what an event says; false when it concerns nothing watched.
    fn translate(
        &mut self,
        event: &RawEvent<'_>,
        batch: &mut Batch,
        out: &mut Vec<FileEvent>,
    ) -> bool {
        let at = event.new.or(event.entry);
        // A directory's own events name it as the directory, with `.` as the entry.
        let itself = match event.entry {
            Some(entry) if entry.name() == "." => Some(entry.directory()),
            _ => event.object,
        };
        let template = FileChange {
            verb: Verb::Setattr,
            at: at.map(|entry| self.place(&entry)),
            from: event.old.map(|entry| self.place(&entry)),
            pid: event.pid,
            is_directory: event.mask & libc::FAN_ONDIR != 0,
            watched: itself.and_then(|identity| self.ids.get(identity).copied()),
            object: itself.map(|identity| Object(identity.into())),
        };
        let places = [&template.at, &template.from];
        if template.watched.is_none() && !places.into_iter().flatten().any(|p| p.dir.is_some()) {
            return false;
        }
        for verb in self.verbs(event.mask, &template) {
            let mut change = FileChange {
                verb,
                ..template.clone()
            };
            let key = at.map(|entry| entry.bytes).or(itself).unwrap_or_default();
            if verb == Verb::Rename {
                for entry in event.old.iter().chain(&at) {
                    batch.told.remove(entry.bytes);
                }
                if event.mask & libc::FAN_MOVED_FROM != 0 && event.mask & libc::FAN_MOVED_TO == 0 {
                    change.from = change.at.take();
                }
            } else if batch.repeats(key, event.pid, verb) {
                continue;
            }
            out.push(FileEvent::Change(change));
        }
        if let Some(id) = template.watched {
            let pid = event.pid;
            if event.mask & libc::FAN_DELETE_SELF != 0 {
                if let Some(watch) = self.watches.remove(&id) {
                    self.ids.remove(&watch.identity);
                }
                out.push(FileEvent::Gone { id, pid });
            } else if event.mask & libc::FAN_MOVE_SELF != 0 {
                out.push(FileEvent::Moved { id, pid });
            }
        }
        true
    }

    /// What a mask says, in the order in which it most likely happened.
    fn verbs(&self, mask: u64, change: &FileChange) -> Vec<Verb> {
        let (create, delete) = if change.is_directory {
            (Verb::Mkdir, Verb::Rmdir)
        } else {
            (Verb::Create, Verb::Unlink)
        };
        let renamed = libc::FAN_RENAME | libc::FAN_MOVED_FROM | libc::FAN_MOVED_TO;
        let mut verbs: Vec<Verb> = [
            (libc::FAN_CREATE, create),
            (renamed, Verb::Rename),
            (libc::FAN_ATTRIB, Verb::Setattr),
            (libc::FAN_MODIFY, Verb::Write),
            (libc::FAN_CLOSE_WRITE, Verb::Closed),
            (libc::FAN_DELETE, delete),
        ]
        .into_iter()
        .filter_map(|(bits, verb)| (mask & bits != 0).then_some(verb))
        .collect();
        // Made and removed, or removed and made again? What is there now decides.
        let both = libc::FAN_CREATE | libc::FAN_DELETE;
        if mask & both == both {
            let standing = self.look(change).standing;
            if matches!(standing, Standing::Same | Standing::Unverified) {
                verbs.rotate_right(1);
            }
        }
        verbs
    }

    fn place(&self, entry: &Entry<'_>) -> Place {
        Place {
            dir: self.ids.get(entry.directory()).copied(),
            name: entry.name().to_owned(),
        }
    }
}
