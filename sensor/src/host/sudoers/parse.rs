//! Entries of sudoers: aliases, defaults and user specifications.

use std::path::{Path, PathBuf};

use super::lines::{list, logical, positions, split_at, unescape};
use super::{Allowed, ENTRIES_MAX, Grant, Member, Sudoers};

/// Deepest chain of aliases.
const ALIAS_DEPTH: usize = 16;
/// Most members that one list grows to.
const LIST_MAX: usize = 4096;

const TAGS: [&str; 14] = [
    "EXEC",
    "NOEXEC",
    "FOLLOW",
    "NOFOLLOW",
    "LOG_INPUT",
    "NOLOG_INPUT",
    "LOG_OUTPUT",
    "NOLOG_OUTPUT",
    "MAIL",
    "NOMAIL",
    "INTERCEPT",
    "NOINTERCEPT",
    "SETENV",
    "NOSETENV",
];
const OPTIONS: [&str; 10] = [
    "ROLE",
    "TYPE",
    "PRIVS",
    "LIMITPRIVS",
    "APPARMOR_PROFILE",
    "CWD",
    "CHROOT",
    "TIMEOUT",
    "NOTBEFORE",
    "NOTAFTER",
];

/// What an alias stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::host) enum AliasKind {
    User,
    Runas,
    Host,
    Command,
}

/// Another file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    /// As it is written; relative to the file that names it.
    pub path: String,
    /// Whether it is a directory.
    pub directory: bool,
}

/// A user specification, whose aliases may be defined later.
#[derive(Clone, Debug)]
pub(in crate::host) struct Specification {
    who: String,
    commands: Vec<RawCommand>,
    path: PathBuf,
    line: usize,
}

#[derive(Clone, Debug)]
struct RawCommand {
    text: String,
    run_as: Option<String>,
    no_password: bool,
}

/// Takes in one file, and says what it includes. Aliases are resolved when all are read.
pub fn parse_into(text: &str, path: &Path, sudoers: &mut Sudoers) -> Vec<Include> {
    let mut includes = Vec::new();
    for (number, line) in logical(text) {
        if sudoers.unresolved.len() + sudoers.aliases.len() >= ENTRIES_MAX {
            let text = format!("{}: more than {ENTRIES_MAX} entries", path.display());
            sudoers.problems.push(text);
            break;
        }
        let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
        let kind = match first {
            "User_Alias" => AliasKind::User,
            "Runas_Alias" => AliasKind::Runas,
            "Host_Alias" => AliasKind::Host,
            "Cmnd_Alias" | "Cmd_Alias" => AliasKind::Command,
            "@include" | "#include" | "@includedir" | "#includedir" => {
                includes.push(Include {
                    path: unescape(rest.trim()),
                    directory: first.ends_with("dir"),
                });
                continue;
            }
            _ if first.starts_with("Defaults") => {
                defaults(first, rest, sudoers);
                continue;
            }
            // An include that nobody knows is a comment.
            _ if first.starts_with("#include") => continue,
            _ => {
                let parsed = specification(&line, path, number, sudoers);
                if parsed.is_none() {
                    let text = format!("{}:{number}: not understood", path.display());
                    sudoers.problems.push(text);
                }
                continue;
            }
        };
        for definition in aliases(rest) {
            match definition {
                Some((name, members)) => {
                    sudoers.aliases.insert((kind, name), members);
                }
                None => {
                    let text = format!("{}:{number}: not an alias", path.display());
                    sudoers.problems.push(text);
                }
            }
        }
    }
    includes
}

/// `A = x, y : B = z`
fn aliases(text: &str) -> Vec<Option<(String, String)>> {
    let marks = boundaries(text);
    split_at(text, &marks)
        .into_iter()
        .map(|part| {
            let (name, members) = part.split_once('=')?;
            let name = name.trim();
            let valid = name.starts_with(|c: char| c.is_ascii_uppercase());
            valid.then(|| (name.to_owned(), members.trim().to_owned()))
        })
        .collect()
}

/// Colons that part definitions: what follows has a `=`, and what is before is no tag or digest.
fn boundaries(text: &str) -> Vec<usize> {
    let colons = positions(text, |c| c == ':');
    let parts_definitions = |&at: &usize| {
        let before = text.get(..at).unwrap_or_default();
        let word = before
            .rsplit([' ', '\t', ',', '=', ')', ':', '!'])
            .next()
            .unwrap_or_default();
        let marks = ["PASSWD", "NOPASSWD", "sha224", "sha256", "sha384", "sha512"];
        let after = text.get(at + 1..).unwrap_or_default();
        !marks.contains(&word) && !TAGS.contains(&word) && after.contains('=')
    };
    colons.into_iter().filter(parts_definitions).collect()
}

fn defaults(first: &str, rest: &str, sudoers: &mut Sudoers) {
    let scope = first.strip_prefix("Defaults").unwrap_or_default();
    // `Defaults: alice !x` has the user in the next word.
    let (scope, settings) = match scope {
        ":" => rest
            .trim()
            .split_once(char::is_whitespace)
            .unwrap_or((rest, "")),
        scope => (scope.strip_prefix(':').unwrap_or(scope), rest),
    };
    // For hosts (`@`), commands (`!`) and target users (`>`) it does not free a user.
    let users = !scope.starts_with(['@', '!', '>']);
    let free = list(settings)
        .iter()
        .any(|setting| setting.replace(' ', "") == "!authenticate");
    if users && free {
        sudoers.unauthenticated.push(scope.to_owned());
    }
}

/// `users hosts = commands : hosts = commands`
fn specification(line: &str, path: &Path, number: usize, sudoers: &mut Sudoers) -> Option<()> {
    let equals = *positions(line, |c| c == '=').first()?;
    let head = line.get(..equals)?;
    let split = end_of_list(head)?;
    let who = head.get(..split)?.trim().to_owned();
    let rest = line.get(split..)?;
    let mut commands = Vec::new();
    for part in split_at(rest, &boundaries(rest)) {
        let equals = *positions(part, |c| c == '=').first()?;
        let hosts = part.get(..equals)?.trim();
        if hosts.is_empty() {
            return None;
        }
        commands.extend(raw_commands(part.get(equals + 1..)?));
    }
    if who.is_empty() || commands.is_empty() {
        return None;
    }
    sudoers.unresolved.push(Specification {
        who,
        commands,
        path: path.to_owned(),
        line: number,
    });
    Some(())
}

/// Where the first list of `a, b c, d` ends: at a blank that has no comma on either side.
fn end_of_list(text: &str) -> Option<usize> {
    let blanks = positions(text, char::is_whitespace);
    blanks.into_iter().find(|&at| {
        let before = text.get(..at).unwrap_or_default().trim_end();
        let after = text.get(at..).unwrap_or_default().trim_start();
        !before.is_empty() && !before.ends_with([',', '!']) && !after.starts_with(',')
    })
}

/// Tags and the user to run as hold for the commands that follow, too.
fn raw_commands(text: &str) -> Vec<RawCommand> {
    let (mut run_as, mut no_password) = (None, false);
    let mut commands = Vec::new();
    for item in list(text) {
        let mut rest = item.trim();
        if let Some(inner) = rest.strip_prefix('(')
            && let Some((inside, after)) = inner.split_once(')')
        {
            run_as = Some(inside.to_owned());
            rest = after.trim();
        }
        while let Some(at) = rest.find([':', '=', ' ', '\t', '/', '"']) {
            let (word, after) = rest.split_at(at);
            if let Some(after) = after.trim_start().strip_prefix(':') {
                match word {
                    "NOPASSWD" => no_password = true,
                    "PASSWD" => no_password = false,
                    _ if TAGS.contains(&word) => {}
                    // The digest that the command must have.
                    _ if word.starts_with("sha") => {
                        let after = after.trim_start();
                        rest = after
                            .split_once(char::is_whitespace)
                            .map_or("", |(_, it)| it);
                        rest = rest.trim();
                        continue;
                    }
                    _ => break,
                }
                rest = after.trim();
            } else if after.starts_with('=') && OPTIONS.contains(&word) {
                let value = after.get(1..).unwrap_or_default();
                let end = positions(value, char::is_whitespace).first().copied();
                rest = end
                    .and_then(|end| value.get(end..))
                    .unwrap_or_default()
                    .trim();
            } else {
                break;
            }
        }
        if !rest.is_empty() {
            commands.push(RawCommand {
                text: rest.to_owned(),
                run_as: run_as.clone(),
                no_password,
            });
        }
    }
    commands
}

/// Makes grants of specifications, now that all aliases are known.
pub(super) fn resolve(sudoers: &mut Sudoers) {
    for it in std::mem::take(&mut sudoers.unresolved) {
        let who = members(sudoers, AliasKind::User, &it.who);
        let mut commands = Vec::new();
        for raw in &it.commands {
            let run_as = raw.run_as.as_deref().map_or_else(Vec::new, |text| {
                // What follows a colon are groups: with them alone the user stays who he is.
                let (users, groups) = text.split_once(':').unwrap_or((text, ""));
                let mut run_as = members(sudoers, AliasKind::Runas, users);
                if run_as.is_empty() {
                    let text = if groups.is_empty() {
                        "root"
                    } else {
                        "(the user)"
                    };
                    run_as.push(Member {
                        text: text.to_owned(),
                        negated: false,
                    });
                }
                run_as
            });
            for member in members(sudoers, AliasKind::Command, &raw.text) {
                let (command, arguments) = match member.text.split_once(char::is_whitespace) {
                    Some((command, "\"\"")) => (command, Some(String::new())),
                    Some((command, arguments)) => (command, Some(unescape(arguments.trim()))),
                    None => (member.text.as_str(), None),
                };
                commands.push(Allowed {
                    command: unescape(command),
                    arguments,
                    negated: member.negated,
                    no_password: raw.no_password,
                    run_as: run_as.clone(),
                });
            }
        }
        sudoers.grants.push(Grant {
            who,
            commands,
            path: it.path,
            line: it.line,
        });
    }
}

fn members(sudoers: &Sudoers, kind: AliasKind, text: &str) -> Vec<Member> {
    let mut out = Vec::new();
    expand(sudoers, kind, text, false, 0, &mut out);
    out
}

fn expand(
    sudoers: &Sudoers,
    kind: AliasKind,
    text: &str,
    negated: bool,
    depth: usize,
    out: &mut Vec<Member>,
) {
    for item in list(text) {
        let name = item.trim_start_matches(['!', ' ']);
        let marks = item.get(..item.len() - name.len()).unwrap_or_default();
        let negated = negated ^ (marks.matches('!').count() % 2 == 1);
        let alias = sudoers.aliases.get(&(kind, name.to_owned()));
        match alias {
            Some(inside) if depth < ALIAS_DEPTH => {
                expand(sudoers, kind, inside, negated, depth + 1, out);
            }
            _ if out.len() < LIST_MAX => out.push(Member {
                text: match kind {
                    AliasKind::Command => name.to_owned(),
                    _ => unescape(name),
                },
                negated,
            }),
            _ => return,
        }
    }
}
