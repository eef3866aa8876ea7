//! Findings, a line for each link of the chain.

use super::{Line, PATH_WIDTH, SENTENCE_WIDTH, civil, put, sgr, text};
use crate::event::{Cause, Event, Finding, Grade, LinkKind, Severity, Timestamp};

impl Line<'_> {
    pub(super) fn finding(&mut self, event: &Event, finding: &Finding) {
        let sgr = match finding.severity {
            Severity::Critical | Severity::High => sgr::ALARM,
            Severity::Medium => sgr::YELLOW,
            Severity::Low | Severity::Informational => sgr::BOLD,
        };
        self.verb(sgr, "FINDING");
        let severity = finding.severity.as_str();
        self.paint(sgr, |out| {
            out.push_str(severity);
            out.push_str(": ");
            text::push(out, &finding.title, SENTENCE_WIDTH);
        });
        put(
            &mut self.out,
            format_args!("  [{}, {}]", finding.rule.id, finding.grade.as_str()),
        );
        if finding.cause.is_empty() {
            self.push("\n  ");
            self.foreign(&finding.message, SENTENCE_WIDTH);
        }
        let told = |cause: &&Cause| cause.link != LinkKind::Spawned;
        for cause in finding.cause.iter().filter(told) {
            self.link(event.time, cause);
        }
        if finding.systemd.is_none() && !finding.cause.is_empty() {
            return; // nothing ran yet
        }
        let spawned = finding.cause.iter().find(|cause| !told(cause));
        let grade = spawned.map_or(Grade::Certain, |cause| cause.grade);
        let time = spawned.map(|cause| cause.time).or(finding.process.executed);
        self.link_start(event.time, time.unwrap_or_default(), "ran");
        self.ran(
            &finding.process,
            &finding.ancestry,
            finding.systemd.as_ref(),
        );
        self.grade(grade);
    }

    fn link(&mut self, now: Timestamp, cause: &Cause) {
        self.link_start(now, cause.time, cause.link.as_str());
        let file = cause.file.as_ref().map(|file| file.path.as_str());
        if let Some(request) = &cause.request {
            self.foreign(&request.method, PATH_WIDTH);
            self.push(" ");
        }
        match (file, cause.unit.as_deref()) {
            (Some(path), _) => self.paint(sgr::BOLD, |out| text::push(out, path, PATH_WIDTH)),
            (None, Some(unit)) => self.paint(sgr::CYAN, |out| text::push(out, unit, PATH_WIDTH)),
            (None, None) if cause.request.is_some() => {}
            (None, None) => self.push("?"),
        }
        if let Some(actor) = &cause.actor {
            self.by(actor);
        } else if cause.link != LinkKind::Fired {
            self.push("  by ?");
        }
        self.grade(cause.grade);
    }

    /// A link's line up to its object. A link of another day shows its date instead of
    /// milliseconds.
    fn link_start(&mut self, now: Timestamp, time: Timestamp, verb: &str) {
        self.push("\n  ");
        let zone = &self.style.zone;
        match (civil(now, zone), civil(time, zone)) {
            (Some(today), Some(then)) if today.date() != then.date() => {
                self.minute(time);
                self.push("  ");
            }
            _ => self.time(time),
        }
        self.verb(sgr::BOLD, verb);
    }
}
