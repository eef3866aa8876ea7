//! The verdict on a process that a manager started.

use std::{collections::HashMap, sync::Arc};

use super::changes::{Changes, Seen};
use super::requests::Requests;
use crate::{
    detect,
    event::{
        Asked, Cause, CauseFile, CauseRequest, Exec, FileClass, Finding, Grade, LinkKind, Manager,
        OnBehalfOf, ProcessKey, Related, RequestClass, Severity, Timestamp, Trigger, TriggerType,
        Verb,
    },
    systemd::unit_name::{UnitName, UnitType},
};

/// Most units for which the last verdict is remembered.
const JUDGED_MAX: usize = 4096;

/// OCSF `type_uid` of an exec: Process Activity, Launch.
const EXEC_TYPE: u32 = 100_701;
/// How long before a job a request for it may have come, in nanoseconds.
const ASKED: u64 = 90_000_000_000;

/// A process that a manager started, and what is known of its unit.
#[derive(Clone, Copy, Debug)]
pub struct Started<'a> {
    /// The exec.
    pub exec: &'a Exec,
    /// `metadata.uid` of its event.
    pub uid: &'a str,
    /// When it was executed.
    pub time: Timestamp,
    /// The timers that lead to its unit, as found on disk.
    pub timers: &'a [String],
    /// Of a unit that another one brought: why that one was started.
    pub behind: Option<&'a Trigger>,
    /// `metadata.uid` of the event that told of the firing.
    pub firing: Option<&'a str>,
}

impl<'a> Started<'a> {
    /// The timer or path whose firing led here.
    fn fired(&self) -> Option<&'a Trigger> {
        let context = self.exec.systemd.as_ref();
        let own = context.and_then(|context| context.trigger.as_ref());
        own.into_iter().chain(self.behind).find(|trigger| {
            matches!(trigger.kind, TriggerType::Timer | TriggerType::Path) && trigger.unit.is_some()
        })
    }
}

/// What was changed since the agent started, and what was said about it.
#[derive(Debug, Default)]
pub struct Correlator {
    /// Who asked managers for what.
    pub requests: Requests,
    changes: Changes,
    /// Sequence of the newest content change that a finding was made for, by unit.
    judged: HashMap<(Manager, String), u64>,
}

impl Correlator {
    /// Takes a change in.
    pub fn changed(&mut self, seen: Seen) {
        self.changes.note(seen);
    }

    /// Takes in what is known from before: changes, oldest first, and units that a finding was
    /// made for when so many of them had happened.
    pub fn remember(&mut self, past: Vec<Seen>, told: Vec<(Manager, String, usize)>) {
        let numbers: Vec<u64> = past
            .into_iter()
            .map(|seen| self.changes.note(seen))
            .collect();
        for (manager, unit, count) in told {
            let newest = count.checked_sub(1).and_then(|last| numbers.get(last));
            if let Some(newest) = newest {
                self.judged.insert((manager, unit), *newest);
            }
        }
    }

    /// Takes in that a manager begins to read its units anew.
    pub fn reloads(&mut self, manager: &Manager) {
        self.changes.reloads(manager);
    }

    /// Forgets a change that is taken in anew.
    pub fn forget(&mut self, uid: &str) {
        self.changes.forget(uid);
    }

    /// Takes in what is known by now of the package of a change.
    pub fn repackaged(&mut self, seen: &Seen) {
        self.changes.repackaged(seen);
    }

    /// Whether the unit of an exec can rest on a change at all. Cheap: asked for every exec.
    #[must_use]
    pub fn concerns(&self, exec: &Exec) -> bool {
        !self.changes.is_empty()
            && exec
                .systemd
                .as_ref()
                .is_some_and(|context| context.spawned && context.unit.is_some())
    }

    /// A finding, if the unit of a started process, or a timer that leads to it, was changed and
    /// that was not told yet.
    ///
    /// Rules 1 and 6 of the design: the unit comes from the cgroup, the writer is who made the
    /// latest change to each file that the activation rests on.
    pub fn started(&mut self, started: &Started<'_>) -> Option<Finding> {
        let context = started
            .exec
            .systemd
            .as_ref()
            .filter(|context| context.spawned)?;
        let unit = context.unit.as_deref()?;
        let (timer, changes) = self.rests_on(started, &context.manager, unit);
        let newest = changes.last()?.sequence;
        let newest_content = changes
            .iter()
            .filter(|seen| !seen.is_link())
            .map(|seen| seen.sequence)
            .max();
        if !self.is_news(&context.manager, unit, newest_content.unwrap_or(newest)) {
            return None;
        }
        let cause = self.causes(started, unit, &changes);
        Some(finding(started, unit, timer, cause, &changes))
    }

    /// The chain that leads to a process, oldest first: as far back as changes were seen.
    #[must_use]
    pub fn cause(&self, started: &Started<'_>) -> Vec<Cause> {
        let context = started.exec.systemd.as_ref();
        let unit = context.and_then(|context| Some((&context.manager, context.unit.as_deref()?)));
        let Some((manager, unit)) = unit else {
            return Vec::new();
        };
        let (_, changes) = self.rests_on(started, manager, unit);
        self.causes(started, unit, &changes)
    }

    /// The chain of a start, oldest first.
    fn causes(&self, started: &Started<'_>, unit: &str, changes: &[Seen]) -> Vec<Cause> {
        let Started {
            exec, uid, time, ..
        } = *started;
        let mut cause: Vec<Cause> = Vec::new();
        for seen in changes {
            if let Some(of) = seen.change.on_behalf_of.as_deref() {
                push_request(&mut cause, of, seen.change.unit.as_deref());
            }
            cause.push(cause_of(seen));
        }
        self.requests_for(started, unit, changes, &mut cause);
        if let Some(trigger) = started.fired() {
            cause.push(Cause {
                link: LinkKind::Fired,
                time: trigger.fired_at.unwrap_or(time),
                grade: trigger.grade,
                actor: None,
                file: None,
                request: None,
                unit: trigger.unit.clone(),
                event_uid: started.firing.map(str::to_owned),
            });
        }
        cause.sort_by_key(|link| link.time.boot);
        let spawned = exec.systemd.as_ref().is_some_and(|context| context.spawned);
        if spawned {
            cause.push(Cause {
                link: LinkKind::Spawned,
                time,
                grade: Grade::Certain,
                actor: Some(crate::event::Actor {
                    process: Arc::clone(&exec.process),
                    ancestry: exec.ancestry.clone(),
                }),
                file: None,
                request: None,
                unit: Some(unit.to_owned()),
                event_uid: Some(uid.to_owned()),
            });
        }
        cause
    }

    /// Who asked for this start, or for the start of the timer or unit that led to it, and who made
    /// the manager read what was changed.
    fn requests_for(
        &self,
        started: &Started<'_>,
        unit: &str,
        changes: &[Seen],
        cause: &mut Vec<Cause>,
    ) {
        let Some(context) = started.exec.systemd.as_ref() else {
            return;
        };
        let (manager, until) = (&context.manager, started.time.boot);
        let of_start = |unit: &str, since: u64, until: u64| {
            self.requests.of_start(manager, unit, since, until)
        };
        let recently = until.saturating_sub(ASKED);
        let triggers = context.trigger.iter().chain(started.behind);
        let mut asked: Vec<(String, OnBehalfOf)> = Vec::new();
        let mut find = |unit: &str, since: u64, until: u64| {
            if let Some(of) = of_start(unit, since, until) {
                asked.push((unit.to_owned(), of));
            }
        };
        if context.trigger.is_none() {
            find(unit, recently, until);
        }
        for trigger in triggers {
            let named = trigger.unit.as_deref();
            match (trigger.kind, named) {
                (TriggerType::Request | TriggerType::Unknown, None) => find(unit, recently, until),
                (TriggerType::Dependency | TriggerType::Request, Some(by)) => {
                    find(by, recently, until);
                }
                // It was started once, and elapses ever since.
                (TriggerType::Timer | TriggerType::Path | TriggerType::Socket, Some(by)) => {
                    let fired = trigger.fired_at.map_or(until, |fired| fired.boot);
                    find(by, 0, fired);
                }
                _ => {}
            }
        }
        for (unit, of) in &asked {
            push_request(cause, of, Some(unit));
        }
        let changed = changes
            .iter()
            .filter(|seen| !seen.is_link())
            .map(|seen| seen.time.boot)
            .max();
        if let Some(changed) = changed
            && let Some(of) = self.requests.of_reload(manager, changed, until)
        {
            push_request(cause, &of, None);
        }
    }

    /// The latest change to each file that a start of `unit` rests on, and the timer concerned.
    fn rests_on(
        &self,
        started: &Started<'_>,
        manager: &Manager,
        unit: &str,
    ) -> (Option<String>, Vec<Seen>) {
        if self.changes.is_empty() {
            return (None, Vec::new());
        }
        let mut changes = self.changes.of(unit, manager, started.time);
        let mut timer = None;
        for name in timers_of(started, unit) {
            let more = self.changes.of(&name, manager, started.time);
            let on_disk = started.timers.contains(&name);
            // A drop-in for all timers makes none.
            let own = |seen: &Seen| {
                let class = seen.change.class;
                !matches!(class, FileClass::DropIn | FileClass::Directory)
            };
            if timer.is_none() && (on_disk || more.iter().any(own)) {
                timer = Some(name);
            }
            changes.extend(more);
        }
        changes.retain(|seen| !matches!(seen.change.verb, Verb::Unlink | Verb::Rmdir));
        changes.sort_by_key(|seen| seen.sequence);
        (timer, latest_of_each_file(changes))
    }

    /// Remembers what was told. A link to a unit that was told already is no news.
    fn is_news(&mut self, manager: &Manager, unit: &str, sequence: u64) -> bool {
        if self.judged.len() >= JUDGED_MAX {
            self.judged.clear(); // at worst something is told twice
        }
        let told = self
            .judged
            .entry((manager.clone(), unit.to_owned()))
            .or_default();
        let news = sequence > *told;
        *told = sequence.max(*told);
        news
    }
}

/// The timers that may have started the unit: those on disk, the one its environment names, and
/// the one of the same name, which a transient unit takes away with it when it ends.
fn timers_of(started: &Started<'_>, unit: &str) -> Vec<String> {
    let mut names = started.timers.to_vec();
    let context = started.exec.systemd.as_ref();
    let trigger = context.and_then(|context| context.trigger.as_ref());
    names.extend(trigger.and_then(|trigger| trigger.unit.clone()));
    names.extend(started.behind.and_then(|trigger| trigger.unit.clone()));
    let same = UnitName::parse(unit)
        .ok()
        .and_then(|unit| unit.with_kind(UnitType::Timer));
    names.extend(same.map(|name| name.as_str().to_owned()));
    names.retain(|name| name.ends_with(".timer"));
    names.sort_unstable();
    names.dedup();
    names
}

/// Of each path the latest change; what came before was overwritten. Whoever changes the attributes of
/// a file alone, or opens it to leave what it says (`touch`), overwrites nothing: that is still by who wrote
/// it.
fn latest_of_each_file(changes: Vec<Seen>) -> Vec<Seen> {
    let mut latest: HashMap<String, Seen> = HashMap::new();
    for seen in changes {
        let content = seen.change.content.as_ref();
        let same = content.is_some_and(|content| content.unchanged);
        let leaves = match seen.change.verb {
            Verb::Setattr => !seen.change.truncates,
            Verb::Write => same && !seen.change.truncates,
            _ => false,
        };
        if leaves && latest.contains_key(&seen.change.path) {
            continue;
        }
        latest.insert(seen.change.path.clone(), seen);
    }
    let mut changes: Vec<Seen> = latest.into_values().collect();
    changes.sort_by_key(|seen| seen.sequence);
    changes
}

fn finding(
    started: &Started<'_>,
    unit: &str,
    timer: Option<String>,
    cause: Vec<Cause>,
    changes: &[Seen],
) -> Finding {
    let Started { exec, uid, .. } = *started;
    let mut related: Vec<Related> = changes
        .iter()
        .filter(|seen| !seen.uid.is_empty())
        .map(|seen| Related {
            uid: seen.uid.clone(),
            type_uid: seen.change.type_uid(),
        })
        .collect();
    let asked = cause.iter().filter(|link| link.request.is_some());
    related.extend(asked.filter_map(|link| {
        Some(Related {
            uid: link.event_uid.clone()?,
            type_uid: Asked::TYPE_UID,
        })
    }));
    related.push(Related {
        uid: uid.to_owned(),
        type_uid: EXEC_TYPE,
    });
    let mut finding = detect::changed_unit_ran(exec, unit, timer, cause, related);
    if changes.iter().all(|seen| seen.change.is_expected()) {
        finding.severity = Severity::Informational;
    }
    finding
}

/// Adds a request to a chain, once.
fn push_request(cause: &mut Vec<Cause>, of: &OnBehalfOf, unit: Option<&str>) {
    let told = |link: &Cause| {
        link.request.is_some() && link.event_uid.as_deref() == Some(of.event_uid.as_str())
    };
    if cause.iter().any(told) {
        return;
    }
    cause.push(Cause {
        link: match of.class {
            RequestClass::Enable => LinkKind::Enabled,
            RequestClass::Reload => LinkKind::Reloaded,
            _ => LinkKind::Asked,
        },
        time: of.time,
        grade: of.grade,
        actor: Some(of.author.clone()),
        file: None,
        request: Some(CauseRequest {
            method: of.method.clone(),
            unit: unit.map(str::to_owned),
            login: of.login.clone(),
        }),
        unit: unit.map(str::to_owned),
        event_uid: Some(of.event_uid.clone()),
    });
}

/// The links that a change is in a chain: who asked for it, and who made it.
#[must_use]
pub fn causes_of(seen: &Seen) -> Vec<Cause> {
    let mut cause = Vec::new();
    if let Some(of) = seen.change.on_behalf_of.as_deref() {
        push_request(&mut cause, of, seen.change.unit.as_deref());
    }
    cause.push(cause_of(seen));
    cause
}

/// The link that a change is in a chain.
fn cause_of(seen: &Seen) -> Cause {
    let writer = &seen.change.writer;
    // Of what a manager found, the writer is what nobody saw.
    let known = writer.process.key != ProcessKey::default() && seen.change.verb != Verb::Load;
    Cause {
        link: if seen.is_link() {
            LinkKind::Linked
        } else {
            LinkKind::Wrote
        },
        time: seen.time,
        // That it was written is certain; by whom, and when, is not where nobody saw it.
        grade: match (known, seen.gone) {
            (true, false) => Grade::Certain,
            (true, true) => Grade::Probable,
            (false, _) => Grade::None,
        },
        actor: known.then(|| writer.clone()),
        file: Some(CauseFile {
            path: seen.change.path.clone(),
            sha256: seen.change.sha256().map(str::to_owned),
        }),
        request: None,
        unit: seen.change.unit.clone(),
        event_uid: Some(seen.uid.clone()).filter(|uid| !uid.is_empty()),
    }
}
