//! Who acted: from the keys that a record carries to processes with names.

use std::sync::Arc;

use super::{Known, Table};
use crate::event::{Actor, Origin, Process, ProcessKey, Timestamp};

/// What a record says of the acting task beyond its key.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Real user id and its name.
    pub uid: Option<u32>,
    /// Name of `uid`.
    pub user: Option<Arc<str>>,
    /// Effective user id.
    pub euid: Option<u32>,
    /// Login uid.
    pub auid: Option<u32>,
    /// Audit session.
    pub session: Option<u32>,
    /// `task_struct.comm`.
    pub comm: Option<String>,
}

impl Table {
    /// Makes sure that the ancestors a record names are in the table. The nearest comes first.
    ///
    /// One that is not known by its exec was forked by the next and runs the same image.
    pub fn introduce(
        &mut self,
        ancestors: &[ProcessKey],
        now: u64,
        time: impl Fn(u64) -> Timestamp,
    ) {
        for (index, key) in ancestors.iter().enumerate().rev() {
            if self.get(key).is_some() {
                continue;
            }
            let spawner = ancestors.get(index + 1).copied();
            let forked = self.forked(*key, spawner, time(key.start));
            self.insert(forked, now);
            // No exit is reported of a process that never executed anything.
            self.end(key, now);
        }
    }

    /// A process that was forked and has not executed anything since.
    fn forked(&self, key: ProcessKey, spawner: Option<ProcessKey>, started: Timestamp) -> Known {
        let Some(image) = spawner.and_then(|spawner| self.get(&spawner)) else {
            return Known {
                process: Arc::new(Process::of_key(key, spawner, started)),
                cgroup: 0,
                systemd: None,
            };
        };
        let process = Process {
            key,
            origin: Origin::Fork,
            spawner,
            started,
            executed: None,
            ..(*image.process).clone()
        };
        Known {
            process: Arc::new(process),
            ..image.clone()
        }
    }

    /// Who did something, with ancestry. `ancestors` are those the record names.
    pub fn actor(
        &mut self,
        key: ProcessKey,
        ancestors: &[ProcessKey],
        credentials: Credentials,
        now: u64,
        time: impl Fn(u64) -> Timestamp,
    ) -> Actor {
        self.introduce(ancestors, now, &time);
        let known = match self.get(&key) {
            Some(known) => known.clone(),
            None => self.forked(key, ancestors.first().copied(), time(key.start)),
        };
        let mut process = (*known.process).clone();
        process.key = key;
        if process.spawner.is_none() {
            process.spawner = ancestors.first().copied();
        }
        // Ids may have changed since the exec; the comm too.
        let Credentials {
            uid,
            user,
            euid,
            auid,
            session,
            comm,
        } = credentials;
        if let Some(uid) = uid {
            process.uid = uid;
            process.user = user;
            process.auid = auid;
            process.session = session;
        }
        process.euid = euid.unwrap_or(process.euid);
        process.comm = comm.unwrap_or(process.comm);
        let ancestry = self.ancestry(&process);
        Actor {
            process: Arc::new(process),
            ancestry,
        }
    }
}
