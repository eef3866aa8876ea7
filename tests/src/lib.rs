//! What the end-to-end tests share: the real binary, run and read as a user would.
//!
//! ```no_run
//! use std::process::Command;
//! use whodunit_tests::{Agent, tag};
//!
//! let Some(agent) = Agent::start(&[]) else { return };
//! let tag = tag();
//! Command::new("true").arg(&tag).status().unwrap();
//! let exec = agent.wait_for("the exec", |event| event.is_exec_of("true", &tag));
//! assert_eq!(exec.actor_pid(), u64::from(std::process::id()));
//! agent.stop();
//! ```

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in its helpers"
)]

use std::io::Write as _;

mod agent;
mod event;
mod feed;
mod scenario;
mod schema;
mod scratch;
pub mod vm;

pub use agent::{Agent, DEADLINE, Run, Totals, binary, skip_without_bpf, wait_exit};
pub use event::{Event, Kind, check_all};
pub use scenario::{Expectation, Scenario};
pub use scratch::{Scratch, python, tag};

/// Says that a test did not run, and why. The line is counted, so it goes past the test harness,
/// which hides what a passing test prints, and begins a line whatever stands before it.
pub fn skip(reason: &str) {
    let _ = writeln!(std::io::stdout(), "\nskipped: {reason}");
}
