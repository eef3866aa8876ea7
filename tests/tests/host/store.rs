//! What the agent remembers: across ends, kills and times without an agent.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use whodunit_tests::{Agent, DEADLINE, Event, Kind, Scratch, binary, skip};

const UNITS: &str = "/etc/systemd/system";

/// An agent with a store of its own, where there are units.
fn start(state: &Path) -> Option<Agent> {
    if !Path::new(UNITS).is_dir() {
        skip("no /etc/systemd/system");
        return None;
    }
    Agent::start(&["--state", state.to_str().unwrap()])
}

/// The answer of `whodunit why --format json`; `None` when nothing is known.
fn why(state: &Path, subject: &str) -> Option<Value> {
    let mut command = Command::new(binary());
    command
        .args(["why", "--format", "json", "--state"])
        .arg(state);
    let output = command.arg(subject).output().unwrap();
    match output.status.code() {
        Some(0) => Some(serde_json::from_slice(&output.stdout).unwrap()),
        Some(2) => None,
        _ => panic!("{}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The newest version of a file that the store has.
fn latest(state: &Path, path: &str) -> Option<Value> {
    why(state, path)?["because"].get(0).cloned()
}

fn sh(script: &str) -> u64 {
    let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
    assert!(child.wait().unwrap().success(), "{script}");
    u64::from(child.id())
}

fn of_path<'a>(events: &'a [Event], path: &str) -> Vec<&'a Event> {
    let of_it = |event: &&Event| event.kind() == Kind::Change && event.path() == path;
    events.iter().filter(of_it).collect()
}

#[test]
fn what_is_kept_survives_a_kill() {
    let state = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(&[Path::new(UNITS)]);
    let unit = scratch.path(0, "kept.service");
    let mut writers = Vec::new();
    for round in 0..5 {
        let Some(agent) = start(state.path()) else {
            return;
        };
        // `:` is a builtin: the shell itself writes.
        writers.push(sh(&format!("echo '# {round}' >>{unit}; :")));
        until("the change is kept", || {
            let writer = latest(state.path(), &unit)?["facts"]["writer"]["pid"].as_u64();
            (writer == writers.last().copied()).then_some(())
        });
        // At once: the moment in which it is kept is over.
        let events = agent.kill();
        let missed = |event: &&&Event| !event.at("unmapped/change/between").is_null();
        let told = of_path(&events, &unit);
        assert_eq!(told.iter().filter(missed).count(), 0, "{told:#?}");
    }
    let answer = why(state.path(), &unit).unwrap();
    let versions = answer["because"].as_array().unwrap();
    let writer = |version: &Value| version["facts"]["writer"]["pid"].as_u64();
    let mut kept: Vec<u64> = versions.iter().filter_map(writer).collect();
    kept.reverse();
    assert_eq!(kept, writers);
    for version in versions {
        assert!(version["facts"]["sha256"].is_string(), "{version:#}");
        let ancestry = &version["facts"]["writer"]["ancestry"];
        let us = u64::from(std::process::id());
        assert_eq!(ancestry[0]["pid"].as_u64(), Some(us), "{version:#}");
    }
}

#[test]
fn what_changes_without_an_agent_is_told_once() {
    let state = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(&[Path::new(UNITS)]);
    let [changed, gone, made, same] = [
        "changed.service",
        "gone.service",
        "made.timer",
        "same.service",
    ]
    .map(|it| scratch.path(0, it));
    for path in [&changed, &gone, &same] {
        fs::write(path, "[Unit]\n").unwrap();
    }
    let Some(agent) = start(state.path()) else {
        return;
    };
    let run = agent.finish();
    assert!(
        of_path(&run.events, &changed).is_empty(),
        "the first look learns"
    );

    fs::write(&changed, "[Service]\nExecStart=/bin/true\n").unwrap();
    fs::remove_file(&gone).unwrap();
    fs::write(&made, "[Timer]\nOnCalendar=daily\n").unwrap();
    let agent = start(state.path()).unwrap();
    agent.wait_for("the new timer", |event| event.is_change(&["create"], &made));
    let run = agent.finish();
    assert!(of_path(&run.events, &same).is_empty());
    for (path, verb) in [(&changed, "write"), (&gone, "remove"), (&made, "create")] {
        let told = of_path(&run.events, path);
        let [event] = told[..] else {
            panic!("{path}: {told:#?}");
        };
        assert_eq!(event.verb(), verb);
        assert_eq!(event.text("unmapped/change/writer/name"), "unknown");
        assert_eq!(event.text("actor/app_name"), "unknown");
        let between = |end: &str| event.number(&format!("unmapped/change/between/{end}"));
        assert!(
            between("after") > 0 && between("after") < between("before"),
            "{event:?}"
        );
        assert_eq!(between("before"), event.number("time"));
    }
    let changed_event = of_path(&run.events, &changed)[0];
    let content = |field: &str| changed_event.text(&format!("unmapped/change/content/{field}"));
    assert_ne!(content("sha256"), content("previous_sha256"));
    assert!(!content("previous_sha256").is_empty());
    let version = latest(state.path(), &made).unwrap();
    assert_eq!(version["what"], "unknown", "{version:#}");

    let run = start(state.path()).unwrap().finish();
    for path in [&changed, &gone, &made, &same] {
        assert!(
            of_path(&run.events, path).is_empty(),
            "{path} is told twice"
        );
    }
}

/// A shell that does what it is told, line by line.
struct Shell(Child);

impl Shell {
    fn start(tag: &str) -> Self {
        // dash: the one that reads its commands byte by byte, and forks for each.
        let mut command = Command::new("sh");
        command.args(["-s", tag]).stdin(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn say(&mut self, line: &str) {
        writeln!(self.0.stdin.as_mut().unwrap(), "{line}").unwrap();
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn who_spawned_whom_survives_a_restart_of_the_agent() {
    let state = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(&[Path::new(UNITS)]);
    let tag = scratch.tag().to_owned();
    let Some(agent) = start(state.path()) else {
        return;
    };
    let us = u64::from(std::process::id());
    let mut shell = Shell::start(&tag);
    let outer = u64::from(shell.0.id());
    // A shell between dies, and its child lives on with another parent.
    let fifo = state.path().join("fifo");
    let fifo = fifo.display();
    shell.say(&format!(
        "mkfifo {fifo}; sh -c '(sh {fifo} {tag}inner; :) & exit' {tag}middle; :"
    ));
    let line = format!("sh {fifo} {tag}inner");
    let inner = agent.wait_for("the inner shell", |event| {
        event.kind() == Kind::Exec && event.command() == line
    });
    let before = inner.ancestry();
    assert!(before.contains(&outer) && before.contains(&us), "{inner:?}");
    let (inner_pid, spawner) = (inner.pid(), inner.actor_pid());
    // Long enough for a process to be worth keeping.
    thread::sleep(Duration::from_secs(11));
    agent.stop();

    let agent = start(state.path()).unwrap();
    fs::write(fifo.to_string(), format!("env true {tag}last; :\n")).unwrap();
    let last = agent.wait_for("what the inner shell runs", |event| {
        event.kind() == Kind::Exec
            && event.command().starts_with("env ")
            && event.command().contains(&format!("{tag}last"))
    });
    assert_eq!(last.actor_pid(), inner_pid, "{last:?}");
    let mut wanted = vec![spawner];
    wanted.extend(&before);
    assert_eq!(last.ancestry(), wanted, "{last:?}");
    assert_eq!(last.text("unmapped/lineage"), "measured");
    agent.stop();
}

#[test]
fn an_agent_without_a_usable_store_goes_on() {
    let state = tempfile::tempdir().unwrap();
    let Some(first) = start(state.path()) else {
        return;
    };
    let second = start(state.path()).unwrap();
    second.wait_for("that another agent has the store", |event| {
        event.kind() == Kind::Health && event.text("message").contains("in use")
    });
    let scratch = Scratch::new(&[Path::new(UNITS)]);
    let unit = scratch.path(0, "x.service");
    sh(&format!("echo >{unit}; :"));
    for agent in [&first, &second] {
        agent.wait_for("a change", |event| event.is_change(&["create"], &unit));
    }
    second.stop();
    first.stop();

    let broken = state.path().join("store.db");
    fs::write(&broken, [b'x'; 8192]).unwrap();
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(state.path().join(format!("store.db{suffix}")));
    }
    let agent = start(state.path()).unwrap();
    agent.wait_for("that it was broken", |event| {
        event.kind() == Kind::Health && event.text("message").contains("store.db.broken-")
    });
    agent.stop();
}

#[test]
fn what_is_not_known_is_said() {
    let state = tempfile::tempdir().unwrap();
    let ask = |subject: &str| {
        let mut command = Command::new(binary());
        command.args(["why", "--state"]).arg(state.path());
        command.arg(subject).output().unwrap()
    };
    let missing = ask("a.service");
    assert_eq!(missing.status.code(), Some(2));
    let text = String::from_utf8(missing.stderr).unwrap();
    assert!(text.contains("there is no store"), "{text}");
    let Some(agent) = start(state.path()) else {
        return;
    };
    for (subject, words) in [
        ("nothing-like-it.service", "nothing is known of"),
        ("/etc/hostname", "is no unit file"),
        ("4194305", "no process"),
        ("frobnicate", "is no unit"),
    ] {
        let output = ask(subject);
        assert_eq!(output.status.code(), Some(2), "{subject}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(words), "{text}");
        assert!(output.stdout.is_empty());
    }
    let me = ask(&std::process::id().to_string());
    assert_eq!(me.status.code(), Some(0));
    let text = String::from_utf8(me.stdout).unwrap();
    assert!(
        text.contains("child of") || text.contains("spawned by"),
        "{text}"
    );
    agent.stop();
}
