//! What a manager throws away at each reload, and its generators make again.
//!
//! At a reload a manager empties the directories that generators write to, makes them anew and runs
//! the generators; directories that stay empty it removes. Most of it ends as it was. So a removal
//! there is held until the same name comes again: if what it names is the same, neither is told. If
//! it is not, what came is told, with the difference. A removal that nothing follows is told when
//! the manager says that the reload is over, or after a while. What is there then decides: on a slow
//! machine a name may be gone again before its coming was looked at.

use std::collections::{BTreeMap, HashMap};

use super::changes::Classified;
use crate::{
    event::{Actor, FileIdentity, Manager, Process, Verb},
    systemd::load_path::is_generated,
};

/// Most changes that are held; the oldest are told early.
const HELD_MAX: usize = 4096;
/// How long a removal is held where nobody says that the reload is over, in nanoseconds: as long as
/// systemd lets generators run (`DEFAULT_TIMEOUT_USEC`).
const RELOAD_MAX: u64 = 90_000_000_000;
/// How long after the end of a reload what belongs to it may still come in, in nanoseconds; and how
/// long the word that the next one has begun may take.
const AFTER: u64 = 1_000_000_000;

/// A change that waits to be undone.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) change: Classified,
    /// When it happened, in nanoseconds since boot.
    pub(crate) time: u64,
    due: u64,
}

/// What becomes of a change.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It is told.
    Tell(Box<Classified>),
    /// It waits, or with one that waited leaves nothing to tell.
    Quiet,
}

/// What waits, by path. A path has one entry: a name is gone or new, not both.
#[derive(Debug, Default)]
pub(crate) struct Churn {
    held: BTreeMap<String, Kept>,
    /// Until when a manager's reload is waited for, of those that said that one has begun.
    reloading: HashMap<Manager, u64>,
    /// Changes that left no difference, for the log.
    folded: u64,
}

impl Churn {
    /// Takes a change that is finished. `found` is what the name stands for now.
    pub(crate) fn take(
        &mut self,
        change: Classified,
        time: u64,
        now: u64,
        found: Option<&FileIdentity>,
    ) -> Fate {
        let is = &change.change;
        if !is_generated(&is.path) || !is_reload(&is.writer) {
            // Somebody else's doing is told, and what it was done to as well.
            self.held.remove(&is.path);
            return Fate::Tell(Box::new(change));
        }
        let removes = matches!(is.verb, Verb::Unlink | Verb::Rmdir);
        let makes_directory = is.verb == Verb::Mkdir;
        let before = self.held.remove(&is.path);
        let undone = match before {
            // Come and gone again: that it went is told, or held, of itself.
            Some(kept) if !removes && kept.removes() && found.is_none() => {
                self.held.insert(is.path.clone(), kept);
                return Fate::Quiet;
            }
            Some(kept) => {
                let was_removal = kept.removes();
                let before = &kept.change;
                let unchanged = is.content.as_ref().is_some_and(|content| content.unchanged);
                match is.verb {
                    Verb::Rmdir => before.change.verb == Verb::Mkdir,
                    Verb::Mkdir => before.change.verb == Verb::Rmdir && same(before, found),
                    Verb::Unlink => false,
                    _ => was_removal && unchanged && same(before, found),
                }
            }
            None => false,
        };
        if undone {
            self.folded += 1;
            return Fate::Quiet;
        }
        if !removes && !makes_directory {
            return Fate::Tell(Box::new(change));
        }
        let due = now.saturating_add(RELOAD_MAX);
        let path = change.change.path.clone();
        self.held.insert(path, Kept { change, time, due });
        Fate::Quiet
    }

    /// A manager says that a reload begins: what waits is waited for until that one is over.
    pub(crate) fn reloads(&mut self, manager: Manager, now: u64) {
        self.reloading
            .insert(manager, now.saturating_add(RELOAD_MAX));
    }

    /// A manager says that its reload is over, or will say nothing any more.
    pub(crate) fn reloaded(&mut self, manager: &Manager, now: u64) {
        self.reloading.remove(manager);
        let due = now.saturating_add(AFTER);
        for (path, kept) in &mut self.held {
            if manager_of(path).as_ref() == Some(manager) {
                kept.due = kept.due.min(due);
            }
        }
        log::debug!("{} changes of reloads left no difference", self.folded);
    }

    /// The next that was not undone in time, the one that happened first.
    pub(crate) fn due(&mut self, now: u64) -> Option<Kept> {
        let full = self.held.len() > HELD_MAX;
        let waited = |(path, kept): &(&String, &Kept)| full || self.due_of(path, kept) <= now;
        let next = self.held.iter().filter(waited);
        let path = next.min_by_key(|(_, kept)| kept.time)?.0.clone();
        self.held.remove(&path)
    }

    fn due_of(&self, path: &str, kept: &Kept) -> u64 {
        let reloading = || self.reloading.get(&manager_of(path)?).copied();
        match self.reloading.is_empty() {
            true => kept.due,
            false => reloading().map_or(kept.due, |until| until.max(kept.due)),
        }
    }

    /// A new directory on the way to `path`, for what is in it is about to be told.
    pub(crate) fn on_the_way(&mut self, path: &str) -> Option<Kept> {
        let is_on_the_way = |(dir, kept): &(&String, &Kept)| {
            let below = path.strip_prefix(dir.as_str());
            kept.change.change.verb == Verb::Mkdir
                && below.is_some_and(|rest| rest.starts_with('/'))
        };
        let dir = self.held.iter().find(is_on_the_way)?.0.clone();
        self.held.remove(&dir)
    }

    /// When the next is due, in nanoseconds since boot.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let held = self.held.iter();
        held.map(|(path, kept)| self.due_of(path, kept)).min()
    }
}

impl Kept {
    fn removes(&self) -> bool {
        matches!(self.change.change.verb, Verb::Unlink | Verb::Rmdir)
    }

    /// Whether nothing is left of it in the end: `found` is what the name stands for now, and
    /// `unchanged` says whether its content is what it was before.
    pub(crate) fn is_undone(
        &self,
        found: Option<&FileIdentity>,
        unchanged: impl FnOnce() -> bool,
    ) -> bool {
        match self.change.change.verb {
            Verb::Mkdir => found.is_none(),
            Verb::Rmdir => same(&self.change, found),
            _ => same(&self.change, found) && unchanged(),
        }
    }
}

/// The manager whose generators write to a path; `None` of what is no manager's.
fn manager_of(path: &str) -> Option<Manager> {
    let first = |rest: &str| rest.split('/').next().map(str::to_owned);
    if path.starts_with("/run/systemd/") {
        return Some(Manager::System);
    }
    if let Some(rest) = path.strip_prefix("/run/user/") {
        return first(rest)?.parse().ok().map(Manager::User);
    }
    first(path.strip_prefix("/run/capsules/")?).map(Manager::Capsule)
}

/// Whether what was removed and what is there now agree in what a hash does not show. What is not
/// known of either is taken to be the same.
fn same(removed: &Classified, found: Option<&FileIdentity>) -> bool {
    let before = &removed.change.object;
    let Some(found) = found else { return false };
    before.mode == 0 || before.mode == found.mode && before.uid == found.uid
}

/// Whether a manager did it itself, or a generator that it ran: those are alone with the manager
/// in its own scope.
fn is_reload(writer: &Actor) -> bool {
    let manager = |process: &Process| {
        process.key.tgid == 1
            || process.name() == "systemd" && process.argv.iter().any(|word| word == "--user")
    };
    let own_scope = |process: &Process| {
        let cgroup = process.cgroup.as_deref();
        cgroup.is_some_and(|cgroup| cgroup.ends_with("/init.scope"))
    };
    let process = &writer.process;
    manager(process) || own_scope(process) && writer.ancestry.iter().any(|parent| manager(parent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::samples::{OBJECT, actor, change};

    const LINK: &str = "/run/systemd/generator/a.target.wants/b.service";

    fn told(churn: &mut Churn, change: Classified, time: u64) -> bool {
        matches!(churn.take(change, time, time, Some(&OBJECT)), Fate::Tell(_))
    }

    fn manager() -> Actor {
        actor(1, "/init.scope")
    }

    fn generator() -> Actor {
        actor(90, "/init.scope")
    }

    #[test]
    fn what_comes_again_as_it_was_is_not_told() {
        let mut churn = Churn::default();
        let (dir, early) = ("/run/systemd/generator", "/run/systemd/generator.early");
        assert!(!told(
            &mut churn,
            change(Verb::Unlink, LINK, manager(), false),
            1
        ));
        assert!(!told(
            &mut churn,
            change(Verb::Rmdir, dir, manager(), false),
            2
        ));
        assert!(!told(
            &mut churn,
            change(Verb::Mkdir, dir, manager(), false),
            3
        ));
        assert!(!told(
            &mut churn,
            change(Verb::Mkdir, early, manager(), false),
            4
        ));
        assert!(!told(
            &mut churn,
            change(Verb::Symlink, LINK, generator(), true),
            5
        ));
        assert!(!told(
            &mut churn,
            change(Verb::Rmdir, early, manager(), false),
            6
        ));
        assert_eq!(churn.next_due(), None);
    }

    #[test]
    fn a_difference_is_told_once() {
        let mut churn = Churn::default();
        assert!(!told(
            &mut churn,
            change(Verb::Unlink, LINK, manager(), false),
            1
        ));
        assert!(told(
            &mut churn,
            change(Verb::Symlink, LINK, generator(), false),
            2
        ));
        assert!(churn.due(u64::MAX).is_none());

        // Another mode is a difference too.
        assert!(!told(
            &mut churn,
            change(Verb::Unlink, LINK, manager(), false),
            3
        ));
        let other = FileIdentity {
            mode: 0o100_666,
            ..OBJECT
        };
        let again = change(Verb::Create, LINK, generator(), true);
        assert!(matches!(
            churn.take(again, 4, 4, Some(&other)),
            Fate::Tell(_)
        ));
    }

    #[test]
    fn a_removal_that_nothing_follows_is_told_when_the_reload_is_over() {
        let mut churn = Churn::default();
        assert!(!told(
            &mut churn,
            change(Verb::Unlink, LINK, manager(), false),
            1
        ));
        assert!(churn.due(RELOAD_MAX).is_none());
        churn.reloaded(&Manager::User(0), 10);
        assert!(churn.due(RELOAD_MAX).is_none());
        churn.reloaded(&Manager::System, 10);
        let kept = churn.due(10 + AFTER).expect("due");
        assert_eq!((kept.time, kept.change.change.path.as_str()), (1, LINK));

        let removal = change(Verb::Unlink, LINK, manager(), false);
        assert!(matches!(churn.take(removal, 1, 1, None), Fate::Quiet));
        assert!(churn.due(1 + RELOAD_MAX).is_some());
    }

    #[test]
    fn one_reload_after_the_other_is_waited_for() {
        let mut churn = Churn::default();
        assert!(!told(
            &mut churn,
            change(Verb::Unlink, LINK, manager(), false),
            1
        ));
        // That the one before is over is heard late, and then that this one has begun.
        churn.reloaded(&Manager::System, 2);
        churn.reloads(Manager::System, 3);
        assert!(churn.due(2 + AFTER).is_none());
        assert_eq!(churn.next_due(), Some(3 + RELOAD_MAX));
        assert!(!told(
            &mut churn,
            change(Verb::Symlink, LINK, generator(), true),
            5 + AFTER
        ));
        churn.reloaded(&Manager::System, 6 + AFTER);
        assert_eq!(churn.next_due(), None);
    }

    #[test]
    fn what_was_gone_again_when_it_was_looked_at_is_still_waited_for() {
        let mut churn = Churn::default();
        let dir = "/run/systemd/generator/a.target.wants";
        let quiet = |fate| assert!(matches!(fate, Fate::Quiet));
        let rmdir = || change(Verb::Rmdir, dir, manager(), false);
        assert!(!told(&mut churn, rmdir(), 1));
        let mkdir = change(Verb::Mkdir, dir, generator(), false);
        quiet(churn.take(mkdir, 2, 9, None));
        quiet(churn.take(rmdir(), 3, 9, None));
        churn.reloaded(&Manager::System, 9);
        let kept = churn.due(u64::MAX).expect("held");
        assert_eq!(kept.time, 3);
        assert!(kept.is_undone(Some(&OBJECT), || false));
        assert!(!kept.is_undone(None, || true));

        let unlink = change(Verb::Unlink, LINK, manager(), false);
        assert!(!told(&mut churn, unlink, 1));
        let symlink = change(Verb::Symlink, LINK, generator(), false);
        quiet(churn.take(symlink, 2, 9, None));
        let kept = churn.due(u64::MAX).expect("held");
        assert!(kept.is_undone(Some(&OBJECT), || true));
        assert!(!kept.is_undone(Some(&OBJECT), || false));
    }

    #[test]
    fn others_and_other_places_are_told_at_once() {
        let mut churn = Churn::default();
        let service = actor(90, "/system.slice/x.service");
        assert!(told(
            &mut churn,
            change(Verb::Unlink, LINK, service.clone(), false),
            1
        ));
        let transient = "/run/systemd/transient/x.service";
        assert!(told(
            &mut churn,
            change(Verb::Unlink, transient, manager(), false),
            1
        ));
        // What a reload removed and somebody else put back is theirs.
        assert!(!told(
            &mut churn,
            change(Verb::Unlink, LINK, manager(), false),
            2
        ));
        assert!(told(
            &mut churn,
            change(Verb::Symlink, LINK, service, true),
            3
        ));
        assert_eq!(churn.next_due(), None);
    }

    #[test]
    fn a_new_directory_is_told_before_what_is_in_it() {
        let mut churn = Churn::default();
        let dir = "/run/systemd/generator/a.target.wants";
        assert!(!told(
            &mut churn,
            change(Verb::Mkdir, dir, generator(), false),
            1
        ));
        assert!(
            churn
                .on_the_way("/run/systemd/generator/a.target.wantsx/y")
                .is_none()
        );
        assert!(churn.on_the_way(LINK).is_some());
        assert!(churn.on_the_way(LINK).is_none());
    }

    #[test]
    fn no_more_is_held_than_there_is_room_for() {
        let mut churn = Churn::default();
        for n in 0..=HELD_MAX as u64 {
            let path = format!("/run/systemd/generator/{n}.service");
            assert!(!told(
                &mut churn,
                change(Verb::Unlink, &path, manager(), false),
                n
            ));
        }
        assert_eq!(churn.due(0).expect("one too many").time, 0);
        assert!(churn.due(0).is_none());
    }
}
