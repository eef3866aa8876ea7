//! Text of strangers on a terminal.
//!
//! Paths and arguments are chosen by those who are watched. What a terminal would act on, or a
//! reader would not see, is written out instead.

/// Whether `c` would move the cursor, change colours, turn the direction of the text or be
/// invisible.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            // Zero width, marks and overrides of direction, line and paragraph separators.
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            // Tags.
            | '\u{e0000}'..='\u{e007f}')
}

/// Appends `text` to `out`, safe for a terminal and at most `limit` characters wide; what was cut
/// shows as `…`.
pub(crate) fn push(out: &mut String, text: &str, limit: usize) {
    let mut width = 0;
    // Where to cut if it turns out to be too long, with room for the ellipsis.
    let mut cut = out.len();
    for c in text.chars() {
        let before = out.len();
        if is_unsafe(c) {
            match c {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if c.is_ascii() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
                c => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            }
            width += out.len() - before;
        } else {
            out.push(c);
            width += 1;
        }
        if width < limit {
            cut = out.len();
        } else if width > limit {
            out.truncate(cut);
            out.push('…');
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, limit: usize) -> String {
        let mut out = String::new();
        push(&mut out, text, limit);
        out
    }

    #[test]
    fn nothing_reaches_the_terminal() {
        assert_eq!(shown("\x1b[2J\x07ok\r\n", 99), r"\x1b[2J\x07ok\r\n");
        assert_eq!(
            shown("a\u{202e}b\u{2066}c\u{feff}", 99),
            r"a\u{202e}b\u{2066}c\u{feff}"
        );
        assert_eq!(shown("\u{9b}31m", 99), r"\u{9b}31m");
        assert_eq!(shown("a\u{2028}b\u{e0041}", 99), r"a\u{2028}b\u{e0041}");
        assert_eq!(shown("\u{7f}", 99), r"\x7f");
    }

    #[test]
    fn other_text_stays() {
        assert_eq!(shown("/srv/größe/日本 \\x2d", 99), "/srv/größe/日本 \\x2d");
    }

    #[test]
    fn cuts_at_the_width() {
        assert_eq!(shown("abcdef", 6), "abcdef");
        assert_eq!(shown("abcdefg", 6), "abcde…");
        assert_eq!(shown("äöüäöüä", 6), "äöüäö…");
        // An escape is never cut in two.
        assert_eq!(shown("abcd\x1bef", 6), "abcd…");
        assert_eq!(shown("\x1b\x1b", 1), "…");
    }
}
