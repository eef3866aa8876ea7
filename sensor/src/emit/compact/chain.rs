//! Processes in a line.

use std::sync::Arc;

use super::{Line, NAME_WIDTH, put};
use crate::event::{Origin, Process};

impl Line<'_> {
    /// Who, after those they descend from. Pids stand at both ends and where a login begins.
    pub(super) fn chain(&mut self, process: &Process, ancestry: &[Arc<Process>]) {
        if ancestry.is_empty() && process.spawner.is_none() && process.key.tgid != 1 {
            self.push("? → ");
        }
        let mut login = None;
        for (at, ancestor) in ancestry.iter().rev().enumerate() {
            let begins = ancestor.auid.filter(|auid| login != Some(*auid));
            self.name(ancestor);
            let pid = ancestor.key.tgid;
            match begins {
                _ if pid == 1 => {}
                Some(auid) => put(&mut self.out, format_args!("({pid}, auid {auid})")),
                None if at == 0 => put(&mut self.out, format_args!("({pid})")),
                None => {}
            }
            login = ancestor.auid.or(login);
            self.push(" → ");
        }
        self.name(process);
        if process.key.tgid == 1 {
            return;
        }
        put(&mut self.out, format_args!("({}", process.key.tgid));
        if let Some(auid) = process.auid.filter(|auid| login != Some(*auid)) {
            put(&mut self.out, format_args!(", auid {auid}"));
        }
        if process.origin != Origin::Unknown {
            match &process.user {
                Some(user) => {
                    self.push(", ");
                    self.foreign(user, NAME_WIDTH);
                }
                None => put(&mut self.out, format_args!(", uid {}", process.uid)),
            }
            if process.euid != process.uid {
                put(&mut self.out, format_args!(", euid {}", process.euid));
            }
        }
        self.push(")");
    }

    pub(super) fn name(&mut self, process: &Process) {
        match process.name() {
            _ if process.key.tgid == 1 => self.push("PID 1"),
            "" => self.push("?"),
            name => self.foreign(name, NAME_WIDTH),
        }
    }
}
