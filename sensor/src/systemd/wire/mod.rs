//! What processes write to a manager's sockets, and to the bus for a manager: from bytes to
//! [`Request`]s.
//!
//! The bytes are the sender's, who may be hostile. Nothing here panics, recurses without a limit
//! or keeps more than [`MESSAGE_MAX`] bytes of a stream. What cannot be decoded is told as a
//! request of its own, so that it has an author still. Pure.
//!
//! ```
//! use whodunit::systemd::wire::{Peer, Stream};
//!
//! let mut stream = Stream::new(Peer::Manager);
//! let sent = b"\0AUTH EXTERNAL\r\nBEGIN\r\n";
//! assert!(stream.requests(sent, sent.len() as u64).is_empty());
//! ```

mod arguments;
mod header;
mod message;
mod methods;
mod reader;
mod stream;
mod transient;
mod value;
mod varlink;

pub use header::{Header, HeaderFault, MessageKind};
pub use message::{Message, concerns, unit_of_object};
pub use stream::{Item, MESSAGE_MAX, Stream};

use crate::event::{Protocol, Request};

/// Who reads the other end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A manager, by D-Bus without a bus: `/run/systemd/private`.
    Manager,
    /// A message bus, which passes on what is addressed to a manager.
    Bus,
    /// A manager, by varlink: `/run/systemd/io.systemd.Manager`.
    Varlink,
}

impl Peer {
    /// How messages to it are written.
    #[must_use]
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Manager | Self::Bus => Protocol::Dbus,
            Self::Varlink => Protocol::Varlink,
        }
    }
}

/// Most items of any list of a request that are kept.
const ITEMS_MAX: usize = 64;
/// Longest text that is kept, in bytes.
const TEXT_MAX: usize = 4096;

/// Appends `item`, or notes that it was left out.
fn keep<T>(list: &mut Vec<T>, item: T, truncated: &mut bool) {
    if list.len() < ITEMS_MAX {
        list.push(item);
    } else {
        *truncated = true;
    }
}

/// A text of at most [`TEXT_MAX`] bytes; notes that it was cut.
fn text(text: &str, truncated: &mut bool) -> String {
    if text.len() <= TEXT_MAX {
        return text.to_owned();
    }
    *truncated = true;
    let mut end = TEXT_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

/// Variables that decide which code runs: their values are told, of others the names alone.
const CODE_VARIABLES: [&str; 14] = [
    "BASH_ENV",
    "ENV",
    "GCONV_PATH",
    "JAVA_TOOL_OPTIONS",
    "NODE_OPTIONS",
    "PATH",
    "PERL5LIB",
    "PERL5OPT",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "RUBYLIB",
    "RUBYOPT",
    "SHELL",
];

/// An assignment of an environment as it is told.
pub(super) fn variable(assignment: &str, truncated: &mut bool) -> String {
    let name = assignment
        .split_once('=')
        .map_or(assignment, |(name, _)| name);
    let decides = name.starts_with("LD_")
        || name.starts_with("SYSTEMD_")
        || CODE_VARIABLES.binary_search(&name).is_ok();
    text(if decides { assignment } else { name }, truncated)
}

/// Adds to what a request lacks; the first reason stands in front.
fn lacks(request: &mut Request, why: &str) {
    match &mut request.gap {
        Some(gap) => {
            gap.push_str("; ");
            gap.push_str(why);
        }
        None => request.gap = Some(why.to_owned()),
    }
}

#[cfg(test)]
mod tests;
