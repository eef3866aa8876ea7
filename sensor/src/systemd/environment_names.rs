//! Environment variables that make programs run what is not theirs.

use crate::event::Severity;

/// What runs code at once: of the dynamic linker, shells and interpreters.
const LOADS: [&str; 8] = [
    "LD_PRELOAD",
    "LD_AUDIT",
    "BASH_ENV",
    "ENV",
    "PERL5OPT",
    "PYTHONSTARTUP",
    "NODE_OPTIONS",
    "RUBYOPT",
];
/// Where code is looked for first.
const SEARCHES: [&str; 6] = [
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "PERL5LIB",
    "GCONV_PATH",
    "NODE_PATH",
    "RUBYLIB",
];
/// What makes a manager look elsewhere for units and generators.
const MOVES: [&str; 4] = [
    "SYSTEMD_UNIT_PATH",
    "SYSTEMD_GENERATOR_PATH",
    "SYSTEMD_ENVIRONMENT_GENERATOR_PATH",
    "SYSTEMD_PRESET_PATH",
];

/// How bad an assignment is, by its variable's name.
pub(crate) fn loads(assignment: &str) -> Option<Severity> {
    let (name, value) = assignment.split_once('=')?;
    let name = name.trim().trim_start_matches("export ");
    if value.trim().is_empty() {
        None
    } else if LOADS.contains(&name) {
        Some(Severity::High)
    } else {
        SEARCHES.contains(&name).then_some(Severity::Low)
    }
}

/// Whether this variable makes a manager look elsewhere.
pub(crate) fn moves_load_paths(name: &str) -> bool {
    MOVES.contains(&name)
}

/// Whether a line of a unit, a script or an environment file sets a variable that loads code.
pub(crate) fn line_loads(line: &str) -> bool {
    let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';');
    let words = line.split(is_end);
    // `Environment=NAME=value`
    let settings = words.flat_map(|word| [Some(word), word.split_once('=').map(|(_, rest)| rest)]);
    settings.flatten().any(|word| loads(word).is_some())
}

/// Whether a line has a manager look elsewhere for units or generators.
pub(crate) fn line_moves(line: &str) -> bool {
    MOVES.iter().any(|name| line.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_load() {
        for line in [
            "LD_PRELOAD=/x.so",
            "Environment=LD_PRELOAD=/x.so",
            "Environment=\"A=b\" 'LD_AUDIT=/x.so'",
            "export BASH_ENV=/x",
            "DefaultEnvironment=PYTHONPATH=/x",
        ] {
            assert!(line_loads(line), "{line}");
        }
        for line in [
            "Environment=A=b",
            "EnvironmentFile=/etc/x",
            "# LD_PRELOAD is not for us",
            "LD_PRELOAD=",
            "MY_LD_PRELOAD=x",
            "PassEnvironment=LD_PRELOAD",
        ] {
            assert!(!line_loads(line), "{line}");
        }
        assert!(line_moves("ManagerEnvironment=SYSTEMD_UNIT_PATH=/opt:"));
    }
}
