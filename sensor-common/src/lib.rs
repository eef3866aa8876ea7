//! The records that cross from the kernel probes to the agent, and the maps' keys and values.
//!
//! One file a record. Every layout is `#[repr(C)]`, has no implicit padding and is checked on both
//! sides at compile time, so a field that moves cannot go unnoticed. All times are nanoseconds
//! since boot (`CLOCK_BOOTTIME`); all ids are those of the initial namespaces.
#![no_std]

mod change;
mod exec;
mod exit;
mod file;
mod header;
mod offsets;
mod path;
mod process;
mod request;
mod task;
mod watch;

pub use change::{ChangeRecord, Verb, change_flags};
pub use exec::{
    ARGS_MAX, ARGS_SHORT, CGROUP_MAX, CWD_MAX, ENV_MAX, ExecRecord, ExecRecordOf,
    ManagedExecRecord, ShortExecRecord,
};
pub use exit::ExitRecord;
pub use file::FileFacts;
pub use header::{ABI_VERSION, BULK_WAKE_INTERVAL, Header, Kind};
pub use offsets::{MISSING, Offsets};
pub use path::{COMPONENTS_MAX, NAME_MAX, PATH_MAX, PathBytes, path_state};
pub use process::{ProcessEntry, ProcessKey, SEED_TICK, process_flags};
pub use request::{
    AUTHOR_BURST, AUTHOR_REFILL_SHIFT, AUTHOR_RESERVES, Author, ConnectRecord, MESSAGE_MAX,
    MESSAGE_SHORT, MessageRecord, MessageRecordOf, REQUESTS_SIZE, SEGMENTS_MAX, SOCKET_PATH_MAX,
    ShortMessageRecord, SignalRecord, SocketFacts, SocketValue, Stream, message_flags,
    socket_flags, stream_mode,
};
pub use task::{ANCESTORS_MAX, TaskFacts};
pub use watch::{WatchKey, WatchValue, watch_flags};

/// Fails compilation when a record's size is not what both sides were built for, or when the
/// compiler had to pad it.
macro_rules! layout {
    ($record:ty, $size:expr) => {
        const _: () = {
            assert!(
                core::mem::size_of::<$record>() == $size,
                "record size changed"
            );
            assert!(
                core::mem::align_of::<$record>() <= 8,
                "ring records are 8-byte aligned"
            );
        };
        #[cfg(feature = "user")]
        // SAFETY: `repr(C)`, `Copy`, made of integers and arrays of integers, without padding
        // (the size above is the sum of the fields), so that any bit pattern is a value.
        unsafe impl aya::Pod for $record {}
    };
}
pub(crate) use layout;
