//! From the store, /proc and the unit files to the answer.

use std::collections::BTreeSet;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::package;
use super::subject::Subject;
use super::tree::Node;
use crate::emit::{compact, ocsf};
use crate::event::{Actor, Manager, Process, Trigger};
use crate::host::{clock::ClockAnchor, mounts::Mounts, procs, users::Users};
use crate::store::{FindingNote, History, RequestNote, RunRow, Version, VersionWriter};
use crate::systemd::installed::Installed;
use crate::systemd::load_paths::LoadPaths;
use crate::systemd::presence::load_paths_of_host;
use crate::systemd::unit_name::{UnitName, UnitType, defining_names};

/// Starts of a unit that are shown.
const RUNS: u32 = 5;
/// Most requests for a unit that are shown.
const REQUESTS: u32 = 4;
/// Deepest nesting of units that lead to one another.
const DEPTH: usize = 4;

/// Puts answers together.
pub(super) struct Asker<'a> {
    history: &'a History,
    zone: jiff::tz::TimeZone,
    users: Users,
    paths: LoadPaths,
}

impl<'a> Asker<'a> {
    pub(super) fn new(history: &'a History, utc: bool) -> anyhow::Result<Self> {
        let users = Users::read().unwrap_or_else(|_| Users::at("/etc/passwd"));
        let paths = load_paths_of_host(&users, &[]);
        Ok(Self {
            history,
            zone: if utc {
                jiff::tz::TimeZone::UTC
            } else {
                jiff::tz::TimeZone::system()
            },
            users,
            paths,
        })
    }

    /// The answer; `None` when nothing is known of the subject.
    pub(super) fn answer(&self, subject: &Subject) -> anyhow::Result<Option<Node>> {
        match subject {
            Subject::Unit(unit) => self.unit(unit, &Manager::System),
            Subject::Path(path) => self.path(path),
            Subject::Pid(pid) => self.pid(*pid),
            Subject::Finding(uid) => self.finding(uid),
        }
    }

    /// Nanoseconds since the epoch for people.
    fn when(&self, wall: u64) -> String {
        let instant = jiff::Timestamp::from_nanosecond(i128::from(wall)).ok();
        let Some(instant) = instant.filter(|_| wall != 0) else {
            return "?".to_owned();
        };
        let civil = self.zone.to_datetime(instant);
        let (date, hour, minute) = (civil.date(), civil.hour(), civil.minute());
        format!("{date} {hour:02}:{minute:02}:{:02}", civil.second())
    }

    fn at(&self, mut node: Node, wall: u64) -> Node {
        node.time = Some(wall / 1_000_000);
        node.when = self.when(wall);
        node
    }

    fn unit(&self, unit: &str, manager: &Manager) -> anyhow::Result<Option<Node>> {
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
    fn unit_node(
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
            for timer in self.timers_of(unit, manager, &runs) {
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

    /// What was done to a file, by whom, and who asked.
    fn version(&self, version: &Version) -> Node {
        let verb = match version.verb.as_str() {
            "create" => "created",
            "write" | "closed" => "wrote",
            "rename" => "renamed",
            "link" | "symlink" => "linked",
            "remove" | "rmdir" => "removed",
            "mkdir" | "mknod" => "made",
            "attributes" => "altered",
            "mount" => "mounted over",
            "load" => "loaded",
            other => other,
        };
        let mut node = match &version.writer {
            VersionWriter::Known(actor) => Node {
                facts: ocsf::who(actor),
                ..Node::new(verb, compact::who(&actor.process, &actor.ancestry))
            },
            VersionWriter::UnknownSince(after) => {
                let after = self.when(*after);
                let mut node = Node::new(verb, "unknown");
                node.note(format!("while no agent watched, after {after}"));
                node.facts = json!({ "name": "unknown" });
                node
            }
            VersionWriter::Before => Node::new(
                "there",
                "since before whodunit first looked; writer not known",
            ),
        };
        node = self.at(node, version.time);
        if let Some(sha256) = &version.sha256 {
            node.note(format!("sha256 {sha256}"));
        }
        if let Some(source) = &version.source {
            node.note(format!("from {source}"));
        }
        if let Some(packaging) = &version.packaging {
            package::notes(&mut node, packaging);
        }
        if let Some(requester) = &version.requester {
            let by = &requester.by;
            let link = format!("asked {}", requester.method.as_deref().unwrap_or_default());
            let mut asked = Node::new(link.trim_end(), compact::who(&by.process, &by.ancestry));
            if requester.time != 0 {
                asked = self.at(asked, requester.time);
            }
            if let Some(doubt) = &requester.doubt {
                asked.note(format!("probably: {doubt}"));
            }
            asked.facts = ocsf::who(by);
            node.children.push(asked);
        }
        node
    }

    /// Who asked for a start.
    fn request(&self, request: &RequestNote) -> Node {
        let by = &request.by;
        let link = format!("asked {}", request.method);
        let node = Node::new(&link, compact::who(&by.process, &by.ancestry));
        let mut node = self.at(node, request.time.wall);
        if let Some(peer) = request.login.peer {
            node.note(format!("from {peer}"));
        }
        if request.manager == Manager::System && by.process.euid != 0 {
            node.note("the manager may have refused this user");
        }
        node.facts = json!({
            "method": request.method,
            "class": request.class.as_str(),
            "event_uid": request.uid,
            "peer": request.login.peer.map(|peer| peer.to_string()),
            "author": ocsf::who(by),
        });
        node
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
    fn timers_of(&self, unit: &str, manager: &Manager, runs: &[RunRow]) -> Vec<String> {
        let mut installed = Installed::new();
        let mut timers: Vec<String> = installed
            .timers_for(&self.paths, manager, unit)
            .into_iter()
            .map(|timer| timer.name)
            .collect();
        let same = UnitName::parse(unit).ok();
        let same = same.and_then(|name| name.with_kind(UnitType::Timer));
        timers.extend(same.map(|name| name.as_str().to_owned()));
        let triggers = runs
            .iter()
            .flat_map(|run| [run.trigger.as_ref(), run.behind.as_ref()]);
        let by_runs = triggers
            .flatten()
            .filter_map(|trigger| trigger.unit.clone());
        timers.extend(by_runs.filter(|unit| unit.ends_with(".timer")));
        timers.sort_unstable();
        timers.dedup();
        timers
    }

    fn run(&self, run: &RunRow) -> Node {
        let process = run.process.as_ref().map(|actor| &actor.process);
        let command = process.map_or_else(String::new, |process| process.command_line());
        let mut node = self.at(Node::new("ran", command), run.time);
        if let Some(trigger) = &run.trigger {
            node.note(format!("because of {}", trigger_words(trigger)));
        }
        if let Some(behind) = &run.behind {
            node.note(format!("which came of {}", trigger_words(behind)));
        }
        node.facts = json!({
            "manager": run.manager,
            "unit": run.unit,
            "invocation_id": run.invocation,
            "event_uid": run.uid,
            "trigger": run.trigger.as_ref().map(trigger_facts),
            "behind": run.behind.as_ref().map(trigger_facts),
            "process": run.process.as_ref().map(ocsf::who),
        });
        node
    }

    fn path(&self, path: &str) -> anyhow::Result<Option<Node>> {
        let versions = self.history.versions(path)?;
        let Some(latest) = versions.last() else {
            return Ok(None);
        };
        let mut node = Node::new("", path);
        let class = latest.class.replace('-', " ");
        node.note(match &latest.unit {
            Some(unit) => format!("{class} of {unit}"),
            None => class,
        });
        if !latest.present {
            node.note("it is gone");
        }
        node.facts = json!({
            "path": path,
            "class": latest.class,
            "unit": latest.unit,
            "serves": latest.serves,
            "present": latest.present,
        });
        for version in versions.iter().rev() {
            let mut child = self.version(version);
            if !version.latest {
                child.note(format!("until {}", self.when(version.until)));
            }
            child.facts = json!({
                "verb": version.verb,
                "sha256": version.sha256,
                "target": version.target,
                "package": version.packaging.as_ref().map(package::facts),
                "first_seen": version.time / 1_000_000,
                "last_seen": version.until / 1_000_000,
                "event_uid": version.uid,
                "writer": child.facts,
            });
            node.children.push(child);
        }
        Ok(Some(node))
    }

    /// A living process: those it descends from, and its unit.
    fn pid(&self, pid: u32) -> anyhow::Result<Option<Node>> {
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

    fn finding_line(&self, finding: &FindingNote) -> Node {
        let severity = severity(finding.severity);
        let title = format!("{severity}: {}", finding.title);
        let mut node = self.at(Node::new("FINDING", title), finding.time);
        node.note(format!("{}: whodunit why {}", finding.code, finding.uid));
        node.facts = json!({ "uid": finding.uid, "code": finding.code });
        node
    }

    /// A finding as it was told, with its chain.
    fn finding(&self, uid: &str) -> anyhow::Result<Option<Node>> {
        let Some(finding) = self.history.finding(uid)? else {
            return Ok(None);
        };
        let event: Value = serde_json::from_str(&finding.event).unwrap_or_default();
        let mut node = self.finding_line(&finding);
        node.notes = vec![finding.code.clone()];
        if let Some(message) = event["message"].as_str() {
            node.note(message);
        }
        let empty = Vec::new();
        let cause = event["unmapped"]["cause"].as_array().unwrap_or(&empty);
        for link in cause.iter().rev() {
            node.children.push(self.link(link));
        }
        node.facts = event;
        Ok(Some(node))
    }

    /// A link of a chain, from the event's own words.
    fn link(&self, link: &Value) -> Node {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let process = &link["process"];
        let mut who = text(&process["cmd_line"]);
        if who.is_empty() {
            who = text(&process["name"]);
        }
        let chain = |process: &Value| {
            let name = text(&process["name"]);
            match process["pid"].as_u64() {
                Some(pid) => format!("{name}({pid})"),
                None => name,
            }
        };
        let ancestry = process["ancestry"].as_array();
        let mut above: Vec<String> = ancestry.into_iter().flatten().map(chain).collect();
        above.reverse();
        let path = text(&link["file"]["path"]);
        let title = match (path.is_empty(), who.is_empty()) {
            (false, _) => path,
            (true, true) => text(&link["unit"]),
            (true, false) => who.clone(),
        };
        let mut node = Node::new(&text(&link["link"]), title);
        if let Some(millis) = link["time"].as_u64() {
            node = self.at(node, millis.saturating_mul(1_000_000));
        }
        if !process.is_null() {
            above.push(chain(process));
            node.note(format!("by {}", above.join(" → ")));
        } else if node.link == "wrote" || node.link == "linked" {
            node.note("by somebody unknown");
        }
        if link["grade"] != "certain" {
            node.note(format!("grade {}", text(&link["grade"])));
        }
        node
    }
}

/// A process without those it descends from, which are shown elsewhere.
pub(super) fn alone(process: &Process) -> String {
    let elsewhere = Process {
        spawner: process.spawner.or(Some(process.key)),
        ..process.clone()
    };
    compact::who(&elsewhere, &[])
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

fn trigger_words(trigger: &Trigger) -> String {
    let kind = trigger.kind.as_str();
    let mut words = match &trigger.unit {
        Some(unit) => format!("{kind} {unit}"),
        None => kind.to_owned(),
    };
    words.push_str(&format!(" ({})", trigger.grade.as_str()));
    words
}

fn trigger_facts(trigger: &Trigger) -> Value {
    json!({
        "type": trigger.kind.as_str(),
        "unit": trigger.unit,
        "fired_at": trigger.fired_at.map(|time| time.wall_millis()),
        "grade": trigger.grade.as_str(),
        "evidence": trigger.evidence,
    })
}

fn severity(id: u8) -> &'static str {
    match id {
        5 => "critical",
        4 => "high",
        3 => "medium",
        2 => "low",
        _ => "informational",
    }
}
