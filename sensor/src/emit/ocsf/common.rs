//! Objects that several classes share.

use std::fmt::Display;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::event::{Event, Executable, Origin, Process, ProcessKey, Timestamp};

/// Profiles every event declares: `device` outside of system activity, and `auid`, `euid` and
/// `group` of a process.
const PROFILES: [&str; 2] = ["host", "linux/linux_users"];

/// OCSF `metadata`.
#[derive(Serialize)]
pub(super) struct Metadata<'a> {
    version: &'static str,
    product: Product,
    profiles: [&'static str; 2],
    log_name: &'static str,
    uid: &'a str,
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) correlation_uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) event_code: Option<&'static str>,
}

#[derive(Serialize)]
struct Product {
    name: &'static str,
    vendor_name: &'static str,
    version: &'static str,
}

impl<'a> Metadata<'a> {
    pub(super) fn new(event: &'a Event, log_name: &'static str) -> Self {
        Self {
            version: super::VERSION,
            product: Product {
                name: "whodunit",
                vendor_name: "whodunit",
                version: env!("CARGO_PKG_VERSION"),
            },
            profiles: PROFILES,
            log_name,
            uid: &event.uid,
            sequence: event.sequence,
            correlation_uid: None,
            event_code: None,
        }
    }
}

/// A value that is written as text, without a `String` in between.
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// `<boot id>:<pid>:<start in ns since boot>`.
pub(super) struct ProcessUid<'a> {
    boot: &'a str,
    key: ProcessKey,
}

impl Serialize for ProcessUid<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { boot, key } = self;
        serializer.collect_str(&format_args!("{boot}:{}:{}", key.tgid, key.start))
    }
}

/// The uid of a process whose start is known: without it there is only a pid, no identity.
fn process_uid(key: ProcessKey, boot: &str) -> Option<ProcessUid<'_>> {
    key.is_known().then_some(ProcessUid { boot, key })
}

/// The boot in which a process ran: this one, unless it says otherwise.
fn boot_of<'a>(process: &'a Process, boot: &'a str) -> &'a str {
    process.boot.as_deref().unwrap_or(boot)
}

/// The argument vector as one line.
pub(super) struct CommandLine<'a>(&'a Process);

impl Serialize for CommandLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.command_line())
    }
}

pub(super) fn command_line(process: &Process) -> Option<CommandLine<'_>> {
    (!process.argv.is_empty()).then_some(CommandLine(process))
}

/// `text` unless it is empty, which in the vocabulary means unknown.
pub(super) fn known(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Milliseconds since the epoch, unless the clock was not read.
pub(super) fn millis(time: Timestamp) -> Option<u64> {
    (time.wall != 0).then(|| time.wall_millis())
}

#[derive(Serialize)]
pub(super) struct User<'a> {
    uid: Text<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

impl User<'_> {
    pub(super) fn of_uid(uid: u32) -> Self {
        Self {
            uid: Text(uid),
            name: None,
        }
    }
}

/// An object that is known by its number alone: a group, a session.
#[derive(Serialize)]
struct Numbered {
    uid: Text<u32>,
}

/// OCSF `fingerprint`.
#[derive(Serialize)]
pub(super) struct Fingerprint<'a> {
    algorithm: &'static str,
    algorithm_id: u8,
    value: &'a str,
}

/// OCSF `file`.
#[derive(Serialize)]
pub(super) struct File<'a> {
    pub(super) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ext: Option<&'a str>,
    pub(super) type_id: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<User<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hashes: Option<[Fingerprint<'a>; 1]>,
}

impl<'a> File<'a> {
    /// The file called `path`, of the OCSF type `type_id`.
    pub(super) fn new(path: &'a str, type_id: u8, sha256: Option<&'a str>) -> Self {
        let name = match path.rsplit('/').next() {
            Some(name) if !name.is_empty() => name,
            _ => path,
        };
        Self {
            name,
            path: known(path),
            ext: name
                .rsplit_once('.')
                .and_then(|(stem, ext)| (!stem.is_empty() && !ext.is_empty()).then_some(ext)),
            type_id,
            size: None,
            owner: None,
            is_deleted: false,
            hashes: sha256.map(|value| {
                [Fingerprint {
                    algorithm: "SHA-256",
                    algorithm_id: 3,
                    value,
                }]
            }),
        }
    }

    fn executable(exe: &'a Executable) -> Self {
        let seen = exe.inode != 0;
        Self {
            ext: None,
            size: seen.then_some(exe.size),
            is_deleted: seen && exe.nlink == 0,
            ..Self::new(&exe.path, 8, None)
        }
    }
}

/// OCSF `process`.
#[derive(Serialize)]
pub(super) struct ProcessObject<'a> {
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<ProcessUid<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmd_line: Option<CommandLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) terminated_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_directory: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<File<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Numbered>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    euid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Numbered>,
    #[serde(skip_serializing_if = "Ancestry::is_empty")]
    ancestry: Ancestry<'a>,
}

impl<'a> ProcessObject<'a> {
    pub(super) fn new(process: &'a Process, ancestry: Ancestry<'a>, boot: &'a str) -> Self {
        let seen = process.origin != Origin::Unknown;
        Self {
            name: known(process.name()),
            path: process.exe.as_ref().and_then(|exe| known(&exe.path)),
            cmd_line: command_line(process),
            created_time: millis(process.started),
            working_directory: process.cwd.as_deref(),
            file: process
                .exe
                .as_ref()
                .filter(|exe| !exe.path.is_empty())
                .map(File::executable),
            user: seen.then_some(User {
                uid: Text(process.uid),
                name: process.user.as_deref(),
            }),
            group: seen.then_some(Numbered {
                uid: Text(process.gid),
            }),
            auid: process.auid,
            euid: seen.then_some(process.euid),
            session: process.session.map(|id| Numbered { uid: Text(id) }),
            ancestry,
            ..Self::of_key(process.key, boot_of(process, boot))
        }
    }

    /// A process of which nothing but its key is known.
    pub(super) fn of_key(key: ProcessKey, boot: &'a str) -> Self {
        Self {
            pid: key.tgid,
            uid: process_uid(key, boot),
            name: None,
            path: None,
            cmd_line: None,
            created_time: None,
            terminated_time: None,
            working_directory: None,
            file: None,
            user: None,
            group: None,
            auid: None,
            euid: None,
            session: None,
            ancestry: Ancestry::none(),
        }
    }
}

/// OCSF `ancestry`: nearest first.
pub(super) struct Ancestry<'a> {
    processes: &'a [Arc<Process>],
    boot: &'a str,
    command_lines: bool,
}

impl<'a> Ancestry<'a> {
    pub(super) fn none() -> Self {
        Self::brief(&[], "")
    }

    /// Without command lines: each has been told with its own exec.
    pub(super) fn brief(processes: &'a [Arc<Process>], boot: &'a str) -> Self {
        Self {
            processes,
            boot,
            command_lines: false,
        }
    }

    /// With command lines, for events that have to stand alone.
    pub(super) fn full(processes: &'a [Arc<Process>], boot: &'a str) -> Self {
        Self {
            processes,
            boot,
            command_lines: true,
        }
    }

    fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }
}

/// OCSF `process_entity`.
#[derive(Serialize)]
struct ProcessEntity<'a> {
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<ProcessUid<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmd_line: Option<CommandLine<'a>>,
}

impl Serialize for Ancestry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.processes.iter().map(|process| ProcessEntity {
            pid: process.key.tgid,
            uid: process_uid(process.key, boot_of(process, self.boot)),
            name: known(process.name()),
            path: process.exe.as_ref().and_then(|exe| known(&exe.path)),
            cmd_line: command_line(process).filter(|_| self.command_lines),
        }))
    }
}

/// OCSF `actor`.
#[derive(Serialize)]
pub(super) struct Actor<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<ProcessObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_name: Option<&'static str>,
}

impl<'a> Actor<'a> {
    /// The process itself.
    pub(super) fn process(process: ProcessObject<'a>) -> Self {
        Self {
            process: Some(process),
            app_name: None,
        }
    }

    /// Nobody knows who; the schema wants something of an actor.
    pub(super) fn unknown() -> Self {
        Self {
            process: None,
            app_name: Some("unknown"),
        }
    }

    /// Who spawned `process`.
    pub(super) fn spawner(
        process: &'a Process,
        ancestry: &'a [Arc<Process>],
        boot: &'a str,
    ) -> Self {
        if let Some((spawner, rest)) = ancestry.split_first() {
            return Self::process(ProcessObject::new(
                spawner,
                Ancestry::brief(rest, boot),
                boot,
            ));
        }
        match process.spawner {
            Some(key) => Self::process(ProcessObject::of_key(key, boot)),
            None => Self::unknown(),
        }
    }
}
