//! Smaller tools: `at`, `crontab`, `loginctl`, `machinectl`, `portablectl`, and those of packages.

use super::getopt::{Opt, Order, flag, parse, value};
use super::{bare, base, common, cut, keep, keep_all, options, unit, verb};
use crate::event::Intent;

/// Of Debian's and Fedora's `at`; single letters alone.
const AT: &[Opt] = &[
    flag("list", Some('l')),
    flag("remove", Some('r')),
    flag("delete", Some('d')),
    flag("cat", Some('c')),
    flag("version", Some('V')),
    value("queue", Some('q')),
    value("file", Some('f')),
    value("time", Some('t')),
    value("format", Some('o')),
    flag("mail", Some('m')),
    flag("no-mail", Some('M')),
    flag("batch", Some('b')),
    flag("verbose", Some('v')),
    flag("utc", Some('u')),
];

/// `at`, and as `atq`, `atrm` and `batch`, which are links to it.
pub(super) fn at(argv: &[String]) -> Intent {
    let parsed = parse(argv, AT, Order::Anywhere);
    let mut intent = common("at", &parsed);
    let name = base(argv.first().map_or("", String::as_str));
    let verb = match name {
        "atq" => "list",
        "atrm" => "remove",
        _ if intent.verb.is_some() => return intent,
        _ if parsed.has("list") => "list",
        _ if parsed.has("remove") || parsed.has("delete") => "remove",
        _ if parsed.has("cat") => "cat",
        _ => "schedule",
    };
    intent.verb = Some(verb.to_owned());
    options(&mut intent, &parsed, &["queue", "file"]);
    if verb != "schedule" {
        keep_all(&mut intent.arguments, parsed.rest.iter().copied());
        return intent;
    }
    if name == "batch" || parsed.has("batch") {
        intent.when.push("batch".to_owned());
    }
    intent.when.extend(parsed.last("time").map(cut));
    let spelled = parsed.rest.join(" ");
    if !spelled.is_empty() {
        keep(&mut intent.when, cut(&spelled));
    }
    intent
}

/// A script that runs `at -b`, where it is no link.
pub(super) fn batch(_argv: &[String]) -> Intent {
    let mut intent = bare("at");
    intent.verb = Some("schedule".to_owned());
    intent.when.push("batch".to_owned());
    intent
}

/// Of Debian's cron and cronie; single letters alone.
const CRONTAB: &[Opt] = &[
    value("user", Some('u')),
    flag("list", Some('l')),
    flag("edit", Some('e')),
    flag("remove", Some('r')),
    flag("ask", Some('i')),
    flag("syntax", Some('T')),
    flag("version", Some('V')),
];

pub(super) fn crontab(argv: &[String]) -> Intent {
    let parsed = parse(argv, CRONTAB, Order::Anywhere);
    let mut intent = bare("crontab");
    let verbs = ["list", "edit", "remove", "version"];
    let verb = verbs.into_iter().find(|verb| parsed.has(verb));
    intent.verb = Some(verb.unwrap_or("install").to_owned());
    intent.user = parsed.last("user").map(cut);
    keep_all(&mut intent.arguments, parsed.rest.iter().copied());
    intent
}

const LOGINCTL: &[Opt] = &[
    flag("all", Some('a')),
    flag("full", Some('l')),
    flag("help", Some('h')),
    value("host", Some('H')),
    value("json", None),
    flag("", Some('j')), // no long name
    value("kill-who", None),
    value("kill-whom", None),
    value("lines", Some('n')),
    value("machine", Some('M')),
    flag("no-ask-password", None),
    flag("no-legend", None),
    flag("no-pager", None),
    value("output", Some('o')),
    value("property", Some('p')),
    value("", Some('P')), // no long name
    value("signal", Some('s')),
    flag("value", None),
    flag("version", None),
];

pub(super) fn loginctl(argv: &[String]) -> Intent {
    let parsed = parse(argv, LOGINCTL, Order::Anywhere);
    let mut intent = common("loginctl", &parsed);
    let Some((verb, rest)) = verb(&mut intent, &parsed, "list-sessions") else {
        return intent;
    };
    options(&mut intent, &parsed, &["kill-who", "kill-whom", "signal"]);
    match (verb, rest) {
        // Without a user it is the caller.
        ("enable-linger" | "disable-linger", [user]) => intent.user = Some(cut(user)),
        _ => keep_all(&mut intent.arguments, rest.iter().copied()),
    }
    intent
}

const MACHINECTL: &[Opt] = &[
    flag("all", Some('a')),
    value("format", None),
    flag("force", None),
    flag("full", Some('l')),
    flag("help", Some('h')),
    value("host", Some('H')),
    value("kill-whom", None),
    value("kill-who", None),
    value("lines", Some('n')),
    value("machine", Some('M')),
    value("max-addresses", None),
    flag("mkdir", None),
    flag("no-ask-password", None),
    flag("no-legend", None),
    flag("no-pager", None),
    flag("now", None),
    value("output", Some('o')),
    value("property", Some('p')),
    value("", Some('P')), // no long name
    flag("quiet", Some('q')),
    flag("read-only", None),
    value("runner", None),
    value("setenv", Some('E')),
    value("signal", Some('s')),
    flag("system", None),
    value("uid", None),
    flag("user", None),
    flag("value", None),
    value("verify", None),
    flag("version", None),
];

pub(super) fn machinectl(argv: &[String]) -> Intent {
    let parsed = parse(argv, MACHINECTL, Order::AfterTwo("shell"));
    let mut intent = common("machinectl", &parsed);
    let Some((verb, rest)) = verb(&mut intent, &parsed, "list") else {
        return intent;
    };
    intent.user = parsed.last("uid").map(cut);
    options(&mut intent, &parsed, &["now", "signal", "read-only"]);
    match (verb, rest) {
        ("shell", [machine, command @ ..]) => {
            // `.host` is this host: a session beside all others, started by PID 1.
            let (user, machine) = match machine.split_once('@') {
                Some((user, machine)) => (Some(user), machine),
                None => (None, *machine),
            };
            intent.machine = Some(cut(if machine.is_empty() { ".host" } else { machine }));
            intent.user = intent.user.or_else(|| user.map(cut));
            keep_all(&mut intent.runs, command.iter().copied());
        }
        ("login", [machine]) => intent.machine = Some(cut(machine)),
        _ => keep_all(&mut intent.arguments, rest.iter().copied()),
    }
    intent
}

const PORTABLECTL: &[Opt] = &[
    flag("cat", None),
    flag("clean", None),
    value("copy", None),
    flag("enable", None),
    value("extension", None),
    flag("force", None),
    flag("help", Some('h')),
    value("host", Some('H')),
    value("machine", Some('M')),
    flag("no-ask-password", None),
    flag("no-block", None),
    flag("no-legend", None),
    flag("no-pager", None),
    flag("no-reload", None),
    flag("now", None),
    value("profile", Some('p')),
    flag("quiet", Some('q')),
    flag("runtime", None),
    flag("system", None),
    flag("user", None),
    flag("version", None),
];

pub(super) fn portablectl(argv: &[String]) -> Intent {
    let parsed = parse(argv, PORTABLECTL, Order::Anywhere);
    let mut intent = common("portablectl", &parsed);
    if intent.verb.is_some() {
        return intent;
    }
    let mut rest = parsed.rest.iter().copied();
    intent.verb = Some(cut(rest.next().unwrap_or("list")));
    options(
        &mut intent,
        &parsed,
        &["enable", "extension", "force", "now", "profile", "runtime"],
    );
    keep_all(&mut intent.arguments, rest);
    intent
}

/// Debian's tool that makes and removes links of packages' units itself.
pub(super) fn deb_systemd_helper(argv: &[String]) -> Intent {
    of_package("deb-systemd-helper", argv)
}

/// Debian's tool that calls `systemctl` unless a policy forbids it.
pub(super) fn deb_systemd_invoke(argv: &[String]) -> Intent {
    of_package("deb-systemd-invoke", argv)
}

/// `[--user|--quiet …] VERB UNIT…`
fn of_package(tool: &'static str, argv: &[String]) -> Intent {
    const OPTIONS: &[Opt] = &[
        flag("user", None),
        flag("system", None),
        flag("quiet", None),
        flag("no-dbus", None),
        flag("help", None),
    ];
    let parsed = parse(argv, OPTIONS, Order::Anywhere);
    let mut intent = common(tool, &parsed);
    if let Some((verb, rest)) = parsed.rest.split_first() {
        intent.verb = Some(cut(verb));
        let units = rest.iter().take(super::ITEMS_MAX);
        intent.units = units.map(|name| unit(name, "service")).collect();
    }
    intent
}

/// `invoke-rc.d [--options] NAME ACTION …`
pub(super) fn invoke_rc_d(argv: &[String]) -> Intent {
    of_init("invoke-rc.d", argv)
}

/// `service NAME ACTION …`
pub(super) fn service(argv: &[String]) -> Intent {
    of_init("service", argv)
}

fn of_init(tool: &'static str, argv: &[String]) -> Intent {
    let mut intent = bare(tool);
    let words = argv.iter().skip(1).map(String::as_str);
    let mut words = words.skip_while(|word| word.starts_with("--"));
    if let (Some(name), Some(action)) = (words.next(), words.next()) {
        intent.units.push(unit(name, "service"));
        intent.verb = Some(cut(action));
    }
    keep_all(&mut intent.arguments, words);
    intent
}
