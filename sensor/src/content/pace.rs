//! A bound on what is read in a time, for somebody may write large files all day.

use std::time::Instant;

/// How many bytes may be read at once, refilled by so many a second.
#[derive(Debug)]
pub(super) struct Pace {
    capacity: u64,
    per_second: u64,
    left: u64,
    filled: Instant,
}

impl Pace {
    pub(super) fn new(capacity: u64, per_second: u64) -> Self {
        Self {
            capacity,
            per_second,
            left: capacity,
            filled: Instant::now(),
        }
    }

    /// Takes `bytes`; false when that is too much for now.
    pub(super) fn take(&mut self, bytes: u64, now: Instant) -> bool {
        let waited = now.saturating_duration_since(self.filled).as_millis();
        let waited = u64::try_from(waited).unwrap_or(u64::MAX);
        let more = waited.saturating_mul(self.per_second) / 1000;
        if more > 0 {
            self.left = self.left.saturating_add(more).min(self.capacity);
            self.filled = now;
        }
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn refills_up_to_its_capacity() {
        let mut pace = Pace::new(100, 10);
        let start = pace.filled;
        assert!(pace.take(90, start));
        assert!(!pace.take(11, start));
        assert!(pace.take(10, start));
        assert!(!pace.take(11, start + Duration::from_secs(1)));
        assert!(pace.take(10, start + Duration::from_secs(1)));
        assert!(!pace.take(101, start + Duration::from_secs(1000)));
        assert!(pace.take(100, start + Duration::from_secs(1000)));
        // Time does not go back, but if it did nothing would break.
        assert!(!pace.take(1, start));
    }
}
