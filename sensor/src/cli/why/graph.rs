//! The answer as a graph: causes point to what they caused.

use super::tree::Node;

/// Longest text in a box, in characters.
const WIDTH: usize = 160;

pub(super) fn dot(tree: &Node) -> String {
    let mut out = "digraph why {\n  rankdir=RL;\n  node [shape=box];\n".to_owned();
    let mut count = 0;
    walk(tree, None, &mut count, &mut |id, above, node| {
        out.push_str(&format!(
            "  n{id} [label=\"{}\"];\n",
            escaped(&label(node), "\\n")
        ));
        if let Some(above) = above {
            let edge = escaped(&edge(node), " ");
            out.push_str(&format!("  n{id} -> n{above} [label=\"{edge}\"];\n"));
        }
    });
    out.push_str("}\n");
    out
}

pub(super) fn mermaid(tree: &Node) -> String {
    let mut out = "flowchart RL\n".to_owned();
    let mut count = 0;
    walk(tree, None, &mut count, &mut |id, above, node| {
        out.push_str(&format!(
            "  n{id}[\"{}\"]\n",
            entities(&label(node), "<br/>")
        ));
        if let Some(above) = above {
            let edge = entities(&edge(node), " ");
            out.push_str(&format!("  n{id} -- \"{edge}\" --> n{above}\n"));
        }
    });
    out
}

fn label(node: &Node) -> String {
    let lines = std::iter::once(&node.title).chain(&node.notes);
    let cut = |line: &String| line.chars().take(WIDTH).collect::<String>();
    lines.map(cut).collect::<Vec<_>>().join("\n")
}

fn edge(node: &Node) -> String {
    format!("{} {}", node.link, node.when).trim().to_owned()
}

fn walk<'a>(
    node: &'a Node,
    above: Option<usize>,
    count: &mut usize,
    visit: &mut impl FnMut(usize, Option<usize>, &'a Node),
) {
    let id = *count;
    *count += 1;
    visit(id, above, node);
    for child in &node.children {
        walk(child, Some(id), count, visit);
    }
}

/// Inside a quoted string of the DOT language.
fn escaped(text: &str, newline: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str(newline),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Inside a quoted label of Mermaid, which knows entities and takes HTML.
fn entities(text: &str, newline: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\n' => out.push_str(newline),
            '"' | '<' | '>' | '&' | '#' | ';' | '`' | '\\' => {
                out.push_str(&format!("#{};", u32::from(c)));
            }
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_strangers_stays_in_its_box() {
        let mut tree = Node::new("", "a\"b\\");
        let mut child = Node::new("wrote", "<x>\u{1b}");
        child.note("second");
        tree.children.push(child);
        let dot = dot(&tree);
        assert!(dot.contains("n0 [label=\"a\\\"b\\\\\"];"), "{dot}");
        assert!(
            dot.contains("n1 [label=\"<x>\u{fffd}\\nsecond\"];"),
            "{dot}"
        );
        assert!(dot.contains("n1 -> n0 [label=\"wrote\"];"), "{dot}");
        let mermaid = mermaid(&tree);
        assert!(mermaid.contains("n0[\"a#34;b#92;\"]"), "{mermaid}");
        assert!(
            mermaid.contains("n1[\"#60;x#62;\u{fffd}<br/>second\"]"),
            "{mermaid}"
        );
        assert!(mermaid.contains("n1 -- \"wrote\" --> n0"), "{mermaid}");
    }
}
