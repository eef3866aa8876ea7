//! File System Activity 1001: something was done to a watched file or directory.

use serde::Serialize;

use super::common::{Actor, Ancestry, File, Metadata, ProcessObject, Text, User, millis};
use super::content::ContentObject;
use super::request::OnBehalfOfObject;
use super::unmapped::{DeviceNumber, Mode, Who, device, is_nobody, lineage, mode};
use crate::emit::words;
use crate::event::{Change, Event, FileClass, Verb};

#[derive(Serialize)]
pub(super) struct FileActivity<'a> {
    class_uid: u16,
    category_uid: u8,
    activity_id: u8,
    type_uid: u32,
    severity_id: u8,
    time: u64,
    message: Text<Message<'a>>,
    metadata: Metadata<'a>,
    actor: Actor<'a>,
    file: File<'a>,
    unmapped: Unmapped<'a>,
}

#[derive(Serialize)]
struct Unmapped<'a> {
    boot_ns: u64,
    lineage: &'static str,
    change: ChangeObject<'a>,
}

#[derive(Serialize)]
struct ChangeObject<'a> {
    verb: &'static str,
    class: &'static str,
    path: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    path_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<Text<DeviceNumber>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inode: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nlink: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Text<Mode>>,
    truncates: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<ContentObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    between: Option<BetweenObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unseen: Option<UnseenObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<PackageObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<TransactionObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<&'static str>,
    /// `null` of a load: nobody was seen.
    writer: Option<Who<'a>>,
    /// Who asked the writer for it.
    on_behalf_of: Option<OnBehalfOfObject<'a>>,
}

#[derive(Serialize)]
struct BetweenObject {
    after: u64,
    before: u64,
}

/// Between which moments nobody was seen changing what a manager loaded.
#[derive(Serialize)]
struct UnseenObject {
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
    until: u64,
    restored: bool,
}

#[derive(Serialize)]
struct PackageObject<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    shipped: &'static str,
}

#[derive(Serialize)]
struct TransactionObject<'a> {
    manager: Who<'a>,
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<&'a str>,
}

struct Message<'a>(&'a Change);

impl std::fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Change {
            verb, path, writer, ..
        } = self.0;
        if is_nobody(&writer.process) {
            return write!(f, "unknown {} {path}", words::past(*verb));
        }
        let name = match writer.process.name() {
            "" => "a process",
            name => name,
        };
        write!(
            f,
            "{name}({}) {} {path}",
            writer.process.key.tgid,
            words::past(*verb)
        )?;
        if self.0.unseen.is_some() {
            f.write_str(", whose content nobody was seen writing")?;
        }
        Ok(())
    }
}

pub(super) fn change<'a>(event: &'a Event, change: &'a Change, boot: &'a str) -> FileActivity<'a> {
    let writer = &change.writer;
    let object = &change.object;
    let content = change.content.as_deref();
    let packaging = change.packaging.as_deref();
    let seen = object.inode != 0;
    let activity_id = change.activity_id();
    FileActivity {
        class_uid: 1001,
        category_uid: 1,
        activity_id,
        type_uid: 100_100 + u32::from(activity_id),
        severity_id: 1,
        time: event.time.wall_millis(),
        message: Text(Message(change)),
        metadata: Metadata::new(event, "change"),
        actor: if is_nobody(&writer.process) {
            Actor::unknown()
        } else {
            Actor::process(ProcessObject::new(
                &writer.process,
                Ancestry::full(&writer.ancestry, boot),
                boot,
            ))
        },
        file: File {
            size: content
                .and_then(|content| content.size)
                .or_else(|| seen.then_some(object.size)),
            owner: seen.then(|| User::of_uid(object.uid)),
            ..File::new(
                &change.path,
                file_type(change),
                content.and_then(|content| content.sha256.as_deref()),
            )
        },
        unmapped: Unmapped {
            boot_ns: event.time.boot,
            lineage: lineage(&writer.process, &writer.ancestry),
            change: ChangeObject {
                verb: words::verb(change.verb),
                class: change.class.as_str(),
                path: &change.path,
                path_truncated: change.truncated,
                from: change.from.as_deref(),
                target: change.target.as_deref(),
                unit: change.unit.as_deref(),
                device: device(object.device),
                inode: seen.then_some(object.inode),
                nlink: seen.then_some(object.nlink),
                size: seen.then_some(object.size),
                mode: mode(object.mode),
                truncates: change.truncates,
                content: content.map(ContentObject::new),
                between: change.between.map(|between| BetweenObject {
                    after: between.after.wall_millis(),
                    before: between.before.wall_millis(),
                }),
                // Found by looking, not seen by any probe.
                tier: change.between.is_none().then(|| change.tier.as_str()),
                unseen: change.unseen.map(|unseen| UnseenObject {
                    since: unseen.since.and_then(millis),
                    until: event.time.wall_millis(),
                    restored: unseen.restored,
                }),
                package: packaging
                    .and_then(|packaging| packaging.owner.as_ref())
                    .map(|owner| PackageObject {
                        name: &owner.package,
                        version: owner.version.as_deref(),
                        shipped: owner.shipped.as_str(),
                    }),
                transaction: packaging
                    .and_then(|packaging| packaging.transaction.as_ref())
                    .map(|transaction| TransactionObject {
                        manager: Who::new(&transaction.manager),
                        verified: transaction.verified,
                        package: transaction.package.as_deref(),
                    }),
                writer: (change.verb != Verb::Load).then(|| Who::actor(writer)),
                on_behalf_of: change.on_behalf_of.as_deref().map(OnBehalfOfObject::new),
            },
        },
    }
}

/// OCSF `file.type_id`: from the mode, else from what the verb can be done to.
fn file_type(change: &Change) -> u8 {
    const FORMAT: u32 = 0o170_000;
    match change.object.mode & FORMAT {
        _ if change.verb == Verb::Symlink => 7,
        0o100_000 => 1,
        0o040_000 => 2,
        0o020_000 => 3,
        0o060_000 => 4,
        0o140_000 => 5,
        0o010_000 => 6,
        0o120_000 => 7,
        _ => match change.verb {
            Verb::Create | Verb::Write | Verb::Closed | Verb::Load => 1,
            Verb::Mkdir | Verb::Rmdir | Verb::Mount => 2,
            _ if change.class == FileClass::Directory => 2,
            _ => 0,
        },
    }
}
