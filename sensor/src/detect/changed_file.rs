//! What a change of a file amounts to.

use super::catalogue as rules;
use crate::{
    correlate::{Seen, causes_of},
    event::{
        Change, FileClass, Finding, Grade, Manager, Origin, Related, Rule, Severity, Trait,
        UnitSettings, Verb,
    },
    systemd::{
        environment_names::{line_loads, line_moves},
        load_path::Serves,
    },
};

use super::{AGENT_UNIT, Tunables, guards::is_guard};

/// The finding that a change amounts to, if it does.
pub(super) fn judge(seen: &Seen, tunables: &Tunables) -> Option<Finding> {
    let change = seen.change.as_ref();
    if is_output_of_generator(change) || !tunables.judges_path(&change.path) {
        return None;
    }
    let (rule, base) = rule(seen)?;
    let mut traits = Vec::new();
    let mut severity = base;
    if rule.is_analytic
        && let Some(interval) = settings(change).and_then(|settings| settings.interval_seconds)
    {
        let threshold = tunables.timer_interval_threshold;
        if interval < threshold {
            severity = severity.up();
        }
        let sign = if interval < threshold { "<" } else { "≥" };
        traits.push(Trait {
            name: "TimerIntervalThreshold",
            value: format!("{interval} s {sign} {threshold} s"),
        });
    }
    if rule.is_analytic {
        traits.push(Trait {
            name: "UserContext",
            value: match seen.serves.manager() {
                Some(Manager::System) => "root".to_owned(),
                Some(manager) => manager.to_string(),
                None => "all users".to_owned(),
            },
        });
        let directory = change.path.rsplit_once('/').map_or("/", |(dir, _)| dir);
        traits.push(Trait {
            name: "TimerCreationPath",
            value: directory.to_owned(),
        });
    }
    // A place that no known manager reads: a package that is being built, another root.
    let unread = seen.serves == Serves::Elsewhere && change.verb != Verb::Load;
    if unread || change.is_expected() {
        severity = Severity::Informational;
    }
    Some(finding(seen, rule, severity, traits))
}

fn finding(seen: &Seen, rule: &'static Rule, severity: Severity, traits: Vec<Trait>) -> Finding {
    let change = seen.change.as_ref();
    let writer = &change.writer;
    let known = writer.process.origin != Origin::Unknown;
    let who = if known {
        format!("{}({})", writer.process.name(), writer.process.key.tgid)
    } else {
        "somebody unseen".to_owned()
    };
    let settings = settings(change);
    let does = settings.map_or_else(String::new, words);
    let timer = change.unit.clone().filter(|unit| unit.ends_with(".timer"));
    Finding {
        rule,
        title: rule.title.to_owned(),
        message: format!("{who} {}{does}", deed(change)),
        severity,
        grade: if known {
            Grade::Certain
        } else {
            Grade::Probable
        },
        process: writer.process.clone(),
        ancestry: writer.ancestry.clone(),
        systemd: None,
        timer,
        cause: causes_of(seen),
        related: vec![Related {
            uid: seen.uid.clone(),
            type_uid: change.type_uid(),
        }],
        traits,
    }
}

/// The rule that fits a change best, and how severe it is by itself.
fn rule(seen: &Seen) -> Option<(&'static Rule, Severity)> {
    let change = seen.change.as_ref();
    let shared = !matches!(seen.serves, Serves::User(uid) if uid != 0);
    let weigh = |system, user| if shared { system } else { user };
    if change.verb == Verb::Mount {
        return Some((&rules::LOAD_PATH_MOUNTED_OVER, Severity::High));
    }
    if change.verb == Verb::Load {
        let differs = change
            .content
            .as_ref()
            .is_some_and(|content| content.previous_sha256.is_some());
        return Some(if differs || change.unseen.is_some() {
            (
                &rules::UNSEEN_CHANGE,
                weigh(Severity::High, Severity::Medium),
            )
        } else {
            let severity = weigh(Severity::Medium, Severity::Low);
            (&rules::UNIT_FROM_UNEXPECTED_PLACE, severity)
        });
    }
    if tampers(seen) {
        return Some((&rules::AGENT_TAMPERED, Severity::High));
    }
    if change.verb == Verb::Setattr && !change.truncates {
        let runs = change.class == FileClass::Generator && change.object.mode & 0o111 != 0;
        if runs {
            return Some((&rules::GENERATOR_CHANGED, Severity::High));
        }
        let open = matches!(
            change.class,
            FileClass::UnitFile | FileClass::DropIn | FileClass::Generator
        ) && mode(change) & 0o170_000 == 0o100_000
            && mode(change) & 0o022 != 0;
        return open.then(|| {
            (
                &rules::UNIT_WRITABLE,
                weigh(Severity::Medium, Severity::Low),
            )
        });
    }
    // An extension is an image, or a directory.
    let extends = change.class == FileClass::Image && change.verb == Verb::Mkdir;
    if !brings_content(change) && !extends {
        return None;
    }
    match change.class {
        FileClass::Generator => Some((&rules::GENERATOR_CHANGED, Severity::High)),
        FileClass::GeneratorSource => {
            let script = change.unit.is_some();
            let severity = if script {
                Severity::Medium
            } else {
                Severity::Low
            };
            Some((&rules::GENERATOR_SOURCE_CHANGED, severity))
        }
        FileClass::Preset => Some((&rules::PRESET_CHANGED, Severity::Medium)),
        FileClass::Linger => Some((&rules::LINGER_ENABLED, Severity::Low)),
        FileClass::ManagerConfig => {
            let severity = if adds_loader(change) || adds(change, line_moves) {
                weigh(Severity::High, Severity::Medium)
            } else {
                Severity::Medium
            };
            Some((&rules::MANAGER_CONFIG_CHANGED, severity))
        }
        FileClass::Image => Some((&rules::EXTENSION_IMAGE_CHANGED, Severity::Medium)),
        FileClass::Target => {
            let by_user = change.writer.process.euid != 0;
            let known = change.writer.process.origin != Origin::Unknown;
            let severity = if by_user && known || adds_loader(change) {
                Severity::High
            } else {
                Severity::Medium
            };
            Some((&rules::TIMED_TARGET_CHANGED, severity))
        }
        FileClass::DropIn => Some(drop_in(change, &weigh)),
        FileClass::UnitFile => unit_file(change, &weigh),
        FileClass::DependencyLink
        | FileClass::TimerStamp
        | FileClass::Directory
        | FileClass::Other => None,
    }
}

/// Whether a change is of what the agent itself rests on. A unit of its name that nobody reads, in a package
/// that is being built, is none.
fn tampers(seen: &Seen) -> bool {
    let change = seen.change.as_ref();
    let removes = matches!(change.verb, Verb::Unlink | Verb::Rmdir);
    match change.class {
        // To enable it is to add a link.
        FileClass::DependencyLink => {
            let name = change.path.rsplit('/').next();
            removes && name == Some(AGENT_UNIT)
        }
        FileClass::UnitFile | FileClass::DropIn if seen.serves == Serves::Elsewhere => false,
        FileClass::UnitFile | FileClass::DropIn | FileClass::Target => {
            let touches = removes || change.verb == Verb::Setattr || brings_content(change);
            touches && change.unit.as_deref() == Some(AGENT_UNIT)
        }
        _ => false,
    }
}

fn drop_in(
    change: &Change,
    weigh: &dyn Fn(Severity, Severity) -> Severity,
) -> (&'static Rule, Severity) {
    let hijacks = settings(change).is_some_and(|settings| {
        let runs = settings.runs.iter().any(|run| !run.ends_with('='));
        runs || settings.triggers.is_some() && settings.kind == "timer"
    });
    if hijacks || adds_loader(change) {
        let severity = weigh(Severity::High, Severity::Medium);
        (&rules::DROP_IN_ADDS_COMMAND, severity)
    } else {
        (&rules::UNIT_CHANGED, Severity::Low)
    }
}

fn unit_file(
    change: &Change,
    weigh: &dyn Fn(Severity, Severity) -> Severity,
) -> Option<(&'static Rule, Severity)> {
    let unit = change.unit.as_deref()?;
    let by_manager = is_manager(change);
    let transient = change.path.contains("/systemd/transient/");
    let (_, kind) = unit.rsplit_once('.')?;
    if settings(change).is_some_and(|settings| settings.masked) {
        return is_guard(unit).then_some((&rules::SECURITY_UNIT_MASKED, Severity::High));
    }
    let severity = weigh(Severity::Medium, Severity::Low);
    match kind {
        "timer" if transient => Some((&rules::TRANSIENT_TIMER, severity)),
        // A manager writes other transient units for itself, at each login for one.
        _ if transient && by_manager => None,
        "timer" if is_new(change) => Some((&rules::TIMER_CREATED, severity)),
        "timer" => Some((&rules::UNIT_CHANGED, severity)),
        _ if change.verb == Verb::Symlink && by_manager => None,
        _ => Some((&rules::UNIT_CHANGED, Severity::Low)),
    }
}

/// Whether the file has content that it did not have, as far as is known.
fn brings_content(change: &Change) -> bool {
    let content = change.content.as_deref();
    let same = content.is_some_and(|content| {
        content.previous_sha256.is_some() && (change.sha256() == content.previous_sha256.as_deref())
    });
    let verb = match change.verb {
        Verb::Create
        | Verb::Write
        | Verb::Closed
        | Verb::Rename
        | Verb::Link
        | Verb::Symlink
        | Verb::Mknod => true,
        Verb::Setattr => change.truncates,
        Verb::Unlink | Verb::Rmdir | Verb::Mkdir | Verb::Mount | Verb::Load => false,
    };
    verb && !same
}

fn is_new(change: &Change) -> bool {
    let content = change.content.as_deref();
    content.is_none_or(|content| content.previous_sha256.is_none())
}

/// Generators write units at each reload. They are judged when they are changed themselves.
fn is_output_of_generator(change: &Change) -> bool {
    let writer = &change.writer;
    let in_output = change.path.contains("/systemd/generator");
    // What PID 1 runs beside its services is in its own cgroup: generators, and little else.
    let by_manager = is_manager(change)
        || writer
            .ancestry
            .iter()
            .chain([&writer.process])
            .any(|process| {
                let cgroup = process.cgroup.as_deref();
                cgroup.is_some_and(|cgroup| cgroup.ends_with("/init.scope"))
                    || process
                        .exe
                        .as_ref()
                        .is_some_and(|exe| exe.path.contains("-generators/"))
            });
    in_output && by_manager
}

fn is_manager(change: &Change) -> bool {
    super::is_manager(&change.writer.process)
}

/// Whether a change adds a line that is like this.
fn adds(change: &Change, is_it: fn(&str) -> bool) -> bool {
    let diff = change.content.as_ref().and_then(|c| c.diff.as_ref());
    diff.is_some_and(|diff| {
        let added = diff.text.lines().filter_map(|line| line.strip_prefix('+'));
        added.into_iter().any(is_it)
    })
}

fn adds_loader(change: &Change) -> bool {
    let content = change.content.as_ref();
    adds(change, line_loads) || content.is_some_and(|content| content.loads_code)
}

fn settings(change: &Change) -> Option<&UnitSettings> {
    change.content.as_ref()?.settings.as_ref()
}

fn mode(change: &Change) -> u32 {
    let content = change.content.as_ref().and_then(|content| content.mode);
    content.unwrap_or(change.object.mode)
}

fn deed(change: &Change) -> String {
    match (&change.from, change.verb) {
        (Some(from), Verb::Rename) => format!("renamed {from} to {}", change.path),
        _ => format!("{} {}", done(change), change.path),
    }
}

fn done(change: &Change) -> &'static str {
    match change.verb {
        Verb::Create | Verb::Mkdir | Verb::Mknod => "created",
        Verb::Write | Verb::Closed => "wrote",
        Verb::Rename => "renamed a file to",
        Verb::Link | Verb::Symlink => "linked",
        Verb::Unlink | Verb::Rmdir => "removed",
        Verb::Setattr if change.truncates => "cut",
        Verb::Setattr => "changed the attributes of",
        Verb::Mount => "mounted over",
        Verb::Load => "loaded",
    }
}

/// What a unit does, as a part of a sentence.
fn words(settings: &UnitSettings) -> String {
    let mut parts = Vec::new();
    if let Some(unit) = &settings.triggers {
        parts.push(format!("starts {unit}"));
    }
    if !settings.when.is_empty() {
        parts.push(settings.when.join(", "));
    }
    if let Some(run) = settings.runs.first() {
        parts.push(format!(
            "runs {}",
            run.split_once('=').map_or("", |(_, run)| run)
        ));
    }
    if parts.is_empty() {
        String::new()
    } else {
        format!(": {}", parts.join(", "))
    }
}
