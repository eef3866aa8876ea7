//! Facts about the host from outside the kernel's probes: which host it is, its clocks, users,
//! mounts and the processes that were there before the agent.

pub mod access;
pub mod accounts;
pub mod clock;
pub mod files;
mod identity;
pub mod lookup;
pub mod mounts;
pub mod notify;
pub mod packages;
pub mod peer;
pub mod polkit;
pub mod procs;
pub mod random;
pub mod rooted;
pub mod snaps;
pub mod sudoers;
pub mod users;

pub use identity::Host;
