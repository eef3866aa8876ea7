//! The thread, and kills at any moment.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

fn note(n: u64) -> Note {
    let path = format!("/etc/systemd/system/{}.service", n % 7);
    let change = change(&path, Verb::Write, Some(&format!("{n:064}")), tee());
    changed(&format!("n-{n}"), n, change)
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn changes_are_kept_at_once_and_the_rest_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::spawn(open(dir.path(), BOOT).database).unwrap();
    let history = History::open(dir.path(), BOOT).unwrap();
    store.keep(Note::Alive(at(9).wall));
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(history.alive().unwrap(), NOW, "not urgent, so not written");
    let asked = Instant::now();
    store.keep(note(1));
    let path = "/etc/systemd/system/1.service";
    until("the change is kept", || {
        !history.versions(path).unwrap().is_empty()
    });
    assert!(asked.elapsed() < LAZY, "{:?}", asked.elapsed());
    assert_eq!(history.alive().unwrap(), at(9).wall);
    store.keep(Note::Alive(at(10).wall));
    assert!(store.finish(Duration::from_secs(10)).is_empty());
    assert_eq!(history.alive().unwrap(), at(10).wall);
}

#[test]
fn what_there_is_no_room_for_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::spawn_with_queue(open(dir.path(), BOOT).database, 4).unwrap();
    for n in 0..5000 {
        store.keep(note(n));
    }
    until("a loss is told", || {
        let lost = store.losses();
        lost.iter()
            .any(|lost| (lost.stage, lost.kind) == ("store", "change") && lost.count > 0)
    });
    assert!(store.finish(Duration::from_secs(30)).is_empty());
}

#[test]
fn a_full_disk_is_told_once_and_got_over() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), BOOT).database;
    // As the file system would: SQLite gives the same error for both.
    let pages: i64 = database
        .connection
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .unwrap();
    database
        .connection
        .pragma_update(None, "max_page_count", pages)
        .unwrap();
    let store = Store::spawn_with_queue(database, 256).unwrap();
    let mut gaps = Vec::new();
    for n in 0..200 {
        store.keep(note(n));
    }
    until("the gap is told", || {
        gaps.extend(store.gaps());
        !gaps.is_empty()
    });
    assert!(gaps[0].contains("full"), "{gaps:?}");
    for n in 200..6000 {
        store.keep(note(n));
    }
    std::thread::sleep(Duration::from_millis(100));
    gaps.extend(store.gaps());
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert!(!store.losses().is_empty(), "what does not fit is counted");
    let lost = store.finish(Duration::from_secs(30));
    assert!(lost.iter().any(|lost| lost.kind == "change"), "{lost:?}");
}

#[test]
fn a_database_that_breaks_meanwhile_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let mut database = open(dir.path(), BOOT).database;
    for n in 0..400 {
        database.keep(&[note(n)]).unwrap();
    }
    database
        .connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    database
        .connection
        .pragma_update(None, "cache_size", 0)
        .unwrap();
    let path = dir.path().join(FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[4096..end].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    database.connection.cache_flush().unwrap();
    database.connection.release_memory().unwrap();
    let store = Store::spawn(database).unwrap();
    store.keep(note(1000));
    let mut gaps = Vec::new();
    until("the gap is told", || {
        gaps.extend(store.gaps());
        !gaps.is_empty()
    });
    assert!(gaps[0].contains("broken"), "{gaps:?}");
    assert!(store.finish(Duration::from_secs(30)).is_empty());
    let history = History::open(dir.path(), BOOT).unwrap();
    let path = "/etc/systemd/system/6.service"; // 1000 % 7
    assert_eq!(history.versions(path).unwrap().len(), 1);
}

/// Not a test by itself: the process that [`a_kill_at_any_moment_loses_nothing_that_was_kept`]
/// kills. Says what is kept as soon as `COMMIT` has returned.
#[test]
fn writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os("WHODUNIT_TEST_STORE") else {
        return;
    };
    let mut database = open(Path::new(&dir), BOOT).database;
    let first = std::env::var("WHODUNIT_TEST_FIRST")
        .unwrap()
        .parse()
        .unwrap();
    for n in first.. {
        database.write(&[note(n), Note::Alive(at(n).wall)]).unwrap();
        eprintln!("kept {n}");
        if n % 50 == 0 {
            database.tidy(at(n).wall).unwrap();
        }
    }
}

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut next = 0_u64;
    for round in 0..25_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "--test-threads=1"])
            .arg("store::tests::thread::writes_until_it_is_killed")
            .env("WHODUNIT_TEST_STORE", dir.path())
            .env("WHODUNIT_TEST_FIRST", next.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut last = None;
        // Some changes, and then a moment that differs from round to round.
        for line in lines.by_ref().take(3 + usize::try_from(round).unwrap() * 3) {
            last = line
                .unwrap()
                .strip_prefix("kept ")
                .map(|n| n.parse::<u64>().unwrap());
        }
        std::thread::sleep(Duration::from_micros(round * 137 % 1000));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            let kept = line.strip_prefix("kept ").and_then(|n| n.parse().ok());
            last = kept.or(last);
        }
        let last = last.expect("something was kept");

        let opened = open(dir.path(), BOOT);
        assert_eq!(opened.gap, None, "round {round}");
        let verdict: String = opened
            .database
            .connection
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(verdict, "ok", "round {round}");
        let kept: i64 = opened
            .database
            .connection
            .query_row("SELECT max(since_boot) FROM changes", [], |row| row.get(0))
            .unwrap();
        let kept = u64::try_from(kept).unwrap() / SECOND;
        // One more may have been committed that it did not come to say.
        assert!((last..=last + 1).contains(&kept), "{last} {kept}");
        assert!(opened.memory.alive >= Some(at(last).wall));
        next = kept + 1;
    }
    assert!(next > 100, "{next}");
}
