//! `whodunit timers`: every timer of every manager of this host, those too that
//! `systemctl list-timers` leaves out.

mod collect;
mod inside;
mod origin;
mod row;
mod text;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ValueEnum;
use jiff::tz::TimeZone;

use crate::store::DIRECTORY;

/// Arguments of `timers`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Those too that will not elapse: not started, not loaded, masked
    #[arg(long)]
    all: bool,
    /// One manager alone: system, user, user:1000, container, container:/machine.slice/…
    #[arg(long, value_name = "MANAGER")]
    manager: Option<String>,
    /// How the list is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Show times in UTC
    #[arg(long)]
    utc: bool,
    /// Read the files of the system in this directory, and ask no manager
    #[arg(long, value_name = "DIRECTORY")]
    root: Option<PathBuf>,
    /// Ask the store in this directory who wrote the files
    #[arg(long, value_name = "DIR", default_value = DIRECTORY)]
    state: PathBuf,
    /// List the container whose systemd is this process, as JSON: how the list of the host asks
    /// for it
    #[arg(long, value_name = "PID", hide = true, conflicts_with_all = ["root", "manager"])]
    inside: Option<u32>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Lists the timers.
pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    // Before another root is entered.
    let zone = if arguments.utc {
        TimeZone::UTC
    } else {
        TimeZone::system()
    };
    if let Some(tgid) = arguments.inside {
        let list = inside::list(tgid)?;
        return print(&format!("{}\n", serde_json::to_string(&list)?));
    }
    let mut list = match &arguments.root {
        Some(root) => inside::files_of(root)?,
        None => collect::host(arguments.manager.as_deref(), &arguments.state)?,
    };
    list.select(arguments.manager.as_deref(), arguments.all);
    print(&match arguments.format {
        Format::Text => text::render(&list, &zone),
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&list)?),
    })
}

/// Writes to stdout; whoever stopped reading has seen enough.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the list")
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
