//! A scan's results for people, and as one JSON object.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::text;
use crate::detect::Exception;
use crate::detect::mapping::controls_of;
use crate::event::{Control, ControlStatus, Excepted, Posture, Rule, Severity};

/// Widest line of a stranger's text, in characters.
const WIDTH: usize = 400;

/// What a scan came to.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// The directory that stood for `/`.
    pub root: &'a str,
    /// When, in milliseconds since the epoch.
    pub time: u64,
    /// Units looked at.
    pub units: usize,
    /// Files and directories looked at.
    pub places: usize,
    /// Results, the worst first.
    pub results: &'a [Posture],
    /// Exceptions of the configuration, each with how many results it was for.
    pub exceptions: &'a [(&'a Exception, usize)],
}

/// Ids of the techniques of a check.
fn techniques(rule: &Rule) -> Vec<&'static str> {
    let techniques = rule.techniques.iter();
    techniques
        .map(|technique| technique.sub.unwrap_or(technique.technique).0)
        .collect()
}

fn counts(results: &[Posture]) -> BTreeMap<Severity, usize> {
    let mut counts = BTreeMap::new();
    for result in results {
        *counts.entry(result.severity).or_default() += 1;
    }
    counts
}

/// For people: results above `informational` in full, the others counted by check unless `all`.
#[must_use]
pub fn text(scan: &Scan<'_>, all: bool, color: bool) -> String {
    let mut out = String::new();
    let (shown, counted): (Vec<&Posture>, Vec<&Posture>) = scan
        .results
        .iter()
        .partition(|result| all || result.severity > Severity::Informational);
    for result in shown {
        one(&mut out, result, color);
    }
    let mut informational: BTreeMap<&str, usize> = BTreeMap::new();
    for result in &counted {
        *informational.entry(result.entry.id).or_default() += 1;
    }
    if !informational.is_empty() {
        out.push_str("informational (--all shows them):\n");
        for (id, count) in informational {
            put(&mut out, format_args!("  {count:>5}  {id}\n"));
        }
        out.push('\n');
    }
    exceptions(&mut out, scan);
    let counts = counts(scan.results);
    let words: Vec<String> = Severity::ALL
        .iter()
        .rev()
        .filter_map(|severity| Some(format!("{} {}", counts.get(severity)?, severity.as_str())))
        .collect();
    let words = if words.is_empty() {
        "nothing".to_owned()
    } else {
        words.join(", ")
    };
    put(
        &mut out,
        format_args!(
            "{} units, {} files and directories: {words}\n",
            scan.units, scan.places
        ),
    );
    out
}

/// What the results were excepted by, and exceptions that are for nothing.
fn exceptions(out: &mut String, scan: &Scan<'_>) {
    if scan.exceptions.is_empty() {
        return;
    }
    out.push_str("exceptions of the configuration:\n");
    for (exception, hits) in scan.exceptions {
        let concerned = [&exception.unit, &exception.path];
        let concerned: Vec<&str> = concerned
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        put(out, format_args!("  {hits:>5}  {} ", exception.rule));
        text::push(out, &concerned.join(" "), WIDTH);
        let words = format!(
            ": {}: {} (until {})",
            exception.owner, exception.reason, exception.expires
        );
        text::push(out, &words, WIDTH);
        out.push('\n');
    }
    out.push('\n');
}

fn put(out: &mut String, args: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(args);
}

fn one(out: &mut String, result: &Posture, color: bool) {
    let sgr = match result.severity {
        Severity::Critical | Severity::High => "1;31",
        Severity::Medium => "33",
        Severity::Low => "36",
        Severity::Informational => "2",
    };
    let (on, off) = if color {
        (format!("\x1b[{sgr}m"), "\x1b[0m")
    } else {
        (String::new(), "")
    };
    put(
        out,
        format_args!("{on}{:<13}{off} ", result.severity.as_str()),
    );
    text::push(out, &result.message, WIDTH);
    put(out, format_args!("  [{}]\n", result.entry.id));
    let mut line = |name: &str, value: &str| {
        put(out, format_args!("    {name:<9} "));
        text::push(out, value, WIDTH);
        out.push('\n');
    };
    if let Some(unit) = &result.unit {
        line("unit", &format!("{unit} ({})", result.scope));
    }
    if let Some(path) = &result.path {
        line("path", path);
    }
    for fact in &result.evidence {
        line("evidence", fact);
    }
    line("why", result.entry.explanation);
    line("check", result.entry.check);
    match &result.fix {
        Some(fix) => line("fix", fix),
        None => line("silence", result.entry.silence),
    }
    if let Some(excepted) = &result.excepted {
        let Excepted {
            owner,
            reason,
            expires,
            severity,
        } = excepted;
        let severity = severity.as_str();
        line(
            "excepted",
            &format!("{severity} by itself; {owner}: {reason} (until {expires})"),
        );
    }
    let mut ids = techniques(result.entry);
    ids.extend(&result.controls);
    if !ids.is_empty() {
        line("bears on", &ids.join(", "));
    }
    out.push('\n');
}

/// The controls, for people.
#[must_use]
pub fn controls_text(controls: &[Control], color: bool) -> String {
    let mut out = String::new();
    for control in controls {
        let sgr = match control.status {
            ControlStatus::Pass => "32",
            ControlStatus::Unknown => "33",
            ControlStatus::Fail => "1;31",
        };
        let (on, off) = if color {
            (format!("\x1b[{sgr}m"), "\x1b[0m")
        } else {
            (String::new(), "")
        };
        put(
            &mut out,
            format_args!(
                "{on}{:<8}{off} {} {} ({})\n    {}\n",
                control.status.as_str(),
                control.id,
                control.title,
                control.framework,
                control.does,
            ),
        );
        for fact in &control.evidence {
            out.push_str("    - ");
            text::push(&mut out, fact, WIDTH);
            out.push('\n');
        }
        out.push('\n');
    }
    let count = |status| controls.iter().filter(|it| it.status == status).count();
    put(
        &mut out,
        format_args!(
            "{} pass, {} fail, {} unknown\n",
            count(ControlStatus::Pass),
            count(ControlStatus::Fail),
            count(ControlStatus::Unknown),
        ),
    );
    out
}

#[derive(Serialize)]
struct Document<'a> {
    whodunit: &'static str,
    root: &'a str,
    time: u64,
    units: usize,
    places: usize,
    counts: BTreeMap<&'static str, usize>,
    results: Vec<ResultObject<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exceptions: Vec<ExceptionObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    controls: Option<Vec<ControlObject<'a>>>,
}

#[derive(Serialize)]
struct ResultObject<'a> {
    check: &'a str,
    title: &'a str,
    severity: &'static str,
    severity_rule: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    message: &'a str,
    evidence: &'a [String],
    explanation: &'a str,
    what_to_check: &'a str,
    silence: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    excepted: Option<ExceptedObject<'a>>,
    attacks: Vec<&'static str>,
    controls: Vec<&'static str>,
}

#[derive(Serialize)]
struct ExceptedObject<'a> {
    severity: &'static str,
    owner: &'a str,
    reason: &'a str,
    expires: &'a str,
}

#[derive(Serialize)]
struct ExceptionObject<'a> {
    rule: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    owner: &'a str,
    reason: &'a str,
    expires: String,
    hits: usize,
}

#[derive(Serialize)]
struct ControlObject<'a> {
    id: &'a str,
    framework: &'a str,
    title: &'a str,
    does: &'a str,
    status: &'static str,
    evidence: &'a [String],
}

/// One JSON object.
///
/// # Errors
///
/// The serializer's.
pub fn json(scan: &Scan<'_>, controls: Option<&[Control]>) -> Result<String, serde_json::Error> {
    let results = scan.results.iter().map(|result| ResultObject {
        check: result.entry.id,
        title: result.entry.title,
        severity: result.severity.as_str(),
        severity_rule: result.entry.severity,
        scope: &result.scope,
        unit: result.unit.as_deref(),
        path: result.path.as_deref(),
        message: &result.message,
        evidence: &result.evidence,
        explanation: result.entry.explanation,
        what_to_check: result.entry.check,
        silence: result.entry.silence,
        fix: result.fix.as_deref(),
        excepted: result.excepted.as_ref().map(|excepted| ExceptedObject {
            severity: excepted.severity.as_str(),
            owner: &excepted.owner,
            reason: &excepted.reason,
            expires: &excepted.expires,
        }),
        attacks: techniques(result.entry),
        controls: controls_of(result.entry.id),
    });
    let controls = controls.map(|controls| {
        let objects = controls.iter().map(|control| ControlObject {
            id: control.id,
            framework: control.framework,
            title: control.title,
            does: control.does,
            status: control.status.as_str(),
            evidence: &control.evidence,
        });
        objects.collect()
    });
    let exceptions = scan
        .exceptions
        .iter()
        .map(|(exception, hits)| ExceptionObject {
            rule: &exception.rule,
            unit: exception.unit.as_deref(),
            path: exception.path.as_deref(),
            owner: &exception.owner,
            reason: &exception.reason,
            expires: exception.expires.to_string(),
            hits: *hits,
        });
    let counts = counts(scan.results);
    serde_json::to_string_pretty(&Document {
        whodunit: env!("CARGO_PKG_VERSION"),
        root: scan.root,
        time: scan.time,
        units: scan.units,
        places: scan.places,
        counts: counts
            .into_iter()
            .map(|(it, count)| (it.as_str(), count))
            .collect(),
        results: results.collect(),
        exceptions: exceptions.collect(),
        controls,
    })
}
