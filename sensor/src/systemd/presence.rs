//! Which of the load paths exist on this host now.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::cgroup::unit_of_cgroup;
use super::load_path::{LoadDir, UserDirs};
use super::load_paths::LoadPaths;
use crate::event::{FileIdentity, Manager, Process};
use crate::host::lookup::Lookups;
use crate::host::mounts::{MountError, Mounts};
use crate::host::users::Users;

/// Where packages install the program that every manager runs.
pub const MANAGER_PROGRAMS: [&str; 2] = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];

/// Most user managers, and most entries of `/run/user` and `/run/capsules`, that are taken.
const MAX_MANAGERS: usize = 4096;

/// Most bytes of a manager's environment that are read.
const MAX_ENVIRONMENT: u64 = 128 << 10;

/// A directory or file that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its path without links.
    pub path: String,
    /// Its identity, as the kernel's probes report it.
    pub identity: FileIdentity,
}

/// Whether a place exists.
#[derive(Debug)]
pub enum State {
    /// It does.
    Present(Found),
    /// It does not; this is the nearest directory above that does.
    Missing(Found),
    /// That could not be found out.
    Unknown(MountError),
}

/// One place and whether it exists.
#[derive(Debug)]
pub struct Presence {
    /// The place.
    pub dir: LoadDir,
    /// Whether it exists.
    pub state: State,
}

/// Looks for places, and tells `paths` the real names of those that are reached through links. To
/// be called again when a directory was made on the way to a place.
pub fn survey(
    places: Vec<LoadDir>,
    paths: &mut LoadPaths,
    lookups: &mut Lookups,
    mounts: &Mounts,
) -> Vec<Presence> {
    places
        .into_iter()
        .map(|dir| {
            let state = look(Path::new(&dir.path), lookups, mounts);
            let real = match &state {
                State::Present(found) => Some(found.path.clone()),
                State::Missing(above) => real_name(&dir.path, &above.path, lookups, mounts),
                State::Unknown(_) => None,
            };
            if let Some(real) = real.filter(|real| *real != dir.path) {
                paths.add_alias(&real, &dir.path);
            }
            Presence { dir, state }
        })
        .collect()
}

fn look(path: &Path, lookups: &mut Lookups, mounts: &Mounts) -> State {
    for (depth, at) in path.ancestors().enumerate() {
        let (real, identity) = match lookups.find(at, mounts) {
            Ok(found) => found,
            // Not there, or a file in the place of a directory: look above.
            Err(MountError::Lookup { source, .. }) if is_missing(&source) => continue,
            Err(error) => return State::Unknown(error),
        };
        // A file where a directory should be: systemd finds nothing below it.
        if depth > 0 && identity.mode & libc::S_IFMT != libc::S_IFDIR {
            continue;
        }
        let found = Found {
            path: real.to_string_lossy().into_owned(),
            identity,
        };
        return if depth == 0 {
            State::Present(found)
        } else {
            State::Missing(found)
        };
    }
    State::Unknown(MountError::Lookup {
        path: path.to_owned(),
        source: io::ErrorKind::NotFound.into(),
    })
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// What a missing path would be called if it were made now: the real name of what exists, then
/// the rest. The part that exists is the longest prefix whose real name is `above`.
fn real_name(path: &str, above: &str, lookups: &mut Lookups, mounts: &Mounts) -> Option<String> {
    let leads_there = |at: &&Path| {
        let found = lookups.find(at, mounts);
        found.is_ok_and(|(real, _)| real == Path::new(above))
    };
    let at = Path::new(path).ancestors().skip(1).find(leads_there)?;
    let rest = Path::new(path).strip_prefix(at).ok()?;
    Some(Path::new(above).join(rest).to_string_lossy().into_owned())
}

/// A user manager that runs, with its environment block.
#[derive(Clone, Debug)]
pub struct RunningManager {
    /// Whose it is.
    pub uid: u32,
    /// Its process id.
    pub tgid: u32,
    /// The block from `/proc/PID/environ`; empty when it could not be read. Holds secrets:
    /// only [`UserDirs::with_environment`] may look into it.
    environment: Vec<u8>,
}

/// The user managers among the processes of the host.
#[must_use]
pub fn running_managers(processes: &[Process]) -> Vec<RunningManager> {
    processes
        .iter()
        .filter(|process| process.name() == "systemd")
        .filter_map(|process| {
            let unit = unit_of_cgroup(process.cgroup.as_deref()?);
            let Manager::User(uid) = unit.manager else {
                return None;
            };
            let tgid = process.key.tgid;
            (unit.unit.as_deref() == Some("init.scope")).then(|| RunningManager {
                uid,
                tgid,
                environment: read_environment(tgid).unwrap_or_default(),
            })
        })
        .take(MAX_MANAGERS)
        .collect()
}

fn read_environment(tgid: u32) -> io::Result<Vec<u8>> {
    let mut block = Vec::new();
    fs::File::open(format!("/proc/{tgid}/environ"))?
        .take(MAX_ENVIRONMENT)
        .read_to_end(&mut block)?;
    Ok(block)
}

/// The load paths of PID 1, of every user with a home in passwd, of the user managers that run
/// and of capsules.
#[must_use]
pub fn load_paths_of_host(users: &Users, running: &[RunningManager]) -> LoadPaths {
    load_paths_at(Path::new("/"), users, running)
}

/// As [`load_paths_of_host`], with `/run` and `/var` looked for below `root`.
#[must_use]
pub fn load_paths_at(root: &Path, users: &Users, running: &[RunningManager]) -> LoadPaths {
    let mut paths = LoadPaths::builtin();
    for manager in running {
        let home = users
            .all()
            .iter()
            .find(|user| user.uid == manager.uid)
            .map(|user| user.home.clone())
            .or_else(|| home_of(&manager.environment));
        let runtime = format!("/run/user/{}", manager.uid);
        let home = home.unwrap_or_else(|| "/nonexistent".to_owned());
        let dirs = UserDirs::new(manager.uid, &home, Some(&runtime));
        paths.add_user(dirs.with_environment(&manager.environment));
    }
    let known: Vec<u32> = running.iter().map(|manager| manager.uid).collect();
    for user in users.homes() {
        if !known.contains(&user.uid) {
            let runtime = format!("/run/user/{}", user.uid);
            paths.add_user(UserDirs::new(user.uid, &user.home, Some(&runtime)));
        }
    }
    // Users that passwd does not know have at least a runtime directory.
    for name in names_in(&root.join("run/user")) {
        if let Ok(uid) = name.parse::<u32>()
            && paths.unit_dirs(&Manager::User(uid)).is_empty()
        {
            let runtime = format!("/run/user/{uid}");
            paths.add_user(UserDirs::new(uid, "/nonexistent", Some(&runtime)));
        }
    }
    for directory in ["run/capsules", "var/lib/capsules"] {
        for name in names_in(&root.join(directory)) {
            paths.add_user(UserDirs::capsule(&name));
        }
    }
    paths
}

fn home_of(block: &[u8]) -> Option<String> {
    let home = block
        .split(|&byte| byte == 0)
        .find_map(|entry| entry.strip_prefix(b"HOME="))?;
    String::from_utf8(home.to_vec()).ok()
}

fn names_in(directory: &PathBuf) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .take(MAX_MANAGERS)
        .collect()
}
