use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use sha2::Digest as _;

use super::*;

mod blocking;
mod odd;
mod priming;

const TIMER: &str = "[Timer]\nOnCalendar=daily\n";

struct Room {
    dir: tempfile::TempDir,
    mounts: Mounts,
    contents: Contents,
}

impl Room {
    fn new(limits: Limits) -> Self {
        Self {
            dir: tempfile::tempdir().expect("tempdir"),
            mounts: Mounts::read().expect("mountinfo"),
            contents: Contents::new(limits),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.at(name), bytes).expect("write");
    }

    fn capture(&mut self, name: &str) -> Content {
        self.capture_as(name, FileClass::UnitFile, None)
    }

    fn capture_as(
        &mut self,
        name: &str,
        class: FileClass,
        expected: Option<&FileIdentity>,
    ) -> Content {
        let unit = name.rsplit('/').next();
        let path = self.at(name);
        self.contents
            .capture(&path, expected, class, unit, &self.mounts)
    }

    fn gap(&mut self, name: &str) -> String {
        self.capture(name).gap.unwrap_or_default()
    }
}

fn room() -> Room {
    Room::new(Limits::default())
}

fn hash(bytes: &[u8]) -> Option<String> {
    let hash = sha2::Sha256::digest(bytes);
    Some(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[test]
fn a_change_is_compared_with_what_was_known() {
    let mut room = room();
    room.write("a.timer", TIMER);
    let first = room.capture("a.timer");
    assert_eq!(first.sha256, hash(TIMER.as_bytes()));
    assert_eq!((first.size, first.previous_sha256), (Some(25), None));
    assert_eq!(first.mode.map(|mode| mode & 0o170_000), Some(0o100_000));
    let diff = first.diff.expect("new");
    assert_eq!(
        diff.text,
        "--- /dev/null\n+++ a.timer\n@@ -0,0 +1,2 @@\n+[Timer]\n+OnCalendar=daily\n"
    );
    let settings = first.settings.expect("a unit");
    assert_eq!(settings.triggers.as_deref(), Some("a.service"));
    assert_eq!((settings.interval_seconds, first.gap), (Some(86_400), None));

    let changed = TIMER.replace("daily", "minutely");
    room.write("a.timer", &changed);
    let second = room.capture("a.timer");
    assert_eq!(second.previous_sha256, first.sha256);
    let diff = second.diff.expect("changed");
    assert!(
        diff.text
            .ends_with("-OnCalendar=daily\n+OnCalendar=minutely\n")
    );
    assert_eq!((diff.added, diff.removed), (1, 1));
    // Nothing but its times.
    room.write("a.timer", &changed);
    let third = room.capture("a.timer");
    assert_eq!((third.diff, &third.previous_sha256), (None, &third.sha256));
}

#[test]
fn of_an_environment_file_it_is_known_whether_it_loads_code() {
    let mut room = room();
    let mut loads = |text: &str| {
        room.write("default", text);
        let content = room.capture_as("default", FileClass::Target, None);
        assert!(content.diff.is_none(), "it holds secrets");
        content.loads_code
    };
    assert!(!loads("TOKEN=x\n# LD_PRELOAD=/x.so\n"));
    assert!(loads("TOKEN=x\nLD_PRELOAD=/x.so\n"));
    assert!(!loads("TOKEN=y\nLD_PRELOAD=/x.so\n"), "it did before");
}

#[test]
fn removed_and_written_anew() {
    let mut room = room();
    room.write("a.timer", TIMER);
    let first = room.capture("a.timer");
    fs::remove_file(room.at("a.timer")).expect("remove");
    let removed = room.contents.removed(&room.at("a.timer")).expect("known");
    assert_eq!(
        (removed.previous_sha256, removed.sha256),
        (first.sha256, None)
    );
    assert_eq!(room.contents.removed(&room.at("b.timer")), None);
    assert_eq!(room.gap("a.timer"), "gone before it was read");
    room.write("a.timer", format!("{TIMER}Persistent=yes\n"));
    let diff = room.capture("a.timer").diff.expect("changed");
    assert_eq!((diff.added, diff.removed), (1, 0));
}

#[test]
fn renames() {
    let mut room = room();
    room.write("a.timer", TIMER);
    let first = room.capture("a.timer");
    // An editor's way: a new file over the old one.
    room.write("a.timer.new", format!("{TIMER}Persistent=yes\n"));
    let (from, to) = (room.at("a.timer.new"), room.at("a.timer"));
    fs::rename(&from, &to).expect("rename");
    room.contents.renamed(&from, &to);
    let second = room.capture("a.timer");
    assert_eq!(second.previous_sha256, first.sha256);
    assert_eq!(
        second.diff.map(|diff| (diff.added, diff.removed)),
        Some((1, 0))
    );
    // Another name for the same.
    let (from, to) = (to, room.at("b.timer"));
    fs::rename(&from, &to).expect("rename");
    room.contents.renamed(&from, &to);
    let third = room.capture("b.timer");
    assert_eq!((third.diff, third.previous_sha256), (None, third.sha256));
}

#[test]
fn a_link_tells_where_it_leads() {
    let mut room = room();
    room.write("real", TIMER);
    symlink("real", room.at("way")).expect("symlink");
    symlink("way", room.at("a.timer")).expect("symlink");
    let first = room.capture("a.timer");
    let link = first.link.expect("a link");
    assert_eq!((first.sha256, first.size), (None, Some(3)));
    assert_eq!(link.text, "way");
    let real = room.at("real").canonicalize().expect("there");
    assert_eq!(link.path.as_deref().map(Path::new), Some(real.as_path()));
    assert_eq!((link.sha256, link.size), (hash(TIMER.as_bytes()), Some(25)));
    assert!(
        first
            .settings
            .is_some_and(|it| it.triggers.as_deref() == Some("a.service"))
    );

    fs::remove_file(room.at("a.timer")).expect("remove");
    symlink("/dev/null", room.at("a.timer")).expect("symlink");
    let mask = room.capture("a.timer");
    assert!(mask.settings.is_some_and(|it| it.masked));
    assert_eq!((mask.gap, mask.previous_sha256), (None, None));
    let diff = mask.diff.expect("changed").text;
    assert!(
        diff.contains("-way\n") && diff.contains("+/dev/null\n"),
        "{diff}"
    );

    // A file in its place is no change of the link's text.
    fs::remove_file(room.at("a.timer")).expect("remove");
    room.write("a.timer", TIMER);
    let diff = room.capture("a.timer").diff.expect("new").text;
    assert!(diff.starts_with("--- /dev/null\n"), "{diff}");
}

#[test]
fn another_file_under_the_name_is_not_the_one_of_the_event() {
    let mut room = room();
    room.write("a.timer", TIMER);
    let identity = room.mounts.identify(&room.at("a.timer")).expect("there");
    let capture = |room: &mut Room, expected: FileIdentity| {
        room.capture_as("a.timer", FileClass::UnitFile, Some(&expected))
    };
    assert_eq!(capture(&mut room, identity).gap, None);
    let unknown = FileIdentity::default();
    assert_eq!(capture(&mut room, unknown).gap, None);
    let mut other = identity;
    other.device += 1;
    assert_eq!(
        capture(&mut room, other).gap.as_deref(),
        Some("replaced meanwhile")
    );
    room.write("b.timer", "[Timer]\n");
    fs::rename(room.at("b.timer"), room.at("a.timer")).expect("rename");
    let late = capture(&mut room, identity);
    let gap = Some("replaced meanwhile".to_owned());
    assert_eq!(
        late,
        Content {
            gap,
            ..Content::default()
        }
    );
}

#[test]
fn large_files() {
    let mut room = room();
    let sparse = File::create(room.at("sparse.timer")).expect("create");
    sparse.set_len(100 << 20).expect("sparse");
    let found = room.capture("sparse.timer");
    assert_eq!((found.sha256, found.size), (None, Some(100 << 20)));
    let gap = "104857600 bytes, of which at most 33554432 are read";
    assert_eq!(found.gap.as_deref(), Some(gap));

    // Padding hides no settings.
    let padded = format!("{}{TIMER}", "# padding\n".repeat(10_000));
    room.write("padded.timer", &padded);
    let found = room.capture("padded.timer");
    assert_eq!((found.sha256, found.diff), (hash(padded.as_bytes()), None));
    assert!(
        found
            .settings
            .is_some_and(|it| it.interval_seconds == Some(86_400))
    );
    assert_eq!(
        found.gap.as_deref(),
        Some("no diff of more than 65536 bytes")
    );
    room.write("padded.timer", TIMER);
    let found = room.capture("padded.timer");
    assert_eq!(
        found.gap.as_deref(),
        Some("no diff: the text known before is not kept")
    );
    room.write("padded.timer", "# padding\n".repeat(200_000));
    let gap = room.gap("padded.timer");
    assert!(
        gap.ends_with("; no settings of more than 1048576 bytes"),
        "{gap}"
    );
    let found = room.capture_as("padded.timer", FileClass::Target, None);
    assert_eq!((found.gap, found.settings, found.diff), (None, None, None));
}

#[test]
fn much_in_a_short_time_is_not_read() {
    let mut room = Room::new(Limits {
        burst: 200_000,
        per_second: 1,
        ..Limits::default()
    });
    room.write("x", vec![7; 150_000]);
    let capture = |room: &mut Room| room.capture_as("x", FileClass::Target, None);
    assert!(capture(&mut room).sha256.is_some());
    let second = capture(&mut room);
    let gap = "150000 bytes, too much after all that was read just before";
    assert_eq!((second.sha256, second.gap.as_deref()), (None, Some(gap)));
    // Unit files are small enough to be read always.
    room.write("a.timer", TIMER);
    assert_eq!(room.gap("a.timer"), "");
}

#[test]
fn a_glance_learns_nothing() {
    let mut room = room();
    room.write("a.timer", TIMER);
    let first = room.capture("a.timer");
    assert!(!first.unchanged && first.previous_at.is_none());
    room.write("a.timer", "[Timer]\n");
    let path = room.at("a.timer");
    let glance = |room: &mut Room| {
        let class = FileClass::UnitFile;
        room.contents
            .glance(&path, None, class, Some("a.timer"), &room.mounts)
    };
    for _ in 0..2 {
        let seen = glance(&mut room);
        assert_eq!(seen.previous_sha256, first.sha256);
        assert_eq!(seen.diff.map(|diff| diff.removed), Some(1));
        assert!(seen.previous_at.is_some());
    }
    assert_eq!(room.capture("a.timer").previous_sha256, first.sha256);
    assert!(room.capture("a.timer").unchanged);
    assert_eq!(
        room.capture("a.timer").md5,
        Some(<md5::Md5 as md5::Digest>::digest("[Timer]\n").into())
    );
}

#[test]
fn a_link_that_says_the_same_is_unchanged() {
    let mut room = room();
    symlink("/a", room.at("a.service")).expect("symlink");
    assert!(!room.capture("a.service").unchanged);
    assert!(room.capture("a.service").unchanged);
    fs::remove_file(room.at("a.service")).expect("remove");
    symlink("/b", room.at("a.service")).expect("symlink");
    assert!(!room.capture("a.service").unchanged);
}

#[test]
fn what_was_forgotten_is_not_taken_for_new() {
    let mut room = Room::new(Limits {
        files: 1,
        ..Limits::default()
    });
    room.write("a.timer", TIMER);
    room.write("b.timer", TIMER);
    room.capture("a.timer");
    assert!(room.contents.is_complete());
    room.capture("b.timer");
    assert!(!room.contents.is_complete());
}
