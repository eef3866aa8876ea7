//! A day in the life of a host in use: nothing above informational, though everything happens.
//!
//! `tests/day/run.sh` is the day: logins, cron, packages that come, are upgraded and go, a container with
//! a health check, a month's timers at once with the unattended upgrade among them, an upgrade of the
//! agent. What the silence is worth is seen by what was told besides: each timer's firing and what it
//! started, each unit that a package changed, what people did, and at the end attacks, with who was behind
//! them.
//!
//! `WHODUNIT_VM_RESULTS` names a directory with the results of earlier boots (`bookworm-host`, `trixie-host`),
//! to work on expectations without booting again.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in its helpers"
)]

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{env, fs};

use serde_json::Value;
use whodunit_tests::{Event, Kind, vm};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// OCSF's `severity_id` of what is worth keeping and nothing more.
const INFORMATIONAL: u64 = 1;

/// Timers of distribution packages, each of which started its service.
const STOCK: [&str; 17] = [
    "apt-daily",
    "apt-daily-upgrade",
    "apt-show-versions",
    "btrfs-balance",
    "btrfs-defrag",
    "btrfs-scrub",
    "certbot",
    "chkrootkit",
    "dpkg-db-backup",
    "exim4-base",
    "logrotate",
    "man-db",
    "mdcheck_start",
    "mdmonitor-oneshot",
    "phpsessionclean",
    "plocate-updatedb",
    "systemd-tmpfiles-clean",
];
/// The same, of bookworm: trixie has them in other packages, or not enabled.
const BOOKWORM: [&str; 2] = ["e2scrub_all", "podman-auto-update"];
/// Those that need not start anything: what they start runs since the boot, is in the way of another one that
/// elapses, or has a condition that does not hold.
const FURTHER: [&str; 7] = [
    "anacron",
    "btrfs-trim",
    "fstrim",
    "mdcheck_continue",
    "ntpsec-rotate-stats",
    "sysstat-collect",
    "sysstat-summary",
];

fn boot(suite: &str) -> PathBuf {
    let out = Path::new(ROOT).join("target/day").join(suite);
    let script = Path::new(ROOT).join("tests/day/run.sh");
    let arguments = ["--timeout", "900", "--arg=--state=/out/state"];
    vm::boot_well(suite, &script, &out, &arguments);
    out
}

/// A line that the script left of a timer.
struct Timer {
    name: String,
    service: String,
    /// When the service was started last, in nanoseconds since boot; 0 if it never was.
    ran: u64,
    fired: bool,
}

fn timers(out: &Path) -> Vec<Timer> {
    let text = fs::read_to_string(out.join("timers")).unwrap();
    let timer = |line: &str| {
        let mut words = line.split('\t').map(str::to_owned);
        let mut next = || words.next().unwrap_or_default();
        Timer {
            name: next(),
            service: next(),
            ran: next().parse::<u64>().unwrap() * 1000,
            fired: !next().is_empty(),
        }
    };
    text.lines().map(timer).collect()
}

/// When the script came to each stage, in nanoseconds since boot.
fn stages(out: &Path) -> Vec<(String, u64)> {
    let text = fs::read_to_string(out.join("stages")).unwrap();
    let mark = |line: &str| {
        let (name, seconds) = line.split_once(' ').unwrap();
        let seconds: f64 = seconds.parse().unwrap();
        (name.to_owned(), (seconds * 1e9) as u64)
    };
    text.lines().map(mark).collect()
}

/// A finding with what it rests on, for whoever has to tell a false one from a true one.
fn words(finding: &Event) -> String {
    let mut text = format!(
        "{} {}: {}\n",
        finding.text("severity"),
        finding.text("metadata/event_code"),
        finding.text("message"),
    );
    for link in finding
        .at("unmapped/cause")
        .as_array()
        .into_iter()
        .flatten()
    {
        let ancestry: Vec<&str> = link["process"]["ancestry"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|above| above["name"].as_str())
            .collect();
        let _ = writeln!(
            text,
            "    {} {} {} by {} <- {}",
            link["link"].as_str().unwrap_or_default(),
            link["file"]["path"].as_str().unwrap_or_default(),
            link["request"],
            link["process"]["cmd_line"],
            ancestry.join(" <- "),
        );
    }
    text
}

/// What is wrong with what was told of a day.
fn faults(out: &Path, suite: &str) -> Vec<String> {
    let events = fs::read_to_string(out.join("events.ndjson")).unwrap();
    let events: Vec<Event> = events.lines().map(Event::parse).collect();
    let stages = stages(out);
    let at = |stage: &str| {
        let found = stages.iter().find(|(name, _)| name == stage);
        found.unwrap_or_else(|| panic!("{stage} was not reached")).1
    };
    let mut faults = Vec::new();
    let findings = events.iter().filter(|event| event.kind() == Kind::Finding);
    let (before, after): (Vec<&Event>, Vec<&Event>) =
        findings.partition(|event| event.number("unmapped/boot_ns") < at("attack"));
    let loud = |event: &&&Event| event.number("severity_id") > INFORMATIONAL;
    for finding in before.iter().filter(loud) {
        let time = finding.number("unmapped/boot_ns");
        let mut stages = stages.iter().rev();
        let stage = stages.find(|(_, start)| *start <= time);
        let stage = stage.map_or("boot", |(name, _)| name.as_str());
        faults.push(format!("in {stage}: {}", words(finding)));
    }
    println!(
        "{} events, {} findings before the attack",
        events.len(),
        before.len()
    );
    faults.extend(silent_timers(&events, &timers(out), suite));
    faults.extend(untold_deeds(&events));
    faults.extend(untold_packages(&events, &before));
    faults.extend(told_again(&before, at("agent")));
    faults.extend(missed_attacks(&after));
    faults
}

/// Timers that elapsed without a word, or whose runs have no verdict.
fn silent_timers(events: &[Event], timers: &[Timer], suite: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let fired: HashMap<(&str, &str), u64> = events
        .iter()
        .filter(|event| event.kind() == Kind::Job)
        .map(|event| {
            let manager = event.text("unmapped/timer/manager");
            let timer = (manager, event.text("job/name"));
            (timer, event.number("unmapped/boot_ns"))
        })
        .collect();
    let judged: HashSet<(&str, &str)> = events
        .iter()
        .filter(|event| event.text("unmapped/systemd/trigger/type") == "timer")
        .map(|event| {
            let timer = event.text("unmapped/systemd/trigger/unit");
            (timer, event.text("unmapped/systemd/unit"))
        })
        .collect();
    for timer in timers {
        let (name, service) = (timer.name.as_str(), timer.service.as_str());
        let told = fired.get(&("system", name));
        if timer.fired && told.is_none() {
            faults.push(format!("{name} elapsed and was not told"));
        }
        // What ran before is not started again.
        let started = told.is_some_and(|told| timer.ran > *told);
        if started && !judged.contains(&(name, service)) {
            faults.push(format!(
                "{service} ran and no verdict says that {name} did it"
            ));
        }
    }
    let bookworm = suite.starts_with("bookworm");
    let further = BOOKWORM.iter().filter(|_| bookworm);
    for name in STOCK.iter().chain(further) {
        let is = |timer: &&Timer| timer.name == format!("{name}.timer");
        match timers.iter().find(is) {
            Some(timer) if timer.fired && timer.ran != 0 => {
                if !judged.contains(&(&timer.name, &timer.service)) {
                    faults.push(format!("no verdict names {name}.timer"));
                }
            }
            Some(_) => faults.push(format!("{name}.timer did not elapse, or ran nothing")),
            None => faults.push(format!("there is no {name}.timer")),
        }
    }
    for name in FURTHER {
        let is = |timer: &Timer| timer.name == format!("{name}.timer") && timer.fired;
        if !timers.iter().any(is) {
            faults.push(format!("{name}.timer did not elapse"));
        }
    }
    // Of these two the one that comes first stops the other.
    let trims = [
        ("btrfs-trim.timer", "btrfs-trim.service"),
        ("fstrim.timer", "fstrim.service"),
    ];
    if !trims.iter().any(|trim| judged.contains(trim)) {
        faults.push("neither fstrim nor btrfs-trim ran".to_owned());
    }
    let users = |(manager, name): &(&str, &str)| {
        *manager == "user:1000" && *name == "systemd-tmpfiles-clean.timer"
    };
    if !fired.keys().any(users) {
        faults.push("no timer of a user was told".to_owned());
    }
    let health = |(_, name): &(&str, &str)| name.len() >= 64 + ".timer".len();
    if !fired.keys().any(health) {
        faults.push("no health check of a container was told".to_owned());
    }
    faults
}

/// By which event something is known to be told.
type Sign<'a> = &'a dyn Fn(&Event) -> bool;

/// What people and their tools did that was not told.
fn untold_deeds(events: &[Event]) -> Vec<String> {
    let below = |event: &Event, names: &[&str]| {
        let chain = event.at("actor/process/ancestry").as_array();
        let above = chain
            .into_iter()
            .flatten()
            .filter_map(|of| of["name"].as_str());
        let chain: Vec<&str> = above.chain([event.text("actor/process/name")]).collect();
        names.iter().all(|name| chain.contains(name))
    };
    let exec = |event: &Event, command: &str, above: &[&str]| {
        event.kind() == Kind::Exec && event.command() == command && below(event, above)
    };
    let deeds: [(&str, Sign<'_>); 8] = [
        ("a login over SSH", &|event| {
            exec(event, "systemctl --user daemon-reload", &["bash", "sshd"])
                && event.number("process/auid") == 1000
        }),
        ("su", &|event| {
            exec(event, "id", &["su"]) || exec(event, "id", &["bash", "su"])
        }),
        ("sudo", &|event| exec(event, "id", &["sudo"])),
        ("a job of cron", &|event| {
            event.kind() == Kind::Exec
                && event.command().contains("/usr/bin/true")
                && event.text("process/user/uid") == "1000"
                && event.text("unmapped/systemd/unit") == "cron.service"
        }),
        ("a reload that logrotate asks for", &|event| {
            event.kind() == Kind::Request
                && event.text("unmapped/request/method") == "ReloadUnit"
                && event.mentions("day.service")
                && below(event, &["logrotate"])
        }),
        ("the health check itself", &|event| {
            event.kind() == Kind::Exec && event.command().contains("podman healthcheck run")
        }),
        ("the unattended upgrade", &|event| {
            event.kind() == Kind::Exec
                && event.command().contains("/usr/bin/unattended-upgrade")
                && event.text("unmapped/systemd/unit") == "apt-daily-upgrade.service"
        }),
        ("the agent's own upgrade", &|event| {
            event.kind() == Kind::Finding
                && event.text("metadata/event_code") == "agent-tampered"
                && event.mentions("/usr/bin/whodunit")
                && event.mentions("/usr/bin/dpkg")
        }),
    ];
    let untold = deeds.iter().filter(|(_, is)| !events.iter().any(is));
    untold
        .map(|(what, _)| format!("not told: {what}"))
        .collect()
}

/// What packages did to units, as far as it was not told with the package.
fn untold_packages(events: &[Event], findings: &[&Event]) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, version, manager) in [
        ("daily", "1", "apt-get"),
        ("daily", "2", "unattended-upgrade"),
        ("passing", "1", "apt-get"),
        ("passing", "2", "dpkg"),
    ] {
        for kind in ["service", "timer"] {
            let path = format!("/usr/lib/systemd/system/{name}.{kind}");
            let told = |event: &Event| {
                event.is_change(&["rename"], &path)
                    && event.text("unmapped/change/transaction/package") == name
                    && event
                        .text("unmapped/change/transaction/manager/cmd_line")
                        .contains(manager)
                    && event.at("unmapped/change/transaction/verified") == true
                    && event.mentions(&format!("+Description={name}, version {version}"))
            };
            if !events.iter().any(told) {
                faults.push(format!(
                    "{path}: version {version} by {manager} was not told"
                ));
            }
        }
    }
    // Told as findings, too, and of no weight.
    for (rule, what) in [
        ("timer-created", "/usr/lib/systemd/system/daily.timer"),
        ("unit-changed", "/usr/lib/systemd/system/daily.timer"),
        ("timer-ran-changed-unit", "daily.service"),
    ] {
        let is = |event: &&Event| event.text("metadata/event_code") == rule && event.mentions(what);
        if !findings.iter().any(is) {
            faults.push(format!("no {rule} of {what}"));
        }
    }
    faults
}

/// What the agent that came by an upgrade tells of what the one before it had told.
fn told_again(findings: &[&Event], upgrade: u64) -> Vec<String> {
    let of = |finding: &&&Event| {
        finding.text("metadata/event_code") == "timer-ran-changed-unit"
            && finding.text("unmapped/systemd/unit") == "daily.service"
    };
    let times = findings
        .iter()
        .filter(of)
        .map(|finding| finding.number("unmapped/boot_ns"));
    let (before, after): (Vec<u64>, Vec<u64>) = times.partition(|time| *time < upgrade);
    // Once for each version that came.
    match (before.len(), after.len()) {
        (2, 0) => Vec::new(),
        (before, after) => vec![format!(
            "daily.service was told {before} times before the agent's upgrade, and {after} times after it"
        )],
    }
}

/// Attacks at the end of the day that were not found, or not laid at the right door.
fn missed_attacks(findings: &[&Event]) -> Vec<String> {
    let mut faults = Vec::new();
    let kept = "/etc/systemd/system/kept.timer";
    let drop_in = "/etc/systemd/system/logrotate.service.d/local.conf";
    for (rule, least, what, author) in [
        ("timer-created", 3, "/etc/systemd/system/evil.timer", "sshd"),
        ("timer-ran-changed-unit", 4, "evil.service", "sshd"),
        ("drop-in-adds-command", 4, drop_in, "sshd"),
        ("transient-timer", 3, "echo evil >/run/evil2", "systemd-run"),
        (
            "timer-ran-changed-unit",
            4,
            "echo evil >/run/evil2",
            "systemd-run",
        ),
        ("timer-created", 3, kept, "dpkg"),
        ("timed-target-changed", 3, "/usr/bin/daily", "sshd"),
        ("agent-tampered", 4, "to /usr/bin/whodunit", "sshd"),
        ("agent-tampered", 4, "/out/state/store.db", "sshd"),
        // Its directory is as new: that was found a moment later.
        ("agent-tampered", 4, "/etc/whodunit/config.toml", ""),
        ("timer-ran-changed-unit", 4, "/usr/bin/daily", "sshd"),
    ] {
        let did = |link: &Value| {
            let process = &link["process"];
            let above = process["ancestry"].as_array().into_iter().flatten();
            let mut chain = above.chain([process]);
            let deed = ["wrote", "linked", "asked"].contains(&link["link"].as_str().unwrap_or(""));
            deed && chain.any(|process| process["name"] == author)
        };
        let is = |finding: &&&Event| {
            let cause = finding.at("unmapped/cause").as_array();
            finding.text("metadata/event_code") == rule
                && finding.number("severity_id") >= least
                && finding.mentions(what)
                && (author.is_empty() || cause.into_iter().flatten().any(did))
        };
        if !findings.iter().any(|finding| is(&finding)) {
            faults.push(format!("no {rule} of {what} by {author}"));
        }
    }
    faults
}

/// Two machines at once on few cores take longer than the day gives its stages.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn is_silent(suite: &str) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = format!("{suite}-host");
    let results = env::var_os("WHODUNIT_VM_RESULTS").map(PathBuf::from);
    let out = results.map_or_else(|| boot(&machine), |results| results.join(&machine));
    let faults = faults(&out, suite);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn a_day_of_debian_12_in_use_is_silent() {
    is_silent("bookworm");
}

#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn a_day_of_debian_13_in_use_is_silent() {
    is_silent("trixie");
}
