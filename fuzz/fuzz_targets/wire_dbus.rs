//! What a process may send to a manager's socket or to a bus, in pieces of any size.
//!
//! The first byte says who reads, each piece begins with its length and how much of it is missing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whodunit::systemd::wire::{MESSAGE_MAX, Peer, Stream};

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, mut rest)) = bytes.split_first() else {
        return;
    };
    let peer = if choice & 1 == 0 {
        Peer::Manager
    } else {
        Peer::Bus
    };
    let mut stream = Stream::new(peer);
    if choice & 2 == 0 {
        stream.requests(rest, rest.len() as u64);
        return;
    }
    while let [length, missing, after @ ..] = rest {
        let (chunk, after) = after.split_at(usize::from(*length).min(after.len()));
        match missing {
            255 => stream.lost(&mut |_| {}),
            // Mostly nothing is missing.
            0..200 => drop(stream.requests(chunk, chunk.len() as u64)),
            _ => drop(stream.requests(chunk, (chunk.len() + usize::from(*missing)) as u64)),
        }
        assert!(stream.buffered() <= MESSAGE_MAX);
        rest = after;
    }
});
