//! Databases of earlier versions, of later ones, and those that are none.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rusqlite::Connection;

use super::*;
use crate::store::schema;

/// What the first version of the layout left behind, as `.dump` of sqlite3 wrote it.
const VERSION_1: &str = include_str!("../../../tests/fixtures/store/version-1.sql");

fn broken_files(dir: &Path) -> usize {
    let names = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with("store.db.broken-"))
        .count()
}

#[test]
fn a_database_of_version_1_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let connection = Connection::open(dir.path().join(FILE)).unwrap();
    connection.execute_batch(VERSION_1).unwrap();
    assert_eq!(schema::version(&connection).unwrap(), 1);
    drop(connection);

    let mut opened = open(dir.path(), LATER);
    assert_eq!(opened.gap, None);
    let memory = &opened.memory;
    let past = memory.changes.iter().find(|past| past.change.path == UNIT);
    let past = past.unwrap();
    assert_eq!(past.uid, "0123456789abcdef-41");
    assert_eq!(past.change.writer.process.name(), "tee");
    assert_eq!(past.change.writer.ancestry.len(), 2);
    assert_eq!(past.change.writer.process.boot.as_deref(), Some(BOOT));
    assert_eq!(memory.files.len(), 3);
    assert_eq!(memory.told.len(), 1);
    // And what later versions added can be written.
    let request = Note::Request(Box::new(start("r-1", 10, 0)));
    opened.database.keep(&[request]).unwrap();
    let history = History::open(dir.path(), LATER).unwrap();
    assert_eq!(history.requests("upd.timer", 1).unwrap().len(), 1);
}

#[test]
fn the_fixture_has_the_layout_of_version_1() {
    let objects = |sql: &str| -> Vec<String> {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        let all = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL \
                   AND name NOT LIKE 'sqlite_%' ORDER BY name";
        let mut rows = connection.prepare(all).unwrap();
        let rows = rows.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(objects(VERSION_1), objects(schema::first_version()));
}

#[test]
fn a_later_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), BOOT).database;
    let later = schema::VERSION + 1;
    database
        .connection
        .pragma_update(None, "user_version", later)
        .unwrap();
    drop(database);
    let error = Database::open(dir.path(), BOOT, Limits::default(), NOW).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found, .. } if found == later));
    assert!(matches!(
        History::open(dir.path(), BOOT),
        Err(StoreError::Newer { .. })
    ));
    assert_eq!(broken_files(dir.path()), 0);
}

#[test]
fn what_is_no_database_is_moved_aside() {
    for bytes in [
        vec![b'x'; 8192],
        vec![0; 4096],
        b"SQLite format 3\0".repeat(600),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), &bytes).unwrap();
        let mut opened = open(dir.path(), BOOT);
        let gap = opened.gap.take().unwrap();
        assert!(gap.contains("store.db.broken-"), "{gap}");
        let aside = dir.path().join(format!("{FILE}.broken-{}", NOW / SECOND));
        assert_eq!(fs::read(aside).unwrap(), bytes);
        let note = changed("1", 1, change(UNIT, Verb::Create, Some("aa"), tee()));
        opened.database.keep(&[note]).unwrap();
        drop(opened);
        let again = open(dir.path(), BOOT);
        assert_eq!(again.gap, None);
        assert_eq!(again.memory.files.len(), 1);
    }
}

#[test]
fn a_damaged_database_is_moved_aside() {
    let dir = tempfile::tempdir().unwrap();
    let mut database = open(dir.path(), BOOT).database;
    for n in 0..200 {
        let path = format!("/etc/systemd/system/{n}.service");
        let note = changed(
            &n.to_string(),
            n,
            change(&path, Verb::Create, Some("aa"), tee()),
        );
        database.keep(&[note]).unwrap();
    }
    drop(database);
    let path = dir.path().join(FILE);
    let mut bytes = fs::read(&path).unwrap();
    // The first page is whole: version and names of tables can be read.
    let end = bytes.len();
    bytes[4096..end].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let opened = open(dir.path(), BOOT);
    assert!(opened.gap.is_some());
    assert!(opened.memory.files.is_empty());
    assert_eq!(broken_files(dir.path()), 1);
}

#[test]
fn broken_ones_do_not_pile_up() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..6 {
        fs::write(dir.path().join(FILE), vec![b'x'; 4096]).unwrap();
        let opened = open_at(dir.path(), BOOT, NOW + n * SECOND);
        assert!(opened.gap.is_some());
        drop(opened);
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(dir.path().join(format!("{FILE}{suffix}")));
        }
    }
    assert_eq!(broken_files(dir.path()), 3);
}

#[test]
fn one_agent_writes_and_others_read() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), BOOT);
    let second = Database::open(dir.path(), BOOT, Limits::default(), NOW);
    assert!(matches!(second, Err(StoreError::InUse { .. })));
    assert!(History::open(dir.path(), BOOT).is_ok());
    drop(first);
    assert!(Database::open(dir.path(), BOOT, Limits::default(), NOW).is_ok());
    assert!(History::open(dir.path(), BOOT).is_ok());
}

#[test]
fn nobody_else_may_read_or_write_it() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("a/state");
    drop(open(&inner, BOOT));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&inner), 0o700);
    assert_eq!(mode(&inner.join(FILE)), 0o600);
    fs::set_permissions(&inner, fs::Permissions::from_mode(0o777)).unwrap();
    let error = Database::open(&inner, BOOT, Limits::default(), NOW).unwrap_err();
    assert!(error.to_string().contains("others may write"), "{error}");
    fs::set_permissions(&inner, fs::Permissions::from_mode(0o700)).unwrap();
    // A link in the place of the database would have the agent write where somebody points.
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(inner.join(format!("{FILE}{suffix}")));
    }
    std::os::unix::fs::symlink("/dev/null", inner.join(FILE)).unwrap();
    assert!(Database::open(&inner, BOOT, Limits::default(), NOW).is_err());
    assert!(matches!(
        History::open(&dir.path().join("none"), BOOT),
        Err(StoreError::Missing { .. })
    ));
}
