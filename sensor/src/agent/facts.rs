//! What the host knows that records do not carry: time, names, mounts.

use std::{fs, os::unix::fs::MetadataExt as _, sync::Arc};

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
    /// Inode number of PID 1's mount namespace.
    pub(crate) mount_ns: u32,
}

impl Facts {
    /// Reads them for the first time.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let mut users = Users::at("/etc/passwd");
        if let Err(error) = users.refresh() {
            log::warn!("{error}; users are shown by number");
        }
        Ok(Self {
            clock: ClockAnchor::now()?,
            users,
            mounts: Mounts::read()?,
            mount_ns: mount_namespace(),
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

    /// Reads the mount table again.
    pub(crate) fn refresh_mounts(&mut self) {
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

/// Inode number of the host's mount namespace: PID 1's, or where that may not be asked for, ours.
fn mount_namespace() -> u32 {
    ["/proc/1/ns/mnt", "/proc/self/ns/mnt"]
        .iter()
        .find_map(|path| fs::metadata(path).ok())
        .map_or(0, |meta| u32::try_from(meta.ino()).unwrap_or(0))
}
