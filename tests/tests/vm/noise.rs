//! Exactly the changes that were made, each once: packages, reloads, tmpfiles, a log rotation.

use std::collections::BTreeMap;

use whodunit_tests::{Event, Kind};

const UNITS: &str = "/usr/lib/systemd/system";
const LINKS: &str = "/etc/systemd/system";

/// What must be told in a phase: verb and path, with the program that did it.
fn expected(phase: &str) -> Vec<(String, String, &'static str)> {
    let mut all = Vec::new();
    let mut change = |verb: &str, path: String, by| all.push((verb.to_owned(), path, by));
    match phase {
        "install" => {
            for n in 1..=20 {
                change("rename", format!("{UNITS}/noise{n}.service"), "dpkg");
                if n % 4 == 0 {
                    change("rename", format!("{UNITS}/noise{n}.timer"), "dpkg");
                    change(
                        "symlink",
                        format!("{LINKS}/timers.target.wants/noise{n}.timer"),
                        "systemctl",
                    );
                } else {
                    let link = format!("{LINKS}/multi-user.target.wants/noise{n}.service");
                    change("symlink", link, "systemctl");
                }
            }
        }
        "reinstall" => change("rename", format!("{UNITS}/noise1.service"), "dpkg"),
        "purge" => {
            change("remove", format!("{UNITS}/noise2.service"), "dpkg");
            change(
                "remove",
                format!("{LINKS}/multi-user.target.wants/noise2.service"),
                "perl",
            );
        }
        _ => {}
    }
    all.sort();
    all
}

/// What is wrong with what was told of the scenario `20-packages`.
pub(super) fn faults(events: &[Event], marks: &[(String, String, u64)]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut managers = BTreeMap::new();
    let phases: Vec<_> = marks.iter().filter(|(what, ..)| what == "phase").collect();
    if phases.len() < 7 {
        return vec![format!("only {} phases", phases.len())];
    }
    for pair in phases.windows(2) {
        let [(_, phase, start), (_, _, end)] = pair else {
            unreachable!("windows of two")
        };
        let told: Vec<&Event> = events
            .iter()
            .filter(|event| event.kind() == Kind::Change)
            .filter(|event| (*start..*end).contains(&event.number("unmapped/boot_ns")))
            .collect();
        let mut real: Vec<_> = told
            .iter()
            .map(|event| {
                let name = event.text("actor/process/name").to_owned();
                (
                    event.verb().to_owned(),
                    event.text("file/path").to_owned(),
                    name,
                )
            })
            .collect();
        real.sort();
        let expected = expected(phase);
        let same = |(a, b): &(&(String, String, &str), &(String, String, String))| {
            a.0 == b.0 && a.1 == b.1 && a.2 == b.2
        };
        for wanted in &expected {
            let count = real.iter().filter(|real| same(&(wanted, real))).count();
            if count != 1 {
                faults.push(format!("{phase}: told {count} times: {wanted:?}"));
            }
        }
        for real in &real {
            if !expected.iter().any(|wanted| same(&(wanted, real))) {
                faults.push(format!("{phase}: nobody did {real:?}"));
            }
        }
        for event in told {
            linked(phase, event, &mut managers, &mut faults);
        }
    }
    // apt-get installed twenty packages in one run; dpkg was called by hand for the other two.
    let runs: Vec<(&str, usize)> = ["install", "reinstall", "purge"]
        .iter()
        .map(|phase| {
            (
                *phase,
                managers.get(*phase).map_or(0, |pids: &Vec<u64>| pids.len()),
            )
        })
        .collect();
    if runs != [("install", 1), ("reinstall", 1), ("purge", 1)] {
        faults.push(format!("transactions: {runs:?}"));
    }
    faults
}

/// Each change is linked to the package manager's run, and to the package.
fn linked(
    phase: &str,
    event: &Event,
    managers: &mut BTreeMap<String, Vec<u64>>,
    faults: &mut Vec<String>,
) {
    let at = |field: &str| event.text(&format!("unmapped/change/{field}"));
    let path = event.text("file/path");
    let name = path.rsplit('/').next().unwrap_or_default();
    let package = name.split('.').next().unwrap_or_default();
    let by = if phase == "install" {
        "apt-get"
    } else {
        "dpkg"
    };
    if at("transaction/manager/name") != by || at("transaction/package") != package {
        faults.push(format!(
            "{phase}: {path} is not linked: {:?}",
            event.at("unmapped/change/transaction")
        ));
    }
    if event.at("unmapped/change/transaction/verified") != true {
        faults.push(format!(
            "{phase}: the package manager of {path} is not verified"
        ));
    }
    // A link that a script makes is no package's; a unit file is, and as shipped.
    let shipped = match event.verb() {
        "rename" => "same",
        "remove" if path.starts_with(UNITS) => "no-content",
        _ => "",
    };
    if at("package/shipped") != shipped {
        faults.push(format!(
            "{phase}: {path}: {:?}, not {shipped}",
            event.at("unmapped/change/package")
        ));
    }
    let pid = event.number("unmapped/change/transaction/manager/pid");
    let pids = managers.entry(phase.to_owned()).or_default();
    if !pids.contains(&pid) {
        pids.push(pid);
    }
}
