//! From what the file probes saw to changes of units.

use std::path::Path;

use whodunit_common::{ProcessKey, change_flags};

use super::{facts::Facts, processes::credentials, watching::Watching};
use crate::{
    event::{Change, FileClass, FileIdentity, Tier, Verb},
    kernel::{
        ChangeSeen, KernelProcesses, PathSeen, TaskSeen,
        fanotify::{Fanotify, FileChange, Look, Standing},
    },
    lineage::Table,
    systemd::load_path::Serves,
};

/// A change, and whose manager it concerns.
#[derive(Debug)]
pub(crate) struct Classified {
    pub(crate) change: Change,
    pub(crate) serves: Serves,
    /// Whether a directory appeared, went or moved: the watches may be out of step.
    pub(crate) structural: bool,
}

/// What a change is about, before it is known what that is to systemd.
struct Named {
    path: String,
    from: Option<String>,
    truncated: bool,
}

/// From a record of the programs.
pub(crate) fn seen_by_programs(
    seen: ChangeSeen,
    watching: &Watching,
    table: &mut Table,
    facts: &Facts,
) -> Option<Classified> {
    let named = name(&seen, watching, facts);
    let task = seen.task;
    let writer = table.actor(
        task.key,
        &task.ancestors,
        credentials(&task, facts),
        seen.time,
        |boot| facts.time(boot),
    );
    classify(
        Change {
            verb: seen.verb,
            path: named.path,
            truncated: named.truncated,
            from: named.from,
            target: seen.target,
            object: seen.object,
            class: FileClass::Other,
            unit: None,
            truncates: seen.flags & change_flags::TRUNCATE != 0,
            tier: seen.tier,
            writer,
            sha256: None,
        },
        seen.flags & change_flags::DIRECTORY != 0,
        watching,
    )
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
    let of = |path: &PathSeen, matched: bool| {
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
    let writer = table.actor(
        task.key,
        &task.ancestors,
        credentials(&task, facts),
        time,
        |boot| facts.time(boot),
    );
    classify(
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
            sha256: None,
        },
        event.is_directory,
        watching,
    )
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
fn classify(mut change: Change, directory: bool, watching: &Watching) -> Option<Classified> {
    let new = watching.paths.classify(&change.path);
    let old = change
        .from
        .as_deref()
        .and_then(|from| watching.paths.classify(from));
    let matters = |class: FileClass| class != FileClass::Other;
    let structural = directory
        || change.verb == Verb::Symlink
            && new
                .as_ref()
                .is_some_and(|new| new.class == FileClass::Directory);
    // Out of a load path counts as much as into one.
    let new = new.filter(|new| matters(new.class));
    let old = old.filter(|old| matters(old.class));
    let verdict = new.or(old)?;
    change.class = verdict.class;
    change.unit = verdict.unit;
    Some(Classified {
        change,
        serves: verdict.serves,
        structural,
    })
}

/// Whether an event of an ancestor directory is worth a look: a directory or link, or something
/// on the way to a load path. Plain files there are nothing to us.
pub(crate) fn may_matter(event: &FileChange, watching: &Watching) -> bool {
    use crate::kernel::fanotify::Scope;
    let places = [event.at.as_ref(), event.from.as_ref()];
    let content = places
        .into_iter()
        .flatten()
        .filter_map(|place| place.dir)
        .any(|dir| {
            watching
                .watches
                .scope(dir)
                .is_some_and(|scope| scope != Scope::Ancestor)
        });
    content
        || event.watched.is_some()
        || places.into_iter().flatten().any(|place| {
            place
                .dir
                .and_then(|dir| watching.watches.entry(dir, &place.name))
                .is_some_and(|path| watching.paths.classify(&path.to_string_lossy()).is_some())
        })
}

/// What is in a directory that has just been marked, as if it had been made by `pid`.
pub(crate) fn found_inside(dir: &Path, id: u32, pid: u32) -> Vec<FileChange> {
    use crate::kernel::fanotify::{Place, scan};
    let Ok(listing) = scan(dir) else {
        return Vec::new();
    };
    listing
        .entries
        .into_iter()
        .map(|found| FileChange {
            verb: Verb::Create,
            is_directory: found.facts.mode & 0o170_000 == 0o040_000,
            at: Some(Place {
                dir: Some(id),
                name: found.name,
            }),
            from: None,
            pid,
            watched: None,
            object: None,
        })
        .collect()
}

/// Looks at what an event is about, on behalf of [`seen_by_marks`].
pub(crate) fn look(fanotify: &Fanotify, event: &FileChange) -> Look {
    fanotify.look(event)
}
