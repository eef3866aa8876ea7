//! Environment blocks, which processes may overwrite as they like.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whodunit::systemd::environment::ServiceEnvironment;

fuzz_target!(|bytes: &[u8]| {
    for truncated in [false, true] {
        let _ = ServiceEnvironment::parse(bytes, truncated).trigger();
    }
});
