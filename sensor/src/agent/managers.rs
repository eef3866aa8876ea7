//! Which processes run units.

use std::path::Path;

use whodunit_common::{ProcessKey, process_flags};

use super::{Agent, facts::Facts};
use crate::{
    event::{Exec, Manager, SystemdContext},
    kernel::KernelProcesses,
    systemd::{bus::ManagerSocket, presence::MANAGER_PROGRAMS, unit_name::UnitName},
};

/// What PID 1 runs, and where packages install what every manager runs.
fn executables() -> impl Iterator<Item = &'static str> {
    std::iter::once("/proc/1/exe").chain(MANAGER_PROGRAMS)
}

/// Tells the kernel side which executables are managers.
pub(super) fn introduce(kernel: &mut KernelProcesses, facts: &Facts) {
    for path in executables() {
        if let Ok(identity) = facts.mounts.identify(Path::new(path))
            && let Err(error) = kernel.add_manager(&identity)
        {
            log::warn!("{path} is not taken for a manager: {error}");
        }
    }
}

impl Agent {
    /// A program named `systemd` was executed. The name alone says nothing; what it is after an
    /// upgrade is learned here.
    pub(super) fn named_like_manager(
        &mut self,
        key: ProcessKey,
        flags: u32,
        managed: bool,
        exec: &Exec,
    ) {
        if flags & process_flags::IS_MANAGER == 0 {
            let file = exec.process.exe.as_ref();
            let Some(file) = file.filter(|file| self.is_installed(file.inode, file.device)) else {
                return;
            };
            log::debug!("a new manager's program: inode {}", file.inode);
            introduce(&mut self.kernel, &self.facts);
            self.kernel.mark_manager(key);
        }
        if managed {
            self.new_manager(exec);
        }
    }

    fn is_installed(&self, inode: u64, device: u32) -> bool {
        executables().any(|path| {
            let found = self.facts.mounts.identify(Path::new(path));
            found.is_ok_and(|found| (found.inode, found.device) == (inode, device))
        })
    }

    /// A user's or capsule's manager started: its load paths are watched from now on, and it is
    /// listened to.
    fn new_manager(&mut self, exec: &Exec) {
        let mut arguments = exec.process.argv.iter();
        if !arguments.any(|argument| argument == "--user") {
            return;
        }
        self.requests.manages(exec.process.uid, exec.process.key);
        let context = exec.systemd.as_ref();
        let by_pid1 = |context: &&SystemdContext| context.manager == Manager::System;
        let cgroup = context.filter(by_pid1).and_then(|it| it.cgroup.as_deref());
        if let Some(cgroup) = cgroup {
            let socket = ManagerSocket::of_cgroup(cgroup, exec.process.key.tgid);
            self.found.extend(socket);
        }
        let capsule = exec.process.cgroup.as_deref().and_then(capsule_of);
        let uid = exec.process.uid;
        let (new, manager) = match capsule {
            Some(name) => (self.watching.add_capsule(&name), Manager::Capsule(name)),
            None => (self.watching.add_user(uid, &self.facts), Manager::User(uid)),
        };
        if new {
            self.survey_manager(&manager);
        }
    }
}

/// The capsule whose service a cgroup is or lies in.
fn capsule_of(cgroup: &str) -> Option<String> {
    cgroup.split('/').find_map(|part| {
        let unit = UnitName::parse(part).ok()?;
        let name = unit.instance().filter(|_| unit.prefix() == "capsule")?;
        (!name.is_empty()).then(|| name.to_owned())
    })
}
