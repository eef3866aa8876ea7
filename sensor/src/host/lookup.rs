//! Looking up what a path leads to, without being held up by a file system that does not answer.
//!
//! A path is followed by hand, and before each step onto a mount its type is looked at. What lies on
//! a file system that waits for a server, or for a process in user space, is asked for by a
//! thread of its own, and for a moment only. Where no answer came, nobody is asked again until
//! that thread is back.

use std::{
    fs::{self, File},
    io,
    path::{Component, Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use super::mounts::{MountError, Mounts};
use crate::event::FileIdentity;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_millis(300);
/// Most file systems that are waited for at once.
const SILENT_MAX: usize = 16;
/// Most links that are followed on one way, as in the kernel (`MAXSYMLINKS`).
const LINKS_MAX: usize = 40;

/// Where no answer came.
#[derive(Debug)]
struct Silent {
    point: PathBuf,
    answered: Arc<AtomicBool>,
}

/// Looks up paths.
#[derive(Debug, Default)]
pub struct Lookups {
    silent: Vec<Silent>,
}

/// What a lookup came to on a file system that may not answer.
type Answer = io::Result<(PathBuf, File)>;

impl Lookups {
    /// The path without links, and the identity of what is there.
    ///
    /// # Errors
    ///
    /// When there is nothing, or no answer.
    pub fn find(
        &mut self,
        path: &Path,
        mounts: &Mounts,
    ) -> Result<(PathBuf, FileIdentity), MountError> {
        self.find_by(path, mounts, |path| {
            let real = fs::canonicalize(path)?;
            let file = super::mounts::place(&real, 0)?;
            Ok((real, file))
        })
    }

    /// As [`Lookups::find`]; `ask` is what may take long.
    fn find_by(
        &mut self,
        path: &Path,
        mounts: &Mounts,
        ask: impl FnOnce(&Path) -> Answer + Send + 'static,
    ) -> Result<(PathBuf, FileIdentity), MountError> {
        let lookup = |source| MountError::Lookup {
            path: path.to_owned(),
            source,
        };
        let point = match real_path(path, mounts.doubtful()) {
            Ok(real) => {
                let identity = mounts.identify(&real)?;
                return Ok((real, identity));
            }
            Err(Stop::Io(source)) => return Err(lookup(source)),
            Err(Stop::Doubtful(point)) => point,
        };
        self.silent
            .retain(|silent| !silent.answered.load(Ordering::Acquire));
        let is_silent = self.silent.iter().any(|silent| silent.point == point);
        if is_silent || self.silent.len() >= SILENT_MAX {
            return Err(silent(path, point));
        }
        let answered = Arc::new(AtomicBool::new(false));
        let (send, answer) = mpsc::sync_channel(1);
        let (asked, done) = (path.to_owned(), Arc::clone(&answered));
        thread::Builder::new()
            .name("lookup".to_owned())
            .spawn(move || {
                let _ = send.try_send(ask(&asked)); // nobody waits any more
                done.store(true, Ordering::Release);
            })
            .map_err(lookup)?;
        match answer.recv_timeout(ANSWER) {
            Ok(found) => {
                let (real, file) = found.map_err(lookup)?;
                let identity = mounts.identity_of(&file).map_err(lookup)?;
                Ok((real, identity))
            }
            Err(_) => {
                self.silent.push(Silent {
                    point: point.clone(),
                    answered,
                });
                Err(silent(path, point))
            }
        }
    }
}

fn silent(path: &Path, point: PathBuf) -> MountError {
    MountError::Silent {
        path: path.to_owned(),
        point,
    }
}

/// Why a path was not followed to its end.
#[derive(Debug)]
pub enum Stop {
    /// The kernel said so.
    Io(io::Error),
    /// The way leads onto the mount at this point, which may not answer.
    Doubtful(PathBuf),
}

/// The path without links, unless it leads onto a mount at one of `doubtful`: that one is not
/// touched.
///
/// # Errors
///
/// When it does, or when there is nothing.
pub fn real_path(path: &Path, doubtful: &[PathBuf]) -> Result<PathBuf, Stop> {
    let mut here = PathBuf::from("/");
    let mut rest = parts(path);
    let mut links = 0;
    while let Some(part) = rest.pop() {
        if part.as_os_str() == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&part);
        if doubtful.contains(&next) {
            return Err(Stop::Doubtful(next));
        }
        match fs::read_link(&next) {
            Ok(text) => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(Stop::Io(io::Error::from_raw_os_error(libc::ELOOP)));
                }
                if text.is_absolute() {
                    here = PathBuf::from("/");
                }
                rest.extend(parts(&text));
            }
            // No link.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => here = next,
            Err(error) => return Err(Stop::Io(error)),
        }
    }
    Ok(here)
}

/// The identity of what has this name, of a link the link's own, unless it lies where nobody may
/// answer.
#[must_use]
pub fn identify_link(path: &Path, mounts: &Mounts) -> Option<FileIdentity> {
    let directory = real_path(path.parent()?, mounts.doubtful()).ok()?;
    let path = directory.join(path.file_name()?);
    if mounts.doubtful().contains(&path) {
        return None;
    }
    mounts.identify_link(&path).ok()
}

/// The parts of a path, the last one first.
fn parts(path: &Path) -> Vec<PathBuf> {
    let named = |part: Component<'_>| match part {
        Component::Normal(_) | Component::ParentDir => Some(PathBuf::from(part.as_os_str())),
        _ => None,
    };
    path.components().rev().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::symlink, time::Instant};

    fn room() -> (tempfile::TempDir, PathBuf) {
        let room = tempfile::tempdir().expect("tempdir");
        let path = room.path().canonicalize().expect("there");
        (room, path)
    }

    #[test]
    fn links_are_followed_as_the_kernel_does() {
        let (_room, at) = room();
        fs::create_dir_all(at.join("a/b")).expect("mkdir");
        fs::write(at.join("a/b/file"), "").expect("write");
        symlink("a/b", at.join("short")).expect("symlink");
        symlink(at.join("short/../b/file"), at.join("long")).expect("symlink");
        symlink("loop", at.join("loop")).expect("symlink");
        for name in ["a/b/file", "short/file", "short/..", "long", "a/./b/", ""] {
            let path = at.join(name);
            let real = real_path(&path, &[]).expect("there");
            assert_eq!(real, fs::canonicalize(&path).expect("there"), "{name}");
        }
        for name in ["none", "a/b/file/x", "loop", "long/x"] {
            let expected = fs::canonicalize(at.join(name)).expect_err("nothing there");
            match real_path(&at.join(name), &[]) {
                Err(Stop::Io(error)) => {
                    assert_eq!(error.raw_os_error(), expected.raw_os_error(), "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_silent_is_waited_for_once() {
        let (_room, at) = room();
        fs::create_dir_all(at.join("dead/home")).expect("mkdir");
        symlink("dead/home", at.join("home")).expect("symlink");
        let point = at.join("dead");
        let line = format!(
            "1 0 0:1 / / rw - ext4 a rw\n2 1 0:99 / {} rw - nfs4 server:/ rw\n",
            point.display()
        );
        let mounts = Mounts::parse(line.as_bytes());
        let mut lookups = Lookups::default();
        let (release, held) = mpsc::channel::<()>();
        let never = move |_: &Path| {
            let _ = held.recv();
            Err(io::ErrorKind::NotFound.into())
        };
        let is_silent = |result: Result<_, MountError>| match result {
            Err(error @ MountError::Silent { .. }) => error.to_string().contains("/dead"),
            _ => false,
        };
        assert!(is_silent(lookups.find_by(
            &at.join("home/x"),
            &mounts,
            never
        )));
        // Not asked again, neither by this way nor by another.
        let before = Instant::now();
        for path in ["home/x", "dead/y", "dead"] {
            assert!(is_silent(lookups.find(&at.join(path), &mounts)), "{path}");
        }
        assert!(before.elapsed() < ANSWER);
        // Elsewhere all goes on, and there too, once it answers.
        lookups.find(&at, &mounts).expect("found");
        drop(release);
        let (real, _) = (0..200)
            .find_map(|_| {
                thread::sleep(Duration::from_millis(10));
                lookups.find(&at.join("home"), &mounts).ok()
            })
            .expect("it answers again");
        assert_eq!(real, at.join("dead/home"));
    }
}
