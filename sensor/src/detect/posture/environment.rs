//! The environment that units start with: of units, of managers, and what the dynamic linker loads.

use super::targets::{fix_of, severity_of};
use super::{of_path, of_unit};
use crate::detect::techniques::{T1543_002, T1574, T1574_006};
use crate::event::{Posture, Rule, Severity};
use crate::host::access::holes;
use crate::systemd::environment_names::{loads, moves_load_paths};
use crate::systemd::inventory::{Inventory, UnitFacts};
use crate::systemd::load_path::Area;
use crate::systemd::unit_file::UnitFile;
use crate::systemd::words::split_words;

pub(super) static PRELOAD: Rule = Rule {
    id: "environment-preload",
    title: "The environment loads code into what units run",
    techniques: &[T1574_006],
    is_analytic: false,
    severity: "high for what loads code at once (LD_PRELOAD, LD_AUDIT, BASH_ENV …); low for search paths; \
               informational when a package brought it",
    explanation: "The dynamic linker, shells and interpreters load what these variables name, before the program itself.",
    check: "Who set it? What is in the file it names?",
    silence: "Take it out; link the library, or wrap the one program that needs it.",
};

pub(super) static FILE_WRITABLE: Rule = Rule {
    id: "environment-file-writable",
    title: "Somebody other than root can change the environment of a unit",
    techniques: &[T1574_006, T1574],
    is_analytic: false,
    severity: "high for what runs as root, by everybody or users or groups with members; a step less otherwise",
    explanation: "PID 1 reads the file at each start; with LD_PRELOAD in it the unit runs any code.",
    check: "Who needs to write there?",
    silence: "Run the fix.",
};

pub(super) static LOAD_PATH: Rule = Rule {
    id: "load-path-moved",
    title: "A manager was told to look for units or generators elsewhere",
    techniques: &[T1543_002],
    is_analytic: false,
    severity: "high",
    explanation: "SYSTEMD_UNIT_PATH and its like replace the directories that everybody looks at.",
    check: "Which directories, and what is in them?",
    silence: "Take it out.",
};

fn assignments(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', ';']) && line.contains('='))
}

pub(super) fn unit(inventory: &Inventory, unit: &UnitFacts, results: &mut Vec<Posture>) {
    let mut add = |severity: Severity, path: String, setting: &str, shipped: bool| {
        let severity = match (shipped, unit.is_root()) {
            (true, _) => Severity::Informational,
            (false, true) => severity,
            (false, false) => severity.lowered(),
        };
        let name = setting.split('=').next().unwrap_or_default();
        let message = format!("{path} sets {name} for {}", unit.name);
        let mut result = of_unit(&PRELOAD, unit, severity, message);
        result.path = Some(path);
        result.evidence.push(setting.to_owned());
        results.push(result);
    };
    let drop_ins = unit.drop_ins.iter().map(|it| (&it.file, &it.content));
    for (file, content) in std::iter::once((&unit.file, &unit.own)).chain(drop_ins) {
        for assignment in content
            .assignments()
            .iter()
            .filter(|it| it.key == "Environment")
        {
            for word in split_words(&assignment.value) {
                if let Some(severity) = loads(&word) {
                    add(
                        severity,
                        file.path.display().to_string(),
                        &word,
                        file.is_shipped(),
                    );
                }
            }
        }
    }
    for file in &unit.environment_files {
        for line in file.text.as_deref().map(assignments).into_iter().flatten() {
            if let Some(severity) = loads(line) {
                add(
                    severity,
                    file.path.display().to_string(),
                    line,
                    file.is_shipped(),
                );
            }
        }
    }
    for file in &unit.environment_files {
        let mut trusted = unit.trusted();
        trusted.extend(unit.runs_as);
        let found = holes(&file.trace, &trusted);
        let worst = found
            .iter()
            .map(|hole| severity_of(inventory, hole.writer))
            .max();
        let Some(worst) = worst else { continue };
        let worst = worst.min(Severity::High);
        let severity = if unit.is_root() {
            worst
        } else {
            worst.lowered()
        };
        let who: Vec<_> = found
            .iter()
            .map(|hole| inventory.names.writer(hole.writer))
            .collect();
        let path = file.path.display().to_string();
        let message = format!(
            "{} can change the environment of {}: {path}",
            who.join(", "),
            unit.name
        );
        let mut result = of_unit(&FILE_WRITABLE, unit, severity, message);
        if let Some(first) = found.first() {
            let at = first.to_string();
            let same: Vec<_> = found
                .iter()
                .filter(|hole| hole.path == first.path)
                .collect();
            result.fix = Some(fix_of(&at, &same));
        }
        result
            .evidence
            .extend(found.iter().map(|hole| format!("{hole} can be written to")));
        result.path = Some(path);
        results.push(result);
    }
}

/// What managers are told for all of their units, and `/etc/ld.so.preload`.
pub(super) fn managers(inventory: &Inventory, results: &mut Vec<Posture>) {
    for place in &inventory.places {
        let Some(text) = &place.content else { continue };
        let path = place.file.path.display().to_string();
        let mut settings: Vec<String> = Vec::new();
        if path == "/etc/ld.so.preload" {
            let lines = text
                .lines()
                .map(str::trim)
                .filter(|it| !it.is_empty() && !it.starts_with('#'));
            settings.extend(lines.map(|line| format!("LD_PRELOAD={line}")));
        } else if place.area == Area::Environment {
            settings.extend(assignments(text).map(str::to_owned));
        } else {
            let (file, _) = UnitFile::parse(text.as_bytes());
            for key in ["DefaultEnvironment", "ManagerEnvironment"] {
                settings.extend(
                    file.values("Manager", key)
                        .into_iter()
                        .flat_map(split_words),
                );
            }
        }
        for setting in settings {
            let name = setting.split('=').next().unwrap_or_default();
            let (entry, severity) = if moves_load_paths(name) {
                (&LOAD_PATH, Severity::High)
            } else if let Some(severity) = loads(&setting) {
                (&PRELOAD, severity)
            } else {
                continue;
            };
            let user = place.user.is_some_and(|uid| uid != 0);
            let severity = match (place.file.is_shipped(), user) {
                (true, _) => Severity::Informational,
                (false, true) => severity.lowered(),
                (false, false) => severity,
            };
            let message = format!("{path} sets {name} for every unit of a manager");
            let mut result = of_path(entry, &path, severity, message);
            result.evidence.push(setting);
            results.push(result);
        }
    }
}
