//! Boot time and wall time, tied together at one point.

use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

use crate::event::Timestamp;

/// A wall clock that moved by more than this was set, not slewed: NTP slews by at most 500 ppm,
/// which is 30 ms in a minute.
const STEP: Duration = Duration::from_millis(100);

/// A clock of the kernel could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the clock {clock}: {source}")]
pub struct ClockError {
    /// Which clock.
    pub clock: &'static str,
    /// What the kernel said.
    pub source: nix::Error,
}

/// The wall time of one moment since boot: turns one into the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockAnchor {
    boot: u64,
    wall: u64,
}

impl ClockAnchor {
    /// Reads both clocks at once.
    ///
    /// # Errors
    ///
    /// When a clock cannot be read, which no kernel since 2.6.39 does.
    pub fn now() -> Result<Self, ClockError> {
        let mut best: Option<(u64, Self)> = None;
        // The wall clock is read between two readings of the other; of a few tries the
        // tightest counts, against being scheduled away in between.
        for _ in 0..3 {
            let before = read(ClockId::CLOCK_BOOTTIME, "CLOCK_BOOTTIME")?;
            let wall = read(ClockId::CLOCK_REALTIME, "CLOCK_REALTIME")?;
            let after = read(ClockId::CLOCK_BOOTTIME, "CLOCK_BOOTTIME")?;
            let width = after.saturating_sub(before);
            if best.is_none_or(|(known, _)| width < known) {
                let boot = before + width / 2;
                best = Some((width, Self { boot, wall }));
            }
        }
        Ok(best.map_or(Self { boot: 0, wall: 0 }, |(_, anchor)| anchor))
    }

    /// An anchor from two known values, in nanoseconds since boot and since the epoch.
    #[must_use]
    pub const fn new(boot: u64, wall: u64) -> Self {
        Self { boot, wall }
    }

    /// Both times of a moment given in nanoseconds since boot (`CLOCK_BOOTTIME`).
    #[must_use]
    pub fn to_timestamp(&self, boot: u64) -> Timestamp {
        let wall = if boot >= self.boot {
            self.wall.saturating_add(boot - self.boot)
        } else {
            self.wall.saturating_sub(self.boot - boot)
        };
        Timestamp { boot, wall }
    }

    /// Both times of a moment given in nanoseconds since the epoch.
    #[must_use]
    pub fn from_wall(&self, wall: u64) -> Timestamp {
        let boot = if wall >= self.wall {
            self.boot.saturating_add(wall - self.wall)
        } else {
            self.boot.saturating_sub(self.wall - wall)
        };
        Timestamp { boot, wall }
    }

    /// The moment of the anchor itself.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.to_timestamp(self.boot)
    }

    /// Reads the clocks again; `Some` is by how many nanoseconds the wall clock was set, when
    /// it was. Slewing is taken over silently. To be called every few seconds.
    ///
    /// # Errors
    ///
    /// When a clock cannot be read.
    pub fn refresh(&mut self) -> Result<Option<i64>, ClockError> {
        Ok(self.replace(Self::now()?))
    }

    fn replace(&mut self, new: Self) -> Option<i64> {
        let expected = self.to_timestamp(new.boot).wall;
        *self = new;
        let by = i128::from(new.wall) - i128::from(expected);
        (by.unsigned_abs() > STEP.as_nanos())
            .then(|| i64::try_from(by).unwrap_or(if by < 0 { i64::MIN } else { i64::MAX }))
    }
}

/// Nanoseconds since boot, suspended time included, as `task_struct.start_boottime` counts.
///
/// # Errors
///
/// When the clock cannot be read.
pub fn boot_now() -> Result<u64, ClockError> {
    read(ClockId::CLOCK_BOOTTIME, "CLOCK_BOOTTIME")
}

fn read(id: ClockId, clock: &'static str) -> Result<u64, ClockError> {
    let time = clock_gettime(id).map_err(|source| ClockError { clock, source })?;
    Ok(nanoseconds(time))
}

/// Zero for a time before the epoch.
fn nanoseconds(time: TimeSpec) -> u64 {
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let rest = u64::try_from(time.tv_nsec()).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        let anchor = ClockAnchor::new(1_000, 500_000);
        for boot in [0, 999, 1_000, 1_001, 400_000] {
            let time = anchor.to_timestamp(boot);
            assert_eq!(time.wall, 499_000 + boot);
            assert_eq!(anchor.from_wall(time.wall), time);
        }
        assert_eq!(ClockAnchor::new(u64::MAX, 3).to_timestamp(1).wall, 0);
        assert_eq!(ClockAnchor::new(0, u64::MAX).to_timestamp(1).wall, u64::MAX);
    }

    #[test]
    fn steps_are_told_from_slewing() {
        let second = 1_000_000_000;
        let mut anchor = ClockAnchor::new(0, 10 * second);
        assert_eq!(
            anchor.replace(ClockAnchor::new(second, 11 * second + 400_000)),
            None
        );
        assert_eq!(anchor.to_timestamp(second).wall, 11 * second + 400_000);
        let by = anchor.replace(ClockAnchor::new(2 * second, 5 * second));
        assert_eq!(by, Some(-7_000_400_000));
    }

    #[test]
    fn the_running_clock() {
        let mut anchor = ClockAnchor::now().expect("clocks");
        let now = boot_now().expect("clock");
        assert!(now >= anchor.timestamp().boot);
        assert_eq!(anchor.refresh().expect("clocks"), None);
    }
}
