//! What is weak or odd about the state of a host: one file for each subject, each a pure function of
//! an [`Inventory`].
//!
//! What is as a package brought it is trusted by its content, not by its name: results about it are
//! `informational`. Who may write to it matters all the same.

mod commands;
mod content;
mod environment;
mod made;
mod names;
mod places;
mod polkit;
mod shadow;
mod sudo;
mod targets;
mod timers;
mod users;

use crate::detect::{Tunables, mapping};
use crate::event::{Posture, Rule, Severity};
use crate::systemd::inventory::{FileFacts, Inventory, UnitFacts};

/// Every check, in the order of the documentation.
pub static CHECKS: [&Rule; 36] = [
    &targets::WRITABLE,
    &targets::OWNED_BY_USER,
    &targets::MISSING,
    &targets::MODIFIED,
    &targets::UNOWNED,
    &targets::ODD_PLACE,
    &targets::SETUID,
    &commands::INLINE_CODE,
    &commands::NETWORK,
    &commands::ENCODED,
    &commands::INVISIBLE,
    &names::HIDDEN,
    &names::LOOK_ALIKE,
    &names::CLAIMS_SYSTEM,
    &shadow::SHADOWS,
    &shadow::MASKED,
    &shadow::ADDS_COMMAND,
    &shadow::FOR_MANY,
    &shadow::MODIFIED,
    &shadow::UNOWNED,
    &timers::SHORT,
    &timers::STARTS_OTHER,
    &made::TRANSIENT,
    &made::GENERATED,
    &environment::PRELOAD,
    &environment::FILE_WRITABLE,
    &environment::LOAD_PATH,
    &places::WRITABLE,
    &places::GENERATOR,
    &places::RULES_WRITABLE,
    &sudo::UNITS,
    &polkit::UNITS,
    &users::GROUP,
    &users::LINGERS,
    &users::ACCOUNT,
    &users::NOT_LOOKED_AT,
];

/// Every result, the worst first.
#[must_use]
pub fn assess(inventory: &Inventory, tunables: &Tunables) -> Vec<Posture> {
    let mut results = Vec::new();
    for unit in &inventory.units {
        targets::unit(inventory, unit, &mut results);
        commands::unit(unit, &mut results);
        names::unit(inventory, unit, &mut results);
        shadow::unit(unit, &mut results);
        timers::unit(inventory, unit, tunables, &mut results);
        made::unit(unit, &mut results);
        environment::unit(inventory, unit, &mut results);
        users::unit(inventory, unit, &mut results);
    }
    names::files(inventory, &mut results);
    environment::managers(inventory, &mut results);
    places::all(inventory, &mut results);
    sudo::all(inventory, &mut results);
    polkit::all(inventory, &mut results);
    users::all(inventory, &mut results);
    for result in &mut results {
        result.controls = mapping::controls_of(result.entry.id);
    }
    sort(&mut results);
    // What all users share is met by several ways.
    results.dedup();
    results
}

/// Puts the worst first.
pub fn sort(results: &mut [Posture]) {
    results.sort_by(|a, b| {
        b.severity
            .cmp(&a.severity)
            .then_with(|| a.key().cmp(&b.key()))
    });
}

/// Begins a result about a unit.
fn of_unit(entry: &'static Rule, unit: &UnitFacts, severity: Severity, message: String) -> Posture {
    Posture {
        entry,
        severity,
        scope: unit.scope.label(),
        unit: Some(unit.name.as_str().to_owned()),
        path: Some(unit.file.path.display().to_string()),
        message,
        evidence: Vec::new(),
        fix: None,
        controls: Vec::new(),
        excepted: None,
    }
}

/// Begins a result about a file or directory.
fn of_path(entry: &'static Rule, path: &str, severity: Severity, message: String) -> Posture {
    Posture {
        entry,
        severity,
        scope: String::new(),
        unit: None,
        path: Some(path.to_owned()),
        message,
        evidence: Vec::new(),
        fix: None,
        controls: Vec::new(),
        excepted: None,
    }
}

/// How bad content is: what a package brought is trusted, and what has a user's rights alone is a
/// step less bad.
fn weigh(unit: &UnitFacts, severity: Severity) -> Severity {
    if unit.is_shipped() {
        return Severity::Informational;
    }
    if unit.is_root() {
        severity
    } else {
        severity.lowered()
    }
}

/// A word for a shell: quoted where that is needed.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:=,%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// `package x (as shipped)`, `no package`.
fn ownership(file: &FileFacts) -> String {
    use crate::event::Shipped;
    use crate::systemd::inventory::Owned;
    match &file.owned {
        Owned::By(it) => {
            let state = match it.shipped {
                Shipped::Same => "as shipped",
                Shipped::Different => "changed since",
                Shipped::NoDigest | Shipped::NoContent => "no digest to compare",
            };
            format!("package {} ({state})", it.package)
        }
        Owned::No => "no package".to_owned(),
        Owned::Unknown => "not known: no package database".to_owned(),
    }
}

#[cfg(test)]
mod tests;
