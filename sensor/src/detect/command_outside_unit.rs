//! A process in a service that the service's unit does not account for.

use super::catalogue::COMMAND_OUTSIDE_UNIT;
use crate::{
    event::{Cause, Exec, Finding, Grade, Manager, Related, Severity, Trait},
    systemd::cgroup::CgroupUnit,
};

/// OCSF `type_uid` of an exec: Process Activity, Launch.
const EXEC_TYPE: u32 = 100_701;

/// Why a process is none of its unit's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outside {
    /// The manager started it, and no command of the unit is this one.
    Unnamed,
    /// It came from the cgroup `from` into the service.
    Moved {
        /// The path of the cgroup that it, or who spawned it, executed a program in before.
        from: String,
        /// Where it is.
        to: CgroupUnit,
    },
}

/// Words the finding. `uid` is that of the exec's event, `cause` comes from the correlation.
///
/// Severity: medium for a service of PID 1, low for a user's.
#[must_use]
pub fn command_outside_unit(
    exec: &Exec,
    uid: &str,
    outside: &Outside,
    cause: Vec<Cause>,
) -> Finding {
    let process = &exec.process;
    let context = exec.systemd.as_ref();
    let (manager, unit) = match outside {
        Outside::Unnamed => (
            context.map(|context| &context.manager),
            context.and_then(|context| context.unit.as_deref()),
        ),
        Outside::Moved { to, .. } => (Some(&to.manager), to.unit.as_deref()),
    };
    let unit = unit.unwrap_or("a service");
    let system = manager == Some(&Manager::System);
    let program = process
        .exe
        .as_ref()
        .map_or("a program", |exe| exe.path.as_str());
    let message = match outside {
        Outside::Unnamed => format!(
            "{} ran {program} in {unit}; no command of the unit is `{}`",
            if system {
                "PID 1"
            } else {
                "the user's manager"
            },
            process.command_line()
        ),
        Outside::Moved { from, .. } => format!(
            "{}({}) ran {program} in {unit}, where it came from {from}; no manager started it there",
            process.name(),
            process.key.tgid
        ),
    };
    let traits = vec![Trait::user_context(process)];
    Finding {
        rule: &COMMAND_OUTSIDE_UNIT,
        title: COMMAND_OUTSIDE_UNIT.title.to_owned(),
        message,
        severity: if system {
            Severity::Medium
        } else {
            Severity::Low
        },
        grade: Grade::Probable,
        process: process.clone(),
        ancestry: exec.ancestry.clone(),
        systemd: exec.systemd.clone(),
        timer: None,
        cause,
        related: vec![Related {
            uid: uid.to_owned(),
            type_uid: EXEC_TYPE,
        }],
        traits,
    }
}
