//! The package that dpkg is unpacking: its description lies in `tmp.ci` until its files are in their
//! places and entered into the database.

use std::path::PathBuf;

use super::{Md5, Packages, compare, digest_of, paths, read_optional, stanzas};
use crate::{
    event::{PackageFile, Shipped},
    host::files::FileStamp,
};

impl Packages {
    fn control(&self) -> PathBuf {
        self.index.admin().join("tmp.ci/control")
    }

    /// The package that is being unpacked, if it brings `path`: dpkg keeps what describes it in
    /// `tmp.ci` until the files are in place.
    pub(super) fn unpacking(&mut self, path: &[u8], md5: Option<&Md5>) -> Option<PackageFile> {
        let dir = self.index.admin().join("tmp.ci");
        let control = read_optional(&dir.join("control"));
        let stanza = stanzas(&self.noted(control)??).next()?;
        let sums = read_optional(&dir.join("md5sums"));
        let sums = self.noted(sums)?.unwrap_or_default();
        let conffiles = read_optional(&dir.join("conffiles"));
        let conffiles = self.noted(conffiles)?.unwrap_or_default();
        let spellings = self.spellings(path);
        let digest = spellings.iter().find_map(|path| digest_of(&sums, path));
        let named = || {
            let mut named = paths(&conffiles);
            named.any(|conffile| spellings.iter().any(|path| path == conffile))
        };
        let shipped = match digest {
            Some(sum) => compare(&sum, md5),
            None if named() => Shipped::NoDigest,
            None => return None,
        };
        Some(PackageFile {
            package: stanza.file_name(),
            version: Some(stanza.version.clone()).filter(|version| !version.is_empty()),
            shipped,
        })
    }

    /// The package that was being unpacked at `time`, in nanoseconds since the epoch: its
    /// description was there before that, and is the only one. Whatever dpkg put in its place then
    /// is that package's, also where nothing lists it yet: a link, or a file without a digest.
    pub fn unpacking_at(&mut self, time: u64) -> Option<PackageFile> {
        let path = self.control();
        let stamp = FileStamp::at(&path)?;
        let (seconds, nanoseconds) = stamp.ctime;
        let made = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
        if made >= i128::from(time) {
            return None;
        }
        let control = read_optional(&path);
        let stanza = stanzas(&self.noted(control)??).next()?;
        // Another one's by now.
        (FileStamp::at(&path) == Some(stamp)).then(|| PackageFile {
            package: stanza.file_name(),
            version: Some(stanza.version.clone()).filter(|version| !version.is_empty()),
            shipped: Shipped::NoDigest,
        })
    }
}
