//! The queue between [`super::Sink::send`] and the writer.

use super::{Sent, Written};
use crate::event::{Body, Event, LossCount};

/// The kinds of events that losses are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A program was executed.
    Exec,
    /// A process ended.
    Exit,
    /// What caused an exec.
    Verdict,
    /// A timer elapsed.
    Job,
    /// A watched file changed.
    Change,
    /// Somebody asked a manager for something.
    Request,
    /// A verdict.
    Finding,
    /// The agent about itself.
    Health,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Exec,
        Self::Exit,
        Self::Verdict,
        Self::Job,
        Self::Change,
        Self::Request,
        Self::Finding,
        Self::Health,
    ];

    /// The word used in output: the event's `metadata.log_name`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Exit => "exit",
            Self::Verdict => "verdict",
            Self::Job => "job",
            Self::Change => "change",
            Self::Request => "request",
            Self::Finding => "finding",
            Self::Health => "health",
        }
    }
}

/// What the queue has to know of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// What it is counted as when it is lost.
    pub kind: Kind,
    /// Whether it makes way for others when room is short.
    pub bulk: bool,
}

impl Label {
    /// The label of `event`: execs and exits are bulk, except execs by a manager's own child.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let (kind, bulk) = match &event.body {
            Body::Exec(exec) => {
                let managed = exec.systemd.as_ref().is_some_and(|unit| unit.spawned);
                (Kind::Exec, !managed)
            }
            Body::Exit(_) => (Kind::Exit, true),
            Body::Verdict(_) => (Kind::Verdict, false),
            Body::TimerFired(_) => (Kind::Job, false),
            Body::Change(_) => (Kind::Change, false),
            Body::Finding(_) | Body::Posture(_) | Body::Control(_) => (Kind::Finding, false),
            Body::Asked(_) => (Kind::Request, false),
            Body::Health(_) => (Kind::Health, false),
        };
        Self { kind, bulk }
    }
}

/// Lines one after another, with what is known of each.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: Vec<(Label, usize)>,
}

impl Batch {
    fn push(&mut self, label: Label, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.lines.push((label, line.len()));
    }

    pub(super) fn clear(&mut self) {
        // A burst should not be paid for in memory for ever.
        const KEEP: usize = 256 << 10;
        self.bytes.clear();
        self.lines.clear();
        self.bytes.shrink_to(KEEP);
        self.lines.shrink_to(KEEP / 256);
    }

    /// Takes out the bulk lines, and says each to `lost` with its length.
    fn evict_bulk(&mut self, mut lost: impl FnMut(Label, usize)) {
        let (mut from, mut to) = (0, 0);
        let bytes = &mut self.bytes;
        self.lines.retain(|&(label, length)| {
            if label.bulk {
                lost(label, length);
            } else {
                bytes.copy_within(from..from + length, to);
                to += length;
            }
            from += length;
            !label.bulk
        });
        bytes.truncate(to);
    }
}

/// Bytes of room for each event of capacity: more than an exec with its ancestors takes.
const BYTES_PER_EVENT: usize = 2048;
/// Room in bytes that even the smallest sink has, so that the longest line fits.
const BYTES_MIN: usize = 1 << 20;
/// Bulk lines wait for company until there are this many bytes of them.
pub(super) const FULL: usize = 32 << 10;

/// What both sides share.
#[derive(Debug)]
pub(super) struct State {
    /// Not yet taken by the writer.
    pub(super) queue: Batch,
    max_lines: usize,
    max_bytes: usize,
    /// Queued or taken and not yet written.
    lines: usize,
    bytes: usize,
    /// Something in the queue does not wait for company.
    pub(super) urgent: bool,
    /// The writer sleeps until it is woken.
    pub(super) idle: bool,
    /// No more lines will come.
    pub(super) closing: bool,
    /// The reader went away.
    pub(super) closed: bool,
    /// The writer returned.
    pub(super) done: bool,
    pub(super) written: Written,
    losses: [u64; Kind::ALL.len()],
    /// How many lines were given up at the end, and why.
    pub(super) given_up: Option<(u64, String)>,
}

impl State {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            queue: Batch::default(),
            max_lines: capacity.max(4),
            max_bytes: (capacity * BYTES_PER_EVENT).max(BYTES_MIN),
            lines: 0,
            bytes: 0,
            urgent: false,
            idle: false,
            closing: false,
            closed: false,
            done: false,
            written: Written::default(),
            losses: [0; Kind::ALL.len()],
            given_up: None,
        }
    }

    fn fits(&self, label: Label, length: usize) -> bool {
        let share = |max: usize| if label.bulk { max - max / 4 } else { max };
        self.lines < share(self.max_lines) && self.bytes + length <= share(self.max_bytes)
    }

    pub(super) fn push(&mut self, label: Label, line: &[u8]) -> Sent {
        if self.closed {
            return Sent::Closed;
        }
        if !self.fits(label, line.len()) && !label.bulk {
            self.evict_bulk();
        }
        if self.done || self.given_up.is_some() || !self.fits(label, line.len()) {
            self.lose(label);
            return Sent::Dropped;
        }
        self.queue.push(label, line);
        self.lines += 1;
        self.bytes += line.len();
        self.urgent |= !label.bulk;
        Sent::Queued
    }

    fn evict_bulk(&mut self) {
        let mut queue = std::mem::take(&mut self.queue);
        queue.evict_bulk(|label, length| {
            self.lines -= 1;
            self.bytes -= length;
            self.lose(label);
        });
        self.queue = queue;
    }

    /// Whether the line just pushed is worth waking the writer for.
    pub(super) fn should_wake(&mut self, label: Label) -> bool {
        // Once is enough for a writer that sleeps.
        std::mem::take(&mut self.idle) || !label.bulk || self.queue.bytes.len() >= FULL
    }

    /// Counts a line as lost.
    fn lose(&mut self, label: Label) {
        self.losses[label.kind as usize] += 1;
        self.written.lost += 1;
    }

    /// These lines have left.
    pub(super) fn release(&mut self, lines: &[(Label, usize)]) {
        let bytes: usize = lines.iter().map(|(_, length)| length).sum();
        self.lines -= lines.len();
        self.bytes -= bytes;
        self.written.events += lines.len() as u64;
        self.written.bytes += bytes as u64;
    }

    /// What waits will not be written: the lines of the batch that the writer has not released
    /// are `in_hand`.
    pub(super) fn abandon(&mut self, in_hand: &[(Label, usize)], reason: &str) {
        let queue = std::mem::take(&mut self.queue);
        // Else [`State::give_up`] has counted them.
        if self.given_up.is_none() {
            for (label, _) in in_hand.iter().chain(&queue.lines) {
                self.lose(*label);
            }
            let left = (in_hand.len() + queue.lines.len()) as u64;
            self.given_up = (left > 0).then(|| (left, reason.to_owned()));
        }
        (self.lines, self.bytes) = (0, 0);
    }

    /// The time is over while the writer holds a batch: of that only the number is known here.
    pub(super) fn give_up(&mut self, reason: &str) {
        let left = self.lines as u64;
        self.written.lost += left;
        self.given_up = Some((left, reason.to_owned()));
    }

    /// The reader went away: what waits is of no use to anybody, and no loss.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.queue = Batch::default();
        (self.lines, self.bytes) = (0, 0);
    }

    pub(super) fn take_losses(&mut self) -> Vec<LossCount> {
        let losses = std::mem::take(&mut self.losses);
        Kind::ALL
            .iter()
            .zip(losses)
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| LossCount {
                stage: "sink",
                kind: kind.as_str(),
                count,
            })
            .collect()
    }
}
