//! What a command of a unit leads to.

use std::path::Path;

use super::files::Files;
use super::{CommandFacts, FileFacts};
use crate::host::rooted::End;
use crate::systemd::service::{Command, SEARCH_PATH, interpreter_of};

/// Most arguments of one command that are looked at.
const MAX_ARGUMENTS: usize = 64;

/// What a command executes.
#[derive(Clone, Debug)]
pub enum Target {
    /// This file, which may not be there.
    File(Box<FileFacts>),
    /// A name that is in no directory of systemd's fixed path.
    NotInPath,
    /// It depends on what is known only when it runs, or lies in another root.
    Unknown,
}

impl Target {
    /// The file, where there is one to look at.
    #[must_use]
    pub fn file(&self) -> Option<&FileFacts> {
        match self {
            Self::File(file) => Some(file),
            Self::NotInPath | Self::Unknown => None,
        }
    }

    /// Whether there is certainly nothing to execute.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        match self {
            Self::File(file) => matches!(file.trace.end, End::Missing(_)),
            Self::NotInPath => true,
            Self::Unknown => false,
        }
    }
}

/// Looks at one command; `rooted` when it runs in a root of its own.
pub(super) fn facts(files: &mut Files<'_>, command: Command, rooted: bool) -> CommandFacts {
    let open = |text: &str| text.contains('%') || text.contains('$');
    let target = if rooted || open(&command.path) {
        Target::Unknown
    } else if command.path.starts_with('/') {
        Target::File(Box::new(
            files.facts_with_text(Path::new(&command.path), false),
        ))
    } else if command.path.contains('/') {
        Target::Unknown
    } else {
        let candidates = SEARCH_PATH
            .iter()
            .map(|dir| Path::new(dir).join(&command.path));
        let found = candidates
            .map(|path| files.facts(&path))
            .find(|facts| facts.trace.found().is_some());
        found.map_or(Target::NotInPath, |facts| Target::File(Box::new(facts)))
    };
    let mut scripts = Vec::new();
    // With `|` a shell runs it, whatever it is.
    let interpreted = interpreter_of(&command.path).is_some() || command.prefixes.contains('|');
    if interpreted && !rooted {
        for argument in command.argv.iter().skip(1).take(MAX_ARGUMENTS) {
            if argument.starts_with('/')
                && !open(argument)
                && !argument.contains(char::is_whitespace)
            {
                scripts.push(files.facts_with_text(Path::new(argument), true));
            }
        }
    }
    CommandFacts {
        command,
        target,
        scripts,
    }
}
