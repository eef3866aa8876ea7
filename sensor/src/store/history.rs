//! What is kept, for whoever asks: read while an agent writes, or while none runs.

use std::path::Path;

use rusqlite::{Connection, Row};

use super::database::{FILE, connect_to_read};
use super::error::StoreError;
use super::memory::{VERSION_COLUMNS, VersionRow};
use super::note::{FindingNote, RequestNote};
use super::packaging::PackagingWords;
use super::process::Processes;
use super::requests;
use super::words::{self, AskedWords, LEARNED, TriggerWords, unsigned};
use crate::event::{Actor, Packaging, Trigger};

/// A look at the store.
#[derive(Debug)]
pub struct History {
    connection: Connection,
    boot: String,
    path: std::path::PathBuf,
}

/// Who made a version of a file.
#[derive(Clone, Debug)]
pub enum VersionWriter {
    /// This one.
    Known(Actor),
    /// Nobody saw; it was made after this wall time in nanoseconds.
    UnknownSince(u64),
    /// It was there when it was first looked at.
    Before,
}

/// One version of a file.
#[derive(Clone, Debug)]
pub struct Version {
    /// The file.
    pub path: String,
    /// What it is to systemd.
    pub class: String,
    /// Whose definition it is part of.
    pub unit: Option<String>,
    /// Whose manager reads it.
    pub serves: String,
    /// Whether it is there, if this is the latest version.
    pub present: bool,
    /// Whether it is the latest version.
    pub latest: bool,
    /// What was done: `create`, `remove` … or `learned`.
    pub verb: String,
    /// When, in nanoseconds since the epoch.
    pub time: u64,
    /// Until when it was known to be so.
    pub until: u64,
    /// Where a rename or hard link came from.
    pub source: Option<String>,
    /// Text of a symbolic link.
    pub target: Option<String>,
    /// SHA-256 of the content.
    pub sha256: Option<String>,
    /// Who wrote it.
    pub writer: VersionWriter,
    /// Who asked the writer for it.
    pub requester: Option<Requester>,
    /// What package managers had to do with it.
    pub packaging: Option<Packaging>,
    /// `metadata.uid` of the change.
    pub uid: Option<String>,
}

/// Who asked for a version of a file.
#[derive(Clone, Debug)]
pub struct Requester {
    /// Who.
    pub by: Actor,
    /// By which method.
    pub method: Option<String>,
    /// When, in nanoseconds since the epoch; 0 if that is not kept.
    pub time: u64,
    /// Why it is not certain.
    pub doubt: Option<String>,
}

/// One start of a unit.
#[derive(Clone, Debug)]
pub struct RunRow {
    /// Whose unit.
    pub manager: String,
    /// The unit.
    pub unit: String,
    /// The start.
    pub invocation: Option<String>,
    /// When, in nanoseconds since the epoch.
    pub time: u64,
    /// Why.
    pub trigger: Option<Trigger>,
    /// Why the unit was started that brought it.
    pub behind: Option<Trigger>,
    /// The first process.
    pub process: Option<Actor>,
    /// `metadata.uid` of its exec.
    pub uid: Option<String>,
}

/// One elapse of a timer.
#[derive(Clone, Debug)]
pub struct FiringRow {
    /// Whose timer.
    pub manager: String,
    /// The timer.
    pub timer: String,
    /// When, in nanoseconds since the epoch.
    pub time: u64,
    /// What it starts.
    pub triggers: Vec<String>,
}

/// The store could not answer.
pub type LookupError = StoreError;

impl History {
    /// Opens the store in `directory`. `boot` is the id of the boot that is now.
    ///
    /// # Errors
    ///
    /// When there is none or it cannot be read.
    pub fn open(directory: &Path, boot: &str) -> Result<Self, LookupError> {
        Ok(Self {
            connection: connect_to_read(directory)?,
            boot: boot.to_owned(),
            path: directory.join(FILE),
        })
    }

    fn ask<T>(&self, answer: impl FnOnce() -> rusqlite::Result<T>) -> Result<T, LookupError> {
        answer().map_err(StoreError::sqlite(&self.path))
    }

    /// When an agent was last known to watch, in nanoseconds since the epoch.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn alive(&self) -> Result<u64, LookupError> {
        let alive = "SELECT coalesce(max(alive), 0) FROM agents";
        self.ask(|| self.connection.query_row(alive, [], |row| row.get(0)))
            .map(unsigned)
    }

    /// All versions of a file, oldest first.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn versions(&self, path: &str) -> Result<Vec<Version>, LookupError> {
        self.versions_where("path = ?1", path)
    }

    /// All versions of the files whose unit is `unit` (a name as in the store: a unit, a
    /// template, a drop-in directory's stem), by file and age.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn versions_of_unit(&self, unit: &str) -> Result<Vec<Version>, LookupError> {
        self.versions_where("unit = ?1", unit)
    }

    fn versions_where(&self, condition: &str, text: &str) -> Result<Vec<Version>, LookupError> {
        let alive = self.alive()?;
        self.ask(|| {
            let mut processes = Processes::new(&self.connection, &self.boot);
            let mut rows = self.connection.prepare(&format!(
                "SELECT {VERSION_COLUMNS}, present FROM files JOIN changes \
                 ON changes.file = files.id WHERE {condition} ORDER BY path, changes.id"
            ))?;
            let rows = rows.query_map([text], |row| {
                Ok((VersionRow::read(row)?, row.get::<_, bool>(19)?))
            })?;
            let mut versions: Vec<Version> = Vec::new();
            for row in rows {
                let (row, present) = row?;
                if let Some(before) = versions.last_mut().filter(|last| last.path == row.path) {
                    before.latest = false;
                    before.until = row.after.unwrap_or(row.time);
                }
                versions.push(version(row, present, alive, &mut processes)?);
            }
            Ok(versions)
        })
    }

    /// The starts of a unit, newest first.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn runs(&self, unit: &str, limit: u32) -> Result<Vec<RunRow>, LookupError> {
        self.runs_where("unit = ?1", unit, limit)
    }

    /// The starts that a timer led to, newest first.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn runs_of_timer(&self, timer: &str, limit: u32) -> Result<Vec<RunRow>, LookupError> {
        self.runs_where("timer = ?1", timer, limit)
    }

    fn runs_where(
        &self,
        condition: &str,
        text: &str,
        limit: u32,
    ) -> Result<Vec<RunRow>, LookupError> {
        self.ask(|| {
            let mut processes = Processes::new(&self.connection, &self.boot);
            let mut rows = self.connection.prepare(&format!(
                "SELECT manager, unit, invocation, time, trigger, behind, process, uid, boot \
                 FROM runs WHERE {condition} ORDER BY id DESC LIMIT ?2"
            ))?;
            let rows = rows.query_map((text, limit), |row| {
                let trigger = |at: usize| -> rusqlite::Result<Option<TriggerWords>> {
                    let text: Option<String> = row.get(at)?;
                    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
                };
                let process: Option<i64> = row.get(6)?;
                let boot: i64 = row.get(8)?;
                let run = RunRow {
                    manager: row.get(0)?,
                    unit: row.get(1)?,
                    invocation: row.get(2)?,
                    time: row.get(3).map(unsigned)?,
                    trigger: None,
                    behind: None,
                    process: None,
                    uid: row.get(7)?,
                };
                Ok((run, trigger(4)?, trigger(5)?, process, boot))
            })?;
            let mut runs = Vec::new();
            for row in rows {
                let (run, trigger, behind, process, boot) = row?;
                let here = processes.boot(boot)?.is_none();
                runs.push(RunRow {
                    trigger: trigger.map(|words| words.trigger(here)),
                    behind: behind.map(|words| words.trigger(here)),
                    process: match process {
                        Some(row) => processes.actor(row)?,
                        None => None,
                    },
                    ..run
                });
            }
            Ok(runs)
        })
    }

    /// The elapses of a timer, newest first, and how many are kept.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn firings(&self, timer: &str, limit: u32) -> Result<(Vec<FiringRow>, u64), LookupError> {
        self.ask(|| {
            let count: i64 = self.connection.query_row(
                "SELECT count(*) FROM firings WHERE timer = ?1",
                [timer],
                |row| row.get(0),
            )?;
            let mut rows = self.connection.prepare(
                "SELECT manager, timer, time, triggers FROM firings WHERE timer = ?1 \
                 ORDER BY id DESC LIMIT ?2",
            )?;
            let rows = rows.query_map((timer, limit), |row| {
                let triggers: String = row.get(3)?;
                Ok(FiringRow {
                    manager: row.get(0)?,
                    timer: row.get(1)?,
                    time: row.get(2).map(unsigned)?,
                    triggers: serde_json::from_str(&triggers).unwrap_or_default(),
                })
            })?;
            let firings = rows.collect::<rusqlite::Result<_>>()?;
            Ok((firings, unsigned(count)))
        })
    }

    /// Who asked for starts of a unit, newest first.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn requests(&self, unit: &str, limit: u32) -> Result<Vec<RequestNote>, LookupError> {
        self.ask(|| requests::of_unit(&self.connection, &self.boot, unit, limit))
    }

    /// A finding by its uid.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn finding(&self, uid: &str) -> Result<Option<FindingNote>, LookupError> {
        let mut found = self.findings_where("uid = ?1", uid)?;
        Ok(found.pop())
    }

    /// The findings about a unit, newest first.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn findings_of_unit(&self, unit: &str) -> Result<Vec<FindingNote>, LookupError> {
        self.findings_where("unit = ?1", unit)
    }

    fn findings_where(&self, condition: &str, text: &str) -> Result<Vec<FindingNote>, LookupError> {
        let read = |row: &Row<'_>| {
            Ok(FindingNote {
                uid: row.get(0)?,
                time: row.get(1).map(unsigned)?,
                code: row.get(2)?,
                severity: row.get(3)?,
                unit: row.get(4)?,
                title: row.get(5)?,
                event: row.get(6)?,
            })
        };
        self.ask(|| {
            let mut rows = self.connection.prepare(&format!(
                "SELECT uid, time, code, severity, unit, title, event FROM findings \
                 WHERE {condition} ORDER BY id DESC LIMIT 100"
            ))?;
            rows.query_map([text], read)?.collect()
        })
    }

    /// What is kept of a process of this boot that started within `tick` nanoseconds from `start`:
    /// its latest image, with those it descends from.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn process(&self, pid: u32, start: u64, tick: u64) -> Result<Option<Actor>, LookupError> {
        self.ask(|| {
            let mut processes = Processes::new(&self.connection, &self.boot);
            let mut rows = self.connection.prepare(
                "SELECT processes.id FROM processes JOIN boots ON boots.id = processes.boot \
                 WHERE pid = ?1 AND start >= ?2 AND start < ?3 AND boots.boot = ?4 \
                 ORDER BY processes.id DESC LIMIT 1",
            )?;
            let from = words::signed(start);
            let to = words::signed(start.saturating_add(tick));
            let mut rows = rows.query((pid, from, to, &self.boot))?;
            match rows.next()? {
                Some(row) => processes.actor(row.get(0)?),
                None => Ok(None),
            }
        })
    }
}

fn version(
    row: VersionRow,
    present: bool,
    alive: u64,
    processes: &mut Processes<'_>,
) -> rusqlite::Result<Version> {
    let mut actor = |row: Option<i64>| match row {
        Some(row) => processes.actor(row),
        None => Ok(None),
    };
    let writer = actor(row.writer)?;
    let packaging = PackagingWords::read(row.packaging.as_deref(), writer.as_ref());
    let writer = match (writer, row.after) {
        (Some(writer), _) => VersionWriter::Known(writer),
        (None, Some(after)) => VersionWriter::UnknownSince(after),
        (None, None) if row.verb == LEARNED => VersionWriter::Before,
        (None, None) => VersionWriter::UnknownSince(row.time),
    };
    let asked = row.about.asked.as_ref();
    let (doubt, asked_at) = asked.map(AskedWords::doubt).unwrap_or_default();
    let requester = actor(row.requester)?.map(|by| Requester {
        by,
        method: row.request,
        time: asked_at,
        doubt: doubt.map(str::to_owned),
    });
    Ok(Version {
        path: row.path,
        class: row.class,
        unit: row.unit,
        serves: row.serves,
        present,
        latest: true,
        verb: row.verb,
        time: row.time,
        until: alive.max(row.time),
        source: row.source,
        target: row.target,
        sha256: row.sha256,
        writer,
        requester,
        packaging,
        uid: row.uid,
    })
}
