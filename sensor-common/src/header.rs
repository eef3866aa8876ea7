//! What every record begins with.

use crate::layout;

/// Version of the record layouts. The agent refuses records of another version.
pub const ABI_VERSION: u16 = 1;

/// At least this many nanoseconds lie between two wakeups for the bulk ring. The agent,
/// once woken, looks again after this time until it finds nothing.
pub const BULK_WAKE_INTERVAL: u64 = 30_000_000;

/// The kinds of record. Also the index into the loss counters.
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`crate::ExecRecord`]: a program was executed by a process no manager started.
    Exec = 0,
    /// [`crate::ManagedExecRecord`]: a program was executed by a manager's child.
    ManagedExec = 1,
    /// [`crate::ExitRecord`]: a process ended.
    Exit = 2,
    /// [`crate::ChangeRecord`]: something was done to a watched file or directory.
    Change = 3,
    /// [`crate::MessageRecord`]: bytes for a manager or a bus.
    Message = 4,
    /// [`crate::ConnectRecord`]: a connection to a manager's socket.
    Connect = 5,
    /// [`crate::SignalRecord`]: a signal to a manager.
    Signal = 6,
}

impl Kind {
    /// How many kinds there are.
    pub const COUNT: u32 = 7;
    /// Every kind, in the order of its number.
    pub const ALL: [Self; Self::COUNT as usize] = [
        Self::Exec,
        Self::ManagedExec,
        Self::Exit,
        Self::Change,
        Self::Message,
        Self::Connect,
        Self::Signal,
    ];

    /// The kind with this number.
    #[must_use]
    pub fn from_raw(raw: u16) -> Option<Self> {
        Self::ALL.get(usize::from(raw)).copied()
    }
}

/// The first bytes of every record.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// A [`Kind`].
    pub kind: u16,
    /// [`ABI_VERSION`] of the side that wrote it.
    pub version: u16,
    /// Size of the whole record in bytes.
    pub size: u32,
    /// Nanoseconds since boot, suspended time included.
    pub time: u64,
}

layout!(Header, 16);
