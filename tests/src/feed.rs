//! A growing list that can be waited on.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Items in order of arrival.
#[derive(Debug)]
pub(crate) struct Feed<T> {
    state: Mutex<State<T>>,
    grown: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: Vec<T>,
    ended: bool,
}

/// Why a wait was given up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum GaveUp {
    /// No more items will come.
    Ended,
    /// The deadline passed.
    TooLate,
}

impl<T: Clone> Feed<T> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                items: Vec::new(),
                ended: false,
            }),
            grown: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, item: T) {
        self.lock().items.push(item);
        self.grown.notify_all();
    }

    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.grown.notify_all();
    }

    /// All items so far.
    pub(crate) fn all(&self) -> Vec<T> {
        self.lock().items.clone()
    }

    /// The first item, already here or still to come, that `wanted` accepts.
    pub(crate) fn wait(
        &self,
        limit: Duration,
        mut wanted: impl FnMut(&T) -> bool,
    ) -> Result<T, GaveUp> {
        let deadline = Instant::now() + limit;
        let mut seen = 0;
        let mut state = self.lock();
        loop {
            if let Some(found) = state.items[seen..].iter().find(|item| wanted(item)) {
                return Ok(found.clone());
            }
            seen = state.items.len();
            if state.ended {
                return Err(GaveUp::Ended);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(GaveUp::TooLate);
            }
            let waited = self.grown.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
