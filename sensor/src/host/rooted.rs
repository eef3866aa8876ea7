//! A directory tree looked at as if it were the root of the host: links in it never lead out.
//!
//! For `scan --root`, which reads mounted disks, and for what a path passes on its way. Somebody
//! who renames directories meanwhile can lead a later reading astray, as with any path.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::{fs, iter};

use super::access::Acl;
use super::files::{FileStamp, ReadError, open_regular, read_regular};

/// Most links on the way of one path, as in the kernel (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;
/// Most components that are walked for one path, links included.
const MAX_STEPS: usize = 1024;

/// A tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Default for Root {
    fn default() -> Self {
        Self(PathBuf::from("/"))
    }
}

/// What the inode of a step on the way says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Type and permissions.
    pub mode: u32,
    /// Size in bytes.
    pub size: u64,
    /// The access control list, where there is one beyond the mode.
    pub acl: Option<Acl>,
}

impl Inode {
    /// Whether it is a file of this type (`S_IFDIR`).
    #[must_use]
    pub fn is(&self, kind: u32) -> bool {
        self.mode & libc::S_IFMT == kind
    }
}

/// One component of a path, as it was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its path inside the tree, without links before the last component.
    pub path: PathBuf,
    /// What it is.
    pub inode: Inode,
}

/// Where a path ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Here, without links.
    Found(PathBuf),
    /// Nowhere: this, the first missing component, does not exist.
    Missing(PathBuf),
    /// Nowhere that could be seen.
    Unknown(String),
}

/// The way of a path: every component and link that decides what it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// In the order in which they were met, the root first.
    pub steps: Vec<Step>,
    /// Where it ends.
    pub end: End,
}

impl Trace {
    /// The path without links, if it leads to something.
    #[must_use]
    pub fn found(&self) -> Option<&Path> {
        match &self.end {
            End::Found(path) => Some(path),
            End::Missing(_) | End::Unknown(_) => None,
        }
    }

    /// What it leads to.
    #[must_use]
    pub fn inode(&self) -> Option<&Inode> {
        let found = self.found()?;
        let last = self.steps.iter().rev().find(|step| step.path == found)?;
        Some(&last.inode)
    }
}

impl Root {
    /// The tree below `dir`.
    #[must_use]
    pub fn at(dir: &Path) -> Self {
        Self(dir.to_owned())
    }

    /// Whether it is the host's own root.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// The directory that stands for `/`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// Where a path without links before its last component is for this process.
    #[must_use]
    pub fn outside(&self, path: &Path) -> PathBuf {
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Where the last component of `path` is for this process: links before it are followed, itself
    /// not. What leads nowhere is looked for at its own name, where nothing will be found.
    #[must_use]
    pub fn place(&self, path: &Path) -> PathBuf {
        if self.is_host() {
            return path.to_owned();
        }
        let parent = path.parent().and_then(|dir| self.canonicalize(dir).ok());
        match (parent, path.file_name()) {
            (Some(parent), Some(name)) => self.outside(&parent.join(name)),
            _ => self.outside(path),
        }
    }

    /// The path inside the tree without links.
    ///
    /// # Errors
    ///
    /// When it leads to nothing, or cannot be followed.
    pub fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        if self.is_host() {
            return fs::canonicalize(path);
        }
        match self.walk(path, &mut |_, _| {}) {
            End::Found(path) => Ok(path),
            End::Missing(_) => Err(io::ErrorKind::NotFound.into()),
            End::Unknown(why) => Err(io::Error::other(why)),
        }
    }

    /// Follows `path`, and notes everything that it passes.
    #[must_use]
    pub fn trace(&self, path: &Path) -> Trace {
        let mut steps = Vec::new();
        let end = self.walk(path, &mut |at, meta| {
            let acl = if meta.is_symlink() {
                None
            } else {
                Acl::of(&self.outside(at))
            };
            let inode = Inode {
                uid: meta.uid(),
                gid: meta.gid(),
                mode: meta.mode(),
                size: meta.size(),
                acl,
            };
            let path = at.to_owned();
            steps.push(Step { path, inode });
        });
        Trace { steps, end }
    }

    /// What `path` leads to, links followed.
    #[must_use]
    pub fn stamp(&self, path: &Path) -> Option<FileStamp> {
        let path = self.canonicalize(path).ok()?;
        FileStamp::at(&self.outside(&path))
    }

    /// Reads a regular file of at most `limit` bytes; links are followed inside the tree.
    ///
    /// # Errors
    ///
    /// As [`read_regular`]; the paths in it are those of this process.
    pub fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
        let real = self.canonicalize(path).map_err(|source| ReadError::Io {
            path: path.to_owned(),
            source,
        })?;
        read_regular(&self.outside(&real), limit).map(|(bytes, _)| bytes)
    }

    /// Opens a regular file of at most `limit` bytes; links are followed inside the tree.
    ///
    /// # Errors
    ///
    /// As [`Root::read`].
    pub fn open(&self, path: &Path, limit: u64) -> Result<fs::File, ReadError> {
        let real = self.canonicalize(path).map_err(|source| ReadError::Io {
            path: path.to_owned(),
            source,
        })?;
        open_regular(&self.outside(&real), limit).map(|(file, _)| file)
    }

    /// The first `most` names of a directory that are text, sorted, and whether there are more.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn list(&self, path: &Path, most: usize) -> io::Result<(Vec<String>, bool)> {
        let real = self.canonicalize(path)?;
        let mut entries = fs::read_dir(self.outside(&real))?;
        let mut names = Vec::new();
        for entry in entries.by_ref().take(most) {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok((names, entries.next().is_some()))
    }

    fn walk(&self, path: &Path, seen: &mut dyn FnMut(&Path, &fs::Metadata)) -> End {
        let mut at = PathBuf::from("/");
        match fs::symlink_metadata(self.outside(&at)) {
            Ok(meta) => seen(&at, &meta),
            Err(error) => return End::Unknown(format!("{}: {error}", self.0.display())),
        }
        let mut rest = names_of(path);
        let mut links = 0;
        for _ in 0..MAX_STEPS {
            let Some(name) = rest.pop_front() else {
                return End::Found(at);
            };
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&name);
            let outside = self.outside(&next);
            let meta = match fs::symlink_metadata(&outside) {
                Ok(meta) => meta,
                Err(error) => {
                    return match error.kind() {
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                            End::Missing(next)
                        }
                        _ => End::Unknown(format!("{}: {error}", next.display())),
                    };
                }
            };
            seen(&next, &meta);
            if !meta.is_symlink() {
                at = next;
                continue;
            }
            links += 1;
            if links > MAX_LINKS {
                return End::Unknown(format!("{}: a loop of links", next.display()));
            }
            let target = match fs::read_link(&outside) {
                Ok(target) => target,
                Err(error) => return End::Unknown(format!("{}: {error}", next.display())),
            };
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            for name in names_of(&target).into_iter().rev() {
                rest.push_front(name);
            }
        }
        End::Unknown(format!("{}: too long a way", path.display()))
    }
}

fn names_of(path: &Path) -> VecDeque<OsString> {
    path.components()
        .flat_map(|part| {
            let name = match part {
                Component::Normal(name) => Some(name.to_owned()),
                Component::ParentDir => Some(OsString::from("..")),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
            };
            iter::once(name)
        })
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_stay_inside() {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = Root::at(dir.path());
        fs::create_dir_all(dir.path().join("usr/lib")).expect("mkdir");
        fs::write(dir.path().join("usr/lib/x"), "inside").expect("write");
        let link = |target: &str, at: &str| symlink(target, dir.path().join(at)).expect("link");
        link("usr/lib", "lib");
        link("/lib/../lib/x", "absolute");
        link("../../../../usr/lib/x", "above");
        link("loop", "loop");
        link("none/there", "dangling");
        for path in ["/absolute", "/above", "/lib/x", "/usr/../lib/./x"] {
            assert_eq!(root.read(Path::new(path), 99).expect(path), b"inside");
            let real = root.canonicalize(Path::new(path)).expect(path);
            assert_eq!(real, Path::new("/usr/lib/x"), "{path}");
        }
        let end = |path: &str| root.trace(Path::new(path)).end;
        assert_eq!(end("/dangling"), End::Missing("/none".into()));
        assert_eq!(end("/lib/x/y"), End::Missing("/usr/lib/x/y".into()));
        assert!(matches!(end("/loop"), End::Unknown(why) if why.contains("/loop")));
        let steps = root.trace(Path::new("/absolute")).steps;
        let paths: Vec<_> = steps
            .iter()
            .map(|step| step.path.display().to_string())
            .collect();
        assert_eq!(
            paths,
            [
                "/",
                "/absolute",
                "/lib",
                "/usr",
                "/usr/lib",
                "/usr/lib",
                "/usr/lib/x"
            ]
        );
        let place = root.place(Path::new("/lib/dangling"));
        assert_eq!(place, dir.path().join("usr/lib/dangling"));
    }
}
