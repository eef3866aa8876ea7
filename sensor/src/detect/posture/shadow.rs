//! Units that are not what their package made them: hidden, masked, changed, extended.

use super::{of_unit, ownership, quoted};
use crate::detect::catalogue::{DROP_IN_ADDS_COMMAND, SECURITY_UNIT_MASKED};
use crate::detect::guards::is_guard;
use crate::detect::techniques::{T1036_004, T1053_006, T1543_002, T1562_001, T1574_006};
use crate::event::{Posture, Rule, Severity};
use crate::systemd::inventory::{DropIn, FileFacts, Origin, Owned, Scope, UnitFacts};
use crate::systemd::service::EXEC_KEYS;
use crate::systemd::unit_name::UnitType;

pub(super) static SHADOWS: Rule = Rule {
    id: "unit-shadows-packaged",
    title: "A unit hides the packaged unit of the same name",
    techniques: &[T1543_002, T1036_004],
    is_analytic: false,
    severity: "medium; low for what a generator made",
    explanation: "The first directory of the load path that has the name decides; the package's unit does nothing.",
    check: "`systemd-delta --type=overridden`: are the differences meant?",
    silence: "Change single settings by `systemctl edit UNIT`, and remove the copy.",
};

pub(super) static MASKED: Rule = Rule {
    id: SECURITY_UNIT_MASKED.id,
    title: SECURITY_UNIT_MASKED.title,
    techniques: &[T1562_001],
    is_analytic: false,
    severity: "high",
    explanation: SECURITY_UNIT_MASKED.explanation,
    check: "Who masked it, and when? Is something else doing its work?",
    silence: "Unmask it; or remove the package, if it is not wanted.",
};

pub(super) static ADDS_COMMAND: Rule = Rule {
    id: DROP_IN_ADDS_COMMAND.id,
    title: DROP_IN_ADDS_COMMAND.title,
    techniques: &[T1543_002],
    is_analytic: false,
    severity: "medium for commands beside the main one; low where it only replaces ExecStart= by a packaged program",
    explanation: DROP_IN_ADDS_COMMAND.explanation,
    check: "`systemctl cat UNIT`: who wrote the drop-in, and what for?",
    silence: "Put the command into a unit of its own.",
};

pub(super) static FOR_MANY: Rule = Rule {
    id: "drop-in-for-many-units",
    title: "A drop-in changes what many units run",
    techniques: &[T1543_002, T1574_006],
    is_analytic: false,
    severity: "high when it sets commands or environment; informational otherwise",
    explanation: "A drop-in for a type (`service.d`) or a prefix (`apt-.service.d`) applies to every unit of it.",
    check: "Is it meant for all of them?",
    silence: "Name the units one by one.",
};

pub(super) static MODIFIED: Rule = Rule {
    id: "unit-file-modified",
    title: "A packaged unit file is not as its package brought it",
    techniques: &[T1543_002],
    is_analytic: false,
    severity: "high; informational below /etc, where files are there to be edited",
    explanation: "The package database has another digest for this file.",
    check: "`dpkg --verify PACKAGE`, and compare with the package.",
    silence: "Reinstall the package; change settings by `systemctl edit UNIT`.",
};

pub(super) static UNOWNED: Rule = Rule {
    id: "unit-unowned",
    title: "A unit that no package brought",
    techniques: &[T1543_002, T1053_006],
    is_analytic: false,
    severity: "informational",
    explanation: "Units made by hand or by installers: the ones to know when something is wrong.",
    check: "Does somebody know it?",
    silence: "Nothing to silence; `baseline save` takes it for known.",
};

pub(super) fn unit(unit: &UnitFacts, results: &mut Vec<Posture>) {
    let name = unit.name.as_str();
    if unit.masked {
        if unit.scope == Scope::System && is_guard(name) {
            let path = unit.file.path.display();
            let message = format!("{name}, which guards this host, is masked by {path}");
            let mut result = of_unit(&MASKED, unit, Severity::High, message);
            result.fix = Some(format!("systemctl unmask -- {}", quoted(name)));
            results.push(result);
        }
        return;
    }
    let packaged = |file: &&FileFacts| matches!(file.owned, Owned::By(_));
    if let Some(hidden) = unit.shadows.iter().find(packaged)
        && unit.file.is_unowned()
    {
        let made = unit.origin == Origin::Generator;
        let severity = if made {
            Severity::Low
        } else {
            Severity::Medium
        };
        let path = unit.file.path.display();
        let message = format!("{path} hides {}", hidden.path.display());
        let mut result = of_unit(&SHADOWS, unit, severity, message);
        result
            .evidence
            .push(format!("{}: {}", hidden.path.display(), ownership(hidden)));
        results.push(result);
    }
    if matches!(unit.file.owned, Owned::By(_)) && !unit.file.is_shipped() {
        let path = unit.file.path.display();
        let etc = unit.file.path.starts_with("/etc");
        let severity = if etc {
            Severity::Informational
        } else {
            Severity::High
        };
        let message = format!("{path} is not as its package brought it");
        let mut result = of_unit(&MODIFIED, unit, severity, message);
        result.evidence.push(ownership(&unit.file));
        result
            .evidence
            .extend(unit.file.sha256.as_ref().map(|it| format!("SHA-256 {it}")));
        results.push(result);
    }
    // A link that makes an instance of a packaged template belongs to nobody.
    if unit.file.is_unowned() && unit.origin == Origin::File && unit.file.trace.found().is_some() {
        let message = format!("{name} is defined by {}", unit.file.path.display());
        let mut result = of_unit(&UNOWNED, unit, Severity::Informational, message);
        result
            .evidence
            .extend(unit.file.sha256.as_ref().map(|it| format!("SHA-256 {it}")));
        results.push(result);
    }
    for drop_in in unit.drop_ins.iter().filter(|it| !it.file.is_shipped()) {
        of_drop_in(unit, drop_in, results);
    }
}

fn of_drop_in(unit: &UnitFacts, drop_in: &DropIn, results: &mut Vec<Posture>) {
    let path = drop_in.file.path.display().to_string();
    let sets = |keys: &[&str]| -> Vec<String> {
        let all = drop_in.content.assignments().iter();
        all.filter(|it| keys.contains(&it.key.as_str()) && !it.value.is_empty())
            .map(|it| format!("{}={}", it.key, it.value))
            .take(16)
            .collect()
    };
    let commands = sets(&EXEC_KEYS);
    let environment = sets(&["Environment", "EnvironmentFile", "PassEnvironment"]);
    let for_type = UnitType::from_suffix(&drop_in.stem).is_some();
    let prefix = drop_in.stem.rsplit_once('.').is_some_and(|(stem, _)| {
        stem.split('@')
            .next()
            .is_some_and(|stem| stem.ends_with('-'))
    });
    if for_type || prefix {
        let strong = !commands.is_empty() || !environment.is_empty();
        let severity = if strong {
            Severity::High
        } else {
            Severity::Informational
        };
        let message = format!(
            "{path} applies to every unit that {}.d is for",
            drop_in.stem
        );
        let mut result = of_unit(&FOR_MANY, unit, severity, message);
        // One result for the file, however many units it applies to.
        result.unit = None;
        result.path = Some(path);
        result
            .evidence
            .extend(commands.into_iter().chain(environment));
        results.push(result);
        return;
    }
    if commands.is_empty() || !matches!(unit.file.owned, Owned::By(_)) {
        return;
    }
    let main_only = commands.iter().all(|line| line.starts_with("ExecStart="));
    let resets = drop_in
        .content
        .raw("Service", "ExecStart")
        .any(str::is_empty);
    let packaged = unit.commands.iter().all(|command| {
        command.target.file().is_some_and(FileFacts::is_shipped)
            && command.scripts.iter().all(FileFacts::is_shipped)
    });
    let severity = if main_only && resets && packaged {
        Severity::Low
    } else {
        Severity::Medium
    };
    let severity = if unit.is_root() {
        severity
    } else {
        severity.lowered()
    };
    let message = format!("{path} adds commands to {}, a packaged unit", unit.name);
    let mut result = of_unit(&ADDS_COMMAND, unit, severity, message);
    result.path = Some(path);
    result.evidence = commands;
    result.evidence.push(ownership(&drop_in.file));
    results.push(result);
}
