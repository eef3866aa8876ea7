//! The kernel boundary: offsets, loading, tiers, rings, records.
//!
//! The only room that has `unsafe` code. What leaves it are owned, checked values.

mod btf;
mod decode;
pub mod fanotify;
pub(crate) mod heap;
mod hooks;
mod load;
mod loss;
mod offsets;
mod processes;
mod record;
mod rings;
mod skips;
mod sockets;
mod wake;
mod watches;

pub use decode::{DecodeError, decode};
pub use hooks::{Hook, HookStatus};
pub use load::{LoadError, Probes, TierChoice};
pub use loss::Losses;
pub use processes::KernelProcesses;
pub use record::{
    ChangeSeen, ConnectSeen, ExecSeen, ExitSeen, ManagedSeen, MessageSeen, PathSeen, Record,
    SignalSeen, SocketSeen, TaskSeen,
};
pub use rings::Rings;
pub use skips::Skips;
pub use sockets::{Listener, Sockets, Throttled};
pub use wake::Wake;
pub use watches::{WatchError, Watches};
