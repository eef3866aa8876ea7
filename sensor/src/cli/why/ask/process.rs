//! Of a living process: its ancestors, and why its manager started it.

use std::collections::BTreeSet;

use anyhow::Context as _;

use super::{Asker, alone};
use crate::cli::why::tree::Node;
use crate::emit::ocsf;
use crate::event::{Actor, Process};
use crate::host::{clock::ClockAnchor, mounts::Mounts, procs};

impl Asker<'_> {
    /// A living process: those it descends from, and its unit.
    pub(super) fn pid(&self, pid: u32) -> anyhow::Result<Option<Node>> {
        let clock = ClockAnchor::now()?;
        let mounts = Mounts::read()?;
        let read = |pid| procs::read_one(pid, &clock, &self.users, &mounts);
        let Some(process) = read(pid).with_context(|| format!("cannot read process {pid}"))? else {
            return Ok(None);
        };
        let tick = procs::tick_nanoseconds();
        let mut node = Node::new("", alone(&process));
        let command = process.command_line();
        if !command.is_empty() {
            node.note(command);
        }
        let known = self.history.process(pid, process.key.start, tick)?;
        let chain = match &known {
            Some(actor) => actor
                .ancestry
                .iter()
                .map(|it| it.as_ref().clone())
                .collect(),
            None => parents(pid, read),
        };
        let mut child = None;
        for (at, ancestor) in chain.iter().enumerate().rev() {
            let how = if known.is_some() {
                "spawned by"
            } else {
                "child of"
            };
            let mut above = Node::new(how, alone(ancestor));
            above.note(ancestor.command_line());
            above.notes.retain(|note| !note.is_empty());
            above.children.extend(child.take());
            if at == 0 && known.is_none() {
                above.note("by /proc: perhaps not who spawned it, but who took it over");
            }
            child = Some(above);
        }
        node.children.extend(child);
        let cgroup = process.cgroup.clone();
        node.facts = ocsf::who(&Actor {
            process: process.into(),
            ancestry: chain.into_iter().map(Into::into).collect(),
        });
        let unit = cgroup.map(|cgroup| crate::systemd::cgroup::unit_of_cgroup(&cgroup));
        if let Some((unit, manager)) = unit.and_then(|it| Some((it.unit?, it.manager))) {
            let mut seen = BTreeSet::new();
            let unit = self.unit_node("runs in", &unit, &manager, &mut seen, 0)?;
            node.children.push(unit);
        }
        Ok(Some(node))
    }
}

/// The parents of a process as /proc has them, nearest first.
fn parents<E>(pid: u32, read: impl Fn(u32) -> Result<Option<Process>, E>) -> Vec<Process> {
    let parent = |pid: u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in parentheses and may hold anything; state and ppid follow.
        let rest = stat.rsplit_once(')')?.1;
        rest.split_whitespace().nth(1)?.parse().ok()
    };
    let mut found = Vec::new();
    let mut next = parent(pid);
    while let Some(pid) = next.filter(|pid| *pid != 0)
        && found.len() < 32
    {
        let Ok(Some(process)) = read(pid) else { break };
        found.push(process);
        next = parent(pid);
    }
    found
}
