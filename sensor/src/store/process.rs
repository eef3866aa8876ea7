//! Processes in the database: each image once, with a reference to its spawner's.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use super::words::{origin, signed, to_origin, unsigned};
use crate::event::{Actor, Executable, Process, ProcessKey, Timestamp};

/// Longest ancestry that is read back.
const DEPTH_MAX: usize = 64;

/// What is said of a process beside its key, as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
struct About {
    origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    exe: Option<Exe>,
    argv: Vec<String>,
    argv_truncated: bool,
    cwd: Option<String>,
    comm: String,
    uid: u32,
    euid: u32,
    gid: u32,
    user: Option<String>,
    auid: Option<u32>,
    session: Option<u32>,
    cgroup: Option<String>,
    mount_ns: u32,
    pid_ns: u32,
    /// Nanoseconds since the epoch, to the second: a clock that is read twice never says the
    /// same, and the process is one.
    started: u64,
    /// Nanoseconds since boot and since the epoch.
    executed: Option<(u64, u64)>,
    /// Pid and start of who spawned it, whether or not that one has a row.
    spawner: Option<(u32, u64)>,
}

impl Default for About {
    fn default() -> Self {
        Self {
            uid: u32::MAX,
            euid: u32::MAX,
            gid: u32::MAX,
            origin: String::new(),
            exe: None,
            argv: Vec::new(),
            argv_truncated: false,
            cwd: None,
            comm: String::new(),
            user: None,
            auid: None,
            session: None,
            cgroup: None,
            mount_ns: 0,
            pid_ns: 0,
            started: 0,
            executed: None,
            spawner: None,
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Exe {
    path: String,
    truncated: bool,
    device: u32,
    inode: u64,
    nlink: u32,
    mode: u32,
    size: u64,
}

const SECOND: u64 = 1_000_000_000;

impl About {
    fn of(process: &Process) -> Self {
        let exe = process.exe.as_ref().map(|exe| Exe {
            path: exe.path.clone(),
            truncated: exe.truncated,
            device: exe.device,
            inode: exe.inode,
            nlink: exe.nlink,
            mode: exe.mode,
            size: exe.size,
        });
        let whole = |wall: u64| wall / SECOND * SECOND;
        Self {
            origin: origin(process.origin).to_owned(),
            exe,
            argv: process.argv.clone(),
            argv_truncated: process.argv_truncated,
            cwd: process.cwd.clone(),
            comm: process.comm.clone(),
            uid: process.uid,
            euid: process.euid,
            gid: process.gid,
            user: process.user.as_deref().map(str::to_owned),
            auid: process.auid,
            session: process.session,
            cgroup: process.cgroup.clone(),
            mount_ns: process.mount_ns,
            pid_ns: process.pid_ns,
            started: whole(process.started.wall),
            executed: process.executed.map(|time| (time.boot, whole(time.wall))),
            spawner: process.spawner.map(|key| (key.tgid, key.start)),
        }
    }

    /// `boot` is that of the process, where it is not this one: then its times since boot mean
    /// nothing here.
    fn process(self, key: ProcessKey, boot: Option<Arc<str>>) -> Process {
        let here = |since: u64| if boot.is_none() { since } else { 0 };
        let exe = self.exe.map(|exe| Executable {
            path: exe.path,
            truncated: exe.truncated,
            device: exe.device,
            inode: exe.inode,
            nlink: exe.nlink,
            mode: exe.mode,
            size: exe.size,
        });
        let started = Timestamp {
            boot: here(key.start),
            wall: self.started,
        };
        let spawner = self.spawner;
        Process {
            origin: to_origin(&self.origin),
            exe,
            argv: self.argv,
            argv_truncated: self.argv_truncated,
            cwd: self.cwd,
            comm: self.comm,
            uid: self.uid,
            euid: self.euid,
            gid: self.gid,
            user: self.user.map(Into::into),
            auid: self.auid,
            session: self.session,
            cgroup: self.cgroup,
            mount_ns: self.mount_ns,
            pid_ns: self.pid_ns,
            executed: self.executed.map(|(since, wall)| Timestamp {
                boot: here(since),
                wall,
            }),
            spawner: spawner.map(|(tgid, start)| ProcessKey::new(tgid, start)),
            boot,
            ..Process::of_key(key, None, started)
        }
    }
}

/// Nobody in particular.
pub(super) fn nobody() -> Actor {
    Actor {
        process: Arc::new(Process::unknown(Timestamp::default())),
        ancestry: Vec::new(),
    }
}

/// The row of a boot.
pub(super) fn boot_row(connection: &Connection, boot: &str) -> rusqlite::Result<i64> {
    let found = connection
        .prepare_cached("SELECT id FROM boots WHERE boot = ?1")?
        .query_row([boot], |row| row.get(0))
        .optional()?;
    if let Some(row) = found {
        return Ok(row);
    }
    connection.execute("INSERT INTO boots (boot) VALUES (?1)", [boot])?;
    Ok(connection.last_insert_rowid())
}

/// The row of a process with those it descends from, which are entered where they are new.
/// `None` for nobody in particular.
pub(super) fn actor_row(
    connection: &Connection,
    boot: &str,
    process: &Process,
    ancestry: &[Arc<Process>],
) -> rusqlite::Result<Option<i64>> {
    let mut spawner = None;
    for process in ancestry.iter().rev().map(Arc::as_ref) {
        spawner = Some(process_row(connection, boot, process, spawner)?);
    }
    if !process.key.is_known() && process.key.tgid == 0 {
        return Ok(None);
    }
    process_row(connection, boot, process, spawner).map(Some)
}

fn process_row(
    connection: &Connection,
    boot: &str,
    process: &Process,
    spawner: Option<i64>,
) -> rusqlite::Result<i64> {
    let boot = boot_row(connection, process.boot.as_deref().unwrap_or(boot))?;
    let about = serde_json::to_string(&About::of(process))
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let (pid, start) = (process.key.tgid, signed(process.key.start));
    let found = connection
        .prepare_cached(
            "SELECT id FROM processes WHERE pid = ?1 AND start = ?2 AND boot = ?3 \
             AND spawner IS ?4 AND about = ?5",
        )?
        .query_row(params![pid, start, boot, spawner, about], |row| row.get(0))
        .optional()?;
    if let Some(row) = found {
        return Ok(row);
    }
    connection
        .prepare_cached(
            "INSERT INTO processes (boot, pid, start, spawner, about) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![boot, pid, start, spawner, about])?;
    Ok(connection.last_insert_rowid())
}

/// Reads processes back; each row is read once.
pub(super) struct Processes<'a> {
    connection: &'a Connection,
    /// The boot that is now.
    boot: &'a str,
    boots: HashMap<i64, Option<Arc<str>>>,
    known: HashMap<i64, (Arc<Process>, Option<i64>)>,
}

impl<'a> Processes<'a> {
    pub(super) fn new(connection: &'a Connection, boot: &'a str) -> Self {
        Self {
            connection,
            boot,
            boots: HashMap::new(),
            known: HashMap::new(),
        }
    }

    /// The id of a boot, unless it is this one.
    pub(super) fn boot(&mut self, row: i64) -> rusqlite::Result<Option<Arc<str>>> {
        if let Some(known) = self.boots.get(&row) {
            return Ok(known.clone());
        }
        let found: Option<String> = self
            .connection
            .prepare_cached("SELECT boot FROM boots WHERE id = ?1")?
            .query_row([row], |row| row.get(0))
            .optional()?;
        let other = match found {
            Some(found) if found == self.boot => None,
            Some(found) => Some(found.into()),
            None => Some("unknown".into()),
        };
        self.boots.insert(row, other.clone());
        Ok(other)
    }

    /// A process with those it descends from.
    pub(super) fn actor(&mut self, row: i64) -> rusqlite::Result<Option<Actor>> {
        let Some((process, mut next)) = self.process(row)? else {
            return Ok(None);
        };
        let mut ancestry = Vec::new();
        while let Some(row) = next
            && ancestry.len() < DEPTH_MAX
        {
            let Some((ancestor, above)) = self.process(row)? else {
                break;
            };
            ancestry.push(ancestor);
            next = above;
        }
        Ok(Some(Actor { process, ancestry }))
    }

    fn process(&mut self, row: i64) -> rusqlite::Result<Option<(Arc<Process>, Option<i64>)>> {
        if let Some(known) = self.known.get(&row) {
            return Ok(Some(known.clone()));
        }
        let read = |row: &Row<'_>| -> rusqlite::Result<(i64, u32, i64, Option<i64>, String)> {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
            ))
        };
        let found = self
            .connection
            .prepare_cached("SELECT boot, pid, start, spawner, about FROM processes WHERE id = ?1")?
            .query_row([row], read)
            .optional()?;
        let Some((boot, pid, start, spawner, about)) = found else {
            return Ok(None);
        };
        let boot = self.boot(boot)?;
        let key = ProcessKey::new(pid, unsigned(start));
        // What a later version wrote and this one cannot read is a process known by its key.
        let about: About = serde_json::from_str(&about).unwrap_or_default();
        let known = (Arc::new(about.process(key, boot)), spawner);
        self.known.insert(row, known.clone());
        Ok(Some(known))
    }
}
