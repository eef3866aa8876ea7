//! What the commands of units say, and the scripts that they run.

use super::content::{Hit, encoded, invisible, makes_setuid, network};
use super::targets::{SETUID, line_of};
use super::{of_unit, weigh};
use crate::detect::techniques::{T1027, T1036, T1059_004, T1105, T1543_002, T1564_001};
use crate::event::{Posture, Rule, Severity};
use crate::systemd::inventory::{CommandFacts, UnitFacts};
use crate::systemd::service::interpreter_of;

pub(super) static INLINE_CODE: Rule = Rule {
    id: "command-inline-code",
    title: "A unit gives code to an interpreter",
    techniques: &[T1059_004, T1543_002],
    is_analytic: false,
    severity: "low for a shell, medium for other languages; a step less when it does not run as root; \
               informational when the unit is a package's",
    explanation: "Code in the unit file itself has no file of its own that could be checked or watched.",
    check: "Read the code. Does it only do what the unit is for?",
    silence: "Move the code into a script that a package brings or that only root can write to.",
};

pub(super) static NETWORK: Rule = Rule {
    id: "command-network-one-liner",
    title: "A unit runs what it fetches from the network, or gives a shell to it",
    techniques: &[T1059_004, T1105],
    is_analytic: false,
    severity: "critical; a step less when it does not run as root; informational when the unit is a package's",
    explanation: "Whoever answers decides what runs; reverse shells have no other purpose.",
    check: "Where does it connect to, and who put it there?",
    silence: "Fetch and check in separate steps, with a pinned digest.",
};

pub(super) static ENCODED: Rule = Rule {
    id: "command-encoded",
    title: "A unit runs code that hides what it is",
    techniques: &[T1027, T1059_004],
    is_analytic: false,
    severity: "high; a step less when it does not run as root; informational when the unit is a package's",
    explanation: "Encoding has no use in a unit but to keep people and scanners from reading it.",
    check: "Decode it, without running it.",
    silence: "Write it plainly.",
};

pub(super) static INVISIBLE: Rule = Rule {
    id: "command-invisible-characters",
    title: "A unit's command has characters that are not seen",
    techniques: &[T1036, T1564_001],
    is_analytic: false,
    severity: "high; a step less when it does not run as root",
    explanation: "Control and zero-width characters make a path look like another, or hide the rest of a line.",
    check: "Show the line with `cat -A`.",
    silence: "Write the command without them.",
};

/// The code that a command carries in its arguments, and the language.
fn inline(command: &CommandFacts) -> Option<(&'static str, &str)> {
    let it = &command.command;
    let mut words = it.argv.iter().skip(1).peekable();
    if it.prefixes.contains('|') {
        return it.argv.first().map(|word| ("shell", word.as_str()));
    }
    let mut language = interpreter_of(&it.path)?;
    // `env VAR=x -i python3 -c …`, `busybox sh -c …`
    while matches!(language, "env" | "busybox") {
        let word = words.next()?;
        if let Some(inner) = interpreter_of(word).filter(|_| !word.starts_with('-')) {
            language = inner;
        } else if language == "busybox" {
            return None;
        }
    }
    while let Some(word) = words.next() {
        if !word.starts_with('-') || word.len() < 2 {
            return None;
        }
        let short = word.strip_prefix('-').filter(|it| !it.starts_with('-'));
        let letters = |wanted: &[char]| short.is_some_and(|it| it.contains(wanted));
        let is_code = match language {
            "shell" => {
                letters(&['c']) && short.is_some_and(|it| it.chars().all(char::is_alphabetic))
            }
            "python" => short.is_some_and(|it| it.ends_with('c')),
            "perl" | "ruby" => letters(&['e', 'E']) && !letters(&['/', '=']),
            "node" => letters(&['e', 'p']) || word == "--eval" || word == "--print",
            "php" => letters(&['r']),
            "lua" => letters(&['e']),
            _ => false,
        };
        if is_code {
            return Some((language, words.next().map_or("", String::as_str)));
        }
    }
    None
}

pub(super) fn unit(unit: &UnitFacts, results: &mut Vec<Posture>) {
    for command in &unit.commands {
        of_command(unit, command, results);
    }
}

fn of_command(unit: &UnitFacts, command: &CommandFacts, results: &mut Vec<Posture>) {
    let name = unit.name.as_str();
    let path = &command.command.path;
    let mut add = |entry, severity, message: String, evidence: Vec<String>| {
        let mut result = of_unit(entry, unit, weigh(unit, severity), message);
        result.evidence.push(line_of(command));
        result.evidence.extend(evidence);
        results.push(result);
    };
    if let Some((language, _)) = inline(command) {
        let severity = if language == "shell" {
            Severity::Low
        } else {
            Severity::Medium
        };
        let message = format!("{name} gives code to {path} on its command line");
        add(&INLINE_CODE, severity, message, Vec::new());
    }
    let line = command.command.argv.join(" ");
    let shown = |hit: &Hit| hit.line.chars().take(300).collect::<String>();
    let mut of_text = |text: &str, whose: &str| {
        if let Some(hit) = network(text).first() {
            let message = format!("{whose} {}", hit.what);
            add(&NETWORK, Severity::Critical, message, vec![shown(hit)]);
        }
        if let Some(hit) = makes_setuid(text).first() {
            let message = format!("{whose} {}", hit.what);
            add(&SETUID, Severity::High, message, vec![shown(hit)]);
        }
        if let Some(hit) = encoded(text).first() {
            let message = format!("{whose} {}", hit.what);
            add(&ENCODED, Severity::High, message, vec![shown(hit)]);
        }
    };
    of_text(&line, &format!("a command of {name}"));
    for file in command.target.file().into_iter().chain(&command.scripts) {
        if let Some(text) = &file.text {
            of_text(
                text,
                &format!("{}, which {name} runs,", file.path.display()),
            );
        }
    }
    let words = std::iter::once(path).chain(&command.command.argv);
    if let Some(c) = words.filter_map(|word| invisible(word)).next() {
        let code = u32::from(c);
        let message =
            format!("a command of {name} has the character U+{code:04X}, which is not seen");
        add(&INVISIBLE, Severity::High, message, Vec::new());
    }
}
