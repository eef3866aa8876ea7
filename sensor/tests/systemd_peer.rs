//! Time spans, calendar expressions and escapes against systemd's own tools, where installed.

use std::process::Command;
use std::time::Duration;

use whodunit::systemd::calendar::smallest_interval;
use whodunit::systemd::span::parse_span;
use whodunit::systemd::words::unescape_name;

/// What a tool prints; `None` with a word when it is not there; empty when it refuses.
fn run(tool: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(tool);
    command
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC");
    match command.output() {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(_) => Some(String::new()),
        Err(error) => {
            println!("skipped: {tool}: {error}");
            None
        }
    }
}

#[test]
fn spans_are_systemds() {
    for text in [
        "90",
        "5s",
        "1h 30min",
        "1h30min",
        "2d",
        "1month",
        "1 M",
        "3m",
        "1.5s",
        ".5min",
        "100ms",
        "7us",
        "1 y",
        "2w 3d",
        "1 2",
        "0",
        "5mins",
        "12.34.56",
        "12.34 .56",
        "x",
        "5 x",
        "1.s",
        "1hr2sec",
        "3 months 2 minutes",
        "1.2345678s",
        "-1",
        "1d-1h",
    ] {
        let Some(theirs) = run("systemd-analyze", &["timespan", text]) else {
            return;
        };
        // The line is `μs: 5400000000`.
        let theirs = theirs.lines().find_map(|line| {
            let (unit, value) = line.split_once("s: ")?;
            (unit.trim() == "\u{3bc}")
                .then(|| value.trim().parse().ok())
                .flatten()
        });
        assert_eq!(
            parse_span(text),
            theirs.map(Duration::from_micros),
            "{text}"
        );
    }
}

#[test]
fn no_calendar_elapses_more_often_than_is_said() {
    for text in [
        "minutely",
        "hourly",
        "daily",
        "weekly",
        "monthly",
        "quarterly",
        "semiannually",
        "yearly",
        "*:0/5",
        "*:0/7",
        "*-*-* *:*:00",
        "*:*:0/30",
        "*:00,07:00",
        "12:00",
        "Mon,Wed 10:00",
        "Sat,Mon *-*-* 10:00",
        "Fri..Sun 1:00",
        "8..10:00",
        "*-*-01 00:00,10",
        "Mon..Fri",
        "0,23:00",
        "*-*-* 04,16:00",
        "Sun 2,3:30",
        "00:00,23:59",
        "*-*-* 6..18/3:15:20",
    ] {
        let arguments = ["calendar", "--iterations=400", text];
        let Some(theirs) = run("systemd-analyze", &arguments) else {
            return;
        };
        let times: Vec<Duration> = theirs.lines().filter_map(elapse).collect();
        assert!(times.len() > 100, "{text}: {theirs}");
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        let least = gaps.min();
        let ours = smallest_interval(text);
        assert!(ours <= least, "{text}: {ours:?} {least:?}");
        // Months and years are estimates from below.
        if !text.ends_with("ly") || text == "weekly" {
            assert_eq!(ours, least, "{text}");
        }
    }
}

/// `Next elapse: Thu 2026-01-01 00:00:00 UTC` or `Iter. #2: …`.
fn elapse(line: &str) -> Option<Duration> {
    let line = line.trim();
    let (head, rest) = line.split_once(": ")?;
    if !(head == "Next elapse" || head.starts_with("Iter")) {
        return None;
    }
    let mut words = rest.split_whitespace().skip(1);
    let date: Vec<i64> = words.next()?.split('-').flat_map(str::parse).collect();
    let time: Vec<i64> = words.next()?.split(':').flat_map(str::parse).collect();
    let (&[year, month, day], &[hour, minute, second]) = (&date[..], &time[..]) else {
        return None;
    };
    // Days since the epoch, by the civil calendar.
    let (y, m) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

#[test]
fn escapes_are_systemds() {
    for text in ["a-b", "a\\x2db-c", "x\\x20y", "plain", "\\x2e"] {
        let Some(theirs) = run("systemd-escape", &["--unescape", "--", text]) else {
            return;
        };
        assert_eq!(unescape_name(text), theirs.trim_end_matches('\n'), "{text}");
    }
}
