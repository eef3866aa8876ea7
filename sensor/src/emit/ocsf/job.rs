//! Scheduled Job Activity 1006: a timer elapsed.

use serde::Serialize;

use super::common::{File, Metadata, Text, millis};
use crate::event::{Event, Manager, TimerFired};

#[derive(Serialize)]
pub(super) struct JobActivity<'a> {
    class_uid: u16,
    category_uid: u8,
    activity_id: u8,
    type_uid: u32,
    severity_id: u8,
    time: u64,
    message: String,
    metadata: Metadata<'a>,
    job: Job<'a>,
    unmapped: Unmapped<'a>,
}

#[derive(Serialize)]
struct Job<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmd_line: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<File<'a>>,
    last_run_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_run_time: Option<u64>,
}

#[derive(Serialize)]
struct Unmapped<'a> {
    boot_ns: u64,
    timer: Timer<'a>,
}

#[derive(Serialize)]
struct Timer<'a> {
    manager: Text<&'a Manager>,
    triggers: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    already_active: Option<bool>,
}

/// OCSF `activity_id` Start.
const START: u8 = 6;

pub(super) fn fired<'a>(event: &'a Event, fired: &'a TimerFired) -> JobActivity<'a> {
    let time = event.time.wall_millis();
    let state = match fired.active {
        Some(true) => ", active already",
        _ => "",
    };
    JobActivity {
        class_uid: 1006,
        category_uid: 1,
        activity_id: START,
        type_uid: 100_600 + u32::from(START),
        severity_id: 1,
        time,
        message: format!(
            "{} elapsed: {}{state}",
            fired.timer,
            fired.triggers.join(", ")
        ),
        metadata: Metadata::new(event, "job"),
        job: Job {
            name: &fired.timer,
            cmd_line: fired.command_line.as_deref(),
            file: fired.file.as_deref().map(|path| File::new(path, 1, None)),
            last_run_time: time,
            next_run_time: fired.next.and_then(millis),
        },
        unmapped: Unmapped {
            boot_ns: event.time.boot,
            timer: Timer {
                manager: Text(&fired.manager),
                triggers: &fired.triggers,
                already_active: fired.active,
            },
        },
    }
}
