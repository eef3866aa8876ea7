//! What somebody may put where unit files are.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;

use nix::sys::stat::Mode;

use super::*;

#[test]
fn what_is_no_regular_file_is_never_opened() {
    let mut room = room();
    nix::unistd::mkfifo(&room.at("fifo.timer"), Mode::S_IRWXU).expect("mkfifo");
    let _socket = std::os::unix::net::UnixListener::bind(room.at("s.timer")).expect("bind");
    fs::create_dir(room.at("d.timer")).expect("mkdir");
    symlink("loop.timer", room.at("loop.timer")).expect("symlink");
    symlink("nothing", room.at("gone.timer")).expect("symlink");
    for (name, gap) in [
        ("fifo.timer", "not a regular file but a FIFO"),
        ("s.timer", "not a regular file but a socket"),
        ("d.timer", "not a regular file but a directory"),
        ("loop.timer", "link target: too many symbolic links"),
        ("loop.timer/x", "too many symbolic links"),
        ("gone.timer", "link target: gone before it was read"),
        ("none.timer", "gone before it was read"),
        ("fifo.timer/x", "gone before it was read"),
        ("od\u{fffd}d.timer", "its name is not UTF-8"),
    ] {
        assert_eq!(room.gap(name), gap, "{name}");
    }
    for (target, gap) in [
        (
            "/dev/zero",
            "link target: not a regular file but a character device",
        ),
        ("fifo.timer", "link target: not a regular file but a FIFO"),
        // Reading it would take the kernel's messages from those who wait for them.
        (
            "/proc/kmsg",
            "link target: on a file system without ordinary files: proc",
        ),
        (
            "/proc/self/exe",
            "link target: on a file system without ordinary files: proc",
        ),
    ] {
        let _ = fs::remove_file(room.at("l.timer"));
        symlink(target, room.at("l.timer")).expect("symlink");
        assert_eq!(room.gap("l.timer"), gap, "{target}");
    }
    let long = "a/../".repeat(700) + "fifo.timer";
    fs::create_dir(room.at("a")).expect("mkdir");
    assert_eq!(room.gap(&long), "a path of too many parts");
}

#[test]
fn a_device_node_is_never_opened() {
    let mut room = room();
    let kind = nix::sys::stat::SFlag::S_IFBLK;
    let device = nix::sys::stat::makedev(7, 250);
    let made = nix::sys::stat::mknod(&room.at("b.timer"), kind, Mode::S_IRWXU, device);
    if made.is_ok() {
        assert_eq!(room.gap("b.timer"), "not a regular file but a block device");
    }
}

#[test]
fn bytes_that_are_not_text() {
    let mut room = room();
    room.write(
        "a.service",
        b"[Service]\nExecStart=/bin/\xff\xfe\0x\x1b[2J\n",
    );
    let found = room.capture("a.service");
    assert!(found.sha256.is_some());
    let diff = found.diff.expect("new").text;
    assert!(
        diff.contains("+ExecStart=/bin/\u{fffd}\u{fffd}\0x\x1b[2J\n"),
        "{diff}"
    );
    assert_eq!(found.settings.map(|it| it.runs.len()), Some(1));
    assert_eq!(
        found.gap.as_deref(),
        Some("not UTF-8: odd bytes are shown replaced")
    );
    // Programs are not text, and nobody expects it.
    assert_eq!(
        room.capture_as("a.service", FileClass::Generator, None).gap,
        None
    );
}

#[test]
fn unreadable_files() {
    let mut room = room();
    room.write("a.timer", TIMER);
    let none = fs::Permissions::from_mode(0o000);
    fs::set_permissions(room.at("a.timer"), none).expect("chmod");
    let found = room.capture("a.timer");
    if nix::unistd::geteuid().is_root() {
        assert_eq!((found.gap, found.mode), (None, Some(0o100_000)));
        // Once more as nobody, who may not be let to where the test is.
        let me = std::env::current_exe().expect("a path");
        let mut nobody = std::process::Command::new(me);
        nobody
            .uid(65_534)
            .current_dir("/")
            .args(["--exact", "content::tests::odd::unreadable_files"]);
        if let Ok(output) = nobody.output() {
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stdout)
            );
        }
    } else {
        let gap = found.gap.unwrap_or_default();
        assert!(
            gap.starts_with("cannot be read: Permission denied"),
            "{gap}"
        );
        assert_eq!((found.size, found.sha256), (Some(25), None));
    }
}
