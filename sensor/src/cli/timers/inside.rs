//! Timers below another root: of a container that runs, and of a system that does not.
//!
//! Links in there lead nowhere else only for a process whose root it is. So a container is listed
//! by a process of our own that enters it, without its pid namespace: nobody in there sees it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Gid, Uid, chroot, setgid, setgroups, setuid};

use super::collect::{self, List, Listed, Source};
use super::origin::Origins;
use super::row::{Row, rows};
use crate::event::Manager;
use crate::systemd::bus::{ManagerSocket, loaded_timers, loaded_timers_by_bus};

/// Longest list of a container that is taken, in bytes.
const LIST_MAX: u64 = 16 << 20;
/// How long a container may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The files of the system in `root`, which does not run.
pub(super) fn files_of(root: &Path) -> anyhow::Result<List> {
    let enter = || -> anyhow::Result<()> {
        chroot(root)?;
        std::env::set_current_dir("/")?;
        Ok(())
    };
    enter().with_context(|| format!("cannot enter {}", root.display()))?;
    let (_, sources, clock) = collect::files()?;
    let mut list = List::default();
    let timers = rows(&Manager::System, sources, &clock);
    list.add(&Manager::System, Err("it does not run".to_owned()), timers);
    Origins::of_packages().fill(&mut list);
    Ok(list)
}

/// Adds the timers of a container, listed by another process.
pub(super) fn add(list: &mut List, manager: &Manager, tgid: u32) {
    let name = manager.to_string();
    match ask(tgid) {
        Ok(inner) => {
            let renamed = |row: Row| Row {
                manager: name.clone(),
                missing_from_list_timers: Some(super::row::Missing::OtherManager),
                ..row
            };
            list.timers.extend(inner.timers.into_iter().map(renamed));
            list.managers
                .extend(inner.managers.into_iter().map(|listed| Listed {
                    manager: name.clone(),
                    ..listed
                }));
        }
        Err(error) => list.managers.push(Listed {
            manager: name,
            version: None,
            source: Source::Files,
            why: Some(format!("nothing could be read: {error:#}")),
        }),
    }
}

fn ask(tgid: u32) -> anyhow::Result<List> {
    let mut child = Command::new("/proc/self/exe")
        .args(["timers", "--inside", &tgid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .env_clear()
        .spawn()
        .context("cannot start the process that enters it")?;
    let out = child.stdout.take().context("it has no output")?;
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        out.take(LIST_MAX).read_to_end(&mut text).map(|_| text)
    });
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            bail!("it took too long");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let text = reader.join().map_err(|_| anyhow::anyhow!("no output"))??;
    if !status.success() {
        bail!("it cannot be entered");
    }
    serde_json::from_slice(&text).context("its list cannot be read")
}

/// The timers of the container whose systemd is the process `tgid`, as that systemd sees them.
pub(super) fn list(tgid: u32) -> anyhow::Result<List> {
    enter(tgid).with_context(|| format!("cannot enter the container of process {tgid}"))?;
    let socket = ManagerSocket {
        manager: Manager::System,
        tgid,
        path: "/run/systemd/private".into(),
    };
    // A manager lets nobody in who is outside its pid namespace; its bus does.
    let asked = loaded_timers(Some(&socket));
    let asked = asked.or_else(|error| match loaded_timers_by_bus() {
        Ok(loaded) => Ok(loaded),
        Err(bus) => Err(format!("{error}; {bus}")),
    });
    let (_, mut sources, clock) = collect::files()?;
    let version = asked.map(|loaded| {
        sources.loaded = Some(loaded.timers);
        loaded.version
    });
    let mut list = List::default();
    let timers = rows(&Manager::System, sources, &clock);
    list.add(&Manager::System, version, timers);
    Origins::of_packages().fill(&mut list);
    Ok(list)
}

/// Takes on the container's mounts and root, and its users, where it has its own.
///
/// What looks itself up in `/proc` has to find itself: the container's shows its own pid namespace
/// alone, so that of the host is mounted over it, in a mount namespace that nobody else has.
fn enter(tgid: u32) -> anyhow::Result<()> {
    let proc = format!("/proc/{tgid}");
    let open = |name: &str| {
        let path = format!("{proc}/{name}");
        File::open(&path).with_context(|| format!("cannot open {path}"))
    };
    let (root, mounts, users) = (open("root")?, open("ns/mnt")?, open("ns/user")?);
    let inode = |path: &str| -> anyhow::Result<u64> {
        use std::os::unix::fs::MetadataExt as _;
        Ok(std::fs::metadata(path)?.ino())
    };
    let own_users = inode(&format!("{proc}/ns/user"))? != inode("/proc/self/ns/user")?;
    setns(&mounts, CloneFlags::CLONE_NEWNS)?;
    nix::unistd::fchdir(&root)?;
    // Root and working directory go along into the copy.
    unshare(CloneFlags::CLONE_NEWNS)?;
    let nothing = None::<&str>;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(nothing, "/", nothing, private, nothing).context("cannot keep mounts to itself")?;
    chroot(".")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, nothing)
        .context("cannot mount /proc in there")?;
    if own_users {
        setns(&users, CloneFlags::CLONE_NEWUSER)?;
        setgroups(&[])?;
        setgid(Gid::from_raw(0))?;
        setuid(Uid::from_raw(0))?;
    }
    Ok(())
}
