//! Verdicts and firings in a line.

use super::{Line, PATH_WIDTH, SENTENCE_WIDTH, sgr, text};
use crate::event::{TimerFired, Verdict};

impl Line<'_> {
    /// Why a process was started that an earlier line told of.
    pub(super) fn verdict(&mut self, verdict: &Verdict) {
        self.verb(sgr::BOLD, "because");
        let Some(context) = &verdict.exec.systemd else {
            return;
        };
        self.name(&verdict.exec.process);
        self.push("(");
        self.push(&verdict.exec.process.key.tgid.to_string());
        self.push(")");
        self.unit(context);
        let trigger = context.trigger.as_ref();
        if let Some(why) = trigger.and_then(|trigger| trigger.evidence.first()) {
            self.push(": ");
            self.foreign(why, SENTENCE_WIDTH);
        }
    }

    pub(super) fn fired(&mut self, fired: &TimerFired) {
        self.verb(sgr::CYAN, "fired");
        self.paint(sgr::CYAN, |out| text::push(out, &fired.timer, PATH_WIDTH));
        for (at, unit) in fired.triggers.iter().enumerate() {
            self.push(if at == 0 { "  → " } else { ", " });
            self.foreign(unit, PATH_WIDTH);
        }
        if fired.active {
            self.push("  active already");
        }
    }
}
