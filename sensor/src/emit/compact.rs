//! Lines for people.
//!
//! A time, a verb in a column of its own, what it was done to, and by whom with those they
//! descend from, oldest first. A finding takes some more lines, one for each link of its chain.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::text;
use super::words::HealthMessage;
use crate::event::{
    Actor, Body, Event, Exec, Executable, Exit, Grade, Health, Manager, Process, ProcessKey,
    SystemdContext, Timestamp, TriggerType,
};

/// Widest command line, in characters.
const COMMAND_WIDTH: usize = 120;
/// Widest path or unit name, in characters.
const PATH_WIDTH: usize = 160;
/// Widest name of a process, in characters.
const NAME_WIDTH: usize = 32;
/// Widest sentence, in characters.
const SENTENCE_WIDTH: usize = 300;

mod activation;
mod chain;
mod change;
mod content;
mod finding;
mod intent;
mod posture;
mod request;

/// How lines look.
#[derive(Clone, Debug)]
pub struct Style {
    /// Whether to use colours.
    pub color: bool,
    zone: TimeZone,
    utc: bool,
}

impl Style {
    /// Times in the zone of the system.
    #[must_use]
    pub fn local(color: bool) -> Self {
        Self {
            color,
            zone: TimeZone::system(),
            utc: false,
        }
    }

    /// Times in UTC, with a trailing `Z`.
    #[must_use]
    pub fn utc(color: bool) -> Self {
        Self {
            color,
            zone: TimeZone::UTC,
            utc: true,
        }
    }
}

/// `event` as one line, or some for a finding, without a newline at the end. Nothing for an exec whose
/// verdict follows: that one has the line.
#[must_use]
pub fn line(event: &Event, style: &Style) -> String {
    let time = match &event.body {
        Body::Exec(exec) if exec.awaited => return String::new(),
        Body::Verdict(verdict) => verdict.exec.process.executed.unwrap_or(event.time),
        _ => event.time,
    };
    let mut line = Line {
        out: String::with_capacity(256),
        style,
    };
    line.time(time);
    match &event.body {
        Body::Exec(exec) => line.exec(exec),
        Body::Exit(exit) => line.exit(exit),
        Body::Verdict(verdict) => line.exec(&verdict.exec),
        Body::TimerFired(fired) => line.fired(fired),
        Body::Change(change) => line.change(change),
        Body::Asked(asked) => line.asked(asked),
        Body::Finding(finding) => line.finding(event, finding),
        Body::Posture(posture) => line.posture(posture),
        Body::Control(control) => line.control(control),
        Body::Health(health) => line.health(health),
    }
    line.out
}

/// Who, after those they descend from, as lines name them.
#[must_use]
pub fn who(process: &Process, ancestry: &[Arc<Process>]) -> String {
    let style = Style {
        color: false,
        zone: TimeZone::UTC,
        utc: true,
    };
    let mut line = Line {
        out: String::new(),
        style: &style,
    };
    line.chain(process, ancestry);
    line.out
}

/// Appends text of strangers, safe for a terminal and at most `limit` characters wide.
pub fn printable(out: &mut String, text: &str, limit: usize) {
    text::push(out, text, limit);
}

fn put(out: &mut String, args: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(args);
}

/// Select Graphic Rendition parameters.
mod sgr {
    pub(super) const DIM: &str = "2";
    pub(super) const BOLD: &str = "1";
    pub(super) const RED: &str = "31";
    pub(super) const GREEN: &str = "32";
    pub(super) const YELLOW: &str = "33";
    pub(super) const CYAN: &str = "36";
    pub(super) const ALARM: &str = "1;31";
}

struct Line<'a> {
    out: String,
    style: &'a Style,
}

impl Line<'_> {
    /// Appends what `fill` appends, in a colour if colours are wanted.
    fn paint(&mut self, sgr: &str, fill: impl FnOnce(&mut String)) {
        if self.style.color {
            self.push(&["\x1b[", sgr, "m"].concat());
            fill(&mut self.out);
            self.push("\x1b[0m");
        } else {
            fill(&mut self.out);
        }
    }

    /// Text of the agent's own.
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Text of strangers.
    fn foreign(&mut self, text: &str, limit: usize) {
        text::push(&mut self.out, text, limit);
    }

    fn time(&mut self, time: Timestamp) {
        let civil = civil(time, &self.style.zone);
        let utc = if self.style.utc { "Z" } else { "" };
        self.paint(sgr::DIM, |out| match civil {
            Some(t) => put(
                out,
                format_args!(
                    "{:02}:{:02}:{:02}.{:03}{utc}",
                    t.hour(),
                    t.minute(),
                    t.second(),
                    t.millisecond()
                ),
            ),
            None => put(out, format_args!("--:--:--.---{utc}")),
        });
        self.push("  ");
    }

    fn verb(&mut self, sgr: &str, word: &str) {
        self.paint(sgr, |out| put(out, format_args!("{word:<8}")));
        self.push("  ");
    }

    fn exec(&mut self, exec: &Exec) {
        self.verb(sgr::GREEN, "ran");
        self.command(&exec.process);
        if let Some(intent) = &exec.intent {
            self.intent(intent);
        }
        self.lives(&exec.process, &exec.ancestry, exec.systemd.as_ref());
    }

    fn ran(
        &mut self,
        process: &Process,
        ancestry: &[Arc<Process>],
        systemd: Option<&SystemdContext>,
    ) {
        self.command(process);
        self.lives(process, ancestry, systemd);
    }

    /// Where a process runs, and whom it descends from.
    fn lives(
        &mut self,
        process: &Process,
        ancestry: &[Arc<Process>],
        systemd: Option<&SystemdContext>,
    ) {
        if let Some(context) = systemd {
            self.unit(context);
        }
        self.push("  ");
        self.chain(process, ancestry);
    }

    fn command(&mut self, process: &Process) {
        let exe = process.exe.as_ref();
        if !process.argv.is_empty() {
            self.foreign(&process.command_line(), COMMAND_WIDTH);
        } else if let Some(exe) = exe.filter(|exe| !exe.path.is_empty()) {
            self.foreign(&exe.path, PATH_WIDTH);
        } else {
            self.name(process);
        }
        let Some(Executable {
            path,
            inode,
            nlink: 0,
            ..
        }) = exe
        else {
            return;
        };
        if *inode != 0 {
            let memfd = path.trim_start_matches('/').starts_with("memfd:");
            let mark = if memfd { " [memfd]" } else { " [deleted]" };
            self.paint(sgr::RED, |out| out.push_str(mark));
        }
    }

    fn unit(&mut self, context: &SystemdContext) {
        self.push("  ");
        let unit = context.unit.as_deref().unwrap_or("unknown unit");
        self.paint(sgr::CYAN, |out| text::push(out, unit, PATH_WIDTH));
        match &context.manager {
            Manager::System => self.push(" (system)"),
            Manager::User(uid) => put(&mut self.out, format_args!(" (user {uid})")),
            Manager::Capsule(name) => {
                self.push(" (capsule ");
                self.foreign(name, PATH_WIDTH);
                self.push(")");
            }
            Manager::Container(cgroup) => {
                self.push(" (container ");
                self.foreign(cgroup, PATH_WIDTH);
                self.push(")");
            }
        }
        let Some(trigger) = &context.trigger else {
            return;
        };
        match (&trigger.unit, trigger.kind) {
            (Some(unit), _) => {
                self.push(" ← ");
                self.paint(sgr::CYAN, |out| text::push(out, unit, PATH_WIDTH));
            }
            (None, TriggerType::Unknown) => return,
            (None, kind) => put(&mut self.out, format_args!(" ← a {}", kind.as_str())),
        }
        put(&mut self.out, format_args!(", {}", trigger.grade.as_str()));
    }

    fn exit(&mut self, exit: &Exit) {
        match exit.signal {
            Some(signal) => {
                self.verb(sgr::YELLOW, "killed");
                put(&mut self.out, format_args!("by signal {signal}"));
                let name = i32::try_from(signal)
                    .ok()
                    .and_then(|raw| nix::sys::signal::Signal::try_from(raw).ok());
                if let Some(name) = name {
                    put(&mut self.out, format_args!(" ({})", name.as_str()));
                }
            }
            None => {
                self.verb(sgr::DIM, "exited");
                match exit.code {
                    Some(code) => put(&mut self.out, format_args!("with {code}")),
                    None => self.push("with unknown code"),
                }
            }
        }
        self.push("  ");
        self.chain(&exit.process, &exit.ancestry);
    }

    fn by(&mut self, actor: &Actor) {
        self.push("  by ");
        if actor.process.key == ProcessKey::default() {
            return self.push("?");
        }
        self.chain(&actor.process, &actor.ancestry);
    }

    /// Date and time without seconds.
    fn minute(&mut self, time: Timestamp) {
        let civil = civil(time, &self.style.zone);
        self.paint(sgr::DIM, |out| match civil {
            Some(then) => {
                let date = then.date();
                put(
                    out,
                    format_args!("{date} {:02}:{:02}", then.hour(), then.minute()),
                );
            }
            None => out.push('?'),
        });
    }

    /// A grade is worth a word when it is not the best.
    fn grade(&mut self, grade: Grade) {
        if grade != Grade::Certain {
            self.paint(sgr::DIM, |out| {
                put(out, format_args!("  ({})", grade.as_str()));
            });
        }
    }

    fn health(&mut self, health: &Health) {
        let (sgr, verb) = match health {
            Health::Started { .. } => (sgr::GREEN, "started"),
            Health::Loss(_) => (sgr::ALARM, "LOST"),
            Health::Gap(_) => (sgr::YELLOW, "gap"),
            Health::Stopped { .. } => (sgr::DIM, "stopped"),
        };
        self.verb(sgr, verb);
        self.foreign(&HealthMessage(health).to_string(), SENTENCE_WIDTH);
    }
}

/// The wall clock's time in `zone`; `None` when it was not read or no calendar has it.
fn civil(time: Timestamp, zone: &TimeZone) -> Option<jiff::civil::DateTime> {
    if time.wall == 0 {
        return None;
    }
    let instant = jiff::Timestamp::from_nanosecond(i128::from(time.wall)).ok()?;
    Some(zone.to_datetime(instant))
}

#[cfg(test)]
mod tests;
