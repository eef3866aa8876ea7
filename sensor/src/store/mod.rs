//! The store room: who wrote what, who asked for it and what came of it, kept on disk across
//! restarts of the agent and of the host.
//!
//! One SQLite file in a directory of its own. The running agent writes it on a thread of its own
//! ([`Store`]), behind a bounded channel: the loop never waits for the disk. Others read it
//! meanwhile ([`History`]). At the start the agent reads from it what it has to know ([`Memory`]).
//!
//! **The commit.** A change is kept from the moment on at which SQLite's `COMMIT` has returned,
//! which it does after the write-ahead log is on the disk (`synchronous=FULL`). Changes,
//! requests and findings are committed as soon as the thread gets to them, usually within
//! milliseconds of being told; firings, runs and the process table within [`LAZY`]. What is
//! committed survives `kill -9` and power loss at any moment.

mod bounds;
mod database;
mod error;
mod history;
mod lineage;
mod memory;
mod note;
mod packaging;
mod process;
mod requests;
mod schema;
#[cfg(test)]
mod tests;
mod thread;
mod words;
mod write;

pub use bounds::Limits;
pub use database::{Database, FILE, Opened, WRITE_AHEAD};
pub use error::StoreError;
pub use history::{FiringRow, History, LookupError, Requester, RunRow, Version, VersionWriter};
pub use lineage::Remembered;
pub use memory::{Content, KnownFile, Memory, PastChange, PastRun};
pub use note::{
    ChangeNote, FindingNote, FiringNote, LineageNote, LiveProcess, Note, PackageNote, RequestNote,
    RunNote,
};
pub use thread::{LAZY, Store};

/// Where the store lies unless another place is asked for.
pub const DIRECTORY: &str = "/var/lib/whodunit";
