//! Looking up what a path leads to, without being held up by a file system that does not answer.
//!
//! A path is followed by hand. The kernel stops each step that would lead onto a mount, and the type of
//! that is looked at first, in a table that is read anew if the mount is: none can slip in between the
//! look and the step. What lies on a file system that waits for a server, or for a process in user
//! space, is asked for by a thread of its own, and for a moment only. Where no answer came, nobody is
//! asked again until that thread is back.

use std::{
    fs::{self, File},
    io,
    os::fd::AsRawFd as _,
    path::{Component, Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use nix::{
    fcntl::{OFlag, OpenHow, ResolveFlag},
    sys::stat::Mode,
};

use super::mounts::{MountError, Mounts, mount_id};
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
        let point = match walk(path, mounts.doubtful(), Some(mounts), true) {
            Ok((real, file)) => {
                let identity = mounts.identity_of(&file).map_err(lookup)?;
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

/// The path without links, unless it leads onto a mount that may not answer, at one of `doubtful` or
/// made since that was found out: that one is not touched.
///
/// # Errors
///
/// When it does, or when there is nothing.
pub fn real_path(path: &Path, doubtful: &[PathBuf]) -> Result<PathBuf, Stop> {
    walk(path, doubtful, None, true).map(|(real, _)| real)
}

/// What has this name, a link itself, opened as a mere place; unless it lies where nobody may answer.
#[must_use]
pub fn open_link(path: &Path, mounts: &Mounts) -> Option<File> {
    let found = walk(path, mounts.doubtful(), Some(mounts), false);
    found.ok().map(|(_, file)| file)
}

/// The identity of what has this name, of a link the link's own, unless it lies where nobody may
/// answer.
#[must_use]
pub fn identify_link(path: &Path, mounts: &Mounts) -> Option<FileIdentity> {
    mounts.identity_of(&open_link(path, mounts)?).ok()
}

/// The names that are met on the way to what a path leads to, each in a directory without links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// In order; the last is the file's own, or the first that is missing.
    pub names: Vec<PathBuf>,
    /// Whether the last is the file's own, be it there or not.
    pub whole: bool,
}

/// The way that a path takes, as far as it can be gone.
#[must_use]
pub fn way(path: &Path, mounts: &Mounts) -> Way {
    let mut way = Way::default();
    let mut met = |name: &Path, last: bool| {
        way.names.push(name.to_owned());
        way.whole = last;
    };
    // What is missing is missing: that is what the way shows.
    let _ = walk_by(path, mounts.doubtful(), Some(mounts), true, &mut met);
    way
}

/// What is in a directory, unless it lies where nobody may answer.
///
/// # Errors
///
/// When it does, or cannot be read.
pub fn list(path: &Path, mounts: &Mounts) -> Result<fs::ReadDir, Stop> {
    let (_, directory) = walk(path, mounts.doubtful(), Some(mounts), true)?;
    let again = format!("/proc/self/fd/{}", directory.as_raw_fd());
    fs::read_dir(again).map_err(Stop::Io)
}

/// Opened only to be named: neither the file nor its server notices.
const PLACE: OFlag = OFlag::O_PATH
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// Walks a path; a link at its end is followed only if `follow`. Each step stays on a mount of which
/// it is known that it answers: the kernel itself stops a step that would leave it, however new the
/// mount there is.
fn walk(
    path: &Path,
    doubtful: &[PathBuf],
    known: Option<&Mounts>,
    follow: bool,
) -> Result<(PathBuf, File), Stop> {
    walk_by(path, doubtful, known, follow, &mut |_, _| {})
}

/// As [`walk`]; `met` is told each name before it is looked at, and whether it is the last.
fn walk_by(
    path: &Path,
    doubtful: &[PathBuf],
    known: Option<&Mounts>,
    follow: bool,
    met: &mut dyn FnMut(&Path, bool),
) -> Result<(PathBuf, File), Stop> {
    let errno = |error: nix::Error| Stop::Io(error.into());
    let root = nix::fcntl::open("/", PLACE, Mode::empty()).map_err(errno)?;
    let mut here = PathBuf::from("/");
    // One for each part of `here`.
    let mut way = vec![File::from(root)];
    let mut rest = parts(path);
    let mut links = 0;
    while let Some(part) = rest.pop() {
        if part.as_os_str() == ".." {
            here.pop();
            way.truncate(way.len().saturating_sub(1).max(1));
            continue;
        }
        let next = here.join(&part);
        met(&next, rest.is_empty());
        if doubtful.contains(&next) {
            return Err(Stop::Doubtful(next));
        }
        let Some(directory) = way.last() else {
            return Err(errno(nix::Error::ENOENT)); // the root is always there
        };
        let place = step(directory, &part, &next, known)?;
        let link = place.metadata().map_err(Stop::Io)?.is_symlink();
        if !link || rest.is_empty() && !follow {
            here = next;
            way.push(place);
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(errno(nix::Error::ELOOP));
        }
        let text = PathBuf::from(nix::fcntl::readlinkat(&place, "").map_err(errno)?);
        if text.is_absolute() {
            here = PathBuf::from("/");
            way.truncate(1);
        }
        rest.extend(parts(&text));
    }
    match way.pop() {
        Some(place) => Ok((here, place)),
        None => Err(errno(nix::Error::ENOENT)),
    }
}

/// One step from a directory, to `next`.
fn step(directory: &File, part: &Path, next: &Path, known: Option<&Mounts>) -> Result<File, Stop> {
    let how = OpenHow::new()
        .flags(PLACE)
        .resolve(ResolveFlag::RESOLVE_NO_XDEV);
    match nix::fcntl::openat2(directory, part, how) {
        Ok(place) => return Ok(place.into()),
        // Onto a mount; or the system call is not to be had (a filter of system calls).
        Err(nix::Error::EXDEV | nix::Error::ENOSYS | nix::Error::EPERM) => {}
        Err(error) => return Err(Stop::Io(error.into())),
    }
    // Onto the root of a mount, and no further: nobody is asked for that.
    let place = nix::fcntl::openat(directory, part, PLACE, Mode::empty());
    let place = File::from(place.map_err(|error| Stop::Io(error.into()))?);
    let fears = |mounts: &Mounts, id| {
        let mount = mounts.all().iter().find(|mount| mount.id == id);
        mount.map(|mount| mounts.may_not_answer(mount))
    };
    let Some(id) = mount_id(&place) else {
        return Ok(place);
    };
    let feared = known.and_then(|known| fears(known, id));
    // One that came since the table was read, or went: a mount that is not listed is not trusted.
    let feared = feared.or_else(|| fears(&Mounts::read().ok()?, id));
    match feared {
        Some(false) => Ok(place),
        _ => Err(Stop::Doubtful(next.to_owned())),
    }
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
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
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

    /// Needs root; without it there is nothing to test with.
    #[test]
    fn a_mount_that_nobody_knows_of_holds_nobody_up() {
        let (_room, at) = room();
        fs::create_dir_all(at.join("home/units")).expect("mkdir");
        symlink(at.join("home/units"), at.join("way")).expect("symlink");
        let before = Mounts::read().expect("mountinfo");
        let Ok(server) = File::options().read(true).write(true).open("/dev/fuse") else {
            println!("skipped: /dev/fuse cannot be opened");
            return;
        };
        let data = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0",
            server.as_raw_fd()
        );
        let (kind, dir) = (Some("fuse"), at.join("home"));
        if mount(kind, &dir, kind, MsFlags::empty(), Some(data.as_str())).is_err() {
            println!("skipped: FUSE cannot be mounted");
            return;
        }
        let (said, answers) = mpsc::channel();
        let places = ["home/units/a.timer", "way", "home/units", "home/a", "home"];
        let paths: Vec<PathBuf> = places.iter().map(|name| at.join(name)).collect();
        let worker = thread::spawn(move || {
            let mut lookups = Lookups::default();
            for path in paths {
                let found = lookups.find(&path, &before);
                let _ = said.send(matches!(found, Err(MountError::Silent { .. })));
                let _ = said.send(identify_link(&path, &before).is_none() || path.ends_with("way"));
                let _ = said.send(list(&path, &before).is_err());
                let real = real_path(&path, before.doubtful());
                let _ = said.send(matches!(real, Err(Stop::Doubtful(_))));
            }
        });
        let mut told = Vec::new();
        while let Ok(answer) = answers.recv_timeout(Duration::from_secs(10)) {
            told.push(answer);
        }
        umount2(&dir, MntFlags::MNT_DETACH).expect("unmount");
        drop(server);
        assert_eq!(told, [true; 20]);
        worker.join().expect("no panic");
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
