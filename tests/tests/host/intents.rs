//! What commands are to do.

use std::process::{Command, Stdio};

use whodunit_tests::{Agent, skip, tag};

#[test]
fn systemctl_is_understood() {
    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    let tag = tag();
    let root = tempfile::tempdir().unwrap();
    // It looks for the unit below an empty directory, asks no manager and changes nothing.
    let mut command = Command::new("systemctl");
    command
        .arg(format!("--ro={}", root.path().display()))
        .args(["--no-pager", "is-enabled", &tag])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else {
        return skip("no systemctl");
    };
    child.wait().unwrap();
    let exec = agent.wait_for("systemctl", |event| event.is_exec_of("systemctl", &tag));
    assert_eq!(exec.text("unmapped/intent/tool"), "systemctl");
    assert_eq!(exec.text("unmapped/intent/verb"), "is-enabled");
    assert_eq!(exec.text("unmapped/intent/manager"), "system");
    assert_eq!(
        exec.text("unmapped/intent/units/0"),
        format!("{tag}.service")
    );
    let below = exec.text("unmapped/intent/root");
    assert_eq!(below, root.path().to_str().unwrap());

    Command::new("true").arg(&tag).status().unwrap();
    let other = agent.wait_for("another", |event| event.is_exec_of("true", &tag));
    assert!(other.at("unmapped/intent").is_null());
    agent.stop();
}
