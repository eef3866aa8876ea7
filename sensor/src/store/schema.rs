//! The layout of the database, and how an older one becomes the newest.

use rusqlite::{Connection, Transaction};

/// One step for each version: the first makes an empty database version 1, each other makes of
/// its predecessor's layout its own. A step that was released is never changed.
const STEPS: [&str; 5] = [V1, V2, V3, V4, V5];

/// The version that this program writes (`PRAGMA user_version`).
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// Files and who wrote them. Times are nanoseconds since the epoch, `since_boot` since that boot.
const V1: &str = "
CREATE TABLE boots (
    id INTEGER PRIMARY KEY,
    boot TEXT NOT NULL UNIQUE              -- the kernel's boot_id
);
CREATE TABLE agents (                      -- one row for each run of the agent
    id INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL REFERENCES boots,
    version TEXT NOT NULL,
    started INTEGER NOT NULL,
    alive INTEGER NOT NULL                 -- when it was last known to watch
);
CREATE TABLE processes (                   -- images of processes, each with its spawner's
    id INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL REFERENCES boots,
    pid INTEGER NOT NULL,
    start INTEGER NOT NULL,
    spawner INTEGER REFERENCES processes,
    about TEXT NOT NULL                    -- JSON
);
CREATE INDEX processes_by_key ON processes (pid, start, boot);
CREATE INDEX processes_by_spawner ON processes (spawner);
CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    class TEXT NOT NULL,
    unit TEXT,                             -- whose definition it is part of
    serves TEXT NOT NULL,                  -- whose manager reads it
    present INTEGER NOT NULL               -- whether the name stands for something
);
CREATE INDEX files_by_unit ON files (unit);
CREATE TABLE changes (                     -- versions of files
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    file INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
    uid TEXT UNIQUE,                       -- of the event; none if it was found, not told
    boot INTEGER NOT NULL REFERENCES boots,
    time INTEGER NOT NULL,
    since_boot INTEGER NOT NULL,
    after INTEGER,                         -- made between this and `time`, by nobody knows whom
    verb TEXT NOT NULL,                    -- or 'learned': it was there when first looked at
    source TEXT,                           -- old name of a rename or link
    target TEXT,                           -- text of a symbolic link
    sha256 TEXT,
    writer INTEGER REFERENCES processes,
    requester INTEGER REFERENCES processes, -- who asked the writer for it
    about TEXT NOT NULL                    -- JSON
);
CREATE INDEX changes_by_file ON changes (file, id);
CREATE INDEX changes_by_writer ON changes (writer);
CREATE INDEX changes_by_requester ON changes (requester);
CREATE TABLE told (                        -- up to which change a unit was the subject of a finding
    manager TEXT NOT NULL,
    unit TEXT NOT NULL,
    uid TEXT NOT NULL,
    PRIMARY KEY (manager, unit)
) WITHOUT ROWID;
";

/// What came of it: requests by name, findings, timers, starts of units, living processes.
const V2: &str = "
ALTER TABLE changes ADD COLUMN request TEXT; -- the method by which the requester asked
CREATE TABLE findings (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    time INTEGER NOT NULL,
    code TEXT NOT NULL,
    severity INTEGER NOT NULL,
    unit TEXT,
    title TEXT NOT NULL,
    event TEXT NOT NULL                    -- OCSF
);
CREATE INDEX findings_by_unit ON findings (unit);
CREATE TABLE firings (                     -- elapses of timers
    id INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL REFERENCES boots,
    manager TEXT NOT NULL,
    timer TEXT NOT NULL,
    time INTEGER NOT NULL,
    since_boot INTEGER NOT NULL,
    uid TEXT,
    triggers TEXT NOT NULL                 -- JSON
);
CREATE INDEX firings_by_timer ON firings (timer, manager, id);
CREATE TABLE runs (                        -- starts of units, by their first process
    id INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL REFERENCES boots,
    manager TEXT NOT NULL,
    unit TEXT NOT NULL,
    invocation TEXT,
    time INTEGER NOT NULL,
    since_boot INTEGER NOT NULL,
    timer TEXT,                            -- the timer behind it
    trigger TEXT NOT NULL,                 -- JSON
    behind TEXT,                           -- JSON, of a unit that another one brought
    process INTEGER REFERENCES processes,
    uid TEXT,
    UNIQUE (boot, manager, unit, invocation)
);
CREATE INDEX runs_by_unit ON runs (unit, manager, id);
CREATE INDEX runs_by_timer ON runs (timer, manager, id);
CREATE INDEX runs_by_process ON runs (process);
CREATE TABLE lineage (                     -- processes that lived when last looked at
    process INTEGER PRIMARY KEY REFERENCES processes,
    cgroup INTEGER NOT NULL,
    systemd TEXT                           -- JSON
);
";

/// What package managers had to do with it.
const V3: &str = "
ALTER TABLE changes ADD COLUMN packaging TEXT; -- JSON
";

/// Who asked for starts and reloads.
const V4: &str = "
CREATE TABLE requests (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,              -- of the event
    boot INTEGER NOT NULL REFERENCES boots,
    time INTEGER NOT NULL,
    since_boot INTEGER NOT NULL,
    manager TEXT NOT NULL,
    trusted INTEGER NOT NULL,              -- whether PID 1 does it without asking anybody
    method TEXT NOT NULL,
    class TEXT NOT NULL,
    units TEXT NOT NULL,                   -- JSON
    author INTEGER REFERENCES processes,
    about TEXT NOT NULL                    -- JSON
);
CREATE INDEX requests_by_trust ON requests (trusted, id);
CREATE INDEX requests_by_author ON requests (author);
";

/// How an agent ended. Of those before this version that is not known.
const V5: &str = "
ALTER TABLE agents ADD COLUMN ended INTEGER; -- when it said so; none if it was killed
UPDATE agents SET ended = alive;
";

/// The version of a database; 0 of an empty one.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Makes it the newest, in one transaction: either all of it happens or nothing.
pub(super) fn migrate(transaction: &Transaction<'_>, from: i64) -> rusqlite::Result<()> {
    let done = usize::try_from(from).unwrap_or(0);
    for step in STEPS.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)
}

#[cfg(test)]
pub(super) fn first_version() -> &'static str {
    V1
}
