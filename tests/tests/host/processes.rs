//! What is said of a process itself.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use whodunit_tests::{Agent, Event, Kind, python, skip, tag};

#[test]
fn arguments_are_told_as_they_are_and_the_environment_is_not() {
    const SECRET: &str = "hunter2-in-the-environment";
    let Some(agent) = Agent::start(&["--exits"]) else {
        return;
    };
    let tag = tag();
    let mut command = Command::new("true");
    command.args([tag.as_str(), "two words", "größe", "日本", ""]);
    command.arg(OsStr::from_bytes(b"bad\xff\xfebytes"));
    command.args(["quote'd", "new\nline", "\x1b[31m"]);
    command.env("PASSWORD", SECRET).current_dir("/");
    let mut child = command.spawn().unwrap();
    child.wait().unwrap();

    let exec = agent.wait_for("the exec", |event| event.is_exec_of("true", &tag));
    assert_eq!(exec.pid(), u64::from(child.id()));
    let expected = format!(
        "true {tag} 'two words' größe 日本 '' 'bad\u{fffd}\u{fffd}bytes' 'quote'\\''d' 'new\nline' '\u{1b}[31m'"
    );
    assert_eq!(exec.command(), expected);
    assert_eq!(exec.text("process/working_directory"), "/");
    assert_eq!(exec.text("process/name"), "true");
    assert_eq!(exec.at("unmapped/args_truncated"), &serde_json::Value::Null);
    agent.wait_for("the end", |event| {
        event.kind() == Kind::Exit && event.pid() == exec.pid()
    });
    let run = agent.finish();
    for event in &run.events {
        assert!(!event.mentions(SECRET), "{event:?}");
    }
}

#[test]
fn a_long_command_line_says_that_it_is_cut() {
    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    let tag = tag();
    let arguments: Vec<String> = (0..400).map(|i| format!("argument-{i:03}-{tag}")).collect();
    Command::new("true").args(&arguments).status().unwrap();
    let exec = agent.wait_for("the exec", |event| event.is_exec_of("true", &tag));
    assert_eq!(exec.at("unmapped/args_truncated"), true);
    let start = format!("true {} {} ", arguments[0], arguments[1]);
    assert!(exec.command().starts_with(&start), "{}", exec.command());
    assert!(exec.command().len() > 1000, "as much as there is room for");

    let huge = format!("{tag}huge-{}", "x".repeat(100_000));
    Command::new("true").arg(&huge).status().unwrap();
    let name = format!("{tag}huge");
    let exec = agent.wait_for("one long argument", |event| event.is_exec_of("true", &name));
    assert_eq!(exec.at("unmapped/args_truncated"), true);
    agent.stop();
}

#[test]
fn a_change_of_user_is_told() {
    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    let tag = tag();
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "true",
        &tag,
    ]);
    let Ok(mut child) = command.spawn() else {
        return skip("no setpriv");
    };
    child.wait().unwrap();
    let pid = u64::from(child.id());
    let as_user = |program: &str| {
        let exec = agent.wait_for(program, |event| event.is_exec_of(program, &tag));
        assert_eq!(exec.pid(), pid);
        assert_eq!(exec.actor_pid(), u64::from(std::process::id()));
        let name = exec.text("process/user/name").to_owned();
        let ids = ["process/user/uid", "process/group/uid"].map(|id| exec.text(id).to_owned());
        (name, ids)
    };
    let (name, ids) = as_user("setpriv");
    assert_eq!(
        (name.as_str(), ids),
        ("root", ["0", "0"].map(str::to_owned))
    );
    let (name, ids) = as_user("true");
    assert_eq!(ids, ["65534", "65534"]);
    assert!(
        ["nobody", "nfsnobody", ""].contains(&name.as_str()),
        "{name}"
    );
    agent.stop();
}

#[test]
fn a_program_without_a_file_is_seen() {
    const PROGRAM: &str = r"
import os, shutil, sys
fd = os.memfd_create('payload')
with open(shutil.which('true'), 'rb') as source:
    os.write(fd, source.read())
os.execv(f'/proc/self/fd/{fd}', ['true', sys.argv[1]])
";
    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    let tag = tag();
    let Some(python) = python() else { return };
    let mut child = Command::new(python)
        .args(["-c", PROGRAM, &tag])
        .spawn()
        .unwrap();
    assert!(child.wait().unwrap().success());
    let exec = agent.wait_for("the exec of a memfd", |event| {
        event.kind() == Kind::Exec && event.command() == format!("true {tag}")
    });
    assert!(exec.path().starts_with("/memfd:payload"), "{}", exec.path());
    assert_eq!(exec.pid(), u64::from(child.id()));
    assert_eq!(exec.at("unmapped/executable/nlink"), 0);
    assert_eq!(exec.at("unmapped/executable/memfd"), true);
    assert_eq!(exec.at("process/file/is_deleted"), true);
    agent.stop();
}

#[test]
fn a_program_deleted_before_it_ends_was_named() {
    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    let tag = tag();
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join(format!("{tag}copy"));
    // By `cp`: a file open for writing in this process could still be so in a child of another
    // test, and would then not execute.
    let source = String::from_utf8(
        Command::new("sh")
            .args(["-c", "command -v true"])
            .output()
            .unwrap()
            .stdout,
    );
    let source = match source.unwrap().trim() {
        path if path.starts_with('/') => path.to_owned(),
        _ => "/bin/true".to_owned(),
    };
    assert!(
        Command::new("cp")
            .arg(source)
            .arg(&copy)
            .status()
            .unwrap()
            .success()
    );
    let script = r#""$0" here; rm "$0"; /bin/true $0"#;
    Command::new("sh")
        .args(["-c", script])
        .arg(&copy)
        .status()
        .unwrap();
    let path = fs::canonicalize(dir.path())
        .unwrap()
        .join(format!("{tag}copy"));
    let exec = agent.wait_for("the exec", |event| {
        event.kind() == Kind::Exec && event.path() == path.to_str().unwrap()
    });
    assert_eq!(exec.at("unmapped/executable/nlink"), 1);
    agent.stop();
}

#[test]
fn a_script_is_told_with_its_interpreter() {
    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    let tag = tag();
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join(format!("{tag}script"));
    fs::write(&script, "#!/bin/sh -u\n:\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    // A shell in between tries again while another test's child still holds the file open.
    let retry = r#"until "$0"; do sleep 0.01; done 2>/dev/null"#;
    Command::new("sh")
        .args(["-c", retry])
        .arg(&script)
        .status()
        .unwrap();
    let line = format!("/bin/sh -u {}", script.display());
    let exec = agent.wait_for("the script", |event| {
        event.kind() == Kind::Exec && event.command() == line
    });
    let interpreter = fs::canonicalize("/bin/sh").unwrap();
    assert_eq!(exec.path(), interpreter.to_str().unwrap());
    agent.stop();
}

#[test]
fn ends_are_told_with_code_or_signal() {
    let Some(agent) = Agent::start(&["--exits"]) else {
        return;
    };
    let end = |script: &str| {
        let mut child = Command::new("sh")
            .args(["-c", script, &tag()])
            .spawn()
            .unwrap();
        let pid = u64::from(child.id());
        child.wait().unwrap();
        agent.wait_for(script, |event| {
            event.kind() == Kind::Exit && event.pid() == pid
        })
    };
    let code = |event: &Event| event.at("exit_code").as_u64();
    let signal = |event: &Event| event.at("unmapped/signal").as_u64();
    let exit = end("exit 7");
    assert_eq!((code(&exit), signal(&exit)), (Some(7), None));
    assert!(
        exit.command().starts_with("sh -c 'exit 7' "),
        "{}",
        exit.command()
    );
    assert_eq!(exit.actor_pid(), u64::from(std::process::id()));
    let exit = end("exit 0");
    assert_eq!((code(&exit), signal(&exit)), (Some(0), None));
    let exit = end("kill -9 $$");
    assert_eq!((code(&exit), signal(&exit)), (None, Some(9)));
    let exit = end("kill -TERM $$");
    assert_eq!((code(&exit), signal(&exit)), (None, Some(15)));
    agent.stop();
}

#[test]
fn without_exits_no_end_is_told() {
    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    let tag = tag();
    for part in ["first", "second"] {
        let argument = format!("{tag}{part}");
        Command::new("true")
            .arg(&argument)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        agent.wait_for(part, |event| event.is_exec_of("true", &argument));
    }
    let run = agent.finish();
    assert!(run.events.iter().all(|event| event.kind() != Kind::Exit));
}
