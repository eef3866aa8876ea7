//! Bounded work: merging, storms, overflow.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn repeats_are_told_once() {
    let Some(mut rig) = Rig::new() else { return };
    for name in ["a", "b"] {
        fs::write(rig.path(name), "").unwrap();
    }
    rig.read();
    for _ in 0..500 {
        for name in ["a", "b"] {
            let mut file = OpenOptions::new()
                .append(true)
                .open(rig.path(name))
                .unwrap();
            file.write_all(b"x").unwrap();
        }
    }
    assert_eq!(rig.said(), ["Write a", "Closed a", "Write b", "Closed b"]);
}

#[test]
fn a_name_that_changes_hands_starts_anew() {
    let Some(mut rig) = Rig::new() else { return };
    for round in 0..2 {
        fs::write(rig.path("a"), "x").unwrap();
        fs::set_permissions(rig.path("a"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(rig.path("a"), rig.path(&format!("b{round}"))).unwrap();
    }
    let words = rig.said();
    let round = |n| {
        [
            "Create a".to_owned(),
            "Setattr a".into(),
            "Closed a".into(),
            format!("Rename <a b{n}"),
        ]
    };
    assert_eq!(words, [round(0), round(1)].concat());
}

#[test]
fn made_and_removed_in_one_read() {
    let Some(mut rig) = Rig::new() else { return };
    let file = File::create(rig.path("a")).unwrap();
    fs::remove_file(rig.path("a")).unwrap();
    drop(file);
    fs::write(rig.path("a"), "").unwrap();
    let words = rig.said();
    assert_eq!(
        words,
        ["Create a", "Closed a", "Unlink a", "Create a", "Closed a"]
    );
    // The same inode under the same name, removed and put back.
    fs::hard_link(rig.path("a"), rig.outside("keep")).unwrap();
    fs::remove_file(rig.path("a")).unwrap();
    fs::hard_link(rig.outside("keep"), rig.path("a")).unwrap();
    assert_eq!(rig.said(), ["Unlink a", "Link a"]);
}

#[test]
fn one_call_reads_so_much_and_no_more() {
    let Some(mut rig) = Rig::new() else { return };
    let names = 12_000;
    if queue_limit() < names {
        println!("skipped: fs.fanotify.max_queued_events is below {names}");
        return;
    }
    for n in 0..names {
        nix::unistd::mkfifo(&rig.path(&format!("{n:0>120}")), Mode::S_IRUSR).unwrap();
    }
    let mut events = Vec::new();
    assert_eq!(rig.fan.read(&mut events).unwrap(), Drained::More);
    assert!(events.len() < names);
    while rig.fan.read(&mut events).unwrap() == Drained::More {}
    assert_eq!(events.len(), names);
}

#[test]
fn an_overflow_is_told() {
    let Some(mut rig) = Rig::new() else { return };
    let limit = queue_limit();
    if limit > 50_000 {
        println!("skipped: fs.fanotify.max_queued_events is {limit}");
        return;
    }
    for n in 0..limit + 10 {
        nix::unistd::mkfifo(&rig.path(&n.to_string()), Mode::S_IRUSR).unwrap();
    }
    let mut events = Vec::new();
    while rig.fan.read(&mut events).unwrap() == Drained::More {}
    assert_eq!(events.len(), limit + 1);
    assert_eq!(events.last(), Some(&FileEvent::Overflow));
    assert!(
        !scan(rig.dir.path()).unwrap().complete,
        "more than a listing takes"
    );
}

fn queue_limit() -> usize {
    let limit = fs::read_to_string("/proc/sys/fs/fanotify/max_queued_events");
    limit.map_or(16_384, |text| text.trim().parse().unwrap())
}
