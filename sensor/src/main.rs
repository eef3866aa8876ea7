//! The `whodunit` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    whodunit::cli::main()
}
