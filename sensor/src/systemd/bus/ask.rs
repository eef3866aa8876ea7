//! Asks a manager once for the timers it has loaded, as `systemctl list-timers --all` does.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;
use zbus::zvariant::{DynamicType, Value};
use zbus::{Connection, Message};

use super::fact::TimerFact;
use super::follow::{ManagerSocket, PRIVATE, system_bus};
use super::names::unit_path;
use super::private::{self, Bounds};
use super::read::{Clock, Properties, text, texts};
use super::wire::{ListedUnit, MANAGER, MANAGER_PATH, PROPERTIES, UNIT_NAME_MAX};

use crate::systemd::timer::{TimerBase, TimerExpression};

/// How long a manager may take for one answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most timers of one manager that are asked about.
const TIMERS_MAX: usize = 4096;
/// Most units of one timer that are asked about.
const TRIGGERS_MAX: usize = 16;

/// A timer as its manager has it loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedTimer {
    /// Its name, and when it elapsed and will elapse.
    pub times: TimerFact,
    /// `LoadState`: `loaded`, `masked`, `not-found` …
    pub load: String,
    /// `ActiveState`
    pub active: String,
    /// `SubState`: `waiting`, `running`, `elapsed`, `dead` …
    pub sub: String,
    /// `UnitFileState`: `enabled`, `static` …
    pub enabled: String,
    /// `FragmentPath`
    pub file: Option<String>,
    /// `DropInPaths`
    pub drop_ins: Vec<String>,
    /// `SourcePath`: what a generator made it from.
    pub source: Option<String>,
    /// `Transient`
    pub transient: bool,
    /// `NeedDaemonReload`: the file changed since it was read.
    pub needs_reload: bool,
    /// `Persistent`
    pub persistent: bool,
    /// When it elapses.
    pub expressions: Vec<TimerExpression>,
    /// `OnClockChange`
    pub on_clock_change: bool,
    /// `OnTimezoneChange`
    pub on_timezone_change: bool,
    /// What it starts.
    pub starts: Vec<LoadedUnit>,
}

/// A unit that a timer starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedUnit {
    /// Its name.
    pub unit: String,
    /// `FragmentPath`
    pub file: Option<String>,
    /// `User`
    pub user: Option<String>,
    /// What it executes: the setting, and the argument vector.
    pub commands: Vec<(&'static str, Vec<String>)>,
}

/// The timers of one manager.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedTimers {
    /// `Manager.Version`
    pub version: String,
    /// `Manager.UnitPath`
    pub unit_path: Vec<String>,
    /// Those loaded, sorted by name.
    pub timers: Vec<LoadedTimer>,
}

/// Why a manager could not be asked, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AskError(String);

/// The timers of a manager; of PID 1 where none is named.
///
/// # Errors
///
/// When the manager cannot be reached or does not answer.
pub fn loaded_timers(of: Option<&ManagerSocket>) -> Result<LoadedTimers, AskError> {
    runtime()?.block_on(async {
        let connection = match of {
            Some(socket) => private::connect(&socket.path, socket.tgid, Bounds::USER).await,
            None => private::connect(Path::new(PRIVATE), 1, Bounds::SYSTEM).await,
        };
        let connection = match (connection, of) {
            (Ok(connection), _) => connection,
            (Err(error), Some(_)) => return Err(AskError(error.to_string())),
            (Err(error), None) => system_bus()
                .await
                .map_err(|bus| AskError(format!("{error}; {bus}")))?,
        };
        let failed = |error: zbus::Error| AskError(error.to_string());
        ask(&connection).await.map_err(failed)
    })
}

/// The timers of the manager that has its name on the system bus, whatever its process.
///
/// # Errors
///
/// When the bus cannot be reached or the manager does not answer.
pub fn loaded_timers_by_bus() -> Result<LoadedTimers, AskError> {
    runtime()?.block_on(async {
        let connection = system_bus().await.map_err(AskError)?;
        let failed = |error: zbus::Error| AskError(error.to_string());
        ask(&connection).await.map_err(failed)
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, AskError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error: io::Error| AskError(error.to_string()))
}

async fn ask(connection: &Connection) -> zbus::Result<LoadedTimers> {
    let reply = call(connection, MANAGER_PATH, PROPERTIES, "GetAll", &MANAGER).await?;
    let body = reply.body();
    let manager: Properties<'_> = body.deserialize()?;
    let mut found = LoadedTimers {
        version: text(&manager, "Version"),
        unit_path: manager.get("UnitPath").map_or_else(Vec::new, texts),
        timers: Vec::new(),
    };
    let reply = call(connection, MANAGER_PATH, MANAGER, "ListUnits", &()).await?;
    let body = reply.body();
    let units: Vec<ListedUnit<'_>> = body.deserialize()?;
    let timers = units.iter().map(|(unit, ..)| *unit);
    let timers = timers.filter(|unit| unit.ends_with(".timer") && unit.len() <= UNIT_NAME_MAX);
    let mut clock = Clock::default();
    clock.refresh();
    for timer in timers.take(TIMERS_MAX) {
        match one(connection, &clock, timer).await {
            Ok(timer) => found.timers.push(timer),
            // It was unloaded meanwhile.
            Err(zbus::Error::MethodError(..)) => {}
            Err(error) => return Err(error),
        }
    }
    found
        .timers
        .sort_by(|a, b| a.times.timer.cmp(&b.times.timer));
    Ok(found)
}

async fn one(connection: &Connection, clock: &Clock, name: &str) -> zbus::Result<LoadedTimer> {
    // Without an interface: the properties of all of them.
    let reply = call(connection, &unit_path(name), PROPERTIES, "GetAll", &"").await?;
    let body = reply.body();
    let of: Properties<'_> = body.deserialize()?;
    let mut timer = LoadedTimer {
        times: clock.timer(name.to_owned(), true, &of),
        load: text(&of, "LoadState"),
        active: text(&of, "ActiveState"),
        sub: text(&of, "SubState"),
        enabled: text(&of, "UnitFileState"),
        file: some(&of, "FragmentPath"),
        drop_ins: of.get("DropInPaths").map_or_else(Vec::new, texts),
        source: some(&of, "SourcePath"),
        transient: flag(&of, "Transient"),
        needs_reload: flag(&of, "NeedDaemonReload"),
        persistent: flag(&of, "Persistent"),
        expressions: expressions(&of),
        on_clock_change: flag(&of, "OnClockChange"),
        on_timezone_change: flag(&of, "OnTimezoneChange"),
        starts: Vec::new(),
    };
    let triggers = of.get("Triggers").map_or_else(Vec::new, texts);
    for unit in triggers.into_iter().take(TRIGGERS_MAX) {
        timer.starts.push(unit_of(connection, unit).await?);
    }
    Ok(timer)
}

async fn unit_of(connection: &Connection, unit: String) -> zbus::Result<LoadedUnit> {
    let reply = call(connection, &unit_path(&unit), PROPERTIES, "GetAll", &"").await?;
    let body = reply.body();
    let of: Properties<'_> = body.deserialize()?;
    let mut commands = Vec::new();
    for key in [
        "ExecCondition",
        "ExecStartPre",
        "ExecStart",
        "ExecStartPost",
    ] {
        commands.extend(argvs(&of, key).into_iter().map(|argv| (key, argv)));
    }
    Ok(LoadedUnit {
        unit,
        file: some(&of, "FragmentPath"),
        user: some(&of, "User"),
        commands,
    })
}

/// Argument vectors of an `Exec…` property, `a(sasbttttuii)`.
fn argvs(of: &Properties<'_>, key: &str) -> Vec<Vec<String>> {
    let argv = |fields: &[Value<'_>]| fields.get(1).map(texts);
    structures(of, key, argv)
}

/// `TimersCalendar`, `a(sst)`, and `TimersMonotonic`, `a(stt)`.
fn expressions(of: &Properties<'_>) -> Vec<TimerExpression> {
    let calendar = |fields: &[Value<'_>]| match fields.get(1) {
        Some(Value::Str(spec)) => Some(TimerExpression::Calendar(spec.as_str().to_owned())),
        _ => None,
    };
    let monotonic = |fields: &[Value<'_>]| match fields {
        [Value::Str(base), Value::U64(usec), ..] => {
            let span = Duration::from_micros(*usec);
            Some(TimerExpression::Monotonic(base_of(base.as_str())?, span))
        }
        _ => None,
    };
    let mut all = structures(of, "TimersCalendar", calendar);
    all.extend(structures(of, "TimersMonotonic", monotonic));
    all
}

fn base_of(property: &str) -> Option<TimerBase> {
    Some(match property {
        "OnActiveUSec" => TimerBase::Active,
        "OnBootUSec" => TimerBase::Boot,
        "OnStartupUSec" => TimerBase::Startup,
        "OnUnitActiveUSec" => TimerBase::UnitActive,
        "OnUnitInactiveUSec" => TimerBase::UnitInactive,
        _ => return None,
    })
}

fn structures<T>(
    of: &Properties<'_>,
    key: &str,
    read: impl Fn(&[Value<'_>]) -> Option<T>,
) -> Vec<T> {
    let Some(Value::Array(entries)) = of.get(key) else {
        return Vec::new();
    };
    let fields = entries.iter().filter_map(|entry| match entry {
        Value::Structure(entry) => read(entry.fields()),
        _ => None,
    });
    fields.collect()
}

fn some(of: &Properties<'_>, name: &str) -> Option<String> {
    Some(text(of, name)).filter(|text| !text.is_empty())
}

fn flag(of: &Properties<'_>, name: &str) -> bool {
    matches!(of.get(name), Some(Value::Bool(true)))
}

async fn call<B: serde::Serialize + DynamicType>(
    connection: &Connection,
    path: &str,
    interface: &str,
    method: &str,
    body: &B,
) -> zbus::Result<Message> {
    let to = Some("org.freedesktop.systemd1");
    let answer = connection.call_method(to, path, Some(interface), method, body);
    match timeout(PATIENCE, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(zbus::Error::Failure(format!(
            "the manager does not answer {method}"
        ))),
    }
}
