//! Points in time.

/// A point in time, on both clocks that matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Nanoseconds since boot, suspended time included (`CLOCK_BOOTTIME`).
    pub boot: u64,
    /// Nanoseconds since the epoch (`CLOCK_REALTIME`) by the clock as it was set when the event
    /// was handled.
    pub wall: u64,
}

impl Timestamp {
    /// Milliseconds since the epoch, as OCSF counts time.
    #[must_use]
    pub fn wall_millis(&self) -> u64 {
        self.wall / 1_000_000
    }
}
