//! `cargo xtask run`: build, then the agent as root.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::{compile, setup, util};

/// Builds and runs `whodunit run ARGS`; its exit status becomes ours.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    setup::provision(false)?;
    compile::ebpf()?;
    let agent = compile::agent()?;
    let mut command = util::privileged(&agent.to_string_lossy())?;
    command.arg("run").args(args);
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", util::show(&command)))?;
    // 2 when a signal ended it; a person's Ctrl-C reaches the agent, which ends by itself.
    let code = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(2);
    Ok(ExitCode::from(code))
}
