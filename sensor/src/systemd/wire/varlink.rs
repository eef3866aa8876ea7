//! Varlink calls: JSON, one object a call.

use serde_json::{Map, Value};

use super::transient::seconds;
use super::{keep, lacks, text, variable};
use crate::event::{Protocol, Request, RequestClass, TransientCommand, TransientUnit};

/// Deepest nesting that a call which is cut short is read with; serde_json has a limit of its
/// own.
const DEPTH_MAX: usize = 64;

/// What a call asks. `cut` tells that its end is missing.
pub(super) fn request(bytes: &[u8], cut: bool) -> Request {
    let repaired;
    let bytes = if cut {
        repaired = close(bytes);
        &repaired
    } else {
        bytes
    };
    let mut request = match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Object(call)) => of_call(&call),
        Ok(_) => Request::undecoded(Protocol::Varlink, "it is no object"),
        Err(_) => Request::undecoded(Protocol::Varlink, "it is no JSON"),
    };
    request.truncated |= cut;
    request
}

fn of_call(call: &Map<String, Value>) -> Request {
    let mut request = Request {
        protocol: Protocol::Varlink,
        ..Request::default()
    };
    let Some(method) = call.get("method").and_then(Value::as_str) else {
        lacks(&mut request, "it has no method");
        return request;
    };
    request.method = Some(text(method, &mut request.truncated));
    request.class = class(method);
    if request.class == RequestClass::Unknown {
        lacks(&mut request, "the method is not known");
    }
    let Some(parameters) = call.get("parameters").and_then(Value::as_object) else {
        return request;
    };
    for (name, value) in parameters {
        parameter(name, value, &mut request);
    }
    request
}

/// What a method is for (systemd 258 to 262).
fn class(method: &str) -> RequestClass {
    match method {
        "io.systemd.Manager.Reload" | "io.systemd.Manager.Reexecute" => RequestClass::Reload,
        "io.systemd.Manager.EnqueueMarkedJobs" => RequestClass::Start,
        "io.systemd.Unit.StartTransient" => RequestClass::Create,
        "io.systemd.Unit.SetProperties" => RequestClass::Set,
        "io.systemd.Manager.PowerOff"
        | "io.systemd.Manager.Reboot"
        | "io.systemd.Manager.SoftReboot"
        | "io.systemd.Manager.Halt"
        | "io.systemd.Manager.KExec"
        | "io.systemd.Job.Cancel"
        | "io.systemd.Job.ClearAll" => RequestClass::Control,
        "io.systemd.Manager.Describe" | "io.systemd.Unit.List" | "io.systemd.Job.List" => {
            RequestClass::Read
        }
        _ if method.starts_with("org.varlink.service.") => RequestClass::Read,
        _ => RequestClass::Unknown,
    }
}

fn parameter(name: &str, value: &Value, request: &mut Request) {
    let truncated = &mut request.truncated;
    match (name, value) {
        ("context", Value::Object(context)) => {
            let unit = unit(context, truncated);
            keep(&mut request.units, unit.unit.clone(), truncated);
            keep(&mut request.transient, unit, truncated);
        }
        ("mode", Value::String(mode)) => request.mode = Some(text(mode, truncated)),
        ("runtime", Value::Bool(runtime)) => request.runtime = Some(*runtime),
        ("name", Value::String(name)) => {
            keep(&mut request.units, text(name, truncated), truncated);
        }
        ("properties", Value::Object(properties)) => {
            for (name, value) in properties {
                setting(name, value, &mut request.settings, truncated);
            }
        }
        _ => setting(name, value, &mut request.arguments, truncated),
    }
}

/// A unit to make: what is in `Service`, `Exec` and other sections of its context.
fn unit(context: &Map<String, Value>, truncated: &mut bool) -> TransientUnit {
    let mut unit = TransientUnit::default();
    for (name, value) in context {
        match (name.as_str(), value) {
            ("ID", Value::String(id)) => unit.unit = text(id, truncated),
            (_, Value::Object(section)) => {
                for (name, value) in section {
                    property(name, value, &mut unit, truncated);
                }
            }
            _ => setting(name, value, &mut unit.settings, truncated),
        }
    }
    unit
}

fn property(name: &str, value: &Value, unit: &mut TransientUnit, truncated: &mut bool) {
    match (name, value) {
        ("User", Value::String(user)) => unit.user = Some(text(user, truncated)),
        ("WorkingDirectory", _) => {
            let path = value.as_str().or_else(|| value.get("path")?.as_str());
            unit.working_directory = path.map(|path| text(path, truncated));
        }
        ("Environment", Value::Array(list)) => {
            for assignment in list.iter().filter_map(Value::as_str) {
                let told = variable(assignment, truncated);
                keep(&mut unit.environment, told, truncated);
            }
        }
        ("PIDs", Value::Array(list)) => {
            for pid in list {
                // Plain, or an object with the inode of its pidfd.
                let number = pid.as_u64().or_else(|| pid.get("pid")?.as_u64());
                if let Some(pid) = number.and_then(|pid| u32::try_from(pid).ok()) {
                    keep(&mut unit.processes, pid, truncated);
                }
            }
        }
        (_, Value::Array(list)) if name.starts_with("Exec") => {
            for command in list {
                let path = command.get("path").and_then(Value::as_str);
                let argv = command.get("arguments").and_then(Value::as_array);
                let mut told = TransientCommand {
                    setting: text(name, truncated),
                    path: text(path.unwrap_or_default(), truncated),
                    argv: Vec::new(),
                };
                for argument in argv.into_iter().flatten().filter_map(Value::as_str) {
                    keep(&mut told.argv, text(argument, truncated), truncated);
                }
                keep(&mut unit.runs, told, truncated);
            }
        }
        (_, Value::Number(span)) if name.starts_with("On") && name.ends_with("USec") => {
            let span = seconds(span.as_u64().unwrap_or_default());
            let when = format!("{}={span}", name.replace("USec", "Sec"));
            keep(&mut unit.when, text(&when, truncated), truncated);
        }
        _ => setting(name, value, &mut unit.settings, truncated),
    }
}

/// `Name=value`, with values other than texts as JSON; of credentials the name alone.
fn setting(name: &str, value: &Value, list: &mut Vec<String>, truncated: &mut bool) {
    let value = match value {
        Value::Null => return,
        _ if name.starts_with("SetCredential") => String::new(),
        Value::String(value) => value.clone(),
        other => other.to_string(),
    };
    let setting = text(&format!("{name}={value}"), truncated);
    keep(list, setting, truncated);
}

/// The beginning of a JSON text up to its last whole member, with what is open closed.
fn close(bytes: &[u8]) -> Vec<u8> {
    let mut open = Vec::new();
    // Where to cut, and how many are open there.
    let mut whole = (0, 0);
    let mut quoted = false;
    let mut escaped = false;
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => {
                if open.len() >= DEPTH_MAX {
                    break;
                }
                open.push(if byte == b'{' { b'}' } else { b']' });
                whole = (at + 1, open.len());
            }
            b'}' | b']' => {
                open.pop();
                whole = (at + 1, open.len());
            }
            b',' => whole = (at, open.len()),
            _ => {}
        }
    }
    let (end, depth) = whole;
    // Those that were open at the cut: what closed since stands behind it.
    let mut text = bytes.get(..end).unwrap_or_default().to_vec();
    text.extend(open.get(..depth).unwrap_or_default().iter().rev());
    text
}
