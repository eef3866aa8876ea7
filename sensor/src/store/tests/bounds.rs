//! What goes, and what never does.

use super::*;

const DAY: u64 = 86_400 * SECOND;

#[test]
fn the_newest_versions_of_a_file_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits {
        versions: 3,
        ..Limits::default()
    };
    let mut database = Database::open(dir.path(), BOOT, limits, NOW)
        .unwrap()
        .database;
    for n in 1..=10 {
        let change = change(UNIT, Verb::Write, Some(&format!("{n:02}")), tee());
        database
            .keep(&[changed(&n.to_string(), n, change)])
            .unwrap();
    }
    let history = History::open(dir.path(), BOOT).unwrap();
    let versions = history.versions(UNIT).unwrap();
    let hashes: Vec<_> = versions
        .iter()
        .filter_map(|it| it.sha256.as_deref())
        .collect();
    assert_eq!(hashes, ["08", "09", "10"]);
}

#[test]
fn the_latest_writer_of_a_file_that_is_there_outlives_every_bound() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits {
        bytes: 0,
        ..Limits::default()
    };
    let mut database = Database::open(dir.path(), BOOT, limits, NOW)
        .unwrap()
        .database;
    let gone = "/etc/systemd/system/gone.service";
    database
        .keep(&[
            changed("1", 1, change(UNIT, Verb::Create, Some("old"), tee())),
            changed("2", 2, change(UNIT, Verb::Write, Some("new"), tee())),
            changed("3", 3, change(gone, Verb::Create, Some("x"), tee())),
            changed("4", 4, change(gone, Verb::Unlink, None, tee())),
        ])
        .unwrap();
    database.tidy(NOW + 3650 * DAY).unwrap();
    let history = History::open(dir.path(), BOOT).unwrap();
    let versions = history.versions(UNIT).unwrap();
    let [version] = &versions[..] else {
        panic!("{versions:?}");
    };
    assert_eq!(version.sha256.as_deref(), Some("new"));
    let VersionWriter::Known(writer) = &version.writer else {
        panic!("{version:?}");
    };
    assert_eq!(writer.ancestry.len(), 2);
    assert!(history.versions(gone).unwrap().is_empty());
}

#[test]
fn a_file_that_is_gone_is_remembered_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let mut database = open(dir.path(), BOOT).database;
    database
        .keep(&[
            changed("1", 1, change(UNIT, Verb::Create, Some("x"), tee())),
            changed("2", 2, change(UNIT, Verb::Unlink, None, tee())),
        ])
        .unwrap();
    let history = History::open(dir.path(), BOOT).unwrap();
    database.tidy(NOW + 89 * DAY).unwrap();
    assert_eq!(history.versions(UNIT).unwrap().len(), 2);
    database.tidy(NOW + 91 * DAY).unwrap();
    assert!(history.versions(UNIT).unwrap().is_empty());
    let processes = "SELECT count(*) FROM processes";
    let left: i64 = database
        .connection
        .query_row(processes, [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0, "processes that nothing refers to go along");
}

#[test]
fn it_never_outgrows_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits {
        bytes: 400 << 10,
        file: 600 << 10,
        ..Limits::default()
    };
    let mut database = Database::open(dir.path(), BOOT, limits, NOW)
        .unwrap()
        .database;
    let mut full = 0;
    for n in 0..4000 {
        let path = format!("/etc/systemd/system/{}.service", n % 50);
        let mut writer = tee();
        Arc::make_mut(&mut writer.process).key.tgid = 5000 + n;
        let note = changed(
            &format!("u-{n}"),
            u64::from(n),
            change(&path, Verb::Write, Some(&format!("{n:064}")), writer),
        );
        if database.keep(std::slice::from_ref(&note)).is_err() {
            full += 1;
            database.tidy(NOW + u64::from(n) * SECOND).unwrap();
            database.keep(&[note]).unwrap();
        }
    }
    assert!(full > 0, "the bound was not reached");
    let size = std::fs::metadata(dir.path().join(FILE)).unwrap().len();
    assert!(size <= 600 << 10, "{size}");
    drop(database);
    let memory = open(dir.path(), BOOT).memory;
    assert_eq!(memory.files.len(), 50);
    assert_eq!(memory.changes.len(), 50);
    assert!(
        memory
            .changes
            .iter()
            .all(|past| past.change.writer.ancestry.len() == 2)
    );
}

#[test]
fn what_anybody_asks_pushes_out_no_request_of_roots() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits {
        requests: 3,
        ..Limits::default()
    };
    let mut database = Database::open(dir.path(), BOOT, limits, NOW)
        .unwrap()
        .database;
    let mut notes = vec![start("root", 1, 0)];
    notes.extend((2..20).map(|n| start(&format!("u-{n}"), n, 1000)));
    let notes: Vec<Note> = notes
        .into_iter()
        .map(|note| Note::Request(Box::new(note)))
        .collect();
    database.keep(&notes).unwrap();
    let history = History::open(dir.path(), BOOT).unwrap();
    let kept = history.requests("upd.timer", 99).unwrap();
    let uids: Vec<_> = kept.iter().map(|note| note.uid.as_str()).collect();
    assert_eq!(uids, ["u-19", "u-18", "u-17", "root"]);
}
