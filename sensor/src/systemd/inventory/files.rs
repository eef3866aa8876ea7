//! Facts about single files, each looked at once.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::{FileFacts, Owned};
use crate::event::{PackageFile, Shipped};
use crate::host::files::hex;
use crate::host::packages::Packages;
use crate::host::rooted::Root;

/// Largest file whose content is hashed.
pub(super) const HASHED_MAX: u64 = 1 << 30;

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
        let packages = Packages::at(root.dir());
        Self {
            root,
            has_packages: packages.is_there(),
            packages,
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
                self.known.insert(key.clone(), looked.clone());
                looked
            }
        };
        let owned = match owned {
            Owned::No if path != key => self.link_owner(path, regular),
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
        let (mut md5, mut sha256) = (None, None);
        if regular {
            match self.digests(path) {
                Ok(digests) => (md5, sha256) = (Some(digests.0), Some(digests.1)),
                Err(problem) => self.problems.push(problem),
            }
        }
        let owner = self.owner(path, md5.as_ref(), sha256.as_deref());
        (sha256, owner)
    }

    /// MD5, by which packages know a file, and SHA-256 in hex.
    fn digests(&self, path: &Path) -> Result<([u8; 16], String), String> {
        let file = self.root.open(path, HASHED_MAX);
        let mut file = file.map_err(|error| error.to_string())?.take(HASHED_MAX);
        let (mut md5, mut sha256) = (Md5::new(), Sha256::new());
        let mut buffer = vec![0; 128 << 10];
        loop {
            let count = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
            };
            let bytes = buffer.get(..count).unwrap_or_default();
            md5.update(bytes);
            sha256.update(bytes);
        }
        Ok((md5.finalize().into(), hex(&sha256.finalize())))
    }

    /// Whom a path belongs to that leads to a file of nobody's.
    fn link_owner(&mut self, path: &Path, regular: bool) -> Owned {
        match self.owner(path, None, None) {
            // A package brought a file, and now a link is there.
            Owned::By(file) if file.shipped == Shipped::NoContent => Owned::By(PackageFile {
                shipped: Shipped::Different,
                ..file
            }),
            // A package's link to what is no file, as a mask.
            Owned::By(file) if !regular => Owned::By(file),
            // The link is a package's, what it leads to is not.
            _ => Owned::No,
        }
    }

    fn owner(&mut self, path: &Path, md5: Option<&[u8; 16]>, sha256: Option<&str>) -> Owned {
        if !self.has_packages {
            return Owned::Unknown;
        }
        let owner = self.packages.owner(path, md5, sha256);
        self.problems.extend(self.packages.take_gap());
        owner.map_or(Owned::No, Owned::By)
    }
}
