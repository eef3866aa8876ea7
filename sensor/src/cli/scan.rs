//! `whodunit scan`: what is weak or odd about the units of a host, and who could change them.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use super::{exit, run::SeverityName};
use crate::config::Config;
use crate::detect::{except_results, mapping, posture};
use crate::emit::{Encoder, Format, Style, scan};
use crate::event::{Body, Event};
use crate::host::clock::ClockAnchor;
use crate::host::mounts::Mounts;
use crate::host::rooted::Root;
use crate::host::users::Users;
use crate::host::{Host, procs, random};
use crate::systemd::inventory::{self, Inventory};
use crate::systemd::presence;

/// Arguments of `scan`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Look at the tree in this directory, as of a mounted disk
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// How the results are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: FormatName,
    /// Show informational results in full, too
    #[arg(long)]
    all: bool,
    /// Exit with 1 when a result is at least this bad
    #[arg(long, value_name = "SEVERITY")]
    fail_on: Option<SeverityName>,
    /// Report published controls instead of results
    #[arg(long, value_name = "WHAT")]
    report: Option<Report>,
    /// Configuration, for its tunables and exceptions [default: /etc/whodunit/config.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatName {
    /// For people
    Text,
    /// One JSON object
    Json,
    /// OCSF 1.8.0 Compliance Findings, one JSON object a line
    Ocsf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Report {
    /// Data components, mitigations and controls mapped to T1053.006, with evidence
    Controls,
}

/// Looks at everything that systemd would run in a tree.
pub(crate) fn take_inventory(dir: &Path) -> anyhow::Result<(Root, Inventory)> {
    let dir =
        std::fs::canonicalize(dir).with_context(|| format!("cannot open {}", dir.display()))?;
    if !dir.is_dir() {
        bail!("{} is not a directory", dir.display());
    }
    let root = Root::at(&dir);
    let mut users = Users::at(root.place(Path::new("/etc/passwd")));
    if let Err(error) = users.refresh() {
        log::warn!("{error}; units of users are not looked at");
    }
    // Where managers run, their environment says where they look.
    let running = if root.is_host() {
        running(&users).unwrap_or_else(|error| {
            log::warn!("{error:#}; load paths are those of the defaults");
            Vec::new()
        })
    } else {
        Vec::new()
    };
    let paths = presence::load_paths_at(&dir, &users, &running);
    let inventory = inventory::collect(&root, &paths);
    Ok((root, inventory))
}

fn running(users: &Users) -> anyhow::Result<Vec<presence::RunningManager>> {
    let (clock, mounts) = (ClockAnchor::now()?, Mounts::read()?);
    let seed = procs::seed(&clock, users, &mounts)?;
    Ok(presence::running_managers(&seed.processes))
}

/// Whether standard output takes colours.
pub(crate) fn color() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !no_color
}

/// Scans.
pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = Config::read(arguments.config.as_deref())?;
    let (root, inventory) = take_inventory(&arguments.root)?;
    let mut results = posture::assess(&inventory, &config.tunables);
    let now = ClockAnchor::now()?.timestamp();
    let hits = except_results(&config.exceptions, &mut results, now);
    posture::sort(&mut results);
    let controls = arguments
        .report
        .map(|Report::Controls| mapping::report(&inventory, &results));
    let exceptions: Vec<_> = config.exceptions.iter().zip(hits).collect();
    let shown = root.dir().to_string_lossy();
    let summary = scan::Scan {
        root: &shown,
        time: now.wall_millis(),
        units: inventory.units.len(),
        places: inventory.places.len(),
        results: &results,
        exceptions: &exceptions,
    };
    let out = match (arguments.format, &controls) {
        (FormatName::Text, None) => scan::text(&summary, arguments.all, color()),
        (FormatName::Text, Some(controls)) => scan::controls_text(controls, color()),
        (FormatName::Json, controls) => scan::json(&summary, controls.as_deref())? + "\n",
        (FormatName::Ocsf, controls) => {
            let bodies: Vec<Body> = match controls {
                Some(controls) => controls
                    .iter()
                    .cloned()
                    .map(|it| Body::Control(Box::new(it)))
                    .collect(),
                None => results
                    .iter()
                    .cloned()
                    .map(|it| Body::Posture(Box::new(it)))
                    .collect(),
            };
            let host = Host::read_at(root.dir());
            let encoder = Encoder::new(Format::Ocsf, &host, Style::utc(false))?;
            let run = random::hex(8).context("cannot read random bytes")?;
            let mut out = Vec::new();
            for (sequence, body) in (1..).zip(bodies) {
                let event = Event {
                    uid: format!("scan-{run}-{sequence}"),
                    sequence,
                    time: now,
                    body,
                };
                encoder.encode(&event, &mut out)?;
            }
            String::from_utf8_lossy(&out).into_owned()
        }
    };
    std::io::stdout()
        .write_all(out.as_bytes())
        .context("cannot write to standard output")?;
    let worst = results.iter().map(|result| result.severity).max();
    let failed = arguments
        .fail_on
        .is_some_and(|limit| worst.is_some_and(|worst| worst >= limit.severity()));
    Ok(if failed {
        ExitCode::from(exit::FOUND)
    } else {
        ExitCode::SUCCESS
    })
}
