//! What systemd itself put into the environment of a process it started.
//!
//! Nothing else is looked at or kept: an environment holds secrets. All of it is text that the
//! unit's own `Environment=` can override, so none of it proves anything.

use super::unit_name::{UnitName, UnitType};
use crate::event::{Grade, Trigger, TriggerType};

/// Longest value that is kept, in bytes (`PATH_MAX`).
const MAX_VALUE: usize = 4096;

/// Most names of `LD_*` variables that are kept, and the longest.
const MAX_LOADER_NAMES: usize = 16;
const MAX_NAME: usize = 64;

/// The variables of systemd, each `None` when it is missing or makes no sense. Of several with
/// one name the first counts, as for getenv(3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceEnvironment {
    /// `INVOCATION_ID`: 32 hex digits in lower case. Inherited by descendants.
    pub invocation_id: Option<String>,
    /// `SYSTEMD_EXEC_PID` (248): the pid systemd executed, in the pid namespace of the manager;
    /// equals the own pid only in that very process.
    pub exec_pid: Option<u32>,
    /// `MANAGERPID`: set by user managers for their children, by PID 1 never.
    pub manager_pid: Option<u32>,
    /// `TRIGGER_UNIT` (252), a valid unit name.
    pub trigger_unit: Option<UnitName>,
    /// `TRIGGER_TIMER_REALTIME_USEC` (252): microseconds since the epoch. Of the first firing
    /// since the unit was loaded, not of this one.
    pub trigger_realtime_usec: Option<u64>,
    /// `TRIGGER_TIMER_MONOTONIC_USEC` (252): microseconds of `CLOCK_MONOTONIC`; as above.
    pub trigger_monotonic_usec: Option<u64>,
    /// `TRIGGER_PATH` (252).
    pub trigger_path: Option<String>,
    /// `MONITOR_*` (251), for handlers of `OnFailure=` and `OnSuccess=`.
    pub monitor: Monitor,
    /// `JOURNAL_STREAM`: device (`st_dev`) and inode of the socket to the journal.
    pub journal_stream: Option<(u64, u64)>,
    /// Names, not values, of variables of the dynamic loader (`LD_PRELOAD` …), sorted.
    pub loader_names: Vec<String>,
}

/// `MONITOR_*`: the unit whose end started this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Monitor {
    /// `MONITOR_UNIT`, a valid unit name.
    pub unit: Option<UnitName>,
    /// `MONITOR_INVOCATION_ID`: 32 hex digits.
    pub invocation_id: Option<String>,
    /// `MONITOR_SERVICE_RESULT`: a word as `exit-code`.
    pub service_result: Option<String>,
    /// `MONITOR_EXIT_CODE`: a word as `exited`.
    pub exit_code: Option<String>,
    /// `MONITOR_EXIT_STATUS`: a number or the name of a signal.
    pub exit_status: Option<String>,
}

impl ServiceEnvironment {
    /// Picks systemd's variables from a block of NUL-terminated entries.
    ///
    /// `truncated` tells that the block was cut: an entry without its NUL is then left out.
    #[must_use]
    pub fn parse(block: &[u8], truncated: bool) -> Self {
        let mut found = Self::default();
        let whole = match block.iter().rposition(|&byte| byte == 0) {
            Some(last) if truncated => block.get(..=last).unwrap_or_default(),
            None if truncated => &[],
            _ => block,
        };
        for entry in whole.split(|&byte| byte == 0) {
            let Some(equals) = entry.iter().position(|&byte| byte == b'=') else {
                continue;
            };
            let (name, value) = entry.split_at(equals);
            let value = value.get(1..).unwrap_or_default();
            if let Ok(name) = std::str::from_utf8(name) {
                found.take(name, value);
            }
        }
        found.loader_names.sort();
        found.loader_names.dedup();
        found
    }

    fn take(&mut self, name: &str, value: &[u8]) {
        if name.starts_with("LD_") {
            self.take_loader_name(name);
            return;
        }
        let Some(value) = std::str::from_utf8(value)
            .ok()
            .filter(|value| value.len() <= MAX_VALUE)
        else {
            return;
        };
        let monitor = &mut self.monitor;
        match name {
            "INVOCATION_ID" => first(&mut self.invocation_id, invocation_id(value)),
            "SYSTEMD_EXEC_PID" => first(&mut self.exec_pid, pid(value)),
            "MANAGERPID" => first(&mut self.manager_pid, pid(value)),
            "TRIGGER_UNIT" => first(&mut self.trigger_unit, unit(value)),
            "TRIGGER_TIMER_REALTIME_USEC" => {
                first(&mut self.trigger_realtime_usec, number(value));
            }
            "TRIGGER_TIMER_MONOTONIC_USEC" => {
                first(&mut self.trigger_monotonic_usec, number(value));
            }
            "TRIGGER_PATH" => {
                let path = value.starts_with('/').then(|| value.to_owned());
                first(&mut self.trigger_path, path);
            }
            "MONITOR_UNIT" => first(&mut monitor.unit, unit(value)),
            "MONITOR_INVOCATION_ID" => first(&mut monitor.invocation_id, invocation_id(value)),
            "MONITOR_SERVICE_RESULT" => first(&mut monitor.service_result, word(value)),
            "MONITOR_EXIT_CODE" => first(&mut monitor.exit_code, word(value)),
            "MONITOR_EXIT_STATUS" => first(&mut monitor.exit_status, word(value)),
            "JOURNAL_STREAM" => first(&mut self.journal_stream, stream(value)),
            _ => {}
        }
    }

    fn take_loader_name(&mut self, name: &str) {
        let plain = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if plain && name.len() <= MAX_NAME && self.loader_names.len() < MAX_LOADER_NAMES {
            self.loader_names.push(name.to_owned());
        }
    }

    /// What `TRIGGER_*` says of why the unit was started: a [`Grade::Hint`], no more.
    ///
    /// Once a timer fired, every later start of the unit carries its name until the next reload
    /// of the manager, a manual start too, and always with the times of the first firing. So
    /// [`Trigger::fired_at`] is never set from it.
    #[must_use]
    pub fn trigger(&self) -> Option<Trigger> {
        let unit = self.trigger_unit.as_ref();
        let kind = match unit.map(UnitName::kind) {
            Some(UnitType::Timer) => TriggerType::Timer,
            Some(UnitType::Path) => TriggerType::Path,
            Some(_) => TriggerType::Unknown,
            None if self.trigger_path.is_some() => TriggerType::Path,
            None if self
                .trigger_monotonic_usec
                .or(self.trigger_realtime_usec)
                .is_some() =>
            {
                TriggerType::Timer
            }
            None => return None,
        };
        let mut evidence = Vec::new();
        if let Some(unit) = unit {
            evidence.push(format!("TRIGGER_UNIT={unit} in the environment"));
        }
        if let Some(path) = &self.trigger_path {
            evidence.push(format!("TRIGGER_PATH={path} in the environment"));
        }
        if evidence.is_empty() {
            evidence.push("TRIGGER_TIMER_* in the environment".to_owned());
        }
        Some(Trigger {
            kind,
            unit: unit.map(|unit| unit.as_str().to_owned()),
            fired_at: None,
            grade: Grade::Hint,
            evidence,
        })
    }
}

/// Whether a text is an invocation id, 32 hex digits; gives it in lower case.
#[must_use]
pub fn invocation_id(text: &str) -> Option<String> {
    let valid = text.len() == 32
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        // The null id is what systemd calls none.
        && text.bytes().any(|byte| byte != b'0');
    valid.then(|| text.to_ascii_lowercase())
}

fn first<T>(slot: &mut Option<T>, value: Option<T>) {
    if slot.is_none() {
        *slot = value;
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn pid(text: &str) -> Option<u32> {
    let pid = u32::try_from(number(text)?).ok()?;
    (pid > 0).then_some(pid)
}

fn unit(text: &str) -> Option<UnitName> {
    UnitName::parse(text).ok()
}

/// A word as systemd's enumerations are written: nothing else is let through.
fn word(text: &str) -> Option<String> {
    let valid = !text.is_empty()
        && text.len() <= 32
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-+_".contains(&byte));
    valid.then(|| text.to_owned())
}

fn stream(text: &str) -> Option<(u64, u64)> {
    let (device, inode) = text.split_once(':')?;
    Some((number(device)?, number(inode)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "0123456789abcdef0123456789ABCDEF";

    fn parse(entries: &[&str]) -> ServiceEnvironment {
        let block: String = entries.iter().map(|entry| format!("{entry}\0")).collect();
        ServiceEnvironment::parse(block.as_bytes(), false)
    }

    #[test]
    fn systemds_variables_and_nothing_else() {
        let found = parse(&[
            "SECRET=hunter2",
            &format!("INVOCATION_ID={ID}"),
            "INVOCATION_ID=ffffffffffffffffffffffffffffffff",
            "SYSTEMD_EXEC_PID=42",
            "MANAGERPID=7",
            "TRIGGER_UNIT=upd.timer",
            "TRIGGER_TIMER_REALTIME_USEC=1700000000000000",
            "TRIGGER_TIMER_MONOTONIC_USEC=5",
            "MONITOR_UNIT=a.service",
            "MONITOR_EXIT_CODE=exited",
            "MONITOR_SERVICE_RESULT=two words",
            "JOURNAL_STREAM=8:12345",
            "LD_PRELOAD=/secret.so",
            "LD_AUDIT=/x",
            "LD_a b=1",
        ]);
        assert_eq!(found.invocation_id, Some(ID.to_ascii_lowercase()));
        assert_eq!((found.exec_pid, found.manager_pid), (Some(42), Some(7)));
        assert_eq!(found.trigger_monotonic_usec, Some(5));
        assert_eq!(found.monitor.exit_code.as_deref(), Some("exited"));
        assert_eq!(found.monitor.service_result, None);
        assert_eq!(found.journal_stream, Some((8, 12_345)));
        assert_eq!(found.loader_names, ["LD_AUDIT", "LD_PRELOAD"]);
        let shown = format!("{found:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("secret"));

        let trigger = found.trigger().expect("a trigger");
        assert_eq!(
            (trigger.kind, trigger.grade),
            (TriggerType::Timer, Grade::Hint)
        );
        assert_eq!(trigger.unit.as_deref(), Some("upd.timer"));
        assert_eq!(trigger.fired_at, None);
    }

    #[test]
    fn nonsense_is_none() {
        let found = parse(&[
            "INVOCATION_ID=xyz",
            "SYSTEMD_EXEC_PID=-1",
            "MANAGERPID=0",
            "TRIGGER_UNIT=not a unit",
            "TRIGGER_TIMER_REALTIME_USEC=99999999999999999999999",
            "TRIGGER_PATH=relative",
            "JOURNAL_STREAM=8",
            "no equals",
        ]);
        assert_eq!(found, ServiceEnvironment::default());
        assert_eq!(found.trigger(), None);
        assert_eq!(invocation_id(&"0".repeat(32)), None);
    }

    #[test]
    fn a_cut_entry_is_left_out() {
        let block = b"MANAGERPID=7\0SYSTEMD_EXEC_PID=12";
        assert_eq!(ServiceEnvironment::parse(block, true).exec_pid, None);
        assert_eq!(ServiceEnvironment::parse(block, false).exec_pid, Some(12));
        assert_eq!(
            ServiceEnvironment::parse(b"MANAGERPID=7", true).manager_pid,
            None
        );
    }

    proptest! {
        #[test]
        fn any_bytes(block in prop::collection::vec(any::<u8>(), 0..400), cut in any::<bool>()) {
            let _ = ServiceEnvironment::parse(&block, cut).trigger();
        }
    }
}
