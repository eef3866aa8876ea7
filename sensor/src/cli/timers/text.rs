//! The list for people: two or three lines for each timer.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::collect::{List, Source};
use super::row::{Row, Run, Started};
use crate::emit::text::push;
use crate::host::clock::ClockAnchor;

/// Width of the first column: `2026-11-22 18:30:00`.
const WHEN: usize = 19;
/// Longest line where the terminal does not say, and no terminal at all.
const WIDTH: usize = 500;

/// The list as text.
pub(super) fn render(list: &List, zone: &TimeZone) -> String {
    let now = ClockAnchor::now().map_or(0, |clock| clock.timestamp().wall / 1_000_000);
    let width = width();
    let mut text = String::new();
    for row in &list.timers {
        for line in lines(row, now, zone) {
            push(&mut text, &line, width);
            text.push('\n');
        }
    }
    let _ = write_managers(&mut text, list);
    text
}

fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok();
    let columns = columns.and_then(|columns| columns.parse().ok());
    match columns {
        Some(columns) if std::io::stdout().is_terminal() => columns,
        _ => WIDTH,
    }
}

fn write_managers(text: &mut String, list: &List) -> std::fmt::Result {
    let count = list.timers.len();
    let plural = if count == 1 { "" } else { "s" };
    writeln!(text, "{count} timer{plural}")?;
    for manager in &list.managers {
        if manager.source == Source::Files {
            let why = manager.why.as_deref().unwrap_or("it was not asked");
            let mut line = String::new();
            push(&mut line, &manager.manager, 120);
            line.push_str(": by files alone: ");
            push(&mut line, why, 300);
            writeln!(text, "{line}")?;
        }
    }
    Ok(())
}

fn lines(row: &Row, now: u64, zone: &TimeZone) -> Vec<String> {
    let next = row
        .next
        .map_or_else(|| "-".to_owned(), |at| moment(at, zone));
    let mut first = format!(
        "{next:<WHEN$}  {}  {}  {}",
        row.timer, row.manager, row.state
    );
    let mut notes = Vec::new();
    if row.next.is_some_and(|next| next > now) {
        notes.push(format!("in {}", about(row.next.unwrap_or(0) - now)));
    }
    if let Some(last) = row.last {
        notes.push(format!("last {}", moment(last, zone)));
    }
    let flags = [
        (row.timer.starts_with('.'), "hidden"),
        (row.transient, "transient"),
        (row.needs_reload == Some(true), "changed since it was read"),
    ];
    let flags = flags.iter().filter(|(set, _)| *set);
    notes.extend(flags.map(|(_, word)| (*word).to_owned()));
    if !notes.is_empty() {
        let _ = write!(first, "  ({})", notes.join(", "));
    }
    let indent = " ".repeat(WHEN + 2);
    let mut lines = vec![first];
    lines.extend(
        row.starts
            .iter()
            .map(|it| format!("{indent}→ {}", started(it))),
    );
    let mut facts = row.schedule.clone();
    if let Some(interval) = row.interval {
        facts.push(format!(
            "every {} at most",
            span(Duration::from_secs_f64(interval))
        ));
    }
    facts.extend(row.file.clone());
    if let Some(origin) = &row.origin
        && let Some(package) = &origin.package
    {
        let altered = match origin.as_shipped {
            Some(false) => ", altered since",
            Some(true) | None => "",
        };
        facts.push(format!("package {package}{altered}"));
    }
    if let Some(writer) = row.origin.as_ref().and_then(|it| it.writer.as_ref()) {
        facts.push(format!("written by {writer}"));
    }
    if !row.drop_ins.is_empty() {
        facts.push(format!("and {} drop-ins", row.drop_ins.len()));
    }
    if !facts.is_empty() {
        lines.push(format!("{indent}{}", facts.join("  ")));
    }
    lines
}

fn started(started: &Started) -> String {
    let main = started.commands.iter().find(|it| it.setting == "ExecStart");
    let Some(main) = main.or(started.commands.first()) else {
        return started.unit.clone();
    };
    let others = started.commands.len() - 1;
    let more = match others {
        0 => String::new(),
        others => format!(" (and {others} more)"),
    };
    let user = started.user.as_deref().unwrap_or("root");
    format!("{}, as {user}: {}{more}", started.unit, command(main))
}

fn command(run: &Run) -> String {
    run.argv.join(" ")
}

/// `2026-11-22 18:30:00`
fn moment(milliseconds: u64, zone: &TimeZone) -> String {
    let milliseconds = i64::try_from(milliseconds).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(milliseconds).map_or_else(
        |_| "-".to_owned(),
        |at| at.to_zoned(zone.clone()).strftime("%F %T").to_string(),
    )
}

/// The two greatest units of a time.
fn about(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let units = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let first = units.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let parts = units.iter().skip(first).take(2);
    let parts: Vec<String> = parts
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if parts.is_empty() {
        "a moment".to_owned()
    } else {
        parts.join(" ")
    }
}

/// A span as systemd writes it: `1h 30min`.
pub(super) fn span(span: Duration) -> String {
    if span == Duration::MAX || span.as_micros() >= u128::from(u64::MAX) {
        return "infinity".to_owned();
    }
    let mut rest = span.as_micros();
    let units: [(u128, &str); 6] = [
        (86_400_000_000, "d"),
        (3_600_000_000, "h"),
        (60_000_000, "min"),
        (1_000_000, "s"),
        (1_000, "ms"),
        (1, "us"),
    ];
    let mut parts = Vec::new();
    for (size, unit) in units {
        if rest >= size {
            parts.push(format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if parts.is_empty() {
        "0".to_owned()
    } else {
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        assert_eq!(span(Duration::from_secs(5400)), "1h 30min");
        assert_eq!(span(Duration::from_millis(250)), "250ms");
        assert_eq!(span(Duration::ZERO), "0");
        assert_eq!(span(Duration::MAX), "infinity");
        assert_eq!(about(90_061_000), "1d 1h");
        assert_eq!(about(59_000), "59s");
        assert_eq!(about(3_600_500), "1h");
        assert_eq!(about(500), "a moment");
    }

    #[test]
    fn a_timer_takes_three_lines() {
        let row = Row {
            manager: "user:1000".to_owned(),
            timer: "u.timer".to_owned(),
            state: "waiting".to_owned(),
            next: Some(1_700_000_060_000),
            last: Some(1_700_000_000_000),
            schedule: vec!["OnUnitActiveSec=1min".to_owned()],
            interval: Some(60.0),
            file: Some("/home/a/.config/systemd/user/u.timer".to_owned()),
            starts: vec![Started {
                unit: "u.service".to_owned(),
                user: Some("uid 1000".to_owned()),
                commands: vec![Run {
                    setting: "ExecStart".to_owned(),
                    argv: vec!["/bin/true".to_owned(), "x".to_owned()],
                }],
                ..Started::default()
            }],
            ..Row::default()
        };
        let lines = lines(&row, 1_700_000_000_000, &TimeZone::UTC);
        assert_eq!(
            lines,
            [
                "2023-11-14 22:14:20  u.timer  user:1000  waiting  (in 1min, last 2023-11-14 22:13:20)",
                "                     → u.service, as uid 1000: /bin/true x",
                "                     OnUnitActiveSec=1min  every 1min at most  /home/a/.config/systemd/user/u.timer",
            ]
        );
    }
}
