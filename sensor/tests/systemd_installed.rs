//! Timers on disk: shadowing, masks, aliases, drop-ins, templates, and what must not be opened.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use whodunit::event::Manager;
use whodunit::systemd::installed::Installed;
use whodunit::systemd::load_paths::LoadPaths;

struct Tree {
    root: tempfile::TempDir,
    paths: LoadPaths,
    installed: Installed,
}

impl Tree {
    /// `etc` shadows `usr`.
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap_or_else(|error| panic!("tempdir: {error}"));
        let mut paths = LoadPaths::builtin();
        let of = |name: &str| root.path().join(name).to_string_lossy().into_owned();
        paths.set_unit_path(&Manager::System, &[of("etc"), of("gone"), of("usr")]);
        Self {
            root,
            paths,
            installed: Installed::new(),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        let path = self.root.path().join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        path
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{name}: {error}"));
        path
    }

    fn link(&self, name: &str, target: &str) {
        symlink(target, self.at(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    fn timers_for(&mut self, unit: &str) -> Vec<String> {
        let found = self
            .installed
            .timers_for(&self.paths, &Manager::System, unit);
        found.into_iter().map(|timer| timer.name).collect()
    }

    fn problems(&mut self) -> Vec<String> {
        let problems = self.installed.take_problems();
        problems.iter().map(ToString::to_string).collect()
    }
}

#[test]
fn the_first_directory_wins() {
    let mut tree = Tree::new();
    tree.write("usr/a.timer", "[Timer]\nUnit=x.service\n");
    let path = tree.write("etc/a.timer", "[Timer]\nUnit=y.service\nOnUnitActiveSec=5");
    tree.write("usr/.dot.timer", "[Timer]\nUnit=y.service");
    tree.write("usr/y.timer", "[Timer]\nOnCalendar=daily");
    tree.write("usr/y.timer.dpkg-new", "[Timer]\nUnit=y.service");
    tree.write("usr/masked.timer", "[Timer]\nUnit=y.service");
    tree.write("usr/empty.timer", "[Timer]\nUnit=y.service");
    tree.link("etc/masked.timer", "/dev/null");
    tree.write("etc/empty.timer", "");
    assert_eq!(tree.timers_for("x.service"), [""; 0]);
    assert_eq!(
        tree.timers_for("y.service"),
        [".dot.timer", "a.timer", "y.timer"]
    );
    let all = tree.installed.timers(&tree.paths, &Manager::System);
    assert_eq!(all.len(), 3);
    assert_eq!(all[1].path, path);
    assert_eq!(all[1].timer.interval(), Some(Duration::from_secs(5)));
    assert_eq!(tree.problems(), [""; 0]);
}

#[test]
fn drop_ins_and_aliases() {
    let mut tree = Tree::new();
    tree.write("usr/a-b.timer", "[Timer]\nOnCalendar=daily");
    tree.write("usr/c.timer", "[Timer]\nUnit=c.service");
    tree.write("usr/a-b.timer.d/10.conf", "[Timer]\nUnit=shadowed.service");
    tree.write("etc/a-.timer.d/10.conf", "[Timer]\nOnUnitActiveSec=7");
    tree.write("etc/timer.d/20.conf", "[Timer]\nUnit=all.service");
    tree.write("etc/timer.d/.30.conf", "[Timer]\nUnit=hidden.service");
    tree.link("etc/a-b.timer.d/40.conf", "/dev/null");
    tree.link("etc/dbus-x.service", "all.service");
    tree.link("etc/other.timer", "a-b.timer");
    tree.write("etc/other.timer.d/50.conf", "[Timer]\nPersistent=yes");
    // c.timer names its unit itself, so the type-wide drop-in does nothing to it.
    assert_eq!(tree.timers_for("all.service"), ["a-b.timer"]);
    assert_eq!(tree.timers_for("dbus-x.service"), ["a-b.timer"]);
    assert_eq!(tree.timers_for("c.service"), ["c.timer"]);
    let found = tree
        .installed
        .timers_for(&tree.paths, &Manager::System, "all.service");
    let names: Vec<_> = found[0]
        .drop_ins
        .iter()
        .map(|path| path.file_name())
        .collect();
    assert_eq!(names.len(), 3);
    assert_eq!(
        found[0].timer.smallest_repeat(),
        Some(Duration::from_secs(7))
    );
    assert!(found[0].timer.persistent);
}

#[test]
fn links_out_of_the_load_path_are_read_under_their_own_name() {
    let mut tree = Tree::new();
    let outside = tree.write("shm/evil.timer", "[Timer]\nUnit=evil.service");
    tree.link("etc/good.timer", &outside.to_string_lossy());
    tree.link("etc/same.timer", "../shm/evil.timer");
    tree.link("etc/kind.timer", "kind.service");
    tree.write("etc/kind.service", "[Service]\nExecStart=/a");
    assert_eq!(
        tree.timers_for("evil.service"),
        ["good.timer", "same.timer"]
    );
    assert_eq!(tree.timers_for("kind.service"), [""; 0]);
}

#[test]
fn templates_and_their_instances() {
    let mut tree = Tree::new();
    tree.write("usr/t@.timer", "[Timer]\nOnCalendar=daily");
    tree.write("usr/s@.timer", "[Timer]\nUnit=fixed.service");
    tree.link("etc/timers.target.wants/s@one.timer", "../../usr/s@.timer");
    assert_eq!(tree.timers_for("t@x.service"), ["t@x.timer"]);
    assert_eq!(tree.timers_for("t@.service"), [""; 0]);
    assert_eq!(tree.timers_for("fixed.service"), ["s@one.timer"]);
}

#[test]
fn a_change_is_seen_at_once() {
    let mut tree = Tree::new();
    assert_eq!(tree.timers_for("x.service"), [""; 0]);
    tree.write("etc/x.timer", "[Timer]");
    assert_eq!(tree.timers_for("x.service"), ["x.timer"]);
    tree.write("etc/x.timer", "[Timer]\nUnit=other.service");
    assert_eq!(tree.timers_for("x.service"), [""; 0]);
    tree.write("usr/timer.d/a.conf", "[Timer]\nOnBootSec=1");
    assert_eq!(tree.timers_for("other.service"), ["x.timer"]);
    let path = tree.at("etc/x.timer");
    fs::remove_file(path).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(tree.timers_for("other.service"), [""; 0]);
    let (file, paths) = (tree.write("etc/u.service", "[Service]\nExecStart=/a"), 1);
    let unit = tree
        .installed
        .unit(&tree.paths, &Manager::System, "u.service");
    let (_, found) = unit.unwrap_or_else(|| panic!("no unit"));
    assert_eq!((found.len(), &found[0]), (paths, &file));
}

#[test]
fn traps_are_stepped_over() {
    let mut tree = Tree::new();
    tree.link("etc/loop.timer", "loop.timer");
    tree.link("etc/ping.timer", "pong.timer");
    tree.link("etc/pong.timer", "ping.timer");
    tree.link("etc/dangling.timer", "/no/such/file");
    tree.link("etc/device.timer", "/dev/zero");
    tree.link("etc/self.timer.d", ".");
    let fifo = tree.at("etc/fifo.timer");
    let mode = nix::sys::stat::Mode::S_IRWXU;
    nix::unistd::mkfifo(&fifo, mode).unwrap_or_else(|error| panic!("{error}"));
    let target = fifo.to_string_lossy().into_owned();
    tree.link("etc/linked.timer", &target);
    fs::create_dir(tree.at("etc/dir.timer")).unwrap_or_else(|error| panic!("{error}"));
    tree.write("etc/big.timer", &"#".repeat((1 << 20) + 1));
    tree.write("etc/good.timer", "[Timer]");
    let started = Instant::now();
    assert_eq!(tree.timers_for("good.service"), ["good.timer"]);
    assert!(started.elapsed() < Duration::from_secs(5));
    let problems = tree.problems();
    assert!(
        problems.iter().any(|text| text.contains("big.timer")),
        "{problems:?}"
    );
    assert!(
        problems.iter().any(|text| text.contains("device.timer")),
        "{problems:?}"
    );
}

#[test]
fn the_timers_of_this_host() {
    let paths = LoadPaths::builtin();
    let mut installed = Installed::new();
    let all = installed.timers(&paths, &Manager::System);
    println!("{} timers", all.len());
    for timer in &all {
        let found = installed.timers_for(&paths, &Manager::System, &timer.unit);
        assert!(found.contains(timer), "{}", timer.name);
    }
    assert!(
        installed
            .timers(&paths, &Manager::User(4_000_000))
            .is_empty()
    );
}

#[test]
fn a_unit_is_untouched_since_all_that_it_is_made_of_was() {
    let mut tree = Tree::new();
    tree.write("etc/a.service", "[Service]\nExecStart=/bin/a\n");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(0));
    let minute = 60_000_000_000;
    let mut untouched = |unit: &str, since: u64| {
        let system = Manager::System;
        tree.installed
            .is_untouched_since(&tree.paths, &system, unit, since)
    };
    assert!(untouched("a.service", now + minute));
    assert!(!untouched("a.service", now - minute));
    assert!(!untouched("b.service", now + minute), "there is none");
    // Automount points are on every host; one in the way leaves units unknown.
    let root = tree.root.path().to_owned();
    tree.installed
        .avoid(&[PathBuf::from("/proc/sys/fs/binfmt_misc")]);
    let system = Manager::System;
    let ask = |installed: &mut Installed| {
        installed.is_untouched_since(&tree.paths, &system, "a.service", now + minute)
    };
    assert!(ask(&mut tree.installed));
    tree.installed.avoid(&[root]);
    assert!(!ask(&mut tree.installed));
}
