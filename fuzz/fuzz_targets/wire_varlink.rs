//! What a process may send to a manager's varlink socket; the first byte says how much is missing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whodunit::systemd::wire::{MESSAGE_MAX, Peer, Stream};

fuzz_target!(|bytes: &[u8]| {
    let Some((missing, rest)) = bytes.split_first() else {
        return;
    };
    let (first, second) = rest.split_at(rest.len() / 2);
    let mut stream = Stream::new(Peer::Varlink);
    stream.requests(first, first.len() as u64 + u64::from(*missing));
    assert!(stream.buffered() <= MESSAGE_MAX);
    stream.requests(second, second.len() as u64);
    stream.requests(rest, rest.len() as u64 + 1);
});
