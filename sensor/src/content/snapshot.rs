//! Reads a regular file once: its hash, and its beginning for those who want the text.

use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};

use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::gap::Gap;
use super::place::Place;
use crate::host::files::{FileStamp, hex};

/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// What was read.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// In hex.
    pub(super) sha256: String,
    pub(super) md5: [u8; 16],
    /// In bytes.
    pub(super) size: u64,
    /// The whole text, if it is not longer than was asked for.
    pub(super) text: Option<Vec<u8>>,
    /// Whether the file changed under the hands.
    pub(super) changing: bool,
}

/// Reads a file of at most `limit` bytes, and keeps its text when that has at most `keep`.
pub(super) fn read(place: &Place, limit: u64, keep: u64) -> Result<Snapshot, Gap> {
    check_kind(&place.meta)?;
    place.check_type()?;
    let size = place.meta.len();
    if size > limit {
        return Err(Gap::TooLarge { size, limit });
    }
    // The very inode that was looked at. Not to block is for leases.
    let open = || {
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
        let mut options = fs::OpenOptions::new();
        options.read(true).custom_flags(flags).open(place.again())
    };
    let first = once(open()?, limit, keep)?;
    if first.changing {
        return once(open()?, limit, keep);
    }
    Ok(first)
}

fn once(mut file: File, limit: u64, keep: u64) -> Result<Snapshot, Gap> {
    let before = FileStamp::of(&file.metadata()?);
    let mut hash = Sha256::new();
    let mut md5 = Md5::new();
    let mut text = Some(Vec::new());
    let mut size = 0;
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let bytes = chunk.get(..count).unwrap_or_default();
        size += u64::try_from(count).unwrap_or(u64::MAX);
        // It may grow as fast as it is read.
        if size > limit {
            return Err(Gap::TooLarge { size, limit });
        }
        hash.update(bytes);
        md5.update(bytes);
        match &mut text {
            Some(text) if size <= keep => text.extend_from_slice(bytes),
            _ => text = None,
        }
    }
    let after = FileStamp::of(&file.metadata()?);
    Ok(Snapshot {
        sha256: hex(&hash.finalize()),
        md5: md5.finalize().into(),
        size,
        text,
        changing: before != after || after.size != size,
    })
}

fn check_kind(meta: &Metadata) -> Result<(), Gap> {
    let kind = meta.file_type();
    let other = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "directory"
    } else if kind.is_symlink() {
        "symbolic link"
    } else if kind.is_fifo() {
        "FIFO"
    } else if kind.is_socket() {
        "socket"
    } else if kind.is_char_device() {
        "character device"
    } else {
        "block device"
    };
    Err(Gap::NotRegular(other))
}

/// Whether this is the device that a link to masks a unit: `/dev/null`, whatever its name.
pub(super) fn is_null(meta: &Metadata) -> bool {
    meta.file_type().is_char_device() && meta.rdev() == nix::sys::stat::makedev(1, 3)
}
