//! How much is kept, and what goes first.

use rusqlite::{Connection, params};

use super::words::signed;

/// Bounds. The latest version of a file that is still there never goes, nor who wrote it.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Versions of one file: the oldest go first.
    pub versions: u32,
    /// Age of a version, finding, firing or run, in nanoseconds.
    pub age: u64,
    /// How long a file that is gone is remembered, in nanoseconds.
    pub gone: u64,
    /// Firings of one timer.
    pub firings: u32,
    /// Starts of one unit.
    pub runs: u32,
    /// Findings.
    pub findings: u32,
    /// Requests: of those that a manager surely carries out, and of all others.
    pub requests: u32,
    /// Size of what is kept, in bytes: beyond it the oldest versions go, then firings, runs and
    /// findings, a part at a time.
    pub bytes: u64,
    /// Size of the file, in bytes, that it never grows beyond; reaching it is a full disk.
    pub file: u64,
}

const DAY: u64 = 86_400_000_000_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            versions: 64,
            age: 400 * DAY,
            gone: 90 * DAY,
            firings: 64,
            runs: 16,
            findings: 1000,
            requests: 2048,
            bytes: 48 << 20,
            file: 64 << 20,
        }
    }
}

/// Rows that go at a time when there is too much.
const PART: i64 = 512;
/// Most parts that one call takes away.
const PARTS_MAX: usize = 64;

/// Versions that nothing may take away: the latest of each file that is there.
const NOT_LATEST: &str = "id NOT IN (SELECT max(id) FROM changes GROUP BY file)";

/// Takes away what is too old and too much. `now` is nanoseconds since the epoch.
pub(super) fn enforce(connection: &Connection, limits: &Limits, now: u64) -> rusqlite::Result<()> {
    let old = signed(now.saturating_sub(limits.age));
    let gone = signed(now.saturating_sub(limits.gone));
    connection.execute(
        &format!("DELETE FROM changes WHERE time < ?1 AND {NOT_LATEST}"),
        [old],
    )?;
    connection.execute(
        "DELETE FROM files WHERE present = 0 \
         AND NOT EXISTS (SELECT 1 FROM changes WHERE file = files.id AND time >= ?1)",
        [gone],
    )?;
    for table in ["findings", "firings", "runs", "requests"] {
        connection.execute(&format!("DELETE FROM {table} WHERE time < ?1"), [old])?;
    }
    connection.execute(
        "DELETE FROM findings WHERE id <= \
         (SELECT id FROM findings ORDER BY id DESC LIMIT 1 OFFSET ?1)",
        [limits.findings],
    )?;
    connection.execute(
        "DELETE FROM agents WHERE id <= (SELECT max(id) FROM agents) - 1000",
        [],
    )?;
    // Whose change is no more known: told again at worst.
    connection.execute(
        "DELETE FROM told WHERE uid NOT IN (SELECT uid FROM changes WHERE uid IS NOT NULL)",
        [],
    )?;
    forget_processes(connection)?;
    shrink(connection, limits)?;
    // Each step of it gives back one page.
    let mut vacuum = connection.prepare("PRAGMA incremental_vacuum")?;
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() {}
    Ok(())
}

/// Takes away parts of the oldest until the rest fits.
fn shrink(connection: &Connection, limits: &Limits) -> rusqlite::Result<()> {
    for _ in 0..PARTS_MAX {
        if size(connection)? <= limits.bytes {
            return Ok(());
        }
        let versions = format!(
            "DELETE FROM changes WHERE id IN \
             (SELECT id FROM changes WHERE {NOT_LATEST} ORDER BY id LIMIT ?1)"
        );
        let part = |table: &str| {
            format!("DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY id LIMIT ?1)")
        };
        let files = "DELETE FROM files WHERE id IN \
             (SELECT id FROM files WHERE present = 0 ORDER BY id LIMIT ?1)";
        let mut went = connection.execute(&versions, [PART])?;
        for table in ["firings", "runs", "requests", "findings"] {
            if went == 0 {
                went = connection.execute(&part(table), [PART])?;
            }
        }
        if went == 0 {
            went = connection.execute(files, [PART])?;
        }
        if went == 0 {
            return Ok(());
        }
        forget_processes(connection)?;
    }
    Ok(())
}

/// Bytes that are in use.
pub(super) fn size(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma: &str| -> rusqlite::Result<i64> {
        connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
    };
    let used = number("page_count")? - number("freelist_count")?;
    Ok(u64::try_from(used * number("page_size")?).unwrap_or(0))
}

/// Processes that nothing refers to, and boots that nothing happened in.
fn forget_processes(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute(
        "WITH RECURSIVE needed (id) AS ( \
             SELECT writer FROM changes WHERE writer IS NOT NULL \
             UNION SELECT requester FROM changes WHERE requester IS NOT NULL \
             UNION SELECT process FROM runs WHERE process IS NOT NULL \
             UNION SELECT author FROM requests WHERE author IS NOT NULL \
             UNION SELECT process FROM lineage \
             UNION SELECT spawner FROM processes JOIN needed USING (id) \
                 WHERE spawner IS NOT NULL \
         ) DELETE FROM processes WHERE id NOT IN (SELECT id FROM needed)",
        [],
    )?;
    connection.execute(
        "DELETE FROM boots WHERE id NOT IN (SELECT boot FROM processes) \
         AND id NOT IN (SELECT boot FROM changes) AND id NOT IN (SELECT boot FROM agents) \
         AND id NOT IN (SELECT boot FROM firings) AND id NOT IN (SELECT boot FROM runs) \
         AND id NOT IN (SELECT boot FROM requests)",
        [],
    )?;
    Ok(())
}

/// Keeps the newest `keep` versions of a file.
pub(super) fn trim_versions(
    connection: &Connection,
    file: i64,
    keep: u32,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM changes WHERE file = ?1 AND id <= \
             (SELECT id FROM changes WHERE file = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![file, keep])
}
