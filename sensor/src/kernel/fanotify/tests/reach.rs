//! Whoever does it, and through whichever mount.

use std::fs::{self, File};
use std::io::{IoSlice, Write};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use whodunit_common::Verb;

use super::*;

#[test]
fn pids_are_thread_groups() {
    let Some(mut rig) = Rig::new() else { return };
    let mut child = Command::new("sh")
        .args(["-c", ": > \"$1\"; ln -s x \"$2\"; mv \"$1\" \"$3\"", "sh"])
        .args(["a", "b", "c"].map(|name| rig.path(name)))
        .spawn()
        .unwrap();
    let shell = child.id();
    child.wait().unwrap();
    let changes = rig.changes();
    assert_eq!((changes[0].verb, changes[0].pid), (Verb::Create, shell));
    let linker = changes
        .iter()
        .find(|change| change.at.as_ref().unwrap().name == "b");
    assert_ne!(linker.unwrap().pid, shell, "ln is a child of the shell");
    let thread = rig.path("thread");
    std::thread::spawn(move || fs::write(thread, "").unwrap())
        .join()
        .unwrap();
    assert_eq!(rig.changes()[0].pid, std::process::id());
}

#[test]
fn inherited_descriptors() {
    let Some(mut rig) = Rig::new() else { return };
    let mut file = File::create(rig.path("a")).unwrap();
    rig.read();
    let inherited = Stdio::from(file.try_clone().unwrap());
    let mut child = Command::new("echo")
        .arg("x")
        .stdout(inherited)
        .spawn()
        .unwrap();
    child.wait().unwrap();
    let changes = rig.changes();
    assert_eq!((changes[0].verb, changes[0].pid), (Verb::Write, child.id()));
    let parts = [IoSlice::new(b"x"), IoSlice::new(b"y")];
    assert_eq!(file.write_vectored(&parts).unwrap(), 2);
    assert_eq!(rig.changes()[0].pid, std::process::id());
    // SAFETY: the child only calls writev and _exit, which are async-signal-safe.
    let pid = match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            let part = libc::iovec {
                iov_base: c"z".as_ptr().cast_mut().cast(),
                iov_len: 1,
            };
            // SAFETY: one valid part; the child ends here.
            unsafe {
                libc::writev(file.as_raw_fd(), &raw const part, 1);
                libc::_exit(0)
            }
        }
        nix::unistd::ForkResult::Parent { child } => child,
    };
    nix::sys::wait::waitpid(pid, None).unwrap();
    let changes = rig.changes();
    assert_eq!(changes[0].verb, Verb::Write);
    assert_eq!(changes[0].pid, u32::try_from(pid.as_raw()).unwrap());
}

/// Unmounts what a test mounted, also when it fails.
struct Mounted(PathBuf);

impl Mounted {
    fn new(source: Option<&Path>, at: &Path) -> Option<Self> {
        let (kind, flags) = match source {
            Some(_) => (None, MsFlags::MS_BIND),
            None => (Some("tmpfs"), MsFlags::empty()),
        };
        match mount(source, at, kind, flags, None::<&str>) {
            Ok(()) => Some(Self(at.to_owned())),
            Err(error) => {
                println!("skipped: mount: {error}");
                None
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn mounts() {
    let Some(mut rig) = Rig::new() else { return };
    let other = rig.out.path().to_owned();
    let Some(bound) = Mounted::new(Some(rig.dir.path()), &other) else {
        return;
    };
    fs::write(rig.outside("bound"), "").unwrap();
    assert_eq!(
        rig.said(),
        ["Create bound", "Closed bound"],
        "through a bind mount"
    );
    drop(bound);

    let Some(tmpfs) = Mounted::new(None, &other) else {
        return;
    };
    rig.fan.watch(&other, 9, Scope::Content).unwrap();
    fs::write(rig.outside("t"), "").unwrap();
    assert_eq!(rig.said(), ["Create t@9", "Closed t@9"], "tmpfs");
    umount2(&tmpfs.0, MntFlags::empty()).unwrap();
    assert!(
        rig.said().is_empty(),
        "an unmount is silent, and a mark does not hold it back"
    );

    let Some(over) = Mounted::new(None, rig.dir.path()) else {
        return;
    };
    fs::write(rig.path("hidden"), "").unwrap();
    assert!(rig.said().is_empty(), "mounted over");
    drop(over);
    fs::write(rig.path("back"), "").unwrap();
    assert_eq!(rig.said(), ["Create back", "Closed back"]);
}
