//! What could not be looked at: each is told once.

use std::collections::HashSet;

use super::Agent;
use crate::event::{Body, Health};

/// Most gaps that are told in one run.
const GAPS_MAX: usize = 256;

/// Gaps that were told, and those that are still to be.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    told: HashSet<String>,
    waiting: Vec<String>,
}

impl Gaps {
    /// Notes a gap, unless it was noted before.
    pub(crate) fn note(&mut self, gap: String) {
        if self.told.len() < GAPS_MAX && self.told.insert(gap.clone()) {
            self.waiting.push(gap);
            if self.told.len() == GAPS_MAX {
                let more = "further gaps are not told one by one".to_owned();
                self.waiting.push(more);
            }
        }
    }
}

impl Agent {
    /// Tells the gaps that were found since this was last done.
    pub(super) fn tell_gaps(&mut self) {
        // Places that cannot be watched, as was found out since this was last done.
        let blind = self.watching.blind.get(self.gaps_told..);
        for gap in blind.unwrap_or_default() {
            self.gaps.note(gap.clone());
        }
        self.gaps_told = self.watching.blind.len();
        for problem in self.installed.take_problems() {
            self.gaps.note(problem.to_string());
        }
        if let Some(gap) = self.packages.take_gap() {
            self.gaps.note(gap);
        }
        for gap in std::mem::take(&mut self.gaps.waiting) {
            self.stream
                .tell(self.facts.now(), Body::Health(Health::Gap(gap)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gap_is_told_once_and_not_without_end() {
        let mut gaps = Gaps::default();
        for n in 0..1000 {
            gaps.note(format!("{n}"));
            gaps.note(format!("{n}"));
        }
        assert_eq!(gaps.waiting.len(), GAPS_MAX + 1);
        assert_eq!(gaps.waiting[1], "1");
    }
}
