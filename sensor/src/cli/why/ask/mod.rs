//! From the store, /proc and the unit files to the answer.

mod file;
mod finding;
mod process;
mod trigger;
mod unit;

use super::subject::Subject;
use super::tree::Node;
use crate::emit::compact;
use crate::event::{Manager, Process};
use crate::host::users::Users;
use crate::store::History;
use crate::systemd::load_paths::LoadPaths;
use crate::systemd::presence::load_paths_of_host;

/// Deepest nesting of units that lead to one another.
const DEPTH: usize = 4;

/// Puts answers together.
pub(super) struct Asker<'a> {
    history: &'a History,
    zone: jiff::tz::TimeZone,
    users: Users,
    paths: LoadPaths,
}

impl<'a> Asker<'a> {
    pub(super) fn new(history: &'a History, utc: bool) -> anyhow::Result<Self> {
        let users = Users::read().unwrap_or_else(|_| Users::at("/etc/passwd"));
        let paths = load_paths_of_host(&users, &[]);
        Ok(Self {
            history,
            zone: if utc {
                jiff::tz::TimeZone::UTC
            } else {
                jiff::tz::TimeZone::system()
            },
            users,
            paths,
        })
    }

    /// The answer; `None` when nothing is known of the subject.
    pub(super) fn answer(&self, subject: &Subject) -> anyhow::Result<Option<Node>> {
        match subject {
            Subject::Unit(unit) => self.unit(unit, &Manager::System),
            Subject::Path(path) => self.path(path),
            Subject::Pid(pid) => self.pid(*pid),
            Subject::Finding(uid) => self.finding(uid),
        }
    }

    /// Nanoseconds since the epoch for people.
    fn when(&self, wall: u64) -> String {
        let instant = jiff::Timestamp::from_nanosecond(i128::from(wall)).ok();
        let Some(instant) = instant.filter(|_| wall != 0) else {
            return "?".to_owned();
        };
        let civil = self.zone.to_datetime(instant);
        let (date, hour, minute) = (civil.date(), civil.hour(), civil.minute());
        format!("{date} {hour:02}:{minute:02}:{:02}", civil.second())
    }

    fn at(&self, mut node: Node, wall: u64) -> Node {
        node.time = Some(wall / 1_000_000);
        node.when = self.when(wall);
        node
    }
}

/// A process without those it descends from, which are shown elsewhere.
pub(super) fn alone(process: &Process) -> String {
    let elsewhere = Process {
        spawner: process.spawner.or(Some(process.key)),
        ..process.clone()
    };
    compact::who(&elsewhere, &[])
}
