//! How long the steps of the loop take: each that holds the others up is in the log.

use std::time::{Duration, Instant};

/// A step that takes this long holds verdicts up.
const LONG: Duration = Duration::from_millis(20);

/// A step of the loop, from its beginning until it is dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct Step {
    name: &'static str,
    /// `None` while nobody reads of it.
    began: Option<Instant>,
}

impl Step {
    pub(super) fn begin(name: &'static str) -> Self {
        let began = log::log_enabled!(log::Level::Debug).then(Instant::now);
        Self { name, began }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        let took = self.began.map(|began| began.elapsed());
        if let Some(took) = took.filter(|took| *took >= LONG) {
            log::debug!("{} took {} ms", self.name, took.as_millis());
        }
    }
}
