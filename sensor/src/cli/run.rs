//! `whodunit run`.

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::ValueEnum;

use super::{baseline, exit};
use crate::{
    agent,
    config::{Config, DEFAULT_PATH},
    emit::{Format, Style, Target},
    event::{Severity, Tier},
    kernel::TierChoice,
};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How events are written [default: compact on a terminal, ocsf otherwise]
    #[arg(long, value_name = "FORMAT")]
    format: Option<FormatName>,
    /// Append events to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// End after this long: 90, 30s, 5m, 2h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// End after this many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Tell the end of processes too
    #[arg(long)]
    exits: bool,
    /// See file changes by this tier or not at all [default: the best that attaches]
    #[arg(long, value_name = "TIER")]
    tier: Option<TierName>,
    /// Configuration [default: /etc/whodunit/config.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Exit with 1 if there was a finding of this severity or above
    #[arg(long, value_name = "SEVERITY")]
    fail_on: Option<SeverityName>,
    /// Weigh findings by this saved state: see `whodunit baseline`
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Take the saved state only if this public key's owner signed it
    #[arg(long, value_name = "FILE", requires = "baseline")]
    baseline_key: Option<PathBuf>,
    /// Take a saved state without looking at its signature
    #[arg(long, requires = "baseline", conflicts_with = "baseline_key")]
    baseline_unsigned: bool,
    /// Keep what was seen in this directory, across restarts
    #[arg(long, value_name = "DIR", default_value = crate::store::DIRECTORY)]
    state: PathBuf,
    /// Keep nothing
    #[arg(long, conflicts_with = "state")]
    no_state: bool,
    /// When compact output has colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// Show times in UTC
    #[arg(long)]
    utc: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatName {
    /// Lines for people
    Compact,
    /// OCSF 1.8.0, one JSON object a line
    Ocsf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum TierName {
    /// BPF LSM programs
    Lsm,
    /// Fentry programs
    Fentry,
    /// Kprobes
    Kprobe,
    /// Fanotify marks, on kernels where no program attaches
    Tracepoint,
}

impl TierName {
    pub(crate) fn tier(self) -> Tier {
        match self {
            Self::Lsm => Tier::Lsm,
            Self::Fentry => Tier::Fentry,
            Self::Kprobe => Tier::Kprobe,
            Self::Tracepoint => Tier::Tracepoint,
        }
    }
}

/// Severities by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SeverityName {
    /// Any finding at all
    Informational,
    /// Worth a look some day
    Low,
    /// Worth a look
    Medium,
    /// Worth a look now
    High,
    /// Wake somebody
    Critical,
}

impl SeverityName {
    pub(crate) fn severity(self) -> Severity {
        match self {
            Self::Informational => Severity::Informational,
            Self::Low => Severity::Low,
            Self::Medium => Severity::Medium,
            Self::High => Severity::High,
            Self::Critical => Severity::Critical,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Runs the agent.
pub(crate) fn main(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments {
        format,
        output,
        duration,
        count,
        exits,
        tier,
        config,
        fail_on,
        baseline,
        baseline_key,
        baseline_unsigned,
        state,
        no_state,
        color,
        utc,
    } = arguments;
    let file = config.clone().unwrap_or_else(|| DEFAULT_PATH.into());
    let settings = [Some(file), baseline.clone(), baseline_key.clone()];
    let config = Config::read(config.as_deref())?;
    let baseline = match baseline {
        Some(file) => Some(baseline::load(
            &file,
            baseline_key.as_deref(),
            baseline_unsigned,
        )?),
        None => None,
    };
    let terminal = output.is_none() && std::io::stdout().is_terminal();
    let format = match format {
        Some(FormatName::Compact) => Format::Compact,
        Some(FormatName::Ocsf) => Format::Ocsf,
        None if terminal => Format::Compact,
        None => Format::Ocsf,
    };
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let color = match color {
        Color::Auto => terminal && !no_color,
        Color::Always => true,
        Color::Never => false,
    };
    let options = agent::Options {
        format,
        style: if utc {
            Style::utc(color)
        } else {
            Style::local(color)
        },
        target: output.map_or(Target::Stdout, Target::File),
        duration,
        count,
        tier: tier.map_or(TierChoice::Best, |tier| TierChoice::Only(tier.tier())),
        exits,
        config,
        baseline,
        state: (!no_state).then_some(state),
        settings: settings.into_iter().flatten().collect(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let totals = runtime.block_on(agent::run(options))?;
    eprintln!(
        "{} events, {} findings, {} lost",
        totals.events, totals.findings, totals.lost
    );
    let worst = totals.worst.zip(fail_on);
    Ok(match worst {
        Some((worst, limit)) if worst >= limit.severity() => ExitCode::from(exit::FOUND),
        _ => ExitCode::SUCCESS,
    })
}

/// Seconds, or a number with `s`, `m` or `h`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time: write 90, 30s, 5m or 2h");
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(factor)
        .map(Duration::from_secs)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        for wrong in ["", "s", "-1", "1.5s", "3d", "99999999999999999999"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
