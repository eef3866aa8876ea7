//! Unit files as anybody may write them, through all that is read out of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whodunit::systemd::{
    service::Service, timer::Timer, unit_file::UnitFile, unit_name::UnitName, words,
};

fuzz_target!(|bytes: &[u8]| {
    let (file, problems) = UnitFile::parse(bytes);
    assert!(problems.len() <= bytes.len());
    let merged = UnitFile::merge([&file, &file]);
    for assignment in file.assignments() {
        let _ = merged.values(&assignment.section, &assignment.key);
        let _ = merged.boolean(&assignment.section, &assignment.key);
        let _ = words::split_words(&assignment.value);
    }
    if let Ok(name) = UnitName::parse("a@b.service") {
        let service = Service::new(&name, &merged);
        let _ = service.paths().count();
    }
    if let Ok(name) = UnitName::parse("a.timer") {
        let _ = Timer::new(&name, &merged).interval();
    }
});
