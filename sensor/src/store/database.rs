//! The database file: opened, checked, brought up to date, moved aside when it is broken.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::bounds::{self, Limits};
use super::error::{StoreError, is_corrupt};
use super::memory::{self, Memory};
use super::note::Note;
use super::process::boot_row;
use super::words::signed;
use super::{lineage, schema, write};

/// Name of the database in the store's directory.
pub const FILE: &str = "store.db";
/// What was written and is not in that yet.
pub const WRITE_AHEAD: &str = "store.db-wal";
/// Held by the agent that writes.
const LOCK: &str = "lock";
/// Most broken databases that are kept for whoever looks into it.
const ASIDE_MAX: usize = 3;

/// The database, open for writing. One process at a time has it.
#[derive(Debug)]
pub struct Database {
    pub(super) connection: Connection,
    directory: PathBuf,
    boot: String,
    limits: Limits,
    _lock: Flock<File>,
}

/// A database that was opened, and what was wrong on the way.
#[derive(Debug)]
pub struct Opened {
    /// The database.
    pub database: Database,
    /// What an earlier agent kept.
    pub memory: Memory,
    /// What has to be told: an earlier database was broken.
    pub gap: Option<String>,
}

impl Database {
    /// Opens the store in `directory` for the agent that starts in the boot `boot` at `now`,
    /// nanoseconds since the epoch. Makes what does not exist. A broken database is moved aside.
    ///
    /// # Errors
    ///
    /// When the directory cannot be used, another agent uses it, or a later whodunit wrote it.
    pub fn open(
        directory: &Path,
        boot: &str,
        limits: Limits,
        now: u64,
    ) -> Result<Opened, StoreError> {
        make_directory(directory)?;
        let mut lock = lock(directory)?;
        let mut gap = None;
        loop {
            let mut database = Self {
                connection: connect(directory, &limits)?,
                directory: directory.to_owned(),
                boot: boot.to_owned(),
                limits,
                _lock: lock,
            };
            match database.begin(now) {
                Ok(memory) => {
                    return Ok(Opened {
                        database,
                        memory,
                        gap,
                    });
                }
                Err(error) if error.is_corrupt() && gap.is_none() => {
                    lock = database.move_aside(now, &error.to_string(), &mut gap)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Where the store lies.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Brings the layout up to date, enters this run of the agent, and reads what was kept.
    fn begin(&mut self, now: u64) -> Result<Memory, StoreError> {
        let path = self.directory.join(FILE);
        let failed = StoreError::sqlite(&path);
        let found = schema::version(&self.connection).map_err(&failed)?;
        if found > schema::VERSION {
            return Err(StoreError::Newer {
                path: path.clone(),
                found,
                known: schema::VERSION,
            });
        }
        let mut begin = || -> rusqlite::Result<Memory> {
            if found > 0 {
                check(&self.connection)?;
            }
            let transaction = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            if found < schema::VERSION {
                schema::migrate(&transaction, found)?;
            }
            let boot = boot_row(&transaction, &self.boot)?;
            lineage::forget_other_boots(&transaction, boot)?;
            let memory = memory::read(&transaction, &self.boot)?;
            transaction.execute(
                "INSERT INTO agents (boot, version, started, alive) VALUES (?1, ?2, ?3, ?3)",
                (boot, env!("CARGO_PKG_VERSION"), signed(now)),
            )?;
            transaction.commit()?;
            Ok(memory)
        };
        begin().map_err(&failed)
    }

    /// Writes notes in one transaction: when this returns without an error, they are kept.
    pub(super) fn write(&mut self, notes: &[Note]) -> rusqlite::Result<()> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        for note in notes {
            write::note(&transaction, &self.boot, &self.limits, note)?;
        }
        transaction.commit()
    }

    /// As the thread does it; for the start, when nothing waits for the loop yet.
    ///
    /// # Errors
    ///
    /// When they are not kept.
    pub fn keep(&mut self, notes: &[Note]) -> Result<(), StoreError> {
        let path = self.directory.join(FILE);
        self.write(notes).map_err(StoreError::sqlite(&path))
    }

    /// Takes away what is too old and too much.
    pub(super) fn tidy(&mut self, now: u64) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        bounds::enforce(&transaction, &self.limits, now)?;
        transaction.commit()
    }

    /// Moves a broken database aside and opens a new one in its place.
    pub(super) fn replace(self, now: u64, why: &str) -> Result<(Self, String), StoreError> {
        let (directory, boot, limits) = (self.directory.clone(), self.boot.clone(), self.limits);
        let mut gap = None;
        let lock = self.move_aside(now, why, &mut gap)?;
        let mut database = Self {
            connection: connect(&directory, &limits)?,
            directory,
            boot,
            limits,
            _lock: lock,
        };
        database.begin(now)?;
        Ok((database, gap.unwrap_or_default()))
    }

    fn move_aside(
        self,
        now: u64,
        why: &str,
        gap: &mut Option<String>,
    ) -> Result<Flock<File>, StoreError> {
        let Self {
            connection,
            directory,
            _lock: lock,
            ..
        } = self;
        drop(connection);
        let name = format!("{FILE}.broken-{}", now / 1_000_000_000);
        for suffix in ["-wal", "-shm", ""] {
            let from = directory.join(format!("{FILE}{suffix}"));
            let to = directory.join(format!("{name}{suffix}"));
            match fs::rename(&from, &to) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::directory(&from, error));
                }
                _ => {}
            }
        }
        *gap = Some(format!(
            "who wrote what before now is not known: {why}; it was moved to {}",
            directory.join(&name).display()
        ));
        forget_old_broken(&directory);
        Ok(lock)
    }
}

/// Opens what is there for reading alone, while an agent writes it or not.
pub(super) fn connect_to_read(directory: &Path) -> Result<Connection, StoreError> {
    let path = directory.join(FILE);
    if !path.exists() {
        // Not to be told from one that may not be looked at.
        if let Err(error) = fs::metadata(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(StoreError::directory(&path, error));
        }
        return Err(StoreError::Missing {
            path: directory.to_owned(),
        });
    }
    let failed = StoreError::sqlite(&path);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(real(&path), flags).map_err(&failed)?;
    connection
        .busy_timeout(Duration::from_secs(5))
        .map_err(&failed)?;
    connection
        .execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;")
        .map_err(&failed)?;
    let found = schema::version(&connection).map_err(&failed)?;
    if found != schema::VERSION {
        // An older one is brought up to date by the agent, which may write.
        return Err(StoreError::Newer {
            path: path.clone(),
            found,
            known: schema::VERSION,
        });
    }
    Ok(connection)
}

fn connect(directory: &Path, limits: &Limits) -> Result<Connection, StoreError> {
    let path = directory.join(FILE);
    let failed = StoreError::sqlite(&path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    // SQLite gives the log and the index the mode of the database.
    let connection = Connection::open_with_flags(real(&path), flags).map_err(&failed)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
        .map_err(|error| StoreError::directory(&path, error))?;
    let set = || -> rusqlite::Result<()> {
        connection.busy_timeout(Duration::from_secs(5))?;
        // Before anything is written: it decides the layout of the file.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        // Memory: 512 KiB of pages; the log is written back at 1 MiB, and cut to that.
        connection.pragma_update(None, "cache_size", -512)?;
        connection.pragma_update(None, "wal_autocheckpoint", 256)?;
        connection.pragma_update(None, "journal_size_limit", 1 << 20)?;
        let page: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        let pages = signed(limits.file) / page.max(512);
        connection.pragma_update(None, "max_page_count", pages)
    };
    match set() {
        Ok(()) => Ok(connection),
        // Whether it is broken is asked once more by `begin`, which can do something about it.
        Err(error) if is_corrupt(&error) => Ok(connection),
        Err(error) => Err(failed(error)),
    }
}

/// SQLite refuses a path with a link in any part, which `/var` may well be; the last part alone
/// is somebody else's to choose.
fn real(path: &Path) -> PathBuf {
    let parent = path
        .parent()
        .and_then(|parent| fs::canonicalize(parent).ok());
    match (parent, path.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}

/// Whether the file is whole, as far as that can be told in a moment.
fn check(connection: &Connection) -> rusqlite::Result<()> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
        Some(verdict),
    ))
}

/// Makes the directory, for root alone. One that others may write to is not used: what is in the
/// store would be theirs to say.
fn make_directory(directory: &Path) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| StoreError::directory(directory, error);
    if !directory.exists() {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(directory).map_err(failed)?;
    }
    let meta = fs::metadata(directory).map_err(failed)?;
    if !meta.is_dir() {
        return Err(StoreError::directory(directory, "not a directory"));
    }
    let me = nix::unistd::geteuid().as_raw();
    if meta.uid() != me {
        let reason = format!("belongs to user {}, not to {me}", meta.uid());
        return Err(StoreError::directory(directory, reason));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(StoreError::directory(directory, "others may write to it"));
    }
    Ok(())
}

fn lock(directory: &Path) -> Result<Flock<File>, StoreError> {
    let path = directory.join(LOCK);
    let failed = |error: std::io::Error| StoreError::directory(&path, error);
    let mut options = File::options();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let flags = nix::fcntl::OFlag::O_NOFOLLOW.bits();
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
    let file = options
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Err(StoreError::InUse {
            path: directory.to_owned(),
        }),
        Err((_, error)) => Err(StoreError::directory(&path, error)),
    }
}

/// Keeps the newest broken databases alone.
fn forget_old_broken(directory: &Path) {
    let prefix = format!("{FILE}.broken-");
    let mut names: Vec<String> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| {
            name.starts_with(&prefix) && !name.ends_with("-wal") && !name.ends_with("-shm")
        })
        .collect();
    names.sort_unstable();
    let old = names.len().saturating_sub(ASIDE_MAX);
    for name in names.iter().take(old) {
        for suffix in ["", "-wal", "-shm"] {
            // It is only in the way.
            let _ = fs::remove_file(directory.join(format!("{name}{suffix}")));
        }
    }
}
