//! Of a finding: what it rests on, link by link.

use serde_json::{Value, json};

use super::Asker;
use crate::cli::why::tree::Node;
use crate::store::FindingNote;

impl Asker<'_> {
    /// A finding as it was told, with its chain.
    pub(super) fn finding(&self, uid: &str) -> anyhow::Result<Option<Node>> {
        let Some(finding) = self.history.finding(uid)? else {
            return Ok(None);
        };
        let event: Value = serde_json::from_str(&finding.event).unwrap_or_default();
        let mut node = self.finding_line(&finding);
        node.notes = vec![finding.code.clone()];
        if let Some(message) = event["message"].as_str() {
            node.note(message);
        }
        let empty = Vec::new();
        let cause = event["unmapped"]["cause"].as_array().unwrap_or(&empty);
        for link in cause.iter().rev() {
            node.children.push(self.link(link));
        }
        node.facts = event;
        Ok(Some(node))
    }

    pub(super) fn finding_line(&self, finding: &FindingNote) -> Node {
        let severity = severity(finding.severity);
        let title = format!("{severity}: {}", finding.title);
        let mut node = self.at(Node::new("FINDING", title), finding.time);
        node.note(format!("{}: whodunit why {}", finding.code, finding.uid));
        node.facts = json!({ "uid": finding.uid, "code": finding.code });
        node
    }

    /// A link of a chain, from the event's own words.
    fn link(&self, link: &Value) -> Node {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let process = &link["process"];
        let mut who = text(&process["cmd_line"]);
        if who.is_empty() {
            who = text(&process["name"]);
        }
        let chain = |process: &Value| {
            let name = text(&process["name"]);
            match process["pid"].as_u64() {
                Some(pid) => format!("{name}({pid})"),
                None => name,
            }
        };
        let ancestry = process["ancestry"].as_array();
        let mut above: Vec<String> = ancestry.into_iter().flatten().map(chain).collect();
        above.reverse();
        let path = text(&link["file"]["path"]);
        let title = match (path.is_empty(), who.is_empty()) {
            (false, _) => path,
            (true, true) => text(&link["unit"]),
            (true, false) => who.clone(),
        };
        let mut node = Node::new(&text(&link["link"]), title);
        if let Some(millis) = link["time"].as_u64() {
            node = self.at(node, millis.saturating_mul(1_000_000));
        }
        if !process.is_null() {
            above.push(chain(process));
            node.note(format!("by {}", above.join(" → ")));
        } else if node.link == "wrote" || node.link == "linked" {
            node.note("by somebody unknown");
        }
        if link["grade"] != "certain" {
            node.note(format!("grade {}", text(&link["grade"])));
        }
        node
    }
}

fn severity(id: u8) -> &'static str {
    match id {
        5 => "critical",
        4 => "high",
        3 => "medium",
        2 => "low",
        _ => "informational",
    }
}
