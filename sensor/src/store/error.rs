//! What can go wrong with the store.

use std::path::{Path, PathBuf};

/// The store cannot be used. Each names the path.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be made, or must not be used.
    #[error("{}: {reason}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another agent writes it.
    #[error("{} is in use by another whodunit", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// There is none.
    #[error("there is no store in {}", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// A later version of whodunit wrote it.
    #[error("{} has layout {found}; this whodunit knows up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest version that is known.
        known: i64,
    },
    /// SQLite says so.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: rusqlite::Error,
    },
}

impl StoreError {
    pub(super) fn sqlite(path: &Path) -> impl Fn(rusqlite::Error) -> Self + '_ {
        move |source| Self::Sqlite {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn directory(path: &Path, reason: impl ToString) -> Self {
        Self::Directory {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }

    /// Whether the file does not hold what SQLite wrote into it.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        matches!(self, Self::Sqlite { source, .. } if is_corrupt(source))
    }
}

pub(super) fn is_corrupt(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(
        error.sqlite_error_code(),
        Some(DatabaseCorrupt | NotADatabase)
    )
}
