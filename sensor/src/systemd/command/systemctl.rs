//! `systemctl`, and what it is when it is called `reboot`.

use super::getopt::{Opt, Order, flag, parse, value};
use super::{base, common, keep, keep_all, options, unit, variable, verb};
use crate::event::Intent;

/// The options of 247 to 262.
const OPTIONS: &[Opt] = &[
    flag("after", None),
    flag("all", Some('a')),
    flag("before", None),
    value("boot-loader-entry", None),
    value("boot-loader-menu", None),
    value("capsule", Some('C')),
    value("check-inhibitors", None),
    value("drop-in", None),
    flag("dry-run", None),
    flag("failed", None),
    flag("firmware-setup", None),
    flag("force", Some('f')),
    flag("full", Some('l')),
    flag("global", None),
    flag("help", Some('h')),
    value("host", Some('H')),
    flag("ignore-dependencies", None),
    flag("ignore-inhibitors", Some('i')),
    value("image", None),
    value("image-policy", None),
    flag("irreversible", None),
    value("job-mode", None),
    value("kernel-cmdline", None),
    flag("kernel-cmdline-reuse", None),
    value("kill-mode", None),
    value("kill-subgroup", None),
    value("kill-value", None),
    value("kill-who", None),
    value("kill-whom", None),
    value("legend", None),
    value("lines", Some('n')),
    value("machine", Some('M')),
    flag("marked", None),
    value("message", None),
    flag("mkdir", None),
    flag("no-ask-password", None),
    flag("no-block", None),
    flag("no-legend", None),
    flag("no-pager", None),
    flag("no-reload", None),
    flag("no-wall", None),
    flag("no-warn", None),
    flag("now", None),
    value("output", Some('o')),
    flag("plain", None),
    value("preset-mode", None),
    value("property", Some('p')),
    value("", Some('P')), // no long name
    flag("quiet", Some('q')),
    flag("read-only", None),
    value("reboot-argument", None),
    flag("recursive", Some('r')),
    flag("reverse", None),
    value("root", None),
    flag("runtime", None),
    flag("show-transaction", Some('T')),
    flag("show-types", None),
    value("signal", Some('s')),
    value("state", None),
    flag("stdin", None),
    flag("system", None),
    value("timestamp", None),
    value("type", Some('t')),
    flag("user", None),
    flag("value", None),
    flag("verbose", Some('v')),
    flag("version", None),
    flag("wait", None),
    value("what", None),
    value("when", None),
    flag("with-dependencies", None),
];

/// Options that change what is done.
const TELLING: &[&str] = &[
    "drop-in",
    "dry-run",
    "firmware-setup",
    "force",
    "job-mode",
    "kill-subgroup",
    "kill-value",
    "kill-who",
    "kill-whom",
    "marked",
    "no-reload",
    "now",
    "preset-mode",
    "reboot-argument",
    "runtime",
    "signal",
    "stdin",
    "what",
    "when",
];

/// Names by which it is another program (`systemctl-compat-*`), by `invoked_as`, which finds the
/// name anywhere in what it is called.
const CALLED: [&str; 7] = [
    "halt", "poweroff", "reboot", "shutdown", "telinit", "runlevel", "init",
];

pub(super) fn read(argv: &[String]) -> Intent {
    let name = base(argv.first().map_or("", String::as_str));
    let called = CALLED.iter().find(|called| name.contains(*called));
    if let Some(called) = called {
        return compatible(called, argv);
    }
    let parsed = parse(argv, OPTIONS, Order::Anywhere);
    let mut intent = common("systemctl", &parsed);
    options(&mut intent, &parsed, TELLING);
    let Some((verb, rest)) = verb(&mut intent, &parsed, "list-units") else {
        return intent;
    };
    arguments(verb, rest, &mut intent);
    intent
}

/// `shutdown -r now` and the like.
fn compatible(called: &str, argv: &[String]) -> Intent {
    let mut intent = super::bare("systemctl");
    intent.verb = Some(called.to_owned());
    keep_all(
        &mut intent.arguments,
        argv.iter().skip(1).map(String::as_str),
    );
    intent
}

/// What stands after the verb.
fn arguments(verb: &str, rest: &[&str], intent: &mut Intent) {
    match verb {
        "start"
        | "stop"
        | "reload"
        | "restart"
        | "try-restart"
        | "reload-or-restart"
        | "try-reload-or-restart"
        | "reload-or-try-restart"
        | "force-reload"
        | "condstop"
        | "condstart"
        | "condrestart"
        | "condreload"
        | "kill"
        | "clean"
        | "freeze"
        | "thaw"
        | "reset-failed"
        | "enable"
        | "disable"
        | "reenable"
        | "preset"
        | "mask"
        | "unmask"
        | "revert"
        | "edit"
        | "cat"
        | "status"
        | "show"
        | "is-active"
        | "is-failed"
        | "is-enabled"
        | "list-dependencies"
        | "help" => {
            intent.units = rest
                .iter()
                .take(super::ITEMS_MAX)
                .map(|name| unit(name, "service"))
                .collect();
        }
        "isolate" | "set-default" => {
            intent.units = rest
                .iter()
                .take(1)
                .map(|name| unit(name, "target"))
                .collect();
        }
        // Files, by their paths.
        "link" => keep_all(&mut intent.units, rest.iter().copied()),
        "add-wants" | "add-requires" => {
            let (targets, names) = rest.split_at(rest.len().min(1));
            for target in targets {
                keep(
                    &mut intent.arguments,
                    format!("target={}", unit(target, "target")),
                );
            }
            for name in names {
                keep(&mut intent.units, unit(name, "service"));
            }
        }
        "set-property" | "bind" | "mount-image" | "service-log-level" | "service-log-target" => {
            let (names, others) = rest.split_at(rest.len().min(1));
            intent.units = names.iter().map(|name| unit(name, "service")).collect();
            keep_all(&mut intent.arguments, others.iter().copied());
        }
        "set-environment" => {
            for assignment in rest {
                keep(&mut intent.arguments, variable(assignment));
            }
        }
        _ => keep_all(&mut intent.arguments, rest.iter().copied()),
    }
}
