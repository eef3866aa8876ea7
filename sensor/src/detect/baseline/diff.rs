//! What changed since a baseline, and how bad it is.

use std::collections::BTreeSet;

use super::state::{FileState, State, UnitState};
use crate::event::Severity;

/// What became of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is different.
    Changed,
}

impl What {
    /// The word used in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What became of it.
    pub what: What,
    /// `unit` or `file`.
    pub kind: &'static str,
    /// The unit with its scope, or the path.
    pub subject: String,
    /// How bad it is.
    pub severity: Severity,
    /// What differs, one by one.
    pub details: Vec<String>,
}

/// Every difference, the worst first.
#[must_use]
pub fn diff(before: &State, now: &State) -> Vec<Difference> {
    let mut found = Vec::new();
    let keys: BTreeSet<&String> = before.units.keys().chain(now.units.keys()).collect();
    for key in keys {
        found.extend(unit(key, before.units.get(key), now.units.get(key)));
    }
    let keys: BTreeSet<&String> = before.files.keys().chain(now.files.keys()).collect();
    for key in keys {
        found.extend(file(key, before.files.get(key), now.files.get(key)));
    }
    found.sort_by(|a, b| {
        let order = b.severity.cmp(&a.severity).then(b.kind.cmp(a.kind));
        order.then_with(|| a.subject.cmp(&b.subject))
    });
    found
}

fn unit(key: &str, before: Option<&UnitState>, now: Option<&UnitState>) -> Option<Difference> {
    let root = |unit: &UnitState| {
        unit.uid == Some(0) && (!unit.commands.is_empty() || unit.starts.is_some())
    };
    let (what, severity, details) = match (before, now) {
        (None, Some(now)) => {
            let severity = match (now.shipped, root(now)) {
                (true, _) => Severity::Informational,
                (false, true) => Severity::High,
                (false, false) => Severity::Medium,
            };
            let mut details = vec![format!("by {}", now.file)];
            details.extend(now.commands.iter().chain(&now.when).cloned());
            details.extend(now.starts.iter().map(|it| format!("starts {it}")));
            (What::Added, severity, details)
        }
        (Some(before), None) => {
            let details = vec![format!("was by {}", before.file)];
            (What::Removed, Severity::Low, details)
        }
        (Some(before), Some(now)) => {
            let details = unit_details(before, now);
            if details.is_empty() {
                return None;
            }
            let runs = (&before.commands, &before.starts, before.uid)
                != (&now.commands, &now.starts, now.uid);
            let severity = if now.masked && !before.masked {
                Severity::High
            } else if now.shipped {
                Severity::Informational
            } else if runs && (root(now) || root(before)) {
                Severity::High
            } else {
                Severity::Medium
            };
            (What::Changed, severity, details)
        }
        (None, None) => return None,
    };
    Some(Difference {
        what,
        kind: "unit",
        subject: key.to_owned(),
        severity,
        details,
    })
}

fn unit_details(before: &UnitState, now: &UnitState) -> Vec<String> {
    let mut details = Vec::new();
    let mut one = |name: &str, before: String, now: String| {
        if before != now {
            details.push(format!("{name}: {before} → {now}"));
        }
    };
    let uid = |unit: &UnitState| unit.uid.map_or("unknown".to_owned(), |uid| uid.to_string());
    let starts = |unit: &UnitState| unit.starts.clone().unwrap_or_default();
    one("file", before.file.clone(), now.file.clone());
    one("masked", before.masked.to_string(), now.masked.to_string());
    one(
        "enabled",
        before.enabled.to_string(),
        now.enabled.to_string(),
    );
    one("runs as", uid(before), uid(now));
    one("starts", starts(before), starts(now));
    for (name, before, now) in [
        ("command", &before.commands, &now.commands),
        ("drop-in", &before.drop_ins, &now.drop_ins),
        ("elapses", &before.when, &now.when),
    ] {
        let gone = before.iter().filter(|it| !now.contains(it));
        details.extend(gone.map(|it| format!("{name} −{it}")));
        let new = now.iter().filter(|it| !before.contains(it));
        details.extend(new.map(|it| format!("{name} +{it}")));
    }
    details
}

fn file(path: &str, before: Option<&FileState>, now: Option<&FileState>) -> Option<Difference> {
    // Another content is nothing new where a package says so.
    let trusted = |file: &FileState| file.shipped && file.package.is_some();
    let (what, severity, details) = match (before, now) {
        (None, Some(now)) => {
            let severity = if trusted(now) {
                Severity::Informational
            } else {
                match now.role.as_str() {
                    "rules" => Severity::High,
                    "drop-in" => Severity::Medium,
                    // The unit that rests on it is told on its own.
                    "unit" | "command" | "environment" => Severity::Low,
                    _ => place(path),
                }
            };
            (What::Added, severity, vec![describe(now)])
        }
        (Some(before), None) => {
            let severity = match before.role.as_str() {
                "rules" | "drop-in" => Severity::Medium,
                _ => Severity::Low,
            };
            (
                What::Removed,
                severity,
                vec![format!("was {}", describe(before))],
            )
        }
        (Some(before), Some(now)) => {
            let (worst, details) = file_details(before, now);
            if details.is_empty() {
                return None;
            }
            let content = before.mode == now.mode && before.uid == now.uid && before.gid == now.gid;
            let severity = if content && trusted(now) {
                Severity::Informational
            } else {
                worst
            };
            (What::Changed, severity, details)
        }
        (None, None) => return None,
    };
    Some(Difference {
        what,
        kind: "file",
        subject: path.to_owned(),
        severity,
        details,
    })
}

/// What is new in a directory that managers read.
fn place(path: &str) -> Severity {
    if path.contains("generators/") {
        Severity::High
    } else if path.starts_with("/run/") {
        Severity::Low
    } else {
        Severity::Medium
    }
}

fn describe(file: &FileState) -> String {
    let mut text = format!(
        "{}, mode {}, owner {}:{}",
        file.role, file.mode, file.uid, file.gid
    );
    if let Some(link) = &file.link {
        text.push_str(&format!(", link to {link}"));
    }
    match &file.package {
        Some(package) => text.push_str(&format!(", of package {package}")),
        None => text.push_str(", of no package"),
    }
    text
}

fn file_details(before: &FileState, now: &FileState) -> (Severity, Vec<String>) {
    let mut details = Vec::new();
    let mut worst = Severity::Informational;
    let mut one = |name: &str, before: String, now: String, severity: Severity| {
        if before != now {
            details.push(format!("{name}: {before} → {now}"));
            worst = worst.max(severity);
        }
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    let open = |file: &FileState| {
        let mode = u32::from_str_radix(&file.mode, 8).unwrap_or(0);
        file.acl || mode & 0o022 != 0 || file.uid != 0 || mode & libc::S_ISUID != 0
    };
    // More than root can write now, or it is setuid.
    let rights = if open(now) {
        Severity::High
    } else {
        Severity::Low
    };
    one(
        "SHA-256",
        text(&before.sha256),
        text(&now.sha256),
        Severity::High,
    );
    one(
        "link",
        text(&before.link),
        text(&now.link),
        Severity::Medium,
    );
    one("mode", before.mode.clone(), now.mode.clone(), rights);
    one("owner", before.uid.to_string(), now.uid.to_string(), rights);
    one("group", before.gid.to_string(), now.gid.to_string(), rights);
    one("ACL", before.acl.to_string(), now.acl.to_string(), rights);
    one(
        "package",
        text(&before.package),
        text(&now.package),
        Severity::Low,
    );
    (worst, details)
}
