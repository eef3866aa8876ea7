//! The database of rpm, in each of its formats: SQLite's of today, `ndb` of SUSE, Berkeley's of before.

pub mod berkeley;
mod blobs;
mod names;
pub mod ndb;
mod sqlite;

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::header::{Algorithm, Header};
use super::{Md5, digest};
use crate::event::{PackageFile, Shipped};
use crate::host::files::ReadError;
pub use blobs::{BlobError, Bytes, Place};
use names::{Format, Names};

/// Where it lies: of today, and before that.
const PLACES: [&str; 2] = ["usr/lib/sysimage/rpm", "var/lib/rpm"];
const SQLITE: &str = "rpmdb.sqlite";
/// The older formats: the first that is there is the one that rpm uses.
const OLDER: [(&str, Format); 2] = [("Packages.db", Format::Ndb), ("Packages", Format::Berkeley)];

/// What was found of it.
#[derive(Debug)]
pub(super) struct Rpm {
    root: PathBuf,
    names: Names,
}

/// What a file holds now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums<'a> {
    pub(super) md5: Option<&'a Md5>,
    /// In hex.
    pub(super) sha256: Option<&'a str>,
}

/// Why it cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum RpmError {
    /// SQLite's.
    #[error("{}: {source}", path.display())]
    Database {
        path: PathBuf,
        source: rusqlite::Error,
    },
    /// The file of an older format.
    #[error("{} {source}", path.display())]
    Blobs { path: PathBuf, source: BlobError },
    /// It could not be opened.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Rpm {
    pub(super) fn at(root: PathBuf) -> Self {
        Self {
            root,
            names: Names::default(),
        }
    }

    /// Whether there is a database that can be asked.
    pub(super) fn is_there(&self) -> bool {
        self.place(SQLITE).is_some() || self.older().is_some()
    }

    fn place(&self, name: &str) -> Option<PathBuf> {
        let places = PLACES.iter().map(|place| self.root.join(place).join(name));
        let is_file = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|it| it.is_file());
        places.into_iter().find(is_file)
    }

    fn older(&self) -> Option<(PathBuf, Format)> {
        let mut older = OLDER.iter();
        older.find_map(|&(name, format)| Some((self.place(name)?, format)))
    }

    /// Reads at most `count` more headers ahead of the first question. Says whether more is to be read.
    pub(super) fn read_ahead(&mut self, count: usize) -> Result<bool, RpmError> {
        match self.older() {
            Some((file, format)) if self.place(SQLITE).is_none() => {
                self.names.refresh(&file, format, Some(count))
            }
            _ => Ok(false),
        }
    }

    /// What was odd since this was last asked.
    pub(super) fn take_gap(&mut self) -> Option<RpmError> {
        self.names.take_gap()
    }

    /// Whether files of packages may be taken for nobody's, since there are too many.
    pub(super) fn is_full(&self) -> bool {
        self.names.is_full()
    }

    /// The package that has `path`, by its digest.
    pub(super) fn owner(
        &mut self,
        path: &Path,
        sums: Sums<'_>,
    ) -> Result<Option<PackageFile>, RpmError> {
        let path = path.as_os_str().as_bytes();
        let split = path.iter().rposition(|&byte| byte == b'/');
        let Some((directory, name)) = split.and_then(|at| path.split_at_checked(at + 1)) else {
            return Ok(None);
        };
        if let Some(file) = self.place(SQLITE) {
            let found = sqlite::find(&file, directory, name, sums);
            return found.map_err(|source| RpmError::Database { path: file, source });
        }
        let Some((file, format)) = self.older() else {
            return Ok(None);
        };
        self.names.refresh(&file, format, None)?;
        let mut best: Option<PackageFile> = None;
        self.names.headers(format, path, |blob| {
            let header = Header::parse(blob);
            let number = header.and_then(|header| header.paths().position(|it| it == path));
            let found = number.and_then(|number| owned(blob, number, directory, name, sums));
            let same = |found: &PackageFile| found.shipped == Shipped::Same;
            if best.is_none() || found.as_ref().is_some_and(same) {
                best = found.or(best.take());
            }
            best.as_ref().is_some_and(same)
        })?;
        Ok(best)
    }
}

/// The package of a header, if the file of this number is the one in question.
fn owned(
    blob: &[u8],
    number: usize,
    directory: &[u8],
    name: &[u8],
    Sums { md5, sha256 }: Sums<'_>,
) -> Option<PackageFile> {
    let header = Header::parse(blob)?;
    let file = header.file(number)?;
    if !file.installed || file.directory != directory || file.name != name {
        return None;
    }
    let package = header.name()?;
    let shipped = match (header.algorithm(), file.digest) {
        (_, []) | (Algorithm::Other, _) => Shipped::NoDigest,
        (Algorithm::Md5, hex) => match (digest(hex), md5) {
            (None, _) => Shipped::NoDigest,
            (Some(_), None) => Shipped::NoContent,
            (Some(shipped), Some(found)) if shipped == *found => Shipped::Same,
            _ => Shipped::Different,
        },
        (Algorithm::Sha256, hex) => match sha256 {
            None => Shipped::NoContent,
            Some(found) if found.as_bytes().eq_ignore_ascii_case(hex) => Shipped::Same,
            Some(_) => Shipped::Different,
        },
    };
    Some(PackageFile {
        package,
        version: header.version(),
        shipped,
    })
}

#[cfg(test)]
mod tests;
