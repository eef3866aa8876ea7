//! Where a timer's file comes from: the database of packages, and what the agent's store knows.

use std::path::{Path, PathBuf};

use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::collect::List;
use super::row::{Origin, Row};
use crate::emit::compact;
use crate::event::Shipped;
use crate::host::Host;
use crate::host::files::read_regular;
use crate::host::lookup;
use crate::host::packages::Packages;
use crate::store::{History, StoreError, Version, VersionWriter};
use crate::systemd::unit_file::FILE_MAX;

/// Asks for each file that defines a timer.
#[derive(Debug)]
pub(super) struct Origins {
    packages: Packages,
    history: Option<History>,
}

impl Origins {
    /// Of this root's files, by its database of packages alone.
    pub(super) fn of_packages() -> Self {
        Self {
            packages: Packages::default(),
            history: None,
        }
    }

    /// Of this host's files, by its database of packages and the store in `state`.
    pub(super) fn of_host(state: &Path) -> Self {
        let host = Host::read();
        let boot = host.boot_id.as_deref().unwrap_or("unknown");
        let history = match History::open(state, boot) {
            Ok(history) => Some(history),
            // No agent ran here, or whoever asks may not look.
            Err(error @ (StoreError::Missing { .. } | StoreError::Directory { .. })) => {
                log::debug!("{error}; who wrote the files is not known");
                None
            }
            Err(error) => {
                log::warn!("{error}; who wrote the files is not known");
                None
            }
        };
        Self {
            packages: Packages::default(),
            history,
        }
    }

    /// Fills in the origins of all rows.
    pub(super) fn fill(&mut self, list: &mut List) {
        for row in &mut list.timers {
            row.origin = self.of(row);
        }
        if let Some(gap) = self.packages.take_gap() {
            log::warn!("{gap}");
        }
    }

    fn of(&mut self, row: &Row) -> Option<Origin> {
        let file = Path::new(row.file.as_deref()?);
        let mut origin = Origin::default();
        let limit = u64::try_from(FILE_MAX).unwrap_or(u64::MAX);
        let bytes = read_regular(file, limit).ok().map(|(bytes, _)| bytes);
        let md5 = bytes.as_ref().map(|bytes| Md5::digest(bytes).into());
        let sha256 = bytes.as_ref().map(|bytes| hex(&Sha256::digest(bytes)));
        let owner = self.packages.owner(file, md5.as_ref(), sha256.as_deref());
        if let Some(owner) = owner {
            origin.as_shipped = match owner.shipped {
                Shipped::Same => Some(true),
                Shipped::Different => Some(false),
                Shipped::NoDigest | Shipped::NoContent => None,
            };
            origin.package = Some(owner.package);
        }
        origin.writer = self.writer(file);
        (origin != Origin::default()).then_some(origin)
    }

    /// Who made the latest version of a file: who asked for it, where a manager wrote it for
    /// somebody.
    fn writer(&self, file: &Path) -> Option<String> {
        let history = self.history.as_ref()?;
        let mut names = vec![file.to_owned()];
        names.extend(real(file).filter(|real| real != file));
        for name in names {
            let versions = match history.versions(&name.to_string_lossy()) {
                Ok(versions) => versions,
                Err(error) => {
                    log::warn!("{error}");
                    return None;
                }
            };
            let latest = versions.into_iter().rfind(|version| version.latest);
            if let Some(version) = latest {
                return by(&version);
            }
        }
        None
    }
}

fn by(version: &Version) -> Option<String> {
    let actor = match (&version.requester, &version.writer) {
        (Some(requester), _) => &requester.by,
        (None, VersionWriter::Known(actor)) => actor,
        (None, VersionWriter::UnknownSince(_) | VersionWriter::Before) => return None,
    };
    Some(compact::who(&actor.process, &actor.ancestry))
}

/// The name without links on the way: the store has that. A link itself is a file of its own.
fn real(file: &Path) -> Option<PathBuf> {
    let directory = lookup::real_path(file.parent()?, &[]).ok()?;
    Some(directory.join(file.file_name()?))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
