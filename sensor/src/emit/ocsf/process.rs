//! Process Activity 1007: a program was executed, what caused that, a process ended.

use std::sync::Arc;

use serde::Serialize;

use super::common::{Actor, Ancestry, Metadata, ProcessObject};
use super::unmapped::{Chain, ExecutableObject, Systemd, lineage, origin};
use crate::event::{Event, Exec, Exit, Intent, Process, SystemdContext, Verdict};

#[derive(Serialize)]
pub(super) struct ProcessActivity<'a> {
    class_uid: u16,
    category_uid: u8,
    activity_id: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    activity_name: Option<&'static str>,
    type_uid: u32,
    severity_id: u8,
    time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    launch_type_id: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u32>,
    metadata: Metadata<'a>,
    actor: Actor<'a>,
    process: ProcessObject<'a>,
    unmapped: Unmapped<'a>,
}

#[derive(Serialize)]
struct Unmapped<'a> {
    boot_ns: u64,
    origin: &'static str,
    lineage: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    args_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<ExecutableObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mount_ns: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid_ns: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    systemd: Option<Systemd<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    intent: Option<&'a Intent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refers_to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<Chain<'a>>,
}

/// OCSF `launch_type_id` Exec.
const EXEC: u8 = 3;

pub(super) fn exec<'a>(event: &'a Event, exec: &'a Exec, boot: &'a str) -> ProcessActivity<'a> {
    let mut activity = activity(event, 1, &exec.process, &exec.ancestry, "exec", boot);
    activity.launch_type_id = Some(EXEC);
    activity.unmapped.intent = exec.intent.as_deref();
    if let Some(context) = &exec.systemd {
        with_unit(&mut activity, context);
    }
    activity
}

pub(super) fn verdict<'a>(
    event: &'a Event,
    verdict: &'a Verdict,
    boot: &'a str,
) -> ProcessActivity<'a> {
    let Exec {
        process,
        ancestry,
        systemd,
        intent: _, // told with the exec
        awaited: _,
    } = &verdict.exec;
    let mut activity = activity(event, 99, process, ancestry, "verdict", boot);
    activity.activity_name = Some("Verdict");
    if let Some(context) = systemd {
        with_unit(&mut activity, context);
    }
    activity.unmapped.refers_to = Some(&verdict.refers_to);
    activity.unmapped.cause = Some(Chain(&verdict.cause));
    activity
}

pub(super) fn exit<'a>(event: &'a Event, exit: &'a Exit, boot: &'a str) -> ProcessActivity<'a> {
    let mut activity = activity(event, 2, &exit.process, &exit.ancestry, "exit", boot);
    activity.exit_code = exit.code;
    activity.unmapped.signal = exit.signal;
    activity.process.terminated_time = Some(activity.time);
    activity
}

fn with_unit<'a>(activity: &mut ProcessActivity<'a>, context: &'a SystemdContext) {
    activity.metadata.correlation_uid = context.invocation_id.as_deref();
    if context.cgroup.is_some() {
        activity.unmapped.cgroup = None;
    }
    activity.unmapped.systemd = Some(Systemd::new(context));
}

fn activity<'a>(
    event: &'a Event,
    activity_id: u8,
    process: &'a Process,
    ancestry: &'a [Arc<Process>],
    log_name: &'static str,
    boot: &'a str,
) -> ProcessActivity<'a> {
    ProcessActivity {
        class_uid: 1007,
        category_uid: 1,
        activity_id,
        activity_name: None,
        type_uid: 100_700 + u32::from(activity_id),
        severity_id: 1,
        time: event.time.wall_millis(),
        launch_type_id: None,
        exit_code: None,
        metadata: Metadata::new(event, log_name),
        actor: Actor::spawner(process, ancestry, boot),
        process: ProcessObject::new(process, Ancestry::none(), boot),
        unmapped: Unmapped {
            boot_ns: event.time.boot,
            origin: origin(process),
            lineage: lineage(process, ancestry),
            signal: None,
            args_truncated: process.argv_truncated,
            executable: process.exe.as_ref().map(ExecutableObject::new),
            mount_ns: (process.mount_ns != 0).then_some(process.mount_ns),
            pid_ns: (process.pid_ns != 0).then_some(process.pid_ns),
            cgroup: process.cgroup.as_deref(),
            systemd: None,
            intent: None,
            refers_to: None,
            cause: None,
        },
    }
}
