//! Changes in a line.

use super::{Line, PATH_WIDTH, sgr, text};
use crate::event::{Change, Shipped, Verb};

impl Line<'_> {
    pub(super) fn change(&mut self, change: &Change) {
        self.verb(sgr::YELLOW, did(change.verb));
        if change.truncated {
            self.push("…");
        }
        self.paint(sgr::BOLD, |out| text::push(out, &change.path, PATH_WIDTH));
        if let Some(target) = &change.target {
            self.push(" to ");
            self.foreign(target, PATH_WIDTH);
        }
        if let Some(from) = &change.from {
            self.push(" from ");
            self.foreign(from, PATH_WIDTH);
        }
        if let Some(content) = &change.content {
            self.content(content);
        }
        self.packaging(change);
        self.by(&change.writer);
        if let Some(of) = &change.on_behalf_of {
            self.on_behalf_of(of);
        }
        if let Some(between) = change.between {
            self.push(", after ");
            self.minute(between.after);
        }
    }

    /// `  nobody seen writing it`, `  package x, as shipped`.
    fn packaging(&mut self, change: &Change) {
        if let Some(unseen) = change.unseen {
            let word = if unseen.restored {
                "  changed and restored, nobody seen"
            } else {
                "  nobody seen writing it"
            };
            self.paint(sgr::ALARM, |out| out.push_str(word));
        }
        let Some(packaging) = &change.packaging else {
            return;
        };
        let (owner, transaction) = (&packaging.owner, &packaging.transaction);
        let installed = transaction.as_ref().and_then(|run| run.package.as_ref());
        let Some(name) = owner.as_ref().map(|owner| &owner.package).or(installed) else {
            return;
        };
        self.push("  package ");
        self.foreign(name, PATH_WIDTH);
        match owner.as_ref().map(|owner| owner.shipped) {
            Some(Shipped::Same) => self.push(", as shipped"),
            Some(Shipped::Different) => {
                self.paint(sgr::YELLOW, |out| out.push_str(", not as shipped"));
            }
            _ => {}
        }
    }
}

/// The verb of a change as its column says it.
fn did(verb: Verb) -> &'static str {
    match verb {
        Verb::Create | Verb::Mkdir | Verb::Mknod => "created",
        Verb::Write => "wrote",
        Verb::Rename => "renamed",
        Verb::Link | Verb::Symlink => "linked",
        Verb::Unlink | Verb::Rmdir => "removed",
        Verb::Setattr => "altered",
        Verb::Closed => "wrote",
        Verb::Mount => "mounted",
        Verb::Load => "loaded",
    }
}
