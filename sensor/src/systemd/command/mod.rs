//! What commands that make something run later, or ask a manager, are to do: their command lines
//! read as they read them themselves. Pure.

mod bus;
mod getopt;
mod others;
mod run;
mod systemctl;

use getopt::Parsed;

use super::unit_name::{UnitName, UnitType};
use super::wire;
use crate::event::{Intent, Process};

/// Most items of a list that are kept, and the longest text of each in bytes.
const ITEMS_MAX: usize = 64;
const TEXT_MAX: usize = 4096;

/// Interpreters whose scripts are looked at: some of the tools are scripts.
const INTERPRETERS: [&str; 6] = ["bash", "dash", "perl", "python", "sh", "busybox"];

/// What a process that runs one of the tools is to do. The tool is known by the file it is, not
/// by what it calls itself; a script by the path that its interpreter got.
#[must_use]
pub fn intent(process: &Process) -> Option<Intent> {
    let path = process.exe.as_ref()?.path.as_str();
    let mut intent = of_command(base(path), &process.argv)?;
    if process.argv_truncated {
        lacks(&mut intent, "the command line is cut");
    }
    Some(intent)
}

/// The same of the name of the file that is executed and the arguments.
#[must_use]
pub fn of_command(name: &str, argv: &[String]) -> Option<Intent> {
    // The vast majority of all execs ends here.
    if let Some(read) = reader(name) {
        return Some(read(argv));
    }
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if !INTERPRETERS.contains(&stem) {
        return None;
    }
    // The kernel passes at most one word of options.
    let mut at = 1;
    if let Some(options) = argv.get(1).filter(|word| word.starts_with('-')) {
        // `sh -c TEXT`, `perl -e TEXT`: no script.
        if options.contains(['c', 'e', 's']) && !matches!(options.as_str(), "-e" if stem != "perl")
        {
            return None;
        }
        at = 2;
    }
    let read = script(base(argv.get(at)?))?;
    Some(read(argv.get(at..)?))
}

type Reader = fn(&[String]) -> Intent;

fn reader(name: &str) -> Option<Reader> {
    Some(match name {
        "systemctl" => systemctl::read,
        "systemd-run" => run::read,
        "run0" => run::run0,
        "busctl" => bus::busctl,
        "dbus-send" => bus::dbus_send,
        "gdbus" => bus::gdbus,
        "varlinkctl" => bus::varlinkctl,
        "at" => others::at,
        "crontab" => others::crontab,
        "loginctl" => others::loginctl,
        "machinectl" => others::machinectl,
        "portablectl" => others::portablectl,
        _ => return script(name),
    })
}

/// The tools that are scripts.
fn script(name: &str) -> Option<Reader> {
    Some(match name {
        "batch" => others::batch,
        "deb-systemd-helper" => others::deb_systemd_helper,
        "deb-systemd-invoke" => others::deb_systemd_invoke,
        "invoke-rc.d" => others::invoke_rc_d,
        "service" => others::service,
        _ => return None,
    })
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// An intent of which the tool alone is known.
fn bare(tool: &'static str) -> Intent {
    Intent {
        tool,
        manager: "system".to_owned(),
        ..Intent::default()
    }
}

/// The options that systemd's tools have in common.
fn common(tool: &'static str, parsed: &Parsed<'_>) -> Intent {
    let mut intent = bare(tool);
    for (name, value) in &parsed.options {
        match (*name, *value) {
            ("system", _) => intent.manager = "system".to_owned(),
            ("user", None) => intent.manager = "user".to_owned(),
            ("global", _) => intent.manager = "global".to_owned(),
            ("capsule", Some(name)) => intent.manager = cut(&format!("capsule:{name}")),
            ("host", Some(host)) => intent.host = Some(cut(host)),
            ("machine", Some(machine)) => intent.machine = Some(cut(machine)),
            ("root" | "image", Some(root)) => intent.root = Some(cut(root)),
            ("version" | "help", None) => {
                intent.verb.get_or_insert((*name).to_owned());
            }
            _ => {}
        }
    }
    if let Some(fault) = &parsed.fault {
        lacks(&mut intent, &format!("the option {fault}"));
    }
    intent
}

/// The verb and what follows it, where the command line goes on to them; `default` is the verb of
/// an empty one.
fn verb<'a>(
    intent: &mut Intent,
    parsed: &'a Parsed<'a>,
    default: &'a str,
) -> Option<(&'a str, &'a [&'a str])> {
    if intent.verb.is_some() {
        return None; // --help and the like
    }
    let (verb, rest) = match parsed.rest.split_first() {
        Some((verb, rest)) => (*verb, rest),
        None => (default, &[][..]),
    };
    intent.verb = Some(cut(verb));
    Some((verb, rest))
}

/// Adds the options of `names` that are there.
fn options(intent: &mut Intent, parsed: &Parsed<'_>, names: &[&str]) {
    for (name, value) in &parsed.options {
        if !names.contains(name) {
            continue;
        }
        let option = match value {
            Some(value) => cut(&format!("{name}={value}")),
            None => (*name).to_owned(),
        };
        keep(&mut intent.options, option);
    }
}

fn keep(list: &mut Vec<String>, item: String) {
    if list.len() < ITEMS_MAX {
        list.push(item);
    }
}

fn keep_all<'a>(list: &mut Vec<String>, items: impl IntoIterator<Item = &'a str>) {
    for item in items.into_iter().take(ITEMS_MAX) {
        keep(list, cut(item));
    }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

fn lacks(intent: &mut Intent, why: &str) {
    intent.gap.get_or_insert_with(|| cut(why));
}

/// A unit's name as the tools complete it (`unit_name_mangle`): with a suffix where it has none.
/// Patterns and paths stay as they are.
fn unit(name: &str, suffix: &str) -> String {
    let pattern = name.contains(['*', '?', '[', '/']);
    let typed = name
        .rsplit_once('.')
        .is_some_and(|(_, kind)| UnitType::from_suffix(kind).is_some());
    if pattern || typed || name.is_empty() {
        return cut(name);
    }
    cut(&format!("{name}.{suffix}"))
}

/// Those of some texts that are names of units.
fn units_among<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let valid = texts
        .into_iter()
        .filter(|text| UnitName::parse(text).is_ok());
    valid.take(ITEMS_MAX).map(str::to_owned).collect()
}

/// An assignment without its value, if that can be a secret.
fn variable(assignment: &str) -> String {
    wire::variable(assignment, &mut false)
}

#[cfg(test)]
mod tests;
