//! Who asked for starts and reloads.

use rusqlite::{Connection, Row, params};

use super::bounds::Limits;
use super::note::RequestNote;
use super::process::{Processes, actor_row, boot_row};
use super::words::{self, LoginWords, signed, unsigned};
use crate::event::Timestamp;

/// Most that are read back.
const REQUESTS_MAX: u32 = 4096;

pub(super) fn write(
    connection: &Connection,
    boot: &str,
    limits: &Limits,
    note: &RequestNote,
) -> rusqlite::Result<()> {
    let json = |error: serde_json::Error| rusqlite::Error::ToSqlConversionFailure(error.into());
    let author = actor_row(connection, boot, &note.by.process, &note.by.ancestry)?;
    let written = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO requests (uid, boot, time, since_boot, manager, trusted, \
             method, class, units, author, about) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            note.uid,
            boot_row(connection, boot)?,
            signed(note.time.wall),
            signed(note.time.boot),
            note.manager.to_string(),
            note.is_trusted(),
            note.method,
            note.class.as_str(),
            serde_json::to_string(&note.units).map_err(json)?,
            author,
            serde_json::to_string(&LoginWords::of(&note.login)).map_err(json)?
        ])?;
    if written > 0 {
        // What anybody may ask does not push out what was surely done.
        connection
            .prepare_cached(
                "DELETE FROM requests WHERE trusted = ?1 AND id <= (SELECT id FROM requests \
                 WHERE trusted = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            )?
            .execute(params![note.is_trusted(), limits.requests])?;
    }
    Ok(())
}

const COLUMNS: &str = "requests.uid, requests.boot, requests.time, requests.since_boot, \
     requests.manager, requests.method, requests.class, requests.units, requests.author, \
     requests.about";

/// A row, and its author's.
fn read_row(row: &Row<'_>) -> rusqlite::Result<(RequestNote, i64, Option<i64>)> {
    let units: String = row.get(7)?;
    let about: String = row.get(9)?;
    let manager: String = row.get(4)?;
    let class: String = row.get(6)?;
    let login: LoginWords = serde_json::from_str(&about).unwrap_or_default();
    let note = RequestNote {
        uid: row.get(0)?,
        time: Timestamp {
            wall: row.get(2).map(unsigned)?,
            boot: row.get(3).map(unsigned)?,
        },
        // A word that this version does not know is nobody's manager.
        manager: words::to_manager(&manager).unwrap_or(crate::event::Manager::Container(manager)),
        by: super::process::nobody(),
        login: login.login(),
        method: row.get(5)?,
        class: words::to_request(&class),
        units: serde_json::from_str(&units).unwrap_or_default(),
    };
    Ok((note, row.get(1)?, row.get(8)?))
}

fn complete(
    rows: Vec<(RequestNote, i64, Option<i64>)>,
    processes: &mut Processes<'_>,
) -> rusqlite::Result<Vec<RequestNote>> {
    let mut notes = Vec::new();
    for (mut note, boot, author) in rows {
        if processes.boot(boot)?.is_some() {
            note.time.boot = 0;
        }
        let by = match author {
            Some(row) => processes.actor(row)?,
            None => None,
        };
        note.by = by.unwrap_or(note.by);
        notes.push(note);
    }
    Ok(notes)
}

/// Those of this boot, oldest first.
pub(super) fn of_boot(connection: &Connection, boot: &str) -> rusqlite::Result<Vec<RequestNote>> {
    let mut rows = connection.prepare(&format!(
        "SELECT {COLUMNS} FROM requests \
         WHERE boot = (SELECT id FROM boots WHERE boot = ?1) ORDER BY id DESC LIMIT ?2"
    ))?;
    let rows = rows.query_map((boot, REQUESTS_MAX), read_row)?;
    let mut rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    rows.reverse();
    complete(rows, &mut Processes::new(connection, boot))
}

/// Those that name a unit, newest first.
pub(super) fn of_unit(
    connection: &Connection,
    boot: &str,
    unit: &str,
    limit: u32,
) -> rusqlite::Result<Vec<RequestNote>> {
    let mut rows = connection.prepare(&format!(
        "SELECT {COLUMNS} FROM requests \
         WHERE EXISTS (SELECT 1 FROM json_each(requests.units) WHERE value = ?1) \
         ORDER BY id DESC LIMIT ?2"
    ))?;
    let rows = rows.query_map((unit, limit), read_row)?;
    let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    complete(rows, &mut Processes::new(connection, boot))
}
