//! The answer: a thing, and below it what it rests on.

use serde::Serialize;
use serde_json::Value;

/// One thing.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Node {
    /// How it is tied to what stands above: `unit file`, `wrote`, `asked`, `ran` …
    #[serde(rename = "link", skip_serializing_if = "str::is_empty")]
    pub(super) link: String,
    /// When, in milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<u64>,
    /// The same for people.
    #[serde(skip)]
    pub(super) when: String,
    /// What it is.
    #[serde(rename = "what")]
    pub(super) title: String,
    /// What else is to be said of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) notes: Vec<String>,
    /// The facts, for programs.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(super) facts: Value,
    /// What it rests on.
    #[serde(rename = "because", skip_serializing_if = "Vec::is_empty")]
    pub(super) children: Vec<Node>,
}

impl Node {
    pub(super) fn new(link: &str, title: impl Into<String>) -> Self {
        Self {
            link: link.to_owned(),
            title: title.into(),
            ..Self::default()
        }
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}
