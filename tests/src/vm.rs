//! Virtual machines, by the harness of xtask.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binary;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A program of the tests' own that goes into machines.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let path = Path::new(ROOT).join("target/release").join(name);
    assert!(path.is_file(), "no {name}: run `cargo xtask build --tests`");
    path
}

/// Boots a machine of a Debian suite that runs `script` beside the agent, and leaves what comes of it
/// in `out`, which is emptied first. `arguments` are more for `cargo xtask vm`. Says whether the
/// script succeeded; that it was not run is a panic.
#[must_use]
pub fn boot(suite: &str, script: &Path, out: &Path, arguments: &[&str]) -> bool {
    // What an earlier boot left is not to be taken for this one's.
    let _ = fs::remove_dir_all(out);
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(ROOT).args(["xtask", "vm", suite]);
    command.arg("--script").arg(script).arg("--out").arg(out);
    let binary = fs::canonicalize(binary()).expect("the agent was built");
    command.arg("--binary").arg(binary).args(arguments);
    let output = command.output().expect("cargo can be run");
    // 1: the script failed.
    let ran = output.status.code().is_some_and(|code| code < 2);
    assert!(ran, "{}", String::from_utf8_lossy(&output.stderr));
    output.status.success()
}

/// As [`boot`], of a script that must succeed: if it does not, what it said is told.
pub fn boot_well(suite: &str, script: &Path, out: &Path, arguments: &[&str]) {
    let succeeded = boot(suite, script, out, arguments);
    let said = fs::read(out.join("script.log")).unwrap_or_default();
    assert!(succeeded, "{}", String::from_utf8_lossy(&said));
}
