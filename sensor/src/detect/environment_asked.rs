//! A manager was asked to give what it starts a variable that makes it run what is not its own.

use super::{
    catalogue::MANAGER_CONFIG_CHANGED,
    environment_names::{loads, moves_load_paths},
};
use crate::event::{
    Asked, Cause, CauseRequest, Finding, Grade, LinkKind, Manager, Related, Severity, Timestamp,
};

/// OCSF `type_uid` of a request: Process Activity, Other.
const REQUEST_TYPE: u32 = 100_799;

/// The finding that a request amounts to, if it does. `uid` is that of its event.
///
/// Severity: high for PID 1, medium for a user's manager. Whether the manager agreed is not known.
#[must_use]
pub fn environment_asked(asked: &Asked, uid: &str, time: Timestamp) -> Option<Finding> {
    let is_set = |it: &&String| {
        let name = it.split('=').next().unwrap_or_default();
        loads(it) == Some(Severity::High) || moves_load_paths(name)
    };
    let setting = asked.request()?.environment.iter().find(is_set)?;
    let process = &asked.author.process;
    let manager = match &asked.manager {
        Manager::System => "PID 1".to_owned(),
        other => format!("manager {other}"),
    };
    Some(Finding {
        rule: &MANAGER_CONFIG_CHANGED,
        title: MANAGER_CONFIG_CHANGED.title.to_owned(),
        message: format!(
            "{}({}) asked {manager} to set {setting} for all that it starts",
            process.name(),
            process.key.tgid
        ),
        severity: match asked.manager {
            Manager::System => Severity::High,
            _ => Severity::Medium,
        },
        grade: Grade::Probable,
        process: process.clone(),
        ancestry: asked.author.ancestry.clone(),
        systemd: None,
        timer: None,
        cause: vec![Cause {
            link: LinkKind::Asked,
            time,
            grade: Grade::Probable,
            actor: Some(asked.author.clone()),
            file: None,
            request: Some(CauseRequest {
                method: asked.method(),
                unit: None,
                login: asked.login.clone(),
            }),
            unit: None,
            event_uid: Some(uid.to_owned()),
        }],
        related: vec![Related {
            uid: uid.to_owned(),
            type_uid: REQUEST_TYPE,
        }],
        traits: Vec::new(),
    })
}
