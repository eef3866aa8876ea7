//! One event as the agent wrote it.

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

use crate::schema;

/// What an event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A program was executed.
    Exec,
    /// A process ended.
    Exit,
    /// What caused an exec that was told before.
    Verdict,
    /// Something was done to a watched file.
    Change,
    /// Something was done to a timer.
    Job,
    /// Somebody asked a manager for something.
    Request,
    /// A verdict worth a person's time.
    Finding,
    /// The agent speaks of itself.
    Health,
}

/// An event.
#[derive(Clone)]
pub struct Event(Value);

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl Event {
    /// Reads one line.
    #[must_use]
    pub fn parse(line: &str) -> Self {
        match serde_json::from_str(line) {
            Ok(value) => Self(value),
            Err(error) => panic!("not a JSON object: {error}: {line:?}"),
        }
    }

    /// The value at a JSON pointer without its first slash; null if there is none.
    #[must_use]
    pub fn at(&self, pointer: &str) -> &Value {
        self.0
            .pointer(&format!("/{pointer}"))
            .unwrap_or(&Value::Null)
    }

    /// The text at a pointer; empty if there is none.
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        self.at(pointer).as_str().unwrap_or("")
    }

    /// The number at a pointer; 0 if there is none.
    #[must_use]
    pub fn number(&self, pointer: &str) -> u64 {
        self.at(pointer).as_u64().unwrap_or(0)
    }

    /// What the event tells.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match (self.number("class_uid"), self.number("activity_id")) {
            (1007, 1) => Kind::Exec,
            (1007, 2) => Kind::Exit,
            (1007, 99) if self.text("metadata/log_name") == "request" => Kind::Request,
            (1007, 99) => Kind::Verdict,
            (1001, _) => Kind::Change,
            (1006, _) => Kind::Job,
            (2004, _) => Kind::Finding,
            (0, _) => Kind::Health,
            other => panic!("an event of no known kind: {other:?}: {self:?}"),
        }
    }

    /// The program of an exec or exit, the file of a change.
    #[must_use]
    pub fn path(&self) -> &str {
        match self.kind() {
            Kind::Change => self.text("file/path"),
            _ => self.text("process/path"),
        }
    }

    /// The command line of an exec or exit.
    #[must_use]
    pub fn command(&self) -> &str {
        self.text("process/cmd_line")
    }

    /// The process of an exec or exit.
    #[must_use]
    pub fn pid(&self) -> u64 {
        self.number("process/pid")
    }

    /// Who spawned the process, who wrote the file.
    #[must_use]
    pub fn actor_pid(&self) -> u64 {
        self.number("actor/process/pid")
    }

    /// The actor's ancestors, nearest first.
    #[must_use]
    pub fn ancestry(&self) -> Vec<u64> {
        let list = self.at("actor/process/ancestry").as_array();
        let pid = |process: &Value| process["pid"].as_u64().unwrap_or(0);
        list.into_iter().flatten().map(pid).collect()
    }

    /// What was done to the file.
    #[must_use]
    pub fn verb(&self) -> &str {
        self.text("unmapped/change/verb")
    }

    /// Whether a program called `name` was executed with `argument` on its command line.
    #[must_use]
    pub fn is_exec_of(&self, name: &str, argument: &str) -> bool {
        self.kind() == Kind::Exec
            && self.path().rsplit('/').next() == Some(name)
            && self.command().contains(argument)
    }

    /// Whether this is a change of `path` by one of `verbs`.
    #[must_use]
    pub fn is_change(&self, verbs: &[&str], path: &str) -> bool {
        self.kind() == Kind::Change && self.path() == path && verbs.contains(&self.verb())
    }

    /// Whether `text` stands anywhere in the event.
    #[must_use]
    pub fn mentions(&self, text: &str) -> bool {
        fn within(value: &Value, text: &str) -> bool {
            match value {
                Value::String(string) => string.contains(text),
                Value::Array(values) => values.iter().any(|value| within(value, text)),
                Value::Object(map) => map
                    .iter()
                    .any(|(key, value)| key.contains(text) || within(value, text)),
                _ => false,
            }
        }
        within(&self.0, text)
    }

    /// One short line, for messages.
    #[must_use]
    pub fn brief(&self) -> String {
        let kind = self.kind();
        match kind {
            Kind::Change | Kind::Finding => format!("{kind:?} {}", self.text("message")),
            Kind::Health => format!("{kind:?} {}", self.text("message")),
            _ => format!(
                "{kind:?} {} {} by {}",
                self.pid(),
                self.command(),
                self.actor_pid()
            ),
        }
    }
}

/// What holds for the events of every run: valid by OCSF's own schema, each with a name of its
/// own, numbered without a gap unless something was lost.
pub fn check_all(events: &[Event], lost: u64) {
    let mut uids = HashSet::new();
    let mut sequence = 0;
    for event in events {
        let faults = schema::faults(&event.0);
        assert!(faults.is_empty(), "{faults:#?} in {event:?}");
        assert!(
            uids.insert(event.text("metadata/uid")),
            "not unique: {event:?}"
        );
        let next = event.number("metadata/sequence");
        assert!(
            next == sequence + 1 || lost > 0 && next > sequence,
            "{next} follows {sequence}"
        );
        sequence = next;
    }
}
