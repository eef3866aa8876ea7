//! One timer, joined from what its manager says and what lies on disk. Pure.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Manager;
use crate::host::clock::ClockAnchor;
use crate::systemd::bus::{LoadedTimer, LoadedUnit};
use crate::systemd::installed::TimerRef;
use crate::systemd::timer::{Timer, TimerBase, TimerExpression};

/// A timer in the list. `docs/OPERATIONS.md` has the shape.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    /// `system`, `user:1000`, `container:…`
    pub(super) manager: String,
    /// The timer's name.
    pub(super) timer: String,
    /// `waiting`, `running`, `elapsed`, `dead`, `failed` of a loaded one, else `unloaded`,
    /// `masked`, or `unknown` where the manager was not asked.
    pub(super) state: String,
    /// What `systemctl list-timers` of this manager leaves out, and why it does.
    pub(super) missing_from_list_timers: Option<Missing>,
    /// Whether a file enables it.
    pub(super) enabled: bool,
    /// Next elapse, in milliseconds since the epoch.
    pub(super) next: Option<u64>,
    /// Last elapse.
    pub(super) last: Option<u64>,
    /// When it elapses, as in its file.
    pub(super) schedule: Vec<String>,
    /// The smallest time between two elapses in seconds, where that is simple to tell.
    pub(super) interval: Option<f64>,
    /// What it starts.
    pub(super) starts: Vec<Started>,
    /// The file that defines it.
    pub(super) file: Option<String>,
    /// Its drop-ins.
    pub(super) drop_ins: Vec<String>,
    /// What a generator made it from.
    pub(super) source: Option<String>,
    /// Whether it was made by a message and has no file of its own.
    pub(super) transient: bool,
    /// Whether the file changed since the manager read it; `null` where it was not asked.
    pub(super) needs_reload: Option<bool>,
    /// Where the file comes from.
    pub(super) origin: Option<Origin>,
}

/// Why a timer is not in the manager's own list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Missing {
    /// It lies on disk and is not loaded.
    Unloaded,
    /// Its name begins with a dot, which lists of files leave out.
    Hidden,
    /// Its file leads to nothing.
    Masked,
    /// Its manager is not the host's.
    OtherManager,
}

/// A unit that a timer starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Started {
    /// Its name.
    pub(super) unit: String,
    /// Its file.
    pub(super) file: Option<String>,
    /// Who runs it: `User=`, `root` or the manager's own user.
    pub(super) user: Option<String>,
    /// What it executes.
    pub(super) commands: Vec<Run>,
}

/// One command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    /// The setting: `ExecStart`.
    pub(super) setting: String,
    /// The argument vector.
    pub(super) argv: Vec<String>,
}

/// Who brought a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// The package that owns it.
    pub(super) package: Option<String>,
    /// Whether it is as that package brought it.
    pub(super) as_shipped: Option<bool>,
    /// Who wrote it, by the agent's store.
    pub(super) writer: Option<String>,
}

/// A timer on disk, with what it starts.
#[derive(Clone, Debug)]
pub(super) struct OnDisk {
    pub(super) timer: TimerRef,
    pub(super) starts: Vec<Started>,
    pub(super) enabled: bool,
    /// When its stamp file says that it elapsed last, in milliseconds since the epoch.
    pub(super) stamp: Option<u64>,
}

/// All of one manager.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    /// What the manager has loaded; `None` when it was not asked or did not answer.
    pub(super) loaded: Option<Vec<LoadedTimer>>,
    /// What lies on disk.
    pub(super) disk: Vec<OnDisk>,
    /// Masked names, each with its file.
    pub(super) masked: Vec<(String, PathBuf)>,
}

/// The rows of one manager, by name.
pub(super) fn rows(manager: &Manager, sources: Sources, clock: &ClockAnchor) -> Vec<Row> {
    let Sources {
        loaded,
        disk,
        masked,
    } = sources;
    let asked = loaded.is_some();
    let enabled: HashMap<String, bool> = disk
        .iter()
        .map(|it| (it.timer.name.clone(), it.enabled))
        .collect();
    let mut rows: Vec<Row> = Vec::new();
    for timer in loaded.into_iter().flatten() {
        // A name that something refers to, without a unit behind it.
        if timer.load == "not-found" && timer.active == "inactive" {
            continue;
        }
        let pulled = enabled.get(&timer.times.timer).copied().unwrap_or(false);
        rows.push(of_loaded(manager, timer, pulled, clock));
    }
    let known: Vec<String> = rows.iter().map(|row| row.timer.clone()).collect();
    let is_new = |name: &String| !known.contains(name);
    rows.extend(
        disk.into_iter()
            .filter(|it| is_new(&it.timer.name))
            .map(|it| of_disk(manager, it, asked)),
    );
    let masked = masked.into_iter().filter(|(name, _)| is_new(name));
    rows.extend(masked.map(|(timer, path)| Row {
        manager: manager.to_string(),
        state: "masked".to_owned(),
        missing_from_list_timers: Some(Missing::Masked),
        file: Some(path.to_string_lossy().into_owned()),
        timer,
        ..Row::default()
    }));
    for row in &mut rows {
        if *manager != Manager::System {
            row.missing_from_list_timers = Some(Missing::OtherManager);
        }
    }
    rows.sort_by(|a, b| a.timer.cmp(&b.timer));
    rows
}

fn of_loaded(manager: &Manager, timer: LoadedTimer, pulled: bool, clock: &ClockAnchor) -> Row {
    let times = &timer.times;
    let next = [
        times.next_wall,
        times.next_boot.map(|boot| clock.to_timestamp(boot).wall),
    ];
    let masked = timer.load == "masked";
    let view = view(
        timer.expressions,
        timer.on_clock_change,
        timer.on_timezone_change,
    );
    Row {
        manager: manager.to_string(),
        timer: times.timer.clone(),
        state: if masked {
            "masked".to_owned()
        } else {
            timer.sub
        },
        missing_from_list_timers: masked.then_some(Missing::Masked),
        enabled: pulled || timer.enabled.starts_with("enabled"),
        next: next.into_iter().flatten().min().map(milliseconds),
        last: times.fired.map(|fired| milliseconds(fired.wall)),
        schedule: schedule(&view),
        interval: view.interval().map(|it| it.as_secs_f64()),
        starts: timer
            .starts
            .into_iter()
            .map(|unit| started(manager, unit))
            .collect(),
        file: timer.file,
        drop_ins: timer.drop_ins,
        source: timer.source,
        transient: timer.transient,
        needs_reload: Some(timer.needs_reload),
        origin: None,
    }
}

fn of_disk(manager: &Manager, on_disk: OnDisk, asked: bool) -> Row {
    let OnDisk {
        timer,
        starts,
        enabled,
        stamp,
    } = on_disk;
    let hidden = timer.name.starts_with('.');
    let missing = if hidden {
        Missing::Hidden
    } else {
        Missing::Unloaded
    };
    Row {
        manager: manager.to_string(),
        state: if asked { "unloaded" } else { "unknown" }.to_owned(),
        missing_from_list_timers: (asked || hidden).then_some(missing),
        enabled,
        last: stamp,
        schedule: schedule(&timer.timer),
        interval: timer.timer.interval().map(|it| it.as_secs_f64()),
        starts,
        file: Some(timer.path.to_string_lossy().into_owned()),
        drop_ins: timer
            .drop_ins
            .iter()
            .map(|path| path.to_string_lossy().into_owned())
            .collect(),
        timer: timer.name,
        ..Row::default()
    }
}

fn started(manager: &Manager, unit: LoadedUnit) -> Started {
    let commands = unit.commands.into_iter().map(|(setting, argv)| Run {
        setting: setting.to_owned(),
        argv,
    });
    let commands: Vec<Run> = commands.collect();
    Started {
        user: user(manager, unit.user, &commands),
        unit: unit.unit,
        file: unit.file,
        commands,
    }
}

/// Who runs the commands, if there are any.
pub(super) fn user(manager: &Manager, set: Option<String>, commands: &[Run]) -> Option<String> {
    let own = || match manager {
        Manager::User(uid) => format!("uid {uid}"),
        // A capsule's own user is made for it; its unit names nobody.
        Manager::Capsule(name) => format!("capsule {name}"),
        Manager::System | Manager::Container(_) => "root".to_owned(),
    };
    (!commands.is_empty()).then(|| set.unwrap_or_else(own))
}

fn milliseconds(nanoseconds: u64) -> u64 {
    nanoseconds / 1_000_000
}

fn view(expressions: Vec<TimerExpression>, on_clock: bool, on_timezone: bool) -> Timer {
    Timer {
        unit: None,
        explicit: false,
        expressions,
        persistent: false,
        on_clock_change: on_clock,
        on_timezone_change: on_timezone,
        randomized_delay: Duration::ZERO,
        accuracy: Duration::ZERO,
    }
}

/// When a timer elapses, as its file has it.
fn schedule(timer: &Timer) -> Vec<String> {
    let expression = |it: &TimerExpression| match it {
        TimerExpression::Calendar(spec) => format!("OnCalendar={spec}"),
        TimerExpression::Monotonic(base, span) => {
            format!("{}={}", setting(*base), super::text::span(*span))
        }
    };
    let mut all: Vec<String> = timer.expressions.iter().map(expression).collect();
    let flags = [
        (timer.on_clock_change, "OnClockChange=yes"),
        (timer.on_timezone_change, "OnTimezoneChange=yes"),
    ];
    all.extend(
        flags
            .iter()
            .filter(|(set, _)| *set)
            .map(|(_, it)| (*it).to_owned()),
    );
    all
}

fn setting(base: TimerBase) -> &'static str {
    match base {
        TimerBase::Active => "OnActiveSec",
        TimerBase::Boot => "OnBootSec",
        TimerBase::Startup => "OnStartupSec",
        TimerBase::UnitActive => "OnUnitActiveSec",
        TimerBase::UnitInactive => "OnUnitInactiveSec",
    }
}
