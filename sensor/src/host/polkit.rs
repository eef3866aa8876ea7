//! Rules of polkit, read as text: JavaScript rules (polkit(8)) and the older `.pkla` files.
//!
//! The rules are programs. What a rule tests is told by the names in it, not by running it: a rule
//! that builds its names from parts is not understood.

use std::path::{Path, PathBuf};

use super::rooted::Root;

/// Where rules are looked for.
pub const DIRECTORIES: [&str; 4] = [
    "/etc/polkit-1/rules.d",
    "/run/polkit-1/rules.d",
    "/usr/local/share/polkit-1/rules.d",
    "/usr/share/polkit-1/rules.d",
];
const AUTHORITIES: [&str; 2] = [
    "/etc/polkit-1/localauthority",
    "/var/lib/polkit-1/localauthority",
];
const FILE_MAX: u64 = 1 << 20;
const ENTRIES_MAX: usize = 2048;
const RULES_MAX: usize = 512;

/// What polkit asks about when a unit is to be started or changed.
pub const ACTIONS: [&str; 4] = [
    "org.freedesktop.systemd1.manage-units",
    "org.freedesktop.systemd1.manage-unit-files",
    "org.freedesktop.systemd1.set-environment",
    "org.freedesktop.systemd1.reload-daemon",
];

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolkitFile {
    /// Its path.
    pub path: PathBuf,
    /// Rules in it that let somebody manage units without a password.
    pub rules: Vec<PolkitRule>,
}

/// A rule that allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolkitRule {
    /// The actions that it names; empty when it holds for all.
    pub actions: Vec<String>,
    /// `isInGroup("x")` as `group x`, `subject.user == "x"` as `user x`; empty for everybody.
    pub who: Vec<String>,
    /// Names that it compares a unit or verb with: it is limited to them.
    pub limits: Vec<String>,
}

/// Every file with rules, and what could not be read.
#[must_use]
pub fn read(root: &Root) -> (Vec<PolkitFile>, Vec<String>) {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    let mut paths = Vec::new();
    let mut list = |directory: &Path, suffix: &str, paths: &mut Vec<PathBuf>| match root
        .list(directory, ENTRIES_MAX)
    {
        Ok((names, _)) => {
            let names = names.into_iter().filter(|name| name.ends_with(suffix));
            paths.extend(names.map(|name| directory.join(name)));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => problems.push(format!("cannot read {}: {error}", directory.display())),
    };
    for directory in DIRECTORIES {
        list(Path::new(directory), ".rules", &mut paths);
    }
    for authority in AUTHORITIES.map(Path::new) {
        let below = root.list(authority, ENTRIES_MAX).unwrap_or_default().0;
        for name in below {
            list(&authority.join(name), ".pkla", &mut paths);
        }
    }
    for path in paths {
        match root.read(&path, FILE_MAX) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                let is_script = path.extension().is_some_and(|suffix| suffix == "rules");
                let rules = if is_script {
                    script(&text)
                } else {
                    pkla(&text)
                };
                files.push(PolkitFile { path, rules });
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    (files, problems)
}

/// The rules of a script that say yes to what concerns units.
#[must_use]
pub fn script(text: &str) -> Vec<PolkitRule> {
    let code = without_comments(text);
    let mut rules = Vec::new();
    for part in code.split("polkit.addRule").skip(1).take(RULES_MAX) {
        let part = part.split("polkit.addAdminRule").next().unwrap_or(part);
        let compact: String = part.split_whitespace().collect();
        if !compact.contains("polkit.Result.YES") && !compact.contains("return\"yes\"") {
            continue;
        }
        let literals = literals(part);
        let asks = part.contains("action.id");
        let actions: Vec<String> = literals
            .iter()
            .filter(|literal| literal.len() >= 4 && covers(literal))
            .cloned()
            .collect();
        if asks && actions.is_empty() {
            continue;
        }
        let mut who = Vec::new();
        who.extend(following(&compact, "isInGroup(").map(|name| format!("group {name}")));
        who.extend(following(&compact, "isInNetGroup(").map(|name| format!("netgroup {name}")));
        for mark in ["subject.user==", "subject.user==="] {
            who.extend(following(&compact, mark).map(|name| format!("user {name}")));
        }
        let mut limits = Vec::new();
        if part.contains("action.lookup") {
            let units = |it: &&String| it.contains('.') && !covers(it);
            limits.extend(literals.iter().filter(units).cloned());
            if limits.is_empty() {
                limits.push("action.lookup".to_owned());
            }
        }
        rules.push(PolkitRule {
            actions,
            who,
            limits,
        });
    }
    rules
}

/// Whether a name, or what it is a beginning or pattern of, is one of systemd's actions.
fn covers(literal: &str) -> bool {
    let head = literal.trim_end_matches('*');
    ACTIONS
        .iter()
        .any(|action| action.starts_with(head) && (head.len() >= 4 || literal == "*"))
        || literal.starts_with("org.freedesktop.systemd1.")
}

/// The sections of a `.pkla` file that say yes.
#[must_use]
pub fn pkla(text: &str) -> Vec<PolkitRule> {
    let mut rules = Vec::new();
    for section in text.split("\n[").take(RULES_MAX) {
        let value = |key: &str| {
            section.lines().rev().find_map(|line| {
                let (name, value) = line.split_once('=')?;
                (name.trim() == key).then(|| value.trim().to_owned())
            })
        };
        let yes = ["ResultAny", "ResultInactive", "ResultActive"]
            .iter()
            .any(|key| value(key).is_some_and(|it| it == "yes"));
        let split = |text: String| -> Vec<String> {
            text.split(';')
                .map(|it| it.trim().to_owned())
                .filter(|it| !it.is_empty())
                .collect()
        };
        let actions = split(value("Action").unwrap_or_default());
        let actions: Vec<_> = actions.into_iter().filter(|it| covers(it)).collect();
        if !yes || actions.is_empty() {
            continue;
        }
        let who = split(value("Identity").unwrap_or_default());
        let who = who
            .into_iter()
            .filter(|it| it != "unix-user:*")
            .map(|it| {
                it.replace("unix-user:", "user ")
                    .replace("unix-group:", "group ")
            })
            .collect();
        rules.push(PolkitRule {
            actions,
            who,
            limits: Vec::new(),
        });
    }
    rules
}

fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut quote = None;
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', Some(_)) => {
                out.push(c);
                out.extend(chars.next());
                continue;
            }
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'' | '`', None) => quote = Some(c),
            ('/', None) if chars.peek() == Some(&'/') => {
                while chars.next_if(|c| *c != '\n').is_some() {}
                continue;
            }
            ('/', None) if chars.peek() == Some(&'*') => {
                chars.next();
                let mut before = ' ';
                for c in chars.by_ref() {
                    if before == '*' && c == '/' {
                        break;
                    }
                    before = c;
                }
                out.push(' ');
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

/// What stands in quotes.
fn literals(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(['"', '\'', '`']) {
        let (open, tail) = rest.split_at(at);
        let _ = open;
        let Some(quote) = tail.chars().next() else {
            break;
        };
        let tail = tail.get(1..).unwrap_or_default();
        let Some(end) = tail.find(quote) else { break };
        found.push(tail.get(..end).unwrap_or_default().to_owned());
        rest = tail.get(end + 1..).unwrap_or_default();
        if found.len() >= ENTRIES_MAX {
            break;
        }
    }
    found
}

/// The literals that come right after `mark`.
fn following<'a>(code: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    code.split(mark).skip(1).filter_map(|rest| {
        let quote = rest.chars().next().filter(|c| "\"'`".contains(*c))?;
        rest.get(1..)?.split(quote).next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_let_somebody_manage_units() {
        let all = script(
            "// polkit.addRule: a comment\n\
             polkit.addAdminRule(function(a, s) { return ['unix-group:sudo']; });\n\
             polkit.addRule(function(action, subject) {\n\
               if (action.id == \"org.freedesktop.systemd1.manage-units\" &&\n\
                   action.lookup('unit') == 'app.service' && subject.isInGroup(\"ops\"))\n\
                 { return polkit.Result.YES; } });\n\
             polkit.addRule(function(action, subject) {\n\
               if (action.id.indexOf('org.freedesktop.') == 0 && subject.user === 'bob')\n\
                 return polkit.Result.YES; });\n\
             polkit.addRule(function(action, subject) {\n\
               if (action.id == 'org.freedesktop.login1.reboot') return polkit.Result.YES; });\n\
             polkit.addRule(function(action, subject) {\n\
               if (action.id == 'org.freedesktop.systemd1.manage-units') \
                 return polkit.Result.AUTH_ADMIN; });\n\
             polkit.addRule(function(action, subject) { return polkit.Result.YES; });\n",
        );
        let rule = |actions: &[&str], who: &[&str], limits: &[&str]| {
            let own = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect();
            PolkitRule {
                actions: own(actions),
                who: own(who),
                limits: own(limits),
            }
        };
        assert_eq!(
            all,
            [
                rule(&[ACTIONS[0]], &["group ops"], &["app.service"]),
                rule(&["org.freedesktop."], &["user bob"], &[]),
                rule(&[], &[], &[]),
            ]
        );
    }

    #[test]
    fn local_authority() {
        let rules = pkla(
            "[x]\nIdentity=unix-group:ops;unix-user:bob\nAction=org.freedesktop.systemd1.*\n\
             ResultAny=no\nResultActive=yes\n\
             [y]\nIdentity=unix-user:*\nAction=*\nResultAny=yes\n\
             [z]\nIdentity=unix-user:*\nAction=org.freedesktop.login1.reboot\nResultAny=yes\n\
             [w]\nIdentity=unix-user:*\nAction=*\nResultAny=auth_admin\n",
        );
        let who: Vec<_> = rules.iter().map(|rule| rule.who.clone()).collect();
        assert_eq!(
            who,
            [vec!["group ops".to_owned(), "user bob".to_owned()], vec![]]
        );
    }

    #[test]
    fn anything_ends() {
        for text in [
            "",
            "polkit.addRule",
            "polkit.addRule('",
            "/*",
            "//",
            "\"\\",
            "[",
            "[x",
        ] {
            let _ = (script(text), pkla(text));
        }
    }
}
