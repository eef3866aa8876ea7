//! The database of rpm 4.16 and later, which is SQLite's: it has a table of files by name; the rest is in the
//! packages' headers.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{Sums, owned};
use crate::event::{PackageFile, Shipped};

/// Most packages with a file of one name that are looked at, and the largest header.
const NAMESAKES_MAX: i64 = 4096;
const HEADER_MAX: i64 = 64 << 20;

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

/// The package that has the file `name` in `directory`.
pub(super) fn find(
    file: &Path,
    directory: &[u8],
    name: &[u8],
    sums: Sums<'_>,
) -> rusqlite::Result<Option<PackageFile>> {
    let Ok(text) = str::from_utf8(name) else {
        return Ok(None);
    };
    let connection = open(file)?;
    let mut rows = connection.prepare(
        "SELECT Basenames.idx, Packages.blob FROM Basenames JOIN Packages \
         ON Packages.hnum = Basenames.hnum WHERE Basenames.key = ?1 \
         AND length(Packages.blob) <= ?2 LIMIT ?3",
    )?;
    let mut rows = rows.query((text, HEADER_MAX, NAMESAKES_MAX))?;
    let mut best: Option<PackageFile> = None;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        let blob = row.get_ref(1)?.as_blob()?;
        let Ok(number) = usize::try_from(number) else {
            continue;
        };
        let Some(found) = owned(blob, number, directory, name, sums) else {
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
