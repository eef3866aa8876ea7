//! Base Event 0: the agent speaks about itself.

use serde::Serialize;

use super::common::{Metadata, Text};
use crate::emit::words::HealthMessage;
use crate::event::{Event, Health, LossCount};

#[derive(Serialize)]
pub(super) struct BaseEvent<'a> {
    class_uid: u16,
    category_uid: u8,
    activity_id: u8,
    activity_name: &'static str,
    type_uid: u32,
    severity_id: u8,
    time: u64,
    message: Text<HealthMessage<'a>>,
    metadata: Metadata<'a>,
    unmapped: Unmapped<'a>,
}

#[derive(Serialize)]
struct Unmapped<'a> {
    boot_ns: u64,
    health: HealthObject<'a>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum HealthObject<'a> {
    Started {
        #[serde(skip_serializing_if = "Option::is_none")]
        file_tier: Option<&'static str>,
        watched: usize,
        blind: &'a [String],
    },
    Loss {
        lost: &'a [LossCount],
    },
    Gap {
        gap: &'a str,
    },
    Stopped {
        events: u64,
        findings: u64,
        lost: u64,
    },
}

pub(super) fn health<'a>(event: &'a Event, health: &'a Health) -> BaseEvent<'a> {
    let (activity_name, severity_id, object) = match health {
        Health::Started {
            file_tier,
            watched,
            blind,
        } => (
            "Started",
            1,
            HealthObject::Started {
                file_tier: file_tier.map(|tier| tier.as_str()),
                watched: *watched,
                blind,
            },
        ),
        Health::Loss(lost) => ("Loss", 3, HealthObject::Loss { lost }),
        Health::Gap(gap) => ("Gap", 2, HealthObject::Gap { gap }),
        Health::Stopped {
            events,
            findings,
            lost,
        } => (
            "Stopped",
            1,
            HealthObject::Stopped {
                events: *events,
                findings: *findings,
                lost: *lost,
            },
        ),
    };
    BaseEvent {
        class_uid: 0,
        category_uid: 0,
        activity_id: 99,
        activity_name,
        type_uid: 99,
        severity_id,
        time: event.time.wall_millis(),
        message: Text(HealthMessage(health)),
        metadata: Metadata::new(event, "health"),
        unmapped: Unmapped {
            boot_ns: event.time.boot,
            health: object,
        },
    }
}
