//! Calendar expressions: how often they elapse at most, as far as that is simple
//! (systemd.time(7), `src/shared/calendarspec.c`).

use std::collections::BTreeSet;
use std::time::Duration;

const DAY: u32 = 86_400;

/// The smallest time between two elapses of a calendar expression; `None` when it cannot be told
/// easily: single dates, unusual syntax, nonsense.
#[must_use]
pub fn smallest_interval(text: &str) -> Option<Duration> {
    let text = text.trim();
    let days = |days: u32| Some(seconds(days * DAY));
    match text.to_ascii_lowercase().as_str() {
        "minutely" => return Some(seconds(60)),
        "hourly" => return Some(seconds(3600)),
        "daily" => return days(1),
        "weekly" => return days(7),
        "monthly" => return days(28),
        "quarterly" => return days(90),
        "semiannually" | "semi-annually" | "biannually" | "bi-annually" => return days(181),
        "yearly" | "annually" | "anually" => return days(365),
        _ => {}
    }
    let mut week = None;
    let mut date = None;
    let mut time = None;
    let mut words = text.split_ascii_whitespace().peekable();
    while let Some(word) = words.next() {
        if word.contains(':') && time.is_none() {
            time = Some(word);
        } else if (word.contains('-') || word.contains('~')) && date.is_none() && time.is_none() {
            date = Some(word);
        } else if week.is_none() && date.is_none() && time.is_none() {
            week = Some(weekdays(word)?);
        } else if words.peek().is_some() {
            // Only a time zone may follow, as the last word.
            return None;
        }
    }
    if week.is_none() && date.is_none() && time.is_none() {
        return None;
    }
    let times = match time {
        Some(text) => times_of_day(text)?,
        None => Times::Each(BTreeSet::from([0])),
    };
    let times = match times {
        Times::Often(interval) => return Some(interval),
        Times::Each(times) => times,
    };
    let every_day = date.is_none_or(|date| date == "*-*-*" || date == "*-*");
    let gap_of_days = if every_day {
        week.map_or(1, day_gap)
    } else {
        0
    };
    let within = pairs(&times).map(|(a, b)| b - a).min();
    let (first, last) = (times.first()?, times.last()?);
    let across = (gap_of_days > 0).then(|| gap_of_days * DAY + first - last);
    within.into_iter().chain(across).min().map(seconds)
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

fn pairs(times: &BTreeSet<u32>) -> impl Iterator<Item = (u32, u32)> {
    times.iter().copied().zip(times.iter().copied().skip(1))
}

enum Times {
    /// Several a second.
    Often(Duration),
    /// At these seconds of the day.
    Each(BTreeSet<u32>),
}

/// `H:M`, `H:M:S`.
fn times_of_day(text: &str) -> Option<Times> {
    let mut parts = text.split(':');
    let hours = chain(parts.next()?, 23)?;
    let minutes = chain(parts.next()?, 59)?;
    let second = parts.next().unwrap_or("0");
    if parts.next().is_some() {
        return None;
    }
    if let Some((_, step)) = second.split_once('/')
        && let Some(step) = step.split(',').next()
        && let Ok(step) = step.parse::<f64>()
        && step > 0.0
        && step < 1.0
    {
        return Some(Times::Often(Duration::from_secs_f64(step)));
    }
    let seconds = chain(second, 59)?;
    let mut all = BTreeSet::new();
    for hour in &hours {
        for minute in &minutes {
            all.extend(seconds.iter().map(|s| hour * 3600 + minute * 60 + s));
        }
    }
    (!all.is_empty()).then_some(Times::Each(all))
}

/// A component: `*`, values, ranges and repetitions parted by commas.
fn chain(text: &str, max: u32) -> Option<BTreeSet<u32>> {
    if text == "*" {
        return Some((0..=max).collect());
    }
    let mut values = BTreeSet::new();
    for item in text.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(number(step)?)),
            None => (item, None),
        };
        let (start, stop) = match range.split_once("..") {
            Some((start, stop)) => (number(start)?, Some(number(stop)?)),
            None => (number(range)?, None),
        };
        let stop = stop.or(step.is_some_and(|step| step > 0).then_some(max));
        let step = usize::try_from(step.unwrap_or(1).max(1)).ok()?;
        let stop = stop.unwrap_or(start);
        if start > max || stop > max {
            return None;
        }
        values.extend((start..=stop).step_by(step));
    }
    (!values.is_empty()).then_some(values)
}

/// Digits; a fraction of a second is dropped.
fn number(text: &str) -> Option<u32> {
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|byte| byte.is_ascii_digit()) => whole,
        Some(_) => return None,
        None => text,
    };
    let digits = !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| whole.parse().ok()).flatten()
}

const WEEK: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// Days of the week, Monday is 0: `Mon`, `Mon,Wed`, `Mon..Fri`.
fn weekdays(text: &str) -> Option<BTreeSet<u32>> {
    let day = |name: &str| {
        let name = name.to_ascii_lowercase();
        let at = WEEK
            .iter()
            .position(|day| *day == name || day.get(..3) == Some(&name));
        at.and_then(|at| u32::try_from(at).ok())
    };
    let mut days = BTreeSet::new();
    for item in text.split(',').filter(|item| !item.is_empty()) {
        match item.split_once("..") {
            Some((start, stop)) => {
                let (start, stop) = (day(start)?, day(stop)?);
                // Not around the end of the week.
                if stop < start {
                    return None;
                }
                days.extend(start..=stop);
            }
            None => {
                days.insert(day(item)?);
            }
        }
    }
    (!days.is_empty()).then_some(days)
}

/// Fewest days from one day to the next, around the end of the week.
fn day_gap(days: BTreeSet<u32>) -> u32 {
    let within = pairs(&days).map(|(a, b)| b - a).min();
    let around = match (days.first(), days.last()) {
        (Some(first), Some(last)) => first + 7 - last,
        _ => 7,
    };
    within.map_or(around, |within| within.min(around))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        for (text, expected) in [
            ("minutely", Some(60)),
            ("Weekly", Some(7 * 86_400)),
            ("*:0/5", Some(300)),
            ("*:0/7", Some(240)),
            ("*-*-* *:*:00", Some(60)),
            ("*:*:*", Some(1)),
            ("*:*:0/30", Some(30)),
            ("*:00,07:00", Some(420)),
            ("12:00", Some(86_400)),
            ("*-*-* 04,16:00 Europe/Berlin", Some(12 * 3600)),
            ("00:00,23:59 UTC", Some(1380)),
            ("0,23:00", Some(3600)),
            ("Mon 10:00", Some(7 * 86_400)),
            ("Mon,Wed 10:00", Some(2 * 86_400)),
            ("Mon..Fri", Some(86_400)),
            ("Sat,Mon *-*-* 10:00", Some(2 * 86_400)),
            ("Fri..Mon 1:00", None),
            ("8..10:00", Some(3600)),
            ("*-*-01 00:00", None),
            ("*-*-01 00:00,10", Some(600)),
            ("2030-01-01", None),
            ("@1395716396", None),
            ("soon", None),
            ("*/5:00", None),
            ("25:00", None),
            ("1:2:3:4", None),
            ("", None),
        ] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(smallest_interval(text), expected, "{text}");
        }
        let half = smallest_interval("*:*:0/0.5").expect("interval");
        assert_eq!(half.as_millis(), 500);
    }
}
