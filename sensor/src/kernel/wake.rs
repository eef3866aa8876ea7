//! Waiting for the kernel to have something.

use std::{io, os::fd::OwnedFd};

use tokio::io::{Interest, unix::AsyncFd};

/// Becomes ready when a descriptor has something.
#[derive(Debug)]
pub struct Wake {
    fd: AsyncFd<OwnedFd>,
    interest: Interest,
}

impl Wake {
    /// Wakes when `fd` becomes readable.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        Self::on(fd, Interest::READABLE)
    }

    /// Wakes when the mounts of the agent's mount namespace change: see proc_pid_mountinfo(5).
    pub fn on_mounts() -> io::Result<Self> {
        let file = std::fs::File::open("/proc/self/mountinfo")?;
        Self::on(file.into(), Interest::PRIORITY)
    }

    fn on(fd: OwnedFd, interest: Interest) -> io::Result<Self> {
        // SAFETY: the descriptor is owned by the registration, and so stays open as long as it.
        let registered = unsafe { AsyncFd::register_with_interest(fd, interest) };
        let fd = registered.map_err(|error| error.into_parts().1)?;
        Ok(Self { fd, interest })
    }

    /// Waits. The caller then takes all there is: the next wake needs something new.
    pub async fn ready(&self) -> io::Result<()> {
        self.fd.ready(self.interest).await?.clear_ready();
        Ok(())
    }
}
