//! Accounts: who is as good as root, whose manager runs without him, who should not run anything.

use super::{of_path, of_unit};
use crate::detect::techniques::{T1053_006, T1078_003, T1543_002, T1548};
use crate::event::{Posture, Rule, Severity};
use crate::systemd::inventory::{Inventory, Scope, UnitFacts};

pub(super) static GROUP: Rule = Rule {
    id: "group-equals-root",
    title: "Members of a group can become root",
    techniques: &[T1078_003, T1548],
    is_analytic: false,
    severity: "low for docker, lxd, incus-admin, libvirt and disk; informational for groups that sudo is made for",
    explanation: "They can start containers or virtual machines with the host's files, or write to its disks: \
                  units included, past every permission.",
    check: "Is every member meant to be root?",
    silence: "Take users out of the group: `gpasswd -d USER GROUP`.",
};

pub(super) static LINGERS: Rule = Rule {
    id: "user-lingers",
    title: "A user's manager runs without a login",
    techniques: &[T1543_002, T1053_006],
    is_analytic: false,
    severity: "low when the user has timers or services that no package brought; informational otherwise",
    explanation: "The user's timers fire from boot on, whether somebody is logged in or not.",
    check: "What does the user run? `systemctl --user -M USER@ list-timers`",
    silence: "`loginctl disable-linger USER`",
};

pub(super) static ACCOUNT: Rule = Rule {
    id: "unit-account-odd",
    title: "A unit runs as an account that is gone, or that should run nothing",
    techniques: &[T1543_002, T1078_003],
    is_analytic: false,
    severity: "medium for a user's own units where the account has no login shell; low otherwise",
    explanation: "Whoever makes the missing account gets the unit with it; units of accounts without a login were \
                  put there by somebody else.",
    check: "Was the account removed, or the unit copied from elsewhere?",
    silence: "Set `User=` to an account that is there, or remove the unit.",
};

pub(super) static NOT_LOOKED_AT: Rule = Rule {
    id: "not-looked-at",
    title: "Something could not be looked at",
    techniques: &[],
    is_analytic: false,
    severity: "informational",
    explanation: "The check says nothing about what it could not read, or what was too much.",
    check: "Was it run as root? Is the file of a kind that systemd would not read either?",
    silence: "Run the check as root; mend the file.",
};

const AS_ROOT: [&str; 6] = ["docker", "lxd", "incus-admin", "libvirt", "disk", "podman"];
const ADMINS: [&str; 3] = ["sudo", "wheel", "admin"];

fn no_login(shell: &str) -> bool {
    ["nologin", "false"]
        .iter()
        .any(|name| shell.ends_with(&format!("/{name}")))
}

pub(super) fn unit(inventory: &Inventory, unit: &UnitFacts, results: &mut Vec<Posture>) {
    let name = unit.name.as_str();
    if unit.is_shipped() || unit.masked {
        return;
    }
    if let Some(user) = &unit.missing_user {
        let message = format!("{name} runs as {user}, an account that does not exist");
        results.push(of_unit(&ACCOUNT, unit, Severity::Low, message));
        return;
    }
    let Scope::User(uid, user) = &unit.scope else {
        return;
    };
    let account = inventory.accounts.iter().find(|it| it.uid == *uid);
    if let Some(account) = account.filter(|it| *uid != 0 && no_login(&it.shell)) {
        let message = format!("{name} is a unit of {user}, an account without a login");
        let mut result = of_unit(&ACCOUNT, unit, Severity::Medium, message);
        result
            .evidence
            .push(format!("login shell {}", account.shell));
        results.push(result);
    }
}

pub(super) fn all(inventory: &Inventory, results: &mut Vec<Posture>) {
    for (gid, group) in &inventory.names.groups {
        let severity = if AS_ROOT.contains(&group.as_str()) {
            Severity::Low
        } else if ADMINS.contains(&group.as_str()) {
            Severity::Informational
        } else {
            continue;
        };
        let members = inventory.names.members.get(gid).into_iter().flatten();
        let members: Vec<&str> = members.map(String::as_str).take(50).collect();
        if members.is_empty() {
            continue;
        }
        let message = format!(
            "{} can become root by the group {group}",
            members.join(", ")
        );
        let path = format!("/etc/group:{group}");
        results.push(of_path(&GROUP, &path, severity, message));
    }
    for user in &inventory.lingering {
        let own = inventory.units.iter().filter(|unit| {
            matches!(&unit.scope, Scope::User(_, name) if name == user) && !unit.is_shipped()
        });
        let own: Vec<&str> = own.map(|unit| unit.name.as_str()).take(20).collect();
        let root = user == "root";
        let severity = if own.is_empty() && !root {
            Severity::Informational
        } else {
            Severity::Low
        };
        let message = format!("the manager of {user} runs from boot on");
        let path = format!("/var/lib/systemd/linger/{user}");
        let mut result = of_path(&LINGERS, &path, severity, message);
        result
            .evidence
            .extend(own.iter().map(|unit| format!("unit {unit}")));
        result.fix = Some(format!("loginctl disable-linger {}", super::quoted(user)));
        results.push(result);
    }
    for problem in &inventory.problems {
        let mut result = of_path(&NOT_LOOKED_AT, "", Severity::Informational, problem.clone());
        result.path = None;
        results.push(result);
    }
}
