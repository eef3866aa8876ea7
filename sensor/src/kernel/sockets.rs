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

/// Requests of one process that the kernel side did not send, because there were too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// The process.
    pub author: ProcessKey,
    /// How many since this was last asked.
    pub count: u64,
}

/// Both tables.
pub struct Sockets {
    map: BpfMap<MapData, WatchKey, SocketValue>,
    authors: BpfMap<MapData, ProcessKey, Author>,
    dropped: PerCpuArray<MapData, u64>,
    /// The sum of `dropped` when it was last looked at.
    seen: u64,
    listed: HashMap<(u32, u64), (u32, Listener)>,
    next: u32,
    /// What was told of throttled processes.
    told: HashMap<ProcessKey, u64>,
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
            seen: 0,
            listed: HashMap::new(),
            next: 1,
            told: HashMap::new(),
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

    /// Processes whose requests were not all sent, since this was last asked.
    pub fn throttled(&mut self) -> Vec<Throttled> {
        let sum = self
            .dropped
            .get(&0, 0)
            .map_or(0, |counts| counts.iter().sum());
        if std::mem::replace(&mut self.seen, sum) == sum {
            return Vec::new();
        }
        let dropped: Vec<(ProcessKey, u64)> = self
            .authors
            .iter()
            .flatten()
            .filter(|(_, author)| author.dropped > 0)
            .map(|(key, author)| (key, author.dropped))
            .collect();
        let mut throttled = Vec::new();
        for (author, dropped) in &dropped {
            let told = self.told.get(author).copied().unwrap_or(0);
            // Fewer than before: it was forgotten by the kernel side, and began anew.
            let count = dropped.checked_sub(told).unwrap_or(*dropped);
            if count > 0 {
                throttled.push(Throttled {
                    author: *author,
                    count,
                });
            }
        }
        self.told = dropped.into_iter().collect();
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
