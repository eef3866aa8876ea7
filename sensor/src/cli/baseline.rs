//! `whodunit baseline`: the trusted state of a host, saved, signed and compared.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Subcommand, ValueEnum};
use serde::Serialize;

use super::exit;
use super::run::SeverityName;
use super::scan::{color, take_inventory};
use crate::detect::baseline::{Difference, PublicKey, SecretKey, State, diff, read, write};
use crate::emit::printable;
use crate::event::Severity;
use crate::host::clock::ClockAnchor;
use crate::host::files::read_regular;
use crate::host::{Host, random};

/// Largest baseline that is read.
const BASELINE_MAX: u64 = 256 << 20;
/// Largest key file that is read.
const KEY_MAX: u64 = 4096;

/// Arguments of `baseline`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Save the state of this host as the one to trust
    Save(Save),
    /// Compare this host with a saved state; exit with 1 when it differs
    Diff(Diff),
    /// Make a key to sign baselines with: FILE, which is secret, and FILE.pub, which checks
    Keygen(Keygen),
}

#[derive(Debug, clap::Args)]
struct Save {
    /// Where to save it; replaced if it is there
    file: PathBuf,
    /// Take the state of the tree in this directory
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Sign with this secret key
    #[arg(long, value_name = "FILE", required_unless_present = "unsigned")]
    key: Option<PathBuf>,
    /// Do not sign: whoever can write the file can change it
    #[arg(long, conflicts_with = "key")]
    unsigned: bool,
}

#[derive(Debug, clap::Args)]
struct Diff {
    /// The saved state
    file: PathBuf,
    /// Compare the tree in this directory
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Take the state only if this public key's owner signed it
    #[arg(long, value_name = "FILE", required_unless_present = "unsigned")]
    key: Option<PathBuf>,
    /// Do not ask for a signature
    #[arg(long, conflicts_with = "key")]
    unsigned: bool,
    /// How the differences are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: FormatName,
    /// Exit with 1 when a difference is at least this bad
    #[arg(long, value_name = "SEVERITY", default_value = "low")]
    fail_on: SeverityName,
}

#[derive(Debug, clap::Args)]
struct Keygen {
    /// Where the secret key goes
    file: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatName {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Does what the subcommand says.
pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::Save(arguments) => save(arguments),
        Command::Diff(arguments) => compare(arguments),
        Command::Keygen(arguments) => keygen(arguments),
    }
}

/// Reads a saved state, as `baseline diff` and `run --baseline` do.
pub(crate) fn load(file: &Path, key: Option<&Path>, unsigned: bool) -> anyhow::Result<State> {
    let key = match key {
        Some(path) => {
            let text = key_text(path)?;
            let key = PublicKey::parse(&text);
            Some(key.with_context(|| format!("{}", path.display()))?)
        }
        None => None,
    };
    let (bytes, _) = read_regular(file, BASELINE_MAX)?;
    read(&bytes, key.as_ref(), unsigned).with_context(|| format!("{}", file.display()))
}

fn key_text(path: &Path) -> anyhow::Result<String> {
    let (bytes, _) = read_regular(path, KEY_MAX)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn state_of(root: &Path) -> anyhow::Result<State> {
    let (root, inventory) = take_inventory(root)?;
    for problem in &inventory.problems {
        log::warn!("{problem}");
    }
    let host = Host::read_at(root.dir());
    let name = host.hostname.unwrap_or_else(|| "unknown".to_owned());
    let time = ClockAnchor::now()?.timestamp().wall_millis();
    Ok(State::of(&inventory, &name, time))
}

fn save(arguments: &Save) -> anyhow::Result<ExitCode> {
    let key = match &arguments.key {
        Some(path) => {
            let key = SecretKey::parse(&key_text(path)?);
            Some(key.with_context(|| format!("{}", path.display()))?)
        }
        None => None,
    };
    let state = state_of(&arguments.root)?;
    let bytes = write(&state, key.as_ref())?;
    replace(&arguments.file, &bytes)?;
    eprintln!(
        "{} units and {} files in {}{}",
        state.units.len(),
        state.files.len(),
        arguments.file.display(),
        if key.is_some() {
            ", signed"
        } else {
            ", not signed"
        },
    );
    Ok(ExitCode::SUCCESS)
}

/// Puts a file in place whole, or not at all.
fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let name = path
        .file_name()
        .context("the file has no name")?
        .to_string_lossy()
        .into_owned();
    let suffix = random::hex(6).context("cannot read random bytes")?;
    let new = path.with_file_name(format!(".{name}.{suffix}"));
    let written = create(&new, bytes).and_then(|()| {
        std::fs::rename(&new, path).with_context(|| format!("cannot write {}", path.display()))
    });
    if written.is_err() {
        // What cannot be removed was not made.
        let _ = std::fs::remove_file(&new);
    }
    written
}

fn create(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let context = || format!("cannot write {}", path.display());
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(context)?;
    file.write_all(bytes).with_context(context)?;
    file.sync_all().with_context(context)
}

fn keygen(arguments: &Keygen) -> anyhow::Result<ExitCode> {
    let mut public_path = arguments.file.clone().into_os_string();
    public_path.push(".pub");
    let public_path = PathBuf::from(public_path);
    if public_path.exists() {
        bail!("{} is there already", public_path.display());
    }
    let seed = random::bytes::<32>().context("cannot read random bytes")?;
    let key = SecretKey::from_seed(&seed);
    create(&arguments.file, key.to_text().as_bytes())?;
    create(&public_path, key.public().to_text().as_bytes())?;
    eprintln!(
        "{} signs: keep it off the hosts that it is for. {} checks: give it to them.",
        arguments.file.display(),
        public_path.display(),
    );
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct Report<'a> {
    baseline_time: u64,
    baseline_host: &'a str,
    differences: Vec<DifferenceObject<'a>>,
}

#[derive(Serialize)]
struct DifferenceObject<'a> {
    what: &'static str,
    kind: &'static str,
    subject: &'a str,
    severity: &'static str,
    details: &'a [String],
}

fn compare(arguments: &Diff) -> anyhow::Result<ExitCode> {
    let before = load(
        &arguments.file,
        arguments.key.as_deref(),
        arguments.unsigned,
    )?;
    let now = state_of(&arguments.root)?;
    let differences = diff(&before, &now);
    let out = match arguments.format {
        FormatName::Text => text(&differences, color()),
        FormatName::Json => {
            let objects = differences.iter().map(|it| DifferenceObject {
                what: it.what.as_str(),
                kind: it.kind,
                subject: &it.subject,
                severity: it.severity.as_str(),
                details: &it.details,
            });
            let report = Report {
                baseline_time: before.time,
                baseline_host: &before.host,
                differences: objects.collect(),
            };
            serde_json::to_string_pretty(&report)? + "\n"
        }
    };
    std::io::stdout()
        .write_all(out.as_bytes())
        .context("cannot write to standard output")?;
    let limit = arguments.fail_on.severity();
    Ok(if differences.iter().any(|it| it.severity >= limit) {
        ExitCode::from(exit::FOUND)
    } else {
        ExitCode::SUCCESS
    })
}

fn text(differences: &[Difference], color: bool) -> String {
    let mut out = String::new();
    for it in differences {
        let (on, off) = match it.severity {
            _ if !color => ("", ""),
            Severity::Critical | Severity::High => ("\x1b[1;31m", "\x1b[0m"),
            Severity::Medium => ("\x1b[33m", "\x1b[0m"),
            Severity::Low => ("\x1b[36m", "\x1b[0m"),
            Severity::Informational => ("\x1b[2m", "\x1b[0m"),
        };
        out.push_str(&format!(
            "{on}{:<13}{off} {:<7} {:<4} {}\n",
            it.severity.as_str(),
            it.what.as_str(),
            it.kind,
            printable(&it.subject),
        ));
        for detail in &it.details {
            out.push_str(&format!("    {}\n", printable(detail)));
        }
    }
    if differences.is_empty() {
        out.push_str("as in the baseline\n");
    }
    out
}
