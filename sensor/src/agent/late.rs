//! Changes in the run of a package manager whose package is not in its database yet: dpkg enters a
//! package's files when all of them are in their places.
//!
//! The change is told at once. What it amounts to is judged when the package is known, a minute later
//! at the latest; a process that may rest on it is never judged before a last look.

use std::{collections::VecDeque, sync::Arc};

use super::{Agent, packages::is_being_unpacked};
use crate::{
    correlate::Seen,
    event::{Change, PackageFile, Packaging, Shipped},
};

/// How long a package may take to be entered, in nanoseconds.
const PATIENCE: u64 = 60_000_000_000;
/// Most changes that wait; the oldest are judged early.
const LATE_MAX: usize = 1024;

/// Changes that wait for their package, with when they are judged at the latest.
#[derive(Debug, Default)]
pub(crate) struct Late(VecDeque<(u64, Seen)>);

impl Late {
    fn waits_for(change: &Change) -> bool {
        let packaging = change.packaging.as_deref();
        packaging.is_some_and(|packaging| {
            is_open(change, packaging.owner.as_ref())
                && packaging
                    .transaction
                    .as_ref()
                    .is_some_and(|run| run.verified)
        })
    }
}

impl Agent {
    /// Remembers a change that was told, and judges what it amounts to: now, or when its package is
    /// known.
    pub(super) fn take_in(&mut self, seen: Seen) {
        if !self.leaves(&seen.change) && !is_being_unpacked(&seen.change) {
            self.weigh(&seen);
        }
        self.correlator.changed(seen);
    }

    fn weigh(&mut self, seen: &Seen) {
        let now = self.facts.now().boot;
        if Late::waits_for(&seen.change) {
            self.late
                .0
                .push_back((now.saturating_add(PATIENCE), seen.clone()));
        } else {
            self.detector.changed(seen, now);
        }
    }

    /// Looks again for the packages of changes that wait. `at_last` judges all of them.
    pub(super) fn weigh_late(&mut self, at_last: bool) {
        let now = self.facts.now().boot;
        for (due, seen) in std::mem::take(&mut self.late.0) {
            let owner = self.packages.owner(&seen.change);
            let full = self.late.0.len() >= LATE_MAX;
            if is_open(&seen.change, owner.as_ref()) && due > now && !at_last && !full {
                self.late.0.push_back((due, seen));
                continue;
            }
            let seen = Seen {
                change: Arc::new(owned(&seen.change, owner)),
                ..seen
            };
            self.correlator.repackaged(&seen);
            if seen
                .change
                .packaging
                .as_ref()
                .is_some_and(|known| known.owner.is_some())
            {
                self.keeper.package(&seen);
            }
            self.detector.changed(&seen, now);
        }
    }
}

/// Whether dpkg may still say more: whose file it is, or that the content is what the package brought.
fn is_open(change: &Change, owner: Option<&PackageFile>) -> bool {
    let content = change.content.as_ref();
    let read = content.is_some_and(|content| content.md5.is_some());
    owner.is_none_or(|owner| read && owner.shipped == Shipped::NoDigest)
}

/// The same change, of a file of that package.
fn owned(change: &Change, owner: Option<PackageFile>) -> Change {
    let mut transaction = change
        .packaging
        .as_ref()
        .and_then(|packaging| packaging.transaction.clone());
    if let (Some(run), Some(owner)) = (&mut transaction, &owner)
        && run.package.is_none()
    {
        run.package = Some(owner.package.clone());
    }
    Change {
        packaging: Some(Box::new(Packaging { transaction, owner })),
        ..change.clone()
    }
}
