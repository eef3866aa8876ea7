//! Requests in a line.

use super::{Line, PATH_WIDTH, SENTENCE_WIDTH, sgr, text};
use crate::event::{Asked, Manager, OnBehalfOf};

/// Most units of a request that are shown.
const UNITS_MAX: usize = 4;

impl Line<'_> {
    pub(super) fn asked(&mut self, asked: &Asked) {
        self.verb(sgr::CYAN, "asked");
        self.foreign(&asked.method(), PATH_WIDTH);
        let units = asked.units();
        for unit in units.iter().take(UNITS_MAX) {
            self.push(" ");
            self.paint(sgr::BOLD, |out| text::push(out, unit, PATH_WIDTH));
        }
        if units.len() > UNITS_MAX {
            self.push(" …");
        }
        match &asked.manager {
            Manager::System => {}
            Manager::User(uid) => self.push(&format!("  (user {uid})")),
            Manager::Capsule(_) => self.push("  (capsule)"),
            Manager::Container(_) => self.push("  (container)"),
        }
        let made = asked
            .request()
            .and_then(|request| request.transient.first());
        if let Some(command) = made.and_then(|unit| unit.runs.first()) {
            self.push("  runs ");
            self.foreign(&command.argv.join(" "), PATH_WIDTH);
        }
        if let Some(gap) = asked.request().and_then(|request| request.gap.as_deref()) {
            self.push("  (");
            self.foreign(gap, SENTENCE_WIDTH);
            self.push(")");
        }
        self.by(&asked.author);
        if let Some(peer) = asked.login.peer {
            self.push(&format!("  from {peer}"));
        }
    }

    /// Who a manager did something for.
    pub(super) fn on_behalf_of(&mut self, of: &OnBehalfOf) {
        self.push("  for ");
        self.chain(&of.author.process, &of.author.ancestry);
        self.grade(of.grade);
    }
}
