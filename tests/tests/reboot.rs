//! Planted before a cut of the power, fired after the next boot and an upgrade of the agent.
//!
//! `WHODUNIT_REBOOT_RESULTS` names a directory with the results of an earlier run, to work on
//! expectations without booting again.

use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;
use whodunit_tests::{Event, Kind, vm};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn boot_twice() -> PathBuf {
    let out = Path::new(ROOT).join("target/reboot");
    let script = Path::new(ROOT).join("tests/reboot/do.sh");
    let arguments = [
        "--boots",
        "2",
        "--timeout",
        "400",
        "--arg=--state=/out/state",
    ];
    vm::boot_well("bookworm", &script, &out, &arguments);
    out
}

#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn a_timer_that_fires_after_a_reboot_and_an_upgrade_names_its_planter() {
    let results = env::var_os("WHODUNIT_REBOOT_RESULTS").map(PathBuf::from);
    let out = results.unwrap_or_else(boot_twice);
    let text = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let events: Vec<Event> = text("events.ndjson").lines().map(Event::parse).collect();

    let ran = |event: &&Event| {
        event.kind() == Kind::Finding
            && event.text("metadata/event_code") == "timer-ran-changed-unit"
            && event.text("unmapped/systemd/unit") == "later.service"
    };
    let finding = events.iter().find(ran).expect("a finding when it fires");
    let this_boot = finding.text("device/boot_uid");
    for name in ["later.service", "later.timer"] {
        let path = format!("/etc/systemd/system/{name}");
        let cause = finding.at("unmapped/cause").as_array().unwrap();
        let link = cause
            .iter()
            .find(|link| link["file"]["path"] == path.as_str());
        let link = link.unwrap_or_else(|| panic!("{path}: {finding:?}"));
        let planter = &link["process"];
        let line = planter["cmd_line"].as_str().unwrap();
        let writes = line.contains("plant.sh") || line.starts_with("cat");
        assert!(link["link"] == "wrote" && writes, "{link:#}");
        let before = planter["boot_uid"].as_str().expect("of another boot");
        assert_ne!(before, this_boot);
        let ancestry = planter["ancestry"].as_array().unwrap();
        let by_script = ancestry
            .iter()
            .any(|above| above.to_string().contains("plant.sh"))
            || line.contains("plant.sh");
        assert!(by_script && ancestry.len() >= 3, "{link:#}");
        assert!(link.get("boot_ns").is_none(), "{link:#}");
        assert!(link["file"]["sha256"].is_string());
    }
    assert!(finding.mentions("/bin/touch /run/fired"), "{finding:?}");

    // Who had PID 1 do it, in the first boot and before the agent was restarted.
    let cause = finding.at("unmapped/cause").as_array().unwrap();
    for (link, method, line, other_boot) in [
        (
            "enabled",
            "EnableUnitFiles",
            "systemctl enable --now later.timer",
            true,
        ),
        (
            "asked",
            "SetUnitProperties",
            "systemctl set-property later.service",
            true,
        ),
        (
            "asked",
            "RestartUnit",
            "systemctl restart later.timer",
            false,
        ),
    ] {
        let asked = |cause: &&Value| {
            let named = cause["request"]["method"].as_str().unwrap_or_default();
            cause["link"] == link && named.starts_with(method)
        };
        let asked = cause.iter().find(asked);
        let asked = asked.unwrap_or_else(|| panic!("no {method}: {cause:#?}"));
        let by = &asked["process"];
        assert!(
            by["cmd_line"].as_str().unwrap().starts_with(line),
            "{asked:#}"
        );
        assert_eq!(by["boot_uid"].is_string(), other_boot, "{asked:#}");
        assert!(by["ancestry"].to_string().contains("do.sh"), "{asked:#}");
        assert!(asked["event_uid"].is_string() && asked["time"].is_u64());
    }

    let tree = text("why.txt");
    for words in [
        "→ bash(",
        "asked EnableUnitFiles",
        "asked SetUnitProperties",
        "asked RestartUnit",
        "later.timer",
        "fired",
        "ran",
        "/bin/touch /run/fired",
    ] {
        assert!(tree.contains(words), "no {words}:\n{tree}");
    }
    let facts: Value = serde_json::from_str(&text("why.json")).unwrap();
    assert_eq!(facts["what"], "later.service");
    assert!(
        facts.to_string().contains("bash plant.sh later"),
        "{facts:#}"
    );
    assert!(text("why.dot").starts_with("digraph"));
    assert!(text("why.mmd").starts_with("flowchart"));
}
