//! What somebody has looked at and found to be right.

use jiff::civil::Date;

use super::glob::matches;
use crate::event::{Excepted, Finding, Posture, Severity, Timestamp, Trait};

/// A finding that is expected: it stays, as `informational`, and says who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Id of the rule.
    pub rule: String,
    /// Pattern of the unit concerned: `*` and `?` stand for what they do in a shell.
    pub unit: Option<String>,
    /// Pattern of the path of a file concerned. `*` matches slashes too.
    pub path: Option<String>,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// The last day on which it holds, UTC.
    pub expires: Date,
}

impl Exception {
    /// Whether it holds at a time; one without a date does not.
    #[must_use]
    pub fn holds(&self, time: Timestamp) -> bool {
        holds_until(self.expires, time)
    }

    /// The same for a result of `scan`.
    fn is_for_result(&self, result: &Posture) -> bool {
        let fits = |pattern: &Option<String>, text: &Option<String>| {
            let fits = |pattern: &String| text.as_ref().is_some_and(|it| matches(pattern, it));
            pattern.as_ref().is_none_or(fits)
        };
        self.rule == result.entry.id
            && fits(&self.unit, &result.unit)
            && fits(&self.path, &result.path)
    }

    /// Whether it is meant: each pattern that it has must match.
    fn is_for(&self, finding: &Finding) -> bool {
        if self.rule != finding.rule.id {
            return false;
        }
        let context = finding.systemd.as_ref();
        let own = context.and_then(|context| context.unit.as_deref());
        let linked = finding.cause.iter().filter_map(|link| link.unit.as_deref());
        let unit = self.unit.as_ref().is_none_or(|pattern| {
            own.into_iter()
                .chain(finding.timer.as_deref())
                .chain(linked)
                .any(|unit| matches(pattern, unit))
        });
        let mut files = finding.cause.iter().filter_map(|link| link.file.as_ref());
        let path = self
            .path
            .as_ref()
            .is_none_or(|pattern| files.any(|file| matches(pattern, &file.path)));
        unit && path
    }
}

/// Whether a time is not after a day, UTC.
pub(super) fn holds_until(day: Date, time: Timestamp) -> bool {
    let nanoseconds = i128::from(time.wall);
    jiff::Timestamp::from_nanosecond(nanoseconds)
        .is_ok_and(|time| time.to_zoned(jiff::tz::TimeZone::UTC).date() <= day)
}

/// All exceptions, and how often each served.
#[derive(Debug, Default)]
pub(super) struct Exceptions(Vec<(Exception, u64)>);

impl Exceptions {
    pub(super) fn new(exceptions: Vec<Exception>) -> Self {
        Self(
            exceptions
                .into_iter()
                .map(|exception| (exception, 0))
                .collect(),
        )
    }

    /// Lowers a finding that one of them is for, and says by whose word.
    pub(super) fn apply(&mut self, finding: &mut Finding, now: Timestamp) {
        let found = self
            .0
            .iter_mut()
            .find(|(exception, _)| exception.is_for(finding) && exception.holds(now));
        let Some((exception, hits)) = found else {
            return;
        };
        *hits += 1;
        finding.severity = Severity::Informational;
        finding.traits.push(Trait {
            name: "exception",
            value: format!(
                "{}: {} (until {}, hit {hits})",
                exception.owner, exception.reason, exception.expires
            ),
        });
    }
}

/// Lowers the results of a scan that an exception is for to `informational`, and says by whose word.
/// Gives how many each exception was for.
pub fn except_results(
    exceptions: &[Exception],
    results: &mut [Posture],
    now: Timestamp,
) -> Vec<usize> {
    let mut hits = vec![0; exceptions.len()];
    for result in results {
        let mut candidates = exceptions.iter().zip(&mut hits);
        let found = candidates
            .find(|(exception, _)| exception.is_for_result(result) && exception.holds(now));
        let Some((exception, hits)) = found else {
            continue;
        };
        *hits += 1;
        result.excepted = Some(Excepted {
            owner: exception.owner.clone(),
            reason: exception.reason.clone(),
            expires: exception.expires.to_string(),
            severity: result.severity,
        });
        result.severity = Severity::Informational;
    }
    hits
}
