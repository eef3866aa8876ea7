//! `whodunit doctor`: what this host lets the agent see.

mod report;
mod text;

use std::process::ExitCode;

use clap::ValueEnum;

use super::{exit, run::TierName};
use crate::kernel::TierChoice;
use report::Report;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How the report is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Look at this tier alone, as `run --tier` does
    #[arg(long, value_name = "TIER")]
    tier: Option<TierName>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Attaches every probe for a moment and says what became of it.
pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let choice = arguments
        .tier
        .map_or(TierChoice::Best, |tier| TierChoice::Only(tier.tier()));
    let report = Report::make(choice);
    match arguments.format {
        Format::Text => print!("{}", text::render(&report)),
        Format::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(match report.failure {
        None => ExitCode::SUCCESS,
        Some(report::Failure::Privilege) => ExitCode::from(exit::PRIVILEGE),
        Some(report::Failure::Kernel) => ExitCode::from(exit::KERNEL),
    })
}
