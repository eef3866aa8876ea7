//! Headers of messages on private sockets: whoever owns a user's manager writes them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whodunit::systemd::bus::sanitize;

fuzz_target!(|bytes: &[u8]| {
    let mut once = bytes.to_vec();
    if sanitize(&mut once).is_some() {
        let mut twice = once.clone();
        assert_eq!(sanitize(&mut twice), Some(()));
        assert_eq!(once, twice);
    }
});
