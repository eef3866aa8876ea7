//! DET0231 / AN0645: a unit was created or changed, and a manager then ran it.

use super::catalogue::{CHANGED_UNIT_RAN, TIMER_RAN_CHANGED_UNIT};
use crate::event::{Cause, Exec, Finding, Grade, LinkKind, Manager, Related, Severity, Trait};

/// Words the finding. `cause` and `related` come from the correlation, oldest first.
///
/// Severity: high when PID 1 runs it as root and a timer leads to it; medium when one of the two
/// is missing; low when both are, or when all that is known of the writer is the manager itself:
/// the request was not seen.
#[must_use]
pub fn changed_unit_ran(
    exec: &Exec,
    unit: &str,
    timer: Option<String>,
    cause: Vec<Cause>,
    related: Vec<Related>,
) -> Finding {
    let context = exec.systemd.clone();
    let system = context
        .as_ref()
        .is_some_and(|context| context.manager == Manager::System);
    let root = system && exec.process.euid == 0;
    let writer = cause.iter().rev().find(|link| wrote(link));
    // Else who had a manager write it.
    let writer = writer.or_else(|| cause.iter().find(|link| had_it_written(link)));
    let severity = match (root, timer.is_some(), writer.is_some()) {
        (true, true, true) => Severity::High,
        (true, true, false) | (true, false, true) | (false, true, _) => Severity::Medium,
        (true, false, false) | (false, false, _) => Severity::Low,
    };
    let who = if root { "as root" } else { "as its user" };
    let title = match timer {
        Some(_) => format!("A timer's changed unit ran {who}"),
        None => format!("A changed unit ran {who}"),
    };
    let last = writer.or_else(|| cause.iter().rev().find(|link| link.file.is_some()));
    let by = last.and_then(|link| {
        let actor = link.actor.as_ref()?;
        let did = match (&link.file, &link.request) {
            (Some(file), _) => format!("{} {}", link.link.as_str(), file.path),
            (None, Some(request)) => {
                let unit = request.unit.as_deref().unwrap_or_default();
                let did = format!("asked for {} {unit}", request.method);
                did.trim_end().to_owned()
            }
            (None, None) => return None,
        };
        Some(format!(
            "{} ({}) {did}",
            actor.process.name(),
            actor.process.key.tgid,
        ))
    });
    let timer_words = timer
        .as_ref()
        .map_or_else(String::new, |timer| format!(" (timer {timer})"));
    let message = format!(
        "{}; {} then ran {} in {unit}{timer_words}",
        by.unwrap_or_else(|| "its definition changed".to_owned()),
        if system {
            "PID 1"
        } else {
            "the user's manager"
        },
        exec.process
            .exe
            .as_ref()
            .map_or("a program", |exe| exe.path.as_str()),
    );
    Finding {
        rule: if timer.is_some() {
            &TIMER_RAN_CHANGED_UNIT
        } else {
            &CHANGED_UNIT_RAN
        },
        title,
        message,
        severity,
        grade: writer.map_or(Grade::Probable, |link| link.grade),
        process: exec.process.clone(),
        ancestry: exec.ancestry.clone(),
        systemd: context,
        timer,
        cause,
        related,
        traits: vec![
            Trait {
                name: "ParentProcessID",
                value: exec
                    .process
                    .spawner
                    .map_or_else(|| "unknown".to_owned(), |spawner| spawner.tgid.to_string()),
            },
            Trait::user_context(&exec.process),
        ],
    }
}

fn wrote(link: &Cause) -> bool {
    matches!(link.link, LinkKind::Wrote | LinkKind::Linked) && !super::is_by_manager(link)
}

fn had_it_written(link: &Cause) -> bool {
    matches!(link.link, LinkKind::Asked | LinkKind::Enabled) && link.grade >= Grade::Probable
}
