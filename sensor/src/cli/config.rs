//! `whodunit config`.

use std::{path::PathBuf, process::ExitCode};

use crate::{config::Config, host::clock::ClockAnchor};

/// Arguments of `config`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, clap::Subcommand)]
enum Task {
    /// Say whether a configuration is right, and which exceptions have expired
    Check {
        /// The file [default: /etc/whodunit/config.toml]
        file: Option<PathBuf>,
    },
    /// Write the configuration as it is in force, with all defaults
    Dump {
        /// The file [default: /etc/whodunit/config.toml]
        file: Option<PathBuf>,
    },
}

/// Does what was asked for.
pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.task {
        Task::Check { file } => {
            let config = Config::read(file.as_deref())?;
            let now = ClockAnchor::now()?.timestamp();
            let expired: Vec<_> = config
                .exceptions
                .iter()
                .filter(|exception| !exception.holds(now))
                .collect();
            for exception in &expired {
                println!(
                    "the exception of {} for {} expired on {}",
                    exception.owner, exception.rule, exception.expires
                );
            }
            let holding = config.exceptions.len() - expired.len();
            let (tools, gone): (Vec<_>, Vec<_>) =
                config.managed.iter().partition(|tool| tool.holds(now));
            for tool in gone {
                println!(
                    "the trust of {} in {} expired on {}",
                    tool.owner, tool.program, tool.expires
                );
            }
            let tools = match tools.len() {
                0 => String::new(),
                count => format!(", and the trust in {count} tools of configuration management"),
            };
            println!("the configuration is right; {holding} exceptions hold{tools}");
        }
        Task::Dump { file } => print!("{}", Config::read(file.as_deref())?.to_toml()?),
    }
    Ok(ExitCode::SUCCESS)
}
