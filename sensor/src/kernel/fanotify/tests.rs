//! Against the running kernel; needs root.

mod fallback;
mod kernel;
mod limits;
mod reach;

use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

const MAIN: u32 = 7;

/// A watched directory, one beside it that is not, and the group.
struct Rig {
    fan: Fanotify,
    dir: TempDir,
    out: TempDir,
}

/// The group, or `None` (said on stdout) where fanotify is not allowed.
fn group() -> Option<Fanotify> {
    match Fanotify::new() {
        Ok(fan) => Some(fan),
        Err(FanotifyError::Privilege) => {
            println!("skipped: fanotify needs CAP_SYS_ADMIN");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

impl Rig {
    fn new() -> Option<Self> {
        Self::with(group()?, Scope::Content)
    }

    fn with(mut fan: Fanotify, scope: Scope) -> Option<Self> {
        let (dir, out) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        match fan.watch(dir.path(), MAIN, scope) {
            Ok(id) => assert_eq!(id, MAIN),
            Err(FanotifyError::Blind { .. }) => {
                println!("skipped: the temporary directory's file system has no handles");
                return None;
            }
            Err(error) => panic!("{error}"),
        }
        Some(Self { fan, dir, out })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn outside(&self, name: &str) -> PathBuf {
        self.out.path().join(name)
    }

    fn read(&mut self) -> Vec<FileEvent> {
        let mut events = Vec::new();
        assert_eq!(self.fan.read(&mut events).unwrap(), Drained::Empty);
        events
    }

    fn changes(&mut self) -> Vec<FileChange> {
        let events = self.read().into_iter();
        events
            .filter_map(|event| match event {
                FileEvent::Change(change) => Some(change),
                _ => None,
            })
            .collect()
    }

    /// What is queued, in words: the refined verb, the old name if any, the new name.
    fn said(&mut self) -> Vec<String> {
        let events = self.read();
        events.iter().map(|event| self.word(event)).collect()
    }

    fn word(&self, event: &FileEvent) -> String {
        match event {
            FileEvent::Change(change) => {
                let mut words = format!("{:?}", self.fan.look(change).verb);
                let names = [(" <", &change.from), (" ", &change.at)];
                for (sign, place) in names {
                    if let Some(place) = place {
                        words += &format!("{sign}{}", place.name.display());
                        match place.dir {
                            Some(MAIN) => {}
                            Some(other) => words += &format!("@{other}"),
                            None => words += "@?",
                        }
                    }
                }
                words
            }
            FileEvent::Gone { id, .. } => format!("Gone {id}"),
            FileEvent::Moved { id, .. } => format!("Moved {id}"),
            FileEvent::Overflow => "Overflow".to_owned(),
        }
    }
}

#[test]
fn errors_say_what_to_do() {
    let path = Path::new("/x");
    assert!(matches!(
        FanotifyError::mark(path, Errno::EXDEV),
        FanotifyError::Blind { .. }
    ));
    assert!(matches!(
        FanotifyError::mark(path, Errno::ENODEV),
        FanotifyError::Blind { .. }
    ));
    assert!(matches!(
        FanotifyError::mark(path, Errno::EOPNOTSUPP),
        FanotifyError::Blind { .. }
    ));
    let limit = FanotifyError::mark(path, Errno::ENOSPC).to_string();
    assert!(limit.contains("fs.fanotify.max_user_marks") && limit.contains("/x"));
    assert!(
        FanotifyError::init(Errno::EPERM)
            .to_string()
            .contains("CAP_SYS_ADMIN")
    );
    assert!(
        FanotifyError::init(Errno::EINVAL)
            .to_string()
            .contains("5.9")
    );
    assert!(
        FanotifyError::init(Errno::ENOSYS)
            .to_string()
            .contains("CONFIG_FANOTIFY")
    );
    assert!(matches!(
        FanotifyError::init(Errno::EMFILE),
        FanotifyError::GroupLimit(_)
    ));
}

#[test]
fn a_missing_directory_is_named() {
    let Some(mut fan) = group() else { return };
    let error = fan.watch(Path::new("/nonexistent/dir"), 1, Scope::Content);
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("/nonexistent/dir") && text.contains("ENOENT"),
        "{text}"
    );
    let error = fan.watch(Path::new("/proc/self/status"), 1, Scope::Content);
    assert!(matches!(
        error,
        Err(FanotifyError::Open {
            source: Errno::ENOTDIR,
            ..
        })
    ));
}

#[test]
fn one_inode_has_one_number() {
    let Some(mut rig) = Rig::new() else { return };
    let link = rig.outside("link");
    std::os::unix::fs::symlink(rig.dir.path(), &link).unwrap();
    assert_eq!(rig.fan.watch(&link, 8, Scope::Ancestor).unwrap(), MAIN);
    fs::write(rig.path("a"), "x").unwrap();
    assert_eq!(rig.said(), ["Create a", "Closed a"]);
}

#[test]
fn unwatch_ends_the_events() {
    let Some(mut rig) = Rig::new() else { return };
    fs::write(rig.path("before"), "").unwrap();
    rig.fan.unwatch(MAIN);
    fs::write(rig.path("after"), "").unwrap();
    assert!(rig.said().is_empty());
    assert_eq!(rig.fan.unmatched(), 1, "only what was queued before");
    rig.fan.watch(rig.dir.path(), MAIN, Scope::Content).unwrap();
    fs::write(rig.path("again"), "").unwrap();
    assert_eq!(rig.said(), ["Create again", "Closed again"]);
}

#[test]
fn a_number_moves_to_a_new_directory() {
    let Some(mut rig) = Rig::new() else { return };
    let other = rig.out.path().to_owned();
    assert_eq!(rig.fan.watch(&other, MAIN, Scope::Content).unwrap(), MAIN);
    fs::write(rig.path("old"), "").unwrap();
    fs::write(rig.outside("new"), "").unwrap();
    assert_eq!(rig.said(), ["Create new", "Closed new"]);
}

#[test]
fn an_ancestor_tells_names_only() {
    let Some(fan) = group() else { return };
    let Some(mut rig) = Rig::with(fan, Scope::Ancestor) else {
        return;
    };
    fs::create_dir(rig.path("systemd")).unwrap();
    fs::write(rig.path("file"), "x").unwrap();
    std::os::unix::fs::symlink("/tmp", rig.path("link")).unwrap();
    fs::rename(rig.path("systemd"), rig.path("s")).unwrap();
    let said = rig.said();
    assert_eq!(
        said,
        [
            "Mkdir systemd",
            "Create file",
            "Symlink link",
            "Rename <systemd s"
        ]
    );
}

#[test]
fn a_scan_lists_what_is_there() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("f"), "abc").unwrap();
    std::os::unix::fs::symlink("no/where", dir.path().join("l")).unwrap();
    let mut listing = scan(dir.path()).unwrap();
    listing.entries.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(listing.complete);
    assert_eq!(listing.entries.len(), 2);
    assert_eq!(listing.entries[0].facts.size, 3);
    assert_eq!(
        listing.entries[1].link.as_deref(),
        Some("no/where".as_ref())
    );
    let error = scan(&dir.path().join("none")).unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
}

#[test]
fn the_descriptor_polls() {
    let Some(rig) = Rig::new() else { return };
    assert_eq!(rig.fan.as_fd().as_raw_fd(), rig.fan.as_raw_fd());
    let ready = |rig: &Rig| {
        let mut poll = libc::pollfd {
            fd: rig.fan.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one valid pollfd.
        unsafe { libc::poll(&raw mut poll, 1, 0) }
    };
    assert_eq!(ready(&rig), 0);
    fs::write(rig.path("a"), "").unwrap();
    assert_eq!(ready(&rig), 1);
}
