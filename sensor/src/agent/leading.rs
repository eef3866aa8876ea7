//! The timers that lead to units, as found on disk: looked for anew once something changed.

use std::collections::HashMap;

use crate::event::{FileClass, Manager};

/// How long an answer holds while no change was seen, in nanoseconds: a file system may change
/// without one.
const FRESH: u64 = 5_000_000_000;
/// Most units of which the timers are known.
const UNITS_MAX: usize = 1024;

/// Answers, by manager and unit.
#[derive(Debug, Default)]
pub(super) struct Leading(HashMap<(Manager, String), (u64, Vec<String>)>);

impl Leading {
    /// The timers that lead to a unit; `find` looks for them. `now` is nanoseconds since boot.
    pub(super) fn to(
        &mut self,
        manager: &Manager,
        unit: &str,
        now: u64,
        find: impl FnOnce() -> Vec<String>,
    ) -> Vec<String> {
        let key = (manager.clone(), unit.to_owned());
        if let Some((found_at, timers)) = self.0.get(&key)
            && now.saturating_sub(*found_at) < FRESH
        {
            return timers.clone();
        }
        if self.0.len() >= UNITS_MAX {
            self.0.clear();
        }
        let timers = find();
        self.0.insert(key, (now, timers.clone()));
        timers
    }

    /// Something changed: what timed units run, and when timers elapsed, leads nowhere else.
    pub(super) fn changed(&mut self, class: FileClass) {
        if !matches!(class, FileClass::Target | FileClass::TimerStamp) {
            self.forget();
        }
    }

    /// Where managers look changed.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_once_until_something_changes() {
        let mut leading = Leading::default();
        let mut asked = 0;
        let mut ask = |leading: &mut Leading, now| {
            leading.to(&Manager::System, "a.service", now, || {
                asked += 1;
                vec![format!("{asked}.timer")]
            })
        };
        assert_eq!(ask(&mut leading, 10), ["1.timer"]);
        assert_eq!(ask(&mut leading, 20), ["1.timer"]);
        leading.changed(FileClass::Target);
        assert_eq!(ask(&mut leading, 25), ["1.timer"]);
        leading.changed(FileClass::UnitFile);
        assert_eq!(ask(&mut leading, 30), ["2.timer"]);
        assert_eq!(ask(&mut leading, 30 + FRESH), ["3.timer"]);
    }
}
