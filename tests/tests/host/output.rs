//! Readers that go away, devices that are full, terminals.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use whodunit_tests::{binary, skip, skip_without_bpf, tag};

use crate::cli::keep_busy_until_exit;

fn run(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(["run", "--no-state"])
        .args(arguments)
        .stdin(Stdio::null());
    command.stderr(Stdio::piped());
    command
}

#[test]
fn a_reader_that_leaves_ends_the_run_quietly() {
    if skip_without_bpf() {
        return;
    }
    let mut child = run(&[]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    // As `head -1` does.
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.starts_with('{'), "{line}");
    let output = keep_busy_until_exit(child, &tag());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{}: {stderr}", output.status);
    let words: Vec<_> = stderr
        .lines()
        .map(|line| line.split([':', ' ']).next())
        .collect();
    assert_eq!(words.len(), 2, "ready, and the totals: {stderr}");
}

#[test]
fn a_full_device_is_survived_and_stated() {
    if skip_without_bpf() {
        return;
    }
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let child = run(&["--duration", "2s"]).stdout(full).spawn().unwrap();
    let output = keep_busy_until_exit(child, &tag());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code().is_some_and(|code| code != 0),
        "{}",
        output.status
    );
    assert!(!stderr.contains("panicked"), "{stderr}");
    let told = |word: &str| stderr.lines().any(|line| line.contains(word));
    assert!(told("No space left on device"), "{stderr}");
    assert!(told(" lost") || told("not written"), "{stderr}");
}

#[test]
fn lines_for_people_hold_no_control_characters() {
    if skip_without_bpf() {
        return;
    }
    let tag = tag();
    let nasty = format!("{tag}\x1b[31mred\x07\r\nsecond\u{202e}line\u{9b}");
    let mut command = run(&["--format", "compact", "--duration", "3s"]);
    let mut child = command
        .env("NO_COLOR", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut ready = String::new();
    stderr.read_line(&mut ready).unwrap();
    assert!(ready.starts_with("ready"), "{ready}");
    Command::new("true").arg(&nasty).status().unwrap();
    let output = keep_busy_until_exit(child, &tag);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains(&tag));
    let control = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert_eq!(stdout.lines().find(|line| line.contains(control)), None);
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    let events: usize = rest
        .lines()
        .last()
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(stdout.lines().count(), events, "one line an event");
}

/// What the agent writes to a terminal, by script(1), which makes one.
fn on_a_terminal(no_color: Option<&str>, arguments: &str) -> Option<String> {
    if skip_without_bpf() {
        return None;
    }
    let line = format!("exec {} run --count 3 {arguments}", binary().display());
    let mut command = Command::new("script");
    command
        .args(["-qec", &line, "/dev/null"])
        .env_remove("NO_COLOR");
    command.envs(no_color.map(|value| ("NO_COLOR", value)));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let Ok(child) = command.spawn() else {
        skip("no script(1)");
        return None;
    };
    let output = keep_busy_until_exit(child, &tag());
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_terminal_gets_colour_and_lines_for_people() {
    let Some(screen) = on_a_terminal(None, "") else {
        return;
    };
    assert!(screen.contains("\x1b["), "{screen:?}");
    assert!(!screen.contains("class_uid"), "{screen:?}");
}

#[test]
fn no_color_is_respected() {
    let Some(screen) = on_a_terminal(Some("1"), "") else {
        return;
    };
    assert!(!screen.contains('\x1b'), "{screen:?}");
    // What was asked for on the command line comes first.
    let screen = on_a_terminal(Some("1"), "--color always").unwrap();
    assert!(screen.contains("\x1b["), "{screen:?}");
    let screen = on_a_terminal(None, "--format ocsf").unwrap();
    assert!(
        screen.contains("class_uid") && !screen.contains('\x1b'),
        "{screen:?}"
    );
}

#[test]
fn what_is_not_a_terminal_gets_no_colour() {
    if skip_without_bpf() {
        return;
    }
    let mut command = run(&["--format", "compact", "--count", "3"]);
    let child = command
        .env_remove("NO_COLOR")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = keep_busy_until_exit(child, &tag());
    assert!(output.status.success());
    assert!(!output.stdout.contains(&0x1b));
    assert_eq!(
        output.stdout.iter().filter(|byte| **byte == b'\n').count(),
        3
    );
}
