//! Time spans: `1h 30min`, `5s`, `90`, `infinity`, as `parse_time` of systemd's
//! `src/basic/time-util.c` reads them.

use std::time::Duration;

/// Microseconds of each unit, in the order in which the names are tried: `months` before `m`.
const UNITS: [(&str, u64); 29] = [
    ("seconds", SECOND),
    ("second", SECOND),
    ("sec", SECOND),
    ("s", SECOND),
    ("minutes", MINUTE),
    ("minute", MINUTE),
    ("min", MINUTE),
    ("months", MONTH),
    ("month", MONTH),
    ("M", MONTH),
    ("msec", 1_000),
    ("ms", 1_000),
    ("m", MINUTE),
    ("hours", HOUR),
    ("hour", HOUR),
    ("hr", HOUR),
    ("h", HOUR),
    ("days", DAY),
    ("day", DAY),
    ("d", DAY),
    ("weeks", 7 * DAY),
    ("week", 7 * DAY),
    ("w", 7 * DAY),
    ("years", YEAR),
    ("year", YEAR),
    ("y", YEAR),
    ("usec", 1),
    ("us", 1),
    ("\u{b5}s", 1),
];

const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// A twelfth of a year, as systemd counts.
const MONTH: u64 = 2_629_800 * SECOND;
const YEAR: u64 = 31_557_600 * SECOND;

/// Reads a span, in seconds where no unit is given; [`Duration::MAX`] is `infinity`. `None`
/// for what systemd refuses.
#[must_use]
pub fn parse_span(text: &str) -> Option<Duration> {
    let mut rest = text.trim_start_matches(BLANK);
    if let Some(after) = rest.strip_prefix("infinity") {
        return after
            .trim_start_matches(BLANK)
            .is_empty()
            .then_some(Duration::MAX);
    }
    let mut total: u64 = 0;
    let mut something = false;
    loop {
        rest = rest.trim_start_matches(BLANK);
        if rest.is_empty() {
            return something.then(|| Duration::from_micros(total));
        }
        let unsigned = rest.strip_prefix('+').unwrap_or(rest);
        let (whole, after) = take_digits(unsigned);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => {
                let (digits, after) = take_digits(after);
                (Some(digits), after)
            }
            None => (None, after),
        };
        // A point must be followed by digits; in front of it there may be none.
        let nothing = fraction.map_or(whole.is_empty(), str::is_empty);
        if nothing {
            return None;
        }
        let (unit, after) = take_unit(after.trim_start_matches(BLANK), after)?;
        let count: u64 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        total = total.checked_add(count.checked_mul(unit)?)?;
        let mut weight = unit / 10;
        for digit in fraction.unwrap_or_default().bytes() {
            total = total.checked_add(u64::from(digit - b'0') * weight)?;
            weight /= 10;
        }
        something = true;
        rest = after;
    }
}

const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

fn take_digits(text: &str) -> (&str, &str) {
    let end = text
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// The unit at the start of `text`. Without one the number is in seconds, but then something
/// must part it from the next: `12.34.56` is no span.
fn take_unit<'a>(text: &'a str, unskipped: &'a str) -> Option<(u64, &'a str)> {
    // U+03BC, the Greek letter, is as good as U+00B5.
    let greek = text.strip_prefix("\u{3bc}s").map(|rest| (1, rest));
    let known = greek.or_else(|| {
        UNITS
            .iter()
            .find_map(|(name, unit)| Some((*unit, text.strip_prefix(name)?)))
    });
    known.or_else(|| {
        let parted = text.is_empty() || text.len() < unskipped.len();
        parted.then_some((SECOND, text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (text, micros) in [
            ("90", 90 * SECOND),
            ("5s", 5 * SECOND),
            ("1h 30min", 90 * MINUTE),
            ("1h30min", 90 * MINUTE),
            ("2d", 2 * DAY),
            ("1month", MONTH),
            ("1 M", MONTH),
            ("3m", 3 * MINUTE),
            ("1.5s", 1_500_000),
            (".5min", 30 * SECOND),
            ("100ms", 100_000),
            ("7us", 7),
            ("7µs", 7),
            ("7μs", 7),
            ("  1 y ", YEAR),
            ("+4", 4 * SECOND),
            ("1 2", 3 * SECOND),
            ("0", 0),
        ] {
            assert_eq!(
                parse_span(text),
                Some(Duration::from_micros(micros)),
                "{text}"
            );
        }
        assert_eq!(parse_span(" infinity "), Some(Duration::MAX));
        for text in [
            "",
            "x",
            "-5s",
            "5mins",
            "12.34.56",
            "5 x",
            "infinity 5",
            ".",
            "99999999999999y",
        ] {
            assert_eq!(parse_span(text), None, "{text}");
        }
    }
}
