//! dpkg's files as anybody with root may have left them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whodunit::host::packages::{digest_of, diversions, paths, stanzas};

fuzz_target!(|bytes: &[u8]| {
    assert!(stanzas(bytes).all(|stanza| !stanza.package.is_empty()));
    assert!(diversions(bytes).len() <= bytes.len() / 3);
    for path in paths(bytes).take(16) {
        assert!(path.starts_with(b"/"));
        let _ = digest_of(bytes, path);
    }
});
