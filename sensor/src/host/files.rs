//! Reading of files that somebody else controls.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Why a file was not read. Each names the path.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It could not be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It is a directory, device, FIFO or socket, which is never opened.
    #[error("{} is not a regular file", path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// It is larger than is read.
    #[error("{} has more than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
}

impl ReadError {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Bytes in hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            // Writing to a String cannot fail.
            let _ = write!(out, "{byte:02x}");
            out
        })
}

/// State of a file, by which a change of it is noticed. `ctime` cannot be set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileStamp {
    /// `st_dev`
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change of the content, in seconds and nanoseconds.
    pub mtime: (i64, i64),
    /// Time of the last change of the inode, in seconds and nanoseconds.
    pub ctime: (i64, i64),
}

/// What times of files are not as fine as, with some to spare: the kernel's tick, 10 ms at most.
const TICK: i128 = 50_000_000;

impl FileStamp {
    /// The state that `meta` shows.
    #[must_use]
    pub fn of(meta: &fs::Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            ctime: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    /// Whether a further change would show: times are only as fine as the kernel's tick, so one that is just about now can be followed by another change unnoticed.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| i128::try_from(now.as_nanos()).unwrap_or(0));
        (now - self.changed()).abs() > TICK
    }

    /// Whether nothing changed since shortly before `wall`, in nanoseconds since the epoch.
    #[must_use]
    pub fn is_before(&self, wall: u64) -> bool {
        self.changed() + TICK < i128::from(wall)
    }

    /// `ctime` in nanoseconds since the epoch.
    fn changed(&self) -> i128 {
        let (seconds, nanoseconds) = self.ctime;
        i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
    }

    /// The state of what `path` leads to; `None` when that is nothing.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|meta| Self::of(&meta))
    }
}

/// Reads a regular file of at most `limit` bytes; links are followed.
///
/// The file is first opened as a mere place (`O_PATH`), which has no effect on a FIFO or device,
/// and opened for reading only when it is seen to be a regular file.
///
/// # Errors
///
/// When it is anything else, too large, or cannot be read.
pub fn read_regular(path: &Path, limit: u64) -> Result<(Vec<u8>, FileStamp), ReadError> {
    let (file, stamp) = open_regular(path, limit)?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| ReadError::Io {
            path: path.to_owned(),
            source,
        })?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(ReadError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok((bytes, stamp))
}

/// Opens a regular file of at most `limit` bytes, as [`read_regular`] does. It can still grow.
///
/// # Errors
///
/// When it is anything else, too large, or cannot be opened.
pub fn open_regular(path: &Path, limit: u64) -> Result<(File, FileStamp), ReadError> {
    let fail = |source| ReadError::Io {
        path: path.to_owned(),
        source,
    };
    let place = open(path, libc::O_PATH).map_err(fail)?;
    let meta = place.metadata().map_err(fail)?;
    if !meta.is_file() {
        return Err(ReadError::NotRegular {
            path: path.to_owned(),
        });
    }
    if meta.len() > limit {
        return Err(ReadError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    // The very inode that was looked at, whatever the name leads to now.
    let link = PathBuf::from(format!("/proc/self/fd/{}", place.as_raw_fd()));
    let file = open(&link, libc::O_NONBLOCK | libc::O_NOCTTY).map_err(fail)?;
    Ok((file, FileStamp::of(&meta)))
}

fn open(path: &Path, flags: i32) -> io::Result<File> {
    fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags | libc::O_CLOEXEC)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;

    #[test]
    fn only_regular_files_are_opened() {
        let dir = tempfile::tempdir().expect("tempdir");
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "12345").expect("write");
        std::os::unix::fs::symlink("file", at("link")).expect("symlink");
        std::os::unix::fs::symlink("loop", at("loop")).expect("symlink");
        // Opening a FIFO for reading would wait for a writer.
        nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).expect("mkfifo");
        let read = |name: &str, limit| read_regular(&at(name), limit);
        assert_eq!(read("link", 5).expect("read").0, b"12345");
        assert!(matches!(read("file", 4), Err(ReadError::TooLarge { .. })));
        assert!(matches!(read("fifo", 5), Err(ReadError::NotRegular { .. })));
        assert!(matches!(read("", 5), Err(ReadError::NotRegular { .. })));
        let error = read("loop", 5).expect_err("a loop");
        assert!(error.to_string().contains("/loop") && !error.is_missing());
        assert!(read("none", 5).expect_err("missing").is_missing());
        let device = read_regular(Path::new("/dev/null"), 5);
        assert!(matches!(device, Err(ReadError::NotRegular { .. })));
    }
}
