//! Published controls, mitigations and data components of T1053.006, each with what whodunit checks
//! or records for it: the rows of the CTID mappings (NIST 800-53, VERIS, Amazon Inspector), and of
//! ATT&CK itself.

use super::posture::CHECKS;
use crate::event::{Control, ControlStatus, Posture, Severity};
use crate::systemd::inventory::{Inventory, Scope, UnitFacts};

/// One row.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Its id: `AC-3`, `M1022`, `DC0039`.
    pub id: &'static str,
    /// Whose it is.
    pub framework: &'static str,
    /// Its name there.
    pub title: &'static str,
    /// What is done for it here.
    pub does: &'static str,
    /// The posture checks that bear on it.
    pub checks: &'static [&'static str],
    /// The findings that bear on it, by id.
    pub findings: &'static [&'static str],
    /// Whether it takes an agent that runs.
    pub agent: bool,
}

const NIST: &str = "NIST SP 800-53 Rev. 5";
const MITIGATIONS: &str = "MITRE ATT&CK mitigations";
const DATA: &str = "MITRE ATT&CK data components";

/// The findings of a running agent.
const LIVE: &[&str] = &[
    "timer-ran-changed-unit",
    "changed-unit-ran",
    "timer-created",
    "transient-timer",
    "unit-changed",
    "drop-in-adds-command",
    "timed-target-changed",
    "generator-changed",
    "generator-source-changed",
    "preset-changed",
    "manager-config-changed",
    "load-path-mounted-over",
    "unit-from-unexpected-place",
    "extension-image-changed",
    "unseen-change",
    "command-outside-unit",
];

/// Every row.
pub static ROWS: [Row; 18] = [
    Row {
        id: "DC0064",
        framework: DATA,
        title: "Command Execution",
        does: "Process Activity events carry the command line of every process; scan reads every command of every unit",
        checks: &[
            "command-inline-code",
            "command-network-one-liner",
            "command-encoded",
            "command-invisible-characters",
        ],
        findings: LIVE,
        agent: true,
    },
    Row {
        id: "DC0039",
        framework: DATA,
        title: "File Creation",
        does: "File System Activity events for everything made in unit directories, with writer, digest and diff",
        checks: &[
            "unit-unowned",
            "generator-unowned",
            "unit-shadows-packaged",
            "drop-in-adds-command",
        ],
        findings: LIVE,
        agent: true,
    },
    Row {
        id: "DC0032",
        framework: DATA,
        title: "Process Creation",
        does: "Process Activity events for every exec, with the spawner as measured at fork and the unit by cgroup",
        checks: &[],
        findings: LIVE,
        agent: true,
    },
    Row {
        id: "DC0001",
        framework: DATA,
        title: "Scheduled Job Creation",
        does: "Scheduled Job Activity events for timers; scan analyses every timer of the system and of all users",
        checks: &[
            "timer-short-interval",
            "timer-starts-packaged-unit",
            "unit-transient",
        ],
        findings: LIVE,
        agent: true,
    },
    Row {
        id: "M1018",
        framework: MITIGATIONS,
        title: "User Account Management",
        does: "scan names everybody who may run systemctl or systemd-run as root, by sudo, polkit or a group",
        checks: &[
            "sudo-runs-units",
            "polkit-manages-units",
            "group-equals-root",
            "user-lingers",
        ],
        findings: &["linger-enabled", "requester-over-ssh"],
        agent: false,
    },
    Row {
        id: "M1022",
        framework: MITIGATIONS,
        title: "Restrict File and Directory Permissions",
        does: "scan checks owner, mode and ACL of every unit directory, unit file, generator and command, and of all \
               directories on the way, and gives the command that mends them",
        checks: &[
            "unit-place-writable",
            "command-writable",
            "environment-file-writable",
            "privilege-rules-writable",
        ],
        findings: &["unit-writable"],
        agent: false,
    },
    Row {
        id: "M1026",
        framework: MITIGATIONS,
        title: "Privileged Account Management",
        does: "changes and findings carry the login (auid, session) behind a writer who is root; scan finds what root \
               runs for users",
        checks: &["root-runs-users-file", "sudo-runs-units", "command-setuid"],
        findings: LIVE,
        agent: true,
    },
    Row {
        id: "AC-2",
        framework: NIST,
        title: "Account Management",
        does: "findings and changes carry uid, euid, auid and session; scan reports users' own units, lingering users, \
               and units of accounts that are gone or have no login",
        checks: &["unit-account-odd", "user-lingers"],
        findings: LIVE,
        agent: false,
    },
    Row {
        id: "AC-3",
        framework: NIST,
        title: "Access Enforcement",
        does: "scan checks who may write to unit directories, unit files and what units execute",
        checks: &[
            "unit-place-writable",
            "command-writable",
            "environment-file-writable",
            "privilege-rules-writable",
        ],
        findings: &["unit-writable"],
        agent: false,
    },
    Row {
        id: "AC-5",
        framework: NIST,
        title: "Separation of Duties",
        does: "a finding's chain records who wrote, who enabled and as whom it ran; scan finds who may do all three \
               without a password",
        checks: &["sudo-runs-units", "polkit-manages-units"],
        findings: LIVE,
        agent: true,
    },
    Row {
        id: "AC-6",
        framework: NIST,
        title: "Least Privilege",
        does: "scan finds what runs as root and could be changed by users, or lies where they write",
        checks: &[
            "root-runs-users-file",
            "command-writable",
            "command-odd-place",
            "command-setuid",
            "environment-file-writable",
        ],
        findings: &[],
        agent: false,
    },
    Row {
        id: "CA-7",
        framework: NIST,
        title: "Continuous Monitoring",
        does: "events are numbered without gaps, losses and blind spots are told as health events, `doctor` lists what \
               is seen; scan checks that the agent is enabled and nothing that guards the host is masked",
        checks: &["security-unit-masked"],
        findings: &[
            "unseen-change",
            "manager-reloaded-by-signal",
            "requester-over-ssh",
            "security-unit-masked",
            "agent-tampered",
        ],
        agent: true,
    },
    Row {
        id: "CM-5",
        framework: NIST,
        title: "Access Restrictions for Change",
        does: "every change to a unit has who, what, when, digest and diff; scan finds units changed or extended past \
               their package",
        checks: &[
            "unit-file-modified",
            "unit-shadows-packaged",
            "drop-in-adds-command",
            "drop-in-for-many-units",
            "unit-place-writable",
            "load-path-moved",
        ],
        findings: LIVE,
        agent: true,
    },
    Row {
        id: "IA-2",
        framework: NIST,
        title: "Identification and Authentication (Organizational Users)",
        does: "changes and findings are tied to the login: auid, session, and the ancestors up to sshd or sudo; scan \
               finds who becomes root without a password",
        checks: &["sudo-runs-units", "polkit-manages-units"],
        findings: LIVE,
        agent: true,
    },
    Row {
        id: "SI-4",
        framework: NIST,
        title: "System Monitoring",
        does: "the agent correlates changes of units with what managers start (DET0231 / AN0645); scan looks for the \
               traces that stay",
        checks: &[
            "timer-short-interval",
            "command-network-one-liner",
            "command-encoded",
            "environment-preload",
            "unit-hidden",
            "unit-look-alike",
            "unit-claims-system-name",
            "command-odd-place",
            "command-invisible-characters",
        ],
        findings: LIVE,
        agent: true,
    },
    Row {
        id: "SI-7",
        framework: NIST,
        title: "Software, Firmware, and Information Integrity",
        does: "SHA-256 of units and of what they execute; scan compares with the package database, `baseline diff` with \
               a signed state",
        checks: &[
            "command-modified",
            "unit-file-modified",
            "generator-unowned",
        ],
        findings: LIVE,
        agent: false,
    },
    Row {
        id: "action.hacking.variety.Abuse of functionality",
        framework: "VERIS",
        title: "Abuse of functionality",
        does: "findings carry the VERIS term, so that an incident's record can be filled from them; scan finds units \
               that use systemd against its purpose",
        checks: &[
            "command-network-one-liner",
            "command-encoded",
            "environment-preload",
            "drop-in-adds-command",
            "unit-claims-system-name",
        ],
        findings: LIVE,
        agent: true,
    },
    Row {
        id: "amazon_inspector",
        framework: "AWS security capabilities",
        title: "Amazon Inspector: configure permissions for system directories",
        does: "the same test: scan checks that only root can write to the directories that systemd reads and runs from",
        checks: &[
            "unit-place-writable",
            "command-writable",
            "generator-unowned",
        ],
        findings: &["unit-writable"],
        agent: false,
    },
];

/// The ids of the rows that a check or finding bears on.
#[must_use]
pub fn controls_of(id: &str) -> Vec<&'static str> {
    ROWS.iter()
        .filter(|row| row.checks.contains(&id) || row.findings.contains(&id))
        .map(|row| row.id)
        .collect()
}

/// The frameworks of these controls, each once.
#[must_use]
pub fn frameworks_of(controls: &[&str]) -> Vec<&'static str> {
    let mut found: Vec<&'static str> = Vec::new();
    for row in ROWS.iter().filter(|row| controls.contains(&row.id)) {
        if !found.contains(&row.framework) {
            found.push(row.framework);
        }
    }
    found
}

/// Most results that are named as evidence for one row.
const EVIDENCE_MAX: usize = 10;

/// How each row stands on this host.
#[must_use]
pub fn report(inventory: &Inventory, results: &[Posture]) -> Vec<Control> {
    ROWS.iter()
        .map(|row| judge(row, inventory, results))
        .collect()
}

fn judge(row: &Row, inventory: &Inventory, results: &[Posture]) -> Control {
    let mut evidence = Vec::new();
    let mut states = Vec::new();
    if !row.checks.is_empty() {
        states.push(by_checks(row, inventory, results, &mut evidence));
    }
    if row.agent {
        let (state, why) = agent(inventory);
        states.push(state);
        evidence.push(why);
    }
    Control {
        id: row.id,
        framework: row.framework,
        title: row.title,
        does: row.does,
        status: states.into_iter().max().unwrap_or(ControlStatus::Unknown),
        evidence,
    }
}

fn by_checks(
    row: &Row,
    inventory: &Inventory,
    results: &[Posture],
    evidence: &mut Vec<String>,
) -> ControlStatus {
    let of_row = results
        .iter()
        .filter(|result| row.checks.contains(&result.entry.id));
    let failed: Vec<&Posture> = of_row
        .filter(|result| result.severity > Severity::Informational)
        .collect();
    for result in failed.iter().take(EVIDENCE_MAX) {
        evidence.push(format!("{}: {}", result.entry.id, result.message));
    }
    if failed.len() > EVIDENCE_MAX {
        evidence.push(format!("and {} more", failed.len() - EVIDENCE_MAX));
    }
    if !failed.is_empty() {
        return ControlStatus::Fail;
    }
    if inventory.units.is_empty() {
        evidence.push("no unit was found".to_owned());
        return ControlStatus::Unknown;
    }
    if row.id == "SI-7" && !inventory.packages {
        evidence.push("no package database could be read: nothing to compare with".to_owned());
        return ControlStatus::Unknown;
    }
    let (units, places) = (inventory.units.len(), inventory.places.len());
    let checks = row.checks.join(", ");
    evidence.push(format!(
        "{checks}: nothing in {units} units and {places} files and directories"
    ));
    if inventory.problems.is_empty() {
        return ControlStatus::Pass;
    }
    evidence.push(format!(
        "{} things could not be looked at",
        inventory.problems.len()
    ));
    ControlStatus::Unknown
}

/// Whether an agent is set up to run, by its unit.
fn agent(inventory: &Inventory) -> (ControlStatus, String) {
    const NAME: &str = "whodunit.service";
    let is = |unit: &&UnitFacts| unit.scope == Scope::System && unit.name.as_str() == NAME;
    let Some(unit) = inventory.units.iter().find(is) else {
        let text = format!("{NAME} is not installed: whether an agent runs is not known");
        return (ControlStatus::Unknown, text);
    };
    let path = unit.file.path.display();
    if unit.masked {
        return (ControlStatus::Fail, format!("{NAME} is masked by {path}"));
    }
    if unit.commands.is_empty() || unit.commands.iter().any(|it| it.target.is_missing()) {
        return (
            ControlStatus::Fail,
            format!("{NAME} ({path}) has nothing to run"),
        );
    }
    if !unit.pulled {
        return (
            ControlStatus::Fail,
            format!("{NAME} ({path}) is not enabled"),
        );
    }
    (ControlStatus::Pass, format!("{NAME} ({path}) is enabled"))
}

/// Whether every check that a row names exists; for tests.
#[must_use]
pub fn unknown_checks() -> Vec<&'static str> {
    let named = ROWS.iter().flat_map(|row| row.checks);
    named
        .copied()
        .filter(|id| !CHECKS.iter().any(|entry| entry.id == *id))
        .collect()
}
