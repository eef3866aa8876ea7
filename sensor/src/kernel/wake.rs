//! Waiting for the kernel to have something.

use std::{io, os::fd::OwnedFd};

use tokio::io::{Interest, unix::AsyncFd};

/// Becomes ready when a descriptor becomes readable.
#[derive(Debug)]
pub struct Wake(AsyncFd<OwnedFd>);

impl Wake {
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: the descriptor is owned by the registration, and so stays open as long as it.
        let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        Ok(Self(registered.map_err(|error| error.into_parts().1)?))
    }

    /// Waits. The caller then takes all there is: the next wake needs something new.
    pub async fn ready(&self) -> io::Result<()> {
        self.0.readable().await?.clear_ready();
        Ok(())
    }
}
