//! Who asked: requests to managers, joined with what the managers then did.
//!
//! A manager writes transient units, links and drop-ins itself, so that a change names the manager
//! alone. The author is who sent the request that asks for this change: of this kind, for this unit,
//! before it. The latest sender alone never is. Where several may be meant, or the manager may have
//! refused, the link is graded lower and says why.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use crate::event::{
    Asked, Change, FileClass, Grade, Manager, Means, OnBehalfOf, ProcessKey, RequestClass,
    Timestamp, Verb,
};
use crate::systemd::unit_name::UnitName;

/// Most requests that are kept, and of one author.
const REQUESTS_MAX: usize = 2048;
const AUTHOR_MAX: usize = 256;
/// Most units whose last starts are kept, and starts of one unit.
const UNITS_MAX: usize = 2048;
const STARTS_MAX: usize = 4;
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

    /// Whether the manager does what this author asks without asking anybody else.
    fn is_trusted(&self) -> bool {
        match self.asked.manager {
            Manager::System => self.asked.author.process.euid == 0,
            _ => true,
        }
    }

    fn on_behalf_of(&self, grade: Grade, doubt: Option<&'static str>) -> OnBehalfOf {
        OnBehalfOf {
            author: self.asked.author.clone(),
            grade,
            method: self.asked.method(),
            class: self.asked.class(),
            event_uid: self.uid.clone(),
            time: self.time,
            doubt,
        }
    }
}

/// How a request fits what a manager did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// By its kind alone.
    Kind,
    /// It names the unit.
    Named,
}

/// Start requests of one unit, by the manager.
type Starts = HashMap<(Manager, String), VecDeque<(String, Timestamp, Arc<Asked>)>>;

/// The requests of late.
#[derive(Debug, Default)]
pub struct Requests {
    recent: VecDeque<Entry>,
    by_author: HashMap<ProcessKey, usize>,
    starts: Starts,
    order: VecDeque<(Manager, String)>,
    reloads: VecDeque<(String, Timestamp, Arc<Asked>)>,
    /// When requests were last known to be lost, in nanoseconds since boot.
    lost: Option<u64>,
}

impl Requests {
    /// Takes in a request. `uid` names its event.
    pub fn asked(&mut self, uid: String, time: Timestamp, asked: Arc<Asked>) {
        match asked.class() {
            RequestClass::Start | RequestClass::Create => self.note_start(&uid, time, &asked),
            RequestClass::Reload => {
                if self.reloads.len() >= 64 {
                    self.reloads.pop_front();
                }
                self.reloads
                    .push_back((uid.clone(), time, Arc::clone(&asked)));
            }
            _ => {}
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

    fn note_start(&mut self, uid: &str, time: Timestamp, asked: &Arc<Asked>) {
        for unit in names(asked) {
            let key = (asked.manager.clone(), unit.to_owned());
            if !self.starts.contains_key(&key) {
                while self.starts.len() >= UNITS_MAX
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.starts.remove(&oldest);
                }
                self.order.push_back(key.clone());
            }
            let starts = self.starts.entry(key).or_default();
            if starts.len() >= STARTS_MAX {
                starts.pop_front();
            }
            starts.push_back((uid.to_owned(), time, Arc::clone(asked)));
        }
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
        let (grade, doubt) = self.grade(found, best, others, time.boot);
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
        found: &Entry,
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
        if fit == Fit::Kind {
            let doubt = "the request is of this kind, and does not name the unit";
            return (Grade::Probable, Some(doubt));
        }
        if !found.is_trusted() {
            let doubt = "the manager may have refused this user";
            return (Grade::Probable, Some(doubt));
        }
        if self
            .lost
            .is_some_and(|lost| lost.saturating_add(PENDING) >= found.time.boot && lost <= time)
        {
            return (Grade::Probable, Some("requests were lost"));
        }
        let unread = self.recent.iter().any(|entry| {
            entry.author() != found.author()
                && entry.is_trusted()
                && entry.asked.manager == found.asked.manager
                && entry.asked.class() == RequestClass::Undecoded
                && !matches!(entry.asked.means, Means::Connection)
                && entry.time.boot <= time
                && time - entry.time.boot <= NEAR
        });
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
        let starts = self.starts.get(&(manager.clone(), unit.to_owned()))?;
        let fits = |time: &Timestamp| since <= time.boot && time.boot <= until;
        let fitting: Vec<_> = starts.iter().filter(|(_, time, _)| fits(time)).collect();
        let (uid, time, asked) = *fitting.iter().max_by_key(|(_, time, asked)| {
            let trusted = *manager != Manager::System || asked.author.process.euid == 0;
            (trusted, time.boot)
        })?;
        let entry = Entry::new(uid.clone(), *time, Arc::clone(asked));
        let others = fitting.iter().any(|(_, other, asked)| {
            asked.author.process.key != entry.author() && other.boot.abs_diff(time.boot) <= NEAR
        });
        let (grade, doubt) = self.grade(&entry, Fit::Named, others, until);
        Some(entry.on_behalf_of(grade, doubt))
    }

    /// Who last made the manager read its units anew, after `since` and before `until`.
    #[must_use]
    pub fn of_reload(&self, manager: &Manager, since: u64, until: u64) -> Option<OnBehalfOf> {
        let fits = |time: &Timestamp| since <= time.boot && time.boot <= until;
        let mut fitting = self
            .reloads
            .iter()
            .filter(|(_, time, asked)| asked.manager == *manager && fits(time))
            .rev();
        let (uid, time, asked) = fitting.next()?;
        let entry = Entry::new(uid.clone(), *time, Arc::clone(asked));
        // After the first of several, the others changed nothing.
        let others = fitting.any(|(_, _, other)| other.author.process.key != entry.author());
        let (grade, doubt) = self.grade(&entry, Fit::Named, others, until);
        Some(entry.on_behalf_of(grade, doubt))
    }
}

/// The manager that made a change, if one did.
fn manager_of(change: &Change) -> Option<Manager> {
    let writer = &change.writer.process;
    if writer.key.tgid == 1 {
        return Some(Manager::System);
    }
    let user = writer.name() == "systemd" && writer.argv.iter().any(|arg| arg == "--user");
    user.then_some(Manager::User(writer.uid))
}

/// The units that a request names: those it makes, and those it is about.
fn names(asked: &Asked) -> impl Iterator<Item = &str> {
    let request = asked.request();
    let made = request.into_iter().flat_map(|request| &request.transient);
    let about = asked.units().iter();
    made.map(|unit| unit.unit.as_str())
        .chain(about.map(|unit| base_name(unit)))
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a request asks for what a change is.
fn fit(asked: &Asked, change: &Change) -> Option<Fit> {
    let request = asked.request()?;
    let place = |name: &str| change.path.contains(name);
    let wanted = match request.class {
        RequestClass::Create => place("/systemd/transient/"),
        RequestClass::Set => {
            place("/systemd/transient/")
                || place("/systemd/system.control/")
                || place("/systemd/user.control/")
        }
        RequestClass::Enable => is_install(change) && !is_removal(change),
        // Reverting removes what was set, too.
        RequestClass::Disable => is_install(change) || is_removal(change),
        _ => false,
    };
    if !wanted {
        return None;
    }
    let mut concerned = vec![base_name(&change.path)];
    concerned.extend(change.unit.as_deref());
    concerned.extend(change.target.as_deref().map(base_name));
    let named = names(asked).any(|name| concerned.iter().any(|unit| is_same(name, unit)));
    if named {
        return Some(Fit::Named);
    }
    // Settings and transient units are named, if the whole message was seen.
    let whole = !request.truncated && request.gap.is_none();
    let exact = matches!(request.class, RequestClass::Create | RequestClass::Set);
    (!(exact && whole)).then_some(Fit::Kind)
}

/// Whether a change is one that enabling, linking or masking makes: a link to a unit.
fn is_install(change: &Change) -> bool {
    let class = matches!(
        change.class,
        FileClass::DependencyLink | FileClass::UnitFile
    );
    class && matches!(change.verb, Verb::Symlink | Verb::Rename | Verb::Unlink)
        || change.class == FileClass::Directory
}

fn is_removal(change: &Change) -> bool {
    matches!(change.verb, Verb::Unlink | Verb::Rmdir)
}

/// Whether both name one unit, or one names the template of the other.
fn is_same(a: &str, b: &str) -> bool {
    let template = |name: &str| {
        let name = UnitName::parse(name).ok()?;
        Some(name.template()?.as_str().to_owned())
    };
    a == b || template(a).is_some_and(|a| a == b) || template(b).is_some_and(|b| a == b)
}

#[cfg(test)]
mod tests;
