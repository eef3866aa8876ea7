//! What the host's manager says of itself on the system bus: jobs, timers, units.
//!
//! A thread of its own reads the bus, so that messages never wait for anything the agent does: PID
//! 1 stops telling anybody anything while too much waits. Facts come out in the order in which
//! the manager told them, numbered, through a bounded channel; a number that is missing is a fact
//! that was lost. The bus library's types stay in here.

mod fact;
mod feed;
mod names;
mod read;
mod services;
mod tracker;
mod wire;

pub use fact::{BusFact, Details, JobFound, TimerFact, Told, UnitFact, UnitLinks};
pub use feed::BusFacts;
pub use tracker::track;
