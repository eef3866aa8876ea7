//! What a request amounts to by itself, whatever the manager then does.

use super::catalogue::{MANAGER_RELOADED_BY_SIGNAL, REQUESTER_OVER_SSH};
use super::is_manager;
use crate::event::{
    Asked, Cause, CauseRequest, Finding, Grade, LinkKind, Manager, Means, Related, RequestClass,
    Rule, Severity, Timestamp, Trait,
};

/// What `systemctl -H` is at the other end.
const BRIDGE: &str = "systemd-stdio-bridge";

/// The finding that a request amounts to, if it does. `expected`: see [`super::Detector::asked`].
pub(super) fn judge(uid: &str, time: Timestamp, asked: &Asked, expected: bool) -> Option<Finding> {
    let system = asked.manager == Manager::System;
    let (rule, severity, message, unit) = if is_reload_by_signal(asked) {
        let base = if system {
            Severity::Medium
        } else {
            Severity::Low
        };
        let message = format!(
            "{} had {} read its units anew by {}",
            who(asked),
            asked.manager.in_words(),
            asked.method()
        );
        (&MANAGER_RELOADED_BY_SIGNAL, base, message, None)
    } else {
        let (severity, unit) = over_ssh(asked)?;
        let message = format!(
            "{} asked {} for {} {unit}, in a session over SSH from {}",
            who(asked),
            asked.manager.in_words(),
            asked.method(),
            asked.login.peer?
        );
        (&REQUESTER_OVER_SSH, severity, message, Some(unit))
    };
    let severity = if expected {
        Severity::Informational
    } else {
        severity
    };
    Some(finding(rule, severity, message, unit, (uid, time), asked))
}

/// By what two findings are of one deed: who did it, to what.
pub(super) fn subject(asked: &Asked) -> String {
    let author = asked.author.process.key;
    let unit = unit_of(asked).unwrap_or_default();
    format!("{} {} {} {unit}", asked.manager, author.tgid, author.start)
}

/// A signal that has units read anew, of somebody who is no manager: those pass such orders on.
fn is_reload_by_signal(asked: &Asked) -> bool {
    matches!(asked.means, Means::Signal(_))
        && asked.class() == RequestClass::Reload
        && !is_manager(&asked.author.process)
}

/// How bad it is that somebody over SSH asks for this, and which unit is concerned.
fn over_ssh(asked: &Asked) -> Option<(Severity, &str)> {
    asked.login.peer?;
    let request = asked.request()?;
    let method = request.method.as_deref().unwrap_or_default();
    let starts = request.class == RequestClass::Start && method.contains("StartUnit");
    let makes = matches!(request.class, RequestClass::Create | RequestClass::Enable);
    if !starts && !makes || method.contains("Restart") {
        return None;
    }
    let unit = unit_of(asked)?;
    let ancestry = asked.author.ancestry.iter().map(AsRef::as_ref);
    let mut chain = std::iter::once(asked.author.process.as_ref()).chain(ancestry);
    // A user's own manager does nothing that the user could not do; of a scope nothing at all but to keep
    // the processes together that it is given, as those of a program of flatpak's.
    let own = matches!(asked.manager, Manager::User(_));
    let mut made = request.transient.iter();
    if own && unit.ends_with(".scope") && made.all(|made| made.unit.ends_with(".scope")) {
        return Some((Severity::Informational, unit));
    }
    let severity = if unit.ends_with(".timer") || request.class == RequestClass::Create {
        Severity::Medium
    } else if makes || chain.any(|process| process.name() == BRIDGE) {
        Severity::Low
    } else {
        Severity::Informational
    };
    Some((if own { severity.lowered() } else { severity }, unit))
}

/// The unit that is made first, or named first; of several a timer.
fn unit_of(asked: &Asked) -> Option<&str> {
    let request = asked.request()?;
    let made = request.transient.iter().map(|made| made.unit.as_str());
    let named = request.units.iter().map(String::as_str);
    let units = || made.clone().chain(named.clone());
    units()
        .find(|unit| unit.ends_with(".timer"))
        .or_else(|| units().next())
}

fn who(asked: &Asked) -> String {
    let process = &asked.author.process;
    format!("{}({})", process.name(), process.key.tgid)
}

fn finding(
    rule: &'static Rule,
    severity: Severity,
    message: String,
    unit: Option<&str>,
    (uid, time): (&str, Timestamp),
    asked: &Asked,
) -> Finding {
    let author = &asked.author;
    let refusable = asked.manager == Manager::System && author.process.euid != 0;
    let grade = if refusable {
        Grade::Probable
    } else {
        Grade::Certain
    };
    let mut traits = vec![Trait::user_context(&author.process)];
    traits.extend(asked.login.peer.map(|peer| Trait {
        name: "peer",
        value: peer.to_string(),
    }));
    Finding {
        rule,
        title: rule.title.to_owned(),
        message,
        severity,
        grade,
        process: author.process.clone(),
        ancestry: author.ancestry.clone(),
        systemd: None,
        timer: unit
            .filter(|unit| unit.ends_with(".timer"))
            .map(str::to_owned),
        cause: vec![cause(asked, unit, Grade::Certain, (uid, time))],
        related: vec![related(uid)],
        traits,
    }
}

/// The one link of such a finding.
pub(super) fn cause(
    asked: &Asked,
    unit: Option<&str>,
    grade: Grade,
    (uid, time): (&str, Timestamp),
) -> Cause {
    Cause {
        link: match asked.class() {
            RequestClass::Enable => LinkKind::Enabled,
            RequestClass::Reload => LinkKind::Reloaded,
            _ => LinkKind::Asked,
        },
        time,
        grade,
        actor: Some(asked.author.clone()),
        file: None,
        request: Some(CauseRequest {
            method: asked.method(),
            unit: unit.map(str::to_owned),
            login: asked.login.clone(),
        }),
        unit: unit.map(str::to_owned),
        event_uid: Some(uid.to_owned()),
    }
}

/// The request's event.
pub(super) fn related(uid: &str) -> Related {
    Related {
        uid: uid.to_owned(),
        type_uid: Asked::TYPE_UID,
    }
}
