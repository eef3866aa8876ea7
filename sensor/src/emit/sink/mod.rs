//! Where lines go.
//!
//! [`Sink::send`] copies a line into a bounded queue and returns; a thread writes what has
//! gathered with one system call. When the queue is full, bulk lines (execs and exits that no
//! manager started) go first: a quarter of the room is kept for the others, and if that is not
//! enough, waiting bulk lines make way. Whatever is dropped is counted by kind.
//!
//! A pipe whose reader went away ends the sink quietly. A full disk does not: the sink tries
//! again until there is space, from the byte it had come to, so that no line is left half
//! written.

mod queue;
mod target;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub use queue::{Kind, Label};
pub use target::Target;

use crate::event::LossCount;
use queue::State;
use target::Output;

/// Why a sink could not be started or finished.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// cannot open {target}: {source}
    #[error("cannot open {target}: {source}")]
    Open {
        /// The path, or what stands for it.
        target: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// cannot start the writer's thread: {0}
    #[error("cannot start the writer's thread: {0}")]
    Thread(std::io::Error),
    /// {left} events were not written to {target}
    #[error("{left} events were not written to {target}: {reason}")]
    Unfinished {
        /// The path, or what stands for it.
        target: String,
        /// What was in the way.
        reason: String,
        /// How many were given up at the end.
        left: u64,
        /// What was written before.
        written: Written,
    },
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It waits to be written.
    Queued,
    /// There was no room; it is counted as lost.
    Dropped,
    /// Nobody reads any more; it is not counted.
    Closed,
}

/// What a sink did over its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Events written whole.
    pub events: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Events lost for want of room or space.
    pub lost: u64,
}

/// A running sink. Dropped without [`Sink::finish`] it still writes what waits, but nobody sees
/// whether it could.
#[derive(Debug)]
pub struct Sink {
    shared: Arc<Shared>,
    target: String,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the writer.
    work: Condvar,
    /// Wakes [`Sink::finish`].
    done: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    /// Opens `target` and starts the thread that writes to it, with room for `capacity` events.
    ///
    /// # Errors
    ///
    /// [`SinkError::Open`] names the path; [`SinkError::Thread`].
    pub fn spawn(target: Target, capacity: usize) -> Result<Self, SinkError> {
        let name = target.to_string();
        let output = target.open().map_err(|source| SinkError::Open {
            target: name.clone(),
            source,
        })?;
        Self::start(output, name, capacity)
    }

    fn start(
        output: impl Output + 'static,
        target: String,
        capacity: usize,
    ) -> Result<Self, SinkError> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(capacity)),
            work: Condvar::new(),
            done: Condvar::new(),
        });
        let (for_thread, name) = (Arc::clone(&shared), target.clone());
        thread::Builder::new()
            .name("sink".to_owned())
            .spawn(move || writer::run(&for_thread, output, &name))
            .map_err(SinkError::Thread)?;
        Ok(Self { shared, target })
    }

    /// Queues one event's text, which ends with a newline. Never blocks on the target.
    pub fn send(&self, label: Label, line: &[u8]) -> Sent {
        debug_assert!(line.ends_with(b"\n"), "a line has an end");
        let mut state = self.shared.lock();
        let sent = state.push(label, line);
        let wake = sent == Sent::Queued && state.should_wake(label);
        drop(state);
        if wake {
            self.shared.work.notify_one();
        }
        sent
    }

    /// What was lost since this was last asked, by kind of event.
    #[must_use]
    pub fn losses(&self) -> Vec<LossCount> {
        self.shared.lock().take_losses()
    }

    /// Whether the reader of the pipe went away: there is no use in going on.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.lock().closed
    }

    /// Writes what waits, for at most `limit`.
    ///
    /// # Errors
    ///
    /// [`SinkError::Unfinished`] when the target takes no more or the time is over. A pipe whose
    /// reader went away is no error.
    pub fn finish(self, limit: Duration) -> Result<Written, SinkError> {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.lock();
        state.closing = true;
        self.shared.work.notify_one();
        while !state.done {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.give_up("the time was over");
                self.shared.work.notify_one();
                break;
            }
            state = self
                .shared
                .done
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let written = state.written;
        match state.given_up.take() {
            Some((left, reason)) => Err(SinkError::Unfinished {
                target: self.target.clone(),
                reason,
                left,
                written,
            }),
            None => Ok(written),
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
    }
}
