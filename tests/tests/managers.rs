//! Managers of users, and PID 1 while its bus comes and goes: one boot of a virtual machine.
//!
//! `tests/managers/run.sh` says what is done, in phases. `WHODUNIT_VM_SUITE` and
//! `WHODUNIT_VM_RESULTS` are as for the scenarios.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in its helpers"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{env, fs};

use serde_json::Value;
use whodunit_tests::{Event, Kind, vm};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/managers/run.sh");

/// What came out of the machine.
struct Boot {
    dir: PathBuf,
    events: Vec<Event>,
    /// Name and nanoseconds since boot.
    phases: Vec<(String, u64)>,
    /// systemd's version.
    version: u32,
}

static BOOT: LazyLock<Boot> = LazyLock::new(|| {
    let results = env::var_os("WHODUNIT_VM_RESULTS").map(PathBuf::from);
    let suite = env::var("WHODUNIT_VM_SUITE").unwrap_or_else(|_| "bookworm".to_owned());
    let dir = results.unwrap_or_else(|| boot(&suite));
    let text = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let phase = |line: &str| {
        let (name, seconds) = line.split_once(' ').unwrap();
        (
            name.to_owned(),
            (seconds.parse::<f64>().unwrap() * 1e9) as u64,
        )
    };
    let list: Value = serde_json::from_str(&text("timers.json")).unwrap();
    let version = list["managers"][0]["version"].as_str().unwrap();
    let digits = version
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(version.len());
    Boot {
        events: text("events.ndjson").lines().map(Event::parse).collect(),
        phases: text("marks").lines().map(phase).collect(),
        version: version[..digits].parse().unwrap(),
        dir,
    }
});

fn boot(suite: &str) -> PathBuf {
    let out = Path::new(ROOT).join("target/managers").join(suite);
    vm::boot_well(suite, Path::new(SCRIPT), &out, &["--timeout", "600"]);
    out
}

impl Boot {
    /// What was told of a phase.
    fn phase(&self, name: &str) -> impl Iterator<Item = &Event> {
        let at = self
            .phases
            .iter()
            .position(|(phase, _)| phase == name)
            .unwrap();
        let start = self.phases[at].1;
        let end = self.phases.get(at + 1).map_or(u64::MAX, |(_, time)| *time);
        let within = move |event: &&Event| (start..end).contains(&event.number("unmapped/boot_ns"));
        self.events.iter().filter(within)
    }

    /// Trigger and grade of each start of a unit in a phase.
    fn starts(&self, phase: &str, manager: &str, unit: &str) -> Vec<String> {
        let verdicts = self
            .events
            .iter()
            .filter(|event| event.kind() == Kind::Verdict);
        let verdicts: BTreeMap<&str, &Event> = verdicts
            .map(|event| (event.text("unmapped/refers_to"), event))
            .collect();
        self.phase(phase)
            .filter(|event| event.kind() == Kind::Exec)
            .filter(|exec| exec.text("unmapped/systemd/unit") == unit)
            .filter(|exec| exec.text("unmapped/systemd/manager") == manager)
            .map(|exec| {
                let event = verdicts.get(exec.text("metadata/uid")).copied();
                let at = |field: &str| {
                    let event = event.unwrap_or(exec);
                    event
                        .text(&format!("unmapped/systemd/trigger/{field}"))
                        .to_owned()
                };
                format!("{} {} {}", at("type"), at("unit"), at("grade"))
            })
            .collect()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.dir.join(name)).unwrap()).unwrap()
    }

    /// The best grade that a timer's run can have.
    fn best(&self) -> &'static str {
        if self.version < 252 {
            "probable"
        } else {
            "certain"
        }
    }
}

#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn managers_of_users_are_listened_to() {
    let boot = &*BOOT;
    for (manager, name) in [("user:1000", "mgr-alice"), ("user:0", "mgr-root")] {
        let starts = boot.starts("users", manager, &format!("{name}.service"));
        let wanted = format!("timer {name}.timer {}", boot.best());
        assert!(!starts.is_empty(), "{name} did not run");
        assert!(starts.iter().all(|start| *start == wanted), "{starts:?}");
    }
    let starts = boot.starts("alice-asks", "user:1000", "mgr-alice.service");
    let asked = |start: &&String| start.starts_with("request ");
    assert_eq!(starts.iter().filter(asked).count(), 1, "{starts:?}");
    let timed = starts
        .iter()
        .filter(|start| start.starts_with("timer mgr-alice.timer"));
    assert_eq!(timed.count() + 1, starts.len(), "{starts:?}");
    let fired = boot
        .events
        .iter()
        .any(|event| event.kind() == Kind::Job && event.at("job/name") == "mgr-alice.timer");
    assert!(fired, "no firing of alice's timer was told");
}

#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn pid_1_is_read_through_restarts_of_the_bus() {
    let boot = &*BOOT;
    let best = format!("timer mgr-system.timer {}", boot.best());
    for phase in [
        "bus",
        "reload",
        "bus-restarts",
        "reexec",
        "no-bus",
        "bus-back",
    ] {
        let starts = boot.starts(phase, "system", "mgr-system.service");
        assert!(starts.len() >= 3, "{phase}: {starts:?}");
        // While it is blind the trigger is a hint; in the end it sees again.
        let after = starts.len() - 2;
        assert!(
            starts[after..].iter().all(|start| *start == best),
            "{phase}: {starts:?}"
        );
        let wrong = |start: &&String| start.ends_with("certain") && **start != best;
        assert_eq!(starts.iter().find(wrong), None, "{phase}");
        let gaps = boot.phase(phase).filter(|event| {
            event.at("unmapped/health/kind") == "gap" && event.text("message").contains("system")
        });
        let expected = !matches!(phase, "bus" | "reload");
        assert_eq!(gaps.count() > 0, expected, "{phase}");
    }
}

#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn load_paths_are_those_that_managers_have() {
    let boot = &*BOOT;
    let mut places = vec!["/home/alice/odd/mgr-odd.service"];
    // Before, PID 1 has no ManagerEnvironment=.
    if boot.version >= 248 {
        places.push("/opt/odd/mgr-opt.service");
    }
    for place in places {
        let told = boot
            .events
            .iter()
            .find(|event| event.kind() == Kind::Change && event.path() == place);
        let told = told.unwrap_or_else(|| panic!("no change of {place} was told"));
        assert_eq!(told.text("unmapped/change/class"), "unit-file", "{place}");
    }
}

/// The names that `systemctl list-timers --all` has, with their next elapse in milliseconds.
fn listed(boot: &Boot) -> BTreeMap<String, Option<u64>> {
    if boot.dir.join("list-timers.json").exists() {
        let list = boot.json("list-timers.json");
        let list = list.as_array().unwrap().iter().map(|timer| {
            let next = timer["next"].as_u64().filter(|next| *next != 0);
            (
                timer["unit"].as_str().unwrap().to_owned(),
                next.map(|next| next / 1000),
            )
        });
        return list.collect();
    }
    let text = fs::read_to_string(boot.dir.join("list-timers.txt")).unwrap();
    let words = text.split_ascii_whitespace();
    let names = words.filter(|word| word.ends_with(".timer"));
    names.map(|name| (name.to_owned(), None)).collect()
}

#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn the_list_of_timers_has_what_systemctl_has_and_more() {
    let boot = &*BOOT;
    let list = boot.json("timers.json");
    let rows = list["timers"].as_array().unwrap();
    let row = |manager: &str, timer: &str| {
        let found = rows
            .iter()
            .find(|row| row["manager"] == manager && row["timer"] == timer);
        found.unwrap_or_else(|| panic!("{manager} {timer} is not in the list: {list:#}"))
    };
    let listed = listed(boot);
    assert!(!listed.is_empty());
    for (timer, next) in &listed {
        let row = row("system", timer);
        assert_eq!(row["missing_from_list_timers"], Value::Null, "{timer}");
        // Those of the test elapse between the two lists.
        if let Some(next) = next.filter(|_| !timer.starts_with("mgr-")) {
            let ours = row["next"].as_u64().unwrap();
            assert!(ours.abs_diff(next) <= 1000, "{timer}: {ours}, {next}");
        }
    }
    let more = |manager: &str, timer: &str, why: &str| {
        assert_eq!(
            row(manager, timer)["missing_from_list_timers"],
            why,
            "{timer}"
        );
        assert!(
            manager != "system" || !listed.contains_key(timer),
            "{timer}"
        );
    };
    more("system", ".mgr-hidden.timer", "hidden");
    more("system", "mgr-unloaded.timer", "unloaded");
    more("system", "mgr-masked.timer", "masked");
    more("user:1000", "mgr-alice.timer", "other-manager");

    let system = row("system", "mgr-system.timer");
    assert_eq!(system["starts"][0]["unit"], "mgr-system.service");
    assert_eq!(system["starts"][0]["user"], "root");
    let argv = &system["starts"][0]["commands"][0]["argv"];
    assert_eq!(argv, &serde_json::json!(["/bin/touch", "/tmp/mgr-system"]));
    assert_eq!(system["interval"], 2.0);
    assert_eq!(system["file"], "/etc/systemd/system/mgr-system.timer");
    assert_eq!(
        row("system", "mgr-tired.timer")["schedule"][0],
        "OnActiveSec=1h"
    );
    assert_eq!(row("system", "mgr-unloaded.timer")["interval"], 3600.0);
    assert_eq!(
        row("user:1000", "mgr-alice.timer")["starts"][0]["user"],
        "uid 1000"
    );

    let brought = &row("system", "systemd-tmpfiles-clean.timer")["origin"];
    assert_eq!(brought["package"], "systemd", "{brought}");
    assert_eq!(brought["as_shipped"], true, "{brought}");
    let written = &system["origin"];
    assert_eq!(written["package"], Value::Null, "{written}");
    let writer = written["writer"].as_str().unwrap_or_default();
    assert!(writer.contains("bash"), "{written}");

    let blind = boot.json("timers-no-bus.json");
    assert_eq!(blind["managers"][0]["source"], "manager");
    let files = boot.json("timers-files.json");
    assert_eq!(files["managers"][0]["source"], "files");
    let names = |list: &Value| -> Vec<String> {
        let rows = list["timers"].as_array().unwrap().iter();
        rows.map(|row| row["timer"].as_str().unwrap().to_owned())
            .collect()
    };
    assert!(names(&blind).contains(&"mgr-system.timer".to_owned()));
    for name in ["mgr-system.timer", ".mgr-hidden.timer", "mgr-masked.timer"] {
        assert!(names(&files).contains(&name.to_owned()), "{name}");
    }
    let text = fs::read_to_string(boot.dir.join("timers.txt")).unwrap();
    assert!(text.contains("mgr-system.timer  system  "), "{text}");
    assert!(text.contains("→ mgr-system.service, as root: /bin/touch /tmp/mgr-system"));
}

/// Unit, manager, and whether the manager itself forked it, by what is executed.
#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn a_container_has_a_manager_of_its_own() {
    const MANAGER: &str = "container:/machine.slice/systemd-nspawn@box.service";
    let boot = &*BOOT;
    let starts: Vec<&Event> = boot
        .phase("container")
        .filter(|event| event.kind() == Kind::Exec)
        .filter(|exec| exec.text("unmapped/systemd/unit") == "box.service")
        .collect();
    assert!(starts.len() >= 3, "{}", starts.len());
    for start in starts {
        let text = |field: &str| start.text(&format!("unmapped/systemd/{field}"));
        assert_eq!(text("manager"), MANAGER);
        assert_eq!(start.at("unmapped/systemd/spawned_by_manager"), true);
        assert_eq!(text("invocation_id").len(), 32, "{start:?}");
        assert!(text("cgroup").ends_with("/box.service"), "{start:?}");
    }
    // What came with its image is nobody's secret change.
    let found: Vec<&str> = boot
        .phase("container")
        .filter(|event| event.kind() == Kind::Finding)
        .map(|event| event.text("message"))
        .filter(|message| message.contains(" loaded "))
        .collect();
    assert!(found.is_empty(), "{found:?}");
    let listed = boot.json("timers-container.json");
    let rows = listed["timers"].as_array().unwrap();
    let row = rows.iter().find(|row| row["timer"] == "box.timer").unwrap();
    assert_eq!(row["manager"], MANAGER);
    let argv = &row["starts"][0]["commands"][0]["argv"];
    assert_eq!(*argv, serde_json::json!(["/bin/touch", "/tmp/boxed"]));
}

#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn what_managers_run_is_told_apart() {
    let boot = &*BOOT;
    let mut wanted = vec![
        ("in-generator", "init.scope", "system", false),
        ("in-daemon", "mgr-fork.service", "system", false),
        ("in-subgroup", "mgr-delegated.service", "system", true),
    ];
    let control = [
        "condition",
        "start-pre",
        "start",
        "start-post",
        "reload",
        "stop",
        "stop-post",
    ];
    let names: Vec<String> = control.iter().map(|name| format!("in-{name}")).collect();
    wanted.extend(
        names
            .iter()
            .map(|name| (name.as_str(), "mgr-control.service", "system", true)),
    );
    wanted.push(("in-pid-namespace", "mgr-pids.service", "system", false));
    // Before, the executor does not say where it was before PAM moved it.
    if boot.version >= 255 {
        wanted.push(("in-pam", "mgr-pam.service", "system", true));
    }
    let mut faults = Vec::new();
    for (argument, unit, manager, forked) in wanted {
        let told = boot.events.iter().find(|event| {
            event.kind() == Kind::Exec && event.command().split(' ').nth(1) == Some(argument)
        });
        let Some(told) = told else {
            faults.push(format!("{argument} was not told"));
            continue;
        };
        let at = |field: &str| told.at(&format!("unmapped/systemd/{field}"));
        let (of, by) = (at("unit"), at("manager"));
        let spawned = at("spawned_by_manager") == true;
        if of != unit || by != manager || spawned != forked {
            faults.push(format!("{argument}: {of} of {by}, forked by it: {spawned}"));
        }
    }
    // Wherever PAM moved it.
    let in_pam = boot.events.iter().find(|event| {
        let argument = event.command().split(' ').nth(1);
        event.text("unmapped/systemd/trigger/type") == "request" && argument == Some("in-pam")
    });
    if in_pam.is_none() {
        faults.push("it is not known who asked for in-pam".to_owned());
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
