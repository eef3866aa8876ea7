//! Who may start units as root through sudo.

use super::of_path;
use crate::detect::techniques::{T1053_006, T1543_002, T1548_003};
use crate::event::{Posture, Rule, Severity};
use crate::host::sudoers::{Allowed, Grant, Member};
use crate::systemd::inventory::Inventory;

pub(super) static UNITS: Rule = Rule {
    id: "sudo-runs-units",
    title: "sudo lets somebody run units as root",
    techniques: &[T1548_003, T1543_002, T1053_006],
    is_analytic: false,
    severity: "high for systemctl or systemd-run with any arguments, and for commands that name a directory of \
               systemd, without a password, for everybody or a user; medium for the same with a password, for patterns in the arguments, and for every command without a \
               password; low for verbs that only show, which a pager turns into a shell; informational for every \
               command with a password, and for fixed verbs and units",
    explanation: "Whoever may run `systemctl link`, `edit` or `start`, or `systemd-run`, runs anything as root, \
                  and PID 1 does it for him: in the process tree there is no trace of him.",
    check: "Does the user need that? Would one verb with one unit do?",
    silence: "Allow single verbs with single units, with full paths, without patterns.",
};

/// Programs that make a manager run things.
const RUNNERS: [&str; 7] = [
    "systemctl",
    "systemd-run",
    "run0",
    "busctl",
    "machinectl",
    "systemd-nspawn",
    "portablectl",
];
/// Programs that only read what they are given.
const READS: [&str; 10] = [
    "cat",
    "ls",
    "stat",
    "head",
    "tail",
    "grep",
    "diff",
    "file",
    "wc",
    "sha256sum",
];
/// Verbs of systemctl that show.
const SHOWS: [&str; 9] = [
    "status",
    "show",
    "cat",
    "list-units",
    "list-timers",
    "list-unit-files",
    "is-active",
    "is-enabled",
    "is-failed",
];
/// Verbs that act on units that are there.
const ACTS: [&str; 19] = [
    "start",
    "stop",
    "restart",
    "reload",
    "try-restart",
    "condrestart",
    "reload-or-restart",
    "try-reload-or-restart",
    "force-reload",
    "reset-failed",
    "kill",
    "enable",
    "disable",
    "reenable",
    "preset",
    "mask",
    "unmask",
    "daemon-reload",
    "daemon-reexec",
];

pub(super) fn all(inventory: &Inventory, results: &mut Vec<Posture>) {
    for grant in &inventory.sudo.grants {
        of_grant(inventory, grant, results);
    }
}

fn of_grant(inventory: &Inventory, grant: &Grant, results: &mut Vec<Posture>) {
    let who: Vec<&Member> = grant.who.iter().filter(|it| !it.negated).collect();
    let root = |it: &&&Member| it.text == "root" || it.text == "#0";
    if who.is_empty() || who.iter().filter(root).count() == who.len() {
        return;
    }
    let names: Vec<String> = who.iter().map(|it| it.text.clone()).collect();
    let free = inventory.sudo.unauthenticated.iter().any(|scope| {
        scope.is_empty() || scope.split(',').any(|it| names.iter().any(|who| who == it))
    });
    let mut worst: Option<(Severity, String)> = None;
    for allowed in grant
        .commands
        .iter()
        .filter(|it| !it.negated && it.as_root())
    {
        let no_password = allowed.no_password || free;
        let Some(severity) = severity_of(allowed, no_password) else {
            continue;
        };
        let severity = if nobody(inventory, &names) {
            Severity::Informational
        } else {
            severity
        };
        let words = format!(
            "{}{}{}",
            if no_password { "NOPASSWD: " } else { "" },
            allowed.command,
            allowed
                .arguments
                .as_deref()
                .map(|it| format!(" {it}"))
                .unwrap_or_default(),
        );
        if worst.as_ref().is_none_or(|(known, _)| *known < severity) {
            worst = Some((severity, words));
        }
    }
    let Some((severity, words)) = worst else {
        return;
    };
    let path = grant.path.display().to_string();
    let who = names.join(", ");
    let message = format!("{who} may run units as root: {words}");
    let mut result = of_path(&UNITS, &format!("{path}:{}", grant.line), severity, message);
    for name in &names {
        let group = name.strip_prefix('%');
        let gid =
            group.and_then(|group| inventory.names.groups.iter().find(|(_, it)| *it == group));
        if let Some((gid, group)) = gid {
            let members = inventory.names.members.get(gid).into_iter().flatten();
            let members: Vec<_> = members.map(String::as_str).take(20).collect();
            result
                .evidence
                .push(format!("members of {group}: {}", members.join(", ")));
        }
    }
    if grant.commands.iter().any(|it| it.negated) {
        let text = "commands are excluded with `!`, which a copy of the program gets around";
        result.evidence.push(text.to_owned());
    }
    results.push(result);
}

/// Whether they are all groups without members.
fn nobody(inventory: &Inventory, names: &[String]) -> bool {
    names.iter().all(|name| {
        let Some(group) = name
            .strip_prefix('%')
            .filter(|it| !it.starts_with([':', '#']))
        else {
            return false;
        };
        let found = inventory.names.groups.iter().find(|(_, it)| *it == group);
        found.is_none_or(|(gid, _)| inventory.names.is_empty_group(*gid))
    })
}

/// How bad one command is; `None` when it has nothing to do with units.
fn severity_of(allowed: &Allowed, no_password: bool) -> Option<Severity> {
    let either = |without: Severity, with: Severity| Some(if no_password { without } else { with });
    let command = allowed.command.as_str();
    if command == "ALL" {
        return either(Severity::Medium, Severity::Informational);
    }
    if command == "sudoedit" {
        let edits = allowed
            .arguments
            .as_deref()
            .is_none_or(|it| it.contains("systemd") || it.contains('*'));
        return if edits {
            either(Severity::High, Severity::Medium)
        } else {
            None
        };
    }
    if !runs_units(command) {
        let name = command.rsplit('/').next().unwrap_or(command);
        let writes = !READS.contains(&name);
        return if writes && allowed.arguments.as_deref().is_some_and(names_units) {
            either(Severity::High, Severity::Medium)
        } else {
            None
        };
    }
    let name = command.rsplit('/').next().unwrap_or(command);
    let Some(arguments) = &allowed.arguments else {
        return either(Severity::High, Severity::Medium);
    };
    if arguments.is_empty() {
        // Alone it lists units, in a pager.
        return either(Severity::Low, Severity::Informational);
    }
    let pattern = arguments.contains(['*', '?', '[']) || arguments.starts_with('^');
    let arguments = arguments.trim_start_matches('^');
    let mut words = arguments.split_whitespace();
    let verb = words
        .find(|word| !word.starts_with('-'))
        .unwrap_or_default();
    // `enable /tmp/x.service` links it.
    let by_path = words.any(|word| word.contains('/'));
    if name != "systemctl" || by_path || !(SHOWS.contains(&verb) || ACTS.contains(&verb)) {
        return either(Severity::High, Severity::Medium);
    }
    if pattern {
        // A pattern takes in options and further units.
        return either(Severity::Medium, Severity::Low);
    }
    if SHOWS.contains(&verb) && !arguments.contains("--no-pager") {
        return either(Severity::Low, Severity::Informational);
    }
    Some(Severity::Informational)
}

/// Whether arguments name a place that a manager reads: what writes there makes a unit.
fn names_units(arguments: &str) -> bool {
    let places = ["/etc/systemd", "/lib/systemd", "/run/systemd"];
    places.iter().any(|place| arguments.contains(place))
}

/// Whether a path, a directory with its slash, or a pattern can be one of the programs.
fn runs_units(command: &str) -> bool {
    let places = ["/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/"];
    if let Some(pattern) = command.strip_prefix('^') {
        return RUNNERS.iter().any(|name| pattern.contains(name));
    }
    RUNNERS.iter().any(|name| {
        places.iter().any(|place| {
            let path = format!("{place}{name}");
            command == path || command == *place || matches(command, &path)
        })
    })
}

/// `fnmatch`, with `*` and `?`; a bracket stands for any one character.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(c) = text.get(t) {
        match pattern.get(p) {
            // As sudo's matching of paths: not across a slash.
            Some('*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some('[') => {
                let end = pattern.iter().skip(p).position(|c| *c == ']');
                if let Some(end) = end.filter(|_| *c != '/') {
                    p += end + 1;
                    t += 1;
                    continue;
                }
            }
            Some('?') if *c != '/' => {
                p += 1;
                t += 1;
                continue;
            }
            Some(wanted) if wanted == c => {
                p += 1;
                t += 1;
                continue;
            }
            _ => {}
        }
        match star {
            Some((at, from)) if text.get(from) != Some(&'/') => {
                star = Some((at, from + 1));
                p = at + 1;
                t = from + 1;
            }
            _ => return false,
        }
    }
    pattern
        .get(p..)
        .is_some_and(|rest| rest.iter().all(|c| *c == '*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn severity(command: &str, arguments: Option<&str>, no_password: bool) -> Option<Severity> {
        let allowed = Allowed {
            command: command.to_owned(),
            arguments: arguments.map(str::to_owned),
            negated: false,
            no_password,
            run_as: Vec::new(),
        };
        severity_of(&allowed, no_password)
    }

    #[test]
    fn by_what_it_allows() {
        use Severity::{High, Informational, Low, Medium};
        for (command, arguments, free, expected) in [
            ("ALL", None, false, Some(Informational)),
            ("ALL", None, true, Some(Medium)),
            ("/usr/bin/systemctl", None, true, Some(High)),
            ("/bin/systemctl", None, false, Some(Medium)),
            ("/usr/bin/systemd-run", Some("*"), true, Some(High)),
            ("/usr/bin/", None, true, Some(High)),
            ("/usr/bin/*", None, true, Some(High)),
            ("/usr/bin/system[cd]*", None, true, Some(High)),
            ("/usr/*", None, true, None),
            (
                "/usr/bin/systemctl",
                Some("restart app.service"),
                true,
                Some(Informational),
            ),
            ("/usr/bin/systemctl", Some("restart *"), true, Some(Medium)),
            ("/usr/bin/systemctl", Some("status app"), true, Some(Low)),
            (
                "/usr/bin/systemctl",
                Some("--no-pager status app"),
                true,
                Some(Informational),
            ),
            (
                "/usr/bin/systemctl",
                Some("link /tmp/x"),
                false,
                Some(Medium),
            ),
            ("sudoedit", Some("/etc/systemd/system/*"), true, Some(High)),
            ("sudoedit", Some("/etc/hosts"), true, None),
            ("/usr/bin/apt", None, true, None),
            (
                "/usr/bin/systemctl",
                Some("daemon-reload"),
                true,
                Some(Informational),
            ),
            (
                "/usr/bin/systemctl",
                Some("enable /tmp/x.service"),
                true,
                Some(High),
            ),
            (
                "/usr/bin/systemctl",
                Some(r"^restart (a|b)\.service$"),
                true,
                Some(Medium),
            ),
            (
                "/usr/bin/tee",
                Some("/etc/systemd/system/x.service"),
                true,
                Some(High),
            ),
            (
                "/bin/cp",
                Some("* /usr/lib/systemd/system/"),
                false,
                Some(Medium),
            ),
            ("/usr/bin/tee", Some("/var/log/x"), true, None),
            (
                "/usr/bin/cat",
                Some("/etc/systemd/system/x.service"),
                true,
                None,
            ),
            ("/usr/bin/run0", None, true, Some(High)),
        ] {
            let found = severity(command, arguments, free);
            assert_eq!(found, expected, "{command} {arguments:?} {free}");
        }
    }
}
