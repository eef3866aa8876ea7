//! Walks a path without ever asking a file system that may not answer.
//!
//! Each part is opened as a mere place (`O_PATH`), links are followed by hand, and before a step
//! onto a mount its type is looked at: neither a dead server nor a FIFO can hold the agent up.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::gap::Gap;
use crate::host::mounts::{Mount, Mounts};

/// Most links that are followed on one way, as in the kernel (`MAXSYMLINKS`).
const LINKS_MAX: usize = 40;
/// Most steps of one way.
const STEPS_MAX: usize = 1024;

const PLACE: OFlag = OFlag::O_PATH
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// Types whose files are not stored bytes: reading one can have effects (`/proc/kmsg`).
const NO_FILES: [&str; 19] = [
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "efivarfs",
    "functionfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "resctrl",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tracefs",
];

/// The mounts.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    mounts: &'a Mounts,
    /// The mounts as they are now, read when one is met that `mounts` does not know.
    fresh: Option<Mounts>,
}

impl<'a> Ground<'a> {
    pub(super) fn new(mounts: &'a Mounts) -> Self {
        Self {
            mounts,
            fresh: None,
        }
    }

    /// Before a step: whether a feared mount is there.
    fn check_path(&self, path: &Path) -> Result<(), Gap> {
        if self.mounts.doubtful().iter().any(|point| point == path)
            && let Some(mount) = self.mounts.holding(&path.to_string_lossy())
        {
            return refuse(mount, self.mounts);
        }
        Ok(())
    }

    /// After a step: the mount that it led to, for the table of mounts can be late. Asks nobody but the kernel.
    fn check_file(&mut self, file: &File) -> Result<Option<Mount>, Gap> {
        let Some(id) = mount_id(file) else {
            return Ok(None);
        };
        let of = |mounts: &Mounts| mounts.all().iter().find(|mount| mount.id == id).cloned();
        let known = of(self.mounts).or_else(|| self.fresh.as_ref().and_then(of));
        let mount = match known {
            Some(mount) => mount,
            None => {
                let fresh = Mounts::read().map_err(|_| Gap::UnknownMount)?;
                let found = of(&fresh).ok_or(Gap::UnknownMount);
                self.fresh = Some(fresh);
                found?
            }
        };
        refuse(&mount, self.fresh.as_ref().unwrap_or(self.mounts))?;
        Ok(Some(mount))
    }
}

fn refuse(mount: &Mount, mounts: &Mounts) -> Result<(), Gap> {
    if mounts.may_not_answer(mount) {
        return Err(Gap::MayNotAnswer(mount.fs_type.clone()));
    }
    Ok(())
}

/// The id of the mount through which a file was opened.
fn mount_id(file: &File) -> Option<i32> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    info.lines()
        .find_map(|line| line.strip_prefix("mnt_id:"))
        .and_then(|id| id.trim().parse().ok())
}

/// Something that a path leads to, opened as a mere place.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) file: File,
    pub(super) meta: fs::Metadata,
    /// Its path without links.
    pub(super) path: PathBuf,
    mount: Option<Mount>,
}

impl Place {
    /// Walks an absolute path; a link at its end is followed only if `follow`.
    pub(super) fn find(path: &Path, follow: bool, ground: &mut Ground<'_>) -> Result<Self, Gap> {
        let mut links = 0;
        let mut here = Self::root()?;
        let mut rest = parts(path);
        for _ in 0..STEPS_MAX {
            let Some(part) = rest.pop() else {
                return Ok(here);
            };
            let next = here.child(&part, ground)?;
            if !next.meta.is_symlink() || (rest.is_empty() && !follow) {
                here = next;
                continue;
            }
            links += 1;
            if links > LINKS_MAX {
                return Err(Gap::Links);
            }
            let text = PathBuf::from(next.link_text()?);
            if text.is_absolute() {
                here = Self::root()?;
            }
            rest.extend(parts(&text));
        }
        Err(Gap::Parts)
    }

    /// An entry of this directory; a link is not followed.
    pub(super) fn child(&self, name: &OsStr, ground: &mut Ground<'_>) -> Result<Self, Gap> {
        let mut path = self.path.clone();
        if name == ".." {
            path.pop();
        } else {
            path.push(name);
        }
        ground.check_path(&path)?;
        let opened = nix::fcntl::openat(&self.file, name, PLACE, Mode::empty());
        let file = File::from(opened.map_err(|error| {
            let odd = error == nix::Error::ENOENT
                && name
                    .as_bytes()
                    .windows(3)
                    .any(|bytes| bytes == "\u{fffd}".as_bytes());
            if odd { Gap::Name } else { error.into() }
        })?);
        let mount = ground.check_file(&file)?;
        let meta = file.metadata()?;
        Ok(Self {
            file,
            meta,
            path,
            mount,
        })
    }

    fn root() -> Result<Self, Gap> {
        let file = File::from(nix::fcntl::open("/", PLACE, Mode::empty())?);
        let meta = file.metadata()?;
        Ok(Self {
            file,
            meta,
            path: "/".into(),
            mount: None,
        })
    }

    /// The text of a link.
    pub(super) fn link_text(&self) -> Result<OsString, Gap> {
        // Links of /proc lead elsewhere than they say.
        self.check_type()?;
        Ok(nix::fcntl::readlinkat(&self.file, "")?)
    }

    /// Device of the superblock as the kernel's probes report it, where that is known.
    pub(super) fn device(&self) -> Option<u32> {
        self.mount.as_ref().map(|mount| mount.device)
    }

    /// Whether the file system has ordinary files.
    pub(super) fn check_type(&self) -> Result<(), Gap> {
        match &self.mount {
            Some(mount) if NO_FILES.contains(&mount.fs_type.as_str()) => {
                Err(Gap::NoFiles(mount.fs_type.clone()))
            }
            _ => Ok(()),
        }
    }

    /// The path by which this very inode can be opened anew.
    pub(super) fn again(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.file.as_raw_fd()).into()
    }
}

/// The parts of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let named = |part: Component<'_>| match part {
        Component::Normal(_) | Component::ParentDir => Some(part.as_os_str().to_owned()),
        _ => None,
    };
    path.components().rev().filter_map(named).collect()
}
