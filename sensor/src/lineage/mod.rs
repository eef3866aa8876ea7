//! The process table: who is who, and who spawned whom.
//!
//! Fed by exec and exit records and by procfs at start. Pure: no clock, no files.

mod chain;
mod table;

pub use chain::Credentials;
pub use table::{Known, Limits, Table, TableStats};
