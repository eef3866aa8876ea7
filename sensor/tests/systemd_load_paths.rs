//! Load paths against systemd's own list and against directories that come and go.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use whodunit::event::{FileClass, Manager};
use whodunit::host::lookup::Lookups;
use whodunit::host::mounts::Mounts;
use whodunit::host::users::Users;
use whodunit::systemd::load_path::{Area, LoadDir, Serves, UserDirs, system_units};
use whodunit::systemd::load_paths::LoadPaths;
use whodunit::systemd::presence::{State, load_paths_at, load_paths_of_host, survey};

/// What `systemd-analyze unit-paths` prints, or `None` with a word when it cannot be run.
fn unit_paths(arguments: &[&str], environment: &[(&str, &str)]) -> Option<Vec<String>> {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).arg("unit-paths").env_clear();
    command.env("PATH", "/usr/bin:/bin").env("HOME", "/home/u");
    command.envs(environment.iter().copied());
    match command.output() {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            Some(text.lines().map(str::to_owned).collect())
        }
        Ok(output) => {
            println!("skipped: systemd-analyze: {}", output.status);
            None
        }
        Err(error) => {
            println!("skipped: systemd-analyze: {error}");
            None
        }
    }
}

fn listed(dirs: &[LoadDir]) -> Vec<String> {
    dirs.iter().map(|dir| dir.path.clone()).collect()
}

/// `theirs` may lack what came with later versions or split-usr, never the other way round.
fn assert_same_order(ours: &[String], theirs: &[String]) {
    for path in theirs {
        assert!(ours.contains(path), "{path} is missing");
    }
    let common: Vec<_> = ours.iter().filter(|path| theirs.contains(path)).collect();
    assert_eq!(common, theirs.iter().collect::<Vec<_>>());
    for path in ours.iter().filter(|path| !theirs.contains(path)) {
        let optional = path == "/lib/systemd/system"
            || path == "/etc/xdg/systemd/user"
            || path.ends_with("/user.attached");
        assert!(optional, "{path} is not in systemd's list");
    }
}

#[test]
fn the_system_list_is_systemds() {
    if let Some(theirs) = unit_paths(&["--system"], &[]) {
        assert_same_order(&listed(&system_units()), &theirs);
    }
}

#[test]
fn the_user_list_is_systemds() {
    let runtime = ("XDG_RUNTIME_DIR", "/run/user/1000");
    if let Some(theirs) = unit_paths(&["--user"], &[runtime]) {
        let ours = UserDirs::new(1000, "/home/u", Some("/run/user/1000")).units();
        assert_same_order(&listed(&ours), &theirs);
    }
    let moved = [
        ("XDG_CONFIG_HOME", "/c"),
        ("XDG_DATA_HOME", "/d"),
        ("XDG_CONFIG_DIRS", "/e:/f"),
        ("XDG_DATA_DIRS", "/g"),
    ];
    if let Some(theirs) = unit_paths(&["--user"], &moved) {
        let block: String = moved.iter().map(|(k, v)| format!("{k}={v}\0")).collect();
        let ours = UserDirs::new(1000, "/home/u", None).with_environment(block.as_bytes());
        assert_same_order(&listed(&ours.units()), &theirs);
    }
}

#[test]
fn missing_directories_are_awaited_at_the_nearest_one_above() {
    let mounts = Mounts::read().expect("mounts");
    let root = tempfile::tempdir().expect("tempdir");
    let base = root.path().canonicalize().expect("real path");
    let at = |name: &str| base.join(name).to_string_lossy().into_owned();
    fs::create_dir_all(base.join("real/units")).expect("mkdir");
    symlink("real", base.join("link")).expect("symlink");
    symlink("/no/such/place", base.join("dangling")).expect("symlink");
    fs::write(base.join("file"), "").expect("write");

    let mut paths = LoadPaths::default();
    for name in [
        "real/units",
        "link/units",
        "link/a/b",
        "dangling/x",
        "file/x",
    ] {
        paths.add(LoadDir::new(&at(name), Area::SystemUnits, Serves::System));
    }
    let found: Vec<_> = survey(
        paths.dirs().to_vec(),
        &mut paths,
        &mut Lookups::default(),
        &mounts,
    )
    .into_iter()
    .map(|presence| match presence.state {
        State::Present(found) => ("present", found.path),
        State::Missing(above) => ("missing", above.path),
        State::Unknown(error) => panic!("{error}"),
    })
    .collect();
    let base = base.to_string_lossy().into_owned();
    assert_eq!(
        found,
        [
            ("present", at("real/units")),
            ("present", at("real/units")),
            ("missing", at("real")),
            ("missing", base.clone()),
            // A file where a directory is looked for is as good as none.
            ("missing", base),
        ]
    );
    // The kernel reports the real path of what was reached through a link.
    let class = paths
        .classify(&at("real/a/b/x.timer"))
        .expect("alias")
        .class;
    assert_eq!(class, FileClass::UnitFile);
}

#[test]
fn users_and_capsules_of_a_host() {
    let root = tempfile::tempdir().expect("tempdir");
    let passwd = root.path().join("passwd");
    fs::write(&passwd, "u:x:1000:1000::/home/u:/bin/sh\n").expect("write");
    fs::create_dir_all(root.path().join("run/user/2000")).expect("mkdir");
    fs::create_dir_all(root.path().join("var/lib/capsules/box")).expect("mkdir");
    let mut users = Users::at(passwd);
    users.refresh().expect("passwd");
    let paths = load_paths_at(root.path(), &users, &[]);
    let manager = |path: &str| paths.classify(path).and_then(|found| found.manager());
    assert_eq!(
        manager("/home/u/.config/systemd/user/a.timer"),
        Some(Manager::User(1000))
    );
    assert_eq!(
        manager("/run/user/2000/systemd/transient/a.timer"),
        Some(Manager::User(2000))
    );
    let capsule = manager("/var/lib/capsules/box/.config/systemd/user/a.timer");
    assert!(matches!(capsule, Some(Manager::Capsule(_))));
    assert_eq!(paths.unit_dirs(&Manager::System).len(), 13);
}

#[test]
fn this_host_is_surveyed() {
    let users = Users::read().expect("users");
    let mounts = Mounts::read().expect("mounts");
    let mut paths = load_paths_of_host(&users, &[]);
    let all = survey(
        paths.dirs().to_vec(),
        &mut paths,
        &mut Lookups::default(),
        &mounts,
    );
    assert_eq!(all.len(), paths.dirs().len());
    for presence in &all {
        match &presence.state {
            State::Present(found) | State::Missing(found) => assert_ne!(found.identity.inode, 0),
            State::Unknown(error) => panic!("{error}"),
        }
    }
}
