//! From notes to rows.

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::bounds::{Limits, trim_versions};
use super::lineage;
use super::note::{ChangeNote, FindingNote, FiringNote, Note, PackageNote, RunNote};
use super::packaging::PackagingWords;
use super::process::{actor_row, boot_row};
use super::requests;
use super::words::{self, AskedWords, LEARNED, TriggerWords, signed};
use crate::event::{Actor, Change, FileClass, Verb};
use crate::systemd::load_path::Serves;

/// Most files below a directory that get a version when it is renamed.
const BELOW_MAX: i64 = 1024;

/// What is said of a version beside the columns, as JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct AboutVersion {
    pub(super) device: u32,
    pub(super) inode: u64,
    pub(super) nlink: u32,
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) owner: u32,
    pub(super) truncates: bool,
    pub(super) tier: String,
    pub(super) previous_sha256: Option<String>,
    /// Of a link: where it leads, and what is there.
    pub(super) link_path: Option<String>,
    pub(super) link_sha256: Option<String>,
    pub(super) gap: Option<String>,
    /// The request that the writer carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) asked: Option<AskedWords>,
}

impl AboutVersion {
    fn of(change: &Change) -> Self {
        let content = change.content.as_deref();
        let link = content.and_then(|content| content.link.as_ref());
        let object = &change.object;
        Self {
            device: object.device,
            inode: object.inode,
            nlink: object.nlink,
            mode: content
                .and_then(|content| content.mode)
                .unwrap_or(object.mode),
            size: content
                .and_then(|content| content.size)
                .unwrap_or(object.size),
            owner: object.uid,
            truncates: change.truncates,
            tier: change.tier.as_str().to_owned(),
            previous_sha256: content.and_then(|content| content.previous_sha256.clone()),
            link_path: link.and_then(|link| link.path.clone()),
            link_sha256: link.and_then(|link| link.sha256.clone()),
            gap: content.and_then(|content| content.gap.clone()),
            asked: change.on_behalf_of.as_deref().map(AskedWords::of),
        }
    }
}

/// Writes one note. `boot` is the boot that is now.
pub(super) fn note(
    connection: &Connection,
    boot: &str,
    limits: &Limits,
    note: &Note,
) -> rusqlite::Result<()> {
    match note {
        Note::Change(change) => self::change(connection, boot, limits, change),
        Note::Request(request) => requests::write(connection, boot, limits, request),
        Note::Package(package) => self::package(connection, package),
        Note::Told { manager, unit, uid } => connection
            .execute(
                "INSERT OR REPLACE INTO told (manager, unit, uid) VALUES (?1, ?2, ?3)",
                params![manager.to_string(), unit, uid],
            )
            .map(drop),
        Note::Finding(finding) => self::finding(connection, finding),
        Note::Firing(firing) => self::firing(connection, boot, limits, firing),
        Note::Run(run) => self::run(connection, boot, limits, run),
        Note::Lineage(lineage) => lineage::write(connection, boot, lineage),
        Note::Ended(time) => connection
            .execute(
                "UPDATE agents SET alive = ?1, ended = ?1 WHERE id = (SELECT max(id) FROM agents)",
                [signed(*time)],
            )
            .map(drop),
        Note::Alive(time) => connection
            .execute(
                "UPDATE agents SET alive = ?1 WHERE id = (SELECT max(id) FROM agents)",
                [signed(*time)],
            )
            .map(drop),
    }
}

/// Whether changes of it are versions of something: of the rest only the event tells.
fn is_kept(change: &Change) -> bool {
    change.unit.is_some() || !matches!(change.class, FileClass::Directory | FileClass::Other)
}

fn change(
    connection: &Connection,
    boot: &str,
    limits: &Limits,
    note: &ChangeNote,
) -> rusqlite::Result<()> {
    let change = &note.change;
    if let Some(uid) = &note.uid {
        let known = connection
            .prepare_cached("SELECT 1 FROM changes WHERE uid = ?1")?
            .exists([uid])?;
        if known {
            // Tried before, and the answer was lost; or only now it is known who reads the file.
            return serves(connection, &change.path, &note.serves);
        }
    }
    let writer = |actor: &Actor| actor_row(connection, boot, &actor.process, &actor.ancestry);
    let mut row = ChangeRow {
        uid: note.uid.as_deref(),
        writer: writer(&change.writer)?,
        requester: None,
        method: None,
        boot: boot_row(connection, boot)?,
        note,
    };
    if let Some(of) = &change.on_behalf_of {
        row.requester = writer(&of.author)?;
        row.method = Some(&of.method);
    }
    let moved_from = change
        .from
        .as_deref()
        .filter(|_| change.verb == Verb::Rename);
    if let Some(from) = moved_from {
        move_below(connection, limits, &row, from)?;
        gone(connection, from)?;
    }
    if matches!(change.verb, Verb::Unlink | Verb::Rmdir) {
        gone(connection, &change.path)?;
    }
    if !is_kept(change) {
        return Ok(());
    }
    let present = !matches!(change.verb, Verb::Unlink | Verb::Rmdir);
    let file = file_row(connection, &change.path, change, &note.serves, present)?;
    row.insert(connection, limits, file, Known::of(change))
}

/// What a name stands for, by content.
#[derive(Debug, Default)]
struct Known {
    sha256: Option<String>,
    target: Option<String>,
}

impl Known {
    fn of(change: &Change) -> Self {
        let content = change.content.as_ref();
        let link = content.and_then(|content| content.link.as_ref());
        Self {
            sha256: content.and_then(|content| content.sha256.clone()),
            target: link
                .map(|link| link.text.clone())
                .or_else(|| change.target.clone()),
        }
    }
}

struct ChangeRow<'a> {
    uid: Option<&'a str>,
    writer: Option<i64>,
    requester: Option<i64>,
    method: Option<&'a String>,
    boot: i64,
    note: &'a ChangeNote,
}

impl ChangeRow<'_> {
    fn insert(
        &self,
        connection: &Connection,
        limits: &Limits,
        file: i64,
        known: Known,
    ) -> rusqlite::Result<()> {
        let ChangeNote { time, change, .. } = self.note;
        let about = serde_json::to_string(&AboutVersion::of(change))
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let verb = match self.uid {
            None if change.between.is_none() => LEARNED,
            _ => words::verb(change.verb),
        };
        let after = change.between.map(|between| signed(between.after.wall));
        connection
            .prepare_cached(
                "INSERT INTO changes (file, uid, boot, time, since_boot, after, verb, source, \
                 target, sha256, writer, requester, request, about, packaging) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            )?
            .execute(params![
                file,
                self.uid,
                self.boot,
                signed(time.wall),
                signed(time.boot),
                after,
                verb,
                change.from,
                known.target,
                known.sha256,
                self.writer,
                self.requester,
                self.method,
                about,
                PackagingWords::text(change.packaging.as_deref(), &change.writer)
            ])?;
        trim_versions(connection, file, limits.versions)?;
        Ok(())
    }
}

/// Notes whose manager reads a file that is known.
fn serves(connection: &Connection, path: &str, serves: &Serves) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE files SET serves = ?2 WHERE path = ?1")?
        .execute(params![path, words::serves(serves)])
        .map(drop)
}

/// The row of a file; what it is to systemd is as of now.
fn file_row(
    connection: &Connection,
    path: &str,
    change: &Change,
    serves: &Serves,
    present: bool,
) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO files (path, class, unit, serves, present) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (path) DO UPDATE SET class = ?2, unit = ?3, serves = ?4, present = ?5 \
             RETURNING id",
        )?
        .query_row(
            params![
                path,
                change.class.as_str(),
                change.unit,
                words::serves(serves),
                present
            ],
            |row| row.get(0),
        )
}

/// A name, and all names below it, stand for nothing any more.
fn gone(connection: &Connection, path: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE files SET present = 0 WHERE present = 1 \
             AND (path = ?1 OR path > ?1 || '/' AND path < ?1 || '0')",
        )?
        .execute([path])
        .map(drop)
}

/// A directory got another name, and with it all that is in it: each file there has a version by
/// whoever renamed the directory, with the content that it had.
fn move_below(
    connection: &Connection,
    limits: &Limits,
    row: &ChangeRow<'_>,
    from: &str,
) -> rusqlite::Result<()> {
    let change = &row.note.change;
    let mut below = connection.prepare_cached(
        "SELECT path, class, unit, sha256, target FROM files JOIN changes ON changes.id = \
         (SELECT max(id) FROM changes WHERE file = files.id) \
         WHERE present = 1 AND path > ?1 || '/' AND path < ?1 || '0' LIMIT ?2",
    )?;
    type Below = (
        String,
        String,
        Option<String>,
        Option<String>,
        Option<String>,
    );
    let found = below.query_map(params![from, BELOW_MAX], |row| -> rusqlite::Result<Below> {
        Ok((
            row.get(0)?,
            row.get(1)?,
            row.get(2)?,
            row.get(3)?,
            row.get(4)?,
        ))
    })?;
    for moved in found.collect::<rusqlite::Result<Vec<_>>>()? {
        let (path, class, unit, sha256, target) = moved;
        let Some(rest) = path.strip_prefix(from) else {
            continue;
        };
        let below = Change {
            path: format!("{}{rest}", change.path),
            class: words::to_class(&class).unwrap_or(change.class),
            // A drop-in directory's own name says whose drop-ins it holds.
            unit: change.unit.clone().or(unit),
            ..change.as_ref().clone()
        };
        let file = file_row(connection, &below.path, &below, &row.note.serves, true)?;
        let named_after_it = ChangeRow { uid: None, ..*row };
        let note = ChangeNote {
            change: below.into(),
            ..row.note.clone()
        };
        let of_file = ChangeRow {
            note: &note,
            ..named_after_it
        };
        of_file.insert_moved(connection, limits, file, Known { sha256, target })?;
    }
    Ok(())
}

impl ChangeRow<'_> {
    fn insert_moved(
        &self,
        connection: &Connection,
        limits: &Limits,
        file: i64,
        known: Known,
    ) -> rusqlite::Result<()> {
        self.insert(connection, limits, file, known)?;
        // It has no event of its own, and yet was not merely found.
        connection
            .prepare_cached("UPDATE changes SET verb = 'rename' WHERE id = ?1")?
            .execute([connection.last_insert_rowid()])
            .map(drop)
    }
}

fn package(connection: &Connection, note: &PackageNote) -> rusqlite::Result<()> {
    let packaging = PackagingWords::text(Some(&note.packaging), &note.writer);
    connection
        .prepare_cached("UPDATE changes SET packaging = ?2 WHERE uid = ?1")?
        .execute(params![note.change, packaging])
        .map(drop)
}

fn finding(connection: &Connection, note: &FindingNote) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO findings (uid, time, code, severity, unit, title, event) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            note.uid,
            signed(note.time),
            note.code,
            note.severity,
            note.unit,
            note.title,
            note.event
        ])
        .map(drop)
}

fn firing(
    connection: &Connection,
    boot: &str,
    limits: &Limits,
    note: &FiringNote,
) -> rusqlite::Result<()> {
    let triggers = serde_json::to_string(&note.triggers).unwrap_or_default();
    let manager = note.manager.to_string();
    connection
        .prepare_cached(
            "INSERT INTO firings (boot, manager, timer, time, since_boot, uid, triggers) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            boot_row(connection, boot)?,
            manager,
            note.timer,
            signed(note.time.wall),
            signed(note.time.boot),
            note.uid,
            triggers
        ])?;
    connection
        .prepare_cached(
            "DELETE FROM firings WHERE timer = ?1 AND manager = ?2 AND id <= (SELECT id FROM \
             firings WHERE timer = ?1 AND manager = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)",
        )?
        .execute(params![note.timer, manager, limits.firings])
        .map(drop)
}

fn run(
    connection: &Connection,
    boot: &str,
    limits: &Limits,
    note: &RunNote,
) -> rusqlite::Result<()> {
    let json = |trigger| serde_json::to_string(&TriggerWords::of(trigger)).unwrap_or_default();
    let process = actor_row(
        connection,
        boot,
        &note.process.process,
        &note.process.ancestry,
    )?;
    let timers = [Some(&note.trigger), note.behind.as_ref()];
    let mut timers = timers.into_iter().flatten();
    let timer = timers.find_map(|trigger| {
        let unit = trigger.unit.as_ref()?;
        unit.ends_with(".timer").then_some(unit)
    });
    let manager = note.manager.to_string();
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO runs (boot, manager, unit, invocation, time, since_boot, \
             timer, trigger, behind, process, uid) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            boot_row(connection, boot)?,
            manager,
            note.unit,
            note.invocation,
            signed(note.time.wall),
            signed(note.time.boot),
            timer,
            json(&note.trigger),
            note.behind.as_ref().map(json),
            process,
            note.uid
        ])?;
    connection
        .prepare_cached(
            "DELETE FROM runs WHERE unit = ?1 AND manager = ?2 AND id <= (SELECT id FROM runs \
             WHERE unit = ?1 AND manager = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)",
        )?
        .execute(params![note.unit, manager, limits.runs])
        .map(drop)
}
