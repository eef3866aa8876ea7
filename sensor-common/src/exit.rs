//! A process ended.

use crate::{Header, ProcessKey, layout};

/// The last thread of a process that had executed something is gone.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ExitRecord {
    /// Kind [`crate::Kind::Exit`].
    pub header: Header,
    /// The process.
    pub key: ProcessKey,
    /// Wait status of the thread that ended last: exit code << 8, or the signal.
    pub status: u32,
    /// Always zero.
    pub reserved: u32,
}

layout!(ExitRecord, 40);
