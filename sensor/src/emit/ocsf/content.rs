//! `unmapped.change.content`: what is in a file after a change.

use serde::Serialize;

use super::common::Text;
use super::unmapped::{Mode, mode};
use crate::event::{Content, LinkTarget, UnitSettings};

#[derive(Serialize)]
pub(super) struct ContentObject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Text<Mode>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_sha256: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unchanged: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    diff_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines_added: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines_removed: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<SettingsObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<LinkObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<&'a str>,
}

#[derive(Serialize)]
struct SettingsObject<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    masked: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    runs: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    environment_files: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    triggers: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    when: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_seconds: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    persistent: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pulls_in: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    on_end: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    installs: &'a [String],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

#[derive(Serialize)]
struct LinkObject<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Text<Mode>>,
}

impl<'a> ContentObject<'a> {
    pub(super) fn new(content: &'a Content) -> Self {
        let diff = content.diff.as_ref();
        Self {
            sha256: content.sha256.as_deref(),
            size: content.size,
            mode: content.mode.and_then(mode),
            previous_sha256: content.previous_sha256.as_deref(),
            unchanged: content.unchanged,
            diff: diff.map(|diff| diff.text.as_str()),
            diff_truncated: diff.is_some_and(|diff| diff.truncated),
            lines_added: diff.map(|diff| diff.added),
            lines_removed: diff.map(|diff| diff.removed),
            settings: content.settings.as_ref().map(SettingsObject::new),
            link: content.link.as_ref().map(LinkObject::new),
            gap: content.gap.as_deref(),
        }
    }
}

impl<'a> SettingsObject<'a> {
    fn new(settings: &'a UnitSettings) -> Self {
        Self {
            kind: settings.kind,
            masked: settings.masked,
            runs: &settings.runs,
            user: settings.user.as_deref(),
            environment_files: &settings.environment_files,
            triggers: settings.triggers.as_deref(),
            when: &settings.when,
            interval_seconds: settings.interval_seconds,
            persistent: settings.persistent,
            pulls_in: &settings.pulls_in,
            on_end: &settings.on_end,
            installs: &settings.installs,
            truncated: settings.truncated,
        }
    }
}

impl<'a> LinkObject<'a> {
    fn new(link: &'a LinkTarget) -> Self {
        Self {
            text: &link.text,
            path: link.path.as_deref(),
            sha256: link.sha256.as_deref(),
            size: link.size,
            mode: link.mode.and_then(mode),
        }
    }
}
