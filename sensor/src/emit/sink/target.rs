//! What a sink writes to.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

/// What a sink writes to.
#[derive(Debug)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file, appended to; made with mode 0600 if it does not exist.
    File(PathBuf),
    /// An open descriptor.
    Fd(OwnedFd),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Fd(_) => f.write_str("a descriptor"),
        }
    }
}

impl Target {
    pub(super) fn open(self) -> io::Result<Opened> {
        match self {
            Self::Stdout => {
                let fd = io::stdout().as_fd().try_clone_to_owned()?;
                Ok(Opened::new(File::from(fd)))
            }
            Self::Fd(fd) => Ok(Opened::new(File::from(fd))),
            Self::File(path) => {
                let file = OpenOptions::new()
                    .append(true)
                    .create(true)
                    .mode(0o600)
                    .open(&path)?;
                let mut opened = Opened::new(file);
                // A run that was killed may have left half a line. If that cannot be seen, a
                // spare newline does less harm than a line that begins within another.
                if opened.regular && opened.file.metadata()?.len() > 0 {
                    let last = File::open(&path).and_then(|mut file| {
                        let mut last = [0];
                        file.seek(SeekFrom::End(-1))?;
                        file.read_exact(&mut last)?;
                        Ok(last[0])
                    });
                    opened.needs_newline = !matches!(last, Ok(b'\n'));
                }
                Ok(opened)
            }
        }
    }
}

/// What the writer needs of a target.
pub(super) trait Output: Write + Send {
    /// Takes back the last `length` bytes, which are the beginning of a line that will not be
    /// finished, if that can be done.
    fn take_back(&mut self, length: u64);
}

/// An open target.
#[derive(Debug)]
pub(super) struct Opened {
    file: File,
    regular: bool,
    needs_newline: bool,
}

impl Opened {
    fn new(file: File) -> Self {
        let regular = file.metadata().is_ok_and(|meta| meta.is_file());
        Self {
            file,
            regular,
            needs_newline: false,
        }
    }
}

impl Write for Opened {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.needs_newline {
            self.file.write_all(b"\n")?;
            self.needs_newline = false;
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Opened {
    fn take_back(&mut self, length: u64) {
        let mut cut = || -> io::Result<()> {
            let end = self.file.stream_position()?;
            // Unless somebody else wrote or cut the file meanwhile.
            if self.regular && self.file.metadata()?.len() == end && end >= length {
                self.file.set_len(end - length)?;
            }
            Ok(())
        };
        if let Err(error) = cut() {
            log::warn!("cannot take back half a line: {error}");
        }
    }
}
