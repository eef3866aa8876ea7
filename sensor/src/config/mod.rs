//! The configuration: `/etc/whodunit/config.toml`.
//!
//! Keys that are not known are errors: a mistyped one must not silently do nothing.

use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::detect::{ConfigurationManagement, Exception, Tunables, catalogue, posture};

/// Where the configuration is, if nothing else is said.
pub const DEFAULT_PATH: &str = "/etc/whodunit/config.toml";

/// Most bytes that are read.
const SIZE_MAX: u64 = 1 << 20;

/// What can be wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// cannot read {0}: {1}
    #[error("cannot read {}: {}", .0.display(), .1)]
    Read(PathBuf, std::io::Error),
    /// {0} is larger than 1 MiB
    #[error("{} is larger than 1 MiB: is it a configuration?", .0.display())]
    Size(PathBuf),
    /// {0}: {1}
    #[error("{}: {}", .0.display(), .1)]
    Syntax(PathBuf, toml::de::Error),
    /// {0}: configuration_management {1}: {2}
    #[error("{}: configuration_management {}: {}", .0.display(), .1, .2)]
    Managed(PathBuf, usize, String),
    /// {0}: exception {1}: {2}
    #[error("{}: exception {}: {}", .0.display(), .1, .2)]
    Exception(PathBuf, usize, String),
}

/// What the agent is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// What severities are weighed by.
    pub tunables: Tunables,
    /// What is expected.
    pub exceptions: Vec<Exception>,
    /// Tools that change units for those who keep the host.
    pub managed: Vec<ConfigurationManagement>,
}

/// The file, as it is written.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    analytic: Analytic,
    #[serde(default, rename = "exception")]
    exceptions: Vec<ExceptionEntry>,
    #[serde(default, rename = "configuration_management")]
    managed: Vec<ManagedEntry>,
}

/// The mutable elements of AN0645, by ATT&CK's names.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "PascalCase")]
struct Analytic {
    timer_interval_threshold: u64,
    #[serde(rename = "ParentProcessID")]
    parent_process_id: Vec<u32>,
    user_context: Vec<u32>,
    timer_creation_path: Vec<String>,
}

impl Default for Analytic {
    fn default() -> Self {
        let Tunables {
            timer_interval_threshold,
            parent_process_id,
            user_context,
            timer_creation_path,
        } = Tunables::default();
        Self {
            timer_interval_threshold,
            parent_process_id,
            user_context,
            timer_creation_path,
        }
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ExceptionEntry {
    rule: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    owner: String,
    reason: String,
    expires: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ManagedEntry {
    program: String,
    parent: String,
    path: String,
    owner: String,
    reason: String,
    expires: String,
}

impl Config {
    /// Reads a file. Without `path` the default one is read, which need not be there.
    pub fn read(path: Option<&Path>) -> Result<Self, ConfigError> {
        let file = path.unwrap_or(Path::new(DEFAULT_PATH));
        let failed = |error| ConfigError::Read(file.to_owned(), error);
        let length = match std::fs::metadata(file) {
            Ok(found) => found.len(),
            Err(error) if path.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(failed(error)),
        };
        if length > SIZE_MAX {
            return Err(ConfigError::Size(file.to_owned()));
        }
        let text = std::fs::read_to_string(file).map_err(failed)?;
        Self::parse(&text, file)
    }

    /// Parses the text of a file; `path` is for errors.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let file: File =
            toml::from_str(text).map_err(|error| ConfigError::Syntax(path.to_owned(), error))?;
        let Analytic {
            timer_interval_threshold,
            parent_process_id,
            user_context,
            timer_creation_path,
        } = file.analytic;
        let exceptions = file.exceptions.into_iter().enumerate();
        let exceptions = exceptions
            .map(|(at, entry)| {
                exception(entry).map_err(|why| ConfigError::Exception(path.to_owned(), at + 1, why))
            })
            .collect::<Result<_, _>>()?;
        let managed = file.managed.into_iter().enumerate();
        let managed = managed
            .map(|(at, entry)| {
                managed_by(entry).map_err(|why| ConfigError::Managed(path.to_owned(), at + 1, why))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            managed,
            tunables: Tunables {
                timer_interval_threshold,
                parent_process_id,
                user_context,
                timer_creation_path,
            },
            exceptions,
        })
    }

    /// The configuration as a file that says the same.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let Tunables {
            timer_interval_threshold,
            parent_process_id,
            user_context,
            timer_creation_path,
        } = self.tunables.clone();
        let exceptions = self.exceptions.iter().cloned();
        let managed = self.managed.iter().cloned();
        toml::to_string(&File {
            analytic: Analytic {
                timer_interval_threshold,
                parent_process_id,
                user_context,
                timer_creation_path,
            },
            exceptions: exceptions
                .map(|exception| ExceptionEntry {
                    rule: exception.rule,
                    unit: exception.unit,
                    path: exception.path,
                    owner: exception.owner,
                    reason: exception.reason,
                    expires: exception.expires.to_string(),
                })
                .collect(),
            managed: managed
                .map(|tool| ManagedEntry {
                    program: tool.program,
                    parent: tool.parent,
                    path: tool.path,
                    owner: tool.owner,
                    reason: tool.reason,
                    expires: tool.expires.to_string(),
                })
                .collect(),
        })
    }
}

fn exception(entry: ExceptionEntry) -> Result<Exception, String> {
    let mut known = catalogue::RULES.iter().chain(&posture::CHECKS);
    if !known.any(|rule| rule.id == entry.rule) {
        return Err(format!(
            "there is no rule `{}`, of findings or checks; see docs/FINDINGS.md and docs/CHECKS.md",
            entry.rule
        ));
    }
    if entry.unit.is_none() && entry.path.is_none() {
        return Err("say for which `unit` or `path` it is".to_owned());
    }
    let expires = answered(&entry.owner, &entry.reason, &entry.expires)?;
    Ok(Exception {
        rule: entry.rule,
        unit: entry.unit,
        path: entry.path,
        owner: entry.owner,
        reason: entry.reason,
        expires,
    })
}

fn managed_by(entry: ManagedEntry) -> Result<ConfigurationManagement, String> {
    let places = [
        ("program", &entry.program),
        ("parent", &entry.parent),
        ("path", &entry.path),
    ];
    for (name, value) in places {
        if !value.starts_with('/') {
            return Err(format!("`{name} = {value:?}` is no absolute path"));
        }
    }
    if entry.path.trim_end_matches('/').is_empty() {
        return Err("`path` is everything: name the directory that it writes to".to_owned());
    }
    let expires = answered(&entry.owner, &entry.reason, &entry.expires)?;
    Ok(ConfigurationManagement {
        program: entry.program,
        parent: entry.parent,
        path: entry.path,
        owner: entry.owner,
        reason: entry.reason,
        expires,
    })
}

/// The last day of something that somebody answers for.
fn answered(owner: &str, reason: &str, expires: &str) -> Result<Date, String> {
    for (name, value) in [("owner", owner), ("reason", reason)] {
        if value.trim().is_empty() {
            return Err(format!("`{name}` is empty"));
        }
    }
    let date = expires.parse();
    date.map_err(|_| format!("`expires = {expires:?}` is not a date such as 2027-01-31"))
}

#[cfg(test)]
mod tests;
