//! One direction of a socket's bytes, cut into messages.

use super::header::{FIXED_SIZE, Fixed, Header, HeaderFault, PLACE_SIZE, is_plausible};
use super::message::{Message, concerns};
use super::{Peer, varlink};
use crate::event::{Protocol, Request};

/// Most bytes of a message that are looked at and, while it is incomplete, kept.
pub const MESSAGE_MAX: usize = 64 << 10;
/// Most bytes before the first message; sd-bus sends 48.
const AUTH_MAX: usize = 64 << 10;
/// Most of them that are taken for nothing else unread. sd-bus sends 48; no call of a method of a manager
/// is so short, and of these bytes the authentication itself takes 30.
const UNREAD_AUTH_MAX: u64 = 64;
/// How much of a line of the authentication is looked at.
const LINE_MAX: usize = 24;
/// How the lines begin that a client may send.
const COMMANDS: [&[u8]; 6] = [
    b"AUTH",
    b"BEGIN",
    b"CANCEL",
    b"DATA",
    b"ERROR",
    b"NEGOTIATE_UNIX_FD",
];

/// What was found in a stream.
#[derive(Clone, Debug)]
pub enum Item<'a> {
    /// A D-Bus message.
    Message(Message<'a>),
    /// A varlink call, without its NUL, and whether it is cut short.
    Varlink(&'a [u8], bool),
    /// Bytes that are no message, and why. Told once until there is a message again.
    Unreadable(String),
}

impl Item<'_> {
    /// The request this is, if it is one to a manager.
    #[must_use]
    pub fn request(&self, peer: Peer) -> Option<Request> {
        match self {
            Self::Message(message) => concerns(&message.header, peer).then(|| message.request()),
            Self::Varlink(call, cut) => Some(varlink::request(call, *cut)),
            // On a bus nothing says that it was for a manager.
            Self::Unreadable(_) if peer == Peer::Bus => None,
            Self::Unreadable(why) => Some(Request::undecoded(peer.protocol(), why.as_str())),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was seen yet.
    Start,
    /// Within the authentication: that many bytes of it, and whether it was told that they are none.
    Auth(usize, bool),
    /// At the start of a message, or within one that is in the buffer or skipped.
    Messages,
    /// Anywhere. Whether that was told.
    Lost(bool),
}

/// Cuts what one side sends on a socket into messages.
///
/// Feed it the bytes of each send in their order, with [`Stream::lost`] where some are missing.
/// A message that is longer than [`MESSAGE_MAX`], or than what was captured of it, is given with
/// what is there.
#[derive(Clone, Debug)]
pub struct Stream {
    peer: Peer,
    state: State,
    /// The beginning of a message, or of a line of the authentication, or what may be one.
    buffer: Vec<u8>,
    /// Bytes to go past: the rest of a message that was given already. Of varlink, which tells
    /// no lengths, all until the next NUL.
    skip: u64,
}

impl Stream {
    /// A stream to `peer` of which nothing was seen yet.
    #[must_use]
    pub fn new(peer: Peer) -> Self {
        Self {
            peer,
            state: State::Start,
            buffer: Vec::new(),
            skip: 0,
        }
    }

    /// Who reads the other end.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Bytes that are kept until the rest of their message comes.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Goes past what comes first on a connection and could not be read, where it is so short that it is
    /// the authentication and no request can be in it: sd-bus sends texts that its process has not
    /// touched before. Says whether it did. What follows shows whether it was.
    pub fn skip_authentication(&mut self, sent: u64) -> bool {
        let is_authentication = self.state == State::Start
            && self.buffer.is_empty()
            && self.peer.protocol() == Protocol::Dbus
            && sent <= UNREAD_AUTH_MAX;
        if is_authentication {
            self.state = State::Lost(false);
        }
        is_authentication
    }

    /// The requests that end in these bytes. `sent` is how many were sent, of which the first
    /// are in `bytes`.
    pub fn requests(&mut self, bytes: &[u8], sent: u64) -> Vec<Request> {
        let peer = self.peer;
        let mut requests = Vec::new();
        self.feed(bytes, sent, &mut |item| requests.extend(item.request(peer)));
        requests
    }

    /// Gives each message that ends in these bytes. `sent` is how many were sent, of which the
    /// first are in `bytes`.
    pub fn feed(&mut self, bytes: &[u8], sent: u64, each: &mut dyn FnMut(Item<'_>)) {
        let missing = sent.saturating_sub(bytes.len() as u64);
        match self.peer.protocol() {
            Protocol::Dbus => self.feed_dbus(bytes, each),
            Protocol::Varlink => self.feed_varlink(bytes, each),
        }
        if missing > 0 {
            self.miss(missing, each);
        }
    }

    /// Notes that sends are missing, nobody knows how many.
    pub fn lost(&mut self, each: &mut dyn FnMut(Item<'_>)) {
        self.miss(u64::MAX, each);
    }

    fn feed_dbus(&mut self, bytes: &[u8], each: &mut dyn FnMut(Item<'_>)) {
        let joined;
        let mut rest = bytes;
        if matches!(self.state, State::Start | State::Lost(_)) && self.skip == 0 {
            if !self.buffer.is_empty() {
                joined = [std::mem::take(&mut self.buffer), bytes.to_vec()].concat();
                // What came before may as well have been the end of something.
                if is_plausible(&joined) || !is_plausible(bytes) {
                    rest = &joined;
                }
            }
            if rest.len() < PLACE_SIZE && may_begin(rest) {
                self.buffer = rest.to_vec();
                return;
            }
            self.find_place(rest, each);
        }
        while !rest.is_empty() {
            rest = match self.state {
                State::Auth(seen, told) => self.auth(rest, seen, told, each),
                State::Messages => self.message(rest, each),
                State::Start | State::Lost(_) => return,
            };
        }
    }

    /// Says what the bytes are that come first, or first after a loss.
    fn find_place(&mut self, bytes: &[u8], each: &mut dyn FnMut(Item<'_>)) {
        let begins = |word: &&[u8]| bytes.starts_with(word);
        self.state = if bytes.is_empty() {
            return;
        } else if bytes.first() == Some(&0) || COMMANDS.iter().any(begins) {
            State::Auth(0, false)
        } else if is_plausible(bytes) {
            State::Messages
        } else {
            self.stray("no message begins where one was looked for", each);
            return;
        };
    }

    /// Notes bytes that cannot be read.
    fn stray(&mut self, why: &str, each: &mut dyn FnMut(Item<'_>)) {
        self.buffer = Vec::new();
        self.skip = 0;
        if self.state != State::Lost(true) {
            self.state = State::Lost(true);
            each(Item::Unreadable(why.to_owned()));
        }
    }

    /// Goes past a part of the authentication: lines, the last of which is `BEGIN`. What looks like
    /// no such line is told, once.
    fn auth<'b>(
        &mut self,
        bytes: &'b [u8],
        seen: usize,
        told: bool,
        each: &mut dyn FnMut(Item<'_>),
    ) -> &'b [u8] {
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        let room = LINE_MAX.saturating_sub(self.buffer.len());
        self.buffer.extend(line.iter().take(room));
        // A NUL byte comes before the first line.
        let begun = self.buffer.strip_prefix(b"\0").unwrap_or(&self.buffer);
        let stray = !is_command(begun, end.is_some());
        let begins = end.is_some() && begun == b"BEGIN\r\n";
        let seen = seen.saturating_add(line.len());
        let endless = seen > AUTH_MAX;
        if end.is_some() || endless {
            self.buffer.clear();
        }
        if (stray || endless && !begins) && !told {
            each(Item::Unreadable(
                "neither a message nor a line of the authentication".to_owned(),
            ));
        }
        self.state = if begins {
            State::Messages
        } else if endless {
            State::Lost(true)
        } else {
            State::Auth(seen, told || stray)
        };
        rest
    }

    /// Goes past a part of a message, or a whole one.
    fn message<'b>(&mut self, bytes: &'b [u8], each: &mut dyn FnMut(Item<'_>)) -> &'b [u8] {
        if self.skip > 0 {
            let count = usize::try_from(self.skip).map_or(bytes.len(), |n| n.min(bytes.len()));
            self.skip -= count as u64;
            return bytes.split_at(count).1;
        }
        let whole = self.buffer.is_empty() && bytes.len() >= FIXED_SIZE;
        // Most messages come whole: they are read where they are.
        let wanted = match wanted(if whole { bytes } else { &self.buffer }) {
            Ok(wanted) => wanted,
            Err(fault) => {
                self.stray(&fault.to_string(), each);
                return &[];
            }
        };
        if whole && let Some((message, rest)) = bytes.split_at_checked(wanted) {
            self.give(message, each);
            return rest;
        }
        let room = wanted.saturating_sub(self.buffer.len());
        let (part, rest) = bytes.split_at(room.min(bytes.len()));
        self.buffer.extend_from_slice(part);
        if wanted > FIXED_SIZE && self.buffer.len() >= wanted {
            let message = std::mem::take(&mut self.buffer);
            self.give(&message, each);
        }
        rest
    }

    /// Gives a message that begins well, and goes past what is not there of it.
    fn give(&mut self, bytes: &[u8], each: &mut dyn FnMut(Item<'_>)) {
        match Header::parse(bytes) {
            Ok((header, body)) => {
                let rest = header.length.saturating_sub(bytes.len() as u64);
                self.skip = rest;
                each(Item::Message(Message {
                    header,
                    body,
                    truncated: rest > 0,
                }));
            }
            Err(fault) => self.stray(&fault.to_string(), each),
        }
    }

    /// Goes past bytes that are not there.
    fn miss(&mut self, missing: u64, each: &mut dyn FnMut(Item<'_>)) {
        let begun = std::mem::take(&mut self.buffer);
        if self.peer == Peer::Varlink {
            if !begun.is_empty() {
                each(Item::Varlink(&begun, true));
            }
            if !begun.is_empty() || self.skip > 0 {
                self.skip = 0;
                self.state = State::Lost(true);
                return;
            }
        } else if self.state == State::Messages {
            if self.skip == 0 && begun.len() >= FIXED_SIZE {
                self.give(&begun, each);
            }
            if missing <= self.skip {
                self.skip -= missing;
                return;
            }
        }
        self.skip = 0;
        if missing == u64::MAX || matches!(self.state, State::Auth(..)) {
            self.state = State::Lost(false);
        } else {
            let why = format!("{missing} bytes that were sent are not known");
            self.stray(&why, each);
        }
    }

    fn feed_varlink(&mut self, bytes: &[u8], each: &mut dyn FnMut(Item<'_>)) {
        if self.state == State::Start || bytes.first() == Some(&b'{') && self.is_lost() {
            self.state = State::Messages;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = rest.iter().position(|&byte| byte == 0);
            let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
            rest = after.get(1..).unwrap_or_default();
            if self.is_lost() || self.skip > 0 {
                if end.is_some() {
                    self.state = State::Messages;
                    self.skip = 0;
                }
                continue;
            }
            if end.is_some() && self.buffer.is_empty() {
                let kept = part.get(..MESSAGE_MAX);
                each(Item::Varlink(kept.unwrap_or(part), kept.is_some()));
                continue;
            }
            let room = MESSAGE_MAX - self.buffer.len().min(MESSAGE_MAX);
            let kept = part.get(..room);
            self.buffer.extend_from_slice(kept.unwrap_or(part));
            if end.is_some() || kept.is_some() {
                let call = std::mem::take(&mut self.buffer);
                each(Item::Varlink(&call, kept.is_some()));
                if end.is_none() {
                    // How much more there is until its NUL nobody knows.
                    self.skip = u64::MAX;
                }
            }
        }
    }

    fn is_lost(&self) -> bool {
        matches!(self.state, State::Lost(_))
    }
}

/// Whether a line of the authentication, or the beginning of one, is a client's. `ended`: there is no
/// more of it.
fn is_command(line: &[u8], ended: bool) -> bool {
    let fits = |word: &&[u8]| {
        let mut both = line.iter().zip(*word);
        both.all(|(found, wanted)| found == wanted) && (!ended || line.len() >= word.len())
    };
    COMMANDS.iter().any(fits)
}

/// Whether so few bytes can be a message's first, and nothing says yet that they are not.
fn may_begin(bytes: &[u8]) -> bool {
    let fits = |at: usize, right: fn(u8) -> bool| bytes.get(at).is_none_or(|&byte| right(byte));
    !bytes.is_empty()
        && fits(0, |endianness| matches!(endianness, b'l' | b'B'))
        && fits(1, |kind| (1..=4).contains(&kind))
        && fits(3, |version| version == 1)
}

/// How many bytes of the message at the start of `bytes` to keep, or at first to have.
fn wanted(bytes: &[u8]) -> Result<usize, HeaderFault> {
    if bytes.len() < FIXED_SIZE {
        return Ok(FIXED_SIZE);
    }
    let length = usize::try_from(Fixed::parse(bytes)?.length());
    Ok(length.map_or(MESSAGE_MAX, |length| length.min(MESSAGE_MAX)))
}
