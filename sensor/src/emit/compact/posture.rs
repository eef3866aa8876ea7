//! Results of a scan in one line.

use super::{Line, PATH_WIDTH, SENTENCE_WIDTH};
use crate::event::{Control, Posture};

impl Line<'_> {
    pub(super) fn posture(&mut self, posture: &Posture) {
        self.push(&format!("  SCAN      {}: ", posture.severity.as_str()));
        self.foreign(&posture.message, SENTENCE_WIDTH);
        self.push(&format!("  [{}]", posture.entry.id));
    }

    pub(super) fn control(&mut self, control: &Control) {
        self.push(&format!(
            "  CONTROL   {}: {} ",
            control.status.as_str(),
            control.id
        ));
        self.foreign(control.title, PATH_WIDTH);
    }
}
