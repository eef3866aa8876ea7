//! The project's task runner: `cargo xtask COMMAND`.
//!
//! Everything a fresh clone needs happens here, in Rust and not in a pile of shell scripts, so that
//! a developer's machine and the CI machine take the same path.

mod apt;
mod bench;
mod cli;
mod compile;
mod run;
mod setup;
mod test;
mod toolchain;
mod util;
mod vm;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::dispatch() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            // 1 is left to commands that ran and found something wrong (a failed scenario).
            ExitCode::from(2)
        }
    }
}
