//! Why something about a content is not known, in the words of the output.

use std::io;

/// Why something about a content is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum Gap {
    #[error("gone before it was read")]
    Gone,
    #[error("its name is not UTF-8")]
    Name,
    #[error("replaced meanwhile")]
    Replaced,
    #[error("not a regular file but a {0}")]
    NotRegular(&'static str),
    #[error("cannot be read: {0}")]
    Io(io::Error),
    #[error("locked by a lease")]
    Leased,
    #[error("too many symbolic links")]
    Links,
    #[error("a path of too many parts")]
    Parts,
    #[error("on a file system that may not answer: {0}")]
    MayNotAnswer(String),
    #[error("on a file system without ordinary files: {0}")]
    NoFiles(String),
    #[error("on a mount that is not known")]
    UnknownMount,
    #[error("{size} bytes, of which at most {limit} are read")]
    TooLarge { size: u64, limit: u64 },
    #[error("{0} bytes, too much after all that was read just before")]
    Paced(u64),
    #[error("changed while it was read")]
    Changing,
    #[error("not UTF-8: odd bytes are shown replaced")]
    NotUtf8,
    #[error("no diff of more than {0} bytes")]
    NoDiff(u64),
    #[error("no diff: the text known before is not kept")]
    NoText,
    #[error("no settings of more than {0} bytes")]
    NoSettings(u64),
    #[error("link target: {0}")]
    Target(Box<Self>),
}

impl From<io::Error> for Gap {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => Self::Gone,
            Some(libc::ELOOP) => Self::Links,
            // Only a lease makes opening a regular file wait.
            Some(libc::EWOULDBLOCK) => Self::Leased,
            _ => Self::Io(error),
        }
    }
}

impl From<nix::Error> for Gap {
    fn from(error: nix::Error) -> Self {
        io::Error::from(error).into()
    }
}

/// Several gaps as one sentence; `None` when there are none.
pub(super) fn sentence(gaps: &[Gap]) -> Option<String> {
    let words: Vec<String> = gaps.iter().map(Gap::to_string).collect();
    (!words.is_empty()).then(|| words.join("; "))
}
