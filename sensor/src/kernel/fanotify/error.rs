//! What can go wrong, and what to do about it.

use std::path::{Path, PathBuf};

use nix::errno::Errno;

/// An error of the fanotify tier.
#[derive(Debug, thiserror::Error)]
pub enum FanotifyError {
    /// `EPERM` when opening the group.
    #[error(
        "fanotify needs CAP_SYS_ADMIN in the initial user namespace: run as root, or grant the capability"
    )]
    Privilege,
    /// `ENOSYS` or `EINVAL` when opening the group.
    #[error(
        "this kernel's fanotify cannot report directory entries ({0}): Linux 5.9 or later with CONFIG_FANOTIFY is needed"
    )]
    Unsupported(Errno),
    /// `EMFILE` when opening the group.
    #[error(
        "no more fanotify groups or open files ({0}): raise fs.fanotify.max_user_groups or the limit of open files"
    )]
    GroupLimit(Errno),
    /// Anything else when opening the group.
    #[error("cannot open a fanotify group: {0}")]
    Init(Errno),
    /// The object to be watched cannot be opened.
    #[error("cannot open {} to watch it: {source}", path.display())]
    Open {
        /// What was to be watched.
        path: PathBuf,
        /// Why not.
        source: Errno,
    },
    /// The file system has no id or no file handles; changes there stay unseen.
    #[error(
        "{} cannot be watched ({source}): its file system has no id or no file handles, as some FUSE, overlay and, before Linux 6.8, btrfs subvolumes; changes there are not seen", path.display()
    )]
    Blind {
        /// What was to be watched.
        path: PathBuf,
        /// Why not.
        source: Errno,
    },
    /// `ENOSPC` when marking.
    #[error("no fanotify mark left for {}: raise fs.fanotify.max_user_marks", path.display())]
    MarkLimit {
        /// What was to be watched.
        path: PathBuf,
    },
    /// Anything else when marking.
    #[error("cannot watch {}: {source}", path.display())]
    Mark {
        /// What was to be watched.
        path: PathBuf,
        /// Why not.
        source: Errno,
    },
    /// A directory cannot be listed.
    #[error("cannot list {}: {source}", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The group cannot be read.
    #[error("cannot read fanotify events: {0}")]
    Read(Errno),
    /// The kernel's records are not understood.
    #[error(
        "the kernel's fanotify records are not in the known format ({0}): some events are lost"
    )]
    Malformed(&'static str),
}

impl FanotifyError {
    pub(super) fn init(source: Errno) -> Self {
        match source {
            Errno::EPERM => Self::Privilege,
            Errno::ENOSYS | Errno::EINVAL => Self::Unsupported(source),
            Errno::EMFILE => Self::GroupLimit(source),
            other => Self::Init(other),
        }
    }

    pub(super) fn mark(path: &Path, source: Errno) -> Self {
        let path = path.to_owned();
        match source {
            Errno::EXDEV | Errno::ENODEV | Errno::EOPNOTSUPP => Self::Blind { path, source },
            Errno::ENOSPC => Self::MarkLimit { path },
            other => Self::Mark {
                path,
                source: other,
            },
        }
    }
}
