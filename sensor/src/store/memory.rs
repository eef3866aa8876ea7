//! What an agent that starts has to know of what earlier ones saw.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::lineage::{self, Remembered};
use super::note::RequestNote;
use super::packaging::PackagingWords;
use super::process::Processes;
use super::requests;
use super::words::{self, LEARNED, TriggerWords, unsigned};
use super::write::AboutVersion;
use crate::event::{
    Actor, Between, Change, FileClass, FileIdentity, LinkTarget, Manager, Process, Tier, Timestamp,
    Trigger,
};
use crate::systemd::load_path::Serves;

/// Most changes that are read back: one for each file.
const CHANGES_MAX: i64 = 8192;
/// Most starts of units that are read back.
const RUNS_MAX: i64 = 4096;

/// What a name stood for when it was last known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A file with this SHA-256.
    Sha256(String),
    /// A symbolic link with this text.
    Link(String),
    /// Something that was not read.
    Unknown,
}

/// A file as it was last known.
#[derive(Clone, Debug)]
pub struct KnownFile {
    /// What the name stood for.
    pub content: Content,
    /// What it is to systemd.
    pub class: FileClass,
    /// Whose definition it is part of.
    pub unit: Option<String>,
    /// Whose manager reads it.
    pub serves: Serves,
}

/// A change from before, for the correlator.
#[derive(Clone, Debug)]
pub struct PastChange {
    /// Its row: later changes have higher ones.
    pub(super) row: i64,
    /// `metadata.uid` of its event; empty if it had none.
    pub uid: String,
    /// When. Of another boot the time since boot is 0: it lies before all of this one.
    pub time: Timestamp,
    /// Whose manager reads the file.
    pub serves: Serves,
    /// What.
    pub change: Change,
}

/// A start of a unit in this boot.
#[derive(Clone, Debug)]
pub struct PastRun {
    /// Whose unit.
    pub manager: Manager,
    /// The unit.
    pub unit: String,
    /// The start.
    pub invocation: String,
    /// Why.
    pub trigger: Trigger,
    /// Why the unit was started that brought it.
    pub behind: Option<Trigger>,
}

/// What earlier agents kept.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// When the last one was known to watch, in nanoseconds since the epoch; `None` if there
    /// was none.
    pub alive: Option<u64>,
    /// Whether that was in this boot.
    pub same_boot: bool,
    /// Whether that agent did not say that it ends.
    pub cut_off: bool,
    /// The files that were there, by name.
    pub files: HashMap<String, KnownFile>,
    /// The latest change to each of them, oldest first.
    pub changes: Vec<PastChange>,
    /// Units that were the subject of a finding, with how many of `changes` had happened then.
    pub told: Vec<(Manager, String, usize)>,
    /// Starts of units in this boot, oldest first.
    pub runs: Vec<PastRun>,
    /// Starts and reloads that were asked for in this boot, oldest first.
    pub requests: Vec<RequestNote>,
    /// Processes of this boot.
    pub lineage: Remembered,
}

pub(super) fn read(connection: &Connection, boot: &str) -> rusqlite::Result<Memory> {
    let last: Option<(i64, String, bool)> = connection
        .query_row(
            "SELECT alive, boots.boot, ended IS NULL FROM agents JOIN boots ON boots.id = agents.boot \
             ORDER BY agents.id DESC LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    let changes = changes(connection, boot)?;
    Ok(Memory {
        alive: last.as_ref().map(|(alive, ..)| unsigned(*alive)),
        cut_off: last.as_ref().is_some_and(|(.., cut_off)| *cut_off),
        same_boot: last.is_some_and(|(_, of, _)| of == boot),
        files: files(connection)?,
        told: told(connection, &changes)?,
        changes,
        runs: runs(connection, boot)?,
        requests: requests::of_boot(connection, boot)?,
        lineage: lineage::read(connection, boot)?,
    })
}

fn files(connection: &Connection) -> rusqlite::Result<HashMap<String, KnownFile>> {
    let mut rows = connection.prepare(
        "SELECT path, class, unit, serves, sha256, target FROM files LEFT JOIN changes \
         ON changes.id = (SELECT max(id) FROM changes WHERE file = files.id) WHERE present = 1",
    )?;
    let rows = rows.query_map([], |row| {
        let sha256: Option<String> = row.get(4)?;
        let target: Option<String> = row.get(5)?;
        let content = match (sha256, target) {
            (Some(sha256), _) => Content::Sha256(sha256),
            (None, Some(text)) => Content::Link(text),
            (None, None) => Content::Unknown,
        };
        let known = KnownFile {
            content,
            class: words::to_class(&row.get::<_, String>(1)?).unwrap_or(FileClass::Other),
            unit: row.get(2)?,
            serves: words::to_serves(&row.get::<_, String>(3)?),
        };
        Ok((row.get(0)?, known))
    })?;
    rows.collect()
}

fn changes(connection: &Connection, boot: &str) -> rusqlite::Result<Vec<PastChange>> {
    let mut processes = Processes::new(connection, boot);
    let mut rows = connection.prepare(&format!(
        "SELECT {VERSION_COLUMNS} FROM files JOIN changes \
         ON changes.id = (SELECT max(id) FROM changes WHERE file = files.id) \
         WHERE present = 1 AND verb != '{LEARNED}' AND unit IS NOT NULL \
         ORDER BY changes.id DESC LIMIT ?1"
    ))?;
    let rows = rows.query_map([CHANGES_MAX], VersionRow::read)?;
    let mut found = Vec::new();
    for row in rows {
        found.extend(row?.past(&mut processes)?);
    }
    found.reverse();
    Ok(found)
}

/// What [`VersionRow::read`] reads.
pub(super) const VERSION_COLUMNS: &str = "path, class, unit, serves, changes.id, uid, boot, time, \
     since_boot, after, verb, source, target, sha256, writer, requester, request, about, packaging";

/// A version of a file, as it stands in the database.
#[derive(Debug)]
pub(super) struct VersionRow {
    pub(super) path: String,
    pub(super) class: String,
    pub(super) unit: Option<String>,
    pub(super) serves: String,
    pub(super) row: i64,
    pub(super) uid: Option<String>,
    pub(super) boot: i64,
    pub(super) time: u64,
    pub(super) since_boot: u64,
    pub(super) after: Option<u64>,
    pub(super) verb: String,
    pub(super) source: Option<String>,
    pub(super) target: Option<String>,
    pub(super) sha256: Option<String>,
    pub(super) writer: Option<i64>,
    pub(super) requester: Option<i64>,
    pub(super) request: Option<String>,
    pub(super) about: AboutVersion,
    pub(super) packaging: Option<String>,
}

impl VersionRow {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let number = |at: usize| row.get(at).map(unsigned);
        let about: String = row.get(17)?;
        Ok(Self {
            path: row.get(0)?,
            class: row.get(1)?,
            unit: row.get(2)?,
            serves: row.get(3)?,
            row: row.get(4)?,
            uid: row.get(5)?,
            boot: row.get(6)?,
            time: number(7)?,
            since_boot: number(8)?,
            after: row.get::<_, Option<i64>>(9)?.map(unsigned),
            verb: row.get(10)?,
            source: row.get(11)?,
            target: row.get(12)?,
            sha256: row.get(13)?,
            writer: row.get(14)?,
            requester: row.get(15)?,
            request: row.get(16)?,
            about: serde_json::from_str(&about).unwrap_or_default(),
            packaging: row.get(18)?,
        })
    }

    /// As the change that it was. `None` for what this version does not know of.
    fn past(self, processes: &mut Processes<'_>) -> rusqlite::Result<Option<PastChange>> {
        let Some(verb) = words::to_verb(&self.verb) else {
            return Ok(None);
        };
        let here = processes.boot(self.boot)?.is_none();
        let time = Timestamp {
            boot: if here { self.since_boot } else { 0 },
            wall: self.time,
        };
        let writer = match self.writer {
            Some(row) => processes.actor(row)?,
            None => None,
        };
        let packaging = PackagingWords::read(self.packaging.as_deref(), writer.as_ref());
        let mut about = self.about;
        let asked = about.asked.take().zip(self.request);
        let on_behalf_of = match self.requester {
            Some(row) => processes
                .actor(row)?
                .zip(asked)
                .map(|(author, (asked, method))| asked.on_behalf_of(author, method, here)),
            None => None,
        };
        let link = self.target.as_ref().map(|text| LinkTarget {
            text: text.clone(),
            path: about.link_path,
            sha256: about.link_sha256,
            size: None,
            mode: None,
        });
        let content = crate::event::Content {
            sha256: self.sha256,
            size: Some(about.size),
            mode: Some(about.mode),
            previous_sha256: about.previous_sha256,
            link,
            gap: about.gap,
            ..crate::event::Content::default()
        };
        let change = Change {
            verb,
            path: self.path,
            truncated: false,
            from: self.source,
            target: self.target,
            object: FileIdentity {
                device: about.device,
                inode: about.inode,
                size: about.size,
                mode: about.mode,
                nlink: about.nlink,
                uid: about.owner,
            },
            class: words::to_class(&self.class).unwrap_or(FileClass::Other),
            unit: self.unit,
            truncates: about.truncates,
            tier: words::to_tier(&about.tier).unwrap_or(Tier::Tracepoint),
            writer: writer.unwrap_or_else(|| Actor {
                process: Arc::new(Process::unknown(time)),
                ancestry: Vec::new(),
            }),
            on_behalf_of: on_behalf_of.map(Box::new),
            content: Some(Box::new(content)),
            between: self.after.map(|after| Between {
                after: Timestamp {
                    boot: 0,
                    wall: after,
                },
                before: time,
            }),
            unseen: None,
            packaging: packaging.map(Box::new),
        };
        Ok(Some(PastChange {
            row: self.row,
            uid: self.uid.unwrap_or_default(),
            time,
            serves: words::to_serves(&self.serves),
            change,
        }))
    }
}

fn told(
    connection: &Connection,
    changes: &[PastChange],
) -> rusqlite::Result<Vec<(Manager, String, usize)>> {
    let mut rows = connection
        .prepare("SELECT manager, told.unit, changes.id FROM told JOIN changes USING (uid)")?;
    let rows = rows.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, i64>(2)?))
    })?;
    let mut told = Vec::new();
    for row in rows {
        let (manager, unit, newest) = row?;
        if let Some(manager) = words::to_manager(&manager) {
            let count = changes.partition_point(|past| past.row <= newest);
            told.push((manager, unit, count));
        }
    }
    Ok(told)
}

fn runs(connection: &Connection, boot: &str) -> rusqlite::Result<Vec<PastRun>> {
    let mut rows = connection.prepare(
        "SELECT manager, unit, invocation, trigger, behind FROM runs \
         WHERE boot = (SELECT id FROM boots WHERE boot = ?1) AND invocation IS NOT NULL \
         ORDER BY id DESC LIMIT ?2",
    )?;
    let rows = rows.query_map((boot, RUNS_MAX), |row| {
        let manager: String = row.get(0)?;
        let trigger: String = row.get(3)?;
        let behind: Option<String> = row.get(4)?;
        let read = |text: &str| {
            let words = serde_json::from_str::<TriggerWords>(text).ok()?;
            Some(words.trigger(true))
        };
        let run = words::to_manager(&manager).zip(read(&trigger));
        Ok(match run {
            Some((manager, trigger)) => Some(PastRun {
                manager,
                unit: row.get(1)?,
                invocation: row.get(2)?,
                trigger,
                behind: behind.as_deref().and_then(read),
            }),
            None => None,
        })
    })?;
    let mut found = rows
        .filter_map(rusqlite::Result::transpose)
        .collect::<rusqlite::Result<Vec<_>>>()?;
    found.reverse();
    Ok(found)
}
