//! Of a file: who wrote it, and who asked for that.

use serde_json::json;

use super::Asker;
use crate::cli::why::package;
use crate::cli::why::tree::Node;
use crate::emit::{compact, ocsf};
use crate::event::Manager;
use crate::store::{RequestNote, Version, VersionWriter};

impl Asker<'_> {
    pub(super) fn path(&self, path: &str) -> anyhow::Result<Option<Node>> {
        let versions = self.history.versions(path)?;
        let Some(latest) = versions.last() else {
            return Ok(None);
        };
        let mut node = Node::new("", path);
        let class = latest.class.replace('-', " ");
        node.note(match &latest.unit {
            Some(unit) => format!("{class} of {unit}"),
            None => class,
        });
        if !latest.present {
            node.note("it is gone");
        }
        node.facts = json!({
            "path": path,
            "class": latest.class,
            "unit": latest.unit,
            "serves": latest.serves,
            "present": latest.present,
        });
        for version in versions.iter().rev() {
            let mut child = self.version(version);
            if !version.latest {
                child.note(format!("until {}", self.when(version.until)));
            }
            child.facts = json!({
                "verb": version.verb,
                "sha256": version.sha256,
                "target": version.target,
                "package": version.packaging.as_ref().map(package::facts),
                "first_seen": version.time / 1_000_000,
                "last_seen": version.until / 1_000_000,
                "event_uid": version.uid,
                "writer": child.facts,
            });
            node.children.push(child);
        }
        Ok(Some(node))
    }

    /// What was done to a file, by whom, and who asked.
    pub(super) fn version(&self, version: &Version) -> Node {
        let verb = match version.verb.as_str() {
            "create" => "created",
            "write" | "closed" => "wrote",
            "rename" => "renamed",
            "link" | "symlink" => "linked",
            "remove" | "rmdir" => "removed",
            "mkdir" | "mknod" => "made",
            "attributes" => "altered",
            "mount" => "mounted over",
            "load" => "loaded",
            other => other,
        };
        let mut node = match &version.writer {
            VersionWriter::Known(actor) => Node {
                facts: ocsf::who(actor),
                ..Node::new(verb, compact::who(&actor.process, &actor.ancestry))
            },
            VersionWriter::UnknownSince(after) => {
                let after = self.when(*after);
                let mut node = Node::new(verb, "unknown");
                node.note(format!("nobody was seen doing it; after {after}"));
                node.facts = json!({ "name": "unknown" });
                node
            }
            VersionWriter::Before => Node::new(
                "there",
                "since before whodunit first looked; writer not known",
            ),
        };
        node = self.at(node, version.time);
        if let Some(sha256) = &version.sha256 {
            node.note(format!("sha256 {sha256}"));
        }
        if let Some(source) = &version.source {
            node.note(format!("from {source}"));
        }
        if let Some(packaging) = &version.packaging {
            package::notes(&mut node, packaging);
        }
        if let Some(requester) = &version.requester {
            let by = &requester.by;
            let link = format!("asked {}", requester.method.as_deref().unwrap_or_default());
            let mut asked = Node::new(link.trim_end(), compact::who(&by.process, &by.ancestry));
            if requester.time != 0 {
                asked = self.at(asked, requester.time);
            }
            if let Some(doubt) = &requester.doubt {
                asked.note(format!("probably: {doubt}"));
            }
            asked.facts = ocsf::who(by);
            node.children.push(asked);
        }
        node
    }

    /// Who asked for a start.
    pub(super) fn request(&self, request: &RequestNote) -> Node {
        let by = &request.by;
        let link = format!("asked {}", request.method);
        let node = Node::new(&link, compact::who(&by.process, &by.ancestry));
        let mut node = self.at(node, request.time.wall);
        if let Some(peer) = request.login.peer {
            node.note(format!("from {peer}"));
        }
        if request.manager == Manager::System && by.process.euid != 0 {
            node.note("the manager may have refused this user");
        }
        node.facts = json!({
            "method": request.method,
            "class": request.class.as_str(),
            "event_uid": request.uid,
            "peer": request.login.peer.map(|peer| peer.to_string()),
            "author": ocsf::who(by),
        });
        node
    }
}
