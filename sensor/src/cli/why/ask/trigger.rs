//! What made a manager start a unit.

use serde_json::{Value, json};

use crate::event::Trigger;

pub(super) fn words(trigger: &Trigger) -> String {
    let kind = trigger.kind.as_str();
    let mut words = match &trigger.unit {
        Some(unit) => format!("{kind} {unit}"),
        None => kind.to_owned(),
    };
    words.push_str(&format!(" ({})", trigger.grade.as_str()));
    words
}

pub(super) fn facts(trigger: &Trigger) -> Value {
    json!({
        "type": trigger.kind.as_str(),
        "unit": trigger.unit,
        "fired_at": trigger.fired_at.map(|time| time.wall_millis()),
        "grade": trigger.grade.as_str(),
        "evidence": trigger.evidence,
    })
}
