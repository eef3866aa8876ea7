//! What package managers had to do with a version of a file.

use serde_json::{Value, json};

use super::ask::alone;
use super::tree::Node;
use crate::event::{Packaging, Shipped};

pub(super) fn notes(node: &mut Node, packaging: &Packaging) {
    if let Some(owner) = &packaging.owner {
        let version = owner.version.as_deref().unwrap_or_default();
        let shipped = match owner.shipped {
            Shipped::Same => ", as shipped",
            Shipped::Different => ", not as shipped",
            Shipped::NoDigest | Shipped::NoContent => "",
        };
        let name = format!("{} {version}", owner.package);
        node.note(format!("of package {}{shipped}", name.trim_end()));
    }
    if let Some(run) = &packaging.transaction {
        let who = alone(&run.manager);
        let verified = if run.verified { "" } else { ", not verified" };
        let package = run.package.as_ref();
        let package = package.map_or_else(String::new, |name| format!(", package {name}"));
        node.note(format!("in the run of {who}{verified}{package}"));
    }
}

pub(super) fn facts(packaging: &Packaging) -> Value {
    let owner = packaging.owner.as_ref();
    let run = packaging.transaction.as_ref();
    json!({
        "name": owner.map(|owner| &owner.package),
        "version": owner.and_then(|owner| owner.version.as_ref()),
        "shipped": owner.map(|owner| owner.shipped.as_str()),
        "manager": run.map(|run| run.manager.name()),
        "verified": run.map(|run| run.verified),
        "working_on": run.and_then(|run| run.package.as_ref()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::{PackageFile, Process, ProcessKey, Timestamp, Transaction};

    #[test]
    fn what_is_known_is_said() {
        let dpkg = Process {
            argv: vec!["dpkg".to_owned(), "-i".to_owned()],
            comm: "dpkg".to_owned(),
            ..Process::of_key(ProcessKey::new(7, 8), None, Timestamp::default())
        };
        let packaging = Packaging {
            owner: Some(PackageFile {
                package: "cron".to_owned(),
                version: Some("3.0".to_owned()),
                shipped: Shipped::Different,
            }),
            transaction: Some(Transaction {
                manager: Arc::new(dpkg),
                verified: false,
                package: Some("cron".to_owned()),
            }),
        };
        let mut node = Node::new("", "");
        notes(&mut node, &packaging);
        assert_eq!(node.notes[0], "of package cron 3.0, not as shipped");
        assert!(
            node.notes[1].starts_with("in the run of dpkg"),
            "{:?}",
            node.notes
        );
        assert!(node.notes[1].ends_with(", not verified, package cron"));
        assert_eq!(facts(&packaging)["shipped"], "different");
        assert_eq!(facts(&packaging)["manager"], "dpkg");
    }
}
