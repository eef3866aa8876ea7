//! The agent's own words, on stderr.

use std::io::Write as _;

use log::{LevelFilter, Log, Metadata, Record};

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = record.level().as_str().to_ascii_lowercase();
            // Nobody is left to tell when stderr is closed.
            let _ = writeln!(std::io::stderr(), "whodunit: {level}: {}", record.args());
        }
    }

    fn flush(&self) {}
}

/// Starts logging: warnings by default.
pub(crate) fn start(verbose: u8, quiet: bool) {
    static LOGGER: Stderr = Stderr;
    let level = match (quiet, verbose) {
        (true, _) => LevelFilter::Error,
        (false, 0) => LevelFilter::Warn,
        (false, 1) => LevelFilter::Info,
        (false, _) => LevelFilter::Debug,
    };
    if log::set_logger(&LOGGER).is_ok() {
        log::set_max_level(level);
    }
}
