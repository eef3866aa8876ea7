//! What package managers have to do with a change.

use std::sync::Arc;

use super::Process;

/// What is known of packages about one change.
#[derive(Clone, Debug, Default)]
pub struct Packaging {
    /// The run of a package manager that the writer belongs to.
    pub transaction: Option<Transaction>,
    /// The package that the file belongs to.
    pub owner: Option<PackageFile>,
}

/// One run of a package manager: all that descends from one process of it.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// The outermost process of a package manager among the writer and its ancestors.
    pub manager: Arc<Process>,
    /// Whether every package manager on the way to the writer runs a program of the host that a
    /// package shipped as it is now.
    pub verified: bool,
    /// The package that is being worked on, where that is known.
    pub package: Option<String>,
}

/// A file as the database of packages knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageFile {
    /// Name of the package, with its architecture where that is needed.
    pub package: String,
    /// Its version; `None` when the database does not say.
    pub version: Option<String>,
    /// Whether the content is what the package brought.
    pub shipped: Shipped,
}

/// Whether a file's content is what its package brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shipped {
    /// It is.
    Same,
    /// It is not.
    Different,
    /// The database has no digest of it: a link, a directory, a file made by a script.
    NoDigest,
    /// The content is not known: the file is gone or could not be read.
    NoContent,
}

impl Shipped {
    /// The word used in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different => "different",
            Self::NoDigest => "no-digest",
            Self::NoContent => "no-content",
        }
    }
}
