//! The way from the tracker's thread to the agent: bounded, never waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::fact::{BusFact, Told};
use crate::host::clock::boot_now;

/// Facts that may wait for the agent.
const ROOM: usize = 4096;

/// The tracker's end.
#[derive(Debug)]
pub(super) struct Feed {
    to: Sender<Told>,
    dropped: Arc<AtomicU64>,
    number: u64,
}

/// The agent's end.
#[derive(Debug)]
pub struct BusFacts {
    from: Receiver<Told>,
    dropped: Arc<AtomicU64>,
}

pub(super) fn feed() -> (Feed, BusFacts) {
    let (to, from) = channel(ROOM);
    let dropped = Arc::new(AtomicU64::new(0));
    let feed = Feed {
        to,
        dropped: Arc::clone(&dropped),
        number: 0,
    };
    (feed, BusFacts { from, dropped })
}

impl Feed {
    /// Numbers a fact and hands it over; what there is no room for is counted, and its number is
    /// missing.
    pub(super) fn tell(&mut self, fact: BusFact) {
        self.number += 1;
        let told = Told {
            number: self.number,
            seen: boot_now().unwrap_or(0),
            fact,
        };
        if self.to.try_send(told).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether nobody listens any more.
    pub(super) fn is_closed(&self) -> bool {
        self.to.is_closed()
    }
}

impl BusFacts {
    /// The next fact; `None` when there will be none.
    pub async fn next(&mut self) -> Option<Told> {
        self.from.recv().await
    }

    /// A fact that is there already.
    pub fn waiting(&mut self) -> Option<Told> {
        self.from.try_recv().ok()
    }

    /// How many facts were dropped since this was last asked.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_counted_and_leaves_a_gap() {
        let (mut feed, mut facts) = feed();
        for _ in 0..ROOM + 2 {
            feed.tell(BusFact::Reloading(true));
        }
        assert_eq!(facts.take_dropped(), 2);
        assert_eq!(facts.take_dropped(), 0);
        let first = facts.waiting().expect("waits");
        assert_eq!(first.number, 1);
        feed.tell(BusFact::Reloading(false));
        let last = std::iter::from_fn(|| facts.waiting())
            .last()
            .expect("waits");
        assert_eq!(last.number, ROOM as u64 + 3);
        drop(facts);
        assert!(feed.is_closed());
    }
}
