//! Units that no file was installed for: made by a request, or by a generator.

use super::of_unit;
use super::targets::line_of;
use crate::detect::techniques::{T1053_006, T1543_002};
use crate::event::{Posture, Rule, Severity};
use crate::systemd::inventory::{FileFacts, Origin, UnitFacts};
use crate::systemd::unit_name::UnitType;

pub(super) static TRANSIENT: Rule = Rule {
    id: "unit-transient",
    title: "A transient unit is there",
    techniques: &[T1053_006, T1543_002],
    is_analytic: false,
    severity: "low for a timer, or a service whose program no package brought; informational otherwise",
    explanation: "`systemd-run` and the bus make units without a file of anybody's; they are gone after a boot.",
    check: "Who asked for it? `whodunit why UNIT`, `journalctl -u UNIT`.",
    silence: "Make a unit file of what should stay.",
};

pub(super) static GENERATED: Rule = Rule {
    id: "unit-generated",
    title: "A generator made a unit that runs something",
    techniques: &[T1543_002],
    is_analytic: false,
    severity: "low where the program is no package's; informational otherwise",
    explanation: "Generators make units at each boot and reload, of fstab, crontabs, init scripts and the like.",
    check: "`SourcePath=` in the unit names where it comes from.",
    silence: "Remove the source.",
};

pub(super) fn unit(unit: &UnitFacts, results: &mut Vec<Posture>) {
    let entry = match unit.origin {
        Origin::Transient => &TRANSIENT,
        Origin::Generator if !unit.commands.is_empty() => &GENERATED,
        Origin::Generator | Origin::File => return,
    };
    let files = unit
        .commands
        .iter()
        .flat_map(|it| it.target.file().into_iter().chain(&it.scripts));
    let strange = files.into_iter().any(FileFacts::is_unowned);
    let timer = unit.origin == Origin::Transient && unit.name.kind() == UnitType::Timer;
    let severity = if unit.is_root() && (strange || timer) {
        Severity::Low
    } else {
        Severity::Informational
    };
    let message = match unit.origin {
        Origin::Transient => format!(
            "{} was made by a request, and has no file that stays",
            unit.name
        ),
        Origin::Generator | Origin::File => format!("{} was made by a generator", unit.name),
    };
    let mut result = of_unit(entry, unit, severity, message);
    result.evidence.extend(unit.commands.iter().map(line_of));
    let source = unit.merged.last("Unit", "SourcePath");
    result
        .evidence
        .extend(source.map(|path| format!("SourcePath={path}")));
    results.push(result);
}
