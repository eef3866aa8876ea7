//! Ties a process that a manager starts to those who changed what it rests on.
//!
//! Pure: what comes in are events and facts with their times, what goes out are findings. No
//! clock is read and no file is opened here, so a recorded run gives the same verdicts again.

pub mod activation;
mod changes;
mod judge;
mod requests;

pub use changes::{Changes, Seen};
pub use judge::{Correlator, Started, causes_of};
pub use requests::{Lasting, Requests};
