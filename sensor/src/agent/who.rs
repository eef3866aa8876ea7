//! Who acted, by the table of processes and by what the record itself tells.

use std::sync::Arc;

use super::facts::Facts;
use crate::{
    event::{Actor, Process},
    host::procs::{read_one, start_matches},
    kernel::TaskSeen,
    lineage::{Credentials, Table},
};

/// Who acted at `time`, with all ancestors that are known.
pub(crate) fn actor(task: &TaskSeen, time: u64, table: &mut Table, facts: &Facts) -> Actor {
    let who = credentials(task, facts);
    let mut actor = table.actor(task.key, &task.ancestors, who, time, |boot| {
        facts.time(boot)
    });
    let known = std::iter::once(&task.key).chain(task.ancestors.first());
    let known = known.into_iter().find_map(|key| table.get(key));
    // It gave itself another name, or executed something and nobody saw: then what it is known by
    // is what it ran before.
    if !task.comm.is_empty()
        && known.is_some_and(|known| known.process.comm != task.comm)
        && let Ok(Some(now)) = read_one(task.key.tgid, &facts.clock, &facts.users, &facts.mounts)
    {
        actor.process = Arc::new(as_it_runs(&actor.process, now));
    }
    actor
}

/// A process as procfs shows it, where that is another image of the same process.
fn as_it_runs(known: &Process, now: Process) -> Process {
    let file = |process: &Process| process.exe.as_ref().map(|exe| (exe.device, exe.inode));
    let same = start_matches(known.key.start, now.key.start);
    if !same || now.exe.is_none() || file(known) == file(&now) {
        return known.clone();
    }
    Process {
        exe: now.exe,
        argv: now.argv,
        argv_truncated: now.argv_truncated,
        cwd: now.cwd,
        executed: None,
        ..known.clone()
    }
}

/// Who acted, as far as the record itself tells.
fn credentials(task: &TaskSeen, facts: &Facts) -> Credentials {
    Credentials {
        uid: task.uid,
        user: task.uid.and_then(|uid| facts.user(uid)),
        euid: task.euid,
        auid: task.auid,
        session: task.session,
        comm: (!task.comm.is_empty()).then(|| task.comm.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Executable, ProcessKey, Timestamp};

    #[test]
    fn an_image_that_nobody_told_of() {
        let second = 1_000_000_000;
        let image = |start, path: &str, inode| Process {
            exe: Some(Executable {
                path: path.to_owned(),
                inode,
                ..Executable::default()
            }),
            argv: vec![path.to_owned()],
            ..Process::of_key(ProcessKey::new(7, start), None, Timestamp::default())
        };
        let spawner = ProcessKey::new(3, second);
        let known = Process {
            spawner: Some(spawner),
            euid: 1000,
            ..image(second + 5, "/bin/sh", 1)
        };
        let now = as_it_runs(&known, image(second, "/bin/python3", 2));
        assert_eq!(now.argv, ["/bin/python3"]);
        assert_eq!(now.exe.as_ref().map(|exe| exe.inode), Some(2));
        // What the kernel told is better than procfs.
        assert_eq!(
            (now.key, now.spawner, now.euid),
            (known.key, known.spawner, 1000)
        );

        let shown = |now| as_it_runs(&known, now).argv;
        assert_eq!(shown(image(second, "/usr/bin/sh", 1)), ["/bin/sh"]);
        assert_eq!(shown(image(9 * second, "/bin/other", 3)), ["/bin/sh"]);
    }
}
