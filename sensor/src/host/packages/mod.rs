//! Which package a file belongs to, and whether it is as the package brought it: read from dpkg's
//! database, or rpm's, directly. Neither is ever run: it would have to be trusted and waited for.
//!
//! The database is root's to write: it tells what a package manager recorded, not what is good.

mod header;
mod index;
mod lists;
pub mod rpm;
mod status;
mod unpacking;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::files::{ReadError, read_regular};
use crate::event::{PackageFile, Shipped};
pub use header::{Algorithm, Header, HeaderFile};
use index::Index;
pub use lists::{Diversion, digest_of, diversions, paths};
use rpm::{Rpm, Sums};
pub use status::{Stanza, stanzas};

/// An MD5 digest, by which dpkg knows files. Good enough against accidents, not against somebody
/// who made both files.
pub type Md5 = [u8; 16];

/// Largest file of the database that is read.
const FILE_MAX: u64 = 64 << 20;
/// Directories that lie in `/usr` since the merge, of which packages still name the old place.
const MERGED: [&str; 7] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32"];

/// The database of packages of this host.
#[derive(Debug)]
pub struct Packages {
    root: PathBuf,
    index: Index,
    rpm: Rpm,
    /// What could not be read, until it was told.
    gap: Option<String>,
    /// Whether it was said that the index is full.
    said_full: bool,
}

/// A package that may own a file.
#[derive(Debug)]
struct Candidate {
    /// The name by which its files in `info/` go: with the architecture where there are several.
    name: String,
    /// The path as its list has it.
    path: Vec<u8>,
}

impl Default for Packages {
    fn default() -> Self {
        Self::at("/")
    }
}

impl Packages {
    /// The database below `root`. Nothing is read yet.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            index: Index::at(root.join("var/lib/dpkg")),
            rpm: Rpm::at(root.clone()),
            root,
            gap: None,
            said_full: false,
        }
    }

    /// Reads at most `count` more lists ahead of the first question. Says whether more is to be read.
    pub fn read_ahead(&mut self, count: usize) -> bool {
        let more = self.index.refresh(Some(count));
        let debs = self.noted(more).unwrap_or(false);
        let rpms = self.rpm.read_ahead(count).unwrap_or_else(|error| {
            self.gap = Some(format!("the database of packages: {error}"));
            false
        });
        debs || rpms
    }

    /// Whether there is a database of a kind that is read.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.index.admin().join("status").is_file() || self.rpm.is_there()
    }

    /// The package that `path` belongs to. `md5` and `sha256` (hex) are of what it holds now.
    pub fn owner(
        &mut self,
        path: &Path,
        md5: Option<&Md5>,
        sha256: Option<&str>,
    ) -> Option<PackageFile> {
        self.debs(path, md5)
            .or_else(|| self.rpms(path, md5, sha256))
    }

    fn rpms(
        &mut self,
        path: &Path,
        md5: Option<&Md5>,
        sha256: Option<&str>,
    ) -> Option<PackageFile> {
        let mut spellings = self.spellings(path.as_os_str().as_bytes());
        // /usr/sbin became a link to bin later than the others (Fedora 42).
        let sbin = path
            .to_str()
            .and_then(|path| path.strip_prefix("/usr/bin/"));
        spellings.extend(sbin.map(|name| format!("/usr/sbin/{name}").into_bytes()));
        for spelling in spellings {
            let path = Path::new(OsStr::from_bytes(&spelling));
            match self.rpm.owner(path, Sums { md5, sha256 }) {
                Ok(None) => {}
                Ok(found) => return found,
                Err(error) => {
                    self.gap = Some(format!("the database of packages: {error}"));
                    return None;
                }
            }
        }
        None
    }

    fn debs(&mut self, path: &Path, md5: Option<&Md5>) -> Option<PackageFile> {
        let path = path.as_os_str().as_bytes();
        let mut best: Option<PackageFile> = None;
        // Listed, and with its new digest, only once it is unpacked, which this may be the middle of:
        // what was not moved yet in the first pass may be gone from there when it is looked for,
        // and is found in the second.
        for _ in 0..2 {
            let refreshed = self.index.refresh(None);
            self.noted(refreshed)?;
            let installed = self.installed(path, md5);
            let is_same = |owner: &&PackageFile| owner.shipped == Shipped::Same;
            if installed.as_ref().filter(is_same).is_some() {
                return installed;
            }
            let unpacking = self.unpacking(path, md5);
            if unpacking.as_ref().filter(is_same).is_some() {
                return unpacking;
            }
            let known = |owner: &PackageFile| owner.shipped != Shipped::NoDigest;
            best = match (unpacking, installed) {
                (Some(now), Some(before)) if known(&before) && !known(&now) => Some(before),
                (now, before) => now.or(before).or(best),
            };
        }
        best
    }

    /// The package that `path` belonged to until lately: dpkg forgets what it removes, and whoever asks
    /// a moment later finds it listed no more.
    pub fn former_owner(&mut self, path: &Path) -> Option<PackageFile> {
        let spellings = self.spellings(path.as_os_str().as_bytes());
        let name = spellings
            .iter()
            .find_map(|path| self.index.formerly(path))?;
        Some(PackageFile {
            package: name.to_owned(),
            version: None,
            shipped: Shipped::NoContent,
        })
    }

    /// What could not be read, once.
    pub fn take_gap(&mut self) -> Option<String> {
        let full = self.index.is_full() || self.rpm.is_full();
        if full && !std::mem::replace(&mut self.said_full, true) {
            self.gap = Some("packages have more files than are kept in memory".to_owned());
        }
        if let Some(error) = self.rpm.take_gap() {
            self.gap = Some(format!("the database of packages: {error}"));
        }
        self.gap.take()
    }

    fn installed(&mut self, path: &[u8], md5: Option<&Md5>) -> Option<PackageFile> {
        let mut best: Option<PackageFile> = None;
        for Candidate { name, path } in self.candidates(path) {
            let shipped = match self.digest(&name, &path) {
                None => Shipped::NoDigest,
                Some(sum) => compare(&sum, md5),
            };
            // Several packages may list a path: the one whose content it is comes first.
            if best.is_none() || shipped == Shipped::Same {
                let version = self
                    .index
                    .status(&name)
                    .map(|status| status.version.clone());
                best = Some(PackageFile {
                    package: name,
                    version: version.filter(|version| !version.is_empty()),
                    shipped,
                });
            }
            if shipped == Shipped::Same {
                break;
            }
        }
        best
    }

    /// Packages that list what lies at `path`, with diversions and the merged /usr in mind.
    fn candidates(&mut self, path: &[u8]) -> Vec<Candidate> {
        let mut found = Vec::new();
        for path in self.spellings(path) {
            let mut listed = path.clone();
            let (mut only, mut but) = (None, None);
            if let Some(Diversion { from, by, .. }) = self.index.diverted_to(&path) {
                // Somebody's file that was moved out of the way.
                listed = from.to_vec();
                but = by.clone();
            } else if let Some(diversion) = self.index.diverted_from(&path) {
                match &diversion.by {
                    Some(by) => only = Some(by.clone()),
                    None => continue,
                }
            }
            let read = self.index.listing(&listed);
            for name in self.noted(read).unwrap_or_default() {
                let is = |by: &String| name == *by || name.split(':').next() == Some(by);
                if only.as_ref().is_none_or(is) && !but.as_ref().is_some_and(is) {
                    found.push(Candidate {
                        name,
                        path: listed.clone(),
                    });
                }
            }
        }
        found
    }

    /// A path as packages may write it: before and after the merge of /usr.
    fn spellings(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let mut spellings = vec![path.to_vec()];
        let merged = |name: &[u8]| {
            let known = MERGED.iter().any(|dir| dir.as_bytes() == name);
            let at = self.root.join(OsStr::from_bytes(name));
            known && fs::symlink_metadata(at).is_ok_and(|meta| meta.is_symlink())
        };
        let first = |rest: &[u8]| rest.split(|&byte| byte == b'/').next().is_some_and(merged);
        let other = match path.strip_prefix(b"/usr/") {
            Some(rest) => first(rest).then(|| [b"/", rest].concat()),
            None => path
                .strip_prefix(b"/")
                .filter(|rest| first(rest))
                .map(|rest| [b"/usr/", rest].concat()),
        };
        spellings.extend(other);
        spellings
    }

    /// What the package `name` brought at `path`.
    fn digest(&mut self, name: &str, path: &[u8]) -> Option<Md5> {
        let conffile = self.index.status(name).and_then(|status| {
            let found = status
                .conffiles
                .iter()
                .find(|(conffile, _)| **conffile == *path);
            found.map(|(_, sum)| *sum)
        });
        conffile.or_else(|| {
            let read = read_optional(&self.index.info().join(format!("{name}.md5sums")));
            digest_of(&self.noted(read)??, path)
        })
    }

    fn noted<T>(&mut self, result: Result<T, ReadError>) -> Option<T> {
        result
            .map_err(|error| self.gap = Some(format!("the database of packages: {error}")))
            .ok()
    }
}

fn compare(shipped: &Md5, found: Option<&Md5>) -> Shipped {
    match found {
        None => Shipped::NoContent,
        Some(found) if found == shipped => Shipped::Same,
        Some(_) => Shipped::Different,
    }
}

/// 32 hex digits.
fn digest(hex: &[u8]) -> Option<Md5> {
    let mut sum = Md5::default();
    if hex.len() != 2 * sum.len() {
        return None;
    }
    for (byte, pair) in sum.iter_mut().zip(hex.chunks(2)) {
        let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(sum)
}

/// A file of the database; `None` when there is none.
fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, ReadError> {
    match read_regular(path, FILE_MAX) {
        Ok((bytes, _)) => Ok(Some(bytes)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
