//! Somebody asks a manager for something: by a message, by connecting, or by a signal.

use crate::{Header, NAME_MAX, PathBytes, ProcessKey, TaskFacts, WatchKey, layout};

/// Most bytes of a message that are kept.
pub const MESSAGE_MAX: usize = 4096;
/// Most bytes of it that fit a short record.
pub const MESSAGE_SHORT: usize = 512;
/// Most buffers of one send that are looked at.
pub const SEGMENTS_MAX: u32 = 8;
/// Room for the path of a socket.
pub const SOCKET_PATH_MAX: usize = 256;

/// What [`SocketFacts::flags`] and [`SocketValue::flags`] say of a listening socket.
pub mod socket_flags {
    /// A manager's own: it speaks D-Bus and nobody else listens.
    pub const PRIVATE: u32 = 1 << 0;
    /// A message bus: what is for a manager is picked out.
    pub const BUS: u32 = 1 << 1;
    /// It speaks varlink.
    pub const VARLINK: u32 = 1 << 2;
    /// The FIFO that systemd-initctl reads.
    pub const INITCTL: u32 = 1 << 3;
    /// The agent does not list it: its name is that of a manager's socket or bus.
    pub const BY_NAME: u32 = 1 << 4;
}

/// Value of the table of listening sockets, whose key is their identity.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketValue {
    /// The agent's number for it, from 1.
    pub id: u32,
    /// [`socket_flags`].
    pub flags: u32,
}

layout!(SocketValue, 8);

/// A connection, as seen from the one who asks.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketFacts {
    /// Address of the `struct sock`: with `inode` the identity of the connection.
    pub address: u64,
    /// Inode number of the socket; zero when nobody has a descriptor of it (yet).
    pub inode: u64,
    /// Identity of the listening socket's inode.
    pub listener: WatchKey,
    /// [`SocketValue::id`]; zero when its name alone tells.
    pub id: u32,
    /// [`socket_flags`].
    pub flags: u32,
}

layout!(SocketFacts, 40);

/// What [`MessageRecordOf::flags`] says.
pub mod message_flags {
    /// A message begins with the first byte after [`super::MessageRecordOf::skip`].
    pub const START: u32 = 1 << 0;
    /// The bytes go on where the last record of this connection ended.
    pub const CONTINUED: u32 = 1 << 1;
    /// Where messages begin is for the reader to find out: from here on all is sent.
    pub const UNFRAMED: u32 = 1 << 2;
    /// Part of the bytes could not be read.
    pub const UNREADABLE: u32 = 1 << 3;
    /// What comes before the first message: SASL.
    pub const PREAMBLE: u32 = 1 << 4;
}

/// Bytes that a process sends to a manager or a bus, before they are sent.
///
/// Of a bus only method calls on objects of managers are sent, of both no calls that only ask
/// (`Get…`, `List…`), as long as each send begins with a message.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MessageRecordOf<const ROOM: usize> {
    /// Kind [`crate::Kind::Message`].
    pub header: Header,
    /// Who sends.
    pub task: TaskFacts,
    /// Where to.
    pub socket: SocketFacts,
    /// How many bytes are sent in all.
    pub total: u64,
    /// How many of them are the rest of a message that is not told.
    pub skip: u64,
    /// [`message_flags`].
    pub flags: u32,
    /// How many of `data` are set.
    pub len: u32,
    /// The bytes. Twice as much room as is used: the verifier wants the worst case to fit.
    pub data: [u8; ROOM],
}

/// A message with room for [`MESSAGE_MAX`] bytes.
pub type MessageRecord = MessageRecordOf<{ 2 * MESSAGE_MAX }>;
/// A message with room for [`MESSAGE_SHORT`] bytes. [`Header::size`] tells the two apart.
pub type ShortMessageRecord = MessageRecordOf<{ 2 * MESSAGE_SHORT }>;

layout!(MessageRecord, 16 + 208 + 40 + 16 + 8 + 2 * MESSAGE_MAX);
layout!(
    ShortMessageRecord,
    size_of::<MessageRecord>() - 2 * MESSAGE_MAX + 2 * MESSAGE_SHORT
);

/// A process connects to a manager's socket, or opens its FIFO for writing.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ConnectRecord {
    /// Kind [`crate::Kind::Connect`].
    pub header: Header,
    /// Who connects.
    pub task: TaskFacts,
    /// Where to.
    pub socket: SocketFacts,
    /// Path of the listening socket, up to the root of its file system.
    pub path: PathBytes<{ SOCKET_PATH_MAX + NAME_MAX }>,
}

layout!(
    ConnectRecord,
    16 + 208 + 40 + 8 + SOCKET_PATH_MAX + NAME_MAX
);

/// A process sends a signal to a manager.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SignalRecord {
    /// Kind [`crate::Kind::Signal`].
    pub header: Header,
    /// Who sends.
    pub task: TaskFacts,
    /// The manager.
    pub target: ProcessKey,
    /// The signal's number.
    pub signal: u32,
    /// User that the manager runs as; `u32::MAX` when unknown.
    pub target_uid: u32,
}

layout!(SignalRecord, 16 + 208 + 16 + 8);

/// Value of the table of authors, whose key is the [`ProcessKey`]: a bucket of tokens.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Author {
    /// When tokens were added last, in nanoseconds since boot.
    pub refilled: u64,
    /// What it may still cause, see [`AUTHOR_BURST`].
    pub tokens: u64,
    /// Records that were not sent.
    pub dropped: u64,
}

layout!(Author, 24);

/// Most tokens that a process has: it may send about 1 MiB of records in a moment. A record costs one,
/// a long message eight.
pub const AUTHOR_BURST: u64 = 1024;
/// What the ring of requests holds, in bytes.
pub const REQUESTS_SIZE: u32 = 2 << 20;
/// What a process must have left of [`AUTHOR_BURST`] to send anything while more than a half of the ring is
/// unread, and while more than three quarters are: whoever asked much makes room for whoever did not.
pub const AUTHOR_RESERVES: [u64; 2] = [AUTHOR_BURST / 2, AUTHOR_BURST - 32];
/// A token comes back in this many nanoseconds, as a power of two: about 240 in a second.
pub const AUTHOR_REFILL_SHIFT: u32 = 22;

/// Value of the table of streams, whose key is [`SocketFacts::address`]: where messages begin.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// How many bytes of the current message are still to come.
    pub remaining: u64,
    /// [`stream_mode`].
    pub mode: u64,
}

layout!(Stream, 16);

/// What [`Stream::mode`] says.
pub mod stream_mode {
    /// The current message is told.
    pub const TOLD: u64 = 1;
    /// The current message is not told.
    pub const SKIPPED: u64 = 2;
    /// Where messages begin is not known here: all is told.
    pub const UNFRAMED: u64 = 3;
}
