//! What is learned at the start.

use nix::sys::stat::Mode;

use super::*;
use crate::event::Manager;
use crate::systemd::load_paths::LoadPaths;

/// `room` as the load path of the system manager.
pub(super) fn load_paths(room: &Room) -> LoadPaths {
    let mut paths = LoadPaths::builtin();
    let dir = room.dir.path().to_string_lossy().into_owned();
    paths.set_unit_path(&Manager::System, &[dir]);
    paths
}

#[test]
fn what_is_there_at_the_start_is_known() {
    let mut room = room();
    for dir in [
        "a.service.d",
        "timers.target.wants",
        "other",
        "a.service.d/deep.d",
    ] {
        fs::create_dir(room.at(dir)).expect("mkdir");
    }
    room.write("a.timer", TIMER);
    room.write("a.service.d/x.conf", "[Service]\n");
    room.write("notes", "x");
    room.write("other/b.timer", "x");
    nix::unistd::mkfifo(&room.at("fifo.timer"), Mode::S_IRWXU).expect("mkfifo");
    symlink("../a.timer", room.at("timers.target.wants/a.timer")).expect("symlink");
    let paths = load_paths(&room);
    let primed = room.contents.prime(room.dir.path(), &paths, &room.mounts);
    assert_eq!((primed.known, primed.unknown), (3, 1));
    let gap = primed.gap.expect("the FIFO");
    assert!(
        gap.ends_with("/fifo.timer: not a regular file but a FIFO"),
        "{gap}"
    );
    let found = room.capture("a.timer");
    assert_eq!((found.previous_sha256, found.diff), (found.sha256, None));
    let found = room.capture_as("a.service.d/x.conf", FileClass::DropIn, None);
    assert_eq!((found.previous_sha256, found.diff), (found.sha256, None));
    let found = room.capture_as(
        "timers.target.wants/a.timer",
        FileClass::DependencyLink,
        None,
    );
    assert_eq!(found.diff, None);
    let none = room
        .contents
        .prime(&room.at("nothing"), &paths, &room.mounts);
    assert_eq!(none, Primed::default());
    let one = room.contents.prime(&room.at("notes"), &paths, &room.mounts);
    assert_eq!((one.known, one.unknown), (1, 0));
}

#[test]
fn learning_a_huge_directory_is_bounded() {
    let mut room = Room::new(Limits {
        files: 100,
        ..Limits::default()
    });
    for n in 0..9000 {
        room.write(&format!("{n}.timer"), "");
    }
    let paths = load_paths(&room);
    let primed = room.contents.prime(room.dir.path(), &paths, &room.mounts);
    assert_eq!((primed.known, primed.known + primed.unknown), (100, 2048));
    let gap = primed.gap.expect("full");
    assert!(gap.ends_with("more entries than are looked at"), "{gap}");

    let limits = Limits {
        primed: 60,
        ..Limits::default()
    };
    let mut room = Room::new(limits);
    for n in 0..4 {
        room.write(&format!("{n}.timer"), TIMER);
    }
    let primed = room.contents.prime(room.dir.path(), &paths, &room.mounts);
    assert_eq!(primed, Primed::default(), "another load path");
    let paths = load_paths(&room);
    let primed = room.contents.prime(room.dir.path(), &paths, &room.mounts);
    assert_eq!((primed.known, primed.unknown), (2, 2));
}
