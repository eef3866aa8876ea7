//! Process Activity 1007: somebody asked a manager for something.

use serde::Serialize;

use super::common::{Actor, Ancestry, Metadata, ProcessObject, Text};
use super::unmapped::{Who, lineage};
use crate::emit::words::AskedMessage;
use crate::event::{Asked, Event, Login, Manager, Means, OnBehalfOf, Process, Request};

#[derive(Serialize)]
pub(super) struct RequestActivity<'a> {
    class_uid: u16,
    category_uid: u8,
    activity_id: u8,
    activity_name: &'static str,
    type_uid: u32,
    severity_id: u8,
    time: u64,
    message: Text<AskedMessage<'a>>,
    metadata: Metadata<'a>,
    actor: Actor<'a>,
    process: ProcessObject<'a>,
    unmapped: Unmapped<'a>,
}

#[derive(Serialize)]
struct Unmapped<'a> {
    boot_ns: u64,
    lineage: &'static str,
    request: RequestObject<'a>,
}

#[derive(Serialize)]
struct RequestObject<'a> {
    manager: Text<&'a Manager>,
    means: &'static str,
    class: &'static str,
    method: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    socket: Option<&'a str>,
    tier: &'static str,
    author: Who<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<LoginObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a Request>,
}

#[derive(Serialize)]
pub(super) struct LoginObject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    auid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tty: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<Text<std::net::SocketAddr>>,
}

/// Other: OCSF has no activity for it.
const OTHER: u8 = 99;

pub(super) fn asked<'a>(event: &'a Event, asked: &'a Asked, boot: &'a str) -> RequestActivity<'a> {
    let author = &asked.author;
    RequestActivity {
        class_uid: 1007,
        category_uid: 1,
        activity_id: OTHER,
        activity_name: "Request",
        type_uid: 100_700 + u32::from(OTHER),
        severity_id: 1,
        time: event.time.wall_millis(),
        message: Text(AskedMessage(asked)),
        metadata: Metadata::new(event, "request"),
        actor: Actor::process(ProcessObject::new(
            &author.process,
            Ancestry::full(&author.ancestry, boot),
            boot,
        )),
        process: ProcessObject::new(&asked.target, Ancestry::none(), boot),
        unmapped: Unmapped {
            boot_ns: event.time.boot,
            lineage: lineage(&author.process, &author.ancestry),
            request: RequestObject {
                manager: Text(&asked.manager),
                means: match asked.means {
                    Means::Message(_) => "message",
                    Means::Connection => "connection",
                    Means::Signal(_) => "signal",
                    Means::Initctl => "initctl",
                },
                class: asked.class().as_str(),
                method: asked.method(),
                signal: match asked.means {
                    Means::Signal(signal) => Some(signal),
                    _ => None,
                },
                socket: asked.socket.as_deref(),
                tier: asked.tier.as_str(),
                author: Who::actor(author),
                login: LoginObject::new(&author.process, &asked.login),
                message: asked.request(),
            },
        },
    }
}

impl<'a> LoginObject<'a> {
    /// `None` where there is no login, as far as is known.
    pub(super) fn new(process: &Process, login: &'a Login) -> Option<Self> {
        let Login { tty, peer } = login;
        let any = process.auid.is_some() || tty.is_some() || peer.is_some();
        any.then(|| Self {
            auid: process.auid,
            session: process.session,
            tty: tty.as_deref(),
            peer: peer.map(Text),
        })
    }
}

/// `on_behalf_of` of a change.
#[derive(Serialize)]
pub(super) struct OnBehalfOfObject<'a> {
    #[serde(flatten)]
    author: Who<'a>,
    method: &'a str,
    class: &'static str,
    grade: &'static str,
    event_uid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<LoginObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doubt: Option<&'static str>,
}

impl<'a> OnBehalfOfObject<'a> {
    pub(super) fn new(of: &'a OnBehalfOf) -> Self {
        Self {
            author: Who::actor(&of.author),
            method: &of.method,
            class: of.class.as_str(),
            grade: of.grade.as_str(),
            event_uid: &of.event_uid,
            login: LoginObject::new(&of.author.process, &of.login),
            doubt: of.doubt,
        }
    }
}
