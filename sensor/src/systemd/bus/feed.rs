//! The way from the trackers' thread to the agent: bounded, never waited for.
//!
//! PID 1 has a queue of its own: whatever the managers of users tell, they cannot crowd it out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::fact::{BusFact, Told};
use crate::event::Manager;
use crate::host::clock::boot_now;

/// Facts of PID 1 that may wait for the agent.
const ROOM: usize = 4096;
/// The same of all other managers together.
const ROOM_OF_OTHERS: usize = 2048;

/// Makes the trackers' ends.
#[derive(Debug)]
pub(super) struct Feeds {
    system: (Sender<Told>, Arc<AtomicU64>),
    others: (Sender<Told>, Arc<AtomicU64>),
}

/// One tracker's end.
#[derive(Debug)]
pub(super) struct Feed {
    manager: Manager,
    to: Sender<Told>,
    dropped: Arc<AtomicU64>,
    number: u64,
}

/// The agent's end.
#[derive(Debug)]
pub struct BusFacts {
    system: Receiver<Told>,
    others: Receiver<Told>,
    dropped: [Arc<AtomicU64>; 2],
}

/// Facts that there was no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Of PID 1.
    pub system: u64,
    /// Of all other managers.
    pub others: u64,
}

pub(super) fn feeds() -> (Feeds, BusFacts) {
    let (system, from_system) = channel(ROOM);
    let (others, from_others) = channel(ROOM_OF_OTHERS);
    let dropped = [Arc::default(), Arc::default()];
    let [of_system, of_others] = dropped.clone();
    let facts = BusFacts {
        system: from_system,
        others: from_others,
        dropped,
    };
    let feeds = Feeds {
        system: (system, of_system),
        others: (others, of_others),
    };
    (feeds, facts)
}

impl Feeds {
    /// The end for the tracker of one manager.
    pub(super) fn of(&self, manager: Manager) -> Feed {
        let (to, dropped) = match manager {
            Manager::System => &self.system,
            _ => &self.others,
        };
        Feed {
            to: to.clone(),
            manager,
            dropped: Arc::clone(dropped),
            number: 0,
        }
    }
}

impl Feed {
    /// Numbers a fact and hands it over; what there is no room for is counted, and its number is
    /// missing.
    pub(super) fn tell(&mut self, fact: BusFact) {
        self.number += 1;
        let told = Told {
            manager: self.manager.clone(),
            number: self.number,
            seen: boot_now().unwrap_or(0),
            fact,
        };
        if self.to.try_send(told).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whose it is.
    pub(super) fn manager(&self) -> &Manager {
        &self.manager
    }

    /// Whether nobody listens any more.
    pub(super) fn is_closed(&self) -> bool {
        self.to.is_closed()
    }
}

impl BusFacts {
    /// The next fact; `None` when there will be none.
    pub async fn next(&mut self) -> Option<Told> {
        tokio::select! {
            biased;
            told = self.system.recv() => told,
            Some(told) = self.others.recv() => Some(told),
        }
    }

    /// A fact that is there already.
    pub fn waiting(&mut self) -> Option<Told> {
        let told = self.system.try_recv();
        told.or_else(|_| self.others.try_recv()).ok()
    }

    /// How many facts were dropped since this was last asked.
    pub fn take_dropped(&self) -> Dropped {
        let [system, others] = &self.dropped;
        Dropped {
            system: system.swap(0, Ordering::Relaxed),
            others: others.swap(0, Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_counted_and_leaves_a_gap() {
        let (feeds, mut facts) = feeds();
        let mut feed = feeds.of(Manager::System);
        for _ in 0..ROOM + 2 {
            feed.tell(BusFact::Reloading(true));
        }
        assert_eq!(facts.take_dropped().system, 2);
        assert_eq!(facts.take_dropped(), Dropped::default());
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

    #[test]
    fn others_do_not_crowd_out_pid_1() {
        let (feeds, mut facts) = feeds();
        let mut user = feeds.of(Manager::User(1000));
        for _ in 0..ROOM_OF_OTHERS + 1 {
            user.tell(BusFact::Reloading(true));
        }
        feeds.of(Manager::System).tell(BusFact::Reloading(true));
        let dropped = facts.take_dropped();
        assert_eq!((dropped.system, dropped.others), (0, 1));
        let first = facts.waiting().expect("waits");
        assert_eq!((first.manager, first.number), (Manager::System, 1));
        let next = facts.waiting().expect("waits");
        assert_eq!((next.manager, next.number), (Manager::User(1000), 1));
    }
}
