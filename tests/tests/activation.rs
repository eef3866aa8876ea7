//! Why units were started, on real hosts: one boot for each of several versions of systemd.
//!
//! `tests/activation/run.sh` starts units in every way there is, `expect.json` says what started
//! each, in order. `WHODUNIT_VM_SUITE` and `WHODUNIT_VM_RESULTS` are as for the scenarios.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in its helpers"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use whodunit_tests::{Event, Kind, binary};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/activation");

fn boot(suite: &str) -> PathBuf {
    let out = Path::new(ROOT).join("target/activation").join(suite);
    let _ = fs::remove_dir_all(&out);
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(ROOT).args(["xtask", "vm", suite]);
    command.arg("--script").arg(Path::new(CASES).join("run.sh"));
    command.arg("--out").arg(&out);
    command
        .arg("--binary")
        .arg(fs::canonicalize(binary()).unwrap());
    command.args(["--timeout", "600"]);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    out
}

/// A trigger as `expect.json` writes it, and its grade.
fn trigger(event: &Event) -> (String, String) {
    let at = |field: &str| event.text(&format!("unmapped/systemd/trigger/{field}"));
    let name = format!("{} {}", at("type"), at("unit"));
    (name.trim().to_owned(), at("grade").to_owned())
}

/// What is expected of `count` starts; `...` stands for more of the one before it.
fn expand(expected: &[String], count: usize) -> Vec<&str> {
    let named = expected.iter().filter(|name| *name != "...").count();
    let mut all = Vec::new();
    for name in expected {
        if name != "..." {
            all.push(name.as_str());
        } else if let Some(&last) = all.last() {
            all.extend(std::iter::repeat_n(last, count.saturating_sub(named)));
        }
    }
    all
}

#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn what_started_each_unit() {
    let suite = env::var("WHODUNIT_VM_SUITE").unwrap_or_else(|_| "bookworm".to_owned());
    let results = env::var_os("WHODUNIT_VM_RESULTS").map(PathBuf::from);
    let out = results.unwrap_or_else(|| boot(&suite));
    let events = fs::read_to_string(out.join("events.ndjson")).unwrap();
    let events: Vec<Event> = events.lines().map(Event::parse).collect();
    let expected = fs::read_to_string(Path::new(CASES).join("expect.json")).unwrap();
    let expected: BTreeMap<String, Vec<String>> = serde_json::from_str(&expected).unwrap();

    let verdicts: BTreeMap<&str, &Event> = events
        .iter()
        .filter(|event| event.kind() == Kind::Verdict)
        .map(|event| (event.text("unmapped/refers_to"), event))
        .collect();
    let mut starts: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
    let mut waits = Vec::new();
    for exec in events.iter().filter(|event| event.kind() == Kind::Exec) {
        let spawned = exec.at("unmapped/systemd/spawned_by_manager") == true;
        let unit = exec.text("unmapped/systemd/unit");
        if !spawned || !expected.contains_key(unit) {
            continue;
        }
        let verdict = verdicts.get(exec.text("metadata/uid"));
        starts
            .entry(unit)
            .or_default()
            .push(trigger(verdict.unwrap_or(&exec)));
        let time = |event: &Event| event.number("unmapped/boot_ns");
        waits.extend(verdict.map(|verdict| time(verdict).saturating_sub(time(exec))));
    }

    let (mut faults, mut probable, mut timers) = (Vec::new(), Vec::new(), Vec::new());
    for (unit, expected) in &expected {
        let told = starts.remove(unit.as_str()).unwrap_or_default();
        let wanted = expand(expected, told.len());
        if told.len() < wanted.len() {
            faults.push(format!("{unit}: {} starts of {wanted:?}", told.len()));
        }
        for (at, (name, grade)) in told.iter().enumerate() {
            let wanted = wanted.get(at).copied().unwrap_or("nothing");
            if name != wanted && grade == "certain" {
                faults.push(format!("{unit}: certainly {name} is {wanted}"));
            }
            if grade == "probable" {
                probable.push((name == wanted, format!("{unit}: {name} is {wanted}")));
            }
            if wanted.starts_with("timer ") {
                timers.push(grade == "certain");
            }
        }
    }
    let wrong = probable.iter().filter(|(right, _)| !right);
    let wrong: Vec<&str> = wrong.map(|(_, words)| words.as_str()).collect();
    if wrong.len() * 100 > probable.len() {
        faults.push(format!("of {} probable wrong: {wrong:?}", probable.len()));
    }
    let certain = timers.iter().filter(|certain| **certain).count();
    // Before 252 the manager does not say which timer it was.
    if suite != "bullseye" && certain * 100 < timers.len() * 95 {
        faults.push(format!(
            "{certain} of {} timer runs are certain",
            timers.len()
        ));
    }
    if waits.iter().any(|wait| *wait > 2_000_000_000) {
        faults.push(format!("a verdict came after {:?} ns", waits.iter().max()));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
