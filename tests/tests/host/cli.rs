//! The command line: what it accepts, refuses, and leaves behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Output, Stdio};

use whodunit_tests::{Event, Totals, binary, check_all, skip, skip_without_bpf, tag, wait_exit};

fn whodunit(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Executes programs until the agent ends, for it to have something to tell.
pub(super) fn keep_busy_until_exit(mut child: Child, tag: &str) -> Output {
    // Its pipes are read meanwhile: it would wait for us otherwise.
    let pipes = [
        child.stdout.take().map(read_all),
        child.stderr.take().map(read_all),
    ];
    let busy = format!(
        "while kill -0 {} 2>/dev/null; do /bin/true $0; done",
        child.id()
    );
    let mut busy = Command::new("sh").args(["-c", &busy, tag]).spawn().unwrap();
    let status = wait_exit(&mut child);
    busy.wait().unwrap();
    let [stdout, stderr] =
        pipes.map(|pipe| pipe.map_or_else(Vec::new, |pipe| pipe.join().unwrap()));
    Output {
        status,
        stdout,
        stderr,
    }
}

fn read_all(mut pipe: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

fn run_busy(command: &mut Command) -> Output {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    keep_busy_until_exit(child.unwrap(), &tag())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The one line that says what is wrong.
fn complaint(output: &Output, codes: &[i32]) -> String {
    let stderr = text(&output.stderr);
    let code = output.status.code();
    assert!(
        code.is_some_and(|code| codes.contains(&code)),
        "{code:?}: {stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(output.stdout.is_empty());
    stderr
}

#[test]
fn wrong_arguments_are_explained() {
    for (arguments, helpful) in [
        (&["run", "--frobnicate"][..], "--frobnicate"),
        (&["run", "--format", "xml"], "ocsf"),
        (&["run", "--duration", "soon"], "5m"),
        (&["run", "--count", "0"], "--count"),
        (&["run", "--tier", "magic"], "tracepoint"),
        (&["rum"], "run"),
    ] {
        let output = whodunit(arguments).output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(helpful), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    for (arguments, expected) in [
        (&["--help"][..], "Usage: "),
        (&["run", "--help"], "--format"),
        (&["--version"], "whodunit "),
    ] {
        let output = whodunit(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        let stdout = text(&output.stdout);
        assert!(stdout.contains(expected), "{arguments:?}: {stdout}");
        assert!(output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn an_output_that_cannot_be_opened_is_named() {
    if skip_without_bpf() {
        return;
    }
    for path in ["/nonexistent-dir/x", "/etc"] {
        let output = whodunit(&["run", "--no-state", "--output", path])
            .output()
            .unwrap();
        let line = complaint(&output, &[2]);
        assert!(
            line.starts_with("whodunit: ") && line.contains(path),
            "{line}"
        );
    }
}

#[test]
fn nobody_is_told_what_is_missing() {
    if skip_without_bpf() {
        return;
    }
    // The build directory may be closed to others.
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = dir.path().join("whodunit");
    assert!(
        Command::new("cp")
            .arg(binary())
            .arg(&copy)
            .status()
            .unwrap()
            .success()
    );
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    let Ok(output) = command
        .arg(&copy)
        .args(["run", "--no-state", "--count", "1"])
        .output()
    else {
        return skip("no setpriv");
    };
    let line = complaint(&output, &[3]);
    assert!(line.contains("root") || line.contains("CAP_"), "{line}");
}

#[test]
fn a_tier_that_does_not_attach_is_refused() {
    if skip_without_bpf() {
        return;
    }
    let output = whodunit(&["run", "--tier", "lsm", "--duration", "1s"])
        .output()
        .unwrap();
    if output.status.success() {
        return skip("this kernel has the lsm tier");
    }
    // Asked for what this kernel has not: as much a wrong argument as a wrong kernel.
    let line = complaint(&output, &[2, 4]);
    assert!(line.contains("lsm"), "{line}");
}

#[test]
fn a_count_is_exact() {
    if skip_without_bpf() {
        return;
    }
    for count in [1, 3] {
        let number = count.to_string();
        let output = run_busy(&mut whodunit(&["run", "--count", &number]));
        let stderr = text(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        let stdout = text(&output.stdout);
        // Not on a terminal: OCSF without being asked for.
        let events: Vec<_> = stdout.lines().map(Event::parse).collect();
        assert_eq!(events.len(), count, "{stderr}");
        let totals = Totals::parse(stderr.lines().last().unwrap());
        assert_eq!(totals.events, count as u64);
        check_all(&events, 0);
    }
}

#[test]
fn a_duration_ends_the_run() {
    if skip_without_bpf() {
        return;
    }
    let output = run_busy(&mut whodunit(&["run", "--duration", "1s"]));
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    let events: Vec<_> = stdout.lines().map(Event::parse).collect();
    let totals = Totals::parse(stderr.lines().last().unwrap());
    assert_eq!(totals.events, events.len() as u64);
    assert!(totals.events > 3);
    check_all(&events, totals.lost);
}

#[test]
fn an_output_file_is_private_and_appended_to() {
    if skip_without_bpf() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events");
    let path = path.to_str().unwrap();
    let mut lines = 0;
    for _ in 0..2 {
        let output = run_busy(&mut whodunit(&["run", "--count", "5", "--output", path]));
        assert!(output.status.success() && output.stdout.is_empty());
        lines += 5;
        let content = fs::read_to_string(path).unwrap();
        assert_eq!(content.lines().count(), lines);
        assert!(content.ends_with('\n'));
    }
    let mode = fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
