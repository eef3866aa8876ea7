//! When timers elapse, and what they start.

use std::time::Duration;

use super::{of_unit, weigh};
use crate::detect::Tunables;
use crate::detect::techniques::T1053_006;
use crate::event::{Posture, Rule, Severity};
use crate::systemd::inventory::{Inventory, Scope, UnitFacts};

pub(super) static SHORT: Rule = Rule {
    id: "timer-short-interval",
    title: "A timer elapses often",
    techniques: &[T1053_006],
    is_analytic: false,
    severity: "low for a timer that no package brought and that starts something as root; informational otherwise",
    explanation: "Beacons and watchdogs of intruders come back every few minutes; few jobs of a host have to \
                  (`TimerIntervalThreshold`, by default 300 s).",
    check: "What does it run, and does that need to be so often?",
    silence: "Lengthen the interval, or raise `TimerIntervalThreshold`.",
};

pub(super) static STARTS_OTHER: Rule = Rule {
    id: "timer-starts-packaged-unit",
    title: "A timer that no package brought starts a packaged unit of another name",
    techniques: &[T1053_006],
    is_analytic: false,
    severity: "informational",
    explanation: "What runs is known and good; when it runs is somebody else's choice.",
    check: "Why is the unit wanted at those times?",
    silence: "Nothing to silence.",
};

pub(super) fn unit(
    inventory: &Inventory,
    unit: &UnitFacts,
    tunables: &Tunables,
    results: &mut Vec<Posture>,
) {
    let Some(timer) = &unit.timer else { return };
    let started = timer
        .unit
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let of = inventory.units.iter().find(|other| {
        other.name.as_str() == started
            && (other.scope == unit.scope || other.scope == Scope::System)
    });
    let threshold = Duration::from_secs(tunables.timer_interval_threshold);
    if let Some(interval) = timer.interval().filter(|interval| *interval < threshold) {
        // The timer runs nothing itself: what counts is what it starts.
        let root = of.is_none_or(UnitFacts::is_root) && unit.scope == Scope::System;
        let severity = if root {
            weigh(unit, Severity::Low)
        } else {
            Severity::Informational
        };
        let message = format!(
            "{} starts {started} every {} s, more often than every {} s",
            unit.name,
            interval.as_secs(),
            threshold.as_secs(),
        );
        results.push(of_unit(&SHORT, unit, severity, message));
    }
    if timer.explicit
        && unit.file.is_unowned()
        && unit.name.stem() != started.rsplit_once('.').map_or("", |(stem, _)| stem)
        && inventory.packaged.contains(&started)
    {
        let message = format!("{} starts {started}, a packaged unit", unit.name);
        results.push(of_unit(
            &STARTS_OTHER,
            unit,
            Severity::Informational,
            message,
        ));
    }
}
