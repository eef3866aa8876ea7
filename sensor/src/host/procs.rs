//! The processes that were there before the agent, from procfs.
//!
//! Through the descriptor of `/proc/PID` everything is read from one process, whatever becomes
//! of its pid. What cannot be read of a process is left out; a process that ends meanwhile is
//! skipped.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use procfs::process::{Process as ProcDir, Stat, Status};
use procfs::{FromBufRead as _, FromRead as _, ProcError};

use super::clock::ClockAnchor;
use super::mounts::{Mounts, kernel_device};
use super::users::Users;
use crate::event::{Executable, Origin, Process, ProcessKey};

/// Most processes that are taken.
pub const MAX_PROCESSES: usize = 65_536;

/// Most bytes of one command line that are kept, and of any other file in procfs.
const MAX_CMDLINE: u64 = 4096;
const MAX_FILE: u64 = 64 << 10;

/// `PF_KTHREAD` of the kernel's `task_struct.flags` (include/linux/sched.h).
const PF_KTHREAD: u32 = 0x0020_0000;

/// An id that is not set: `(uid_t) -1`, also of sessions.
const UNSET: u32 = u32::MAX;

/// procfs could not be read at all. The message names the path.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}", path.display())]
pub struct ProcsError {
    /// The file or directory.
    pub path: PathBuf,
    /// What the kernel said.
    pub source: io::Error,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Seed {
    /// The processes, with [`Origin::Procfs`]. Their start times are those of procfs: see
    /// [`start_matches`]. `spawner` is `None`: procfs does not know it.
    pub processes: Vec<Process>,
    /// The key of each process's parent as of now, by tgid: the reaper it was given to when
    /// its spawner ended. No proof of who spawned it.
    pub reapers: HashMap<u32, ProcessKey>,
    /// The tgids of kernel threads, which have no executable.
    pub kernel_threads: Vec<u32>,
    /// Whether there were more than [`MAX_PROCESSES`].
    pub truncated: bool,
}

/// Whether a start time of the kernel (`start_boottime`, exact) and one of procfs (clock ticks)
/// can be of the same process.
///
/// procfs divides the kernel's value by the length of a tick (10 ms at 100 ticks a second) and
/// drops the rest, so the exact time lies in the tick that begins at `procfs_start`. One more tick
/// on each side allows for a reader in another time namespace and for rounding.
#[must_use]
pub fn start_matches(kernel_start: u64, procfs_start: u64) -> bool {
    let tick = tick_nanoseconds();
    let low = procfs_start.saturating_sub(tick);
    let high = procfs_start.saturating_add(tick.saturating_mul(2));
    (low..high).contains(&kernel_start)
}

/// The length of a clock tick, in nanoseconds.
#[must_use]
pub fn tick_nanoseconds() -> u64 {
    // sysconf(_SC_CLK_TCK), read once by the crate.
    1_000_000_000 / procfs::ticks_per_second().max(1)
}

/// Reads every process of the host.
///
/// # Errors
///
/// When `/proc` cannot be listed. What cannot be read of one process is left out.
pub fn seed(clock: &ClockAnchor, users: &Users, mounts: &Mounts) -> Result<Seed, ProcsError> {
    seed_at(Path::new("/proc"), clock, users, mounts)
}

/// As [`seed`], with another directory in the place of `/proc`.
///
/// # Errors
///
/// When `root` cannot be listed.
pub fn seed_at(
    root: &Path,
    clock: &ClockAnchor,
    users: &Users,
    mounts: &Mounts,
) -> Result<Seed, ProcsError> {
    let list = procfs::process::all_processes_with_root(root).map_err(|e| with_path(e, root))?;
    let mut seed = Seed::default();
    let mut parents = Vec::new();
    for entry in list {
        // Ended between the listing and the opening.
        let Ok(directory) = entry else { continue };
        if seed.processes.len() >= MAX_PROCESSES {
            seed.truncated = true;
            break;
        }
        let path = root.join(directory.pid.to_string());
        let Ok(Some((process, parent, is_kernel))) =
            read_process(&directory, &path, clock, users, mounts)
        else {
            continue;
        };
        let tgid = process.key.tgid;
        if parent != 0 {
            parents.push((tgid, parent));
        }
        if is_kernel {
            seed.kernel_threads.push(tgid);
        }
        seed.processes.push(process);
    }
    let keys: HashMap<u32, ProcessKey> = seed
        .processes
        .iter()
        .map(|process| (process.key.tgid, process.key))
        .collect();
    seed.reapers = parents
        .into_iter()
        .filter_map(|(tgid, parent)| Some((tgid, *keys.get(&parent)?)))
        .collect();
    Ok(seed)
}

/// Reads one process of the host; `None` if it ended meanwhile.
///
/// # Errors
///
/// When its `stat` or `status` cannot be read or makes no sense, naming the file.
pub fn read_one(
    tgid: u32,
    clock: &ClockAnchor,
    users: &Users,
    mounts: &Mounts,
) -> Result<Option<Process>, ProcsError> {
    let path = PathBuf::from(format!("/proc/{tgid}"));
    let directory = match ProcDir::new_with_root(path.clone()) {
        Ok(directory) => directory,
        Err(ProcError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(with_path(error, &path)),
    };
    let read = read_process(&directory, &path, clock, users, mounts)?;
    Ok(read.map(|(process, ..)| process))
}

type Found = Option<(Process, u32, bool)>;

fn read_process(
    directory: &ProcDir,
    path: &Path,
    clock: &ClockAnchor,
    users: &Users,
    mounts: &Mounts,
) -> Result<Found, ProcsError> {
    let Some(stat) = read_stat(directory, path)? else {
        return Ok(None);
    };
    let Some(bytes) = read_file(directory, path, "status", MAX_FILE)? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes);
    let status =
        Status::from_buf_read(text.as_bytes()).map_err(|e| with_path(e, &path.join("status")))?;
    let is_kernel = stat.flags & PF_KTHREAD != 0;
    let (argv, argv_truncated) = argv(directory, path);
    let number = |name| read_number(directory, path, name).filter(|&id| id != UNSET);
    let namespace = |name: &str| {
        fs::metadata(path.join("ns").join(name)).map_or(0, |meta| {
            // Inode numbers of nsfs are 32 bits wide.
            u32::try_from(meta.ino()).unwrap_or(0)
        })
    };
    let start = stat.starttime.saturating_mul(tick_nanoseconds());
    let process = Process {
        boot: None,
        key: ProcessKey::new(u32::try_from(stat.pid).unwrap_or(0), start),
        origin: Origin::Procfs,
        spawner: None,
        exe: if is_kernel {
            None
        } else {
            executable(directory, path, mounts)
        },
        argv,
        argv_truncated,
        cwd: directory
            .cwd()
            .ok()
            .map(|cwd| cwd.to_string_lossy().into_owned()),
        comm: stat.comm.clone(),
        uid: status.ruid,
        euid: status.euid,
        gid: status.rgid,
        user: users.name(status.ruid),
        auid: number("loginuid"),
        session: number("sessionid"),
        cgroup: cgroup(directory, path),
        mount_ns: namespace("mnt"),
        pid_ns: namespace("pid"),
        started: clock.to_timestamp(start),
        executed: None,
    };
    // What was read by path above was of this process if it is still there now.
    let alive = read_stat(directory, path)?.is_some();
    let parent = u32::try_from(stat.ppid).unwrap_or(0);
    Ok(alive.then_some((process, parent, is_kernel)))
}

/// `None` when the process ended.
fn read_stat(directory: &ProcDir, path: &Path) -> Result<Option<Stat>, ProcsError> {
    let Some(bytes) = read_file(directory, path, "stat", MAX_FILE)? else {
        return Ok(None);
    };
    // A comm is any bytes but NUL; one that is not UTF-8 must not hide its process.
    let text = String::from_utf8_lossy(&bytes);
    Stat::from_read(text.as_bytes())
        .map(Some)
        .map_err(|error| with_path(error, &path.join("stat")))
}

/// The bytes of a file below `/proc/PID`; `None` when the process ended.
fn read_file(
    directory: &ProcDir,
    path: &Path,
    name: &str,
    limit: u64,
) -> Result<Option<Vec<u8>>, ProcsError> {
    let read = || -> Result<Vec<u8>, ProcError> {
        let mut bytes = Vec::new();
        directory
            .open_relative(name)?
            .take(limit)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => {
            let error = with_path(error, &path.join(name));
            let ended = error.source.kind() == io::ErrorKind::NotFound
                || error.source.raw_os_error() == Some(libc::ESRCH);
            if ended { Ok(None) } else { Err(error) }
        }
    }
}

fn read_number(directory: &ProcDir, path: &Path, name: &str) -> Option<u32> {
    let bytes = read_file(directory, path, name, 64).ok()??;
    std::str::from_utf8(&bytes).ok()?.trim().parse().ok()
}

fn argv(directory: &ProcDir, path: &Path) -> (Vec<String>, bool) {
    let bytes = read_file(directory, path, "cmdline", MAX_CMDLINE + 1);
    let mut bytes = bytes.ok().flatten().unwrap_or_default();
    let limit = usize::try_from(MAX_CMDLINE).unwrap_or(usize::MAX);
    let truncated = bytes.len() > limit;
    bytes.truncate(limit);
    if bytes.is_empty() {
        return (Vec::new(), false);
    }
    // Only the end of the last argument; an empty argument is one too.
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    let argv = bytes
        .split(|&byte| byte == 0)
        .map(|argument| String::from_utf8_lossy(argument).into_owned())
        .collect();
    (argv, truncated)
}

fn executable(directory: &ProcDir, path: &Path, mounts: &Mounts) -> Option<Executable> {
    let link = directory.exe().ok()?;
    let text = link.to_string_lossy().into_owned();
    let link = path.join("exe");
    let mut exe = Executable::default();
    // The link leads to the inode itself, be it deleted or in another mount namespace.
    if let Ok(meta) = fs::metadata(&link) {
        exe.device = mounts
            .identify(&link)
            .map_or_else(|_| kernel_device(meta.dev()), |identity| identity.device);
        exe.inode = meta.ino();
        exe.nlink = u32::try_from(meta.nlink()).unwrap_or(u32::MAX);
        exe.mode = meta.mode();
        exe.size = meta.len();
    }
    exe.path = match text.strip_suffix(" (deleted)") {
        Some(name) if exe.nlink == 0 => name.to_owned(),
        _ => text,
    };
    Some(exe)
}

/// The path in the unified hierarchy; where systemd tracks units in its own (hybrid and legacy
/// hosts, where the unified one is unused), the path in that.
fn cgroup(directory: &ProcDir, path: &Path) -> Option<String> {
    let bytes = read_file(directory, path, "cgroup", MAX_FILE).ok()??;
    cgroup_path(&String::from_utf8_lossy(&bytes))
}

/// The cgroup's path of a process that runs now.
#[must_use]
pub fn cgroup_of(tgid: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{tgid}/cgroup")).ok()?;
    cgroup_path(&text)
}

/// The inode number of a cgroup in the unified hierarchy, which is its id.
#[must_use]
pub fn cgroup_id(path: &str) -> Option<u64> {
    let directory = Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/'));
    Some(fs::metadata(directory).ok()?.ino())
}

/// The process id that a process has in its own pid namespace: the last of `NSpid`.
#[must_use]
pub fn namespaced_pid(tgid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{tgid}/status")).ok()?;
    let pids = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    pids.split_ascii_whitespace().last()?.parse().ok()
}

fn cgroup_path(text: &str) -> Option<String> {
    // `hierarchy:controllers:path`; a path may hold colons.
    let of = |wanted: &dyn Fn(&str, &str) -> bool| {
        text.lines().find_map(|line| {
            let (hierarchy, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            // What the kernel adds when the directory is gone.
            let path = path.strip_suffix(" (deleted)").unwrap_or(path);
            wanted(hierarchy, controllers).then(|| path.to_owned())
        })
    };
    let unified = of(&|hierarchy, controllers| hierarchy == "0" && controllers.is_empty());
    let named = || of(&|_, controllers| controllers == "name=systemd");
    match unified {
        Some(path) if path != "/" => Some(path),
        other => named().or(other),
    }
}

fn with_path(error: ProcError, path: &Path) -> ProcsError {
    let (source, named) = match error {
        ProcError::PermissionDenied(path) => (io::ErrorKind::PermissionDenied.into(), path),
        ProcError::NotFound(path) => (io::ErrorKind::NotFound.into(), path),
        ProcError::Incomplete(path) => (io::ErrorKind::UnexpectedEof.into(), path),
        ProcError::Io(source, path) => (source, path),
        ProcError::Other(text) => (io::Error::other(text), None),
        ProcError::InternalError(bug) => {
            (io::Error::new(io::ErrorKind::InvalidData, bug.msg), None)
        }
    };
    ProcsError {
        path: named.unwrap_or_else(|| path.to_owned()),
        source,
    }
}

#[cfg(test)]
mod tests;
