//! The kernel side's process table, seen from here.

use aya::maps::{HashMap, MapData, MapError};
use whodunit_common::{ANCESTORS_MAX, ProcessEntry, ProcessKey, WatchKey, process_flags};

use crate::event::FileIdentity;

/// Processes by tgid, and which executables make managers of them.
#[derive(Debug)]
pub struct KernelProcesses {
    table: HashMap<MapData, u32, ProcessEntry>,
    managers: HashMap<MapData, WatchKey, u32>,
}

/// `BPF_NOEXIST`: what the probes entered is better than what procfs tells.
const NO_EXIST: u64 = 1;
/// `BPF_EXIST`
const EXIST: u64 = 2;

impl KernelProcesses {
    pub(crate) fn new(
        table: HashMap<MapData, u32, ProcessEntry>,
        managers: HashMap<MapData, WatchKey, u32>,
    ) -> Self {
        Self { table, managers }
    }

    /// Takes what executes this file from now on for a manager, if the file is named `systemd`.
    pub fn add_manager(&mut self, executable: &FileIdentity) -> Result<(), MapError> {
        let key = WatchKey {
            inode: executable.inode,
            device: executable.device,
            reserved: 0,
        };
        self.managers.insert(key, 1, 0)
    }

    /// Takes a process for a manager that was not known to be one when it was executed.
    pub fn mark_manager(&mut self, key: ProcessKey) {
        self.mark(key, process_flags::IS_MANAGER);
    }

    /// Takes the process that has this pid now for the agent.
    pub fn mark_agent(&mut self, tgid: u32) {
        if let Ok(entry) = self.table.get(&tgid, 0) {
            self.mark(ProcessKey::new(tgid, entry.start), process_flags::IS_AGENT);
        }
    }

    fn mark(&mut self, key: ProcessKey, flag: u32) {
        let entry = self.table.get(&key.tgid, 0);
        if let Ok(mut entry) = entry
            && same(&entry, &key)
        {
            entry.flags |= flag;
            // It may be gone by now, which is as well.
            let _ = self.table.insert(key.tgid, entry, EXIST);
        }
    }

    /// Enters a process that was there before the probes, with its parent as of now.
    pub fn seed(&mut self, key: ProcessKey, parent: Option<ProcessKey>, manager: bool) {
        let mark = if manager {
            process_flags::IS_MANAGER
        } else {
            0
        };
        let entry = ProcessEntry {
            start: key.start,
            spawner: parent.unwrap_or_default(),
            flags: process_flags::SEEDED | process_flags::EXECED | mark,
            image: 0,
        };
        // It exists already if it was forked since the probes are attached.
        let _ = self.table.insert(key.tgid, entry, NO_EXIST);
    }

    /// What the table says of the process that has this pid now: [`process_flags`].
    #[must_use]
    pub fn flags(&self, tgid: u32) -> u32 {
        self.table.get(&tgid, 0).map_or(0, |entry| entry.flags)
    }

    /// The key of the process that has this pid now, or had it last, and who spawned it.
    #[must_use]
    pub fn ancestors(&self, tgid: u32) -> Option<(ProcessKey, Vec<ProcessKey>)> {
        let entry = self.table.get(&tgid, 0).ok()?;
        let key = ProcessKey::new(tgid, entry.start);
        let mut ancestors = Vec::new();
        let mut next = entry.spawner;
        while next.tgid != 0 && ancestors.len() < ANCESTORS_MAX {
            ancestors.push(ProcessKey::new(next.tgid, next.start));
            match self.table.get(&next.tgid, 0) {
                Ok(above) if same(&above, &next) => next = above.spawner,
                _ => break,
            }
        }
        Some((key, ancestors))
    }
}

fn same(entry: &ProcessEntry, key: &ProcessKey) -> bool {
    let seeded = entry.flags & process_flags::SEEDED != 0;
    entry.start == key.start
        || seeded && key.start.wrapping_sub(entry.start) < whodunit_common::SEED_TICK
}
