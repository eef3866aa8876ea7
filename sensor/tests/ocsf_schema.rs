//! What the OCSF encoder writes is valid by OCSF's own schema, and says what it should.

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in its helpers"
)]

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use whodunit::emit::{Encoder, Format, Style};
use whodunit::event::*;
use whodunit::host::Host;

#[path = "fixtures/ocsf/events.rs"]
mod events;
#[path = "fixtures/ocsf/pretty.rs"]
mod pretty;
#[path = "../../tests/src/schema.rs"]
mod schema;

use events::*;
use pretty::pretty;
use schema::faults;

fn line(event: &Event, host: &Host) -> String {
    let mut out = b"before".to_vec();
    Encoder::new(Format::Ocsf, host, Style::utc(false))
        .and_then(|encoder| encoder.encode(event, &mut out))
        .expect("encodes");
    let text = String::from_utf8(out).expect("is text");
    let line = text.strip_prefix("before").expect("only appends");
    let line = line.strip_suffix('\n').expect("ends with a newline");
    assert!(!line.contains('\n'), "one line");
    line.to_owned()
}

fn encode(body: Body, host: &Host) -> Value {
    serde_json::from_str(&line(&event(812, 81, body), host)).expect("is JSON")
}

/// Encodes `body` on a known and on an unknown host and checks both; returns the first.
fn check(body: Body) -> Value {
    let values = [host(), Host::default()].map(|host| encode(body.clone(), &host));
    for value in &values {
        let faults = faults(value);
        assert!(faults.is_empty(), "{faults:#?} in {value:#}");
        let number = |name: &str| value[name].as_u64().expect(name);
        assert_eq!(
            number("type_uid"),
            number("class_uid") * 100 + number("activity_id")
        );
        assert_eq!(value["metadata"]["version"], "1.8.0");
    }
    let [first, _] = values;
    first
}

fn check_exec(process: Process, ancestry: Vec<Arc<Process>>) -> Value {
    check(Body::Exec(Exec {
        process: Arc::new(process),
        ancestry,
        systemd: None,
        intent: None,
        awaited: false,
    }))
}

#[test]
fn a_tools_exec_has_its_intent() {
    let argv = ["systemctl", "--now", "--root=/mnt", "enable", "upd.timer"];
    let systemctl = process(4100, 1, "/usr/bin/systemctl", &argv);
    let intent = whodunit::systemd::command::intent(&systemctl).map(Box::new);
    let value = check(Body::Exec(Exec {
        process: Arc::new(systemctl),
        ancestry: vec![],
        systemd: None,
        intent,
        awaited: false,
    }));
    assert_eq!(
        value["unmapped"]["intent"],
        json!({
            "tool": "systemctl",
            "verb": "enable",
            "manager": "system",
            "root": "/mnt",
            "units": ["upd.timer"],
            "options": ["now"],
        })
    );
}

#[test]
fn an_exec_names_its_spawner_and_unit() {
    let value = check(Body::Exec(exec()));
    assert_eq!(value["type_uid"], 100_701);
    assert_eq!(value["actor"]["process"]["pid"], 1);
    assert_eq!(value["process"]["pid"], 4242);
    let boot = host().boot_id.expect("known");
    let start = shell().key.start;
    assert_eq!(value["process"]["uid"], format!("{boot}:4242:{start}"));
    assert_eq!(value["process"]["cmd_line"], "/bin/sh /opt/.x/u.sh");
    assert_eq!(value["time"], after(81).wall / 1_000_000);
    assert_eq!(value["unmapped"]["boot_ns"], after(81).boot);
    assert_eq!(value["unmapped"]["lineage"], "measured");
    assert_eq!(value["unmapped"]["executable"]["device"], "254:1");
    let systemd = &value["unmapped"]["systemd"];
    assert_eq!(
        value["metadata"]["correlation_uid"],
        systemd["invocation_id"]
    );
    assert_eq!(systemd["manager"], "system");
    assert_eq!(systemd["unit"], "upd.service");
    let trigger = &systemd["trigger"];
    assert_eq!(trigger["type"], "timer");
    assert_eq!(trigger["unit"], "upd.timer");
    assert_eq!(trigger["grade"], "certain");
    assert_eq!(trigger["fired_at"], after(81).wall / 1_000_000);
    assert_eq!(trigger["evidence"].as_array().map(Vec::len), Some(2));
}

#[test]
fn every_context_of_an_exec_is_valid() {
    for manager in [
        Manager::System,
        Manager::User(1000),
        Manager::Container("/machine.slice/web".to_owned()),
    ] {
        for kind in [
            TriggerType::Timer,
            TriggerType::Path,
            TriggerType::Socket,
            TriggerType::Bus,
            TriggerType::Request,
            TriggerType::Dependency,
            TriggerType::Restart,
            TriggerType::Boot,
            TriggerType::Unknown,
        ] {
            for grade in [Grade::None, Grade::Hint, Grade::Probable, Grade::Certain] {
                let mut exec = exec();
                let mut context = context(manager.clone());
                context.trigger = Some(trigger(kind, grade));
                exec.systemd = Some(context);
                check(Body::Exec(exec));
            }
        }
        let mut exec = exec();
        exec.systemd = Some(SystemdContext {
            manager,
            spawned: false,
            unit: None,
            invocation_id: None,
            cgroup: None,
            trigger: None,
        });
        check(Body::Exec(exec));
    }
}

#[test]
fn a_verdict_refers_to_its_exec() {
    let value = check(Body::Verdict(Box::new(verdict())));
    assert_eq!(value["type_uid"], 100_799);
    assert_eq!(value["activity_name"], "Verdict");
    assert_eq!(value["process"]["pid"], 4242);
    assert_eq!(value["unmapped"]["refers_to"], verdict().refers_to);
    assert_eq!(value["unmapped"]["systemd"]["trigger"]["grade"], "certain");
    let links: Vec<_> = value["unmapped"]["cause"]
        .as_array()
        .expect("a chain")
        .iter()
        .map(|link| link["link"].clone())
        .collect();
    assert_eq!(links, ["wrote", "linked", "fired", "spawned"]);
}

#[test]
fn every_firing_is_valid() {
    let value = check(Body::TimerFired(Box::new(timer_fired())));
    assert_eq!(value["type_uid"], 100_606);
    assert_eq!(value["job"]["name"], "upd.timer");
    assert_eq!(value["job"]["last_run_time"], value["time"]);
    check(Body::TimerFired(Box::new(TimerFired {
        manager: Manager::User(1000),
        timer: String::new(),
        next: None,
        triggers: Vec::new(),
        active: Some(true),
        command_line: None,
        file: None,
    })));
}

#[test]
fn what_is_unknown_is_left_out_and_still_valid() {
    let value = check_exec(nobody(), Vec::new());
    assert_eq!(value["unmapped"]["lineage"], "unknown");
    assert_eq!(value["unmapped"]["origin"], "unknown");
    assert_eq!(value["process"], json!({ "pid": 77 }));
    assert_eq!(value["actor"], json!({ "app_name": "unknown" }));

    // The spawner's key alone.
    let mut orphan = process(9, 8, "/bin/x", &[]);
    orphan.argv_truncated = true;
    let value = check_exec(orphan, Vec::new());
    assert_eq!(value["actor"]["process"]["pid"], 8);
    assert_eq!(value["unmapped"]["lineage"], "measured");

    let mut seeded = process(9, 8, "", &[""]);
    seeded.origin = Origin::Procfs;
    let value = check_exec(seeded, vec![Arc::new(nobody())]);
    assert_eq!(value["unmapped"]["lineage"], "procfs");

    let mut fileless = process(9, 8, "/memfd:x (deleted)", &["kworker"]);
    fileless.exe.as_mut().expect("set").nlink = 0;
    let value = check_exec(fileless, vec![init()]);
    assert_eq!(value["unmapped"]["executable"]["memfd"], true);
    assert_eq!(value["process"]["file"]["is_deleted"], true);
}

#[test]
fn any_text_is_valid() {
    let raw = String::from_utf8_lossy(b"/tmp/\xff\xfe\x80x").into_owned();
    for text in [
        raw.as_str(),
        "\0\x01\x1b[31m\r\n\t\x7f",
        "\u{202e}\u{feff}\u{2028}\"\\/",
        "日本/größe/🦀",
        "/",
        ".",
        "...",
        "a/",
        ".hidden",
        "x.",
    ] {
        let mut odd = process(9, 8, text, &[text, text]);
        odd.cwd = Some(text.to_owned());
        odd.user = Some(text.into());
        let odd = Arc::new(odd);
        let value = check_exec(odd.as_ref().clone(), vec![odd.clone(), odd.clone()]);
        assert_eq!(value["process"]["path"], text);
        let mut change = change(Verb::Rename);
        change.path = text.to_owned();
        change.from = Some(text.to_owned());
        change.target = Some(text.to_owned());
        change.writer.process = odd;
        assert_eq!(check(Body::Change(change))["file"]["path"], text);
    }
}

#[test]
fn exits_are_valid() {
    for (code, signal) in [
        (Some(0), None),
        (Some(255), None),
        (None, Some(9)),
        (None, None),
    ] {
        let value = check(Body::Exit(Exit {
            process: shell(),
            ancestry: vec![init()],
            code,
            signal,
        }));
        assert_eq!(value["type_uid"], 100_702);
        assert_eq!(value["exit_code"].as_u64(), code.map(u64::from));
        assert_eq!(value["unmapped"]["signal"].as_u64(), signal.map(u64::from));
    }
}

#[test]
fn every_change_is_valid() {
    for verb in Verb::ALL {
        check(Body::Change(minimal_change(verb)));
        check(Body::Change(packaged_change(verb)));
        for class in [
            FileClass::UnitFile,
            FileClass::DropIn,
            FileClass::DependencyLink,
            FileClass::Generator,
            FileClass::Preset,
            FileClass::ManagerConfig,
            FileClass::Target,
            FileClass::Directory,
            FileClass::Other,
        ] {
            for tier in [Tier::Lsm, Tier::Fentry, Tier::Kprobe, Tier::Tracepoint] {
                for mode in [0o100_644, 0o040_755, 0o120_777, 0o010_600, 0o170_000] {
                    let mut change = change(verb);
                    (change.class, change.tier) = (class, tier);
                    change.object.mode = mode;
                    check(Body::Change(change));
                }
            }
        }
    }
}

#[test]
fn a_change_names_its_writer() {
    let value = check(Body::Change(change(Verb::Create)));
    assert_eq!(value["type_uid"], 100_101);
    assert_eq!(
        value["message"],
        "tee(4100) created /etc/systemd/system/upd.timer"
    );
    assert_eq!(value["file"]["name"], "upd.timer");
    assert_eq!(value["file"]["ext"], "timer");
    assert_eq!(value["file"]["type_id"], 1);
    assert_eq!(value["file"]["hashes"][0]["algorithm_id"], 3);
    let actor = &value["actor"]["process"];
    assert_eq!(actor["pid"], 4100);
    assert_eq!(actor["auid"], 1000);
    assert_eq!(actor["ancestry"][2]["name"], "sshd");
    let change = &value["unmapped"]["change"];
    assert_eq!(change["verb"], "create");
    assert_eq!(change["inode"], 2_359_301);
    assert_eq!(change["mode"], "100644");
    assert_eq!(change["tier"], "lsm");
    assert_eq!(change["writer"]["pid"], 4100);
    assert_eq!(change["on_behalf_of"], Value::Null);
}

#[test]
fn a_change_tells_what_the_file_says() {
    let mut change = change(Verb::Closed);
    let told = |change: &Change| check(Body::Change(change.clone()));
    let value = told(&change)["unmapped"]["change"]["content"].clone();
    assert_eq!(value["settings"]["interval_seconds"], 60);
    assert_eq!(value["lines_added"], 1);
    change.content = Some(Box::new(full_content()));
    let value = told(&change)["unmapped"]["change"]["content"].clone();
    assert_eq!(value["settings"]["runs"], json!(["A=\u{1b}[2J", ""]));
    change.content = Some(Box::default());
    assert_eq!(told(&change)["unmapped"]["change"]["content"], json!({}));
}

#[test]
fn a_change_names_its_package_and_who_was_not_seen() {
    let told = |verb| {
        let value = check(Body::Change(packaged_change(verb)));
        value["unmapped"]["change"].clone()
    };
    let write = told(Verb::Closed);
    assert_eq!(
        write["package"],
        json!({"name": "upd", "version": "1.0-1", "shipped": "same"})
    );
    assert_eq!(write["transaction"]["verified"], true);
    assert_eq!(write["transaction"]["package"], "upd");
    assert_eq!(
        write["transaction"]["manager"]["cmd_line"],
        "apt-get install upd"
    );
    assert!(write.get("unseen").is_none());
    let load = told(Verb::Load);
    assert_eq!(load["unseen"]["restored"], true);
    assert_eq!(load["unseen"]["since"], 1_795_356_130_020_u64);
    assert!(load["unseen"]["until"].as_u64() > load["unseen"]["since"].as_u64());
    assert_eq!(load["writer"], Value::Null);
}

#[test]
fn every_request_is_valid() {
    let value = check(Body::Asked(Box::new(asked())));
    assert_eq!(value["type_uid"], 100_799);
    assert_eq!(value["activity_name"], "Request");
    assert_eq!(value["metadata"]["log_name"], "request");
    assert_eq!(value["actor"]["process"]["pid"], 4100);
    assert_eq!(value["process"]["pid"], 1);
    let request = &value["unmapped"]["request"];
    assert_eq!(request["method"], "EnableUnitFilesWithFlags");
    assert_eq!(request["class"], "enable");
    assert_eq!(request["login"]["peer"], "192.0.2.7:50122");
    assert_eq!(request["message"]["units"][0], "upd.timer");
    let undecoded = Request::undecoded(Protocol::Varlink, "\0\u{1b}");
    for means in [
        Means::Connection,
        Means::Initctl,
        Means::Signal(1),
        Means::Signal(34),
        Means::Signal(40),
        Means::Signal(99),
        Means::Message(Box::default()),
        Means::Message(Box::new(undecoded)),
    ] {
        check(Body::Asked(Box::new(Asked {
            manager: Manager::Container(String::new()),
            target: Arc::new(nobody()),
            author: Actor {
                process: Arc::new(nobody()),
                ancestry: Vec::new(),
            },
            login: Login::default(),
            means,
            socket: None,
            tier: Tier::Tracepoint,
        })));
    }
}

#[test]
fn a_change_names_for_whom_it_was_made() {
    let mut change = change(Verb::Symlink);
    change.on_behalf_of = Some(Box::new(on_behalf_of()));
    let value = check(Body::Change(change));
    let of = &value["unmapped"]["change"]["on_behalf_of"];
    assert_eq!(of["pid"], 4100);
    assert_eq!(of["ancestry"][2]["name"], "sshd");
    assert_eq!(of["method"], "EnableUnitFilesWithFlags");
    assert_eq!(of["grade"], "certain");
}

#[test]
fn every_finding_is_valid() {
    check(Body::Finding(Box::new(minimal_finding())));
    for severity in [
        Severity::Informational,
        Severity::Low,
        Severity::Medium,
        Severity::High,
        Severity::Critical,
    ] {
        for grade in [Grade::None, Grade::Hint, Grade::Probable, Grade::Certain] {
            let value = check(Body::Finding(Box::new(finding(severity, grade))));
            assert_eq!(value["severity_id"], severity.id());
            assert_eq!(value["is_alert"], severity >= Severity::Medium);
        }
    }
}

#[test]
fn a_finding_carries_its_chain() {
    let value = check(Body::Finding(Box::new(finding(
        Severity::High,
        Grade::Certain,
    ))));
    assert_eq!(value["confidence_id"], 3);
    assert_eq!(value["start_time"], after(0).wall / 1_000_000);
    let info = &value["finding_info"];
    assert_eq!(info["analytic"]["uid"], "AN0645");
    assert_eq!(info["attacks"][0]["sub_technique"]["uid"], "T1053.006");
    assert_eq!(info["attacks"][2]["tactic"]["uid"], "TA0004");
    let cause = value["unmapped"]["cause"].as_array().expect("a chain");
    let links: Vec<_> = cause.iter().map(|link| &link["link"]).collect();
    assert_eq!(links, ["wrote", "linked", "fired", "spawned"]);
    assert_eq!(cause[0]["process"]["ancestry"][0]["path"], "/usr/bin/sudo");
    assert_eq!(cause[0]["file"]["path"], "/etc/systemd/system/upd.timer");
    assert_eq!(cause[0]["event_uid"], info["related_events"][0]["uid"]);
    assert_eq!(value["evidences"][0]["job"]["name"], "upd.timer");
    assert_eq!(value["evidences"][1]["file"]["name"], "upd.timer");
}

#[test]
fn every_result_of_a_scan_is_valid() {
    for entry in whodunit::detect::posture::CHECKS {
        for severity in Severity::ALL {
            let mut result = posture();
            (result.entry, result.severity) = (entry, severity);
            result.controls = whodunit::detect::mapping::controls_of(entry.id);
            let value = check(Body::Posture(Box::new(result)));
            assert_eq!(value["metadata"]["event_code"], entry.id);
            assert_eq!(value["severity_id"], severity.id());
            let attacks = value["finding_info"]["attacks"]
                .as_array()
                .map_or(0, Vec::len);
            assert_eq!(attacks, entry.techniques.len(), "{}", entry.id);
        }
    }
    let bare = Posture {
        unit: None,
        path: None,
        fix: None,
        evidence: Vec::new(),
        controls: Vec::new(),
        scope: String::new(),
        ..posture()
    };
    let value = check(Body::Posture(Box::new(bare)));
    assert_eq!(value["compliance"]["status_id"], 3);
    assert!(value["remediation"]["desc"].is_string());
}

#[test]
fn every_control_is_valid() {
    for row in &whodunit::detect::mapping::ROWS {
        for status in [
            ControlStatus::Pass,
            ControlStatus::Unknown,
            ControlStatus::Fail,
        ] {
            let mut control = control();
            (control.id, control.framework, control.status) = (row.id, row.framework, status);
            let value = check(Body::Control(Box::new(control)));
            assert_eq!(value["compliance"]["control"], row.id);
            assert_eq!(value["compliance"]["standards"][0], row.framework);
        }
    }
}

#[test]
fn findings_state_their_controls() {
    let value = check(Body::Finding(Box::new(finding(
        Severity::High,
        Grade::Certain,
    ))));
    let controls = value["unmapped"]["controls"].as_array().expect("controls");
    let veris = "action.hacking.variety.Abuse of functionality";
    for wanted in [
        "SI-4", "AC-2", "AC-5", "CM-5", "IA-2", "SI-7", "M1026", "DC0032", veris,
    ] {
        assert!(
            controls.contains(&json!(wanted)),
            "{wanted} in {controls:?}"
        );
    }
}

#[test]
fn every_health_is_valid() {
    for health in healths() {
        let value = check(Body::Health(health));
        assert_eq!(value["metadata"]["log_name"], "health");
        assert!(value["unmapped"]["health"]["kind"].is_string());
    }
}

/// The check above is worth nothing if it cannot fail.
#[test]
fn broken_events_are_rejected() {
    for (name, event) in samples() {
        let good: Value = serde_json::from_str(&line(&event, &host())).expect("is JSON");
        assert!(faults(&good).is_empty(), "{name}");
        let required = [
            "time",
            "metadata",
            "severity_id",
            "type_uid",
            "activity_id",
            "category_uid",
        ];
        for field in required {
            let mut bad = good.clone();
            bad.as_object_mut().expect("object").remove(field);
            assert!(!faults(&bad).is_empty(), "{name} without {field}");
        }
        let wrong = [
            ("/severity_id", json!(7)),
            ("/time", json!("now")),
            ("/activity_id", json!(55)),
            ("/type_uid", json!(1)),
            ("/category_uid", json!(9)),
            ("/metadata/product", json!({})),
            ("/metadata/sequence", json!("1")),
            ("/device/type_id", json!(77)),
            ("/device/os/name", Value::Null),
            ("/unmapped", json!([])),
        ];
        for (pointer, value) in wrong {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).expect(pointer) = value;
            assert!(!faults(&bad).is_empty(), "{name} with a wrong {pointer}");
        }
        let mut bad = good.clone();
        bad["systemd"] = json!({ "unit": "upd.service" });
        assert!(!faults(&bad).is_empty(), "{name} with a field of our own");
    }
    let exec = encode(Body::Exec(exec()), &host());
    for (pointer, value) in [
        ("/actor", json!({})),
        ("/process", json!({})),
        ("/process/pid", json!("4242")),
        ("/process/user", json!({})),
        ("/process/file", json!({ "path": "/bin/x" })),
    ] {
        let mut bad = exec.clone();
        *bad.pointer_mut(pointer).expect(pointer) = value;
        assert!(!faults(&bad).is_empty(), "an exec with a wrong {pointer}");
    }
}

/// Each sample in the documentation is what the encoder writes. With `UPDATE_SAMPLES` set they are
/// written anew.
#[test]
fn documented_samples_are_real() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/EVENTS.md");
    let mut text = std::fs::read_to_string(&path).expect("docs/EVENTS.md");
    let update = std::env::var_os("UPDATE_SAMPLES").is_some();
    for (name, event) in samples() {
        let line = line(&event, &host());
        let open = format!("<!-- sample: {name} -->\n```json\n");
        let start = text.find(&open).expect(name) + open.len();
        let end = start + text[start..].find("```").expect("the fence ends");
        if update {
            text.replace_range(start..end, &(pretty(&line) + "\n"));
            continue;
        }
        let mut shown: Value = serde_json::from_str(&text[start..end]).expect(name);
        assert!(faults(&shown).is_empty(), "{name}");
        // A release does not have to touch the documentation.
        shown["metadata"]["product"]["version"] = json!(env!("CARGO_PKG_VERSION"));
        let real: Value = serde_json::from_str(&line).expect("is JSON");
        assert_eq!(shown, real, "{name} is out of date: set UPDATE_SAMPLES=1");
    }
    if update {
        std::fs::write(&path, text).expect("docs/EVENTS.md");
    } else {
        let fences = text.matches("```json").count();
        assert_eq!(fences, samples().len(), "every sample is checked");
    }
}
