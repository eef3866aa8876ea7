//! `systemd-run` and `run0`.

use super::getopt::{Opt, Order, Parsed, flag, parse, value};
use super::{base, common, cut, keep, keep_all, options, unit, variable};
use crate::event::Intent;

/// The options of 247 to 262.
const OPTIONS: &[Opt] = &[
    value("background", None),
    value("capsule", Some('C')),
    flag("collect", Some('G')),
    value("description", None),
    value("expand-environment", None),
    value("gid", None),
    flag("help", Some('h')),
    value("host", Some('H')),
    flag("ignore-failure", None),
    value("job-mode", None),
    value("json", None),
    value("machine", Some('M')),
    value("nice", None),
    flag("no-ask-password", None),
    flag("no-block", None),
    flag("no-pager", None),
    value("on-active", None),
    value("on-boot", None),
    value("on-calendar", None),
    flag("on-clock-change", None),
    value("on-startup", None),
    flag("on-timezone-change", None),
    value("on-unit-active", None),
    value("on-unit-inactive", None),
    value("output", None),
    value("path-property", None),
    flag("pipe", Some('P')),
    value("property", Some('p')),
    flag("pty", Some('t')),
    flag("pty-late", Some('T')),
    flag("quiet", Some('q')),
    flag("remain-after-exit", Some('r')),
    value("root-directory", None),
    flag("same-dir", Some('d')),
    flag("same-root-dir", Some('R')),
    flag("scope", None),
    flag("send-sighup", None),
    value("service-type", None),
    value("setenv", Some('E')),
    flag("shell", Some('S')),
    value("slice", None),
    flag("slice-inherit", None),
    value("socket-property", None),
    flag("system", None),
    value("timer-property", None),
    value("uid", None),
    value("unit", Some('u')),
    flag("user", None),
    flag("verbose", Some('v')),
    flag("version", None),
    flag("wait", None),
    value("working-directory", None),
];

/// Options that change what is done.
const TELLING: &[&str] = &[
    "collect",
    "description",
    "gid",
    "job-mode",
    "path-property",
    "pipe",
    "property",
    "pty",
    "remain-after-exit",
    "root-directory",
    "service-type",
    "shell",
    "slice",
    "socket-property",
    "working-directory",
];

/// Options and the settings of the timer that they are.
const TIMES: [(&str, &str); 8] = [
    ("on-active", "OnActiveSec"),
    ("on-boot", "OnBootSec"),
    ("on-calendar", "OnCalendar"),
    ("on-clock-change", "OnClockChange"),
    ("on-startup", "OnStartupSec"),
    ("on-timezone-change", "OnTimezoneChange"),
    ("on-unit-active", "OnUnitActiveSec"),
    ("on-unit-inactive", "OnUnitInactiveSec"),
];

pub(super) fn read(argv: &[String]) -> Intent {
    // One program, by `invoked_as`.
    if base(argv.first().map_or("", String::as_str)).contains("run0") {
        return run0(argv);
    }
    let parsed = parse(argv, OPTIONS, Order::First);
    let mut intent = common("systemd-run", &parsed);
    if intent.verb.is_some() {
        return intent;
    }
    options(&mut intent, &parsed, TELLING);
    for (name, value) in &parsed.options {
        if let Some((_, setting)) = TIMES.iter().find(|(option, _)| option == name) {
            keep(
                &mut intent.when,
                cut(&format!("{setting}={}", value.unwrap_or("yes"))),
            );
        }
    }
    for property in parsed.all("timer-property") {
        let list = if property.starts_with("On") {
            &mut intent.when
        } else {
            &mut intent.options
        };
        keep(list, cut(property));
    }
    for assignment in parsed.all("setenv") {
        keep(
            &mut intent.options,
            format!("setenv={}", variable(assignment)),
        );
    }
    let kind = kind(&parsed, &intent);
    intent.user = parsed.last("uid").map(cut);
    if let Some(name) = parsed.last("unit") {
        intent.units.push(unit(name, kind));
        // A timer starts the service of its name.
        if matches!(kind, "timer" | "path" | "socket") {
            let stem = name
                .strip_suffix(".service")
                .or_else(|| name.strip_suffix(kind)?.strip_suffix('.'));
            let stem = stem.unwrap_or(name);
            intent.units = [kind, "service"]
                .map(|kind| cut(&format!("{stem}.{kind}")))
                .to_vec();
        }
    }
    intent.verb = Some(kind.to_owned());
    keep_all(&mut intent.runs, parsed.rest.iter().copied());
    intent
}

/// What it makes.
fn kind(parsed: &Parsed<'_>, intent: &Intent) -> &'static str {
    if parsed.has("path-property") {
        "path"
    } else if parsed.has("socket-property") {
        "socket"
    } else if parsed.has("timer-property") || !intent.when.is_empty() {
        "timer"
    } else if parsed.has("scope") {
        "scope"
    } else {
        "service"
    }
}

/// The options of `run0`, 256 to 262.
const RUN0: &[Opt] = &[
    value("area", None),
    value("background", None),
    value("chdir", Some('D')),
    value("description", None),
    flag("empower", None),
    value("group", Some('g')),
    flag("help", Some('h')),
    value("lightweight", None),
    value("machine", None),
    value("nice", None),
    flag("no-ask-password", None),
    flag("no-pager", None),
    flag("non-interactive", Some('n')),
    flag("pipe", None),
    value("property", None),
    flag("pty", None),
    flag("pty-late", None),
    flag("remove-timestamp", Some('K')),
    flag("reset-timestamp", Some('k')),
    flag("same-root-dir", None),
    value("setenv", None),
    value("shell-prompt-prefix", None),
    value("slice", None),
    flag("slice-inherit", None),
    value("unit", None),
    value("user", Some('u')),
    flag("validate", Some('v')),
    flag("version", Some('V')),
    flag("via-shell", None),
    flag("", Some('i')), // no long name
];

pub(super) fn run0(argv: &[String]) -> Intent {
    let parsed = parse(argv, RUN0, Order::First);
    let mut intent = common("run0", &parsed);
    // Here it names the user to become.
    intent.user = Some(cut(parsed.last("user").unwrap_or("root")));
    if intent.verb.is_some() {
        return intent;
    }
    options(
        &mut intent,
        &parsed,
        &[
            "chdir",
            "empower",
            "group",
            "property",
            "slice",
            "via-shell",
        ],
    );
    for assignment in parsed.all("setenv") {
        keep(
            &mut intent.options,
            format!("setenv={}", variable(assignment)),
        );
    }
    if let Some(name) = parsed.last("unit") {
        intent.units.push(unit(name, "service"));
    }
    intent.verb = Some("service".to_owned());
    keep_all(&mut intent.runs, parsed.rest.iter().copied());
    intent
}
