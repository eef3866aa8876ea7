//! One turn of the loop: records and events are handled in the order of time, and what is due
//! between them is not kept waiting.

use std::collections::VecDeque;

use super::{Agent, pace::Step, processes, requests::is_sshd};
use crate::{
    event::Body,
    kernel::{
        DecodeError, Record,
        fanotify::{Drained, FileEvent},
    },
};

/// How long a turn takes at most, in nanoseconds, but for the last of its records.
const TURN: u64 = 10_000_000;
/// How long the rings fill while records are handled, in nanoseconds: changes come faster than they
/// can be looked at.
const FILLING: u64 = 2_000_000;
/// Most records of one batch: the events of fanotify wait for them.
const RECORDS_MAX: usize = 32_768;

/// What was taken from the kernel's queues and is not handled yet.
#[derive(Debug, Default)]
pub(super) struct Batch {
    records: VecDeque<Record>,
    files: VecDeque<FileEvent>,
    /// When `files` were read, in nanoseconds since boot.
    read: u64,
    /// When the rings were emptied last, in nanoseconds since boot.
    emptied: u64,
    /// How many records this batch has had.
    count: usize,
    /// Whether more waits in the kernel.
    more: bool,
    /// Where they are read into.
    taken: Vec<Record>,
    errors: Vec<DecodeError>,
    events: Vec<FileEvent>,
}

impl Agent {
    /// Handles all that waits in the rings and in the fanotify queue. Returns how much that was.
    pub(crate) fn drain_all(&mut self) -> usize {
        let mut handled = 0;
        loop {
            let (count, more) = self.drain(u64::MAX);
            handled += count;
            if !more {
                return handled;
            }
        }
    }

    /// The same, but not for longer than what managers tell may wait for it. Says how much was
    /// handled, and whether more waits.
    pub(crate) fn turn(&mut self) -> (usize, bool) {
        self.drain(self.facts.now().boot.saturating_add(TURN))
    }

    /// The same until `until`, in nanoseconds since boot.
    fn drain(&mut self, until: u64) -> (usize, bool) {
        if self.batch.records.is_empty() && self.batch.files.is_empty() {
            self.take_batch();
        }
        let mut handled = 0;
        while let Some(record) = self.batch.records.pop_front() {
            self.record(record);
            handled += 1;
            if self.between(until) {
                return (handled, true);
            }
        }
        while let Some(event) = self.batch.files.pop_front() {
            let _step = Step::begin("an event of fanotify");
            self.file_event(event, self.batch.read);
            handled += 1;
            if self.between(until) {
                return (handled, true);
            }
        }
        self.drained = self.batch.read;
        let _step = Step::begin("what is due");
        self.tell_due();
        self.survey_now();
        self.judge_due();
        self.find(self.facts.now().boot);
        (handled, self.batch.more)
    }

    /// What is due between two records. Says whether the time is over.
    fn between(&mut self, until: u64) -> bool {
        let now = self.facts.now().boot;
        if now >= self.batch.emptied.saturating_add(FILLING) && self.batch.count < RECORDS_MAX {
            self.empty_rings(now);
        }
        if self.activations.next_due().is_some_and(|due| due <= now) {
            self.judge_due();
        }
        now >= until
    }

    fn take_batch(&mut self) {
        let batch = &mut self.batch;
        // Marks first: what led to them is in the rings already.
        let marks = self.watching.watches.fanotify();
        batch.more = match marks.map(|marks| marks.read(&mut batch.events)) {
            Some(Ok(drained)) => drained == Drained::More,
            Some(Err(error)) => {
                log::warn!("{error}");
                false
            }
            None => false,
        };
        batch.read = self.facts.now().boot;
        batch.files.extend(batch.events.drain(..));
        batch.count = 0;
        self.empty_rings(self.batch.read);
    }

    /// Takes what is in the rings behind what waits here.
    fn empty_rings(&mut self, now: u64) {
        let batch = &mut self.batch;
        batch.emptied = now;
        self.rings.take(&mut batch.taken, &mut batch.errors);
        batch.count += batch.taken.len();
        batch.records.extend(batch.taken.drain(..));
        for error in batch.errors.drain(..) {
            log::warn!("{error}");
            self.lost += 1;
        }
    }

    fn record(&mut self, record: Record) {
        let _step = Step::begin(record.name());
        match record {
            Record::Exec(seen) => {
                let time = self.facts.time(seen.time);
                let (key, flags) = (seen.task.key, seen.task.flags);
                let managed = seen.managed.is_some();
                let exec =
                    processes::executed(*seen, &mut self.table, &mut self.cgroups, &self.facts);
                let Some((exec, arrival)) = exec else {
                    return;
                };
                if is_sshd(&exec.process) {
                    self.requests.peer_of(key);
                }
                if exec.process.name() == "systemd" {
                    self.named_like_manager(key, flags, managed, &exec);
                }
                self.executed(time, exec, &arrival);
            }
            Record::Exit(seen) => {
                let exit = processes::ended(&seen, &mut self.table);
                if let Some(exit) = exit.filter(|_| self.exits) {
                    self.stream
                        .tell(self.facts.time(seen.time), Body::Exit(exit));
                }
            }
            Record::Change(seen) => self.changed_by_programs(*seen),
            Record::Message(seen) => self.sent(*seen),
            Record::Connect(seen) => self.connected(*seen),
            Record::Signal(seen) => self.signalled(*seen),
        }
    }
}
