//! The report for people.

use std::fmt::Write as _;

use super::report::{Capability, Check, Report, Status};

/// The report as text, a line for each thing.
pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut text, report);
    text
}

fn write(text: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(
        text,
        "whodunit {} on Linux {}",
        report.version, report.kernel
    )?;
    writeln!(text)?;
    for check in &report.checks {
        write_check(text, check)?;
    }
    if !report.capabilities.is_empty() {
        writeln!(text)?;
        for capability in &report.capabilities {
            write_capability(text, capability, report)?;
        }
    }
    if !report.blind.is_empty() {
        writeln!(text, "\nNot seen on this host:")?;
        for blind in &report.blind {
            writeln!(text, "  - {blind}")?;
        }
    }
    let mut reasons: Vec<(&str, &str)> = report
        .capabilities
        .iter()
        .flat_map(|capability| &capability.refused)
        .map(|refusal| (refusal.tier, refusal.reason.as_str()))
        .collect();
    reasons.sort_unstable();
    reasons.dedup();
    if !reasons.is_empty() {
        writeln!(text, "\nWhy not by a better tier:")?;
        for (tier, reason) in reasons {
            writeln!(text, "  {tier:<10} {reason}")?;
        }
    }
    let verdict = match report.status {
        Status::Ok => "whodunit sees everything it can on this host.",
        Status::Degraded => "whodunit runs on this host, and says above what it cannot see.",
        Status::Failed => "whodunit cannot do its work on this host until the above is mended.",
    };
    writeln!(text, "\n{verdict}")
}

fn write_check(text: &mut String, check: &Check) -> std::fmt::Result {
    let Check {
        name,
        status,
        detail,
        fix,
    } = check;
    writeln!(text, "{:<9} {name:<22} {detail}", word(*status))?;
    match fix {
        Some(fix) => writeln!(text, "{:<32} → {fix}", ""),
        None => Ok(()),
    }
}

fn write_capability(text: &mut String, one: &Capability, report: &Report) -> std::fmt::Result {
    // Marks say nothing of mounts, nor of what is sent.
    let beyond = one.name.starts_with("sched_")
        || ["mount", "socket", "stream", "signal"]
            .iter()
            .any(|word| one.name.contains(word));
    let by_marks = one.tier.is_none() && !beyond && report.file_tier.is_some();
    let (status, tier) = match one.tier {
        Some(tier) => (Status::Ok, tier),
        None if by_marks => (Status::Degraded, "fanotify"),
        None => (Status::Failed, "nothing"),
    };
    writeln!(
        text,
        "{:<9} {:<22} by {tier}: {}",
        word(status),
        one.name,
        one.sees
    )
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Degraded => "degraded",
        Status::Failed => "failed",
    }
}
