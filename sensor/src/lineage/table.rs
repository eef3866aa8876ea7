//! Processes by key, living and lately ended.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::event::{Origin, Process, ProcessKey, SystemdContext};

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most processes, living and ended.
    pub entries: usize,
    /// Most ended processes that are kept for late events if nothing descends from them: more than
    /// the queues of the kernel have room for.
    pub late: usize,
    /// How long they are kept, in nanoseconds.
    pub retain: u64,
    /// Longest ancestry given out.
    pub depth: usize,
    /// Resolution of start times from procfs, in nanoseconds: one clock tick.
    pub tick: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 16_384,
            late: 6144,
            retain: 30_000_000_000,
            depth: 32,
            tick: 10_000_000,
        }
    }
}

/// Counters for health reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Entries now.
    pub entries: usize,
    /// Entries forgotten although something may still descend from them.
    pub forced: u64,
}

/// What is known of one process.
#[derive(Clone, Debug)]
pub struct Known {
    /// The process.
    pub process: Arc<Process>,
    /// Inode number of its cgroup; zero when unknown.
    pub cgroup: u64,
    /// The unit it runs in, if it is known to run in one.
    pub systemd: Option<Arc<SystemdContext>>,
}

#[derive(Debug)]
struct Entry {
    known: Known,
    ended: bool,
    /// Whether it ended, and stays because something descends from it.
    kept: bool,
    /// How many entries name this one as their spawner.
    children: u32,
}

/// The process table.
///
/// An ended process stays while a known process descends from it, so that ancestry survives
/// exits; others go after [`Limits::retain`], or when there are more than [`Limits::late`]. When the table is full, those that ended go at once:
/// first those that nothing descends from, so that a flood of short lives costs nobody his
/// ancestors, then the others, and those are counted. When nothing has ended, the oldest go.
#[derive(Debug, Default)]
pub struct Table {
    limits: Limits,
    /// By tgid: a pid that was used again has several.
    by_pid: HashMap<u32, Vec<Entry>>,
    len: usize,
    ended: VecDeque<(u64, ProcessKey)>,
    /// Those that ended and stay.
    kept: VecDeque<ProcessKey>,
    forced: u64,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Enters a process, or its newer image. `now` is nanoseconds since boot.
    pub fn insert(&mut self, known: Known, now: u64) {
        self.prune(now);
        let (key, spawner) = (known.process.key, known.process.spawner);
        if let Some(entry) = self.entry_mut(&key) {
            let before = entry.known.process.spawner;
            entry.known = known;
            (entry.ended, entry.kept) = (false, false);
            if before != spawner {
                self.adopt(before, -1);
                self.adopt(spawner, 1);
            }
            return;
        }
        self.adopt(spawner, 1);
        // Hardly a pid is used twice: no room for more.
        let entries = self.by_pid.entry(key.tgid);
        let entries = entries.or_insert_with(|| Vec::with_capacity(1));
        entries.push(Entry {
            known,
            ended: false,
            kept: false,
            children: 0,
        });
        self.len += 1;
    }

    /// Notes that a process ended, or that nobody will tell when it does. It stays known while
    /// something descends from it, and for a while.
    pub fn end(&mut self, key: &ProcessKey, now: u64) -> Option<Known> {
        let entry = self.entry_mut(key)?;
        let first = !std::mem::replace(&mut entry.ended, true);
        let known = entry.known.clone();
        if first {
            self.ended.push_back((now, known.process.key));
        }
        Some(known)
    }

    /// The process with this key.
    #[must_use]
    pub fn get(&self, key: &ProcessKey) -> Option<&Known> {
        let entries = self.by_pid.get(&key.tgid)?;
        let entry = entries
            .iter()
            .find(|entry| self.same(&entry.known.process, key))?;
        Some(&entry.known)
    }

    /// The living process with this pid, or the one that had it last.
    #[must_use]
    pub fn current(&self, tgid: u32) -> Option<&Known> {
        let entries = self.by_pid.get(&tgid)?;
        let entry = entries
            .iter()
            .max_by_key(|entry| entry.known.process.key.start)?;
        Some(&entry.known)
    }

    /// Who a process descends from: its spawner first. Ends where nothing more is known.
    #[must_use]
    pub fn ancestry(&self, process: &Process) -> Vec<Arc<Process>> {
        let mut found = Vec::new();
        let mut next = process.spawner;
        while let Some(key) = next
            && found.len() < self.limits.depth
        {
            let Some(ancestor) = self.get(&key) else {
                break;
            };
            next = ancestor.process.spawner;
            found.push(Arc::clone(&ancestor.process));
        }
        found
    }

    /// The processes that have not ended.
    pub fn living(&self) -> impl Iterator<Item = &Known> {
        let all = self.by_pid.values().flatten();
        all.filter(|entry| !entry.ended).map(|entry| &entry.known)
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> TableStats {
        TableStats {
            entries: self.len,
            forced: self.forced,
        }
    }

    /// Whether an entry is about the process with this key. A start time from procfs is rounded
    /// down to a clock tick.
    fn same(&self, process: &Process, key: &ProcessKey) -> bool {
        let (a, b) = (process.key.start, key.start);
        a == b || process.origin == Origin::Procfs && a <= b && b - a < self.limits.tick
            // The other way round: a spawner's key came from procfs, its entry from the kernel.
            || b % self.limits.tick == 0 && b <= a && a - b < self.limits.tick
    }

    fn entry_mut(&mut self, key: &ProcessKey) -> Option<&mut Entry> {
        let index = {
            let entries = self.by_pid.get(&key.tgid)?;
            entries
                .iter()
                .position(|entry| self.same(&entry.known.process, key))?
        };
        self.by_pid.get_mut(&key.tgid)?.get_mut(index)
    }

    fn adopt(&mut self, spawner: Option<ProcessKey>, count: i32) {
        if let Some(key) = spawner
            && let Some(entry) = self.entry_mut(&key)
        {
            entry.children = entry.children.saturating_add_signed(count);
            if entry.children == 0 && std::mem::take(&mut entry.kept) {
                self.ended.push_front((0, key)); // the last that it stayed for
            }
        }
    }

    /// Forgets what ended long ago and what is too much.
    fn prune(&mut self, now: u64) {
        while let Some(&(time, key)) = self.ended.front() {
            let is_late = time.saturating_add(self.limits.retain) < now;
            if !is_late && !self.is_full() && self.ended.len() <= self.limits.late {
                break;
            }
            self.ended.pop_front();
            match self.entry_mut(&key) {
                Some(entry) if entry.ended && entry.children > 0 => {
                    entry.kept = true;
                    self.kept.push_back(key);
                }
                Some(entry) if entry.ended => self.remove(&key),
                // Forgotten, or entered anew.
                _ => {}
            }
        }
        while self.is_full()
            && let Some(key) = self.kept.pop_front()
        {
            if self.entry_mut(&key).is_some_and(|entry| entry.kept) {
                self.remove(&key);
                self.forced += 1;
            }
        }
        if self.is_full() {
            // Nothing has ended, or exits were lost.
            self.forget_oldest();
        }
    }

    fn is_full(&self) -> bool {
        self.len >= self.limits.entries
    }

    fn forget_oldest(&mut self) {
        let mut starts: Vec<ProcessKey> = self
            .by_pid
            .values()
            .flatten()
            .map(|entry| entry.known.process.key)
            .collect();
        let count = starts.len() / 8 + 1;
        starts.sort_unstable_by_key(|key| key.start);
        // PID 1 and its like are the oldest and the most needed: spare the first few.
        for key in starts.into_iter().skip(64).take(count) {
            self.remove(&key);
            self.forced += 1;
        }
    }

    fn remove(&mut self, key: &ProcessKey) {
        let Some(entries) = self.by_pid.get(&key.tgid) else {
            return;
        };
        let Some(index) = entries
            .iter()
            .position(|entry| self.same(&entry.known.process, key))
        else {
            return;
        };
        let Some(entries) = self.by_pid.get_mut(&key.tgid) else {
            return;
        };
        let entry = entries.swap_remove(index);
        if entries.is_empty() {
            self.by_pid.remove(&key.tgid);
        }
        self.len -= 1;
        self.adopt(entry.known.process.spawner, -1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;

    fn process(tgid: u32, start: u64, spawner: Option<(u32, u64)>) -> Known {
        let spawner = spawner.map(|(tgid, start)| ProcessKey::new(tgid, start));
        let key = ProcessKey::new(tgid, start);
        known(Process {
            origin: Origin::Exec,
            ..Process::of_key(key, spawner, Timestamp::default())
        })
    }

    fn known(process: Process) -> Known {
        Known {
            process: Arc::new(process),
            cgroup: 0,
            systemd: None,
        }
    }

    fn chain(table: &Table, (tgid, start): (u32, u64)) -> Vec<ProcessKey> {
        let known = table.get(&ProcessKey::new(tgid, start)).unwrap();
        table
            .ancestry(&known.process)
            .iter()
            .map(|process| process.key)
            .collect()
    }

    fn pids(table: &Table, of: (u32, u64)) -> Vec<u32> {
        chain(table, of).iter().map(|key| key.tgid).collect()
    }

    #[test]
    fn ancestry_survives_exits() {
        let mut table = Table::new(Limits {
            retain: 10,
            ..Limits::default()
        });
        table.insert(process(1, 1, None), 0);
        table.insert(process(10, 100, Some((1, 1))), 100);
        table.insert(process(11, 200, Some((10, 100))), 200);
        table.end(&ProcessKey::new(10, 100), 210);
        table.insert(process(12, 9_000, Some((11, 200))), 9_000);
        assert_eq!(pids(&table, (12, 9_000)), [11, 10, 1]);
    }

    #[test]
    fn a_flood_of_short_lives_takes_little_room() {
        let mut table = Table::new(Limits {
            late: 20,
            ..Limits::default()
        });
        table.insert(process(1, 1, None), 1);
        for n in 2..1000u32 {
            let start = u64::from(n);
            table.insert(process(n, start, Some((1, 1))), start);
            table.end(&ProcessKey::new(n, start), start);
            assert!(table.stats().entries <= 1 + 20 + 2);
        }
        assert!(table.get(&ProcessKey::new(985, 985)).is_some());
        assert_eq!(table.stats().forced, 0);
    }

    #[test]
    fn an_ended_leaf_is_forgotten() {
        let mut table = Table::new(Limits {
            retain: 10,
            ..Limits::default()
        });
        table.insert(process(10, 100, None), 100);
        table.end(&ProcessKey::new(10, 100), 110);
        assert!(table.get(&ProcessKey::new(10, 100)).is_some());
        table.insert(process(11, 200, None), 200);
        assert!(table.get(&ProcessKey::new(10, 100)).is_none());
        assert_eq!(table.stats().entries, 1);
    }

    #[test]
    fn a_pid_used_again_is_another_process() {
        let mut table = Table::new(Limits::default());
        table.insert(process(10, 100_000_003, None), 1);
        table.end(&ProcessKey::new(10, 100_000_003), 2);
        table.insert(process(10, 300_000_007, None), 3);
        table.insert(process(11, 150_000_001, Some((10, 100_000_003))), 4);
        table.insert(process(12, 400_000_001, Some((10, 300_000_007))), 5);
        assert_eq!(chain(&table, (11, 150_000_001))[0].start, 100_000_003);
        assert_eq!(chain(&table, (12, 400_000_001))[0].start, 300_000_007);
        assert_eq!(
            table.current(10).map(|found| found.process.key.start),
            Some(300_000_007)
        );
    }

    #[test]
    fn procfs_keys_meet_exact_ones() {
        let mut table = Table::new(Limits::default());
        let mut seeded = (*process(10, 120_000_000, None).process).clone();
        seeded.origin = Origin::Procfs;
        table.insert(known(seeded), 0);
        // Spawned by the seeded process, whose exact start the kernel tells.
        table.insert(process(11, 500_000_000, Some((10, 123_456_789))), 1);
        assert_eq!(pids(&table, (11, 500_000_000)), [10]);
        // Its own exec replaces the seeded entry; the child's chain still holds.
        table.insert(process(10, 123_456_789, None), 2);
        assert_eq!(table.stats().entries, 2);
        assert_eq!(pids(&table, (11, 500_000_000)), [10]);
        // A process of the same pid that started a tick later is not the same.
        assert!(table.get(&ProcessKey::new(10, 133_456_789)).is_none());
    }

    #[test]
    fn a_flood_of_short_lives_costs_nobody_his_ancestors() {
        let mut table = Table::new(Limits {
            entries: 100,
            ..Limits::default()
        });
        table.insert(process(1, 1, None), 1);
        for n in 2..6u32 {
            let start = u64::from(n);
            table.insert(process(n, start, Some((n - 1, start - 1))), start);
            table.end(&ProcessKey::new(n - 1, start - 1), start);
        }
        for n in 10..5_000u32 {
            let start = u64::from(n);
            table.insert(process(n, start, Some((5, 5))), start);
            table.end(&ProcessKey::new(n, start), start);
            assert!(table.stats().entries <= 100);
        }
        assert_eq!(pids(&table, (5, 5)), [4, 3, 2, 1]);
        assert_eq!(table.stats().forced, 0);
    }

    #[test]
    fn ancestors_go_with_the_last_that_descends_from_them() {
        let mut table = Table::new(Limits {
            retain: 10,
            ..Limits::default()
        });
        for n in 2..6u32 {
            let start = u64::from(n);
            table.insert(process(n, start, Some((n - 1, start - 1))), start);
            table.end(&ProcessKey::new(n - 1, start - 1), start);
        }
        table.insert(process(9, 100, Some((5, 5))), 100);
        table.end(&ProcessKey::new(5, 5), 100);
        assert_eq!(pids(&table, (9, 100)), [5, 4, 3, 2]);
        table.end(&ProcessKey::new(9, 100), 101);
        table.insert(process(20, 200, None), 200);
        assert_eq!(table.stats().entries, 1);
        assert_eq!(table.stats().forced, 0);
    }

    /// When all that ended has descendants, those that ended first go, and that is counted.
    #[test]
    fn a_flood_of_long_chains_is_counted() {
        let mut table = Table::new(Limits {
            entries: 50,
            ..Limits::default()
        });
        for n in 2..200u32 {
            let start = u64::from(n);
            table.insert(process(n, start, Some((n - 1, start - 1))), start);
            table.end(&ProcessKey::new(n - 1, start - 1), start);
            assert!(table.stats().entries <= 50);
        }
        assert!(table.stats().forced > 0);
        let chain = pids(&table, (199, 199));
        assert_eq!(chain[..5], [198, 197, 196, 195, 194]);
    }

    #[test]
    fn never_more_than_the_limit() {
        let limits = Limits {
            entries: 200,
            ..Limits::default()
        };
        let mut table = Table::new(limits);
        for n in 0..10_000u32 {
            let start = u64::from(n) * 1_000_003;
            table.insert(
                process(n + 2, start, Some((n + 1, start.saturating_sub(1_000_003)))),
                start,
            );
            if n % 3 == 0 {
                table.end(&ProcessKey::new(n + 2, start), start);
            }
            assert!(table.stats().entries <= 200);
        }
        assert!(table.stats().forced > 0);
    }
}
