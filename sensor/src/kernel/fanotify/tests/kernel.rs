//! What the kernel reports for each way to change a file.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};

use nix::fcntl::{AT_FDCWD, AtFlags, RenameFlags, renameat2};
use nix::sys::stat::Mode;
use whodunit_common::Verb;

use super::*;

fn append(path: &Path) -> File {
    OpenOptions::new().append(true).open(path).unwrap()
}

#[test]
fn regular_files() {
    let Some(mut rig) = Rig::new() else { return };
    let a = rig.path("a");
    let mut file = File::create(&a).unwrap();
    assert_eq!(rig.said(), ["Create a"]);
    file.write_all(b"x").unwrap();
    assert_eq!(rig.said(), ["Write a"]);
    drop(file);
    assert_eq!(rig.said(), ["Closed a"]);
    append(&a).write_all(b"y").unwrap();
    assert_eq!(rig.said(), ["Write a", "Closed a"]);
    File::create(&a).unwrap();
    assert_eq!(rig.said(), ["Write a", "Closed a"], "O_TRUNC");
    nix::unistd::truncate(&a, 5).unwrap();
    assert_eq!(rig.said(), ["Write a"], "truncate(2)");
    append(&a);
    assert_eq!(
        rig.said(),
        ["Closed a"],
        "opened for writing, nothing written"
    );
    fs::read(&a).unwrap();
    assert!(rig.said().is_empty(), "reading");
    fs::set_permissions(&a, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(rig.said(), ["Setattr a"]);
    std::os::unix::fs::chown(&a, Some(1), None).unwrap();
    assert_eq!(rig.said(), ["Setattr a"]);
    let now = std::time::SystemTime::now();
    let times = fs::FileTimes::new().set_accessed(now);
    File::open(&a)
        .unwrap()
        .set_times(times.set_modified(now))
        .unwrap();
    assert_eq!(rig.said(), ["Setattr a"]);
    File::open(&a).unwrap().set_times(times).unwrap();
    assert!(rig.said().is_empty(), "only atime");
    File::open(&a)
        .unwrap()
        .set_times(fs::FileTimes::new().set_modified(now))
        .unwrap();
    assert_eq!(rig.said(), ["Write a"], "only mtime");
    fs::remove_file(&a).unwrap();
    assert_eq!(rig.said(), ["Unlink a"]);
}

#[test]
fn renames() {
    let Some(mut rig) = Rig::new() else { return };
    fs::write(rig.path("a"), "").unwrap();
    fs::write(rig.path("victim"), "").unwrap();
    rig.read();
    fs::rename(rig.path("a"), rig.path("b")).unwrap();
    assert_eq!(rig.said(), ["Rename <a b"]);
    fs::rename(rig.path("b"), rig.path("victim")).unwrap();
    assert_eq!(
        rig.said(),
        ["Rename <b victim"],
        "the replaced file has no event"
    );
    fs::rename(rig.path("victim"), rig.outside("o")).unwrap();
    assert_eq!(rig.said(), ["Rename <victim"]);
    fs::rename(rig.outside("o"), rig.path("in")).unwrap();
    assert_eq!(rig.said(), ["Rename in"]);
    fs::create_dir(rig.path("d")).unwrap();
    fs::rename(rig.path("d"), rig.path("e")).unwrap();
    assert_eq!(rig.said(), ["Mkdir d", "Rename <d e"]);
    let changes = {
        fs::rename(rig.path("e"), rig.path("f")).unwrap();
        rig.changes()
    };
    assert!(changes[0].is_directory);
    let other = rig.out.path().to_owned();
    rig.fan.watch(&other, 9, Scope::Content).unwrap();
    fs::rename(rig.path("in"), rig.outside("x")).unwrap();
    assert_eq!(rig.said(), ["Rename <in x@9"], "both sides watched");
}

#[test]
fn exchange_is_two_renames() {
    let Some(mut rig) = Rig::new() else { return };
    for path in [rig.path("a"), rig.path("b"), rig.outside("o")] {
        fs::write(path, "").unwrap();
    }
    rig.read();
    let swap = |a: &Path, b: &Path| {
        renameat2(AT_FDCWD, a, AT_FDCWD, b, RenameFlags::RENAME_EXCHANGE).unwrap();
    };
    swap(&rig.path("a"), &rig.path("b"));
    assert_eq!(rig.said(), ["Rename <a b", "Rename <b a"]);
    swap(&rig.outside("o"), &rig.path("a"));
    assert_eq!(rig.said(), ["Rename a", "Rename <a"]);
}

#[test]
fn other_entries() {
    let Some(mut rig) = Rig::new() else { return };
    fs::write(rig.outside("o"), "abc").unwrap();
    fs::hard_link(rig.outside("o"), rig.path("hard")).unwrap();
    symlink("/dev/null", rig.path("soft")).unwrap();
    nix::unistd::mkfifo(&rig.path("fifo"), Mode::S_IRUSR).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(rig.path("sock")).unwrap();
    fs::create_dir(rig.path("d")).unwrap();
    let changes = rig.changes();
    let looks: Vec<_> = changes.iter().map(|change| rig.fan.look(change)).collect();
    let verbs: Vec<_> = looks.iter().map(|look| look.verb).collect();
    assert_eq!(
        verbs,
        [
            Verb::Link,
            Verb::Symlink,
            Verb::Mknod,
            Verb::Mknod,
            Verb::Mkdir
        ]
    );
    assert!(looks.iter().all(|look| look.standing == Standing::Same));
    let (facts, stat) = (
        looks[0].facts.unwrap(),
        fs::metadata(rig.outside("o")).unwrap(),
    );
    assert_eq!((facts.inode, facts.size, facts.nlink), (stat.ino(), 3, 2));
    assert_eq!((facts.mode, facts.uid), (stat.mode(), stat.uid()));
    let major = u64::from(facts.device >> 20);
    assert_eq!(nix::sys::stat::major(stat.dev()), major);
    assert_eq!(looks[1].link.as_deref(), Some("/dev/null".as_ref()));
    fs::remove_dir(rig.path("d")).unwrap();
    fs::remove_file(rig.path("soft")).unwrap();
    assert_eq!(rig.said(), ["Rmdir d", "Unlink soft"]);
}

#[test]
fn a_mapping_is_seen_when_it_ends() {
    let Some(mut rig) = Rig::new() else { return };
    fs::write(rig.path("m"), [0; 4096]).unwrap();
    rig.read();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(rig.path("m"))
        .unwrap();
    let (protection, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    // SAFETY: a new mapping of an open file, checked below.
    let map = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            protection,
            shared,
            file.as_raw_fd(),
            0,
        )
    };
    assert_ne!(map, libc::MAP_FAILED);
    drop(file);
    // SAFETY: the mapping is 4096 bytes long and writable.
    unsafe { map.cast::<u8>().write(1) };
    assert!(rig.said().is_empty());
    // SAFETY: as mapped above, and not used afterwards.
    unsafe { libc::munmap(map, 4096) };
    assert_eq!(rig.said(), ["Closed m"]);
}

#[test]
fn unnamed_files() {
    let Some(mut rig) = Rig::new() else { return };
    let unnamed = |dir: &Path| {
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .custom_flags(libc::O_TMPFILE)
            .mode(0o644)
            .open(dir);
        file.unwrap()
    };
    let name = |file: &File, path: &Path| {
        let from = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = AtFlags::AT_SYMLINK_FOLLOW;
        nix::unistd::linkat(AT_FDCWD, from.as_str(), AT_FDCWD, path, flags).unwrap();
    };
    let mut file = unnamed(rig.dir.path());
    assert!(rig.said().is_empty());
    file.write_all(b"x").unwrap();
    let written = rig.changes();
    let inode = file.metadata().unwrap().ino();
    assert_eq!(
        written[0].at.as_ref().unwrap().name,
        format!("#{inode}").as_str()
    );
    assert_eq!(rig.fan.look(&written[0]).standing, Standing::Gone);
    name(&file, &rig.path("t"));
    assert_eq!(rig.said(), ["Create t"]);
    file.write_all(b"y").unwrap();
    drop(file);
    let written = rig.changes();
    let verbs: Vec<_> = written.iter().map(|change| change.verb).collect();
    assert_eq!(verbs, [Verb::Write, Verb::Closed]);
    let look = rig.fan.look(&written[1]);
    assert_eq!(
        look.name.as_deref(),
        Some("t".as_ref()),
        "found by its inode"
    );
    assert_eq!(look.facts.unwrap().size, 2);

    let mut file = unnamed(rig.out.path());
    name(&file, &rig.path("u"));
    file.write_all(b"y").unwrap();
    drop(file);
    assert_eq!(
        rig.said(),
        ["Create u"],
        "made elsewhere: later writes are not seen"
    );
}

#[test]
fn names_and_open_files() {
    let Some(mut rig) = Rig::new() else { return };
    let mut file = File::create(rig.outside("o")).unwrap();
    fs::rename(rig.outside("o"), rig.path("in")).unwrap();
    file.write_all(b"x").unwrap();
    drop(file);
    assert_eq!(rig.said(), ["Rename in", "Write in", "Closed in"]);

    let mut old = File::create(rig.path("u")).unwrap();
    fs::remove_file(rig.path("u")).unwrap();
    fs::write(rig.path("u"), "").unwrap();
    rig.read();
    old.write_all(b"x").unwrap();
    let changes = rig.changes();
    assert_eq!(changes[0].at.as_ref().unwrap().name, "u");
    assert_eq!(rig.fan.look(&changes[0]).standing, Standing::Other);

    fs::hard_link(rig.path("u"), rig.outside("l")).unwrap();
    fs::write(rig.outside("l"), "evil").unwrap();
    assert!(
        rig.said().is_empty(),
        "a hard link elsewhere is a blind spot"
    );
}

#[test]
fn a_marked_file_is_seen_by_any_name() {
    let Some(mut rig) = Rig::new() else { return };
    fs::write(rig.path("f"), "").unwrap();
    fs::write(rig.outside("r"), "").unwrap();
    let f = rig.path("f");
    assert_eq!(rig.fan.watch(&f, 20, Scope::File).unwrap(), 20);
    rig.read();
    fs::hard_link(rig.path("f"), rig.outside("l")).unwrap();
    assert_eq!(rig.said(), ["Setattr"], "its link count");
    fs::write(rig.outside("l"), "evil").unwrap();
    let changes = rig.changes();
    let verbs: Vec<_> = changes
        .iter()
        .map(|change| (change.verb, change.watched))
        .collect();
    assert_eq!(verbs, [(Verb::Write, Some(20)), (Verb::Closed, Some(20))]);
    assert_eq!(changes[0].at.as_ref().unwrap().dir, None);
    let look = rig.fan.look(&changes[0]);
    assert_eq!(
        (look.standing, look.facts.unwrap().size),
        (Standing::Same, 4)
    );
    fs::write(rig.path("f"), "x").unwrap();
    assert_eq!(
        rig.said(),
        ["Write f", "Closed f"],
        "one event for both marks"
    );
    fs::remove_file(rig.outside("l")).unwrap();
    rig.read();
    fs::rename(rig.outside("r"), rig.path("f")).unwrap();
    assert_eq!(rig.said(), ["Rename f", "Setattr", "Gone 20"], "replaced");
}

#[test]
fn directories() {
    let Some(mut rig) = Rig::new() else { return };
    let d = rig.path("d");
    fs::create_dir(&d).unwrap();
    fs::write(d.join("early"), "x").unwrap();
    assert_eq!(rig.said(), ["Mkdir d"]);
    rig.fan.watch(&d, 8, Scope::Content).unwrap();
    let listing = scan(&d).unwrap();
    assert_eq!(listing.entries[0].name, "early", "made before the mark");
    fs::write(d.join("late"), "x").unwrap();
    assert_eq!(rig.said(), ["Create late@8", "Closed late@8"]);
    fs::set_permissions(&d, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(rig.said(), ["Setattr .@8"]);
    fs::rename(&d, rig.path("e")).unwrap();
    assert_eq!(rig.said(), ["Rename <d e", "Moved 8"]);
    fs::write(rig.path("e").join("moved"), "").unwrap();
    let changes = rig.changes();
    assert_eq!(
        rig.fan.look(&changes[0]).standing,
        Standing::Gone,
        "the path is stale"
    );
    let e = rig.path("e");
    assert_eq!(rig.fan.watch(&e, 8, Scope::Content).unwrap(), 8);
    assert_eq!(rig.fan.look(&changes[0]).standing, Standing::Same);
    fs::remove_dir_all(&e).unwrap();
    let said = rig.said();
    assert_eq!(said[said.len() - 2..], ["Gone 8", "Rmdir e"]);
}
