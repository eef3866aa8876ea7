//! File systems that do not answer, and files that make one wait.

use std::os::fd::AsRawFd as _;
use std::sync::mpsc;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::priming::load_paths;
use super::*;

const FEARED: &str = "on a file system that may not answer: ";

/// The mounts as they are, with `dir` as a mount of the type `kind`.
fn with_mount(dir: &Path, kind: &str) -> Mounts {
    let mut table = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let now = Mounts::parse(table.as_bytes());
    let path = dir.to_string_lossy();
    let parent = now.holding(&path).expect("a mount").id;
    table.push_str(&format!(
        "999999 {parent} 0:999 / {path} rw - {kind} server:/x rw\n"
    ));
    Mounts::parse(table.as_bytes())
}

#[test]
fn types_that_may_not_answer_are_not_asked() {
    let mut room = room();
    for dir in ["dead", "units"] {
        fs::create_dir(room.at(dir)).expect("mkdir");
    }
    room.write("dead/a.timer", TIMER);
    symlink(room.at("dead"), room.at("way")).expect("symlink");
    symlink("../way/a.timer", room.at("units/a.timer")).expect("symlink");
    let dead = room.at("dead").canonicalize().expect("there");
    for kind in [
        "nfs4",
        "nfs",
        "cifs",
        "fuse.sshfs",
        "fuseblk",
        "9p",
        "autofs",
        "ceph",
    ] {
        room.mounts = with_mount(&dead, kind);
        assert_eq!(room.gap("dead/a.timer"), format!("{FEARED}{kind}"));
        assert_eq!(room.gap("way/a.timer"), format!("{FEARED}{kind}"));
        let linked = room.gap("units/a.timer");
        assert_eq!(linked, format!("link target: {FEARED}{kind}"));
    }
    for kind in ["ext4", "tmpfs", "ntfs3", "overlay"] {
        room.mounts = with_mount(&dead, kind);
        assert_eq!(room.gap("dead/a.timer"), "", "{kind}");
    }
}

#[test]
fn what_the_host_runs_from_is_not_feared() {
    let mut room = room();
    room.write("a.timer", TIMER);
    let table = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let root = Mounts::parse(table.as_bytes());
    let kind = &root.holding("/").expect("a root").fs_type;
    room.mounts = Mounts::parse(table.replace(&format!(" - {kind} "), " - 9p ").as_bytes());
    let here = root.holding(&room.dir.path().to_string_lossy());
    let same = here.map(|mount| mount.device) == root.holding("/").map(|mount| mount.device);
    if same {
        assert_eq!(room.gap("a.timer"), "");
    }
}

/// A FUSE mount whose server never answers; what waits for it is released in the end.
struct Silent {
    dir: PathBuf,
    _server: File,
}

impl Silent {
    fn mount(dir: &Path) -> Option<Self> {
        let server = File::options()
            .read(true)
            .write(true)
            .open("/dev/fuse")
            .ok()?;
        let fd = server.as_raw_fd();
        let data = format!("fd={fd},rootmode=40000,user_id=0,group_id=0");
        let kind = Some("fuse");
        mount(kind, dir, kind, MsFlags::empty(), Some(data.as_str())).ok()?;
        Some(Self {
            dir: dir.to_owned(),
            _server: server,
        })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = umount2(&self.dir, MntFlags::MNT_DETACH);
    }
}

/// Needs root; without it there is nothing to test with.
#[test]
fn a_server_that_is_silent_holds_nobody_up() {
    let mut room = room();
    let dir = room
        .at("home")
        .canonicalize()
        .unwrap_or_else(|_| room.at("home"));
    fs::create_dir(&dir).expect("mkdir");
    let Some(silent) = Silent::mount(&dir) else {
        return;
    };
    let (said, answer) = mpsc::channel();
    // Once with the mounts as they were before, once with them as they are.
    let worker = std::thread::spawn(move || {
        for _ in 0..2 {
            for name in ["home/units/a.timer", "home/a.timer", "home"] {
                let _ = said.send(room.gap(name));
            }
            let paths = load_paths(&room);
            let primed = room.contents.prime(&room.at("home"), &paths, &room.mounts);
            let _ = said.send(primed.gap.unwrap_or_default());
            room.mounts = Mounts::read().expect("mountinfo");
        }
        room
    });
    for _ in 0..8 {
        let gap = answer.recv_timeout(Duration::from_secs(20));
        let gap = gap.expect("an answer, though there is none from the server");
        assert!(gap.ends_with(&format!("{FEARED}fuse")), "{gap}");
    }
    drop(silent);
    worker.join().expect("no panic");
}

/// A write lease makes others wait for its holder, up to 45 s.
#[test]
fn a_lease_holds_nobody_up() {
    let mut room = room();
    room.write("a.timer", TIMER);
    let python = std::process::Command::new("python3")
        .args([
            "-c",
            "import fcntl, os, signal, sys\n\
             signal.signal(signal.SIGIO, signal.SIG_IGN)\n\
             fd = os.open(sys.argv[1], os.O_RDWR)\n\
             fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)\n\
             print('held', flush=True)\n\
             sys.stdin.read()",
        ])
        .arg(room.at("a.timer"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let Ok(mut holder) = python else {
        return;
    };
    let mut line = String::new();
    let out = holder.stdout.take().expect("piped");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).expect("a line");
    if line == "held\n" {
        let start = Instant::now();
        assert_eq!(room.gap("a.timer"), "locked by a lease");
        assert!(start.elapsed().as_secs() < 20);
    }
    drop(holder.stdin.take());
    holder.wait().expect("ends");
}
