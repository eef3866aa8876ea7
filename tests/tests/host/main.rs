//! The agent on this host, with its real probes.
//!
//! As root, for most on a kernel with BTF; elsewhere each test says that it was skipped.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in its helpers"
)]

mod changes;
mod cli;
mod clones;
mod containers;
mod intents;
mod lineage;
mod odd;
mod output;
mod processes;
mod scan;
mod store;
