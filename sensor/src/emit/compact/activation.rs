//! Firings in a line.

use super::{Line, PATH_WIDTH, sgr, text};
use crate::event::TimerFired;

impl Line<'_> {
    pub(super) fn fired(&mut self, fired: &TimerFired) {
        self.verb(sgr::CYAN, "fired");
        self.paint(sgr::CYAN, |out| text::push(out, &fired.timer, PATH_WIDTH));
        for (at, unit) in fired.triggers.iter().enumerate() {
            self.push(if at == 0 { "  → " } else { ", " });
            self.foreign(unit, PATH_WIDTH);
        }
        if fired.active == Some(true) {
            self.push("  active already");
        }
    }
}
