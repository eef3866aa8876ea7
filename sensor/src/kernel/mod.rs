//! The kernel boundary: offsets, loading, tiers, rings, records.
//!
//! The only room that has `unsafe` code. What leaves it are owned, checked values.

mod btf;
mod decode;
// pub mod fanotify;
mod hooks;
mod load;
mod loss;
mod offsets;
mod record;
mod rings;

pub use decode::{DecodeError, decode};
pub use hooks::{Hook, HookStatus};
pub use load::{LoadError, Probes, TierChoice};
pub use loss::Losses;
pub use record::{ChangeSeen, ExecSeen, ExitSeen, ManagedSeen, PathSeen, Record, TaskSeen};
pub use rings::Rings;
