//! Detection Finding 2004: a verdict worth a person's time.

use serde::Serialize;

use super::common::{Ancestry, CommandLine, File, Metadata, ProcessObject, command_line, millis};
use super::unmapped::{Chain, ExecutableObject, Systemd, lineage, origin};
use crate::detect::mapping::controls_of;
use crate::event::{Cause, Event, Finding, Grade, LinkKind, Related, Rule, Severity, Technique};

#[derive(Serialize)]
pub(super) struct DetectionFinding<'a> {
    class_uid: u16,
    category_uid: u8,
    activity_id: u8,
    type_uid: u32,
    severity_id: u8,
    severity: &'static str,
    time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<u64>,
    end_time: u64,
    status_id: u8,
    is_alert: bool,
    confidence_id: u8,
    confidence: &'static str,
    message: &'a str,
    metadata: Metadata<'a>,
    finding_info: FindingInfo<'a>,
    evidences: Vec<Evidence<'a>>,
    unmapped: Unmapped<'a>,
}

#[derive(Serialize)]
struct FindingInfo<'a> {
    uid: &'a str,
    title: &'a str,
    desc: &'a str,
    types: [&'static str; 1],
    created_time: u64,
    data_sources: [&'static str; 1],
    analytic: Analytic,
    attacks: Vec<Attack>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    traits: Vec<TraitObject<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_events: Vec<RelatedEvent<'a>>,
}

#[derive(Serialize)]
struct Analytic {
    uid: &'static str,
    name: &'static str,
    type_id: u8,
    version: &'static str,
}

#[derive(Serialize)]
pub(super) struct Attack {
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tactic: Option<Named>,
    technique: Named,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_technique: Option<Named>,
}

#[derive(Serialize)]
struct TraitObject<'a> {
    name: &'static str,
    values: [&'a str; 1],
}

#[derive(Serialize)]
struct Named {
    uid: &'static str,
    name: &'static str,
}

#[derive(Serialize)]
struct RelatedEvent<'a> {
    uid: &'a str,
    type_uid: u32,
}

#[derive(Serialize)]
struct Evidence<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<ProcessObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<File<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<Job<'a>>,
}

#[derive(Serialize)]
struct Job<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmd_line: Option<CommandLine<'a>>,
}

#[derive(Serialize)]
struct Unmapped<'a> {
    boot_ns: u64,
    grade: &'static str,
    origin: &'static str,
    lineage: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    timer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<ExecutableObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    systemd: Option<Systemd<'a>>,
    cause: Chain<'a>,
    controls: Vec<&'static str>,
}

/// One `attack` object for each tactic: `tactics[]` is deprecated in OCSF.
pub(super) fn attacks(rule: &Rule) -> Vec<Attack> {
    let named = |(uid, name)| Named { uid, name };
    let of = |technique: &Technique, tactic| Attack {
        version: "19",
        tactic,
        technique: named(technique.technique),
        sub_technique: technique.sub.map(named),
    };
    let mut attacks = Vec::new();
    for technique in rule.techniques {
        if technique.tactics.is_empty() {
            attacks.push(of(technique, None));
        }
        for tactic in technique.tactics {
            attacks.push(of(technique, Some(named(*tactic))));
        }
    }
    attacks
}

/// ATT&CK's analytic where the rule is part of it, else the rule itself.
fn analytic(rule: &'static Rule) -> Analytic {
    let (uid, name) = if rule.is_analytic {
        (
            "AN0645",
            "Behavioral Detection of Systemd Timer Abuse for Scheduled Execution (DET0231)",
        )
    } else {
        (rule.id, rule.title)
    };
    Analytic {
        uid,
        name,
        type_id: if rule.is_analytic { 2 } else { 1 },
        version: "1.0",
    }
}

pub(super) fn finding<'a>(
    event: &'a Event,
    finding: &'a Finding,
    boot: &'a str,
) -> DetectionFinding<'a> {
    let time = event.time.wall_millis();
    let (confidence_id, confidence) = confidence(finding.grade);
    let mut metadata = Metadata::new(event, "finding");
    metadata.event_code = Some(finding.rule.id);
    metadata.correlation_uid = finding
        .systemd
        .as_ref()
        .and_then(|context| context.invocation_id.as_deref());
    DetectionFinding {
        class_uid: 2004,
        category_uid: 2,
        activity_id: 1,
        type_uid: 200_401,
        severity_id: finding.severity.id(),
        severity: caption(finding.severity),
        time,
        start_time: finding.cause.iter().filter_map(|c| millis(c.time)).min(),
        end_time: time,
        status_id: 1,
        is_alert: finding.severity >= Severity::Medium,
        confidence_id,
        confidence,
        message: &finding.message,
        metadata,
        finding_info: FindingInfo {
            uid: &event.uid,
            title: &finding.title,
            desc: &finding.message,
            types: [finding.rule.id],
            created_time: time,
            data_sources: ["ebpf"],
            analytic: analytic(finding.rule),
            attacks: attacks(finding.rule),
            traits: finding
                .traits
                .iter()
                .map(|weighed| TraitObject {
                    name: weighed.name,
                    values: [&weighed.value],
                })
                .collect(),
            related_events: finding
                .related
                .iter()
                .map(|Related { uid, type_uid }| RelatedEvent {
                    uid,
                    type_uid: *type_uid,
                })
                .collect(),
        },
        evidences: evidences(finding, boot),
        unmapped: Unmapped {
            boot_ns: event.time.boot,
            grade: finding.grade.as_str(),
            origin: origin(&finding.process),
            lineage: lineage(&finding.process, &finding.ancestry),
            timer: finding.timer.as_deref(),
            executable: finding.process.exe.as_ref().map(ExecutableObject::new),
            systemd: finding.systemd.as_ref().map(Systemd::new),
            cause: Chain(&finding.cause),
            controls: controls_of(finding.rule.id),
        },
    }
}

/// The process it is about first, then one for each link of the cause that names somebody or a
/// file.
fn evidences<'a>(finding: &'a Finding, boot: &'a str) -> Vec<Evidence<'a>> {
    let subject = Evidence {
        process: Some(ProcessObject::new(
            &finding.process,
            Ancestry::full(&finding.ancestry, boot),
            boot,
        )),
        file: None,
        job: finding.timer.as_deref().map(|name| Job {
            name,
            cmd_line: command_line(&finding.process),
        }),
    };
    let links = finding
        .cause
        .iter()
        .filter(|cause| cause.link != LinkKind::Spawned)
        .filter(|cause| cause.actor.is_some() || cause.file.is_some())
        .map(|cause| evidence(cause, boot));
    std::iter::once(subject).chain(links).collect()
}

fn evidence<'a>(cause: &'a Cause, boot: &'a str) -> Evidence<'a> {
    let file_type = match cause.link {
        LinkKind::Linked => 7,
        _ => 1,
    };
    Evidence {
        process: cause.actor.as_ref().map(|actor| {
            ProcessObject::new(&actor.process, Ancestry::full(&actor.ancestry, boot), boot)
        }),
        file: cause
            .file
            .as_ref()
            .map(|file| File::new(&file.path, file_type, file.sha256.as_deref())),
        job: None,
    }
}

pub(super) fn caption(severity: Severity) -> &'static str {
    match severity {
        Severity::Informational => "Informational",
        Severity::Low => "Low",
        Severity::Medium => "Medium",
        Severity::High => "High",
        Severity::Critical => "Critical",
    }
}

/// OCSF `confidence_id` and its caption.
fn confidence(grade: Grade) -> (u8, &'static str) {
    match grade {
        Grade::None => (0, "Unknown"),
        Grade::Hint => (1, "Low"),
        Grade::Probable => (2, "Medium"),
        Grade::Certain => (3, "High"),
    }
}
