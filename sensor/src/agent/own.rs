//! What is done to this agent itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Agent, who::actor};
use crate::{
    config,
    detect::{AGENT_UNIT, agent_cut_off, agent_signalled},
    event::{Change, Process, Timestamp, Verb, signal_name},
    kernel::{SignalSeen, TaskSeen},
    store::{self, Memory},
};

/// Signals by which whoever started an agent by hand ends it.
const ORDERS: [&str; 4] = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"];

/// What of the store is worth a word: the rest is made anew.
const STORE: [&str; 2] = [store::FILE, store::WRITE_AHEAD];

impl Agent {
    /// Watches what the agent itself rests on, beside its unit: its program, `files`, and the directory
    /// `state` of its store.
    pub(super) fn watch_own_files(&mut self, files: &[PathBuf], state: Option<&Path>) {
        let program = std::env::current_exe().ok();
        for path in program.iter().chain(files) {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            if let Some(path) = path.to_str() {
                self.watching.targets.add(path, AGENT_UNIT);
            }
        }
        let state = state.map(|state| fs::canonicalize(state).unwrap_or_else(|_| state.into()));
        // A file that is not there yet can be told by its directory alone; of others than its own
        // the agent does not want to hear.
        let default = Path::new(config::DEFAULT_PATH);
        let configuration = files.iter().any(|file| file == default);
        let configuration = default.parent().filter(|_| configuration);
        let directories = configuration.map(Path::to_owned).into_iter();
        let kept = state
            .iter()
            .flat_map(|state| STORE.map(|name| state.join(name)));
        self.watching.targets.keep_own(
            directories.chain(state.clone()).collect(),
            kept.collect(),
            AGENT_UNIT,
        );
    }

    /// Whether a change is what the agent does in its own store, or one of its commands there.
    pub(super) fn is_own_doing(&self, change: &Change) -> bool {
        if !self.watching.targets.is_own(Path::new(&change.path)) {
            return false;
        }
        let own = std::process::id();
        let runs = |process: &Process| {
            let exe = process.exe.as_ref()?;
            Some((exe.device, exe.inode))
        };
        let writer = &change.writer.process;
        let program = self.table.current(own).and_then(|own| runs(&own.process));
        writer.key.tgid == own || program.is_some() && program == runs(writer)
    }

    /// Follows the agent's own directories where they come and go.
    pub(super) fn follow_own(&mut self, change: &Change, time: u64) {
        let path = Path::new(&change.path);
        if !matches!(change.verb, Verb::Mkdir | Verb::Rename) || !self.watching.targets.is_own(path)
        {
            return;
        }
        let targets = std::mem::take(&mut self.watching.targets);
        targets.watch_own(&mut self.watching, &self.facts);
        self.watching.targets = targets;
        // What was made in it meanwhile.
        self.recent.look_later(path.to_owned(), time);
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
