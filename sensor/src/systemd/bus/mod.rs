//! What managers say of themselves over D-Bus: jobs, timers, units.
//!
//! PID 1 is read from the system bus, or where there is none from its private socket; the manager
//! of each user from its private socket. One thread reads them all, so that messages never wait
//! for anything the agent does: a manager stops telling anybody anything while too much waits.
//! Facts come out in the order in which their manager told them, numbered, through bounded
//! channels; a number that is missing is a fact that was lost. The bus library's types stay in
//! here.

mod ask;
mod fact;
mod feed;
mod follow;
mod header;
mod names;
mod private;
mod read;
mod services;
mod tracker;
mod wire;

pub use ask::{
    AskError, LoadedTimer, LoadedTimers, LoadedUnit, loaded_timers, loaded_timers_by_bus,
};
pub use fact::{BusFact, Details, JobFound, TimerFact, Told, UnitFact, UnitLinks, Way};
pub use feed::{BusFacts, Dropped};
pub use follow::{Bus, ManagerSocket, track};
pub use header::sanitize;
