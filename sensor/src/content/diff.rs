//! Unified diffs.

use std::time::{Duration, Instant};

use similar::algorithms::{Algorithm, Capture, Replace, diff_slices_deadline};
use similar::{DiffOp, group_diff_ops};

use crate::event::Diff;

/// Lines shown around each change.
const CONTEXT: usize = 3;
/// After this time the rest is shown as wholly replaced.
const DEADLINE: Duration = Duration::from_millis(20);
/// What is shown in place of the end of a line that is cut.
const CUT: char = '…';

/// How `new` differs from `old`, as a unified diff of at most `limit` bytes; `None` if it does
/// not. `name` stands in its header, where `None` for `old` is shown as `/dev/null`.
///
/// The work is bounded, so a diff of odd texts can be longer than need be.
pub(super) fn unified(name: &str, old: Option<&str>, new: &str, limit: usize) -> Option<Diff> {
    let old_lines: Vec<&str> = old.unwrap_or_default().split_inclusive('\n').collect();
    let new_lines: Vec<&str> = new.split_inclusive('\n').collect();
    let mut capture = Replace::new(Capture::new());
    let Ok(()) = diff_slices_deadline(
        Algorithm::Myers,
        &mut capture,
        &old_lines,
        &new_lines,
        Instant::now().checked_add(DEADLINE),
    );
    let ops = capture.into_inner().into_ops();
    let (added, removed) = count(&ops);
    if (added, removed) == (0, 0) {
        return None;
    }
    let mut out = Bounded {
        text: String::new(),
        limit,
        truncated: false,
    };
    let name = printable(name);
    let before = if old.is_some() { &name } else { "/dev/null" };
    out.push(&format!("--- {before}\n+++ {name}\n"));
    for hunk in group_diff_ops(ops, CONTEXT) {
        if out.truncated {
            break;
        }
        out.hunk(&hunk, &old_lines, &new_lines);
    }
    Some(Diff {
        text: out.text,
        truncated: out.truncated,
        added,
        removed,
    })
}

fn count(ops: &[DiffOp]) -> (u32, u32) {
    let changed = ops.iter().filter(|op| !matches!(op, DiffOp::Equal { .. }));
    let (added, removed) = changed.fold((0, 0), |(added, removed), op| {
        (added + op.new_range().len(), removed + op.old_range().len())
    });
    let count = |lines| u32::try_from(lines).unwrap_or(u32::MAX);
    (count(added), count(removed))
}

/// A name for a line of its own.
fn printable(name: &str) -> String {
    let escape = |c: char| if c.is_control() { '?' } else { c };
    name.chars().map(escape).collect()
}

struct Bounded {
    text: String,
    limit: usize,
    truncated: bool,
}

impl Bounded {
    /// Adds a line, or as much of it as there is room for.
    fn push(&mut self, line: &str) {
        if self.truncated {
            return;
        }
        let room = self.limit.saturating_sub(self.text.len());
        if line.len() <= room {
            self.text.push_str(line);
            return;
        }
        self.truncated = true;
        let end = line.floor_char_boundary(room.saturating_sub(CUT.len_utf8()));
        self.text.push_str(line.get(..end).unwrap_or_default());
        if self.text.len() + CUT.len_utf8() <= self.limit {
            self.text.push(CUT);
        }
    }

    fn hunk(&mut self, ops: &[DiffOp], old: &[&str], new: &[&str]) {
        let (Some(first), Some(last)) = (ops.first(), ops.last()) else {
            return;
        };
        let range = |start: usize, end: usize| match end - start {
            // An empty range is named by the line before it.
            0 => format!("{start},0"),
            1 => format!("{}", start + 1),
            lines => format!("{},{lines}", start + 1),
        };
        let old_range = range(first.old_range().start, last.old_range().end);
        let new_range = range(first.new_range().start, last.new_range().end);
        self.push(&format!("@@ -{old_range} +{new_range} @@\n"));
        for op in ops {
            if matches!(op, DiffOp::Equal { .. }) {
                self.lines(' ', old.get(op.old_range()));
            } else {
                self.lines('-', old.get(op.old_range()));
                self.lines('+', new.get(op.new_range()));
            }
        }
    }

    fn lines(&mut self, sign: char, lines: Option<&[&str]>) {
        for line in lines.unwrap_or_default() {
            if self.truncated {
                return;
            }
            if line.ends_with('\n') {
                self.push(&format!("{sign}{line}"));
            } else {
                self.push(&format!("{sign}{line}\n\\ No newline at end of file\n"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_diff_u_shows_it() {
        let old =
            "[Timer]\nOnCalendar=daily\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n";
        let new =
            "[Timer]\nOnUnitActiveSec=60\nPersistent=true\n\n[Install]\nWantedBy=timers.target";
        let diff = unified("upd.timer", Some(old), new, 16 << 10).expect("differs");
        assert_eq!(
            diff.text,
            "--- upd.timer\n+++ upd.timer\n@@ -1,6 +1,6 @@\n [Timer]\n-OnCalendar=daily\n\
             +OnUnitActiveSec=60\n Persistent=true\n \n [Install]\n-WantedBy=timers.target\n\
             +WantedBy=timers.target\n\\ No newline at end of file\n"
        );
        assert_eq!((diff.added, diff.removed, diff.truncated), (2, 2, false));
        assert_eq!(unified("x", Some(old), old, 99), None);
        assert_eq!(unified("x", None, "", 99), None);
        let new = unified("a\n+b", None, "x\n", 99).expect("differs");
        assert_eq!(new.text, "--- /dev/null\n+++ a?+b\n@@ -0,0 +1 @@\n+x\n");
        let gone = unified("x", Some("x\n"), "", 99).expect("differs");
        assert_eq!(gone.text, "--- x\n+++ x\n@@ -1 +0,0 @@\n-x\n");
    }

    #[test]
    fn far_changes_are_hunks_of_their_own() {
        let old: String = (0..40).map(|n| format!("{n}\n")).collect();
        let new = old
            .replace("\n5\n", "\nfive\n")
            .replace("\n30\n", "\n30\n30a\n");
        let diff = unified("x", Some(&old), &new, 16 << 10)
            .expect("differs")
            .text;
        assert!(
            diff.contains("@@ -3,7 +3,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n"),
            "{diff}"
        );
        assert!(diff.contains("@@ -29,6 +29,7 @@\n"), "{diff}");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let new = "ä".repeat(40_000);
        let diff = unified("x", None, &new, 16 << 10).expect("differs");
        assert!(diff.truncated && diff.text.ends_with("ä…"));
        assert!((16_000..=16 << 10).contains(&diff.text.len()));
        for limit in 0..40 {
            assert!(unified("x", None, &new, limit).expect("differs").text.len() <= limit);
        }
    }

    /// What the algorithms of diffs find hard: many lines, few of them unique.
    #[test]
    fn hard_texts_take_no_long() {
        let line = |n: u64| ["a\n", "b\n"][usize::try_from(n % 2).unwrap_or(0)];
        let text = |mut seed: u64| -> String {
            (0..32_000)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    line(seed >> 40)
                })
                .collect()
        };
        let start = Instant::now();
        let diff = unified("x", Some(&text(1)), &text(2), 16 << 10).expect("differs");
        assert!(diff.truncated);
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    }

    /// Applies a whole diff.
    fn apply(old: &str, diff: &str) -> String {
        let old: Vec<&str> = old.split_inclusive('\n').collect();
        let mut out = String::new();
        let mut at = 0;
        let mut lines = diff.split_inclusive('\n').skip(2).peekable();
        while let Some(line) = lines.next() {
            if let Some(header) = line.strip_prefix("@@ -") {
                let (start, length) = header.split_once([',', ' ']).expect("a range");
                let start: usize = start.parse().expect("a number");
                let empty = length.starts_with("0 ") && header.contains(',');
                let start = if empty { start } else { start - 1 };
                out.push_str(&old[at..start].concat());
                at = start;
                continue;
            }
            let marked = lines.next_if(|next| next.starts_with('\\')).is_some();
            let (sign, text) = line.split_at(1);
            let text = if marked {
                &text[..text.len() - 1]
            } else {
                text
            };
            match sign {
                "+" => out.push_str(text),
                _ => {
                    assert_eq!(old[at], text);
                    at += 1;
                    if sign == " " {
                        out.push_str(text);
                    }
                }
            }
        }
        out.push_str(&old[at..].concat());
        out
    }

    proptest! {
        #[test]
        fn applying_it_gives_the_new_text(
            old in "([ab+@\\\\-]{0,2}\n){0,30}[ab]?",
            new in "([ab+@\\\\-]{0,2}\n){0,30}[ab]?",
        ) {
            let text = unified("x", Some(&old), &new, usize::MAX);
            let diff = text.map(|diff| diff.text);
            prop_assert_eq!(diff.map_or(old.clone(), |diff| apply(&old, &diff)), new);
        }

        #[test]
        fn any_text_within_the_bound(old in "(.|\n){0,300}", new in "(.|\n){0,300}", limit in 0usize..500) {
            if let Some(diff) = unified("ü\t", Some(&old), &new, limit) {
                prop_assert!(diff.text.len() <= limit);
            }
        }
    }
}
