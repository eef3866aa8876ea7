//! What is asked about.

use std::path::{Component, Path, PathBuf};

use crate::systemd::unit_name::UnitName;

/// What a word on the command line names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Unit(String),
    Path(String),
    Pid(u32),
    /// A finding's uid, or anything else.
    Finding(String),
}

impl Subject {
    /// A number is a pid, what has a slash is a path, what ends like a unit is one.
    pub(super) fn parse(word: &str) -> Self {
        if let Ok(pid) = word.parse() {
            return Self::Pid(pid);
        }
        if word.contains('/') {
            let path = absolute(Path::new(word));
            return Self::Path(path.to_string_lossy().into_owned());
        }
        match UnitName::parse(word) {
            Ok(name) => Self::Unit(name.as_str().to_owned()),
            Err(_) => Self::Finding(word.to_owned()),
        }
    }

    /// Why there is no answer.
    pub(super) fn unknown(&self) -> String {
        match self {
            Self::Unit(unit) => format!(
                "nothing is known of {unit}: no file of it was seen and it was not started since \
                 whodunit keeps the store"
            ),
            Self::Path(path) => format!(
                "nothing is known of {path}: it is no unit file, drop-in, link, generator, preset \
                 or target of a timer that whodunit has seen"
            ),
            Self::Pid(pid) => format!("there is no process {pid}"),
            Self::Finding(word) => format!(
                "{word} is no unit (they end in .service, .timer …), no path (they have a slash), \
                 no pid, and no finding that is kept"
            ),
        }
    }
}

/// Absolute and without `.` and `..`; links stay, for they are what is asked about.
fn absolute(path: &Path) -> PathBuf {
    let mut whole = if path.is_absolute() {
        PathBuf::new()
    } else {
        std::env::current_dir().unwrap_or_default()
    };
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                whole.pop();
            }
            part => whole.push(part),
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (word, subject) in [
            ("1", Subject::Pid(1)),
            ("a.timer", Subject::Unit("a.timer".to_owned())),
            (
                "/etc/./x/../a.timer",
                Subject::Path("/etc/a.timer".to_owned()),
            ),
            ("0f0f-12", Subject::Finding("0f0f-12".to_owned())),
            ("-1", Subject::Finding("-1".to_owned())),
        ] {
            assert_eq!(Subject::parse(word), subject, "{word}");
        }
        let Subject::Path(path) = Subject::parse("./a.timer") else {
            panic!("not a path");
        };
        assert!(path.starts_with('/') && path.ends_with("/a.timer"));
    }
}
