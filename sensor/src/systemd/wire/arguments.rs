//! The arguments of methods, by what they mean.

use super::reader::{Fault, Reader};
use super::transient::{environment, processes, properties, setting, strings};
use super::value::Value;
use super::{keep, text};
use crate::event::{Request, TransientUnit};

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arg {
    /// The name of a unit.
    Unit,
    /// Names of units, or paths of unit files.
    Units,
    /// Mode of a job or of a preset.
    Mode,
    /// Flags.
    SetFlags,
    /// Whether until the next boot only.
    Runtime,
    /// Whether to replace links.
    Force,
    /// The name of the unit to make.
    Transient,
    /// Its properties; or those to set.
    Properties,
    /// Units to make with it.
    Aux,
    /// Variables to set.
    Environment,
    /// Variables to unset.
    Unset,
    /// Processes.
    WithPids,
    /// A property's name and value.
    Property,
    /// The number of a signal.
    Signal,
    /// A text that is told with this name.
    Named(&'static str),
    /// Texts, each told with this name.
    List(&'static str),
    /// A number that is told with this name.
    Number(&'static str),
    /// A boolean that is told with this name.
    Switch(&'static str),
    /// Not told.
    Skip(&'static str),
}

impl Arg {
    /// Its type.
    pub(super) fn signature(self) -> &'static str {
        match self {
            Self::Unit | Self::Mode | Self::Transient | Self::Named(_) => "s",
            Self::Units | Self::Environment | Self::Unset | Self::List(_) => "as",
            Self::SetFlags => "t",
            Self::Runtime | Self::Force | Self::Switch(_) => "b",
            Self::Properties => "a(sv)",
            Self::Aux => "a(sa(sv))",
            Self::WithPids => "au",
            Self::Property => "sv",
            Self::Signal => "i",
            Self::Number(_) => "u",
            Self::Skip(signature) => signature,
        }
    }

    /// Reads it into a request, as far as there are bytes.
    pub(super) fn read(self, reader: &mut Reader<'_>, request: &mut Request) -> Result<(), Fault> {
        let truncated = &mut request.truncated;
        match self {
            Self::Unit => {
                let unit = text(reader.string()?, truncated);
                keep(&mut request.units, unit, truncated);
            }
            Self::Units => {
                strings(reader, &mut |unit| {
                    keep(&mut request.units, text(unit, truncated), truncated);
                })?;
            }
            Self::Mode => request.mode = Some(text(reader.string()?, truncated)),
            Self::SetFlags => request.flags = Some(reader.u64()?),
            Self::Runtime => request.runtime = Some(reader.boolean()?),
            Self::Force => request.force = Some(reader.boolean()?),
            Self::Transient => {
                let unit = text(reader.string()?, truncated);
                request.units.push(unit.clone());
                request.transient.push(TransientUnit {
                    unit,
                    ..TransientUnit::default()
                });
            }
            Self::Properties => match request.transient.first_mut() {
                Some(unit) => properties(reader, unit, truncated)?,
                None => set_properties(reader, request)?,
            },
            Self::Aux => aux(reader, request)?,
            Self::Environment => environment(reader, &mut request.environment, truncated)?,
            Self::Unset => {
                strings(reader, &mut |name| {
                    let name = name.split_once('=').map_or(name, |(name, _)| name);
                    let unset = text(&format!("-{name}"), truncated);
                    keep(&mut request.environment, unset, truncated);
                })?;
            }
            Self::WithPids => processes(reader, &mut request.processes, truncated)?,
            Self::Property => {
                let name = reader.string()?;
                let value = Value::of_variant(reader)?;
                let setting = setting(name, &value, truncated);
                keep(&mut request.settings, setting, truncated);
                reader.skip(value.signature)?;
            }
            Self::Signal => named(request, "signal", &reader.u32()?.cast_signed().to_string()),
            Self::Named(name) => named(request, name, reader.string()?),
            Self::List(name) => strings(reader, &mut |value| named(request, name, value))?,
            Self::Number(name) => named(request, name, &reader.u32()?.to_string()),
            Self::Switch(name) => {
                let value = if reader.boolean()? { "yes" } else { "no" };
                named(request, name, value);
            }
            Self::Skip(signature) => {
                reader.skip(signature.as_bytes())?;
            }
        }
        Ok(())
    }
}

fn named(request: &mut Request, name: &str, value: &str) {
    let argument = format!("{name}={}", text(value, &mut request.truncated));
    keep(&mut request.arguments, argument, &mut request.truncated);
}

/// Properties of a unit that exists.
fn set_properties(reader: &mut Reader<'_>, request: &mut Request) -> Result<(), Fault> {
    let mut unit = TransientUnit::default();
    let outcome = properties(reader, &mut unit, &mut request.truncated);
    request.settings = unit.settings;
    request.settings.extend(unit.when);
    request.processes = unit.processes;
    request.environment = unit.environment;
    let named = [
        ("User", unit.user),
        ("WorkingDirectory", unit.working_directory),
        ("Unit", unit.triggers),
    ];
    for (name, value) in named {
        request
            .settings
            .extend(value.map(|value| format!("{name}={value}")));
    }
    for command in unit.runs {
        let line = format!("{}={}", command.setting, command.argv.join(" "));
        request.settings.push(line);
    }
    outcome
}

fn aux(reader: &mut Reader<'_>, request: &mut Request) -> Result<(), Fault> {
    let mut list = reader.array(b'(')?;
    while !list.done() {
        list.align(8)?;
        let mut unit = TransientUnit {
            unit: text(list.string()?, &mut request.truncated),
            ..TransientUnit::default()
        };
        let outcome = properties(&mut list, &mut unit, &mut request.truncated);
        keep(&mut request.transient, unit, &mut request.truncated);
        outcome?;
    }
    if list.is_cut() {
        return Err(Fault::Ended);
    }
    Ok(())
}
