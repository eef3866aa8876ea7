//! Command lines: the name of the file and the arguments, parted by NUL.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whodunit::systemd::command::of_command;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let mut words = text.split('\0').map(str::to_owned);
    let name = words.next().unwrap_or_default();
    let argv: Vec<String> = words.collect();
    let _ = of_command(&name, &argv);
});
