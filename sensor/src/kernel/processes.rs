//! The kernel side's process table, seen from here.

use aya::maps::{HashMap, MapData};
use whodunit_common::{ANCESTORS_MAX, ProcessEntry, ProcessKey, process_flags};

/// Processes by tgid.
#[derive(Debug)]
pub struct KernelProcesses(HashMap<MapData, u32, ProcessEntry>);

/// `BPF_NOEXIST`: what the probes entered is better than what procfs tells.
const NO_EXIST: u64 = 1;

impl KernelProcesses {
    pub(crate) fn new(map: HashMap<MapData, u32, ProcessEntry>) -> Self {
        Self(map)
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
            reserved: 0,
        };
        // It exists already if it was forked since the probes are attached.
        let _ = self.0.insert(key.tgid, entry, NO_EXIST);
    }

    /// The key of the process that has this pid now, or had it last, and who spawned it.
    #[must_use]
    pub fn ancestors(&self, tgid: u32) -> Option<(ProcessKey, Vec<ProcessKey>)> {
        let entry = self.0.get(&tgid, 0).ok()?;
        let key = ProcessKey::new(tgid, entry.start);
        let mut ancestors = Vec::new();
        let mut next = entry.spawner;
        while next.tgid != 0 && ancestors.len() < ANCESTORS_MAX {
            ancestors.push(ProcessKey::new(next.tgid, next.start));
            match self.0.get(&next.tgid, 0) {
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
