//! What a scenario expects to be told: `expect.json` beside its `do.sh`.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::event::{Event, Kind};

/// One `expect.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What is done, and what the agent should make of it.
    pub about: String,
    /// What must be told, in any order.
    pub see: Vec<Expectation>,
    /// What must not be told.
    #[serde(default)]
    pub never: Vec<Expectation>,
}

/// One event. What is left out may be anything; in texts `*` stands for any characters.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expectation {
    /// In a few words, for whoever reads a failure.
    pub what: String,
    /// What the event tells.
    pub kind: Option<Kind>,
    /// File of a change, program of an exec.
    pub path: Option<String>,
    /// Command line of an exec.
    pub command: Option<String>,
    /// Any of these verbs of a change.
    pub verb: Vec<String>,
    /// Where a rename or a hard link came from.
    pub from: Option<String>,
    /// Text of a symbolic link.
    pub target: Option<String>,
    /// What the path is to systemd.
    pub class: Option<String>,
    /// Name of the actor: the writer of a change, the spawner of an exec.
    pub actor: Option<String>,
    /// Command line of the actor.
    pub actor_command: Option<String>,
    /// Pid of the actor.
    pub actor_pid: Option<u64>,
    /// Names among the actor's ancestors, nearest first, others in between allowed.
    pub ancestry: Vec<String>,
    /// User id: of the process of an exec, of the writer of a change.
    pub uid: Option<u64>,
    /// Unit of a change or of a process.
    pub unit: Option<String>,
    /// Manager of a process.
    pub manager: Option<String>,
    /// Type of a process's trigger.
    pub trigger: Option<String>,
    /// Links of a finding's or verdict's cause, oldest first, others in between allowed.
    pub cause: Vec<String>,
    /// Texts that stand somewhere in the event.
    pub mentions: Vec<String>,
}

impl Scenario {
    /// Reads a file.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path);
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// What is wrong with `events`, one line each.
    #[must_use]
    pub fn faults(&self, events: &[Event]) -> Vec<String> {
        let missing = self.see.iter().filter_map(|expected| {
            let best = events
                .iter()
                .map(|event| (expected.differences(event), event))
                .min_by_key(|(differences, _)| differences.len());
            match best {
                Some((differences, _)) if differences.is_empty() => None,
                Some((differences, event)) => Some(format!(
                    "not seen: {}; nearest is «{}», but {}",
                    expected.what,
                    event.brief(),
                    differences.join(", ")
                )),
                None => Some(format!("not seen: {}; there are no events", expected.what)),
            }
        });
        let unwanted = self.never.iter().filter_map(|unwanted| {
            let event = events
                .iter()
                .find(|event| unwanted.differences(event).is_empty())?;
            Some(format!("must not be: {}: {}", unwanted.what, event.brief()))
        });
        missing.chain(unwanted).collect()
    }
}

impl Expectation {
    /// In what `event` is not the expected one.
    fn differences(&self, event: &Event) -> Vec<String> {
        let mut differences = Vec::new();
        let mut differ = |name: &str, real: &dyn std::fmt::Debug| {
            differences.push(format!("{name} is {real:?}"));
        };
        let kind = event.kind();
        if self.kind.is_some_and(|wanted| wanted != kind) {
            differ("kind", &kind);
        }
        let change = kind == Kind::Change;
        let of = |yes: &'static str, no: &'static str| if change { yes } else { no };
        for (name, wanted, pointer) in [
            ("path", &self.path, of("file/path", "process/path")),
            ("command", &self.command, "process/cmd_line"),
            ("from", &self.from, "unmapped/change/from"),
            ("target", &self.target, "unmapped/change/target"),
            ("class", &self.class, "unmapped/change/class"),
            ("actor", &self.actor, "actor/process/name"),
            (
                "actor_command",
                &self.actor_command,
                "actor/process/cmd_line",
            ),
            (
                "unit",
                &self.unit,
                of("unmapped/change/unit", "unmapped/systemd/unit"),
            ),
            ("manager", &self.manager, "unmapped/systemd/manager"),
            ("trigger", &self.trigger, "unmapped/systemd/trigger/type"),
        ] {
            let real = event.text(pointer);
            if wanted.as_ref().is_some_and(|wanted| !fits(wanted, real)) {
                differ(name, &real);
            }
        }
        if !self.verb.is_empty() && !self.verb.iter().any(|verb| verb == event.verb()) {
            differ("verb", &event.verb());
        }
        if self.actor_pid.is_some_and(|pid| pid != event.actor_pid()) {
            differ("actor_pid", &event.actor_pid());
        }
        let uid = event.text(of("actor/process/user/uid", "process/user/uid"));
        if self.uid.is_some_and(|wanted| wanted.to_string() != uid) {
            differ("uid", &uid);
        }
        for (name, wanted, pointer, field) in [
            ("ancestry", &self.ancestry, "actor/process/ancestry", "name"),
            ("cause", &self.cause, "unmapped/cause", "link"),
        ] {
            let real = texts(event.at(pointer), field);
            if !in_order(wanted, &real) {
                differ(name, &real);
            }
        }
        for text in self.mentions.iter().filter(|text| !event.mentions(text)) {
            differ(text, &"not mentioned");
        }
        differences
    }
}

fn texts<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(|item| item[field].as_str()).collect()
}

/// Whether all of `wanted` stand in `real`, in that order.
fn in_order(wanted: &[String], real: &[&str]) -> bool {
    let mut real = real.iter();
    wanted
        .iter()
        .all(|wanted| real.any(|real| fits(wanted, real)))
}

/// Whether `text` is `pattern`, in which `*` stands for any characters.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(rest) = text.strip_prefix(before) else {
        return false;
    };
    let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.into_iter().any(|at| fits(after, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text) in [
            ("a", "a"),
            ("*", ""),
            ("a*c", "abc"),
            ("*b*", "abc"),
            ("*é", "é"),
        ] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("", "a"), ("a*c", "abcd"), ("*x*", "abc")] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn every_field_can_make_a_difference() {
        let event = Event::parse(
            r#"{"class_uid": 1001, "activity_id": 1, "file": {"path": "/a"},
                "actor": {"process": {"name": "sh", "pid": 7, "ancestry": [{"name": "x"}, {"name": "y"}]}},
                "unmapped": {"change": {"verb": "create"}}}"#,
        );
        let check = |text: &str| {
            let expected: Expectation = serde_json::from_str(text).unwrap();
            expected.differences(&event).len()
        };
        for same in [
            r#"{"kind": "change", "path": "/*", "verb": ["write", "create"]}"#,
            r#"{"actor": "sh", "actor_pid": 7, "ancestry": ["x", "y"]}"#,
            r#"{"ancestry": ["y"], "mentions": ["/a"]}"#,
        ] {
            assert_eq!(check(same), 0, "{same}");
        }
        for other in [
            r#"{"kind": "exec"}"#,
            r#"{"path": "/b"}"#,
            r#"{"verb": ["write"]}"#,
            r#"{"actor_pid": 1}"#,
            r#"{"ancestry": ["y", "x"]}"#,
            r#"{"uid": 0}"#,
            r#"{"unit": "a.service"}"#,
            r#"{"cause": ["wrote"]}"#,
            r#"{"mentions": ["/b"]}"#,
        ] {
            assert_eq!(check(other), 1, "{other}");
        }
    }
}
