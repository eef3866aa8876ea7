//! Facts about single files, each looked at once.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::{FileFacts, Owned};
use crate::host::packages::Packages;
use crate::host::rooted::Root;

/// Largest file whose content is hashed.
pub(super) const HASHED_MAX: u64 = 64 << 20;

/// Largest file whose text is kept.
const TEXT_MAX: u64 = 64 << 10;

/// Looks at files of one tree.
pub(super) struct Files<'a> {
    pub(super) root: &'a Root,
    packages: Packages,
    has_packages: bool,
    /// Digest and owner by the path without links.
    known: HashMap<PathBuf, (Option<String>, Owned)>,
    pub(super) problems: Vec<String>,
}

impl<'a> Files<'a> {
    pub(super) fn new(root: &'a Root) -> Self {
        let database = root.place(Path::new("/var/lib/dpkg/status"));
        Self {
            root,
            packages: Packages::at(root.dir()),
            has_packages: database.is_file(),
            known: HashMap::new(),
            problems: Vec::new(),
        }
    }

    pub(super) fn has_packages(&self) -> bool {
        self.has_packages
    }

    /// What is to be known of the file that `path` names.
    pub(super) fn facts(&mut self, path: &Path) -> FileFacts {
        let trace = self.root.trace(path);
        let regular = trace.inode().is_some_and(|inode| inode.is(libc::S_IFREG));
        let key = trace.found().unwrap_or(path).to_owned();
        let (sha256, owned) = match self.known.get(&key) {
            Some(known) => known.clone(),
            None => {
                let looked = self.look(&key, regular);
                self.known.insert(key, looked.clone());
                looked
            }
        };
        // A link may belong to a package when what it leads to does not.
        let owned = match owned {
            Owned::No => self.owner(path, None),
            owned => owned,
        };
        FileFacts {
            path: path.to_owned(),
            trace,
            sha256,
            owned,
            text: None,
        }
    }

    /// As [`Files::facts`], with the text where it is not as a package brought it: of scripts, and
    /// with `any` of whatever else is short enough.
    pub(super) fn facts_with_text(&mut self, path: &Path, any: bool) -> FileFacts {
        let mut facts = self.facts(path);
        let regular = facts.inode().is_some_and(|inode| inode.is(libc::S_IFREG));
        if !facts.is_shipped() && regular {
            // What is too long is no script that a person wrote.
            let bytes = self.root.read(path, TEXT_MAX).unwrap_or_default();
            if any || bytes.starts_with(b"#!") {
                facts.text = Some(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        facts
    }

    fn look(&mut self, path: &Path, regular: bool) -> (Option<String>, Owned) {
        let read = regular.then(|| self.root.read(path, HASHED_MAX));
        let bytes = match read {
            Some(Ok(bytes)) => Some(bytes),
            Some(Err(error)) => {
                self.problems.push(error.to_string());
                None
            }
            None => None,
        };
        let md5 = bytes.as_ref().map(|bytes| Md5::digest(bytes).into());
        let sha256 = bytes.map(|bytes| hex(&Sha256::digest(&bytes)));
        (sha256, self.owner(path, md5.as_ref()))
    }

    fn owner(&mut self, path: &Path, md5: Option<&[u8; 16]>) -> Owned {
        if !self.has_packages {
            return Owned::Unknown;
        }
        let owner = self.packages.owner(path, md5);
        self.problems.extend(self.packages.take_gap());
        owner.map_or(Owned::No, Owned::By)
    }
}

/// Bytes in hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            // Writing to a String cannot fail.
            let _ = write!(out, "{byte:02x}");
            out
        })
}
