//! OCSF 1.8.0: one JSON object an event. What OCSF has no place for is in `unmapped`; every field
//! is described in `docs/EVENTS.md`.
//!
//! Objects are written straight into the caller's buffer through borrowing structs: the agent
//! writes one for each exec on the host.

mod common;
mod compliance;
mod content;
mod file;
mod finding;
mod health;
mod job;
mod process;
mod request;
mod unmapped;

use serde::Serialize;

use crate::event::{Actor, Body, Event};
use crate::host::Host;

/// The schema version that events follow.
pub const VERSION: &str = "1.8.0";

/// The encoder for one host.
#[derive(Clone, Debug)]
pub struct Ocsf {
    /// Boot id, the first part of every `process.uid`.
    boot: String,
    /// What every event ends with: its `device` and the closing brace.
    tail: Vec<u8>,
}

impl Ocsf {
    /// An encoder for events of `host`.
    ///
    /// # Errors
    ///
    /// Never for what [`Host::read`] gives: the error is the serializer's.
    pub fn new(host: &Host) -> Result<Self, serde_json::Error> {
        let mut tail = br#","device":"#.to_vec();
        serde_json::to_writer(&mut tail, &Device::of(host))?;
        tail.push(b'}');
        Ok(Self {
            boot: host.boot_id.clone().unwrap_or_else(|| "unknown".to_owned()),
            tail,
        })
    }

    /// Appends `event` to `out` as one JSON object without a newline.
    ///
    /// # Errors
    ///
    /// The serializer's; `out` is then as it was.
    pub fn encode(&self, event: &Event, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        let before = out.len();
        let boot = self.boot.as_str();
        let result = match &event.body {
            Body::Exec(exec) => write(out, &process::exec(event, exec, boot)),
            Body::Exit(exit) => write(out, &process::exit(event, exit, boot)),
            Body::Verdict(verdict) => write(out, &process::verdict(event, verdict, boot)),
            Body::TimerFired(fired) => write(out, &job::fired(event, fired)),
            Body::Change(change) => write(out, &file::change(event, change, boot)),
            Body::Asked(asked) => write(out, &request::asked(event, asked, boot)),
            Body::Finding(finding) => write(out, &finding::finding(event, finding, boot)),
            Body::Posture(posture) => write(out, &compliance::posture(event, posture)),
            Body::Control(control) => write(out, &compliance::control(event, control)),
            Body::Health(health) => write(out, &health::health(event, health)),
        };
        if result.is_err() {
            out.truncate(before);
            return result;
        }
        // The device is the same in every event, so it is encoded once and takes the place of
        // the closing brace.
        out.pop();
        out.extend_from_slice(&self.tail);
        Ok(())
    }
}

/// Somebody as `unmapped.change.writer` names them.
#[must_use]
pub fn who(actor: &Actor) -> serde_json::Value {
    serde_json::to_value(unmapped::Who::actor(actor)).unwrap_or_default()
}

fn write<T: Serialize>(out: &mut Vec<u8>, value: &T) -> Result<(), serde_json::Error> {
    serde_json::to_writer(out, value)
}

#[derive(Serialize)]
struct Device<'a> {
    type_id: u8,
    hostname: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_uid: Option<&'a str>,
    os: Os<'a>,
}

#[derive(Serialize)]
struct Os<'a> {
    name: &'a str,
    type_id: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_release: Option<&'a str>,
}

impl<'a> Device<'a> {
    fn of(host: &'a Host) -> Self {
        Self {
            // Unknown: whether it is a server, a desktop or a virtual machine is not looked at.
            type_id: 0,
            hostname: host.hostname.as_deref().unwrap_or("unknown"),
            uid: host.device_uid.as_deref(),
            boot_uid: host.boot_id.as_deref(),
            os: Os {
                name: host.os_name.as_deref().unwrap_or("Linux"),
                type_id: 200,
                kernel_release: host.kernel_release.as_deref(),
            },
        }
    }
}
