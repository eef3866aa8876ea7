//! The text of sudoers: logical lines, comments, and lists with quotes and escapes.

/// Lines joined at backslashes, without comments, each with the number of its first line.
pub(super) fn logical(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        let (start, mut whole) = open.take().unwrap_or((number + 1, String::new()));
        if let Some(head) = line.strip_suffix('\\') {
            whole.push_str(head);
            whole.push(' ');
            open = Some((start, whole));
            continue;
        }
        whole.push_str(line);
        lines.push((start, whole));
    }
    lines.extend(open);
    lines
        .into_iter()
        .map(|(number, line)| (number, without_comment(&line).trim().to_owned()))
        .filter(|(_, line)| !line.is_empty())
        .collect()
}

/// `#` begins a comment, but not the id of a user (`#1000`) nor the old spelling of an include.
fn without_comment(line: &str) -> &str {
    let trimmed = line.trim_start();
    if trimmed.starts_with("#include") {
        return line;
    }
    let mut quoted = false;
    let mut before = ' ';
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        if escaped {
            escaped = false;
            before = c;
            continue;
        }
        match c {
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '#' if !quoted => {
                let rest = line.get(at + 1..).unwrap_or_default();
                let id = rest.starts_with(|c: char| c.is_ascii_digit() || c == '-');
                let place = before.is_whitespace() || ",(!:=%".contains(before);
                if !(id && place) {
                    return line.get(..at).unwrap_or_default();
                }
            }
            _ => {}
        }
        before = c;
    }
    line
}

/// Where `wanted` finds characters outside of quotes, escapes and parentheses.
pub(super) fn positions(text: &str, wanted: impl Fn(char) -> bool) -> Vec<usize> {
    let mut found = Vec::new();
    let (mut quoted, mut escaped, mut depth) = (false, false, 0_usize);
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        match c {
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            c if !quoted && depth == 0 && wanted(c) => found.push(at),
            _ => {}
        }
    }
    found
}

/// Splits at these positions; each is of a character of one byte.
pub(super) fn split_at<'a>(text: &'a str, at: &[usize]) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let mut from = 0;
    for &to in at {
        parts.push(text.get(from..to).unwrap_or_default());
        from = to + 1;
    }
    parts.push(text.get(from..).unwrap_or_default());
    parts
}

/// The members of a list.
pub(super) fn list(text: &str) -> Vec<&str> {
    let parts = split_at(text, &positions(text, |c| c == ','));
    let parts = parts.into_iter().map(str::trim);
    parts.filter(|part| !part.is_empty()).collect()
}

/// Without quotes and backslashes.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            '"' => {}
            c => out.push(c),
        }
    }
    out
}
