//! What a `.timer` file says.

use std::time::Duration;

use super::calendar::smallest_interval;
use super::span::parse_span;
use super::unit_file::{UnitFile, parse_boolean};
use super::unit_name::{UnitName, UnitType};
use super::words::expand;

/// What a monotonic timer counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerBase {
    /// `OnActiveSec=`: the timer was started.
    Active,
    /// `OnBootSec=`: the host was booted.
    Boot,
    /// `OnStartupSec=`: the manager was started.
    Startup,
    /// `OnUnitActiveSec=`: the triggered unit was last started.
    UnitActive,
    /// `OnUnitInactiveSec=`: the triggered unit last ended.
    UnitInactive,
}

impl TimerBase {
    /// Whether the timer elapses again and again by it.
    #[must_use]
    pub fn repeats(self) -> bool {
        matches!(self, Self::UnitActive | Self::UnitInactive)
    }
}

/// One `On…=` of a timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimerExpression {
    /// A time after something.
    Monotonic(TimerBase, Duration),
    /// `OnCalendar=`.
    Calendar(String),
}

/// The `[Timer]` section, of a file with its drop-ins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// The unit that is started; `None` when no valid name can be had.
    pub unit: Option<UnitName>,
    /// Whether `Unit=` named it, and not the timer's own name.
    pub explicit: bool,
    /// When it elapses.
    pub expressions: Vec<TimerExpression>,
    /// `Persistent=`: a missed elapse is made up for at boot.
    pub persistent: bool,
    /// `OnClockChange=`
    pub on_clock_change: bool,
    /// `OnTimezoneChange=`
    pub on_timezone_change: bool,
    /// `RandomizedDelaySec=`
    pub randomized_delay: Duration,
    /// `AccuracySec=`: by default a minute, within which the timer fires anywhere.
    pub accuracy: Duration,
}

const SECTION: &str = "Timer";

impl Timer {
    /// Reads the view of the timer `name` from its file merged with its drop-ins.
    ///
    /// The first valid `Unit=` wins, as in systemd, where later ones are refused: so one in a
    /// drop-in counts only where the file itself has none.
    #[must_use]
    pub fn new(name: &UnitName, file: &UnitFile) -> Self {
        let named = file
            .raw(SECTION, "Unit")
            .filter_map(|value| UnitName::parse(&expand(value, name)).ok())
            .find(|unit| unit != name && !unit.is_template());
        let explicit = named.is_some();
        let flag = |key: &str| {
            let valid = file.raw(SECTION, key).filter_map(parse_boolean);
            valid.last().unwrap_or(false)
        };
        let span = |key: &str, default| {
            let valid = file.raw(SECTION, key).filter_map(parse_span);
            valid.last().unwrap_or(default)
        };
        Self {
            unit: named.or_else(|| name.with_kind(UnitType::Service)),
            explicit,
            expressions: expressions(file, name),
            persistent: flag("Persistent"),
            on_clock_change: flag("OnClockChange"),
            on_timezone_change: flag("OnTimezoneChange"),
            randomized_delay: span("RandomizedDelaySec", Duration::ZERO),
            accuracy: span("AccuracySec", Duration::from_secs(60)),
        }
    }

    /// The smallest finite span of the monotonic expressions, whether it repeats or not.
    #[must_use]
    pub fn smallest_monotonic(&self) -> Option<Duration> {
        self.monotonic().map(|(_, span)| span).min()
    }

    /// The smallest span by which it elapses again and again.
    #[must_use]
    pub fn smallest_repeat(&self) -> Option<Duration> {
        let repeating = self.monotonic().filter(|(base, _)| base.repeats());
        repeating.map(|(_, span)| span).min()
    }

    /// The smallest interval of the calendar expressions, where it is simple to tell.
    #[must_use]
    pub fn smallest_calendar(&self) -> Option<Duration> {
        let calendar = self.expressions.iter().filter_map(|it| match it {
            TimerExpression::Calendar(text) => smallest_interval(text),
            TimerExpression::Monotonic(..) => None,
        });
        calendar.min()
    }

    /// How often it fires at most: the smaller of both. What a threshold compares with.
    #[must_use]
    pub fn interval(&self) -> Option<Duration> {
        let repeat = self.smallest_repeat();
        repeat.into_iter().chain(self.smallest_calendar()).min()
    }

    fn monotonic(&self) -> impl Iterator<Item = (TimerBase, Duration)> {
        self.expressions.iter().filter_map(|it| match it {
            TimerExpression::Monotonic(base, span) if *span != Duration::MAX => {
                Some((*base, *span))
            }
            _ => None,
        })
    }
}

fn expressions(file: &UnitFile, name: &UnitName) -> Vec<TimerExpression> {
    let mut all = Vec::new();
    for it in file.assignments().iter().filter(|it| it.section == SECTION) {
        let base = match it.key.as_str() {
            "OnCalendar" => None,
            "OnActiveSec" => Some(TimerBase::Active),
            "OnBootSec" => Some(TimerBase::Boot),
            "OnStartupSec" => Some(TimerBase::Startup),
            "OnUnitActiveSec" => Some(TimerBase::UnitActive),
            "OnUnitInactiveSec" => Some(TimerBase::UnitInactive),
            _ => continue,
        };
        if it.value.is_empty() {
            // Any empty one clears those of every kind (`config_parse_timer`).
            all.clear();
            continue;
        }
        let value = expand(&it.value, name);
        match base {
            None => all.push(TimerExpression::Calendar(value)),
            Some(base) => {
                all.extend(parse_span(&value).map(|span| TimerExpression::Monotonic(base, span)));
            }
        }
    }
    all
}
