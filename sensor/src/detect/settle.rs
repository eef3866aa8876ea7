//! Findings that wait until a file stands still.
//!
//! A script writes a unit line by line; what the file is about is known when it is done. Until then
//! each newer look replaces the older.

use std::collections::{HashMap, VecDeque};

use crate::event::Finding;

/// How long a file must stand still, in nanoseconds.
const QUIET: u64 = 1_000_000_000;
/// How long a finding waits at most, in nanoseconds.
const WAIT_MAX: u64 = 5_000_000_000;
/// For how long the same is not said again, in nanoseconds.
const SILENCE: u64 = 60_000_000_000;
/// Most findings that wait, and most that are remembered. The oldest go first: those that wait are
/// told, those that are remembered may be told twice.
const WAITING_MAX: usize = 1024;
const TOLD_MAX: usize = 4096;

/// Most files that a mount brings of which its finding names the changes, and says the names.
const RELATED_MAX: usize = 64;
const NAMED_MAX: usize = 8;

/// What makes two findings the same: the rule, the file, and what was found in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) rule: &'static str,
    pub(super) path: String,
}

#[derive(Debug)]
struct Waiting {
    finding: Finding,
    content: Option<String>,
    first: u64,
    due: u64,
    /// Files that came by the same deed.
    brings: Vec<String>,
}

impl Waiting {
    fn said(mut self) -> Finding {
        let names: Vec<&str> = self
            .brings
            .iter()
            .take(NAMED_MAX)
            .map(String::as_str)
            .collect();
        if !names.is_empty() {
            let count = self.brings.len();
            let files = if count == 1 { "file" } else { "files" };
            let more = if count > names.len() { " …" } else { "" };
            let names = names.join(", ");
            let message = &mut self.finding.message;
            message.push_str(&format!(", which brings {count} {files}: {names}{more}"));
        }
        self.finding
    }
}

/// What waits, and what was told.
#[derive(Debug, Default)]
pub(super) struct Settling {
    waiting: HashMap<Key, Waiting>,
    order: VecDeque<Key>,
    told: VecDeque<(Key, Option<String>, u64)>,
}

impl Settling {
    /// Holds a finding. `content` is the hash of the file as it was found, `now` ns since boot.
    pub(super) fn hold(&mut self, key: Key, finding: Finding, content: Option<String>, now: u64) {
        let first = match self.waiting.get(&key) {
            Some(earlier) => earlier.first,
            None => {
                self.order.push_back(key.clone());
                now
            }
        };
        let due = now
            .saturating_add(QUIET)
            .min(first.saturating_add(WAIT_MAX));
        let waiting = Waiting {
            finding,
            content,
            first,
            due,
            brings: Vec::new(),
        };
        self.waiting.insert(key, waiting);
    }

    /// Adds a finding to one that waits, of the same rule and the same doer, about the directory
    /// that its file lies in or came with. Gives it back where there is none.
    pub(super) fn join(&mut self, key: &Key, finding: Finding, now: u64) -> Option<Finding> {
        let is_it = |(other, waiting): &(&Key, &mut Waiting)| {
            let below = key.path.strip_prefix(other.path.as_str());
            other.rule == key.rule
                && below.is_some_and(|rest| rest.starts_with('/'))
                && waiting.finding.process.key == finding.process.key
        };
        let candidates = self.waiting.iter_mut().filter(is_it);
        let Some((other, waiting)) = candidates.max_by_key(|(other, _)| other.path.len()) else {
            return Some(finding);
        };
        let name = key.path.get(other.path.len() + 1..).unwrap_or_default();
        if !waiting.brings.iter().any(|known| known == name) {
            waiting.brings.push(name.to_owned());
        }
        let all = &mut waiting.finding;
        let room = RELATED_MAX.saturating_sub(all.related.len());
        all.related.extend(finding.related.into_iter().take(room));
        let room = RELATED_MAX.saturating_sub(all.cause.len());
        all.cause.extend(finding.cause.into_iter().take(room));
        all.severity = all.severity.max(finding.severity);
        waiting.due = now
            .saturating_add(QUIET)
            .min(waiting.first.saturating_add(WAIT_MAX));
        None
    }

    /// Holds a finding unless a worse one of the same waits already.
    pub(super) fn hold_worst(&mut self, key: Key, finding: Finding, now: u64) {
        let waiting = self.waiting.get(&key);
        if waiting.is_none_or(|waiting| waiting.finding.severity < finding.severity) {
            self.hold(key, finding, None, now);
        }
    }

    /// The findings that have waited long enough, in the order in which they were first held.
    pub(super) fn due(&mut self, now: u64) -> Vec<Finding> {
        self.told
            .retain(|(_, _, time)| time.saturating_add(SILENCE) > now);
        let mut due = Vec::new();
        let mut rest = VecDeque::new();
        let mut left = self.order.len();
        while let Some(key) = self.order.pop_front() {
            let full = left > WAITING_MAX;
            left -= 1;
            let is_due = |waiting: &Waiting| full || waiting.due <= now;
            if !self.waiting.get(&key).is_some_and(is_due) {
                rest.push_back(key);
                continue;
            }
            let Some(waiting) = self.waiting.remove(&key) else {
                continue;
            };
            if self.is_news(&key, &waiting.content) {
                self.told.push_back((key, waiting.content.clone(), now));
                due.push(waiting.said());
            }
        }
        self.order = rest;
        while self.told.len() > TOLD_MAX {
            self.told.pop_front();
        }
        due
    }

    /// When the next finding is due.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.waiting.values().map(|waiting| waiting.due).min()
    }

    fn is_news(&self, key: &Key, content: &Option<String>) -> bool {
        let same = |(told, of, _): &(Key, Option<String>, u64)| told == key && of == content;
        !self.told.iter().any(same)
    }
}
