//! dpkg's files, headers of rpm and its older databases, as anybody with root may have left them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whodunit::host::packages::rpm::{berkeley, ndb};
use whodunit::host::packages::{Header, digest_of, diversions, paths, stanzas};

fuzz_target!(|bytes: &[u8]| {
    assert!(stanzas(bytes).all(|stanza| !stanza.package.is_empty()));
    assert!(diversions(bytes).len() <= bytes.len() / 3);
    if let Some(header) = Header::parse(bytes) {
        let _ = (header.name(), header.version(), header.architecture(), header.algorithm());
        for number in [0, 1, 77, usize::MAX] {
            if let Some(file) = header.file(number) {
                assert!(file.name.len() <= bytes.len());
            }
        }
    }
    for place in ndb::places(&bytes).unwrap_or_default() {
        assert!(ndb::header(&bytes, &place).map_or(0, |blob| blob.len()) <= bytes.len());
    }
    for place in berkeley::places(&bytes).unwrap_or_default() {
        assert!(berkeley::header(&bytes, &place).map_or(0, |blob| blob.len()) <= bytes.len());
    }
    for path in paths(bytes).take(16) {
        assert!(path.starts_with(b"/"));
        let _ = digest_of(bytes, path);
    }
});
