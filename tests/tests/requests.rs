//! Who asked: one boot in which managers are asked in every way there is.
//!
//! `tests/requests/run.sh` asks; each author has the unit's name in its arguments. `expect.json` says
//! which requests each chain holds: the link, the method, and what is in the author's arguments where
//! that is not the unit's name. `WHODUNIT_VM_SUITE` and `WHODUNIT_VM_RESULTS` are as for the scenarios.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in its helpers"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;
use whodunit_tests::{Event, Kind, check_all, vm};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/requests");
/// How many ask at once.
const MANY: usize = 50;

fn boot(suite: &str) -> PathBuf {
    let out = Path::new(ROOT).join("target/requests").join(suite);
    let script = Path::new(CASES).join("run.sh");
    let asker = vm::program("whodunit-asker");
    let asker = asker.to_str().unwrap();
    vm::boot_well(suite, &script, &out, &["--timeout", "600", "--add", asker]);
    out
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

fn stem(unit: &str) -> &str {
    unit.rsplit_once('.').map_or(unit, |(stem, _)| stem)
}

/// Whether the arguments hold the name, and not a longer one.
fn names(arguments: &str, name: &str) -> bool {
    arguments.match_indices(name).any(|(at, _)| {
        let rest = &arguments[at + name.len()..];
        !rest.starts_with(|next: char| next.is_alphanumeric() || next == '-')
    })
}

/// The chains of all starts of a unit: of verdicts and findings.
fn chains<'a>(events: &'a [Event], unit: &str) -> Vec<&'a [Value]> {
    events
        .iter()
        .filter(|event| matches!(event.kind(), Kind::Verdict | Kind::Finding))
        .filter(|event| event.text("unmapped/systemd/unit") == unit)
        .filter_map(|event| event.at("unmapped/cause").as_array())
        .map(Vec::as_slice)
        .collect()
}

fn holds(chain: &[Value], unit: &str, wanted: &str) -> bool {
    let mut words = wanted.split(' ');
    let (link, method) = (words.next().unwrap(), words.next().unwrap());
    let author = words.next().unwrap_or_else(|| stem(unit));
    chain.iter().any(|one| {
        text(one, "/link") == link
            && text(one, "/request/method").starts_with(method)
            && names(text(one, "/process/cmd_line"), author)
    })
}

#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn each_chain_begins_with_its_author() {
    let suite = env::var("WHODUNIT_VM_SUITE").unwrap_or_else(|_| "bookworm".to_owned());
    let results = env::var_os("WHODUNIT_VM_RESULTS").map(PathBuf::from);
    let out = results.unwrap_or_else(|| boot(&suite));
    let events = fs::read_to_string(out.join("events.ndjson")).unwrap();
    let events: Vec<Event> = events.lines().map(Event::parse).collect();
    // The flood is lost in the kernel and declared; no event is.
    check_all(&events, 0);
    let expected = fs::read_to_string(Path::new(CASES).join("expect.json")).unwrap();
    let mut expected: BTreeMap<String, Vec<String>> = serde_json::from_str(&expected).unwrap();
    let mut faults = Vec::new();
    for number in 1..=MANY {
        let unit = format!("rq-many-{number}.service");
        let asked = events.iter().any(|event| {
            event.kind() == Kind::Request
                && event.mentions(&unit)
                && names(event.text("actor/process/cmd_line"), stem(&unit))
        });
        if !asked {
            faults.push(format!("{unit}: its request was not told"));
        }
        expected.insert(unit, vec!["asked StartTransientUnit".to_owned()]);
    }

    for (unit, wanted) in &expected {
        let chains = chains(&events, unit);
        if chains.is_empty() {
            faults.push(format!("{unit}: no chain at all"));
        }
        for wanted in wanted {
            if !chains.iter().any(|chain| holds(chain, unit, wanted)) {
                let last = chains.last().map(|chain| Value::from(chain.to_vec()));
                faults.push(format!("{unit}: no {wanted:?} in {last:#?}"));
            }
        }
        let transient = wanted
            .iter()
            .any(|wanted| wanted.contains("StartTransientUnit"));
        for chain in chains.iter().filter(|_| transient) {
            let first = text(&chain[0], "/process/cmd_line");
            if text(&chain[0], "/link") != "asked" || !names(first, stem(unit)) {
                faults.push(format!("{unit}: begins with {:#}", chain[0]));
            }
        }
    }
    faults.extend(mixed_up(&events));
    faults.extend(special_cases(&events));
    faults.extend(by_polkit(&events));
    for tier in ["fentry", "kprobe"] {
        faults.extend(by_tier(&out, tier));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Whoever is said for certain to have asked for a unit has its name in the arguments.
fn mixed_up(events: &[Event]) -> Vec<String> {
    let mut faults = Vec::new();
    let changes = events.iter().filter(|event| event.kind() == Kind::Change);
    for change in changes {
        let unit = change.text("unmapped/change/unit");
        let of = change.at("unmapped/change/on_behalf_of");
        if !unit.starts_with("rq-") || of.is_null() {
            continue;
        }
        let arguments = text(of, "/cmd_line");
        if text(of, "/grade") == "certain" && !names(arguments, stem(unit)) {
            faults.push(format!("{}: wrongly for {arguments}", change.path()));
        }
    }
    faults
}

/// What a user asked PID 1 for, with polkit's consent or without: her process is the cause of what then
/// runs as root, and of nothing that she was refused.
fn by_polkit(events: &[Event]) -> Vec<String> {
    const ALICE: u64 = 1000;
    let mut faults = Vec::new();
    let alices = |chain: &[Value]| {
        chain
            .iter()
            .any(|one| one.pointer("/process/uid").and_then(Value::as_u64) == Some(ALICE))
    };
    for name in ["polkit", "polkit-timer", "polkit-start", "polkit-enable"] {
        let unit = format!("rq-{name}.service");
        let run = events.iter().any(|event| {
            event.kind() == Kind::Exec
                && event.text("unmapped/systemd/unit") == unit
                && event.text("process/user/uid") == "0"
        });
        let hers = chains(events, &unit).into_iter().all(alices);
        if !run || !hers {
            faults.push(format!("{unit}: run as root {run}, hers {hers}"));
        }
    }
    let refused = "rq-denied.service";
    let told = events.iter().any(|event| {
        event.kind() == Kind::Request
            && event.number("actor/process/euid") == ALICE
            && event.mentions(refused)
    });
    if !told {
        faults.push(format!("{refused}: what polkit refused was not told"));
    }
    for chain in chains(events, refused) {
        if alices(chain) {
            faults.push(format!(
                "{refused}: hers: {:#}",
                Value::from(chain.to_vec())
            ));
        }
    }
    faults
}

/// What the agent of another tier saw of the few requests while it ran.
fn by_tier(out: &Path, tier: &str) -> Vec<String> {
    let lines = fs::read_to_string(out.join(format!("{tier}.ndjson"))).unwrap();
    let events: Vec<Event> = lines.lines().map(Event::parse).collect();
    check_all(&events, 0);
    let mut faults = Vec::new();
    for (unit, how) in [
        ("rq-tier", "systemd-run"),
        ("rq-tier-bus", "ask.py bus"),
        ("rq-tier-bytes", "ask.py bytes"),
    ] {
        let unit_file = format!("{unit}.service");
        let request = events.iter().any(|event| {
            event.kind() == Kind::Request
                && event.text("unmapped/request/method") == "StartTransientUnit"
                && event.text("unmapped/request/tier") == tier
                && event.mentions(&unit_file)
                && event.text("actor/process/cmd_line").contains(how)
        });
        let change = events.iter().any(|event| {
            event.kind() == Kind::Change
                && event.path().ends_with(&format!("/transient/{unit_file}"))
                && text(event.at("unmapped/change/on_behalf_of"), "/cmd_line").contains(how)
        });
        if !request || !change {
            faults.push(format!(
                "{tier}: {unit}: request {request}, change {change}"
            ));
        }
    }
    let unreadable = events.iter().any(|event| {
        event.kind() == Kind::Request
            && event.text("unmapped/request/class") == "undecoded"
            && event
                .text("actor/process/cmd_line")
                .contains("ask.py sendfile")
    });
    let signal = events.iter().any(|event| {
        event.kind() == Kind::Request && event.text("unmapped/request/method") == "SIGHUP"
    });
    if !unreadable || !signal {
        faults.push(format!("{tier}: sendfile {unreadable}, SIGHUP {signal}"));
    }
    faults
}

fn special_cases(events: &[Event]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |holds: bool, what: &str| {
        if !holds {
            faults.push(what.to_owned());
        }
    };
    let request = |wanted: &dyn Fn(&Event) -> bool| {
        let mut requests = events.iter().filter(|event| event.kind() == Kind::Request);
        requests.any(wanted)
    };
    let asked_by =
        |event: &Event, author: &str| event.text("actor/process/cmd_line").contains(author);
    check(
        request(&|event| {
            asked_by(event, "ask.py sendfile")
                && event.text("unmapped/request/class") == "undecoded"
        }),
        "what was sent by sendfile has no author",
    );
    check(
        request(&|event| {
            asked_by(event, "ask.py garbage") && event.text("unmapped/request/class") == "undecoded"
        }),
        "what was no message has no author",
    );
    let declared = events.iter().any(|event| {
        let message = event.text("message");
        event.kind() == Kind::Health
            && message.contains(" requests of python")
            && message.contains("they were too many")
    });
    check(declared, "the flood was not declared");
    check(
        request(&|event| {
            event.text("unmapped/request/method") == "SetUserLinger"
                && asked_by(event, "enable-linger alice")
        }),
        "enable-linger was not told",
    );
    check(
        request(&|event| {
            event.text("unmapped/request/method") == "StartUnit"
                && event.number("actor/process/euid") == 1000
                && asked_by(event, "busctl call")
        }),
        "what was refused to alice was not told",
    );
    check(
        request(&|event| {
            asked_by(event, "systemd-stdio-bridge")
                && event
                    .text("unmapped/request/login/peer")
                    .starts_with("127.0.0.1:")
                || event
                    .text("unmapped/request/login/peer")
                    .starts_with("[::1]:")
        }),
        "the peer of sshd is not known",
    );
    let finding = |id: &str, words: &str| {
        events.iter().any(|event| {
            event.kind() == Kind::Finding
                && event.text("metadata/event_code") == id
                && event.text("message").contains(words)
        })
    };
    for (id, words) in [
        (
            "manager-reloaded-by-signal",
            "had PID 1 read its units anew by SIGHUP",
        ),
        (
            "requester-over-ssh",
            "for StartUnit rq-ssh.service, in a session over SSH from ",
        ),
    ] {
        check(finding(id, words), &format!("no finding {id}: {words}"));
    }
    // systemctl --root writes by itself: there is nobody to ask.
    let by_itself = events.iter().any(|event| {
        event.kind() == Kind::Change
            && event.path().ends_with("wants/rq-root.service")
            && event.text("actor/process/name") == "systemctl"
            && event.at("unmapped/change/on_behalf_of").is_null()
    });
    check(
        by_itself,
        "systemctl --root=/ enable is not told as its own",
    );
    for (end, method) in [
        ("system/rq-mask.service", "MaskUnitFiles"),
        ("wants/rq-enable.service", "EnableUnitFiles"),
        ("system/rq-link.service", "LinkUnitFiles"),
    ] {
        let found = events.iter().any(|event| {
            let of = event.at("unmapped/change/on_behalf_of");
            event.kind() == Kind::Change
                && event.path().ends_with(end)
                && text(of, "/method").starts_with(method)
                && text(of, "/grade") == "certain"
        });
        check(found, &format!("{end} was not certainly made by {method}"));
    }
    faults
}
