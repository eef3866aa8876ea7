//! From the values of properties to facts.

use std::collections::{HashMap, VecDeque};

use nix::time::{ClockId, clock_gettime};
use zbus::zvariant::Value;

use super::fact::{Details, JobFound, TimerFact, UnitFact, UnitLinks};
use crate::event::Timestamp;
use crate::host::clock::boot_now;

/// Properties as a signal or reply has them.
pub(super) type Properties<'a> = HashMap<&'a str, Value<'a>>;

/// Longest time by which the distance of the two clocks may seem to differ without a suspend in
/// between, in nanoseconds: they are not read at once.
const JITTER: u64 = 10_000_000;

/// Most suspends that are remembered.
const STEPS_MAX: usize = 64;

/// By how much `CLOCK_BOOTTIME` is ahead of `CLOCK_MONOTONIC`, since when. The manager counts on the
/// latter, which stands still during a suspend: what it says of an earlier time has to be turned
/// into the same moment afterwards as before.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// A time on `CLOCK_MONOTONIC` from which on, and by how much; the oldest first.
    steps: VecDeque<(u64, u64)>,
    /// When that was found out last.
    read: u64,
}

impl Clock {
    pub(super) fn refresh(&mut self) {
        let Ok(monotonic) = clock_gettime(ClockId::CLOCK_MONOTONIC) else {
            return;
        };
        let seconds = u64::try_from(monotonic.tv_sec()).unwrap_or(0);
        let rest = u64::try_from(monotonic.tv_nsec()).unwrap_or(0);
        let Ok(boot) = boot_now() else { return };
        self.note(seconds * 1_000_000_000 + rest, boot);
    }

    /// Takes both clocks in, in nanoseconds.
    fn note(&mut self, monotonic: u64, boot: u64) {
        let ahead = boot.saturating_sub(monotonic);
        match self.steps.back() {
            // Of suspends before this program nobody knows when they were. Without one the clocks
            // are the same.
            None => {
                let ahead = if ahead < JITTER { 0 } else { ahead };
                self.steps.push_back((0, ahead));
            }
            Some((_, known)) if ahead.abs_diff(*known) > JITTER => {
                if self.steps.len() >= STEPS_MAX {
                    self.steps.pop_front();
                }
                self.steps.push_back((self.read + 1, ahead));
            }
            Some(_) => {}
        }
        self.read = monotonic;
    }

    /// Nanoseconds since boot; 0 and what means never stay 0.
    fn boot(&self, monotonic_usec: u64) -> u64 {
        if matches!(monotonic_usec, 0 | u64::MAX) {
            return 0;
        }
        let time = monotonic_usec.saturating_mul(1000);
        let step = self.steps.iter().rev().find(|(from, _)| *from <= time);
        let ahead = step.or(self.steps.front()).map_or(0, |(_, ahead)| *ahead);
        time.saturating_add(ahead)
    }

    fn time(&self, monotonic_usec: u64, realtime_usec: u64) -> Option<Timestamp> {
        let boot = self.boot(monotonic_usec);
        (boot != 0).then(|| Timestamp {
            boot,
            wall: wall(realtime_usec),
        })
    }

    pub(super) fn timer(&self, timer: String, asked: bool, of: &Properties<'_>) -> TimerFact {
        let next_wall = wall(number(of, "NextElapseUSecRealtime"));
        let next_boot = self.boot(number(of, "NextElapseUSecMonotonic"));
        TimerFact {
            timer,
            asked,
            fired: self.time(
                number(of, "LastTriggerUSecMonotonic"),
                number(of, "LastTriggerUSec"),
            ),
            next_wall: (next_wall != 0).then_some(next_wall),
            next_boot: (next_boot != 0).then_some(next_boot),
        }
    }

    pub(super) fn unit(&self, unit: String, asked: bool, of: &Properties<'_>) -> UnitFact {
        UnitFact {
            unit,
            asked,
            active: text(of, "ActiveState"),
            sub: text(of, "SubState"),
            invocation: of.get("InvocationID").and_then(invocation),
            left_inactive: self.boot(number(of, "InactiveExitTimestampMonotonic")),
            became_inactive: self.boot(number(of, "InactiveEnterTimestampMonotonic")),
            details: of
                .get("ActivationDetails")
                .and_then(|value| self.details(value)),
        }
    }

    pub(super) fn job(&self, of: &Properties<'_>) -> JobFound {
        JobFound {
            kind: text(of, "JobType"),
            details: of.get("ActivationDetails").map(|value| self.details(value)),
        }
    }

    fn details(&self, value: &Value<'_>) -> Option<Details> {
        let Value::Array(pairs) = value else {
            return None;
        };
        let mut found = Details::default();
        let (mut realtime, mut monotonic) = (0, 0);
        for pair in pairs.iter() {
            let Value::Structure(pair) = pair else {
                continue;
            };
            let [Value::Str(key), Value::Str(value)] = pair.fields() else {
                continue;
            };
            match key.as_str() {
                "trigger_unit" => found.unit = value.as_str().to_owned(),
                "trigger_path" => found.path = Some(value.as_str().to_owned()),
                "trigger_timer_realtime_usec" => realtime = value.parse().unwrap_or(0),
                "trigger_timer_monotonic_usec" => monotonic = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        found.fired = self.time(monotonic, realtime);
        (!found.unit.is_empty()).then_some(found)
    }
}

/// Nanoseconds since the epoch; 0 for never.
fn wall(usec: u64) -> u64 {
    match usec {
        u64::MAX => 0,
        usec => usec.saturating_mul(1000),
    }
}

/// Of each list of dependencies at most `most`.
pub(super) fn links(unit: String, of: &Properties<'_>, most: usize) -> UnitLinks {
    let list = |names: &[&str]| -> Vec<String> {
        let values = names.iter().filter_map(|&name| of.get(name));
        let mut units: Vec<String> = values.flat_map(texts).take(most).collect();
        units.sort_unstable();
        units.dedup();
        units
    };
    UnitLinks {
        unit,
        triggers: list(&["Triggers"]),
        triggered_by: list(&["TriggeredBy"]),
        pulled_by: list(&["RequiredBy", "WantedBy", "BoundBy", "UpheldBy"]),
        restarted_with: list(&["PartOf", "Requires", "BindsTo"]),
        upheld_by: list(&["UpheldBy"]),
        handler_of: list(&["OnFailureOf", "OnSuccessOf"]),
        handlers: list(&["OnFailure", "OnSuccess"]),
        bus_name: None,
    }
}

pub(super) fn number(of: &Properties<'_>, name: &str) -> u64 {
    match of.get(name) {
        Some(Value::U64(number)) => *number,
        Some(Value::U32(number)) => u64::from(*number),
        _ => 0,
    }
}

pub(super) fn text(of: &Properties<'_>, name: &str) -> String {
    match of.get(name) {
        Some(Value::Str(text)) => text.as_str().to_owned(),
        _ => String::new(),
    }
}

pub(super) fn texts(value: &Value<'_>) -> Vec<String> {
    let Value::Array(values) = value else {
        return Vec::new();
    };
    let text = |value: &Value<'_>| match value {
        Value::Str(text) => Some(text.as_str().to_owned()),
        _ => None,
    };
    values.iter().filter_map(text).collect()
}

fn invocation(value: &Value<'_>) -> Option<String> {
    let Value::Array(bytes) = value else {
        return None;
    };
    let mut id = String::with_capacity(32);
    for byte in bytes.iter() {
        let Value::U8(byte) = byte else { return None };
        id.push_str(&format!("{byte:02x}"));
    }
    crate::systemd::environment::invocation_id(&id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zbus::zvariant::Array;

    #[test]
    fn details_are_those_of_a_timer_or_path() {
        let pairs = vec![
            ("trigger_unit", "a.timer"),
            ("trigger_timer_monotonic_usec", "5"),
            ("trigger_timer_realtime_usec", "1700000000000000"),
            ("other", "x"),
        ];
        let mut clock = Clock::default();
        clock.note(1_000_000, 61_000_000);
        let details = clock.details(&Value::from(pairs)).expect("details");
        assert_eq!(details.unit, "a.timer");
        let fired = details.fired.expect("a timer's");
        assert_eq!(
            (fired.boot, fired.wall),
            (60_005_000, 1_700_000_000_000_000_000)
        );
        let none: Vec<(&str, &str)> = Vec::new();
        assert_eq!(clock.details(&Value::from(none)), None);
        assert_eq!(clock.details(&Value::from(7_u32)), None);
    }

    #[test]
    fn an_invocation_id() {
        let id = |bytes: Vec<u8>| invocation(&Value::Array(Array::from(bytes)));
        assert_eq!(id(vec![0xab; 16]), Some("ab".repeat(16)));
        assert_eq!(id(Vec::new()), None);
        assert_eq!(id(vec![0; 16]), None);
    }

    #[test]
    fn a_suspend_does_not_move_what_was_before() {
        const SECOND: u64 = 1_000_000_000;
        let mut clock = Clock::default();
        clock.note(10 * SECOND, 10 * SECOND + 20);
        assert_eq!(clock.boot(9_000_000), 9 * SECOND);
        // An hour of sleep.
        clock.note(11 * SECOND, 3611 * SECOND);
        assert_eq!(clock.boot(9_000_000), 9 * SECOND);
        assert_eq!(clock.boot(10_000_000), 10 * SECOND);
        assert_eq!(clock.boot(10_500_000), 3610 * SECOND + SECOND / 2);
        clock.note(12 * SECOND, 7212 * SECOND);
        assert_eq!(clock.boot(9_000_000), 9 * SECOND);
        assert_eq!(clock.boot(10_500_000), 3610 * SECOND + SECOND / 2);
        assert_eq!(clock.boot(12_000_000), 7212 * SECOND);
        // The program started after a suspend.
        let mut clock = Clock::default();
        clock.note(10 * SECOND, 70 * SECOND);
        assert_eq!(clock.boot(9_000_000), 69 * SECOND);
    }

    #[test]
    fn never_is_no_time() {
        let clock = Clock::default();
        assert_eq!(clock.boot(u64::MAX), 0);
        assert_eq!(clock.time(0, 5), None);
        assert_eq!(wall(u64::MAX), 0);
    }
}
