//! Tools that send any message: `busctl`, `dbus-send`, `gdbus`, `varlinkctl`.

use serde_json::{Value, json};

use super::getopt::{Opt, Order, flag, parse, value};
use super::{common, cut, keep_all, lacks, units_among, verb};
use crate::event::Intent;
use crate::systemd::wire;

const BUSCTL: &[Opt] = &[
    flag("acquired", None),
    flag("activatable", None),
    value("address", None),
    value("allow-interactive-authorization", None),
    value("augment-creds", None),
    value("auto-start", None),
    value("capsule", Some('C')),
    value("destination", None),
    value("expect-reply", None),
    flag("full", Some('l')),
    flag("help", Some('h')),
    value("host", Some('H')),
    value("json", None),
    flag("", Some('j')), // no long name
    value("limit-messages", Some('N')),
    flag("list", None),
    value("machine", Some('M')),
    value("match", None),
    flag("no-legend", None),
    flag("no-pager", None),
    flag("quiet", Some('q')),
    flag("show-machine", None),
    value("size", None),
    flag("system", None),
    value("timeout", None),
    flag("unique", None),
    flag("user", None),
    flag("verbose", None),
    flag("version", None),
    value("watch-bind", None),
    flag("xml-interface", None),
];

pub(super) fn busctl(argv: &[String]) -> Intent {
    // Arguments may begin with a dash, as negative numbers do: options stand before the verb.
    let parsed = parse(argv, BUSCTL, Order::First);
    let mut intent = common("busctl", &parsed);
    let Some((verb, rest)) = verb(&mut intent, &parsed, "list") else {
        return intent;
    };
    match (verb, rest) {
        ("call" | "set-property", [service, object, interface, member, rest @ ..]) => {
            intent.method = Some(cut(&format!("{interface}.{member}")));
            message(&mut intent, service, object, interface, rest);
        }
        _ => keep_all(&mut intent.arguments, rest.iter().copied()),
    }
    intent
}

/// Takes a message's parts: whom it is for, and the units that it names.
fn message(intent: &mut Intent, service: &str, object: &str, interface: &str, rest: &[&str]) {
    intent.options.push(cut(&format!("destination={service}")));
    if interface.starts_with("org.freedesktop.systemd1") {
        intent.units = wire::unit_of_object(object).into_iter().collect();
        intent.units.extend(units_among(rest.iter().copied()));
    }
    intent.arguments.push(cut(object));
    keep_all(&mut intent.arguments, rest.iter().copied());
}

pub(super) fn dbus_send(argv: &[String]) -> Intent {
    let mut intent = super::bare("dbus-send");
    // Without an option it is the session's bus, and a signal.
    intent.manager = "user".to_owned();
    let mut verb = "signal";
    let mut destination = "";
    let mut rest = Vec::new();
    for word in argv.iter().skip(1) {
        match word.split_once('=').unwrap_or((word, "")) {
            ("--system", _) => intent.manager = "system".to_owned(),
            ("--session", _) => intent.manager = "user".to_owned(),
            ("--print-reply", _) => verb = "call",
            ("--type", "method_call") => verb = "call",
            ("--dest", name) => destination = name,
            ("--bus" | "--peer", address) => intent.options.push(cut(&format!("bus={address}"))),
            ("--help", _) => verb = "help",
            (option, _) if option.starts_with("--") => {}
            _ => rest.push(word.as_str()),
        }
    }
    intent.verb = Some(verb.to_owned());
    if let [object, method, contents @ ..] = rest.as_slice() {
        intent.method = Some(cut(method));
        let texts: Vec<&str> = contents.iter().map(|it| content(it)).collect();
        let interface = method.rsplit_once('.').map_or("", |(name, _)| name);
        message(&mut intent, destination, object, interface, &texts);
    }
    intent
}

/// `upd.timer` of `string:upd.timer`.
fn content(text: &str) -> &str {
    let text = text.strip_prefix("array:").unwrap_or(text);
    let text = text.strip_prefix("variant:").unwrap_or(text);
    text.split_once(':').map_or(text, |(_, value)| value)
}

const GDBUS: &[Opt] = &[
    value("address", Some('a')),
    value("dest", Some('d')),
    flag("help", Some('h')),
    flag("interactive", None),
    value("method", Some('m')),
    value("object-path", Some('o')),
    flag("session", Some('e')),
    value("signal", Some('s')),
    flag("system", Some('y')),
    value("timeout", Some('t')),
];

pub(super) fn gdbus(argv: &[String]) -> Intent {
    let parsed = parse(argv, GDBUS, Order::Anywhere);
    let mut intent = common("gdbus", &parsed);
    if intent.verb.is_some() {
        return intent;
    }
    if parsed.has("session") {
        intent.manager = "user".to_owned();
    }
    let Some((verb, rest)) = parsed.rest.split_first() else {
        return intent;
    };
    intent.verb = Some(cut(verb));
    // Texts in GVariant's format may be quoted.
    let texts: Vec<&str> = rest.iter().map(|it| it.trim_matches(['\'', '"'])).collect();
    match parsed.last("method") {
        Some(method) if *verb == "call" => {
            intent.method = Some(cut(method));
            let interface = method.rsplit_once('.').map_or("", |(name, _)| name);
            let destination = parsed.last("dest").unwrap_or_default();
            let object = parsed.last("object-path").unwrap_or_default();
            message(&mut intent, destination, object, interface, &texts);
        }
        _ => keep_all(&mut intent.arguments, texts),
    }
    intent
}

const VARLINKCTL: &[Opt] = &[
    flag("collect", None),
    flag("", Some('E')), // no long name
    flag("exec", None),
    value("graceful", None),
    flag("help", Some('h')),
    value("json", None),
    flag("", Some('j')), // no long name
    flag("more", None),
    flag("no-ask-password", None),
    flag("no-pager", None),
    flag("oneway", None),
    value("push-fd", None),
    flag("quiet", Some('q')),
    flag("system", None),
    value("timeout", None),
    flag("upgrade", None),
    flag("user", None),
    flag("version", None),
];

pub(super) fn varlinkctl(argv: &[String]) -> Intent {
    let parsed = parse(argv, VARLINKCTL, Order::Anywhere);
    let mut intent = common("varlinkctl", &parsed);
    if intent.verb.is_some() {
        return intent;
    }
    let Some((verb, rest)) = parsed.rest.split_first() else {
        return intent;
    };
    intent.verb = Some(cut(verb));
    let [address, method, parameters @ ..] = rest else {
        keep_all(&mut intent.arguments, rest.iter().copied());
        return intent;
    };
    intent.arguments.push(cut(address));
    intent.method = Some(cut(method));
    let Some(parameters) = parameters.first() else {
        return intent;
    };
    // What it will send, read as it is when it is sent.
    match serde_json::from_str::<Value>(parameters) {
        Ok(parameters) => {
            let call = json!({ "method": method, "parameters": parameters }).to_string();
            let call = [call.as_bytes(), b"\0"].concat();
            let mut stream = wire::Stream::new(wire::Peer::Varlink);
            for request in stream.requests(&call, call.len() as u64) {
                intent.units = request.units;
                let commands = request.transient.into_iter().flat_map(|unit| unit.runs);
                intent.runs = commands.flat_map(|command| command.argv).collect();
            }
        }
        Err(_) => lacks(&mut intent, "the parameters are no JSON"),
    }
    intent
}
