//! OCSF's own schemas, as the agent's tests keep them.

use std::collections::HashMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

static SCHEMAS: LazyLock<HashMap<u64, Validator>> = LazyLock::new(|| {
    let files = [
        (0, "base_event"),
        (1001, "file_activity"),
        (1006, "scheduled_job_activity"),
        (1007, "process_activity"),
        (2003, "compliance_finding"),
        (2004, "detection_finding"),
    ];
    files
        .map(|(class, name)| {
            let path = format!(
                "{}/../sensor/tests/fixtures/ocsf/{name}.json",
                env!("CARGO_MANIFEST_DIR")
            );
            let text = std::fs::read_to_string(&path).expect(&path);
            let schema = serde_json::from_str(&text).expect(&path);
            (class, jsonschema::validator_for(&schema).expect(&path))
        })
        .into()
});

/// What the schema has against `event`.
pub(crate) fn faults(event: &Value) -> Vec<String> {
    let Some(schema) = event["class_uid"].as_u64().and_then(|id| SCHEMAS.get(&id)) else {
        return vec![format!("no schema for class {}", event["class_uid"])];
    };
    schema
        .iter_errors(event)
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect()
}
