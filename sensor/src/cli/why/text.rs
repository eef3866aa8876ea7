//! The answer as a tree of lines.

use super::tree::Node;
use crate::emit::compact::printable;

/// Widest line of text that comes from elsewhere, in characters.
const WIDTH: usize = 400;

pub(super) fn render(tree: &Node) -> String {
    let mut out = String::new();
    line(&mut out, tree);
    out.push('\n');
    notes(&mut out, "", tree);
    below(&mut out, "", tree);
    out
}

fn line(out: &mut String, node: &Node) {
    for part in [&node.link, &node.when] {
        if !part.is_empty() {
            out.push_str(part);
            out.push_str("  ");
        }
    }
    printable(out, &node.title, WIDTH);
}

fn notes(out: &mut String, indent: &str, node: &Node) {
    let bar = if node.children.is_empty() {
        "  "
    } else {
        "│ "
    };
    for note in &node.notes {
        out.push_str(indent);
        out.push_str(bar);
        out.push_str("  ");
        printable(out, note, WIDTH);
        out.push('\n');
    }
}

fn below(out: &mut String, indent: &str, node: &Node) {
    for (at, child) in node.children.iter().enumerate() {
        let last = at + 1 == node.children.len();
        out.push_str(indent);
        out.push_str(if last { "└─ " } else { "├─ " });
        line(out, child);
        out.push('\n');
        let deeper = format!("{indent}{}", if last { "   " } else { "│  " });
        notes(out, &deeper, child);
        below(out, &deeper, child);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree() {
        let mut tree = Node::new("", "a.service");
        let mut file = Node::new("unit file", "/etc/a\u{1b}[2J");
        file.note("one");
        file.children = vec![Node::new("wrote", "tee")];
        let mut run = Node::new("ran", "/bin/true");
        run.when = "12:00".to_owned();
        run.note("two");
        tree.children = vec![file, run];
        let expected = "a.service\n\
                        ├─ unit file  /etc/a\\x1b[2J\n\
                        │  │   one\n\
                        │  └─ wrote  tee\n\
                        └─ ran  12:00  /bin/true\n       two\n";
        assert_eq!(render(&tree), expected);
    }
}
