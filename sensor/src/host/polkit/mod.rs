//! Rules of polkit, read as text: JavaScript rules (polkit(8)), the older `.pkla` files, and what
//! actions allow where no rule says otherwise.

mod pkla;
mod policy;
mod script;

use std::path::{Path, PathBuf};

pub use pkla::pkla;
pub use policy::policy;
pub use script::script;

use super::rooted::Root;

/// Where rules are looked for.
const RULES: [&str; 4] = [
    "/etc/polkit-1/rules.d",
    "/run/polkit-1/rules.d",
    "/usr/local/share/polkit-1/rules.d",
    "/usr/share/polkit-1/rules.d",
];
/// Where actions are looked for, of which each says what it allows by itself.
const POLICIES: [&str; 4] = [
    "/etc/polkit-1/actions",
    "/run/polkit-1/actions",
    "/usr/local/share/polkit-1/actions",
    "/usr/share/polkit-1/actions",
];
const AUTHORITIES: [&str; 2] = [
    "/etc/polkit-1/localauthority",
    "/var/lib/polkit-1/localauthority",
];
const FILE_MAX: u64 = 1 << 20;
const ENTRIES_MAX: usize = 2048;
const RULES_MAX: usize = 512;

/// What polkit asks about when a unit is to be started or changed, or anything run as root.
pub const ACTIONS: [&str; 7] = [
    "org.freedesktop.systemd1.manage-units",
    "org.freedesktop.systemd1.manage-unit-files",
    "org.freedesktop.systemd1.set-environment",
    "org.freedesktop.systemd1.reload-daemon",
    "org.freedesktop.policykit.exec",
    "org.freedesktop.machine1.host-shell",
    "org.freedesktop.portable1.attach-images",
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

/// The directories in which a file can change what is allowed.
pub fn directories() -> impl Iterator<Item = &'static str> {
    RULES.into_iter().chain(POLICIES)
}

/// Every file with rules, every one with actions that allow something, and what could not be read.
#[must_use]
pub fn read(root: &Root) -> (Vec<PolkitFile>, Vec<String>) {
    type Rules = fn(&str) -> Vec<PolkitRule>;
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    let mut paths: Vec<(PathBuf, Rules)> = Vec::new();
    let mut list =
        |directory: &Path, suffix: &str, rules: Rules| match root.list(directory, ENTRIES_MAX) {
            Ok((names, _)) => {
                let names = names.into_iter().filter(|name| name.ends_with(suffix));
                paths.extend(names.map(|name| (directory.join(name), rules)));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => problems.push(format!("cannot read {}: {error}", directory.display())),
        };
    for directory in RULES {
        list(Path::new(directory), ".rules", script);
    }
    for authority in AUTHORITIES.map(Path::new) {
        let below = root.list(authority, ENTRIES_MAX).unwrap_or_default().0;
        for name in below {
            list(&authority.join(name), ".pkla", pkla);
        }
    }
    for directory in POLICIES {
        list(Path::new(directory), ".policy", policy);
    }
    for (path, rules) in paths {
        match root.read(&path, FILE_MAX) {
            Ok(bytes) => {
                let rules = rules(&String::from_utf8_lossy(&bytes));
                let is_policy = path.extension().is_some_and(|suffix| suffix == "policy");
                // Hosts have dozens that allow nothing of interest.
                if !is_policy || !rules.is_empty() {
                    files.push(PolkitFile { path, rules });
                }
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    (files, problems)
}

/// Whether a name, or what it is a beginning, part or pattern of, is one of the actions.
fn covers(literal: &str) -> bool {
    let head = literal.trim_end_matches('*');
    ACTIONS.iter().any(|action| {
        action.starts_with(head) && (head.len() >= 4 || literal == "*")
            || action.contains(head) && head.len() >= "systemd1".len()
    }) || literal.starts_with("org.freedesktop.systemd1.")
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "<action id=",
            "<action id=\"x\"><allow_any>",
        ] {
            let _ = (script(text), pkla(text), policy(text));
        }
    }
}
