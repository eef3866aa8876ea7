//! Cgroup paths: users name what is delegated to them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whodunit::systemd::{cgroup, unit_name::UnitName};

fuzz_target!(|text: &str| {
    let _ = cgroup::unit_of_cgroup(text);
    let _ = cgroup::unit_of_cgroup(text).for_child_of_pid1();
    assert_eq!(cgroup::cg_unescape(&cgroup::cg_escape(text)), text);
    if let Ok(name) = UnitName::parse(text) {
        assert_eq!(name.as_str(), text);
        let _ = (name.template(), name.drop_in_stems());
    }
});
