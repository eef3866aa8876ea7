//! The timers of a container with a systemd of its own: the first process of another pid namespace.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;
use whodunit_tests::{binary, skip};

/// What the container's first process does before it takes its name: files of its own.
const INSIDE: &str = r#"
set -e
mount -t tmpfs none /etc
mkdir -p /etc/systemd/system/timers.target.wants
printf '[Service]\nExecStart=/bin/true boxed\n' >/etc/systemd/system/boxed.service
printf '[Timer]\nOnCalendar=hourly\n' >/etc/systemd/system/boxed.timer
ln -s ../boxed.timer /etc/systemd/system/timers.target.wants/boxed.timer
echo there
exec "$0" 300
"#;

#[test]
fn a_containers_timers_are_read_from_its_files() {
    if !nix::unistd::geteuid().is_root() {
        return skip("only root can enter a container");
    }
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("systemd");
    fs::copy("/bin/sleep", &program).unwrap();
    let mut container = Command::new("unshare")
        .args(["--pid", "--fork", "--kill-child", "--mount", "--mount-proc"])
        .args(["sh", "-c", INSIDE])
        .arg(&program)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(container.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "there\n");
    // It has its name once it is executed.
    let named = || {
        let names = fs::read_dir("/proc").unwrap().flatten();
        names
            .filter_map(|entry| fs::read_link(entry.path().join("exe")).ok())
            .any(|exe| exe == program)
    };
    while !named() {
        std::thread::yield_now();
    }
    let listed = Command::new(binary())
        .args(["timers", "--all", "--manager", "container", "--format"])
        .args(["json", "--state", "/nonexistent"])
        .output();
    let _ = container.kill();
    let _ = container.wait();
    let listed = listed.unwrap();
    let errors = String::from_utf8_lossy(&listed.stderr).into_owned();
    let listed: Value =
        serde_json::from_slice(&listed.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
    let rows = listed["timers"].as_array().unwrap();
    let row = rows.iter().find(|row| row["timer"] == "boxed.timer");
    let row = row.unwrap_or_else(|| panic!("{listed:#}"));
    assert!(row["manager"].as_str().unwrap().starts_with("container:"));
    assert_eq!(row["enabled"], true);
    assert_eq!(row["missing_from_list_timers"], "other-manager");
    assert_eq!(row["file"], "/etc/systemd/system/boxed.timer");
    let argv = &row["starts"][0]["commands"][0]["argv"];
    assert_eq!(*argv, serde_json::json!(["/bin/true", "boxed"]));
    // The container's mounts are its own: nothing of ours is left here.
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(" /etc tmpfs"), "{mounts}");
}
