//! What the host knows that records do not carry: time, names, mounts.

use std::{
    fs::{self, File},
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    sync::Arc,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{
    event::Timestamp,
    host::{clock::ClockAnchor, mounts::Mounts, users::Users},
};

/// Facts from the host, refreshed now and then.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) clock: ClockAnchor,
    pub(crate) users: Users,
    pub(crate) mounts: Mounts,
    mounts_change: MountsChange,
    /// Inode number of PID 1's mount namespace.
    pub(crate) mount_ns: u32,
    /// Inode number of its pid namespace.
    pub(crate) pid_ns: u32,
}

impl Facts {
    /// Reads them for the first time.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let mut users = Users::at("/etc/passwd");
        if let Err(error) = users.refresh() {
            log::warn!("{error}; users are shown by number");
        }
        // Before they are read: what changes meanwhile is seen the next time.
        let mounts_change = MountsChange::watch();
        Ok(Self {
            mounts_change,
            clock: ClockAnchor::now()?,
            users,
            mounts: Mounts::read()?,
            mount_ns: namespace("mnt"),
            pid_ns: namespace("pid"),
        })
    }

    /// Looks for what changed: the wall clock, /etc/passwd. Says whether there are other users.
    pub(crate) fn refresh(&mut self) -> bool {
        if let Err(error) = self.clock.refresh() {
            log::warn!("{error}");
        }
        self.users.refresh().unwrap_or_else(|error| {
            log::debug!("{error}");
            false
        })
    }

    /// Reads the mount table again, if it changed.
    pub(crate) fn refresh_mounts(&mut self) {
        if !self.mounts_change.is_there() {
            return;
        }
        match Mounts::read() {
            Ok(mounts) => self.mounts = mounts,
            Err(error) => log::warn!("{error}; paths may be shown as of earlier mounts"),
        }
    }

    /// The point in time `boot` nanoseconds after boot.
    pub(crate) fn time(&self, boot: u64) -> Timestamp {
        self.clock.to_timestamp(boot)
    }

    /// Now.
    pub(crate) fn now(&self) -> Timestamp {
        match crate::host::clock::boot_now() {
            Ok(boot) => self.time(boot),
            Err(_) => self.clock.timestamp(),
        }
    }

    /// The name of a user.
    pub(crate) fn user(&self, uid: u32) -> Option<Arc<str>> {
        self.users.name(uid)
    }
}

/// Whether the mount table is another than when this was asked last: see proc_pid_mountinfo(5).
#[derive(Debug)]
struct MountsChange(Option<File>);

impl MountsChange {
    fn watch() -> Self {
        Self(File::open("/proc/self/mountinfo").ok())
    }

    /// As far as it cannot be told, it is.
    fn is_there(&self) -> bool {
        let Some(file) = &self.0 else { return true };
        let mut asked = [PollFd::new(file.as_fd(), PollFlags::POLLPRI)];
        let changed = PollFlags::POLLPRI | PollFlags::POLLERR;
        match poll(&mut asked, PollTimeout::ZERO) {
            Ok(0) => false,
            Ok(_) => asked[0].revents().is_none_or(|got| got.intersects(changed)),
            Err(_) => true,
        }
    }
}

/// Inode number of the host's namespace of a kind: PID 1's, or where that may not be asked for, ours.
fn namespace(kind: &str) -> u32 {
    ["1", "self"]
        .iter()
        .find_map(|of| fs::metadata(format!("/proc/{of}/ns/{kind}")).ok())
        .map_or(0, |meta| u32::try_from(meta.ino()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_did_not_change_is_not_read_again() {
        let change = MountsChange::watch();
        // Other tests may mount something at any time: it settles.
        let quiet = (0..100).any(|_| !change.is_there());
        assert!(quiet);
        assert!(MountsChange(None).is_there());
    }
}
