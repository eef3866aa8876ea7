//! Compliance Finding 2003: what a look at the host's state says.

use serde::Serialize;

use super::common::{File, Metadata};
use super::finding::{Attack, attacks, caption};
use crate::detect::catalogue::TIMER_RAN_CHANGED_UNIT;
use crate::detect::mapping::frameworks_of;
use crate::event::{Control, ControlStatus, Event, Posture, Severity};

#[derive(Serialize)]
pub(super) struct ComplianceFinding<'a> {
    class_uid: u16,
    category_uid: u8,
    activity_id: u8,
    type_uid: u32,
    severity_id: u8,
    severity: &'static str,
    time: u64,
    status_id: u8,
    message: &'a str,
    metadata: Metadata<'a>,
    compliance: Compliance<'a>,
    finding_info: FindingInfo<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remediation: Option<Remediation<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resources: Vec<Resource<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evidences: Vec<Evidence<'a>>,
    unmapped: Unmapped<'a>,
}

#[derive(Serialize)]
struct Compliance<'a> {
    control: &'a str,
    desc: &'a str,
    standards: Vec<&'a str>,
    requirements: Vec<&'a str>,
    status_id: u8,
    status: &'static str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    status_details: &'a [String],
}

#[derive(Serialize)]
struct FindingInfo<'a> {
    uid: String,
    title: &'a str,
    desc: &'a str,
    types: [&'a str; 1],
    created_time: u64,
    data_sources: [&'static str; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attacks: Vec<Attack>,
}

#[derive(Serialize)]
struct Remediation<'a> {
    desc: &'a str,
}

#[derive(Serialize)]
struct Resource<'a> {
    name: &'a str,
    r#type: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
}

#[derive(Serialize)]
struct Evidence<'a> {
    file: File<'a>,
}

#[derive(Serialize)]
struct Unmapped<'a> {
    scan: Scan<'a>,
    controls: &'a [&'static str],
}

#[derive(Serialize)]
struct Excepted<'a> {
    severity: &'static str,
    owner: &'a str,
    reason: &'a str,
    expires: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Scan<'a> {
    Check {
        check: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        unit: Option<&'a str>,
        what_to_check: &'a str,
        silence: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        fix: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        excepted: Option<Excepted<'a>>,
    },
    Control {
        framework: &'a str,
    },
}

pub(super) fn posture<'a>(event: &'a Event, posture: &'a Posture) -> ComplianceFinding<'a> {
    let entry = posture.entry;
    let time = event.time.wall_millis();
    let mut metadata = Metadata::new(event, "scan");
    metadata.event_code = Some(entry.id);
    // What is only worth knowing is no failure.
    let (status_id, status) = if posture.severity == Severity::Informational {
        (2, "Warning")
    } else {
        (3, "Fail")
    };
    let resource = posture.unit.as_deref().map(|name| ("systemd unit", name));
    let resource = resource.or(posture.path.as_deref().map(|path| ("file", path)));
    ComplianceFinding {
        class_uid: 2003,
        category_uid: 2,
        activity_id: 1,
        type_uid: 200_301,
        severity_id: posture.severity.id(),
        severity: caption(posture.severity),
        time,
        status_id: 1,
        message: &posture.message,
        metadata,
        compliance: Compliance {
            control: entry.id,
            desc: entry.explanation,
            standards: frameworks_of(&posture.controls),
            requirements: posture.controls.clone(),
            status_id,
            status,
            status_details: &posture.evidence,
        },
        finding_info: FindingInfo {
            uid: posture.key(),
            title: entry.title,
            desc: &posture.message,
            types: [entry.id],
            created_time: time,
            data_sources: ["scan"],
            attacks: attacks(entry),
        },
        remediation: Some(Remediation {
            desc: posture.fix.as_deref().unwrap_or(entry.silence),
        }),
        resources: resource
            .into_iter()
            .map(|(kind, name)| Resource {
                name,
                r#type: kind,
                namespace: &posture.scope,
            })
            .collect(),
        evidences: posture
            .path
            .iter()
            .map(|path| Evidence {
                file: File::new(path, 0, None),
            })
            .collect(),
        unmapped: Unmapped {
            scan: Scan::Check {
                check: entry.id,
                unit: posture.unit.as_deref(),
                what_to_check: entry.check,
                silence: entry.silence,
                fix: posture.fix.as_deref(),
                excepted: posture.excepted.as_ref().map(|excepted| Excepted {
                    severity: caption(excepted.severity),
                    owner: &excepted.owner,
                    reason: &excepted.reason,
                    expires: &excepted.expires,
                }),
            },
            controls: &posture.controls,
        },
    }
}

pub(super) fn control<'a>(event: &'a Event, control: &'a Control) -> ComplianceFinding<'a> {
    let time = event.time.wall_millis();
    let severity = match control.status {
        ControlStatus::Pass | ControlStatus::Unknown => Severity::Informational,
        ControlStatus::Fail => Severity::Medium,
    };
    let (status_id, status) = match control.status {
        ControlStatus::Pass => (1, "Pass"),
        ControlStatus::Unknown => (0, "Unknown"),
        ControlStatus::Fail => (3, "Fail"),
    };
    ComplianceFinding {
        class_uid: 2003,
        category_uid: 2,
        activity_id: 1,
        type_uid: 200_301,
        severity_id: severity.id(),
        severity: caption(severity),
        time,
        status_id: 1,
        message: control.title,
        metadata: Metadata::new(event, "scan"),
        compliance: Compliance {
            control: control.id,
            desc: control.does,
            standards: vec![control.framework],
            requirements: vec![control.id],
            status_id,
            status,
            status_details: &control.evidence,
        },
        finding_info: FindingInfo {
            uid: format!("control|{}", control.id),
            title: control.title,
            desc: control.does,
            types: ["control"],
            created_time: time,
            data_sources: ["scan"],
            attacks: attacks(&TIMER_RAN_CHANGED_UNIT),
        },
        remediation: None,
        resources: Vec::new(),
        evidences: Vec::new(),
        unmapped: Unmapped {
            scan: Scan::Control {
                framework: control.framework,
            },
            controls: std::slice::from_ref(&control.id),
        },
    }
}
