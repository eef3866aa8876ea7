//! Who asked: requests to managers, joined with what the managers then did.
//!
//! A manager writes transient units, links and drop-ins itself, so that a change names the manager
//! alone. The author is who sent the request that asks for this change: of this kind, for this unit,
//! before it. The latest sender alone never is. Where several may be meant, or the manager may have
//! refused, the link is graded lower and says why.

mod fit;
mod lasting;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use crate::event::{
    Asked, Change, Grade, Manager, Means, OnBehalfOf, ProcessKey, RequestClass, Timestamp,
    TransientUnit,
};
use fit::{Fit, fit, manager_of};
pub use lasting::Lasting;
use lasting::{Lastings, is_trusted};

/// Most requests that are kept, and of one author.
const REQUESTS_MAX: usize = 2048;
const AUTHOR_MAX: usize = 256;
/// How long a request may wait to be carried out, in nanoseconds: polkit may ask a person.
const PENDING: u64 = 120_000_000_000;
/// How long the writes of one request may take.
const WRITING: u64 = 5_000_000_000;
/// How close in time a request that cannot be read casts doubt on others.
const NEAR: u64 = 2_000_000_000;

/// A request and what identifies its event.
#[derive(Debug)]
struct Entry {
    uid: String,
    time: Timestamp,
    asked: Arc<Asked>,
    /// When the manager was first seen to carry it out, and which files it wrote then.
    served: Option<u64>,
    files: HashSet<String>,
}

impl Entry {
    /// A request that nothing was done about yet, as far as was seen.
    fn new(uid: String, time: Timestamp, asked: Arc<Asked>) -> Self {
        Self {
            uid,
            time,
            asked,
            served: None,
            files: HashSet::new(),
        }
    }

    fn author(&self) -> ProcessKey {
        self.asked.author.process.key
    }

    fn is_trusted(&self) -> bool {
        is_trusted(&self.asked.manager, &self.asked.author)
    }

    fn on_behalf_of(&self, grade: Grade, doubt: Option<&'static str>) -> OnBehalfOf {
        OnBehalfOf {
            author: self.asked.author.clone(),
            login: self.asked.login.clone(),
            grade,
            method: self.asked.method(),
            class: self.asked.class(),
            event_uid: self.uid.clone(),
            time: self.time,
            doubt,
            transient: self.transient(),
            health_check: false,
        }
    }

    fn transient(&self) -> Vec<TransientUnit> {
        let request = self.asked.request();
        request.map_or_else(Vec::new, |request| request.transient.clone())
    }
}

/// The requests of late.
#[derive(Debug, Default)]
pub struct Requests {
    recent: VecDeque<Entry>,
    by_author: HashMap<ProcessKey, usize>,
    /// What PID 1 was asked by root, which it does not refuse.
    trusted: Lastings,
    /// What anybody may ask: it must not push out the others.
    others: Lastings,
    /// When requests were last known to be lost, in nanoseconds since boot.
    lost: Option<u64>,
}

impl Requests {
    /// Takes in a request. `uid` names its event.
    pub fn asked(&mut self, uid: String, time: Timestamp, asked: Arc<Asked>) {
        if let Some(lasting) = Lasting::of(&uid, time, &asked) {
            self.recall(lasting);
        }
        let author = asked.author.process.key;
        if self.by_author.get(&author).copied().unwrap_or(0) >= AUTHOR_MAX {
            self.forget(|entry| entry.author() == author);
        } else if self.recent.len() >= REQUESTS_MAX {
            self.forget(|_| true);
        }
        *self.by_author.entry(author).or_default() += 1;
        self.recent.push_back(Entry::new(uid, time, asked));
        while self
            .recent
            .front()
            .is_some_and(|entry| entry.time.boot.saturating_add(PENDING) < time.boot)
        {
            self.forget(|_| true);
        }
    }

    /// Forgets the oldest that fits.
    fn forget(&mut self, fits: impl Fn(&Entry) -> bool) {
        let Some(index) = self.recent.iter().position(fits) else {
            return;
        };
        let Some(entry) = self.recent.remove(index) else {
            return;
        };
        if let Some(count) = self.by_author.get_mut(&entry.author()) {
            *count -= 1;
            if *count == 0 {
                self.by_author.remove(&entry.author());
            }
        }
    }

    /// Takes in a request of which it matters for long who made it: one of now, or of before this
    /// agent started, oldest first.
    pub fn recall(&mut self, lasting: Lasting) {
        let system = lasting.manager == Manager::System && lasting.is_trusted();
        let kept = if system {
            &mut self.trusted
        } else {
            &mut self.others
        };
        kept.note(lasting);
    }

    /// Notes that requests were lost: for a while nothing is certain.
    pub fn lost(&mut self, now: u64) {
        self.lost = Some(now);
    }

    /// The request that made a manager do this.
    pub fn of_change(&mut self, change: &Change, time: Timestamp) -> Option<OnBehalfOf> {
        let manager = manager_of(change)?;
        let mut fitting: Vec<(Fit, usize)> = Vec::new();
        for (index, entry) in self.recent.iter().enumerate() {
            let pending = entry.time.boot <= time.boot
                && time.boot - entry.time.boot <= PENDING
                && entry
                    .served
                    .is_none_or(|served| time.boot.saturating_sub(served) <= WRITING);
            if !pending || entry.asked.manager != manager {
                continue;
            }
            if let Some(fit) = fit(&entry.asked, change) {
                fitting.push((fit, index));
            }
        }
        let best = fitting.iter().map(|(fit, _)| *fit).max()?;
        fitting.retain(|(fit, _)| *fit == best);
        // Who has been served this file already is not served it again.
        let unserved = |index: &usize| {
            let entry = self.recent.get(*index);
            entry.is_some_and(|entry| !entry.files.contains(&change.path))
        };
        if fitting.iter().any(|(_, index)| unserved(index)) {
            fitting.retain(|(_, index)| unserved(index));
        }
        let (_, chosen) = *fitting.iter().max_by_key(|(_, index)| {
            let entry = self.recent.get(*index);
            entry.map(|entry| (entry.is_trusted(), entry.time.boot))
        })?;
        let found = self.recent.get(chosen)?;
        let author = found.author();
        let others = fitting.iter().any(|(_, index)| {
            let entry = self.recent.get(*index);
            entry.is_some_and(|entry| entry.author() != author)
        });
        let judged = Judged {
            author,
            trusted: found.is_trusted(),
            manager: &found.asked.manager,
            since: found.time.boot,
        };
        let (grade, doubt) = self.grade(&judged, best, others, time.boot);
        let on_behalf_of = found.on_behalf_of(grade, doubt);
        let found = self.recent.get_mut(chosen)?;
        found.served.get_or_insert(time.boot);
        if found.files.len() < 64 {
            found.files.insert(change.path.clone());
        }
        Some(on_behalf_of)
    }

    /// How sure it is that `found` is what the manager carried out at `time`.
    fn grade(
        &self,
        found: &Judged<'_>,
        fit: Fit,
        others: bool,
        time: u64,
    ) -> (Grade, Option<&'static str>) {
        if others {
            let doubt = "other processes asked for the same";
            return (
                match fit {
                    Fit::Named => Grade::Probable,
                    Fit::Kind => Grade::Hint,
                },
                Some(doubt),
            );
        }
        // Of one that does not even name the unit there is doubt for longer.
        let near = match fit {
            Fit::Named => NEAR,
            Fit::Kind => 5 * NEAR,
        };
        let unread = self.recent.iter().any(|entry| {
            entry.author() != found.author
                && entry.is_trusted()
                && entry.asked.manager == *found.manager
                && entry.asked.class() == RequestClass::Undecoded
                && !matches!(entry.asked.means, Means::Connection)
                && entry.time.boot <= time
                && time - entry.time.boot <= near
        });
        if fit == Fit::Kind && unread {
            let doubt =
                "another process sent what cannot be read, and this request does not name the unit";
            return (Grade::Hint, Some(doubt));
        }
        if fit == Fit::Kind {
            let doubt = "the request is of this kind, and does not name the unit";
            return (Grade::Probable, Some(doubt));
        }
        if !found.trusted {
            let doubt = "the manager may have refused this user";
            return (Grade::Probable, Some(doubt));
        }
        if self
            .lost
            .is_some_and(|lost| lost.saturating_add(PENDING) >= found.since && lost <= time)
        {
            return (Grade::Probable, Some("requests were lost"));
        }
        if unread {
            let doubt = "another process sent what cannot be read";
            return (Grade::Probable, Some(doubt));
        }
        (Grade::Certain, None)
    }

    /// Who asked last, before `until` and after `since`, that `unit` be started.
    #[must_use]
    pub fn of_start(
        &self,
        manager: &Manager,
        unit: &str,
        since: u64,
        until: u64,
    ) -> Option<OnBehalfOf> {
        let fits = |start: &&Arc<Lasting>| since <= start.time.boot && start.time.boot <= until;
        let kept = [&self.trusted, &self.others];
        let starts = kept.into_iter().flat_map(|kept| kept.starts(manager, unit));
        let fitting: Vec<_> = starts.filter(fits).collect();
        let found = *fitting
            .iter()
            .max_by_key(|start| (start.is_trusted(), start.time.boot))?;
        let others = fitting.iter().any(|other| {
            other.author() != found.author() && other.time.boot.abs_diff(found.time.boot) <= NEAR
        });
        Some(found.on_behalf_of(self.grade(&Judged::of(found), Fit::Named, others, until)))
    }

    /// Who last made the manager read its units anew, after `since` and before `until`.
    #[must_use]
    pub fn of_reload(&self, manager: &Manager, since: u64, until: u64) -> Option<OnBehalfOf> {
        let fits = |reload: &&Arc<Lasting>| {
            reload.manager == *manager && since <= reload.time.boot && reload.time.boot <= until
        };
        let kept = [&self.trusted, &self.others];
        let reloads = kept.into_iter().flat_map(Lastings::reloads);
        let fitting: Vec<_> = reloads.filter(fits).collect();
        let found = *fitting.iter().max_by_key(|reload| reload.time.boot)?;
        // After the first of several, the others changed nothing.
        let others = fitting.iter().any(|other| other.author() != found.author());
        Some(found.on_behalf_of(self.grade(&Judged::of(found), Fit::Named, others, until)))
    }
}

/// What a grade depends on, of the request that is graded.
struct Judged<'a> {
    author: ProcessKey,
    trusted: bool,
    manager: &'a Manager,
    since: u64,
}

impl<'a> Judged<'a> {
    fn of(lasting: &'a Lasting) -> Self {
        Self {
            author: lasting.author(),
            trusted: lasting.is_trusted(),
            manager: &lasting.manager,
            since: lasting.time.boot,
        }
    }
}

#[cfg(test)]
mod tests;
