//! Rules of sudo and polkit, access control lists and baselines, as anybody may write them.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use whodunit::detect::baseline;
use whodunit::host::access::Acl;
use whodunit::host::polkit;
use whodunit::host::sudoers::{Sudoers, parse_into};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let mut sudoers = Sudoers::default();
    let includes = parse_into(&text, Path::new("/etc/sudoers"), &mut sudoers);
    assert!(includes.len() <= bytes.len());
    let _ = (polkit::script(&text), polkit::pkla(&text), polkit::policy(&text));
    let _ = Acl::parse(bytes);
    let _ = baseline::read(bytes, None, true);
});
