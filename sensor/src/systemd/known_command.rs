//! Whether a process that a manager executed is one that its service names.
//!
//! Where a word of the unit cannot be told without the manager (`$NAME`, `%h`), it may stand for
//! anything: a command that may be meant is one.

use super::service::{Command, Service};

/// Most interpreters in front of a script: the kernel goes no deeper (`search_binary_handler`).
const INTERPRETERS_MAX: usize = 5;

/// Whether `argv`, as the kernel shows it after the exec, can be of one of the commands of
/// `service`. `truncated` says that its end is missing. True where nothing can be said.
#[must_use]
pub fn is_known_command(service: &Service, argv: &[String], truncated: bool) -> bool {
    if argv.len() <= usize::from(truncated) {
        return true;
    }
    let mut commands = service.commands.iter();
    commands.any(|command| may_be(command, argv, truncated))
}

fn may_be(command: &Command, argv: &[String], truncated: bool) -> bool {
    // `|` runs the line by a shell of the user's (258).
    if command.prefixes.contains('|') {
        return true;
    }
    let Some((name, rest)) = command.argv.split_first() else {
        return true;
    };
    let rest: Vec<Pattern> = rest.iter().map(|word| Pattern::of(word)).collect();
    let tail = |from: usize| argv.get(from..).unwrap_or_default();
    let is_called = argv
        .first()
        .is_some_and(|called| Pattern::of(name).fits(called));
    if is_called && fits(&rest, tail(1), truncated) {
        return true;
    }
    if command.prefixes.contains('@') && command.argv.len() > 1 && is_script_at(command, argv) {
        return true;
    }
    // The kernel puts a script's interpreter, with one argument at most, in its place.
    let path = Pattern::of(&command.path);
    (1..=2 * INTERPRETERS_MAX).any(|at| {
        let Some(script) = argv.get(at) else {
            return false;
        };
        path.names(script) && fits(&rest, tail(at + 1), truncated)
    })
}

/// With `@` the first word after the path takes the place of the path, and a script never sees it.
fn is_script_at(command: &Command, argv: &[String]) -> bool {
    let path = Pattern::of(&command.path);
    let shown = argv.iter().take(2 * INTERPRETERS_MAX + 1).skip(1);
    shown.into_iter().any(|word| path.names(word))
}

/// One word of a command line, with what is not known of it.
#[derive(Debug, PartialEq, Eq)]
enum Pattern {
    /// The pieces between what is not known: one piece alone is the whole word.
    Pieces(Vec<String>),
    /// Any number of words: `$NAME` by itself is split at blanks.
    Words,
}

impl Pattern {
    fn of(word: &str) -> Self {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if let Some(name) = word.strip_prefix('$')
            && !name.is_empty()
            && name.chars().all(is_name)
        {
            return Self::Words;
        }
        let mut pieces = vec![String::new()];
        let mut rest = word;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            let skipped = match (c, rest.chars().next()) {
                ('$', Some('$')) => {
                    push(&mut pieces, '$');
                    rest = &rest[1..];
                    continue;
                }
                ('$', Some('{')) => rest.find('}').map_or(rest.len(), |end| end + 1),
                ('$', _) => rest.find(|c| !is_name(c)).unwrap_or(rest.len()),
                ('%', Some(specifier)) => specifier.len_utf8(),
                _ => {
                    push(&mut pieces, c);
                    continue;
                }
            };
            rest = &rest[skipped..];
            pieces.push(String::new());
        }
        Self::Pieces(pieces)
    }

    fn fits(&self, word: &str) -> bool {
        let Self::Pieces(pieces) = self else {
            return true;
        };
        let word = simple(word);
        let Some((first, rest)) = pieces.split_first() else {
            return true;
        };
        let Some((last, middle)) = rest.split_last() else {
            return simple(first) == word;
        };
        let Some(mut left) = word.strip_prefix(first.as_str()) else {
            return false;
        };
        for piece in middle {
            match left.find(piece.as_str()) {
                Some(at) => left = &left[at + piece.len()..],
                None => return false,
            }
        }
        left.ends_with(last.as_str())
    }

    /// Whether a path is of the program with this name: one without a slash is looked for by the
    /// manager.
    fn names(&self, path: &str) -> bool {
        let is_bare = |name: &str| {
            !name.contains('/') && path.rsplit_once('/').is_some_and(|(_, last)| last == name)
        };
        self.fits(path)
            || matches!(self, Self::Pieces(pieces) if pieces.len() == 1 && is_bare(&pieces[0]))
    }
}

fn push(pieces: &mut [String], c: char) {
    if let Some(piece) = pieces.last_mut() {
        piece.push(c);
    }
}

/// A path without the slashes and dots that say nothing, as `path_simplify` makes it.
fn simple(path: &str) -> std::borrow::Cow<'_, str> {
    if !path.starts_with('/') || !(path.contains("//") || path.contains("/./")) {
        return path.into();
    }
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    parts
        .fold(String::new(), |whole, part| whole + "/" + part)
        .into()
}

/// Whether the words are as the patterns say. Of truncated ones the last may be cut, and others are
/// missing.
fn fits(patterns: &[Pattern], words: &[String], truncated: bool) -> bool {
    let words = match words.split_last() {
        Some((_, whole)) if truncated => whole,
        _ => words,
    };
    // Which of the patterns may come next, one word after the other.
    let mut next = vec![false; patterns.len() + 1];
    reach(&mut next, patterns, 0);
    for word in words {
        let mut after = vec![false; patterns.len() + 1];
        for (at, pattern) in patterns.iter().enumerate().filter(|(at, _)| next[*at]) {
            match pattern {
                Pattern::Words => reach(&mut after, patterns, at),
                Pattern::Pieces(_) if pattern.fits(word) => reach(&mut after, patterns, at + 1),
                Pattern::Pieces(_) => {}
            }
        }
        next = after;
    }
    next[patterns.len()] || truncated && next.contains(&true)
}

/// Marks a place, and those after it that patterns for no word at all lead to.
fn reach(next: &mut [bool], patterns: &[Pattern], mut at: usize) {
    loop {
        next[at] = true;
        match patterns.get(at) {
            Some(Pattern::Words) => at += 1,
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systemd::{unit_file::UnitFile, unit_name::UnitName};

    fn known(unit: &str, argv: &[&str]) -> bool {
        is(unit, argv, false)
    }

    fn is(unit: &str, argv: &[&str], truncated: bool) -> bool {
        let name = UnitName::parse("a-b@i.service").expect("valid");
        let (file, _) = UnitFile::parse(format!("[Service]\n{unit}\n").as_bytes());
        let argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
        is_known_command(&Service::new(&name, &file), &argv, truncated)
    }

    #[test]
    fn commands_of_a_unit() {
        for (unit, argv) in [
            (
                "ExecStart=/usr/sbin/cron -f $OPTS",
                vec!["/usr/sbin/cron", "-f"],
            ),
            (
                "ExecStart=/usr/sbin/cron -f $OPTS",
                vec!["/usr/sbin/cron", "-f", "-L", "4"],
            ),
            (
                "ExecStart=/usr/sbin/cron -f $OPTS -x",
                vec!["/usr/sbin/cron", "-f", "a", "b", "-x"],
            ),
            (
                "ExecStart=-/bin/a\nExecReload=+/bin/kill -HUP $MAINPID",
                vec!["/bin/kill", "-HUP", "77"],
            ),
            (
                "ExecStart=/bin/a --home=${HOME}/x%h.d",
                vec!["/bin/a", "--home=/root/x/root.d"],
            ),
            (
                "ExecStart=/bin/a '$$HOME' %i %%",
                vec!["/bin/a", "$HOME", "i", "%"],
            ),
            (
                "ExecStart=@/usr/sbin/agetty getty --noclear",
                vec!["getty", "--noclear"],
            ),
            // A script, with its interpreter in its place.
            (
                "ExecStart=/etc/init.d/x start",
                vec!["/bin/sh", "/etc/init.d/x", "start"],
            ),
            (
                "ExecStart=/opt/x.py -v",
                vec!["/usr/bin/env", "-S", "/opt/x.py", "-v"],
            ),
            (
                "ExecStart=@/opt/x.py called -v",
                vec!["/usr/bin/python3", "/opt/x.py", "-v"],
            ),
            ("ExecStart=sleep 5", vec!["sleep", "5"]),
            (
                "ExecStart=script 5",
                vec!["/bin/sh", "/usr/local/bin/script", "5"],
            ),
            ("ExecStart=/bin//./a", vec!["/bin/a"]),
            ("ExecStart=|echo a", vec!["-bash", "-c", "echo a"]),
            ("ExecStart=/bin/a \\; b ; /bin/c", vec!["/bin/c"]),
            ("ExecStart=/bin/a b", vec![]),
        ] {
            assert!(known(unit, &argv), "{unit}: {argv:?}");
        }
    }

    #[test]
    fn others() {
        for (unit, argv) in [
            ("", vec!["/bin/a"]),
            ("ExecStart=/bin/a b", vec!["/bin/a"]),
            ("ExecStart=/bin/a b", vec!["/bin/a", "b", "c"]),
            ("ExecStart=/bin/a $B", vec!["/bin/c", "b"]),
            ("ExecStart=/bin/sh /opt/x", vec!["/bin/sh", "-c", "/opt/x"]),
            ("ExecStart=/bin/a ${B}/x", vec!["/bin/a", "x"]),
            (
                "ExecStart=/bin/a\nExecStart=\nExecStart=/bin/b",
                vec!["/bin/a"],
            ),
            ("ExecStart=sleep 5", vec!["/tmp/nosleep", "5"]),
        ] {
            assert!(!known(unit, &argv), "{unit}: {argv:?}");
        }
    }

    #[test]
    fn a_cut_line_is_compared_as_far_as_it_goes() {
        let unit = "ExecStart=/bin/sh -c 'a long line' and more";
        assert!(is(unit, &["/bin/sh", "-c", "a lo"], true));
        assert!(is(unit, &["/bin/s"], true));
        assert!(!is(unit, &["/bin/sh", "-x", "a lo"], true));
        assert!(!is(unit, &["/bin/sh", "-c", "a lo"], false));
    }

    proptest::proptest! {
        #[test]
        fn what_a_unit_says_is_known(words in proptest::collection::vec("[a-z$%{}/]{1,9}", 0..5)) {
            let line = words.iter().fold("ExecStart=/bin/a".to_owned(), |line, word| line + " " + word);
            let plain: Vec<&str> = words.iter().map(String::as_str).collect();
            let argv: Vec<&str> = std::iter::once("/bin/a").chain(plain).collect();
            let literal = words.iter().all(|word| !word.contains(['$', '%']));
            let got = known(&line, &argv);
            proptest::prop_assert!(got || !literal, "{line}");
            proptest::prop_assert!(!literal || !known(&line, &[&argv[..], &["more"]].concat()), "{line}");
        }
    }
}
