//! What units execute: whether it is there, whose it is, who may change it, and where it lies.

use std::collections::BTreeMap;

use super::{of_unit, ownership, quoted, weigh};
use crate::detect::techniques::{T1543_002, T1548, T1548_001, T1554, T1564_001, T1574};
use crate::event::{Posture, Rule, Severity};
use crate::host::access::{Hole, Writer, holes};
use crate::host::rooted::End;
use crate::systemd::inventory::{CommandFacts, FileFacts, Inventory, Owned, UnitFacts};

pub(super) static WRITABLE: Rule = Rule {
    id: "command-writable",
    title: "Somebody other than root can change what a unit runs",
    techniques: &[T1543_002, T1574],
    is_analytic: false,
    severity: "critical when everybody can and it runs as root; high for users and groups with \
               members; informational for a group without members; a step less when it does not run as root",
    explanation: "Whoever can write to the program or script, or to a directory on the way to it, \
                  decides what runs with the unit's rights the next time it starts.",
    check: "Who needs to write there? Has the file changed since it was installed?",
    silence: "Run the fix; or move the program to a directory that only root can write to.",
};

pub(super) static OWNED_BY_USER: Rule = Rule {
    id: "root-runs-users-file",
    title: "Root runs a file that belongs to a user",
    techniques: &[T1543_002, T1548],
    is_analytic: false,
    severity: "high",
    explanation: "An owner can change a file and its mode at any time: that user has root's rights.",
    check: "Is the user meant to be root? Who else can become that user?",
    silence: "Give the file to root, or set User= in the unit.",
};

pub(super) static MISSING: Rule = Rule {
    id: "command-missing",
    title: "A unit's command does not exist",
    techniques: &[T1543_002],
    is_analytic: false,
    severity: "high when others than root can make the missing file and the unit runs as root; low \
               otherwise; informational when the unit is a package's",
    explanation: "A unit with nothing to run waits for somebody to put something there.",
    check: "Was a program removed without its unit?",
    silence: "Remove or mask the unit, or mark the command with `-` where it may be missing.",
};

pub(super) static MODIFIED: Rule = Rule {
    id: "command-modified",
    title: "A program that a unit runs is not as its package brought it",
    techniques: &[T1554, T1543_002],
    is_analytic: false,
    severity: "high; a step less when the unit does not run as root",
    explanation: "The package database has another digest for this file.",
    check: "Compare with the package: `dpkg --verify PACKAGE`. Was it changed on purpose?",
    silence: "Reinstall the package, or divert the file (`dpkg-divert`).",
};

pub(super) static UNOWNED: Rule = Rule {
    id: "command-unowned",
    title: "A unit runs a program that no package brought",
    techniques: &[T1543_002],
    is_analytic: false,
    severity: "informational",
    explanation: "Nothing says where the file comes from, and no digest can tell a change.",
    check: "Who installed it, and from where?",
    silence: "Nothing to silence; `baseline save` takes its digest.",
};

pub(super) static ODD_PLACE: Rule = Rule {
    id: "command-odd-place",
    title: "A unit runs something from an odd place",
    techniques: &[T1543_002, T1564_001],
    is_analytic: false,
    severity: "high for /tmp, /var/tmp, /dev, /proc, /run/user and hidden directories; medium for homes, \
               low for root's home; a step less when it does not run as root; informational for a user's own units",
    explanation: "Programs of the system do not live where everybody can write, nor in hidden directories.",
    check: "What is the file, and who put it there?",
    silence: "Install the program below /usr/local or /opt, with a name that shows.",
};

pub(super) static SETUID: Rule = Rule {
    id: "command-setuid",
    title: "A unit runs a setuid program that no package brought, or makes one",
    techniques: &[T1548_001],
    is_analytic: false,
    severity: "high; for commands that set the bit a step less when they do not run as root, and informational \
               when the unit is a package's",
    explanation: "A setuid program has its owner's rights for everybody who starts it.",
    check: "Who made it setuid, and what for?",
    silence: "Take the bit away, and give the unit the rights it needs.",
};

pub(super) fn unit(inventory: &Inventory, unit: &UnitFacts, results: &mut Vec<Posture>) {
    for command in &unit.commands {
        missing(inventory, unit, command, results);
        let scripts = command
            .scripts
            .iter()
            .filter(|file| file.trace.found().is_some());
        for file in command.target.file().into_iter().chain(scripts) {
            of_file(inventory, unit, command, file, results);
        }
    }
}

/// Users whose writing changes nothing for this command: root, a user for his own units, and whom
/// it runs as.
fn trusted(unit: &UnitFacts, command: &CommandFacts) -> Vec<u32> {
    let mut trusted = unit.trusted();
    if !command.command.is_privileged() {
        trusted.extend(unit.runs_as);
    }
    trusted
}

fn of_file(
    inventory: &Inventory,
    unit: &UnitFacts,
    command: &CommandFacts,
    file: &FileFacts,
    results: &mut Vec<Posture>,
) {
    let path = file.path.display().to_string();
    let name = unit.name.as_str();
    if file.trace.found().is_some() {
        let found = holes(&file.trace, &trusted(unit, command));
        for (hole, writers) in by_path(&found) {
            results.push(writable(inventory, unit, command, file, hole, &writers));
        }
    }
    let mut add = |entry, severity, message: String| {
        let mut result = of_unit(entry, unit, severity, message);
        result.evidence.push(line_of(command));
        result.evidence.push(format!("{path}: {}", ownership(file)));
        if let Some(sha256) = &file.sha256 {
            result.evidence.push(format!("SHA-256 {sha256}"));
        }
        result.path = Some(path.clone());
        results.push(result);
    };
    let Some(inode) = file.inode() else { return };
    if matches!(&file.owned, Owned::By(_)) && !file.is_shipped() {
        let severity = if unit.is_root() {
            Severity::High
        } else {
            Severity::Medium
        };
        let message = format!("{name} runs {path}, which is not as its package brought it");
        add(&MODIFIED, severity, message);
    }
    if file.is_unowned() {
        let message = format!("{name} runs {path}, which no package brought");
        add(&UNOWNED, Severity::Informational, message);
        if inode.is(libc::S_IFREG) && inode.mode & libc::S_ISUID != 0 {
            let message = format!("{name} runs {path}, which is setuid and no package brought");
            add(&SETUID, Severity::High, message);
        }
    }
    if let Some((severity, why)) = odd_place(unit, file) {
        let message = format!("{name} runs {path}, {why}");
        add(&ODD_PLACE, weigh(unit, severity), message);
    }
}

fn by_path(holes: &[Hole]) -> BTreeMap<String, Vec<&Hole>> {
    let mut by: BTreeMap<String, Vec<&Hole>> = BTreeMap::new();
    for hole in holes {
        by.entry(hole.to_string()).or_default().push(hole);
    }
    by
}

fn writable(
    inventory: &Inventory,
    unit: &UnitFacts,
    command: &CommandFacts,
    file: &FileFacts,
    path: String,
    holes: &[&Hole],
) -> Posture {
    let root = unit.is_root() || command.command.is_privileged();
    let owner = holes
        .iter()
        .all(|hole| matches!(hole.writer, Writer::Owner(_)));
    let severity = holes
        .iter()
        .map(|hole| severity_of(inventory, hole.writer))
        .max()
        .unwrap_or(Severity::Informational);
    let severity = if root { severity } else { severity.lowered() };
    let who: Vec<String> = holes
        .iter()
        .map(|hole| inventory.names.writer(hole.writer))
        .collect();
    let entry = if owner && root {
        &OWNED_BY_USER
    } else {
        &WRITABLE
    };
    let message = format!(
        "{} can change what {} runs{}: {path}",
        who.join(", "),
        unit.name,
        if root { " as root" } else { "" },
    );
    let mut result = of_unit(entry, unit, severity, message);
    result.evidence.push(line_of(command));
    if file.path.to_string_lossy() != *path {
        result
            .evidence
            .push(format!("on the way to {}", file.path.display()));
    }
    let step = file
        .trace
        .steps
        .iter()
        .find(|step| step.path.to_string_lossy() == *path);
    if let Some(step) = step {
        result.evidence.push(mode_of(step));
    }
    result.fix = Some(fix_of(&path, holes));
    result.path = Some(path);
    result
}

/// How bad it is that this one can write to what root runs.
pub(super) fn severity_of(inventory: &Inventory, writer: Writer) -> Severity {
    match writer {
        Writer::Others => Severity::Critical,
        Writer::Group(gid) if inventory.names.is_empty_group(gid) => Severity::Informational,
        Writer::Group(_) | Writer::User(_) | Writer::Owner(_) => Severity::High,
    }
}

/// The commands that close holes of one file or directory.
pub(super) fn fix_of(path: &str, holes: &[&Hole]) -> String {
    let path = quoted(path);
    let mut commands = Vec::new();
    let has = |of: fn(&Writer) -> bool| holes.iter().any(|hole| of(&hole.writer));
    if has(|writer| matches!(writer, Writer::Owner(_))) {
        commands.push(format!("chown root:root -- {path}"));
    }
    if has(|writer| matches!(writer, Writer::User(_))) {
        commands.push(format!("setfacl -b -- {path}"));
    }
    if has(|writer| matches!(writer, Writer::Group(_) | Writer::Others)) {
        commands.push(format!("chmod go-w -- {path}"));
    }
    commands.join(" && ")
}

/// `/x: mode 0755, owner 0, group 0`
pub(super) fn mode_of(step: &crate::host::rooted::Step) -> String {
    let inode = &step.inode;
    format!(
        "{}: mode {:04o}, owner {}, group {}{}",
        step.path.display(),
        inode.mode & 0o7777,
        inode.uid,
        inode.gid,
        if inode.acl.is_some() {
            ", with an ACL"
        } else {
            ""
        },
    )
}

pub(super) fn line_of(command: &CommandFacts) -> String {
    let it = &command.command;
    let words: Vec<String> = it.argv.iter().map(|word| quoted(word)).collect();
    let mut line = format!("{}={}{}", it.key, it.prefixes, words.join(" "));
    if line.len() > 400 {
        line.truncate(line.floor_char_boundary(400));
        line.push('…');
    }
    line
}

fn missing(
    inventory: &Inventory,
    unit: &UnitFacts,
    command: &CommandFacts,
    results: &mut Vec<Posture>,
) {
    if !command.target.is_missing() {
        return;
    }
    let name = unit.name.as_str();
    let path = &command.command.path;
    let mut writers = Vec::new();
    if let Some(file) = command.target.file()
        && let End::Missing(_) = file.trace.end
    {
        writers = holes(&file.trace, &trusted(unit, command));
        writers.retain(|hole| severity_of(inventory, hole.writer) > Severity::Informational);
    }
    // `-` and conditions say that it may be missing.
    let conditions = [
        "ConditionPathExists",
        "ConditionFileIsExecutable",
        "ConditionFileNotEmpty",
    ];
    let conditional = conditions
        .iter()
        .any(|key| unit.merged.last("Unit", key).is_some());
    let allowed = command.command.ignores_failure() || conditional;
    if writers.is_empty() && (unit.is_shipped() || allowed) {
        return;
    }
    let severity = match (writers.is_empty(), unit.is_root()) {
        (false, true) => Severity::High,
        (false, false) => Severity::Medium,
        (true, _) => Severity::Low,
    };
    let message = if writers.is_empty() {
        format!("{name} runs {path}, which does not exist")
    } else {
        let who: Vec<_> = writers
            .iter()
            .map(|hole| inventory.names.writer(hole.writer))
            .collect();
        format!(
            "{name} runs {path}, which does not exist and can be made by {}",
            who.join(", ")
        )
    };
    let mut result = of_unit(&MISSING, unit, severity, message);
    result.evidence.push(line_of(command));
    result.evidence.extend(
        writers
            .iter()
            .map(|hole| format!("{hole} can be written to")),
    );
    let user = matches!(unit.scope, crate::systemd::inventory::Scope::User(..));
    result.fix = (!user).then(|| format!("systemctl disable --now -- {}", quoted(name)));
    results.push(result);
}

/// Why the place of a file is odd.
fn odd_place(unit: &UnitFacts, file: &FileFacts) -> Option<(Severity, String)> {
    let own = matches!(unit.scope, crate::systemd::inventory::Scope::User(uid, _) if uid != 0);
    let mut worst: Option<(Severity, String)> = None;
    for path in std::iter::once(file.path.as_path()).chain(file.trace.found()) {
        let text = path.to_string_lossy();
        let below = |dir: &str| path.starts_with(dir) && path != std::path::Path::new(dir);
        // A device as an argument is no program.
        let device = file
            .inode()
            .is_some_and(|it| it.is(libc::S_IFCHR) || it.is(libc::S_IFBLK));
        let hidden = text.split('/').find(|part| {
            let known = [
                ".local",
                ".cargo",
                ".config",
                ".nix-profile",
                ".rustup",
                ".npm",
                ".nvm",
            ];
            part.len() > 1
                && part.starts_with('.')
                && *part != ".."
                && !(own && known.contains(part))
        });
        let loose = ["/tmp", "/var/tmp", "/dev", "/proc", "/run/user"];
        let verdict = if device {
            None
        } else if let Some(dir) = loose.iter().find(|dir| below(dir)) {
            let severity = if own && *dir == "/run/user" {
                Severity::Low
            } else {
                Severity::High
            };
            Some((severity, format!("in {dir}")))
        } else if let Some(part) = hidden {
            Some((Severity::High, format!("hidden by the name {part}")))
        } else if below("/home") && !own {
            Some((Severity::Medium, "in a user's home".to_owned()))
        } else if below("/root") && !own {
            Some((Severity::Low, "in root's home".to_owned()))
        } else {
            None
        };
        if let Some(verdict) = verdict
            && worst
                .as_ref()
                .is_none_or(|(severity, _)| *severity < verdict.0)
        {
            worst = Some(verdict);
        }
    }
    worst
}
