//! Who may manage units without a password through polkit.

use super::of_path;
use crate::detect::techniques::{T1053_006, T1543_002, T1548};
use crate::event::{Posture, Rule, Severity};
use crate::systemd::inventory::Inventory;

pub(super) static UNITS: Rule = Rule {
    id: "polkit-manages-units",
    title: "polkit lets somebody manage units without a password",
    techniques: &[T1548, T1543_002, T1053_006],
    is_analytic: false,
    severity: "high when it holds for everybody; medium for groups and users; low where it is limited to some \
               units; informational when the file is a package's",
    explanation: "`manage-units` lets a user start transient units: that is any command, as root. So do pkexec's \
                  `policykit.exec`, `machine1.host-shell`, and portable services.",
    check: "Does the rule test the unit and the verb? Who is in the group?",
    silence: "Test `action.lookup(\"unit\")` and `action.lookup(\"verb\")` in the rule.",
};

pub(super) fn all(inventory: &Inventory, results: &mut Vec<Posture>) {
    for file in &inventory.polkit {
        let path = file.path.display().to_string();
        let facts = inventory.rules.iter().find(|facts| facts.path == file.path);
        let shipped = facts.is_some_and(super::FileFacts::is_shipped);
        for rule in &file.rules {
            let severity = if shipped {
                Severity::Informational
            } else if !rule.limits.is_empty() {
                Severity::Low
            } else if rule.who.is_empty() {
                Severity::High
            } else {
                Severity::Medium
            };
            let who = match rule.who.as_slice() {
                [] => "everybody".to_owned(),
                who => who.join(", "),
            };
            let message = format!("{path} lets {who} manage units without a password");
            let mut result = of_path(&UNITS, &path, severity, message);
            result.evidence.extend(match rule.actions.as_slice() {
                [] => vec!["it does not look at the action".to_owned()],
                actions => actions.iter().map(|it| format!("action {it}")).collect(),
            });
            let limits = rule.limits.iter().take(16);
            result
                .evidence
                .extend(limits.map(|it| format!("limited to {it}")));
            results.push(result);
        }
    }
}
