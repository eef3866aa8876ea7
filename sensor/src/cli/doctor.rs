//! `whodunit doctor`.

use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn main(_: &Arguments) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
