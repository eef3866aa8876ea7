//! Living processes and those they descend from, so that an agent that is started again knows who
//! spawned whom.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::note::{LineageNote, LiveProcess};
use super::process::{Processes, actor_row};
use super::words::{ContextWords, signed, unsigned};
use crate::event::{Process, ProcessKey};

/// Most living processes that are read back.
const LIVE_MAX: i64 = 16_384;

/// What an earlier agent knew of processes of this boot.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// Processes that lived when it last looked.
    pub live: Vec<LiveProcess>,
}

impl Remembered {
    /// Those that others descend from, each once: the ones that ended are known from here alone.
    #[must_use]
    pub fn ancestors(&self) -> Vec<Arc<Process>> {
        let mut seen = std::collections::HashSet::new();
        let all = self.live.iter().flat_map(|live| &live.ancestry);
        all.filter(|process| process.boot.is_none() && seen.insert(process.key))
            .cloned()
            .collect()
    }
}

pub(super) fn write(
    connection: &Connection,
    boot: &str,
    note: &LineageNote,
) -> rusqlite::Result<()> {
    let mut forget = connection.prepare_cached(
        "DELETE FROM lineage WHERE process IN \
         (SELECT id FROM processes WHERE pid = ?1 AND start = ?2)",
    )?;
    let mut forget = |key: &ProcessKey| forget.execute(params![key.tgid, signed(key.start)]);
    for key in &note.gone {
        forget(key)?;
    }
    for live in &note.live {
        forget(&live.process.key)?;
        let Some(row) = actor_row(connection, boot, &live.process, &live.ancestry)? else {
            continue;
        };
        let context = live.systemd.as_deref().map(ContextWords::of);
        let context = context.and_then(|context| serde_json::to_string(&context).ok());
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO lineage (process, cgroup, systemd) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![row, signed(live.cgroup), context])?;
    }
    Ok(())
}

/// Forgets the processes of other boots: they live no more.
pub(super) fn forget_other_boots(connection: &Connection, boot: i64) -> rusqlite::Result<()> {
    connection
        .execute(
            "DELETE FROM lineage WHERE process NOT IN (SELECT id FROM processes WHERE boot = ?1)",
            [boot],
        )
        .map(drop)
}

pub(super) fn read(connection: &Connection, boot: &str) -> rusqlite::Result<Remembered> {
    let mut processes = Processes::new(connection, boot);
    let mut rows = connection.prepare("SELECT process, cgroup, systemd FROM lineage LIMIT ?1")?;
    let rows = rows.query_map([LIVE_MAX], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get::<_, Option<String>>(2)?))
    })?;
    let mut remembered = Remembered::default();
    for row in rows {
        let (row, cgroup, context) = row?;
        let Some(actor) = processes.actor(row)? else {
            continue;
        };
        if actor.process.boot.is_some() {
            continue;
        }
        let context = context.and_then(|text| serde_json::from_str::<ContextWords>(&text).ok());
        remembered.live.push(LiveProcess {
            process: actor.process,
            ancestry: actor.ancestry,
            cgroup: unsigned(cgroup),
            systemd: context.and_then(ContextWords::context).map(Arc::new),
        });
    }
    Ok(remembered)
}
