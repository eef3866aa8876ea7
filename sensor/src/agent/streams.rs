//! Connections on which requests are sent, each with what was seen of it.

use std::collections::HashMap;

use whodunit_common::{ProcessKey, message_flags, socket_flags};

use crate::{
    event::{Protocol, Request, RequestClass},
    kernel::{ConnectSeen, MessageSeen, SocketSeen},
    systemd::wire::{Peer, Stream},
};

/// Most connections that are followed; those that were silent for longest go first.
const STREAMS_MAX: usize = 512;
/// Most bytes of incomplete messages that are kept of all connections together.
const BUFFERED_MAX: usize = 4 << 20;

#[derive(Debug)]
struct Connection {
    inode: u64,
    stream: Stream,
    touched: u64,
}

/// The connections, by the address of the kernel's socket.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    connections: HashMap<u64, Connection>,
    buffered: usize,
}

/// Who reads at the other end.
pub(crate) fn peer_of(flags: u32) -> Peer {
    if flags & socket_flags::VARLINK != 0 {
        Peer::Varlink
    } else if flags & socket_flags::BUS != 0 {
        Peer::Bus
    } else {
        Peer::Manager
    }
}

impl Streams {
    /// A connection begins: what was at its address before is gone.
    pub(crate) fn connected(&mut self, seen: &ConnectSeen) {
        self.forget(seen.socket.address);
    }

    /// The requests that end in these bytes; `None` where they are the authentication.
    pub(crate) fn sent(&mut self, seen: &MessageSeen) -> Option<Vec<Request>> {
        let MessageSeen {
            time,
            socket,
            total,
            skip,
            flags,
            data,
            ..
        } = seen;
        let peer = peer_of(socket.flags);
        let connection = self.connection(socket, peer, *time);
        let unread = flags & message_flags::UNREADABLE != 0 && data.is_empty();
        if unread && connection.stream.skip_authentication(*total) {
            return None;
        }
        let before = connection.stream.buffered();
        let mut requests = Vec::new();
        let fresh = flags & message_flags::START != 0;
        if fresh || *skip > 0 {
            // What was begun before is not continued by this.
            connection
                .stream
                .lost(&mut |item| requests.extend(item.request(peer)));
        }
        let skipped = usize::try_from(*skip).map_or(data.len(), |skip| skip.min(data.len()));
        let (_, bytes) = data.split_at(skipped);
        let sent = total.saturating_sub(*skip);
        requests.extend(connection.stream.requests(bytes, sent));
        let after = connection.stream.buffered();
        self.buffered = (self.buffered + after).saturating_sub(before);
        if self.buffered > BUFFERED_MAX {
            self.forget_largest();
        }
        // Nobody can say what unreadable bytes to a bus are for; who sent them is known.
        let unreadable = flags & message_flags::UNREADABLE != 0;
        if unreadable && requests.is_empty() && peer == Peer::Bus {
            let why = "bytes to a bus that could not be read";
            requests.push(Request::undecoded(Protocol::Dbus, why));
        }
        requests.retain(|request| request.class != RequestClass::Read);
        Some(requests)
    }

    fn connection(&mut self, socket: &SocketSeen, peer: Peer, time: u64) -> &mut Connection {
        let address = socket.address;
        let other = |known: &Connection| known.inode != socket.inode || known.stream.peer() != peer;
        if self.connections.get(&address).is_some_and(other) {
            self.forget(address);
        }
        if !self.connections.contains_key(&address) && self.connections.len() >= STREAMS_MAX {
            let oldest = self
                .connections
                .iter()
                .min_by_key(|(_, known)| known.touched);
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                self.forget(oldest);
            }
        }
        let connection = self
            .connections
            .entry(address)
            .or_insert_with(|| Connection {
                inode: socket.inode,
                stream: Stream::new(peer),
                touched: time,
            });
        connection.touched = time;
        connection
    }

    /// Records are missing: no stream goes on where it ended.
    pub(crate) fn lost(&mut self) {
        self.connections.clear();
        self.buffered = 0;
    }

    fn forget(&mut self, address: u64) {
        if let Some(gone) = self.connections.remove(&address) {
            self.buffered = self.buffered.saturating_sub(gone.stream.buffered());
        }
    }

    fn forget_largest(&mut self) {
        let largest = self
            .connections
            .iter()
            .max_by_key(|(_, known)| known.stream.buffered());
        if let Some(largest) = largest.map(|(address, _)| *address) {
            self.forget(largest);
        }
    }
}

/// Processes that connected to a manager and asked nothing yet.
#[derive(Debug, Default)]
pub(crate) struct Silent(Vec<(u64, ProcessKey, Box<ConnectSeen>)>);

/// Most connections that wait, and how long they do, in nanoseconds.
const SILENT_MAX: usize = 256;
const SILENCE: u64 = 5_000_000_000;

impl Silent {
    /// Waits for what is asked on a connection. Gives back one that there is no room for.
    pub(crate) fn wait(&mut self, seen: ConnectSeen) -> Option<Box<ConnectSeen>> {
        let due = seen.time.saturating_add(SILENCE);
        self.0.push((due, seen.task.key, Box::new(seen)));
        (self.0.len() > SILENT_MAX).then(|| self.0.remove(0).2)
    }

    /// Something was sent on a connection, after the authentication.
    pub(crate) fn spoke(&mut self, socket: &SocketSeen) {
        self.0
            .retain(|(_, _, seen)| seen.socket.address != socket.address);
    }

    /// The next that was silent for long enough by `now`.
    pub(crate) fn due(&mut self, now: u64) -> Option<Box<ConnectSeen>> {
        let index = self.0.iter().position(|(due, _, _)| *due <= now)?;
        Some(self.0.remove(index).2)
    }
}
