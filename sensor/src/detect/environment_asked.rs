//! A manager was asked to give what it starts a variable that makes it run what is not its own.

use super::{
    asked::{cause, related},
    catalogue::MANAGER_CONFIG_CHANGED,
};
use crate::event::{Asked, Finding, Grade, Manager, Severity, Timestamp};
use crate::systemd::environment_names::{loads, moves_load_paths};

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
    let manager = asked.manager.in_words();
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
        cause: vec![cause(asked, None, Grade::Probable, (uid, time))],
        related: vec![related(uid)],
        traits: Vec::new(),
    })
}
