//! From what the file probes saw to changes of units.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use whodunit_common::{ProcessKey, change_flags, process_flags};

use super::{facts::Facts, recent::Brought, watching::Watching, who::actor};
use crate::{
    detect::AGENT_UNIT,
    event::{Actor, Change, FileClass, FileIdentity, Process, Tier, Verb},
    host::lookup,
    kernel::{
        ChangeSeen, KernelProcesses, PathSeen, TaskSeen,
        fanotify::{FileChange, Look, Scope, Standing},
    },
    lineage::Table,
    systemd::{
        load_path::Serves,
        load_paths::{self, classify_by_name},
        unit_name::{UnitName, unit_of_dropin_dir},
    },
};

/// A change, and whose manager it concerns.
#[derive(Debug)]
pub(crate) struct Classified {
    pub(crate) change: Change,
    pub(crate) serves: Serves,
    /// Whether a directory appeared, went or moved: the watches may be out of step.
    pub(crate) structural: bool,
    /// Whether it was found in a directory that came into view: `object` is what is there.
    pub(crate) found: bool,
    /// Whether something in a load path got a name outside.
    pub(crate) outward: bool,
}

/// What a change is about, before it is known what that is to systemd.
struct Named {
    path: String,
    from: Option<String>,
    truncated: bool,
}

impl Classified {
    /// A change of a target, or on the way to one: whose manager it concerns does not matter.
    fn of_target(change: Change, structural: bool) -> Self {
        Self {
            change,
            serves: Serves::Everyone,
            structural,
            found: false,
            outward: false,
        }
    }

    /// Whether a manager notes when its timer elapsed: what it does, and no change of it.
    fn is_own_stamp(&self, flags: u32) -> bool {
        let manager = flags & process_flags::IS_MANAGER != 0;
        self.change.class == FileClass::TimerStamp
            && (manager || self.change.writer.process.key.tgid == 1)
    }
}

/// From a record of the programs.
pub(crate) fn seen_by_programs(
    seen: ChangeSeen,
    watching: &Watching,
    table: &mut Table,
    facts: &Facts,
) -> Option<Classified> {
    let scope = watching.watches.scope(seen.watch);
    let on_the_way = seen.depth == 0 && scope.is_some_and(|scope| scope <= Scope::Entries);
    if seen.verb == Verb::Setattr && on_the_way {
        return None; // a home's mode is nothing to systemd
    }
    let named = name(&seen, watching, facts);
    let (flags, writer) = (seen.flags, seen.task.flags);
    let change = described(seen, named, table, facts);
    let directory = flags & change_flags::DIRECTORY != 0;
    let by_name = flags & change_flags::BY_NAME != 0;
    let classified = classify(change, directory, by_name, watching)?;
    (!classified.is_own_stamp(writer)).then_some(classified)
}

/// A record as a change of which it is not known yet what it is to systemd.
fn described(seen: ChangeSeen, named: Named, table: &mut Table, facts: &Facts) -> Change {
    let ChangeSeen {
        time,
        task,
        verb,
        flags,
        object,
        target,
        tier,
        ..
    } = seen;
    let writer = actor(&task, time, table, facts);
    Change {
        verb,
        path: named.path,
        truncated: named.truncated,
        from: named.from,
        target,
        object,
        class: FileClass::Other,
        unit: None,
        truncates: flags & change_flags::TRUNCATE != 0,
        tier,
        writer,
        on_behalf_of: None,
        content: None,
        between: None,
        unseen: None,
        packaging: None,
    }
}

/// The host's names: by the watched directory where one matched, else by the mount table.
fn name(seen: &ChangeSeen, watching: &Watching, facts: &Facts) -> Named {
    let by_mounts = |path: &PathSeen| {
        let inside = format!("/{}", path.components.join("/"));
        let device = seen.object.device;
        match facts.mounts.host_path(device, &inside) {
            Some(host) if !path.truncated => (host, false),
            _ => (inside, true),
        }
    };
    let by_watch = |path: &PathSeen| {
        let dir = watching.watches.path(seen.watch)?;
        let below = path.components.len().checked_sub(seen.depth as usize)?;
        let rest = path.components.get(below..)?.join("/");
        let whole = if rest.is_empty() {
            dir.to_owned()
        } else {
            dir.join(rest)
        };
        Some((whole.to_string_lossy().into_owned(), false))
    };
    let old_matched = seen.flags & change_flags::MATCHED_FROM != 0;
    // A file that is watched by itself may have several names: which one comes or goes?
    let names = matches!(seen.verb, Verb::Unlink | Verb::Rename | Verb::Link);
    let own = seen.depth == 0 && watching.watches.scope(seen.watch) == Some(Scope::File);
    let of = |path: &PathSeen, matched: bool| {
        let named = by_mounts(path);
        if names && own && !named.1 {
            return named;
        }
        if matched {
            by_watch(path).unwrap_or_else(|| by_mounts(path))
        } else {
            by_mounts(path)
        }
    };
    let (path, truncated) = of(&seen.path, !old_matched);
    let from = seen.from.as_ref().map(|from| of(from, old_matched).0);
    Named {
        path,
        from,
        truncated,
    }
}

/// From fanotify, which knows the process by its pid alone.
pub(crate) fn seen_by_marks(
    event: &FileChange,
    look: Look,
    time: u64,
    watching: &Watching,
    table: &mut Table,
    processes: &KernelProcesses,
    facts: &Facts,
) -> Option<Classified> {
    let place = |place: &crate::kernel::fanotify::Place| {
        let path = watching.watches.entry(place.dir?, &place.name)?;
        Some(path.to_string_lossy().into_owned())
    };
    let at = event.at.as_ref().and_then(place);
    let old = event.from.as_ref().and_then(place);
    let watched = event
        .watched
        .and_then(|id| watching.watches.path(id))
        .map(|path| path.to_string_lossy().into_owned());
    // Renamed out of what is watched: the old name is all there is, and it is gone.
    let path = at.or_else(|| old.clone()).or(watched)?;
    let known = matches!(look.standing, Standing::Same | Standing::Unverified);
    let object = look
        .facts
        .filter(|_| known)
        .map_or_else(FileIdentity::default, |facts| FileIdentity {
            device: facts.device,
            inode: facts.inode,
            size: facts.size,
            mode: facts.mode,
            nlink: facts.nlink,
            uid: facts.uid,
        });
    let task = task_of(event.pid, table, processes);
    let writer = actor(&task, time, table, facts);
    let writer_flags = processes.flags(task.key.tgid);
    let classified = classify(
        Change {
            verb: look.verb,
            from: old.filter(|old| *old != path),
            path,
            truncated: false,
            target: look.link.map(|text| text.to_string_lossy().into_owned()),
            object,
            class: FileClass::Other,
            unit: None,
            truncates: false,
            tier: Tier::Tracepoint,
            writer,
            on_behalf_of: None,
            content: None,
            between: None,
            unseen: None,
            packaging: None,
        },
        event.is_directory,
        false,
        watching,
    )?;
    (!classified.is_own_stamp(writer_flags)).then_some(classified)
}

/// The task behind a pid: from the kernel's table, else from ours.
fn task_of(pid: u32, table: &Table, processes: &KernelProcesses) -> TaskSeen {
    let mut task = TaskSeen {
        key: ProcessKey::new(pid, 0),
        ..TaskSeen::default()
    };
    let ancestors = processes.ancestors(pid);
    if let Some((key, ancestors)) = ancestors {
        task.key = key;
        task.ancestors = ancestors;
    } else if let Some(known) = table.current(pid) {
        task.key = known.process.key;
    }
    task
}

/// What the path is to systemd. `None` for what is nothing to it, as a temporary name.
fn classify(
    mut change: Change,
    directory: bool,
    by_name: bool,
    watching: &Watching,
) -> Option<Classified> {
    let target = watching.targets.unit_of(&change.path).or_else(|| {
        // What the agent rests on is moved away.
        let from = change
            .from
            .as_deref()
            .filter(|_| change.verb == Verb::Rename)?;
        watching
            .targets
            .unit_of(from)
            .filter(|unit| *unit == AGENT_UNIT)
    });
    if let Some(unit) = target {
        change.class = FileClass::Target;
        change.unit = Some(unit.to_owned());
        return Some(Classified::of_target(change, false));
    }
    let verdict = |path: &str| {
        let known = watching.paths.classify(path);
        known.or_else(|| by_name.then(|| classify_by_name(path)).flatten())
    };
    let new = verdict(&change.path);
    let old = change.from.as_deref().and_then(verdict);
    let is = |class: FileClass| move |found: &load_paths::Classified| found.class == class;
    let structural = directory
        || change.verb == Verb::Symlink && new.as_ref().is_some_and(is(FileClass::Directory));
    // A second name beside the first is none that systemd knows.
    if change.verb == Verb::Link && new.as_ref().is_some_and(is(FileClass::Other)) {
        return None;
    }
    let outward = new.is_none();
    // Out of a load path counts as much as into one.
    let new = new.filter(|new| !is(FileClass::Other)(new));
    let old = old.filter(|old| !is(FileClass::Other)(old));
    let Some(verdict) = new.or(old) else {
        return on_the_way(change, directory, watching);
    };
    change.class = verdict.class;
    change.unit = verdict.unit;
    let classified = Classified {
        change,
        serves: verdict.serves,
        structural,
        found: false,
        outward,
    };
    Some(classified)
}

/// What is done to a directory or link on the way to a target: that is another one then.
fn on_the_way(mut change: Change, directory: bool, watching: &Watching) -> Option<Classified> {
    let on_the_way = |path: &str| watching.targets.on_the_way(path);
    let from = change.from.as_deref();
    let unit = on_the_way(&change.path);
    change.class = match change.verb {
        Verb::Rename | Verb::Symlink | Verb::Mount if unit.is_some() => FileClass::Target,
        // Nothing is in there yet, or no more; or it lies elsewhere.
        Verb::Mkdir | Verb::Rmdir | Verb::Rename if directory => FileClass::Directory,
        _ => return None,
    };
    let unit = unit.or_else(|| from.and_then(on_the_way))?;
    change.unit = Some(unit.to_owned());
    Some(Classified::of_target(change, true))
}

/// Whether an event of an ancestor directory is worth a look: a directory or link, or something
/// on the way to a load path, or a file that is read itself. Others there are nothing to us.
pub(crate) fn may_matter(event: &FileChange, watching: &Watching) -> bool {
    let places = [event.at.as_ref(), event.from.as_ref()];
    let content = places
        .into_iter()
        .flatten()
        .filter_map(|place| place.dir)
        .any(|dir| {
            watching
                .watches
                .scope(dir)
                .is_some_and(|scope| scope > Scope::Entries)
        });
    content
        || event.watched.is_some()
        || places.into_iter().flatten().any(|place| {
            place
                .dir
                .and_then(|dir| watching.watches.entry(dir, &place.name))
                .is_some_and(|path| {
                    let path = path.to_string_lossy();
                    let (paths, targets) = (&watching.paths, &watching.targets);
                    paths.classify(&path).is_some()
                        || targets.unit_of(&path).is_some()
                        || targets.on_the_way(&path).is_some()
                })
        })
}

/// A file that was there when its directory came into view: brought along by what happened to the
/// directory, or made before anybody looked.
pub(crate) fn found(
    path: &Path,
    by: Option<&Brought>,
    tier: Tier,
    facts: &Facts,
    watching: &Watching,
) -> Option<Classified> {
    let place = lookup::open_link(path, &facts.mounts)?;
    let object = facts.mounts.identity_of(&place).ok()?;
    let made = match object.mode & 0o170_000 {
        0o120_000 => Verb::Symlink,
        0o040_000 => Verb::Mkdir,
        _ => Verb::Create,
    };
    let text = nix::fcntl::readlinkat(&place, "").ok().map(PathBuf::from);
    let whole = |path: PathBuf| path.to_string_lossy().into_owned();
    let writer = || Actor {
        process: Arc::new(Process::unknown(facts.now())),
        ancestry: Vec::new(),
    };
    let directory = object.mode & 0o170_000 == 0o040_000;
    let classified = classify(
        Change {
            verb: by.map_or(made, |by| by.verb),
            path: path.to_string_lossy().into_owned(),
            truncated: false,
            from: by.and_then(|by| by.old_name(path)).map(whole),
            // Where it lies, as far as that has a name; the text of what is a link itself.
            target: text
                .or_else(|| {
                    let source = by?.source(path)?;
                    let real = lookup::real_path(&source, facts.mounts.doubtful());
                    real.is_ok().then_some(source)
                })
                .map(whole),
            object,
            class: FileClass::Other,
            unit: None,
            truncates: false,
            tier,
            writer: by.map_or_else(writer, |by| by.writer.clone()),
            on_behalf_of: None,
            content: None,
            between: None,
            unseen: None,
            packaging: None,
        },
        directory,
        false,
        watching,
    )?;
    // The directory itself was told of; nothing more follows from it.
    let structural = classified.structural && by.is_none();
    Some(Classified {
        structural,
        found: true,
        ..classified
    })
}

/// A file that a manager reads.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) change: Classified,
    /// Whether it lies where the manager is known to look.
    pub(crate) listed: bool,
}

/// What a manager loads. `None` for what defines no unit and sets nothing.
pub(crate) fn loaded(
    seen: ChangeSeen,
    watching: &Watching,
    table: &mut Table,
    facts: &Facts,
) -> Option<Loaded> {
    let named = name(&seen, watching, facts);
    let listed = watching.paths.classify(&named.path).is_some()
        || watching.targets.unit_of(&named.path).is_some();
    if !listed && !looks_like_unit(&named.path) {
        return None;
    }
    let manager = (seen.task.key.tgid, seen.task.uid);
    let change = described(seen, named, table, facts);
    if listed {
        let change = classify(change, false, false, watching)?;
        return Some(Loaded { change, listed });
    }
    let unit = change.path.rsplit('/').next().map(str::to_owned);
    let serves = match manager {
        (1, _) => Serves::System,
        (_, Some(uid)) => Serves::User(uid),
        (_, None) => Serves::Elsewhere,
    };
    let change = Change {
        class: FileClass::UnitFile,
        unit,
        ..change
    };
    Some(Loaded {
        change: Classified {
            change,
            serves,
            structural: false,
            found: false,
            outward: false,
        },
        listed,
    })
}

/// Whether a path ends as a unit file or a drop-in does.
fn looks_like_unit(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let (name, directory) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    UnitName::parse(name).is_ok()
        || name.ends_with(".conf") && unit_of_dropin_dir(directory).is_some()
}
