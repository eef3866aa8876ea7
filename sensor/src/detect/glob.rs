//! Patterns with `*` and `?`.

/// Whether the whole of `text` is as `pattern` says. Takes time in proportion to the product of
/// their lengths at worst.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut from) = (0, 0);
    // Where the last `*` is, and up to where it reaches.
    let mut star = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[from] => {
                at += 1;
                from += 1;
            }
            _ => {
                let Some((place, reach)) = star else {
                    return false;
                };
                star = Some((place, reach + 1));
                at = place + 1;
                from = reach + 1;
            }
        }
    }
    pattern
        .get(at..)
        .is_some_and(|rest| rest.iter().all(|&byte| byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("*", "a.timer"),
            ("backup-*.timer", "backup-.timer"),
            ("backup-*.timer", "backup-a.timer.timer"),
            ("a?c", "abc"),
            ("*a*b*", "xxaxxb"),
            ("/etc/*/x", "/etc/systemd/system/x"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", ""),
            ("backup-*.timer", "backup-a.service"),
            ("a?c", "ac"),
            ("*a", "ab"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
