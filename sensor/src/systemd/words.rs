//! Splitting of command lines and lists, as systemd's `extract_first_word` does it
//! (`src/basic/extract-word.c`), and specifiers.

use super::unit_name::UnitName;

/// Splits at blanks, with quotes and C escapes undone: the flags that `Exec*=` is read with
/// (`EXTRACT_UNQUOTE | EXTRACT_CUNESCAPE`). An unbalanced quote ends at the end of the text;
/// an unknown escape stands as it is.
#[must_use]
pub fn split_words(text: &str) -> Vec<String> {
    let words = split_marked(text).into_iter();
    words.map(|word| word.text).collect()
}

/// A word, and whether a part of it was quoted.
pub(super) struct Word {
    pub(super) text: String,
    pub(super) quoted: bool,
}

pub(super) fn split_marked(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| is_blank(*c)).is_some() {}
        if chars.peek().is_none() {
            return words;
        }
        let mut word = String::new();
        let mut quote = None;
        let mut quoted = false;
        while let Some(c) = chars.next() {
            match (c, quote) {
                ('\\', _) => unescape(&mut chars, &mut word),
                (c, Some(open)) if c == open => quote = None,
                ('\'' | '"', None) => {
                    quote = Some(c);
                    quoted = true;
                }
                (c, None) if is_blank(c) => break,
                (c, _) => word.push(c),
            }
        }
        words.push(Word { text: word, quoted });
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// `cunescape_one` of `src/basic/escape.c`, after the backslash.
fn unescape(chars: &mut Chars<'_>, word: &mut String) {
    let Some(&next) = chars.peek() else {
        word.push('\\');
        return;
    };
    let simple = match next {
        'a' => Some('\x07'),
        'b' => Some('\x08'),
        'f' => Some('\x0c'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\x0b'),
        's' => Some(' '),
        '\\' | '"' | '\'' | ' ' => Some(next),
        _ => None,
    };
    if let Some(c) = simple {
        chars.next();
        word.push(c);
        return;
    }
    let (prefix, radix, digits) = match next {
        'x' => (1, 16, 2),
        'u' => (1, 16, 4),
        'U' => (1, 16, 8),
        '0'..='7' => (0, 8, 3),
        _ => {
            word.push('\\');
            return;
        }
    };
    let ahead: String = chars.clone().skip(prefix).take(digits).collect();
    let value = (ahead.chars().count() == digits && ahead.chars().all(|c| c.is_digit(radix)))
        .then(|| {
            u32::from_str_radix(&ahead, radix)
                .ok()
                .and_then(char::from_u32)
        })
        .flatten()
        .filter(|c| *c != '\0');
    match value {
        Some(c) => {
            for _ in 0..prefix + digits {
                chars.next();
            }
            word.push(c);
        }
        None => word.push('\\'),
    }
}

/// Expands the specifiers that depend on the unit's name alone: `%n %N %p %P %i %I %j %J %%`.
/// Others (`%h`, `%t`, …) stand as they are.
#[must_use]
pub fn expand(text: &str, unit: &UnitName) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let last = || {
            let prefix = unit.prefix();
            prefix.rsplit_once('-').map_or(prefix, |(_, last)| last)
        };
        match chars.next() {
            Some('n') => out.push_str(unit.as_str()),
            Some('N') => out.push_str(unit.stem()),
            Some('p') => out.push_str(unit.prefix()),
            Some('P') => out.push_str(&unescape_name(unit.prefix())),
            Some('i') => out.push_str(unit.instance().unwrap_or_default()),
            Some('I') => out.push_str(&unescape_name(unit.instance().unwrap_or_default())),
            Some('j') => out.push_str(last()),
            Some('J') => out.push_str(&unescape_name(last())),
            Some('%') => out.push('%'),
            Some(other) => out.extend(['%', other]),
            None => out.push('%'),
        }
    }
    out
}

/// `unit_name_unescape`: `-` is a slash, `\xNN` a byte.
#[must_use]
pub fn unescape_name(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail
            .strip_prefix(b"x")
            .and_then(|tail| tail.get(..2))
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = tail;
        match (first, hex) {
            (b'\\', Some(byte)) => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            (b'-', _) => bytes.push(b'/'),
            _ => bytes.push(first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting() {
        for (text, words) in [
            ("a  b\tc", vec!["a", "b", "c"]),
            (
                r#"sh -c "a 'b' \"c\"" ''"#,
                vec!["sh", "-c", "a 'b' \"c\"", ""],
            ),
            (r"a\x20b\040c\td \q", vec!["a b c\td", r"\q"]),
            (r"caf\u00e9", vec!["café"]),
            (r#"x"y z"w"#, vec!["xy zw"]),
            ("'open quote", vec!["open quote"]),
            (r"end\", vec![r"end\"]),
            (r"\x00\xZZ", vec![r"\x00\xZZ"]),
            ("", vec![]),
        ] {
            assert_eq!(split_words(text), words, "{text}");
        }
    }

    #[test]
    fn specifiers() {
        let unit = UnitName::parse(r"a-b@x-y\x2dz.timer").expect("valid");
        assert_eq!(
            expand("%n|%N|%p|%P|%i|%I|%j|%%|%h|%", &unit),
            r"a-b@x-y\x2dz.timer|a-b@x-y\x2dz|a-b|a/b|x-y\x2dz|x/y-z|b|%|%h|%"
        );
    }
}
