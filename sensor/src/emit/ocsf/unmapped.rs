//! What OCSF has no place for, and several classes tell.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::common::{CommandLine, Text, command_line, known, millis};
use super::request::LoginObject;
use crate::event::{
    Actor, Cause, CauseFile, Executable, Origin, Process, ProcessKey, SystemdContext, Trigger,
};

/// A device number as /proc/self/mountinfo prints it: `major:minor`.
pub(super) fn device(raw: u32) -> Option<Text<DeviceNumber>> {
    (raw != 0).then_some(Text(DeviceNumber(raw)))
}

pub(super) struct DeviceNumber(u32);

impl std::fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.0 >> 20, self.0 & 0xf_ffff)
    }
}

/// `st_mode` in octal, six digits.
pub(super) fn mode(raw: u32) -> Option<Text<Mode>> {
    (raw != 0).then_some(Text(Mode(raw)))
}

pub(super) struct Mode(u32);

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:06o}", self.0)
    }
}

/// `origin`: how the process came to be known.
pub(super) fn origin(process: &Process) -> &'static str {
    match process.origin {
        Origin::Exec => "exec",
        Origin::Fork => "fork",
        Origin::Procfs => "procfs",
        Origin::Unknown => "unknown",
    }
}

/// `lineage`: how its spawner is known.
pub(super) fn lineage(process: &Process, ancestry: &[Arc<Process>]) -> &'static str {
    match process.origin {
        _ if process.spawner.is_none() && ancestry.is_empty() => "unknown",
        Origin::Procfs => "procfs",
        _ => "measured",
    }
}

/// `executable`: its identity, of which the path is only a picture.
#[derive(Serialize)]
pub(super) struct ExecutableObject {
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<Text<DeviceNumber>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inode: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nlink: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Text<Mode>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    memfd: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    path_truncated: bool,
}

impl ExecutableObject {
    pub(super) fn new(exe: &Executable) -> Self {
        let seen = exe.inode != 0;
        Self {
            device: device(exe.device),
            inode: seen.then_some(exe.inode),
            nlink: seen.then_some(exe.nlink),
            mode: mode(exe.mode),
            memfd: exe.nlink == 0 && exe.path.trim_start_matches('/').starts_with("memfd:"),
            path_truncated: exe.truncated,
        }
    }
}

/// `systemd`.
#[derive(Serialize)]
pub(super) struct Systemd<'a> {
    manager: Text<&'a crate::event::Manager>,
    spawned_by_manager: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invocation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<TriggerObject<'a>>,
}

#[derive(Serialize)]
struct TriggerObject<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fired_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fired_at_boot_ns: Option<u64>,
    grade: &'static str,
    evidence: &'a [String],
}

impl<'a> Systemd<'a> {
    pub(super) fn new(context: &'a SystemdContext) -> Self {
        Self {
            manager: Text(&context.manager),
            spawned_by_manager: context.spawned,
            unit: context.unit.as_deref(),
            invocation_id: context.invocation_id.as_deref(),
            cgroup: context.cgroup.as_deref(),
            trigger: context.trigger.as_ref().map(TriggerObject::new),
        }
    }
}

impl<'a> TriggerObject<'a> {
    fn new(trigger: &'a Trigger) -> Self {
        Self {
            kind: trigger.kind.as_str(),
            unit: trigger.unit.as_deref(),
            fired_at: trigger.fired_at.and_then(millis),
            fired_at_boot_ns: trigger.fired_at.map(|time| time.boot),
            grade: trigger.grade.as_str(),
            evidence: &trigger.evidence,
        }
    }
}

/// A process as causes and changes name it.
#[derive(Serialize)]
pub(super) struct Who<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<u64>,
    /// Where it ran in another boot than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmd_line: Option<CommandLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ancestry: Option<Ancestors<'a>>,
}

impl<'a> Who<'a> {
    pub(super) fn new(process: &'a Process) -> Self {
        Self {
            pid: (!is_nobody(process)).then_some(process.key.tgid),
            start: process.key.is_known().then_some(process.key.start),
            boot_uid: process.boot.as_deref(),
            name: known(process.name()).or_else(|| is_nobody(process).then_some("unknown")),
            path: process.exe.as_ref().and_then(|exe| known(&exe.path)),
            cmd_line: command_line(process),
            uid: (process.origin != Origin::Unknown).then_some(process.uid),
            auid: process.auid,
            ancestry: None,
        }
    }

    pub(super) fn actor(actor: &'a Actor) -> Self {
        Self {
            ancestry: (!is_nobody(&actor.process)).then_some(Ancestors(&actor.ancestry)),
            ..Self::new(&actor.process)
        }
    }
}

/// Whether this stands for somebody whom nobody saw.
pub(super) fn is_nobody(process: &Process) -> bool {
    process.key == ProcessKey::default()
}

struct Ancestors<'a>(&'a [Arc<Process>]);

impl Serialize for Ancestors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|process| Who::new(process)))
    }
}

/// One link of `cause`.
#[derive(Serialize)]
pub(super) struct CauseLink<'a> {
    link: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<u64>,
    /// Nothing of another boot: time since then means nothing here.
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_ns: Option<u64>,
    grade: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Who<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<CauseFileObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<CauseRequestObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_uid: Option<&'a str>,
}

#[derive(Serialize)]
struct CauseRequestObject<'a> {
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<LoginObject<'a>>,
}

#[derive(Serialize)]
struct CauseFileObject<'a> {
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<&'a str>,
}

/// `cause`, oldest first.
pub(super) struct Chain<'a>(pub(super) &'a [Cause]);

impl Serialize for Chain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|cause| {
            CauseLink {
                link: cause.link.as_str(),
                time: millis(cause.time),
                boot_ns: (cause.time.boot != 0).then_some(cause.time.boot),
                grade: cause.grade.as_str(),
                process: cause.actor.as_ref().map(Who::actor),
                file: cause
                    .file
                    .as_ref()
                    .map(|CauseFile { path, sha256 }| CauseFileObject {
                        path,
                        sha256: sha256.as_deref(),
                    }),
                request: cause.request.as_ref().map(|request| CauseRequestObject {
                    method: &request.method,
                    unit: request.unit.as_deref(),
                    login: cause
                        .actor
                        .as_ref()
                        .and_then(|actor| LoginObject::new(&actor.process, &request.login)),
                }),
                unit: cause.unit.as_deref(),
                event_uid: cause.event_uid.as_deref(),
            }
        }))
    }
}
