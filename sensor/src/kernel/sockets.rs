//! The listening sockets of managers and buses, and how much each process asked.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
};

use aya::maps::{HashMap as BpfMap, MapData, PerCpuArray};
use whodunit_common::{Author, ProcessKey, SocketValue, WatchKey};

use crate::event::{FileIdentity, Manager};

/// Most sockets that are listed: the kernel's table has room for as many.
const SOCKETS_MAX: usize = 1024;

/// Most processes whose requests are counted: twice what the kernel's table holds.
const AUTHORS_MAX: usize = 8192;

/// A socket that requests go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its path on the host.
    pub path: PathBuf,
    /// Whose manager listens, or is reached by the bus.
    pub manager: Manager,
    /// [`whodunit_common::socket_flags`].
    pub flags: u32,
}

/// Requests that the kernel side did not send, because there were too many of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// The process; `None` when the kernel side has forgotten which one it was.
    pub author: Option<ProcessKey>,
    /// How many since this was last asked.
    pub count: u64,
}

/// Both tables.
pub struct Sockets {
    map: BpfMap<MapData, WatchKey, SocketValue>,
    authors: BpfMap<MapData, ProcessKey, Author>,
    dropped: PerCpuArray<MapData, u64>,
    listed: HashMap<(u32, u64), (u32, Listener)>,
    next: u32,
    tally: Tally,
}

impl Sockets {
    pub(crate) fn new(
        map: BpfMap<MapData, WatchKey, SocketValue>,
        authors: BpfMap<MapData, ProcessKey, Author>,
        dropped: PerCpuArray<MapData, u64>,
    ) -> Self {
        Self {
            map,
            authors,
            dropped,
            listed: HashMap::new(),
            next: 1,
            tally: Tally::default(),
        }
    }

    /// Lists a socket. Says why it cannot.
    pub fn add(&mut self, identity: &FileIdentity, listener: Listener) -> Result<(), String> {
        let key = (identity.device, identity.inode);
        if self.listed.contains_key(&key) {
            return Ok(());
        }
        let path = listener.path.display();
        if self.listed.len() >= SOCKETS_MAX {
            return Err(format!("{path}: too many sockets are listed"));
        }
        let value = SocketValue {
            id: self.next,
            flags: listener.flags,
        };
        self.map
            .insert(key_of(key), value, 0)
            .map_err(|error| format!("cannot list {path}: {error}"))?;
        self.listed.insert(key, (self.next, listener));
        self.next += 1;
        Ok(())
    }

    /// The socket with this identity.
    #[must_use]
    pub fn get(&self, identity: (u32, u64)) -> Option<&Listener> {
        self.listed.get(&identity).map(|(_, listener)| listener)
    }

    /// Forgets sockets that are not among `present` any more.
    pub fn retain(&mut self, present: &HashSet<(u32, u64)>) {
        let map = &mut self.map;
        self.listed.retain(|key, _| {
            let keep = present.contains(key);
            if !keep {
                let _ = map.remove(&key_of(*key)); // gone is gone
            }
            keep
        });
    }

    /// Whose requests were not all sent, since this was last asked.
    pub fn throttled(&mut self) -> Vec<Throttled> {
        // Before the table: what is dropped meanwhile may be told by author, and is not told twice.
        let sum = self
            .dropped
            .get(&0, 0)
            .map_or(0, |counts| counts.iter().sum());
        if sum == self.tally.seen {
            return Vec::new();
        }
        // A key may come twice, where the table changes while it is read.
        let by_author = self
            .authors
            .iter()
            .flatten()
            .filter(|(_, author)| author.dropped > 0)
            .map(|(key, author)| (key, author.dropped))
            .collect();
        self.tally.count(sum, by_author)
    }
}

/// What was told of requests that were not sent.
#[derive(Debug, Default)]
struct Tally {
    /// The sum of all that were dropped, when it was last looked at.
    seen: u64,
    /// How many were told.
    told: u64,
    /// Those of each process that the kernel side knows, or knew lately.
    by_author: HashMap<ProcessKey, u64>,
}

impl Tally {
    /// What is new, of `sum` that were ever dropped and of what is known by author: the kernel side
    /// forgets the author that asked longest ago where there are many, and what he asked too much is
    /// in `sum` alone.
    fn count(&mut self, sum: u64, by_author: HashMap<ProcessKey, u64>) -> Vec<Throttled> {
        self.seen = sum;
        let mut throttled = Vec::new();
        for (&author, &dropped) in &by_author {
            let before = self.by_author.get(&author).copied().unwrap_or(0);
            // Fewer than before: it was forgotten by the kernel side, and began anew.
            let count = dropped.checked_sub(before).unwrap_or(dropped);
            if count > 0 {
                self.told += count;
                throttled.push(Throttled {
                    author: Some(author),
                    count,
                });
            }
        }
        // One that is not there now may only have been missed while the table changed.
        if self.by_author.len() >= AUTHORS_MAX {
            self.by_author.clear();
        }
        self.by_author.extend(by_author);
        let rest = sum.saturating_sub(self.told);
        if rest > 0 {
            self.told += rest;
            throttled.push(Throttled {
                author: None,
                count: rest,
            });
        }
        throttled
    }
}

fn key_of((device, inode): (u32, u64)) -> WatchKey {
    WatchKey {
        inode,
        device,
        reserved: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(tally: &mut Tally, sum: u64, authors: &[(u32, u64)]) -> Vec<(Option<u32>, u64)> {
        let authors = authors
            .iter()
            .map(|&(tgid, dropped)| (ProcessKey::new(tgid, 1), dropped));
        let mut told: Vec<_> = tally
            .count(sum, authors.collect())
            .into_iter()
            .map(|one| (one.author.map(|key| key.tgid), one.count))
            .collect();
        told.sort_unstable();
        told
    }

    #[test]
    fn each_is_told_once_by_author() {
        let mut tally = Tally::default();
        assert_eq!(told(&mut tally, 5, &[(7, 5)]), [(Some(7), 5)]);
        let both = [(Some(7), 1), (Some(8), 2)];
        assert_eq!(told(&mut tally, 8, &[(7, 6), (8, 2)]), both);
        assert_eq!(told(&mut tally, 8, &[(7, 6), (8, 2)]), []);
    }

    #[test]
    fn what_a_forgotten_author_asked_is_told() {
        let mut tally = Tally::default();
        assert_eq!(told(&mut tally, 9, &[(8, 2)]), [(None, 7), (Some(8), 2)]);
        // It came back, and asked too much again.
        let again = [(Some(7), 3)];
        assert_eq!(told(&mut tally, 12, &[(7, 3), (8, 2)]), again);
        // It was forgotten and came back between two looks: not all of it can be said to be its.
        let more = [(None, 3), (Some(7), 1)];
        assert_eq!(told(&mut tally, 16, &[(7, 4)]), more);
        // Not every look at a table that changes finds all that is in it.
        assert_eq!(told(&mut tally, 17, &[(8, 3)]), [(Some(8), 1)]);
        assert_eq!(told(&mut tally, 18, &[(7, 5), (8, 3)]), [(Some(7), 1)]);
    }

    #[test]
    fn what_came_while_the_table_was_read_is_not_told_twice() {
        let mut tally = Tally::default();
        assert_eq!(told(&mut tally, 5, &[(7, 9)]), [(Some(7), 9)]);
        assert_eq!(told(&mut tally, 9, &[(7, 9)]), []);
        assert_eq!(told(&mut tally, 10, &[(7, 10)]), [(Some(7), 1)]);
    }
}
