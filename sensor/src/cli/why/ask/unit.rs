//! Of a unit: its files, its timers, its starts.

use std::collections::BTreeSet;

use serde_json::json;

use super::trigger::{facts, words};
use super::{Asker, DEPTH};
use crate::cli::why::tree::Node;
use crate::emit::ocsf;
use crate::event::Manager;
use crate::store::RunRow;
use crate::systemd::installed::Installed;
use crate::systemd::unit_name::{UnitName, UnitType, defining_names};

/// Starts of a unit that are shown.
const RUNS: u32 = 5;
/// Most requests for a unit that are shown.
const REQUESTS: u32 = 4;

impl Asker<'_> {
    pub(super) fn unit(&self, unit: &str, manager: &Manager) -> anyhow::Result<Option<Node>> {
        let findings = self.history.findings_of_unit(unit)?;
        if findings.is_empty() && !self.is_known(unit)? {
            return Ok(None);
        }
        let mut seen = BTreeSet::new();
        let mut node = self.unit_node("", unit, manager, &mut seen, 0)?;
        for finding in findings.iter().take(3) {
            node.children.push(self.finding_line(finding));
        }
        Ok(Some(node))
    }

    /// Whether anything is kept of the unit itself: drop-ins for all of its type say nothing of it.
    fn is_known(&self, unit: &str) -> anyhow::Result<bool> {
        let template = UnitName::parse(unit).ok();
        let template = template.and_then(|name| name.template());
        let mut names = vec![unit];
        names.extend(template.as_ref().map(UnitName::as_str));
        for name in names {
            if !self.history.versions_of_unit(name)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(!self.history.runs(unit, 1)?.is_empty() || self.history.firings(unit, 1)?.1 > 0)
    }

    /// A unit with the files it rests on, what leads to it, and its starts.
    pub(super) fn unit_node(
        &self,
        link: &str,
        unit: &str,
        manager: &Manager,
        seen: &mut BTreeSet<String>,
        depth: usize,
    ) -> anyhow::Result<Node> {
        let mut node = Node::new(link, unit);
        node.facts = json!({ "unit": unit, "manager": manager.to_string() });
        if !seen.insert(unit.to_owned()) || depth >= DEPTH {
            return Ok(node);
        }
        self.files(&mut node, unit)?;
        let runs = self.history.runs(unit, RUNS)?;
        if unit.ends_with(".timer") {
            self.timer(&mut node, unit)?;
        } else {
            for timer in self.timers_of(unit, manager, &runs)? {
                if !seen.contains(&timer) {
                    let child = self.unit_node("timer", &timer, manager, seen, depth + 1)?;
                    if !child.children.is_empty() || !child.notes.is_empty() {
                        node.children.push(child);
                    }
                }
            }
        }
        for request in self.history.requests(unit, REQUESTS)? {
            node.children.push(self.request(&request));
        }
        for run in &runs {
            node.children.push(self.run(run));
        }
        Ok(node)
    }

    /// The latest version of each file that defines a unit.
    fn files(&self, node: &mut Node, unit: &str) -> anyhow::Result<()> {
        let mut versions = Vec::new();
        for name in defining_names(unit) {
            versions.extend(self.history.versions_of_unit(&name)?);
        }
        let mut earlier = 0;
        for version in &versions {
            if !version.latest {
                earlier += 1;
                continue;
            }
            let count = std::mem::take(&mut earlier);
            if version.class == "directory" {
                continue;
            }
            let mut file = Node::new(&version.class.replace('-', " "), &version.path);
            if !version.present {
                file.link = format!("{} (gone)", file.link);
            }
            if let Some(target) = &version.target {
                file.title = format!("{} → {target}", version.path);
            }
            file.facts = json!({
                "path": version.path,
                "class": version.class,
                "present": version.present,
                "sha256": version.sha256,
                "target": version.target,
            });
            file.children.push(self.version(version));
            if count > 0 {
                let versions = if count == 1 { "version" } else { "versions" };
                let path = &version.path;
                file.note(format!("{count} earlier {versions}: whodunit why {path}"));
            }
            node.children.push(file);
        }
        Ok(())
    }

    /// Firings and what they started.
    fn timer(&self, node: &mut Node, timer: &str) -> anyhow::Result<()> {
        let (firings, count) = self.history.firings(timer, 1)?;
        if let Some(last) = firings.first() {
            let times = if count == 1 { "once" } else { "times" };
            let number = if count == 1 {
                String::new()
            } else {
                format!("{count} ")
            };
            let last_time = self.when(last.time);
            node.note(format!("fired {number}{times}, last {last_time}"));
            if !last.triggers.is_empty() {
                node.note(format!("starts {}", last.triggers.join(", ")));
            }
        } else {
            node.note("was not seen to fire");
        }
        for run in self.history.runs_of_timer(timer, RUNS)? {
            let mut run_node = self.run(&run);
            run_node.link = format!("ran {}", run.unit);
            node.children.push(run_node);
        }
        Ok(())
    }

    /// The timers that lead to a unit: by its files, by its name, by its starts.
    fn timers_of(
        &self,
        unit: &str,
        manager: &Manager,
        runs: &[RunRow],
    ) -> anyhow::Result<Vec<String>> {
        let mut installed = Installed::new();
        let mut timers: Vec<String> = installed
            .timers_for(&self.paths, manager, unit)
            .into_iter()
            .map(|timer| timer.name)
            .collect();
        let same = UnitName::parse(unit).ok();
        let same = same.and_then(|name| name.with_kind(UnitType::Timer));
        // Of that name there need not be one.
        if let Some(name) = same.map(|name| name.as_str().to_owned())
            && !(self.history.versions_of_unit(&name)?.is_empty()
                && self.history.firings(&name, 1)?.0.is_empty())
        {
            timers.push(name);
        }
        let triggers = runs
            .iter()
            .flat_map(|run| [run.trigger.as_ref(), run.behind.as_ref()]);
        let by_runs = triggers
            .flatten()
            .filter_map(|trigger| trigger.unit.clone());
        timers.extend(by_runs.filter(|unit| unit.ends_with(".timer")));
        timers.sort_unstable();
        timers.dedup();
        Ok(timers)
    }

    pub(super) fn run(&self, run: &RunRow) -> Node {
        let process = run.process.as_ref().map(|actor| &actor.process);
        let command = process.map_or_else(String::new, |process| process.command_line());
        let mut node = self.at(Node::new("ran", command), run.time);
        if let Some(trigger) = &run.trigger {
            node.note(format!("because of {}", words(trigger)));
        }
        if let Some(behind) = &run.behind {
            node.note(format!("which came of {}", words(behind)));
        }
        node.facts = json!({
            "manager": run.manager,
            "unit": run.unit,
            "invocation_id": run.invocation,
            "event_uid": run.uid,
            "trigger": run.trigger.as_ref().map(facts),
            "behind": run.behind.as_ref().map(facts),
            "process": run.process.as_ref().map(ocsf::who),
        });
        node
    }
}
