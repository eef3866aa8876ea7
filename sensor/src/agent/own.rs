//! What is done to this agent itself.

use std::path::PathBuf;

use super::{Agent, processes::actor};
use crate::{
    config,
    detect::{AGENT_UNIT, agent_cut_off, agent_signalled},
    event::{Timestamp, signal_name},
    kernel::{SignalSeen, TaskSeen},
    store::Memory,
};

/// Signals by which whoever started an agent by hand ends it.
const ORDERS: [&str; 4] = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"];

/// The files that an agent rests on, beside its unit.
fn files() -> Vec<PathBuf> {
    let program = std::env::current_exe().ok();
    let files = program.into_iter().chain([config::DEFAULT_PATH.into()]);
    files.collect()
}

impl Agent {
    /// Watches what the agent itself rests on.
    pub(super) fn watch_own_files(&mut self) {
        for path in files() {
            if let Some(path) = path.to_str() {
                self.watching.targets.add(path, AGENT_UNIT);
            }
        }
    }

    /// Whether a signal is to this agent; tells it if nobody should have sent it.
    pub(super) fn signalled_itself(&mut self, seen: &SignalSeen) -> bool {
        let own = std::process::id();
        if seen.target.tgid != own {
            return false;
        }
        let name = signal_name(seen.signal);
        let sender = seen.task.key.tgid;
        let known = self.table.current(own);
        let context = known.and_then(|known| known.systemd.as_ref());
        let unit = context.and_then(|context| context.unit.as_deref());
        let by_hand = unit.is_none_or(|unit| !unit.ends_with(".service"));
        let expected = sender == 1
            || sender == own
            || name == "SIGCONT"
            || by_hand && ORDERS.contains(&name.as_str());
        if !expected {
            self.tell_signalled(&seen.task, seen.time, &name);
        }
        true
    }

    fn tell_signalled(&mut self, task: &TaskSeen, time: u64, name: &str) {
        let author = actor(task, time, &mut self.table, &self.facts);
        let time = self.facts.time(time);
        let finding = agent_signalled(&author, time, name);
        self.tell_finding(time, finding);
    }

    /// Tells if the agent before this one was cut off. After a crash of the host that is no wonder.
    pub(super) fn tell_cut_off(&mut self, memory: &Memory) {
        let Some(alive) = memory.alive.filter(|_| memory.cut_off) else {
            return;
        };
        let now = self.facts.now();
        let since = Timestamp {
            boot: 0,
            wall: alive.min(now.wall),
        };
        if memory.same_boot {
            self.tell_finding(now, agent_cut_off(since, now));
        } else {
            self.tell_gap("the boot before this one ended without the agent's end".to_owned());
        }
    }
}
