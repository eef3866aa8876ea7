//! From exec and exit records to events.

use std::{collections::HashMap, sync::Arc};

use whodunit_common::process_flags;

use super::facts::Facts;
use crate::{
    event::{Exec, Exit, Manager, Origin, Process, SystemdContext},
    host::procs::start_matches,
    kernel::{ExecSeen, ExitSeen, ManagedSeen, TaskSeen},
    lineage::{Known, Table},
    store::{LiveProcess, Remembered},
    systemd::{
        cgroup::unit_of_cgroup, command, environment::ServiceEnvironment,
        presence::MANAGER_PROGRAMS,
    },
};

/// Most cgroup ids whose paths are kept.
const CGROUPS_MAX: usize = 8192;

/// Where systemd keeps the program that stands between it and the payload since 255.
const EXECUTORS: [&str; 2] = [
    "/usr/lib/systemd/systemd-executor",
    "/lib/systemd/systemd-executor",
];

/// Paths of cgroups by inode number, as records and procfs tell them.
#[derive(Debug, Default)]
pub(crate) struct Cgroups(HashMap<u64, Arc<str>>);

impl Cgroups {
    /// Takes in the cgroup of a process that was there before the probes: what it starts may be
    /// gone before anybody looks, as generators are.
    pub(crate) fn seed(&mut self, path: &str) {
        if self.0.values().any(|known| **known == *path) {
            return;
        }
        if let Some(id) = crate::host::procs::cgroup_id(path) {
            self.learn(id, path);
        }
    }

    fn learn(&mut self, id: u64, path: &str) {
        if id == 0 {
            return;
        }
        if self.0.len() >= CGROUPS_MAX {
            self.0.clear(); // cheap to learn again
        }
        self.0.insert(id, path.into());
    }

    /// The path of the cgroup of a process that runs now.
    fn of(&mut self, id: u64, tgid: u32) -> Option<Arc<str>> {
        if let Some(path) = self.0.get(&id) {
            return Some(Arc::clone(path));
        }
        let path = crate::host::procs::cgroup_of(tgid)?;
        self.learn(id, &path);
        Some(path.into())
    }
}

/// How a process came to execute what it does, in its unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// A manager started it: its first exec.
    Started,
    /// It was in the first of these cgroups, and is in the second now, which belongs to another
    /// unit. No manager started it there.
    Moved(String, String),
    /// By one that was there, or nothing can be said.
    Within,
}

/// Enters an exec into the table. `None` for systemd-executor: the payload's exec follows, in the
/// same process.
pub(crate) fn executed(
    seen: ExecSeen,
    table: &mut Table,
    cgroups: &mut Cgroups,
    facts: &Facts,
) -> Option<(Exec, Arrival)> {
    let ExecSeen {
        time,
        task,
        exe,
        argv,
        argv_truncated,
        cwd,
        managed,
    } = seen;
    table.introduce(&task.ancestors, time, |boot| facts.time(boot));
    let before = table.get(&task.key).cloned();
    let spawner = task
        .ancestors
        .first()
        .copied()
        .or_else(|| before.as_ref().and_then(|known| known.process.spawner));

    let told = managed.as_ref().and_then(|managed| managed.cgroup.clone());
    if let Some(path) = &told {
        cgroups.learn(task.cgroup, path);
    }
    let from = spawner
        .and_then(|spawner| table.get(&spawner))
        .or(before.as_ref());
    let inherited = from
        .filter(|known| known.cgroup == task.cgroup && task.cgroup != 0)
        .cloned();
    let cgroup = told
        .or_else(|| {
            inherited
                .as_ref()
                .and_then(|known| known.process.cgroup.clone())
        })
        .or_else(|| {
            cgroups
                .of(task.cgroup, task.key.tgid)
                .map(|path| path.to_string())
        });
    let systemd = match &managed {
        Some(managed) => {
            let mut context = spawned(managed, cgroup.as_deref(), &task);
            if let Some(before) = before.as_ref().and_then(|known| known.systemd.as_deref()) {
                before_session(&mut context, before);
            }
            let by_executor = spawner
                .and_then(|spawner| table.get(&spawner))
                .is_some_and(|known| known.process.name() == "systemd-executor");
            // With PrivatePIDs= the payload is the executor's child. So are helpers that PAM runs
            // before it, but without the environment of the service.
            if by_executor && context.invocation_id.is_none() {
                context.spawned = false;
            }
            Some(Arc::new(context))
        }
        None => inherited
            .and_then(|known| known.systemd)
            .map(|context| {
                if context.spawned {
                    Arc::new(descendant(&context))
                } else {
                    context
                }
            })
            .or_else(|| cgroup.as_deref().and_then(resident).map(Arc::new)),
    };
    let arrival = if systemd.as_ref().is_some_and(|context| context.spawned) {
        let first = before.as_ref().is_none_or(|known| {
            known.process.origin == Origin::Fork || in_executor(&known.process)
        });
        if first && task.flags & process_flags::SEEDED == 0 {
            Arrival::Started
        } else {
            Arrival::Within
        }
    } else {
        let own = before
            .as_ref()
            .filter(|known| known.process.origin == Origin::Exec);
        let from = own.or_else(|| spawner.and_then(|spawner| table.get(&spawner)));
        from.and_then(|from| moved(&from.process, cgroup.as_deref()?))
            .unwrap_or(Arrival::Within)
    };
    let process = Arc::new(Process {
        key: task.key,
        boot: None,
        origin: Origin::Exec,
        spawner,
        exe,
        argv,
        argv_truncated,
        cwd,
        comm: task.comm.clone(),
        uid: task.uid.unwrap_or(u32::MAX),
        euid: task.euid.unwrap_or(u32::MAX),
        gid: task.gid.unwrap_or(u32::MAX),
        user: task.uid.and_then(|uid| facts.user(uid)),
        auid: task.auid,
        session: task.session,
        cgroup,
        mount_ns: task.mount_ns,
        pid_ns: task.pid_ns,
        started: facts.time(task.key.start),
        executed: Some(facts.time(time)),
    });
    let known = Known {
        process: Arc::clone(&process),
        cgroup: task.cgroup,
        systemd: systemd.clone(),
    };
    table.insert(known, time);
    if is_executor(&process, task.flags) {
        return None;
    }
    let ancestry = table.ancestry(&process);
    let intent = command::intent(&process).map(Box::new);
    let exec = Exec {
        process,
        ancestry,
        systemd: systemd.map(Arc::unwrap_or_clone),
        intent,
        awaited: false,
    };
    Some((exec, arrival))
}

/// Whether a process went into a service of another unit than the one that `from`, itself earlier or who
/// spawned it, was in. What stands between a manager and its services moves itself.
fn moved(from: &Process, to: &str) -> Option<Arrival> {
    let before = from.cgroup.as_deref()?;
    let (old, new) = (unit_of_cgroup(before), unit_of_cgroup(to));
    let service = new.unit.as_deref()?.ends_with(".service");
    let inside = [&old.manager, &new.manager]
        .iter()
        .any(|manager| matches!(manager, Manager::Container(_)));
    let is_managers = in_executor(from)
        || from
            .exe
            .as_ref()
            .is_none_or(|exe| MANAGER_PROGRAMS.contains(&exe.path.as_str()));
    let differs = (&old.manager, &old.unit) != (&new.manager, &new.unit);
    // A user's manager and its first children are both in what PID 1 knows as one service.
    let within = old.manager == Manager::System && new.outer.is_some() && old.unit == new.outer;
    (service && differs && !inside && !is_managers && !within)
        .then(|| Arrival::Moved(before.to_owned(), to.to_owned()))
}

/// Whether a process runs what stands between a manager and its services.
fn in_executor(process: &Process) -> bool {
    let exe = process.exe.as_ref();
    exe.is_some_and(|exe| EXECUTORS.contains(&exe.path.as_str()))
}

/// Whether this is the first of the two execs by which systemd starts a service since 255.
///
/// The name alone would let a unit hide its payload by calling it so.
fn is_executor(process: &Process, flags: u32) -> bool {
    let managed = flags & process_flags::BY_MANAGER != 0;
    managed
        && in_executor(process)
        && process
            .argv
            .iter()
            .any(|argument| argument == "--deserialize")
}

/// What a manager's own child runs in.
fn spawned(managed: &ManagedSeen, cgroup: Option<&str>, task: &TaskSeen) -> SystemdContext {
    let environment =
        ServiceEnvironment::parse(&managed.environment, managed.environment_truncated);
    let mut unit = unit_of_cgroup(cgroup.unwrap_or("/"));
    if task.flags & process_flags::BY_PID1 != 0 {
        unit = unit.for_child_of_pid1();
    }
    SystemdContext {
        manager: unit.manager,
        spawned: true,
        unit: unit.unit,
        invocation_id: environment.invocation_id.clone(),
        cgroup: cgroup.map(str::to_owned),
        trigger: environment.trigger(),
    }
}

/// With `PAMName=`, as of run0 and a login by `user@.service`, pam_systemd moves the process into the
/// scope of its session before the payload. A manager starts nothing in a scope: the unit is
/// that of the executor, which ran before in the same process (255).
fn before_session(context: &mut SystemdContext, before: &SystemdContext) {
    let is_scope = |context: &SystemdContext| {
        let unit = context.unit.as_deref();
        unit.is_none_or(|unit| unit.ends_with(".scope"))
    };
    if before.spawned && is_scope(context) && !is_scope(before) {
        context.unit = before.unit.clone();
        context.manager = before.manager.clone();
    }
}

/// The same for a process that descends from a manager's child.
fn descendant(context: &SystemdContext) -> SystemdContext {
    SystemdContext {
        spawned: false,
        ..context.clone()
    }
}

/// What is known of a process from its cgroup alone.
pub(crate) fn resident(cgroup: &str) -> Option<SystemdContext> {
    let unit = unit_of_cgroup(cgroup);
    unit.unit.as_ref()?;
    Some(SystemdContext {
        manager: unit.manager,
        spawned: false,
        unit: unit.unit,
        invocation_id: None,
        cgroup: Some(cgroup.to_owned()),
        trigger: None,
    })
}

/// A process that procfs shows, as an earlier agent knew it: with its exact start and who spawned
/// it, and with its image and unit, if it runs that still.
///
/// One that was forked and executed nothing is known by those that descend from it: `ancestors`.
pub(crate) fn recognised(
    seeded: Known,
    remembered: &Remembered,
    ancestors: &[Arc<Process>],
) -> Known {
    let shown = &seeded.process;
    let is_it = |process: &Process| {
        let key = process.key;
        key.tgid == shown.key.tgid && start_matches(key.start, shown.key.start)
    };
    let live = remembered.live.iter().find(|live| is_it(&live.process));
    let above = || ancestors.iter().find(|process| is_it(process));
    let it = match (live, live.is_none().then(above).flatten()) {
        (Some(live), _) => live.clone(),
        (None, Some(process)) => LiveProcess {
            process: Arc::clone(process),
            ancestry: Vec::new(),
            cgroup: 0,
            systemd: None,
        },
        (None, None) => return seeded,
    };
    let file = |process: &Process| process.exe.as_ref().map(|exe| (exe.device, exe.inode));
    let same_image = file(&it.process) == file(shown) && it.process.argv == shown.argv;
    if same_image {
        return Known {
            process: it.process,
            cgroup: it.cgroup,
            systemd: it.systemd.or(seeded.systemd),
        };
    }
    let process = Process {
        key: it.process.key,
        spawner: it.process.spawner,
        ..shown.as_ref().clone()
    };
    Known {
        process: Arc::new(process),
        ..seeded
    }
}

/// Notes the end of a process.
pub(crate) fn ended(seen: &ExitSeen, table: &mut Table) -> Option<Exit> {
    let known = table.end(&seen.key, seen.time)?;
    let ancestry = table.ancestry(&known.process);
    let signal = seen.status & 0x7f;
    Some(Exit {
        process: known.process,
        ancestry,
        code: (signal == 0).then_some(seen.status >> 8 & 0xff),
        signal: (signal != 0).then_some(signal),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Executable, ProcessKey, Timestamp};

    fn context(unit: &str, spawned: bool) -> SystemdContext {
        SystemdContext {
            manager: Manager::System,
            spawned,
            unit: Some(unit.to_owned()),
            invocation_id: None,
            cgroup: Some(format!("/{unit}")),
            trigger: None,
        }
    }

    #[test]
    fn a_session_does_not_hide_the_unit() {
        let after = |unit: &str, before: &SystemdContext| {
            let mut context = context(unit, true);
            before_session(&mut context, before);
            assert_eq!(context.cgroup, Some(format!("/{unit}")));
            context.unit.unwrap_or_default()
        };
        let service = context("a.service", true);
        assert_eq!(after("session-1.scope", &service), "a.service");
        assert_eq!(after("b.service", &service), "b.service");
        let other = context("a.service", false);
        assert_eq!(after("session-1.scope", &other), "session-1.scope");
    }

    #[test]
    fn who_moves_into_a_service() {
        let moves = |exe: &str, from: &str, to: &str| {
            let process = Process {
                exe: Some(Executable {
                    path: exe.to_owned(),
                    ..Executable::default()
                }),
                cgroup: Some(from.to_owned()),
                ..Process::of_key(ProcessKey::new(7, 1), None, Timestamp::default())
            };
            moved(&process, to).is_some()
        };
        let session = "/user.slice/user-0.slice/session-1.scope";
        let (cron, ssh) = ("/system.slice/cron.service", "/system.slice/ssh.service");
        let user = "/user.slice/user-1000.slice/user@1000.service";
        assert!(moves("/bin/bash", session, cron));
        assert!(moves("/bin/bash", "/", cron));
        assert!(moves("/bin/bash", ssh, cron));
        assert!(moves(
            "/bin/bash",
            session,
            &format!("{user}/app.slice/a.service")
        ));
        for (exe, from, to) in [
            ("/bin/bash", cron, cron),
            ("/bin/bash", cron, "/system.slice/cron.service/below"),
            ("/usr/sbin/sshd", ssh, session),
            ("/usr/lib/systemd/systemd-executor", "/init.scope", cron),
            ("/usr/lib/systemd/systemd", "/init.scope", cron),
            ("/bin/bash", user, &format!("{user}/app.slice/a.service")),
            ("/bin/bash", session, "/system.slice/docker-1.scope"),
            ("/bin/bash", session, "/kubepods/pod1/2"),
        ] {
            assert!(!moves(exe, from, to), "{exe} {from} {to}");
        }
    }
}
