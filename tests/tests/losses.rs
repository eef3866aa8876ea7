//! What is found out when the kernel's queue was too short. A binary of its own: no other agent is to
//! have its queue filled.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in its helpers"
)]

use std::fs::{self, File};
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use whodunit_tests::{Agent, Event, Scratch, skip};

const UNITS: &str = "/etc/systemd/system";

/// How many events the queue holds.
fn room() -> usize {
    let setting = fs::read_to_string("/proc/sys/fs/fanotify/max_queued_events");
    let setting = setting.unwrap();
    setting.trim().parse().unwrap()
}

fn write(path: &str, command: &str) {
    fs::write(path, format!("[Service]\nExecStart={command}\n")).unwrap();
}

#[test]
fn what_changed_while_changes_were_lost_is_found() {
    if !Path::new(UNITS).is_dir() {
        return skip("no /etc/systemd/system");
    }
    let scratch = Scratch::new(&[Path::new(UNITS)]);
    let at = |name: &str| scratch.path(0, name);
    let (same, rewritten, removed) = (
        at("same.service"),
        at("rewritten.service"),
        at("rm.service"),
    );
    for path in [&same, &rewritten] {
        write(path, "/bin/true");
    }
    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    // One is known from a change, the others from the start.
    write(&removed, "/bin/true");
    let first = agent.wait_for("a change", |event| event.is_change(&["create"], &removed));
    if first.text("unmapped/change/tier") != "tracepoint" {
        agent.stop();
        return skip("file changes come by programs here, not by the queue of fanotify");
    }

    let pid = Pid::from_raw(agent.pid().cast_signed());
    kill(pid, Signal::SIGSTOP).unwrap();
    // Nothing to systemd, but in the queue all the same.
    for number in 0..=room() {
        File::create(at(&format!("noise-{number}"))).unwrap();
    }
    let (hidden, link) = (at("hidden.service"), at("link.service"));
    write(&hidden, "/bin/false");
    write(&rewritten, "/bin/false");
    fs::remove_file(&removed).unwrap();
    std::os::unix::fs::symlink("/dev/null", &link).unwrap();
    kill(pid, Signal::SIGCONT).unwrap();

    let lost = |event: &Event| {
        let losses = event.at("unmapped/health/lost").as_array();
        losses.is_some_and(|losses| losses.iter().any(|loss| loss["stage"] == "fanotify"))
    };
    agent.wait_for("the loss", lost);
    for (path, verb) in [
        (&hidden, "create"),
        (&rewritten, "write"),
        (&removed, "remove"),
        (&link, "symlink"),
    ] {
        let event = agent.wait_for(path, |event| {
            event.is_change(&[verb], path) && is_found(event)
        });
        let between = |end: &str| event.number(&format!("unmapped/change/between/{end}"));
        assert!(
            between("after") > 0 && between("after") < between("before"),
            "{event:?}"
        );
        assert_eq!(event.text("unmapped/change/writer/name"), "unknown");
    }
    let events = agent.kill();
    let found: Vec<_> = events.iter().filter(|event| is_found(event)).collect();
    let ours = |event: &&&Event| event.mentions(scratch.tag());
    assert_eq!(
        found.iter().filter(ours).count(),
        4,
        "each once: {found:#?}"
    );
    assert!(
        !found.iter().any(|event| event.mentions(&same)),
        "{found:#?}"
    );
}

fn is_found(event: &Event) -> bool {
    !event.at("unmapped/change/between").is_null()
}
