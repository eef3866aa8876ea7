//! What a command is to do, behind its line.

use super::{Line, SENTENCE_WIDTH, sgr, text};
use crate::event::Intent;

/// Most units that are named.
const UNITS_MAX: usize = 4;

impl Line<'_> {
    /// `[start upd.timer, on root@web]`: the verb, what it is about, and where.
    pub(super) fn intent(&mut self, intent: &Intent) {
        let mut note = intent.verb.as_deref().unwrap_or("?").to_owned();
        let mut add = |separator: &str, part: &str| {
            note.push_str(separator);
            note.push_str(part);
        };
        if let Some(method) = &intent.method {
            add(" ", method);
        }
        for unit in intent.units.iter().take(UNITS_MAX) {
            add(" ", unit);
        }
        if intent.units.len() > UNITS_MAX {
            add(" ", "…");
        }
        for when in &intent.when {
            add(", ", when);
        }
        if intent.manager != "system" {
            add(", manager ", &intent.manager);
        }
        let named = [
            (", as ", &intent.user),
            (", on ", &intent.host),
            (", in ", &intent.machine),
            (", below ", &intent.root),
        ];
        for (separator, name) in named {
            if let Some(name) = name {
                add(separator, name);
            }
        }
        self.push("  ");
        self.paint(sgr::YELLOW, |out| {
            out.push('[');
            text::push(out, &note, SENTENCE_WIDTH);
            out.push(']');
        });
    }
}
