//! Changes by whom it may be, for tests of what is held back.

use std::sync::Arc;

use super::changes::Classified;
use crate::{
    event::{
        Actor, Change, Content, FileClass, FileIdentity, Process, ProcessKey, Timestamp, Verb,
    },
    systemd::load_path::Serves,
};

pub(super) fn actor(tgid: u32, cgroup: &str) -> Actor {
    let process = |tgid| Process {
        cgroup: Some(cgroup.to_owned()),
        ..Process::of_key(ProcessKey::new(tgid, 7), None, Timestamp::default())
    };
    Actor {
        process: Arc::new(process(tgid)),
        ancestry: vec![Arc::new(process(1))],
    }
}

pub(super) fn change(verb: Verb, path: &str, writer: Actor, unchanged: bool) -> Classified {
    Classified {
        change: Change {
            object: OBJECT,
            content: Some(Box::new(Content {
                unchanged,
                ..Content::default()
            })),
            ..Change::sample(verb, FileClass::DependencyLink, path, writer)
        },
        serves: Serves::System,
        structural: false,
        found: false,
        outward: false,
    }
}

pub(super) const OBJECT: FileIdentity = FileIdentity {
    device: 1,
    inode: 2,
    size: 0,
    mode: 0o120_777,
    nlink: 1,
    uid: 0,
};
