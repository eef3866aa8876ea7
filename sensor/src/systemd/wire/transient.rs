//! The properties of units: lists of `(sv)`.

use super::reader::{Fault, Reader};
use super::value::Value;
use super::{TEXT_MAX, keep, text, variable};
use crate::event::{TransientCommand, TransientUnit};

/// Reads properties into a unit, as far as there are bytes.
pub(super) fn properties(
    reader: &mut Reader<'_>,
    unit: &mut TransientUnit,
    truncated: &mut bool,
) -> Result<(), Fault> {
    let mut list = reader.array(b'(')?;
    while !list.done() {
        list.align(8)?;
        let name = list.string()?;
        let value = Value::of_variant(&mut list)?;
        property(name, &value, unit, truncated);
        if !list.skip(value.signature)?.is_empty() {
            return Err(Fault::Bad("a variant holds more than one value"));
        }
    }
    if list.is_cut() {
        return Err(Fault::Ended);
    }
    Ok(())
}

/// Takes one property. What is cut off or of an unexpected type is told as far as it goes; the
/// caller finds the fault when it goes past the value.
fn property(name: &str, value: &Value<'_>, unit: &mut TransientUnit, truncated: &mut bool) {
    let mut reader = value.reader.clone();
    let _ = match (name, value.signature) {
        ("User", b"s") => {
            unit.user = value.string().map(|user| text(user, truncated));
            Ok(())
        }
        ("WorkingDirectory", b"s") => {
            unit.working_directory = value.string().map(|path| text(path, truncated));
            Ok(())
        }
        ("Unit", b"s") => {
            unit.triggers = value.string().map(|name| text(name, truncated));
            Ok(())
        }
        ("Environment", b"as") => environment(&mut reader, &mut unit.environment, truncated),
        ("PIDs", b"au") => processes(&mut reader, &mut unit.processes, truncated),
        ("TimersCalendar", b"a(ss)") | ("TimersMonotonic", b"a(st)") => {
            expressions(&mut reader, value.signature, unit, truncated)
        }
        // As before 247, and as other clients send them.
        (_, b"s" | b"t") if is_expression(name) => {
            let mut when = name.replace("USec", "Sec") + "=";
            match (value.string(), reader.u64()) {
                (Some(calendar), _) => when.push_str(&text(calendar, truncated)),
                (None, Ok(span)) => when.push_str(&seconds(span)),
                (None, Err(_)) => {}
            }
            keep(&mut unit.when, when, truncated);
            Ok(())
        }
        (_, b"a(sasb)" | b"a(sasas)") if name.starts_with("Exec") => {
            commands(&mut reader, name, value.signature, unit, truncated)
        }
        _ => {
            let setting = setting(name, value, truncated);
            keep(&mut unit.settings, setting, truncated);
            Ok(())
        }
    };
}

fn is_expression(name: &str) -> bool {
    name.strip_prefix("On").is_some_and(|rest| {
        rest == "Calendar"
            || ["Active", "Boot", "Startup", "UnitActive", "UnitInactive"]
                .iter()
                .any(|base| {
                    rest.strip_prefix(base)
                        .is_some_and(|unit| unit == "Sec" || unit == "USec")
                })
    })
}

/// A property as `Name=value`.
pub(super) fn setting(name: &str, value: &Value<'_>, truncated: &mut bool) -> String {
    let mut out = text(name, truncated);
    out.push('=');
    if name.starts_with("SetCredential") {
        // A secret: its name alone is told.
        let mut reader = value.reader.clone();
        let id = reader.array(b'(').and_then(|mut list| {
            list.align(8)?;
            list.string()
        });
        out.push_str(&text(id.unwrap_or_default(), truncated));
    } else if value.write(&mut out).is_none() || out.len() >= TEXT_MAX {
        *truncated = true;
    }
    out
}

/// Names and some values of an `as` of assignments.
pub(super) fn environment(
    reader: &mut Reader<'_>,
    list: &mut Vec<String>,
    truncated: &mut bool,
) -> Result<(), Fault> {
    strings(reader, &mut |assignment| {
        keep(list, variable(assignment, truncated), truncated);
    })
}

/// Each string of an `as`.
pub(super) fn strings<'a>(
    reader: &mut Reader<'a>,
    each: &mut dyn FnMut(&'a str),
) -> Result<(), Fault> {
    let mut list = reader.array(b's')?;
    while !list.done() {
        each(list.string()?);
    }
    if list.is_cut() {
        return Err(Fault::Ended);
    }
    Ok(())
}

/// An `au` of process ids.
pub(super) fn processes(
    reader: &mut Reader<'_>,
    list: &mut Vec<u32>,
    truncated: &mut bool,
) -> Result<(), Fault> {
    let mut pids = reader.array(b'u')?;
    while !pids.done() {
        keep(list, pids.u32()?, truncated);
    }
    if pids.is_cut() {
        return Err(Fault::Ended);
    }
    Ok(())
}

/// `[("OnCalendar", "daily")]` and `[("OnActiveUSec", 5000000)]`.
fn expressions(
    reader: &mut Reader<'_>,
    signature: &[u8],
    unit: &mut TransientUnit,
    truncated: &mut bool,
) -> Result<(), Fault> {
    let mut list = reader.array(b'(')?;
    while !list.done() {
        list.align(8)?;
        let base = list.string()?.replace("USec", "Sec");
        let value = if signature == b"a(ss)" {
            text(list.string()?, truncated)
        } else {
            seconds(list.u64()?)
        };
        let base = text(&base, truncated);
        keep(&mut unit.when, format!("{base}={value}"), truncated);
    }
    Ok(())
}

/// Microseconds as seconds, with as many decimals as there are.
pub(super) fn seconds(micros: u64) -> String {
    if micros == u64::MAX {
        return "infinity".to_owned();
    }
    let (whole, fraction) = (micros / 1_000_000, micros % 1_000_000);
    if fraction == 0 {
        return whole.to_string();
    }
    let fraction = format!("{fraction:06}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

fn commands(
    reader: &mut Reader<'_>,
    name: &str,
    signature: &[u8],
    unit: &mut TransientUnit,
    truncated: &mut bool,
) -> Result<(), Fault> {
    let mut list = reader.array(b'(')?;
    while !list.done() {
        list.align(8)?;
        let mut command = TransientCommand {
            // `ExecStartEx` is `ExecStart` with flags in words.
            setting: text(name.strip_suffix("Ex").unwrap_or(name), truncated),
            path: text(list.string()?, truncated),
            argv: Vec::new(),
        };
        let argv = strings(&mut list, &mut |argument| {
            keep(&mut command.argv, text(argument, truncated), truncated);
        });
        keep(&mut unit.runs, command, truncated);
        argv?;
        if signature == b"a(sasas)" {
            strings(&mut list, &mut |_| {})?;
        } else {
            list.boolean()?;
        }
    }
    Ok(())
}
