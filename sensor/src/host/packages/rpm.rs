//! The database of rpm, where it is SQLite's (rpm 4.16 and later, as of Fedora, RHEL 9 and SUSE). It has
//! a table of files by name; the rest is in the packages' headers.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::header::{Algorithm, Header};
use super::{Md5, digest};
use crate::event::{PackageFile, Shipped};

/// Where it lies: of today, and before that.
const PLACES: [&str; 2] = ["usr/lib/sysimage/rpm", "var/lib/rpm"];
const FILE: &str = "rpmdb.sqlite";
/// Databases of other formats, which are not read.
const OTHERS: [&str; 2] = ["Packages.db", "Packages"];
/// Most packages with a file of one name that are looked at, and the largest header.
const NAMESAKES_MAX: i64 = 4096;
const HEADER_MAX: i64 = 64 << 20;

/// What was found of it.
#[derive(Debug)]
pub(super) struct Rpm {
    root: PathBuf,
}

/// Why it cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum RpmError {
    /// Of a format that is not read.
    #[error("{} is of an older format of rpm's, which is not read", .0.display())]
    Format(PathBuf),
    /// SQLite's.
    #[error("{}: {source}", path.display())]
    Database {
        path: PathBuf,
        source: rusqlite::Error,
    },
}

impl Rpm {
    pub(super) fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// Whether there is a database that can be asked.
    pub(super) fn is_there(&self) -> bool {
        self.place().is_some()
    }

    fn place(&self) -> Option<PathBuf> {
        let places = PLACES.iter().map(|place| self.root.join(place).join(FILE));
        let is_file = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|it| it.is_file());
        places.into_iter().find(is_file)
    }

    /// The package that has `path`, by its digest.
    pub(super) fn owner(
        &self,
        path: &Path,
        md5: Option<&Md5>,
        sha256: Option<&str>,
    ) -> Result<Option<PackageFile>, RpmError> {
        let Some(file) = self.place() else {
            let others = PLACES.iter().flat_map(|place| OTHERS.map(|it| (place, it)));
            let mut others = others.map(|(place, name)| self.root.join(place).join(name));
            return match others.find(|path| path.is_file()) {
                Some(other) => Err(RpmError::Format(other)),
                None => Ok(None),
            };
        };
        let failed = |source| RpmError::Database {
            path: file.clone(),
            source,
        };
        find(&file, path, md5, sha256).map_err(failed)
    }
}

/// A connection that writes nothing: without a log that is still to be folded in, nor beside it.
fn open(file: &Path) -> rusqlite::Result<Connection> {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let settled = fs::metadata(&log).map_or(true, |log| log.len() == 0);
    let mut address = b"file:".to_vec();
    for &byte in file.as_os_str().as_bytes() {
        match byte {
            b'%' | b'?' | b'#' => address.extend(format!("%{byte:02x}").bytes()),
            _ => address.push(byte),
        }
    }
    address.extend(if settled {
        &b"?immutable=1"[..]
    } else {
        b"?mode=ro"
    });
    let address = String::from_utf8_lossy(&address).into_owned();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(address, flags)
}

fn find(
    file: &Path,
    path: &Path,
    md5: Option<&Md5>,
    sha256: Option<&str>,
) -> rusqlite::Result<Option<PackageFile>> {
    let path = path.as_os_str().as_bytes();
    let split = path.iter().rposition(|&byte| byte == b'/');
    let Some((directory, name)) = split.and_then(|at| path.split_at_checked(at + 1)) else {
        return Ok(None);
    };
    let Ok(name) = str::from_utf8(name) else {
        return Ok(None);
    };
    let connection = open(file)?;
    let mut rows = connection.prepare(
        "SELECT Basenames.idx, Packages.blob FROM Basenames JOIN Packages \
         ON Packages.hnum = Basenames.hnum WHERE Basenames.key = ?1 \
         AND length(Packages.blob) <= ?2 LIMIT ?3",
    )?;
    let mut rows = rows.query((name, HEADER_MAX, NAMESAKES_MAX))?;
    let mut best: Option<PackageFile> = None;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        let blob = row.get_ref(1)?.as_blob()?;
        let Some(found) = owned(blob, number, directory, name.as_bytes(), md5, sha256) else {
            continue;
        };
        let same = found.shipped == Shipped::Same;
        if best.is_none() || same {
            best = Some(found);
        }
        if same {
            break;
        }
    }
    Ok(best)
}

/// The package of a header, if the file of this number is the one in question.
fn owned(
    blob: &[u8],
    number: i64,
    directory: &[u8],
    name: &[u8],
    md5: Option<&Md5>,
    sha256: Option<&str>,
) -> Option<PackageFile> {
    let header = Header::parse(blob)?;
    let file = header.file(usize::try_from(number).ok()?)?;
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
