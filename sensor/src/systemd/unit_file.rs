//! Unit files: the text format, as systemd's `config_parse` reads it (`src/shared/conf-parser.c`).
//!
//! More lenient in one way: where systemd gives up on a file, as at a line that is not UTF-8 or a
//! broken section header, this goes on and reports a [`Problem`]; the file may be mended later.

use std::fmt::{self, Write as _};

/// Longest line, and longest logical line over continuations, that systemd reads
/// (`LONG_LINE_MAX`).
pub const LONG_LINE_MAX: usize = 1 << 20;

/// Longest file that is parsed, in bytes. What comes after is left out, with a problem.
pub const FILE_MAX: usize = 1 << 20;

/// What is odd about a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// The file is longer than is read.
    #[error("longer than 1 MiB, the rest is left out")]
    FileTooLong,
    /// A line, or lines joined by backslashes, are longer than systemd takes.
    #[error("line longer than 1 MiB")]
    LineTooLong,
    /// Not UTF-8; the bytes are replaced.
    #[error("not UTF-8")]
    NotUtf8,
    /// A section header without its closing bracket, or with control characters in it.
    #[error("broken section header")]
    BrokenSection,
    /// A line that is no assignment.
    #[error("no '=' in the line")]
    NoEquals,
    /// An assignment to nothing.
    #[error("no key in front of '='")]
    NoKey,
    /// An assignment before the first section.
    #[error("assignment outside of a section")]
    NoSection,
    /// The file ends in a backslash.
    #[error("the last line ends in a backslash")]
    OpenContinuation,
}

impl ProblemKind {
    /// Whether systemd refuses the whole file for it.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::LineTooLong | Self::NotUtf8 | Self::BrokenSection
        )
    }
}

/// Something odd, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Number of the line, from 1.
    pub line: usize,
    /// What it is.
    pub kind: ProblemKind,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.kind)
    }
}

/// One `key = value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The section's name, without brackets.
    pub section: String,
    /// The key, without blanks around it.
    pub key: String,
    /// The value, without blanks around it; lines joined by a backslash are one value.
    pub value: String,
    /// Number of its last line, from 1; for merged files of the line in its own file.
    pub line: usize,
}

/// A unit file, or a unit file with its drop-ins: the assignments in the order of reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitFile {
    assignments: Vec<Assignment>,
}

const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

impl UnitFile {
    /// Parses any bytes at all.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> (Self, Vec<Problem>) {
        let mut parser = Parser::default();
        let bytes = match bytes.get(..FILE_MAX) {
            Some(head) if bytes.len() > FILE_MAX => {
                let kind = ProblemKind::FileTooLong;
                parser.problems.push(Problem { line: 0, kind });
                head
            }
            _ => bytes,
        };
        for line in (Lines { rest: bytes }) {
            parser.physical(line);
        }
        parser.end();
        (parser.file, parser.problems)
    }

    /// Parses a unit file and its drop-ins, in the order in which systemd reads them.
    #[must_use]
    pub fn merge<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let assignments = parts
            .into_iter()
            .flat_map(|part| part.assignments.iter().cloned())
            .collect();
        Self { assignments }
    }

    /// Every assignment.
    #[must_use]
    pub fn assignments(&self) -> &[Assignment] {
        &self.assignments
    }

    /// Whether nothing is assigned: what systemd takes for masked if the file has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.assignments.is_empty()
    }

    /// Every value given to `key`, the empty ones too.
    pub fn raw(&self, section: &str, key: &str) -> impl Iterator<Item = &str> {
        self.assignments
            .iter()
            .filter(move |it| it.section == section && it.key == key)
            .map(|it| it.value.as_str())
    }

    /// The values of a list: an empty assignment drops those before it.
    #[must_use]
    pub fn values(&self, section: &str, key: &str) -> Vec<&str> {
        let mut values = Vec::new();
        for value in self.raw(section, key) {
            if value.is_empty() {
                values.clear();
            } else {
                values.push(value);
            }
        }
        values
    }

    /// The first value that is not empty, whatever was reset.
    #[must_use]
    pub fn first(&self, section: &str, key: &str) -> Option<&str> {
        self.raw(section, key).find(|value| !value.is_empty())
    }

    /// The last value, if it is not empty.
    #[must_use]
    pub fn last(&self, section: &str, key: &str) -> Option<&str> {
        self.raw(section, key)
            .last()
            .filter(|value| !value.is_empty())
    }

    /// A boolean as systemd reads one; `None` when it is unset or none.
    #[must_use]
    pub fn boolean(&self, section: &str, key: &str) -> Option<bool> {
        parse_boolean(self.last(section, key)?)
    }
}

/// `parse_boolean` of `src/basic/parse-util.c`.
#[must_use]
pub fn parse_boolean(text: &str) -> Option<bool> {
    let is = |words: [&str; 6]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is(["1", "yes", "y", "true", "t", "on"]) {
        Some(true)
    } else if is(["0", "no", "n", "false", "f", "off"]) {
        Some(false)
    } else {
        None
    }
}

/// Prints what [`UnitFile::parse`] reads back as the same assignments.
impl fmt::Display for UnitFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut section = None;
        for it in &self.assignments {
            if section != Some(&it.section) {
                writeln!(f, "[{}]", it.section)?;
                section = Some(&it.section);
            }
            f.write_str(&it.key)?;
            f.write_char('=')?;
            f.write_str(&it.value)?;
            f.write_char('\n')?;
        }
        Ok(())
    }
}

#[derive(Default)]
struct Parser {
    file: UnitFile,
    problems: Vec<Problem>,
    section: Option<String>,
    line: usize,
    seen_bom: bool,
    /// What a backslash at a line's end holds back.
    held: Option<Vec<u8>>,
}

impl Parser {
    fn problem(&mut self, kind: ProblemKind) {
        let line = self.line;
        self.problems.push(Problem { line, kind });
    }

    fn physical(&mut self, line: &[u8]) {
        self.line += 1;
        // Comments are dropped before lines are joined: they may stand between them.
        let first = line.iter().find(|byte| !b" \t\n\r".contains(byte));
        if matches!(first, Some(b'#' | b';')) {
            return;
        }
        let line = match line.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) if !self.seen_bom => {
                self.seen_bom = true;
                rest
            }
            _ => line,
        };
        let mut whole = self.held.take().unwrap_or_default();
        if whole.len() + line.len() > LONG_LINE_MAX {
            self.problem(ProblemKind::LineTooLong);
            return;
        }
        whole.extend_from_slice(line);
        // A backslash that is itself escaped does not join. As in systemd, the count starts at
        // the beginning of the joined line.
        let escaped = whole
            .iter()
            .fold(false, |escaped, &byte| !escaped && byte == b'\\');
        if escaped {
            if let Some(last) = whole.last_mut() {
                *last = b' ';
            }
            self.held = Some(whole);
        } else {
            self.logical(&whole);
        }
    }

    fn end(&mut self) {
        if let Some(whole) = self.held.take() {
            self.problem(ProblemKind::OpenContinuation);
            self.logical(&whole);
        }
    }

    fn logical(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        if matches!(text, std::borrow::Cow::Owned(_)) {
            self.problem(ProblemKind::NotUtf8);
        }
        let text = text.trim_matches(BLANK);
        if text.is_empty() {
            return;
        }
        if let Some(rest) = text.strip_prefix('[') {
            let name = rest.strip_suffix(']');
            match name.filter(|name| !name.chars().any(char::is_control)) {
                Some(name) => self.section = Some(name.to_owned()),
                None => self.problem(ProblemKind::BrokenSection),
            }
            return;
        }
        let Some(section) = self.section.clone() else {
            self.problem(ProblemKind::NoSection);
            return;
        };
        let Some((key, value)) = text.split_once('=') else {
            self.problem(ProblemKind::NoEquals);
            return;
        };
        if key.is_empty() {
            self.problem(ProblemKind::NoKey);
            return;
        }
        self.file.assignments.push(Assignment {
            section,
            key: key.trim_matches(BLANK).to_owned(),
            value: value.trim_matches(BLANK).to_owned(),
            line: self.line,
        });
    }
}

/// Lines as `read_line` of `src/basic/fileio.c` cuts them: at a newline, a carriage return, a
/// NUL, or a run of different ones.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r' | 0);
        let end = self.rest.iter().position(is_end);
        let (line, mut rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let mut eaten: Vec<u8> = Vec::new();
        while let Some((&byte, tail)) = rest.split_first() {
            if !is_end(&byte) || eaten.contains(&byte) || eaten.contains(&0) {
                break;
            }
            eaten.push(byte);
            rest = tail;
        }
        self.rest = rest;
        Some(line)
    }
}
