//! rpm's databases as rpm and Berkeley DB made them.

use std::fs;
use std::path::Path;

use super::super::Packages;
use super::*;
use crate::host::files::FileStamp;

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rpm");
/// Recorded databases, and the names by which rpm has them.
const SQLITE: (&str, &str) = ("rpmdb.sqlite", "rpmdb.sqlite");
const NDB: (&str, &str) = ("Packages.db", "Packages.db");
const LITTLE: (&str, &str) = ("Packages.little", "Packages");
const BIG: (&str, &str) = ("Packages.big", "Packages");

/// A root with a recorded database.
fn rpm_host(place: &str, (recorded, name): (&str, &str)) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("tempdir");
    let dir = root.path().join(place);
    fs::create_dir_all(&dir).expect("mkdir");
    fs::copy(Path::new(RECORDED).join(recorded), dir.join(name)).expect("copy");
    root
}

fn sha256(text: &str) -> String {
    use sha2::Digest as _;
    let sum = sha2::Sha256::digest(text);
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn owners_in_a_database_of_rpm() {
    for (place, database) in [
        ("usr/lib/sysimage/rpm", SQLITE),
        ("var/lib/rpm", SQLITE),
        ("usr/lib/sysimage/rpm", NDB),
        ("var/lib/rpm", LITTLE),
        ("var/lib/rpm", BIG),
    ] {
        let root = rpm_host(place, database);
        let packages = &mut Packages::at(root.path());
        assert!(packages.is_there());
        let mut ask = |path: &str, text: Option<&str>| {
            let sum = text.map(sha256);
            let found = packages.owner(Path::new(path), None, sum.as_deref())?;
            assert_eq!(found.package, "upd");
            assert_eq!(found.version.as_deref(), Some("1:2.5-3"));
            Some(found.shipped)
        };
        let service = "/usr/lib/systemd/system/upd.service";
        let shipped = "[Service]\nExecStart=/usr/bin/upd\n";
        assert_eq!(ask(service, Some(shipped)), Some(Shipped::Same));
        assert_eq!(ask(service, Some("[Service]\n")), Some(Shipped::Different));
        assert_eq!(ask(service, None), Some(Shipped::NoContent));
        assert_eq!(ask("/etc/upd.conf", Some("A=b\n")), Some(Shipped::Same));
        // Two files of one name: one of them a link.
        let timer = "/usr/lib/systemd/system/upd.timer";
        let text = "[Timer]\nOnCalendar=daily\n";
        assert_eq!(ask(timer, Some(text)), Some(Shipped::Same));
        let link = "/etc/systemd/system/timers.target.wants/upd.timer";
        assert_eq!(ask(link, None), Some(Shipped::NoDigest));
        for path in [
            "/etc/systemd/system/upd.service",
            "/usr/bin/other",
            "upd",
            "/",
            "/upd/",
        ] {
            assert_eq!(ask(path, Some(shipped)), None, "{path}");
        }
        // Nothing is written beside it.
        let names = fs::read_dir(root.path().join(place)).expect("read").count();
        assert_eq!(names, 1);
        assert_eq!(packages.take_gap(), None);
    }
}

#[test]
fn a_database_that_rpm_writes_to_is_read_with_its_log() {
    let root = rpm_host("var/lib/rpm", SQLITE);
    let file = root.path().join("var/lib/rpm/rpmdb.sqlite");
    let writer = rusqlite::Connection::open(&file).expect("open");
    let text = "[Service]\nExecStart=/usr/bin/upd\n";
    writer
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; \
             DELETE FROM Basenames WHERE key = 'upd.service';",
        )
        .expect("written");
    let packages = &mut Packages::at(root.path());
    let mut ask = |path: &str| packages.owner(Path::new(path), None, Some(&sha256(text)));
    assert_eq!(ask("/usr/lib/systemd/system/upd.service"), None);
    assert!(ask("/usr/bin/upd").is_some());
}

#[test]
fn what_is_no_database_of_rpm_is_named() {
    let root = rpm_host("var/lib/rpm", SQLITE);
    let dir = root.path().join("var/lib/rpm");
    fs::write(dir.join("rpmdb.sqlite"), b"nonsense, and more of it").expect("write");
    let packages = &mut Packages::at(root.path());
    assert_eq!(packages.owner(Path::new("/usr/bin/upd"), None, None), None);
    let gap = packages.take_gap().expect("a gap");
    assert!(gap.contains("rpmdb.sqlite"), "{gap}");
    fs::remove_file(dir.join("rpmdb.sqlite")).expect("remove");
    assert!(!packages.is_there());
    for (name, says) in [
        ("Packages", "hash of Berkeley"),
        ("Packages.db", "one of rpm's"),
    ] {
        let file = dir.join(name);
        fs::write(&file, vec![b'x'; 8192]).expect("write");
        assert!(packages.is_there());
        // While it may be in the middle of being written nothing is said.
        assert_eq!(packages.owner(Path::new("/usr/bin/upd"), None, None), None);
        assert_eq!(packages.take_gap(), None);
        settle(&file);
        assert_eq!(packages.owner(Path::new("/usr/bin/upd"), None, None), None);
        let gap = packages.take_gap().expect("a gap");
        assert!(gap.contains(name) && gap.contains(says), "{gap}");
        // Not read ahead again and again.
        assert!(!packages.read_ahead(1));
        assert_eq!(packages.take_gap(), None);
    }
}

/// Waits until a file's state is told from the next one by its stamp.
fn settle(file: &Path) {
    while !FileStamp::at(file).expect("a file").is_settled() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn every_header_of_an_older_database_is_found() {
    // `many` takes several pages of overflow, the small ones lie in buckets and their chains.
    for (database, small) in [(NDB, 0), (LITTLE, 57), (BIG, 17)] {
        let root = rpm_host("var/lib/rpm", database);
        let packages = &mut Packages::at(root.path());
        let mut steps = 1;
        while packages.read_ahead(1) {
            steps += 1;
        }
        assert!(steps >= small + 2, "{steps} {database:?}");
        let mut owner = |path: &str, sum: Option<&str>| {
            packages.owner(Path::new(path), None, sum.map(sha256).as_deref())
        };
        for number in 1..=60 {
            let path = format!("/usr/share/many/file-{number}");
            let found = owner(&path, Some(&format!("{number}\n"))).expect("owned");
            assert_eq!(
                (found.package.as_str(), found.shipped),
                ("many", Shipped::Same)
            );
        }
        for number in 3..3 + small {
            let found = owner(&format!("/s{number}"), None).expect("owned");
            assert_eq!(found.package, format!("s{number}"));
            assert_eq!(found.shipped, Shipped::NoDigest);
        }
        // Was installed, and removed: its blocks hold another by now, or nothing.
        assert_eq!(owner("/s0", None), None);
        assert_eq!(packages.take_gap(), None);
    }
}

#[test]
fn an_older_database_is_followed() {
    let root = rpm_host("var/lib/rpm", NDB);
    let file = root.path().join("var/lib/rpm/Packages.db");
    let mut bytes = fs::read(&file).expect("read");
    let packages = &mut Packages::at(root.path());
    settle(&file);
    let mut owner = |path: &str| packages.owner(Path::new(path), None, None);
    assert!(owner("/usr/bin/upd").is_some());
    // The slot of `upd` is freed, as rpm does when it removes a package.
    let slot = bytes
        .windows(8)
        .position(|it| it == b"Slot\x03\0\0\0")
        .expect("a slot");
    bytes[slot + 4..slot + 16].fill(0);
    fs::write(&file, &bytes).expect("write");
    assert_eq!(owner("/usr/bin/upd"), None);
    assert!(owner("/usr/share/many/file-1").is_some());
    // One header that is damaged does not hide the others.
    let blob = bytes
        .windows(4)
        .position(|it| it == b"BlbS")
        .expect("a header");
    let mut whole = fs::read(Path::new(RECORDED).join("Packages.db")).expect("read");
    whole[blob] = b'x';
    let other = rpm_host("var/lib/rpm", NDB);
    let file = other.path().join("var/lib/rpm/Packages.db");
    fs::write(&file, whole).expect("write");
    settle(&file);
    let packages = &mut Packages::at(other.path());
    assert!(
        packages
            .owner(Path::new("/usr/bin/upd"), None, None)
            .is_some()
    );
    let gap = packages.take_gap().expect("a gap");
    assert!(gap.contains("Packages.db is damaged: a header"), "{gap}");
    assert_eq!(packages.take_gap(), None);
}

proptest::proptest! {
    #[test]
    fn older_databases_are_anybodys(
        which in 0_usize..3,
        edits in proptest::collection::vec((0_usize..32_768, proptest::prelude::any::<u8>()), 0..40),
        front in proptest::collection::vec((0_usize..512, proptest::prelude::any::<u8>()), 0..4),
        cut in 0_usize..40_000,
    ) {
        let (recorded, _) = [NDB, LITTLE, BIG][which];
        let mut bytes = fs::read(Path::new(RECORDED).join(recorded)).expect("read");
        for (at, byte) in edits.into_iter().chain(front) {
            if let Some(old) = bytes.get_mut(at) {
                *old = byte;
            }
        }
        bytes.truncate(cut.max(512));
        for format in [Format::Ndb, Format::Berkeley] {
            for place in format.places(&bytes.as_slice()).unwrap_or_default() {
                if let Ok(blob) = format.header(&bytes.as_slice(), &place) {
                    assert!(blob.len() <= bytes.len());
                    let header = Header::parse(&blob);
                    assert!(header.iter().flat_map(Header::paths).count() <= blob.len());
                }
            }
        }
    }
}
