//! Changes of units, in a directory that systemd reads.
//!
//! Each step waits until the one before it was told: what is looked at is the state a user finds.

use std::path::Path;
use std::process::{Command, id};

use whodunit_tests::{Agent, Event, Kind, Scratch, skip};

const UNITS: &str = "/etc/systemd/system";
/// Beside it, on the same file system, and nothing to systemd.
const OUTSIDE: &str = "/etc";

fn start() -> Option<(Agent, Scratch)> {
    if !Path::new(UNITS).is_dir() {
        skip("no /etc/systemd/system");
        return None;
    }
    let agent = Agent::start(&[])?;
    Some((agent, Scratch::new(&[Path::new(UNITS), Path::new(OUTSIDE)])))
}

/// Runs a shell script and returns its pid.
fn sh(script: &str, tag: &str) -> u64 {
    let mut child = Command::new("sh")
        .args(["-c", script, tag])
        .spawn()
        .unwrap();
    assert!(child.wait().unwrap().success(), "{script}");
    u64::from(child.id())
}

/// Runs `script` and waits until the shell or its child is told to have made the change.
fn step(agent: &Agent, tag: &str, script: &str, verbs: &[&str], path: &str) -> Event {
    let shell = sh(script, tag);
    let by_us = |event: &Event| event.actor_pid() == shell || event.ancestry().contains(&shell);
    let event = agent.wait_for(script, |event| event.is_change(verbs, path) && by_us(event));
    check_writer(&event, shell, tag);
    event
}

fn check_writer(event: &Event, shell: u64, tag: &str) {
    let us = u64::from(id());
    if event.actor_pid() == shell {
        let line = event.text("actor/process/cmd_line");
        assert!(line.ends_with(tag), "{event:?}");
        assert_eq!(event.ancestry()[0], us);
    } else {
        let descends = event.ancestry().starts_with(&[shell, us]);
        assert!(descends, "not by {shell}: {event:?}");
    }
    assert_eq!(
        event.number("unmapped/change/writer/pid"),
        event.actor_pid()
    );
}

#[test]
fn every_way_to_change_a_unit_is_told() {
    let Some((agent, scratch)) = start() else {
        return;
    };
    let tag = scratch.tag();
    let unit = scratch.path(0, "a.service");
    let name = format!("{tag}a.service");
    // `:` is a builtin: the shell itself is the writer.
    let create = step(
        &agent,
        tag,
        &format!("echo '[Unit]' >{unit}"),
        &["create"],
        &unit,
    );
    assert_eq!(create.text("unmapped/change/unit"), name);
    assert_eq!(create.text("unmapped/change/class"), "unit-file");
    let append = format!("echo Description=x >>{unit}");
    step(&agent, tag, &append, &["write", "closed"], &unit);
    step(
        &agent,
        tag,
        &format!(": >{unit}"),
        &["write", "closed"],
        &unit,
    );
    let mode = step(
        &agent,
        tag,
        &format!("chmod 600 {unit}"),
        &["attributes"],
        &unit,
    );
    assert_eq!(mode.text("unmapped/change/mode"), "100600");

    let link = scratch.path(0, "link.service");
    let event = step(
        &agent,
        tag,
        &format!("ln -s {unit} {link}"),
        &["symlink"],
        &link,
    );
    assert_eq!(event.text("unmapped/change/target"), unit);
    let removed = step(&agent, tag, &format!("rm {link}"), &["remove"], &link);
    assert_eq!(
        removed.text("unmapped/change/unit"),
        format!("{tag}link.service")
    );

    let fifo = scratch.path(0, "fifo.service");
    step(
        &agent,
        tag,
        &format!("mkfifo {fifo}"),
        &["mknod", "create"],
        &fifo,
    );
    step(&agent, tag, &format!("rm {fifo}"), &["remove"], &fifo);
    step(&agent, tag, &format!("rm {unit}"), &["remove"], &unit);
    agent.stop();
}

#[test]
fn renames_and_hard_links_name_both_ends() {
    let Some((agent, scratch)) = start() else {
        return;
    };
    let tag = scratch.tag();
    let outside = scratch.path(1, "outside");
    let [first, second] = ["first.timer", "second.timer"].map(|name| scratch.path(0, name));
    sh(&format!("echo '[Timer]' >{outside}"), tag);
    let moved_in = step(
        &agent,
        tag,
        &format!("mv {outside} {first}"),
        &["rename"],
        &first,
    );
    assert_eq!(
        moved_in.text("unmapped/change/unit"),
        format!("{tag}first.timer")
    );
    let moved = step(
        &agent,
        tag,
        &format!("mv {first} {second}"),
        &["rename"],
        &second,
    );
    assert_eq!(moved.text("unmapped/change/from"), first);
    // Out of the directory: the unit is gone, and its own name is all that says so.
    let shell = sh(&format!("mv {second} {outside}"), tag);
    let gone = agent.wait_for("the rename out", |event| {
        let names = event.path() == second || event.text("unmapped/change/from") == second;
        event.verb() == "rename" && names && event.ancestry().contains(&shell)
    });
    assert_eq!(
        gone.text("unmapped/change/unit"),
        format!("{tag}second.timer")
    );

    let linked = scratch.path(0, "linked.timer");
    let link = format!("ln {outside} {linked}");
    let event = step(&agent, tag, &link, &["link", "create"], &linked);
    assert_eq!(event.number("unmapped/change/nlink"), 2);
    agent.stop();
}

#[test]
fn a_drop_in_directory_is_followed_from_its_birth() {
    let Some((agent, scratch)) = start() else {
        return;
    };
    let tag = scratch.tag();
    let dir = scratch.path(0, "b.service.d");
    let file = format!("{dir}/10-more.conf");
    step(&agent, tag, &format!("mkdir {dir}"), &["mkdir"], &dir);
    let shell = sh(&format!("echo '[Service]' >{file}"), tag);
    // By whomever: a wrong writer is to be told from a file that was missed.
    let event = agent.wait_for("the file", |event| event.is_change(&["create"], &file));
    check_writer(&event, shell, tag);
    assert_eq!(event.text("unmapped/change/class"), "drop-in");
    assert_eq!(
        event.text("unmapped/change/unit"),
        format!("{tag}b.service")
    );
    step(&agent, tag, &format!("rm {file}"), &["remove"], &file);
    step(&agent, tag, &format!("rmdir {dir}"), &["rmdir"], &dir);

    // In one breath: the file is there before anybody could look into the new directory. Who made
    // it may then be unknown, but whoever made the directory did not.
    let file = format!("{dir}/20-at-once.conf");
    let shell = sh(&format!("mkdir {dir} && echo '[Service]' >{file}"), tag);
    let event = agent.wait_for("the file", |event| {
        event.is_change(&["create", "write"], &file)
    });
    assert_eq!(event.text("unmapped/change/class"), "drop-in");
    let unknown = event.at("actor/process/path").is_null();
    assert!(unknown || event.actor_pid() == shell, "{event:?}");
    agent.stop();
}

#[test]
fn an_enable_link_is_a_dependency_link() {
    let dirs = [UNITS, OUTSIDE].map(Path::new);
    let scratch = Scratch::new(&dirs);
    let tag = scratch.tag();
    let unit = scratch.path(0, "c.timer");
    // Older than the agent.
    let wants = scratch.path(0, "c.target.wants");
    if std::fs::create_dir(&wants).is_err() {
        return skip("no directory can be made in /etc/systemd/system");
    }
    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    let link = format!("{wants}/{tag}c.timer");
    let event = step(
        &agent,
        tag,
        &format!("ln -s {unit} {link}"),
        &["symlink"],
        &link,
    );
    assert_eq!(event.text("unmapped/change/class"), "dependency-link");
    assert_eq!(event.text("unmapped/change/unit"), format!("{tag}c.timer"));
    agent.stop();
}

#[test]
fn temporary_names_are_nothing_to_systemd() {
    let Some((agent, scratch)) = start() else {
        return;
    };
    let tag = scratch.tag();
    let unit = scratch.path(0, "d.service");
    let temporary = format!("{unit}.dpkg-new");
    // As a package manager does it, and an editor.
    let install =
        format!("echo '[Unit]' >{temporary}; chmod 644 {temporary}; mv {temporary} {unit}");
    let event = step(&agent, tag, &install, &["rename"], &unit);
    assert_eq!(event.text("unmapped/change/from"), temporary);
    let hidden = scratch.path(0, "d.service~");
    sh(&format!("echo x >{hidden}; rm {hidden}"), tag);
    step(&agent, tag, &format!("rm {unit}"), &["remove"], &unit);
    let run = agent.finish();
    for event in run
        .events
        .iter()
        .filter(|event| event.kind() == Kind::Change)
    {
        let path = event.path();
        assert!(path != temporary && path != hidden, "{event:?}");
    }
}

#[test]
fn reading_is_no_change() {
    let Some((agent, scratch)) = start() else {
        return;
    };
    let tag = scratch.tag();
    let [unit, last] = ["e.service", "last.service"].map(|name| scratch.path(0, name));
    let opened = format!(": >{unit}");
    step(&agent, tag, &opened, &["create"], &unit);
    let shell = sh(
        &format!("cat {unit}; ls {UNITS} >/dev/null; test -x {unit} || :"),
        tag,
    );
    step(&agent, tag, &format!(": >{last}"), &["create"], &last);
    let run = agent.finish();
    let by_reader = |event: &&Event| {
        event.kind() == Kind::Change
            && (event.actor_pid() == shell || event.ancestry().contains(&shell))
    };
    assert_eq!(run.events.iter().find(by_reader).map(Event::brief), None);
}
