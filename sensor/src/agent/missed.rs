//! What changed while no agent ran: found at the start by comparing what there is with what was
//! kept.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Agent, changes, changes::Classified};
use crate::content::Stands;
use crate::correlate::Seen;
use crate::event::{
    Actor, Between, Body, Change, Event, FileClass, FileIdentity, Process, Tier, Timestamp, Verb,
};
use crate::store::{ChangeNote, Content, Database, KnownFile, Memory, Note};

/// Where everything is made anew at each boot.
const VOLATILE: &str = "/run/";

/// What a name stands for now.
type Now = Content;

fn as_kept(stands: Stands<'_>) -> Now {
    match stands {
        Stands::File(sha256) => Content::Sha256(sha256.to_owned()),
        Stands::Link(text) => Content::Link(text.to_owned()),
        Stands::Unknown => Content::Unknown,
    }
}

/// How what is there differs from what was kept.
#[derive(Debug, Default, PartialEq, Eq)]
struct Differences {
    /// Names to be kept without a word.
    learned: Vec<PathBuf>,
    /// Names that stand for something else, or for something at all.
    changed: Vec<PathBuf>,
    /// Names that are gone.
    gone: Vec<String>,
    /// Names that went with an earlier boot.
    forgotten: Vec<String>,
}

/// Compares. `unread` are names that are there and were not read; `class` says what a name is to
/// systemd, `exists` whether it stands for anything.
fn compare(
    memory: &Memory,
    now: &HashMap<PathBuf, Now>,
    unread: &HashSet<PathBuf>,
    class: impl Fn(&Path) -> Option<FileClass>,
    exists: impl Fn(&Path) -> bool,
) -> Differences {
    let mut found = Differences::default();
    let first = memory.alive.is_none() || memory.files.is_empty();
    let volatile = |path: &str| path.starts_with(VOLATILE) && !memory.same_boot;
    for (path, stands) in now {
        let Some(name) = path.to_str() else { continue };
        match memory.files.get(name) {
            _ if *stands == Content::Unknown => {}
            Some(known) if known.content == *stands => {}
            Some(known) if known.content == Content::Unknown => found.learned.push(path.clone()),
            Some(_) => found.changed.push(path.clone()),
            // A file that a timed unit names was perhaps there before the timer.
            None if first || volatile(name) || class(path) == Some(FileClass::Target) => {
                found.learned.push(path.clone());
            }
            None => found.changed.push(path.clone()),
        }
    }
    let new = unread.iter().filter(|path| {
        let known = path.to_str().map(|name| memory.files.contains_key(name));
        known == Some(false)
    });
    found.learned.extend(new.cloned());
    for (name, known) in &memory.files {
        let path = Path::new(name);
        if now.contains_key(path) || unread.contains(path) || exists(path) {
            continue;
        }
        if volatile(name) || known.class == FileClass::Directory {
            found.forgotten.push(name.clone());
        } else {
            found.gone.push(name.clone());
        }
    }
    found.learned.sort_unstable();
    found.changed.sort_unstable();
    found.gone.sort_unstable();
    found.forgotten.sort_unstable();
    found
}

impl Agent {
    /// Compares what is there with what was kept, keeps the differences, and tells what changed
    /// meanwhile, once: it is kept before it is told.
    pub(super) fn tell_missed(
        &mut self,
        database: &mut Database,
        memory: &Memory,
        unread: &HashSet<PathBuf>,
    ) {
        let aliases = self.aliases();
        let named_twice = |path: &Path| aliases.iter().any(|alias| path.starts_with(alias));
        let now: HashMap<PathBuf, Now> = self
            .contents
            .all()
            .filter(|(path, _)| !named_twice(path))
            .map(|(path, stands)| (path.to_owned(), as_kept(stands)))
            .collect();
        let unread = unread.iter().filter(|path| !named_twice(path));
        let unread: HashSet<PathBuf> = unread.cloned().collect();
        let time = self.facts.now();
        let class = |path: &Path| {
            let found = changes::found(path, None, self.file_tier(), &self.facts, &self.watching)?;
            Some(found.change.class)
        };
        let exists = |path: &Path| std::fs::symlink_metadata(path).is_ok();
        let found = compare(memory, &now, &unread, class, exists);
        let between = Between {
            after: Timestamp {
                boot: 0,
                wall: memory.alive.unwrap_or(0).min(time.wall),
            },
            before: time,
        };
        let mut notes = Vec::new();
        for path in &found.learned {
            notes.extend(self.learned(path, now.get(path), time));
        }
        for name in &found.forgotten {
            if let Some(known) = memory.files.get(name) {
                let change = removal(name, known, between);
                notes.push(note(None, time, &change));
            }
        }
        let mut missed: Vec<Classified> = Vec::new();
        for path in &found.changed {
            missed.extend(self.changed_meanwhile(path, memory, between));
        }
        for name in &found.gone {
            let known = memory.files.get(name);
            missed.extend(known.map(|known| removal(name, known, between)));
        }
        let mut told = Vec::new();
        for classified in missed {
            let body = Body::Change(classified.change.clone());
            let event = self.stream.stamp(time, body);
            notes.push(note(Some(event.uid.clone()), time, &classified));
            told.push((event, classified));
        }
        if !notes.is_empty()
            && let Err(error) = database.keep(&notes)
        {
            self.tell_gap(format!("what changed meanwhile is not kept: {error}"));
        }
        for (event, classified) in told {
            self.stream.send(&event);
            self.remember_missed(event, classified);
        }
    }

    /// Load paths that lead to another one, as `/lib` to `/usr/lib`: changes are told by that one's
    /// name.
    fn aliases(&self) -> Vec<PathBuf> {
        let dirs = self.watching.paths.dirs().iter();
        let dirs: HashSet<PathBuf> = dirs.map(|dir| PathBuf::from(&dir.path)).collect();
        let leads_to_another = |dir: &&PathBuf| {
            let real = std::fs::canonicalize(dir);
            real.is_ok_and(|real| real != **dir && dirs.contains(&real))
        };
        dirs.iter().filter(leads_to_another).cloned().collect()
    }

    fn remember_missed(&mut self, event: Event, classified: Classified) {
        self.recent.tell(&classified.change.path, event.time.boot);
        self.take_in(Seen {
            uid: event.uid,
            sequence: event.sequence,
            time: event.time,
            serves: classified.serves,
            gone: false,
            change: Arc::new(classified.change),
        });
    }

    /// A file as it is found, with nothing to tell.
    fn learned(&self, path: &Path, stands: Option<&Now>, time: Timestamp) -> Option<Note> {
        let mut found = changes::found(path, None, self.file_tier(), &self.facts, &self.watching)?;
        let sha256 = match stands {
            Some(Content::Sha256(sha256)) => Some(sha256.clone()),
            _ => None,
        };
        found.change.content = Some(Box::new(crate::event::Content {
            sha256,
            ..Default::default()
        }));
        Some(note(None, time, &found))
    }

    fn changed_meanwhile(
        &mut self,
        path: &Path,
        memory: &Memory,
        between: Between,
    ) -> Option<Classified> {
        let mut found = changes::found(path, None, self.file_tier(), &self.facts, &self.watching)?;
        let change = &mut found.change;
        let before = memory.files.get(&change.path);
        if before.is_some() && change.verb == Verb::Create {
            change.verb = Verb::Write;
        }
        change.between = Some(between);
        let expected = Some(&change.object).filter(|object| object.inode != 0);
        let unit = change.unit.as_deref();
        let mounts = &self.facts.mounts;
        let mut content = self
            .contents
            .capture(path, expected, change.class, unit, mounts);
        // It was compared with itself: what it was before is known to the store alone.
        content.diff = None;
        content.previous_sha256 = match before.map(|known| &known.content) {
            Some(Content::Sha256(sha256)) => Some(sha256.clone()),
            _ => None,
        };
        change.content = Some(Box::new(content));
        Some(found)
    }
}

/// The removal of a file that nobody saw.
pub(super) fn removal(name: &str, known: &KnownFile, between: Between) -> Classified {
    let previous = match &known.content {
        Content::Sha256(sha256) => Some(sha256.clone()),
        Content::Link(_) | Content::Unknown => None,
    };
    let content = crate::event::Content {
        previous_sha256: previous,
        ..Default::default()
    };
    let change = Change {
        verb: Verb::Unlink,
        path: name.to_owned(),
        truncated: false,
        from: None,
        target: None,
        object: FileIdentity::default(),
        class: known.class,
        unit: known.unit.clone(),
        truncates: false,
        tier: Tier::Tracepoint,
        writer: Actor {
            process: Arc::new(Process::unknown(between.before)),
            ancestry: Vec::new(),
        },
        on_behalf_of: None,
        content: Some(Box::new(content)),
        between: Some(between),
        unseen: None,
        packaging: None,
    };
    Classified {
        change,
        serves: known.serves.clone(),
        structural: false,
        found: true,
        outward: false,
    }
}

fn note(uid: Option<String>, time: Timestamp, classified: &Classified) -> Note {
    let mut change = classified.change.clone();
    change.content = change
        .content
        .map(|content| Box::new(content.without_texts()));
    Note::Change(Box::new(ChangeNote {
        uid,
        time,
        serves: classified.serves.clone(),
        change: change.into(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systemd::load_path::Serves;

    fn file(sha256: &str) -> Content {
        Content::Sha256(sha256.to_owned())
    }

    fn memory(files: &[(&str, Content)]) -> Memory {
        let known = |content: &Content| KnownFile {
            content: content.clone(),
            class: FileClass::UnitFile,
            unit: None,
            serves: Serves::System,
        };
        let files = files.iter();
        Memory {
            alive: Some(1),
            same_boot: true,
            files: files
                .map(|(name, content)| ((*name).to_owned(), known(content)))
                .collect(),
            ..Memory::default()
        }
    }

    fn differences(memory: &Memory, now: &[(&str, Content)], there: &[&str]) -> Differences {
        let now = now.iter();
        let now = now.map(|(name, stands)| (PathBuf::from(name), stands.clone()));
        let class = |path: &Path| {
            let target = path.starts_with("/opt");
            Some(if target {
                FileClass::Target
            } else {
                FileClass::UnitFile
            })
        };
        let unread = HashSet::from([PathBuf::from("/u/unread")]);
        compare(memory, &now.collect(), &unread, class, |path| {
            there.iter().any(|name| Path::new(name) == path)
        })
    }

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn the_first_look_learns() {
        let now = [("/u/a", file("1")), ("/opt/x", file("2"))];
        let found = differences(&Memory::default(), &now, &[]);
        assert_eq!(found.learned, paths(&["/opt/x", "/u/a", "/u/unread"]));
        assert!(found.changed.is_empty() && found.gone.is_empty());
    }

    #[test]
    fn what_differs_is_told_and_nothing_else() {
        let link = |text: &str| Content::Link(text.to_owned());
        let memory = memory(&[
            ("/u/same", file("1")),
            ("/u/other", file("2")),
            ("/u/link", link("/a")),
            ("/u/was-link", link("/a")),
            ("/u/not-read-then", Content::Unknown),
            ("/u/unread", file("3")),
            ("/u/no-longer-looked-at", file("4")),
            ("/u/gone", file("5")),
        ]);
        let now = [
            ("/u/same", file("1")),
            ("/u/other", file("9")),
            ("/u/link", link("/b")),
            ("/u/was-link", file("7")),
            ("/u/not-read-then", file("6")),
            ("/u/new", file("8")),
            ("/opt/new-target", file("8")),
        ];
        let found = differences(&memory, &now, &["/u/no-longer-looked-at"]);
        let changed = ["/u/link", "/u/new", "/u/other", "/u/was-link"];
        assert_eq!(found.changed, paths(&changed));
        let learned = ["/opt/new-target", "/u/not-read-then"];
        assert_eq!(found.learned, paths(&learned));
        assert_eq!(found.gone, ["/u/gone"]);
        assert!(found.forgotten.is_empty());
    }

    #[test]
    fn what_each_boot_makes_anew_is_no_change() {
        let mut memory = memory(&[
            ("/run/systemd/transient/a.service", file("1")),
            ("/run/systemd/generator/b.mount", file("2")),
            ("/etc/systemd/system/c.service", file("3")),
        ]);
        let now = [
            ("/run/systemd/generator/b.mount", file("9")),
            ("/run/systemd/transient/d.scope", file("4")),
        ];
        memory.same_boot = false;
        let found = differences(&memory, &now, &[]);
        assert_eq!(found.forgotten, ["/run/systemd/transient/a.service"]);
        assert_eq!(found.gone, ["/etc/systemd/system/c.service"]);
        assert_eq!(found.changed, paths(&["/run/systemd/generator/b.mount"]));
        let learned = ["/run/systemd/transient/d.scope", "/u/unread"];
        assert_eq!(found.learned, paths(&learned));

        memory.same_boot = true;
        let found = differences(&memory, &now, &[]);
        assert_eq!(found.gone.len(), 2);
        assert_eq!(found.changed.len(), 2);
    }
}
