//! Timers by which container engines have the health of their containers checked: transient ones, asked
//! for by the engine when a container starts, as often as every second.
//!
//! What makes one is not its name. The one who asked must be an engine that runs as its package brought
//! it, or be started by one; and all that is asked for must be that the same engine checks the
//! container after which the unit is named.

use std::sync::Arc;

use super::Agent;
use crate::event::{Actor, Change, OnBehalfOf, Process, RequestClass, TransientUnit};

/// Container engines, and how each is told to check a container's health.
const ENGINES: [(&str, [&str; 2]); 2] = [
    ("/usr/bin/nerdctl", ["container", "healthcheck"]),
    ("/usr/bin/podman", ["healthcheck", "run"]),
];
/// What an engine has others ask by.
const ASKS_FOR_OTHERS: &str = "/usr/bin/systemd-run";
/// Hex digits of a container's id.
const ID: usize = 64;

impl Agent {
    /// Notes of a change that a manager made for somebody whether it is a container's health check.
    pub(super) fn health_check(&mut self, change: &mut Change) {
        let Some(asked) = change.on_behalf_of.as_deref_mut() else {
            return;
        };
        let Some(makers) = makers(asked, change.unit.as_deref()) else {
            return;
        };
        let mounts = &self.facts.mounts;
        asked.health_check = makers
            .iter()
            .all(|maker| self.packages.is_shipped(maker, mounts));
    }
}

/// The processes that must be what their packages brought, if all that was asked for is a health check.
fn makers(asked: &OnBehalfOf, unit: Option<&str>) -> Option<Vec<Arc<Process>>> {
    if asked.class != RequestClass::Create || asked.transient.is_empty() {
        return None;
    }
    let (engine, makers) = engine(&asked.author)?;
    let (_, words) = ENGINES.iter().find(|(path, _)| *path == engine)?;
    let id = asked
        .transient
        .iter()
        .find_map(|unit| container(unit, engine, words))?;
    // The timer of a service has no command.
    let only = |unit: &TransientUnit| {
        is_named_after(&unit.unit, id)
            && (unit.runs.is_empty() || container(unit, engine, words) == Some(id))
            && unit
                .triggers
                .as_deref()
                .is_none_or(|unit| is_named_after(unit, id))
            && !unit.environment.iter().any(|name| name.starts_with("LD_"))
    };
    let all = asked.transient.iter().all(only);
    (all && unit.is_some_and(|unit| is_named_after(unit, id))).then_some(makers)
}

/// The engine that asks, itself or by a child, and the processes concerned.
fn engine(author: &Actor) -> Option<(&str, Vec<Arc<Process>>)> {
    let path = |process: &Arc<Process>| Some(process.exe.as_ref()?.path.clone());
    let is_engine = |path: &str| ENGINES.iter().find(|(engine, _)| *engine == path);
    let own = path(&author.process)?;
    if let Some((engine, _)) = is_engine(&own) {
        return Some((engine, vec![Arc::clone(&author.process)]));
    }
    let spawner = author.ancestry.first()?;
    let (engine, _) = is_engine(&path(spawner)?)?;
    let both = vec![Arc::clone(&author.process), Arc::clone(spawner)];
    (own == ASKS_FOR_OTHERS).then_some((engine, both))
}

/// The container whose health a unit has checked, if it does that alone.
fn container<'a>(unit: &'a TransientUnit, engine: &str, words: &[&str; 2]) -> Option<&'a str> {
    let [command] = unit.runs.as_slice() else {
        return None;
    };
    let [_, first, second, id] = command.argv.as_slice() else {
        return None;
    };
    let is = command.path == engine && [first, second] == *words;
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (is && id.len() == ID && id.bytes().all(hex)).then_some(id)
}

/// `ID.timer`, `ID-SUFFIX.service`.
fn is_named_after(unit: &str, id: &str) -> bool {
    let rest = unit.strip_prefix(id);
    rest.is_some_and(|rest| rest.starts_with('.') || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Executable, Grade, ProcessKey, Timestamp, TransientCommand};

    const CONTAINER: &str = "a2d6bb22e4af5c1d5bea0f7d271329a543dd31116ba3607f881e85e7e6dc87f7";

    fn process(path: &str) -> Arc<Process> {
        Arc::new(Process {
            exe: Some(Executable {
                path: path.to_owned(),
                ..Executable::default()
            }),
            ..Process::of_key(ProcessKey::new(2, 3), None, Timestamp::default())
        })
    }

    /// As podman 4.3 has it asked by systemd-run.
    fn asked(by: &[&str], command: &[&str]) -> OnBehalfOf {
        let mut chain = by.iter().map(|path| process(path));
        let runs = vec![TransientCommand {
            setting: "ExecStart".to_owned(),
            path: command[0].to_owned(),
            argv: command.iter().map(|&word| word.to_owned()).collect(),
        }];
        let timer = TransientUnit {
            unit: format!("{CONTAINER}.timer"),
            when: vec!["OnUnitInactiveSec=5".to_owned()],
            ..TransientUnit::default()
        };
        let service = TransientUnit {
            unit: format!("{CONTAINER}.service"),
            runs,
            environment: vec!["PATH=/usr/bin".to_owned()],
            ..TransientUnit::default()
        };
        OnBehalfOf {
            author: Actor {
                process: chain.next().expect("an author"),
                ancestry: chain.collect(),
            },
            login: crate::event::Login::default(),
            grade: Grade::Certain,
            method: "StartTransientUnit".to_owned(),
            class: RequestClass::Create,
            event_uid: String::new(),
            time: Timestamp::default(),
            doubt: None,
            transient: vec![timer, service],
            health_check: false,
        }
    }

    #[test]
    fn an_engine_that_has_its_container_checked_is_known() {
        let check = ["/usr/bin/podman", "healthcheck", "run", CONTAINER];
        let timer = format!("{CONTAINER}.timer");
        let is = |by: &[&str], command: &[&str]| {
            let found = makers(&asked(by, command), Some(&timer));
            found.map(|found| found.len())
        };
        let run = "/usr/bin/systemd-run";
        assert_eq!(
            is(&[run, "/usr/bin/podman", "/usr/bin/bash"], &check),
            Some(2)
        );
        assert_eq!(is(&["/usr/bin/podman"], &check), Some(1));
        // By hand, and by what only calls itself so.
        assert_eq!(is(&[run, "/usr/bin/bash", "/usr/bin/podman"], &check), None);
        assert_eq!(is(&[run, "/tmp/podman"], &check), None);
        assert_eq!(is(&["/usr/bin/bash", "/usr/bin/podman"], &check), None);
        // Something else by the same name.
        let engine = [run, "/usr/bin/podman"];
        assert_eq!(
            is(&engine, &["/bin/sh", "healthcheck", "run", CONTAINER]),
            None
        );
        assert_eq!(
            is(&engine, &["/usr/bin/podman", "exec", "run", CONTAINER]),
            None
        );
        assert_eq!(
            is(&engine, &["/usr/bin/podman", "healthcheck", "run", "x"]),
            None
        );
    }

    #[test]
    fn nothing_may_come_along_with_a_health_check() {
        let check = ["/usr/bin/podman", "healthcheck", "run", CONTAINER];
        let timer = format!("{CONTAINER}.timer");
        let plain = asked(&["/usr/bin/podman"], &check);
        assert!(makers(&plain, Some(&timer)).is_some());
        assert!(makers(&plain, Some("other.timer")).is_none());
        let mut loads = plain.clone();
        loads.transient[1].environment = vec!["LD_PRELOAD=/x.so".to_owned()];
        assert!(makers(&loads, Some(&timer)).is_none());
        let mut more = plain.clone();
        more.transient[0].triggers = Some("other.service".to_owned());
        assert!(makers(&more, Some(&timer)).is_none());
        let mut more = plain;
        let again = more.transient[1].runs[0].clone();
        more.transient[1].runs.push(again);
        assert!(makers(&more, Some(&timer)).is_none());
    }
}
