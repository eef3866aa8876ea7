//! `whodunit why`: who caused a unit, a file, a process or a finding, from the store.

mod ask;
mod graph;
mod package;
mod subject;
mod text;
mod tree;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

use super::exit;
use crate::host::Host;
use crate::store::{DIRECTORY, History, StoreError};
use ask::Asker;
use subject::Subject;

/// Arguments of `why`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A unit, the path of a file, a process id, or the uid of a finding
    #[arg(value_name = "UNIT|PATH|PID|FINDING")]
    subject: String,
    /// How the answer is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Ask the store in this directory
    #[arg(long, value_name = "DIR", default_value = DIRECTORY)]
    state: PathBuf,
    /// Show times in UTC
    #[arg(long)]
    utc: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A tree for people
    Text,
    /// One JSON object
    Json,
    /// A graph for Graphviz
    Dot,
    /// A graph for Mermaid
    Mermaid,
}

/// Answers, or says what is missing for an answer.
pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let host = Host::read();
    let boot = host.boot_id.as_deref().unwrap_or("unknown");
    let history = match History::open(&arguments.state, boot) {
        Ok(history) => history,
        Err(error) => return Ok(cannot_open(arguments, &error)),
    };
    let asker = Asker::new(&history, arguments.utc)?;
    let subject = Subject::parse(&arguments.subject);
    let Some(tree) = asker.answer(&subject)? else {
        eprintln!("whodunit: {}", subject.unknown());
        return Ok(ExitCode::from(exit::USAGE));
    };
    let out = match arguments.format {
        Format::Text => text::render(&tree),
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&tree)?),
        Format::Dot => graph::dot(&tree),
        Format::Mermaid => graph::mermaid(&tree),
    };
    match std::io::stdout().write_all(out.as_bytes()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn cannot_open(arguments: &Arguments, error: &StoreError) -> ExitCode {
    let privileged = nix::unistd::geteuid().is_root();
    let directory = arguments.state.display();
    match error {
        StoreError::Missing { .. } => {
            eprintln!("whodunit: {error}: `whodunit run --state {directory}` makes one");
            ExitCode::from(exit::USAGE)
        }
        StoreError::Directory { .. } if !privileged => {
            eprintln!("whodunit: {error}: the store is for root alone");
            ExitCode::from(exit::PRIVILEGE)
        }
        _ => {
            eprintln!("whodunit: {error}");
            ExitCode::from(exit::USAGE)
        }
    }
}
