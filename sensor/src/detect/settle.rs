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
        };
        self.waiting.insert(key, waiting);
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
                self.told.push_back((key, waiting.content, now));
                due.push(waiting.finding);
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
