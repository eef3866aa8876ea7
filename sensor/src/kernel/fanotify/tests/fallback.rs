//! The flags that kernels from 5.9 to 5.16 leave, on this one.

use std::fs;

use super::*;

fn old() -> Option<Rig> {
    group()?;
    let abilities = Abilities {
        objects: false,
        renames: false,
    };
    Rig::with(Fanotify::with(abilities).unwrap(), Scope::Content)
}

#[test]
fn renames_are_halves() {
    let Some(mut rig) = old() else { return };
    fs::write(rig.path("a"), "").unwrap();
    assert_eq!(rig.said(), ["Create a", "Closed a"]);
    fs::rename(rig.path("a"), rig.path("b")).unwrap();
    assert_eq!(rig.said(), ["Rename <a", "Rename b"]);
    fs::rename(rig.path("b"), rig.outside("o")).unwrap();
    assert_eq!(rig.said(), ["Rename <b"]);
    fs::rename(rig.outside("o"), rig.path("c")).unwrap();
    let changes = rig.changes();
    assert_eq!(changes[0].object, None);
    assert_eq!(rig.fan.look(&changes[0]).standing, Standing::Unverified);
}

#[test]
fn what_is_there_orders_create_and_remove() {
    let Some(mut rig) = old() else { return };
    nix::unistd::mkfifo(&rig.path("a"), Mode::S_IRUSR).unwrap();
    fs::remove_file(rig.path("a")).unwrap();
    assert_eq!(rig.said(), ["Create a", "Unlink a"]);
    nix::unistd::mkfifo(&rig.path("a"), Mode::S_IRUSR).unwrap();
    rig.read();
    fs::remove_file(rig.path("a")).unwrap();
    nix::unistd::mkfifo(&rig.path("a"), Mode::S_IRUSR).unwrap();
    assert_eq!(rig.said(), ["Unlink a", "Mknod a"]);
}

#[test]
fn files_with_a_mark_are_known_all_the_same() {
    let Some(mut rig) = old() else { return };
    fs::write(rig.outside("f"), "").unwrap();
    let f = rig.outside("f");
    rig.fan.watch(&f, 20, Scope::File).unwrap();
    fs::write(&f, "x").unwrap();
    assert_eq!(rig.changes()[0].watched, Some(20));
}
