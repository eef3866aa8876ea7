//! From an exec and the starts that its manager told to the verdict on it.

use super::decide::{Decision, Judgement, trigger};
use super::world::{Start, World};
use super::{AHEAD, CLOSE, Key, Seen};
use crate::event::{Grade, Trigger, TriggerType};

/// Whether the unit was started again between the start that an exec names and the exec.
pub(super) fn is_of_later_start(world: &World, seen: &Seen<'_>) -> bool {
    let starts = world.units.get(seen.unit).map(|unit| &unit.starts);
    let own = starts.and_then(|starts| {
        starts
            .iter()
            .find(|start| Some(start.invocation.as_str()) == seen.invocation)
    });
    let later = |start: &&Start| start.left_inactive <= seen.time;
    match (
        starts.and_then(|starts| starts.iter().rev().find(later)),
        own,
    ) {
        (Some(last), Some(own)) => last.left_inactive > own.left_inactive,
        (Some(last), None) => seen.time - last.left_inactive <= CLOSE,
        (None, _) => false,
    }
}

/// Whether no start can have been lost since the one with this id.
pub(super) fn is_latest(world: &World, unit: &str, invocation: Option<&str>) -> bool {
    let starts = world.units.get(unit).map(|unit| &unit.starts);
    let mut starts = starts.into_iter().flatten();
    starts.any(|start| Some(start.invocation.as_str()) == invocation && world.whole(start.at))
}

/// The verdict, by the start of the unit that an exec belongs to.
pub(super) fn judge(
    world: &World,
    key: &Key,
    (time, hint): (u64, Option<&Trigger>),
    finally: bool,
) -> Option<Judgement> {
    let (_, unit, invocation) = key;
    // A manager starts nothing in a scope: before 255 a session hides the unit, but not its id.
    let unit = match invocation {
        Some(id) if unit.ends_with(".scope") => world.started_as(id).unwrap_or(unit),
        _ => unit,
    };
    let known = world.units.get(unit);
    let mut starts = known.into_iter().flat_map(|unit| &unit.starts).rev();
    let before = |start: &&Start| start.left_inactive <= time.saturating_add(AHEAD);
    let last = starts.clone().find(before);
    let named = starts.find(|start| Some(&start.invocation) == invocation.as_ref());
    let named = named.filter(|named| {
        // Else the id is that of an earlier start, kept by somebody.
        let ended = known.map_or(0, |unit| unit.became_inactive);
        let over = named.left_inactive < ended && ended < time;
        let latest =
            |last: &Start| last.left_inactive <= named.left_inactive || last.left_inactive > time;
        !over && last.is_none_or(latest)
    });
    let near = last.filter(|last| time.saturating_sub(last.left_inactive) <= CLOSE);
    let start = match (named, near) {
        (Some(named), _) => Some((named, true)),
        // The environment names none, or the wrong one: known only once nothing else comes.
        (None, Some(near)) if finally => Some((near, false)),
        (None, _) => None,
    };
    let mut judgement = match start {
        Some((start, sure)) => match world.decide(unit, start, finally) {
            Decision::Made(mut judgement) => {
                if !is_latest(world, unit, invocation.as_deref()) {
                    cap(&mut judgement.trigger);
                }
                if !sure {
                    cap(&mut judgement.trigger);
                    let why = "the start is known by its time alone, not by its invocation id";
                    judgement.trigger.evidence.push(why.to_owned());
                }
                judgement
            }
            Decision::Open => return None,
        },
        None if finally => Judgement {
            trigger: trigger(
                TriggerType::Unknown,
                None,
                Grade::None,
                "the manager did not tell of this start in time".to_owned(),
            ),
            behind: None,
            started: None,
        },
        None => return None,
    };
    judgement.started = (start.is_some() && unit != &key.1).then(|| unit.clone());
    with_hint(&mut judgement.trigger, hint);
    Some(judgement)
}

pub(super) fn cap(trigger: &mut Trigger) {
    trigger.grade = trigger.grade.min(Grade::Probable);
}

/// What the environment says counts for something where nothing else is known, and is set aside
/// where something is.
fn with_hint(trigger: &mut Trigger, hint: Option<&Trigger>) {
    let Some(hint) = hint else { return };
    if trigger.grade == Grade::None {
        let mut evidence = hint.evidence.clone();
        evidence.append(&mut trigger.evidence);
        *trigger = Trigger {
            evidence,
            ..hint.clone()
        };
    } else if hint.unit == trigger.unit {
        trigger.evidence.extend(hint.evidence.iter().cloned());
    } else if let Some(unit) = &hint.unit {
        let set_aside = format!("TRIGGER_UNIT={unit} in the environment is not of this start");
        trigger.evidence.push(set_aside);
    }
}
