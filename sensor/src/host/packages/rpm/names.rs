//! Which headers name which files, where the database is a mere heap of headers: of each header the hashes
//! of its paths, four bytes each. A hash that fits is looked up in the header itself, read anew.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::super::header::Header;
use super::super::index::hash;
use super::blobs::{BlobError, Bytes, Place};
use super::{RpmError, berkeley, ndb};
use crate::host::files::{FileStamp, open_regular};

/// Largest database that is read, and most paths of all packages together.
const FILE_MAX: u64 = 4 << 30;
const PATHS_MAX: usize = 2 << 20;

/// How the headers lie in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Ndb,
    Berkeley,
}

impl Format {
    pub(super) fn places(self, file: &impl Bytes) -> Result<Vec<Place>, BlobError> {
        match self {
            Self::Ndb => ndb::places(file),
            Self::Berkeley => berkeley::places(file),
        }
    }

    pub(super) fn header(self, file: &impl Bytes, place: &Place) -> Result<Vec<u8>, BlobError> {
        match self {
            Self::Ndb => ndb::header(file, place),
            Self::Berkeley => berkeley::header(file, place),
        }
    }
}

/// The paths of a database, as of when it was last looked at.
#[derive(Debug, Default)]
pub(super) struct Names {
    path: PathBuf,
    /// State of the file when its places were read; `None` when it may have changed since without showing.
    stamp: Option<FileStamp>,
    /// Sorted hashes.
    known: HashMap<Place, Box<[u32]>>,
    unread: Vec<Place>,
    kept: usize,
    full: bool,
    /// State of a file that could not be read at all: nothing is read ahead of it.
    broken: Option<FileStamp>,
    /// What was odd about a header, until it was told: the others are read all the same.
    gap: Option<RpmError>,
}

impl Names {
    /// Brings what is known into step with the file, reading at most `count` headers. Says whether there
    /// are more.
    pub(super) fn refresh(
        &mut self,
        path: &Path,
        format: Format,
        count: Option<usize>,
    ) -> Result<bool, RpmError> {
        if self.path != path {
            *self = Self {
                path: path.to_owned(),
                ..Self::default()
            };
        }
        let now = FileStamp::at(path);
        let same = |known: Option<FileStamp>| known.is_some() && known == now;
        let ahead = count.is_some();
        if (same(self.stamp) && self.unread.is_empty()) || (ahead && same(self.broken)) {
            return Ok(false);
        }
        let (file, stamp) = open_regular(path, FILE_MAX)?;
        match self.read(&file, stamp, format, count) {
            Ok(more) => Ok(more),
            // Somebody writes to it: it is looked at once more with the next question.
            Err(BlobError::Damaged(_)) if !stamp.is_settled() => Ok(false),
            Err(error) => {
                self.stamp = None; // to be tried again
                self.broken = Some(stamp);
                Err(RpmError::blobs(path, error))
            }
        }
    }

    fn read(
        &mut self,
        file: &impl Bytes,
        stamp: FileStamp,
        format: Format,
        count: Option<usize>,
    ) -> Result<bool, BlobError> {
        if self.stamp != Some(stamp) {
            let places = format.places(file)?;
            let known = &mut self.known;
            let (there, unread) = places
                .into_iter()
                .partition(|place| known.contains_key(place));
            let there: std::collections::HashSet<Place> = Vec::into_iter(there).collect();
            known.retain(|place, _| there.contains(place));
            self.kept = known.values().map(|hashes| hashes.len()).sum();
            self.unread = unread;
            self.stamp = Some(stamp).filter(FileStamp::is_settled);
        }
        for _ in 0..count.unwrap_or(usize::MAX) {
            let Some(place) = self.unread.last().copied() else {
                break;
            };
            let blob = match format.header(file, &place) {
                Err(error @ BlobError::Damaged(_)) if stamp.is_settled() => {
                    self.gap = Some(RpmError::blobs(&self.path, error));
                    Vec::new()
                }
                other => other?,
            };
            self.unread.pop();
            // What is no header has nobody's files.
            let header = Header::parse(&blob);
            let room = PATHS_MAX - self.kept;
            let paths = header.iter().flat_map(Header::paths);
            let mut hashes: Vec<u32> = paths.take(room + 1).map(|path| hash(&path)).collect();
            self.full |= hashes.len() > room;
            hashes.truncate(room);
            hashes.sort_unstable();
            self.kept += hashes.len();
            self.known.insert(place, hashes.into());
        }
        Ok(!self.unread.is_empty())
    }

    /// Hands the headers that may have `path` to `look`, until that is content.
    pub(super) fn headers(
        &self,
        format: Format,
        path: &[u8],
        mut look: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), RpmError> {
        let wanted = hash(path);
        let has = |hashes: &[u32]| hashes.binary_search(&wanted).is_ok();
        let mut file = None;
        for (place, _) in self.known.iter().filter(|(_, hashes)| has(hashes)) {
            let (file, stamp) = match &file {
                Some(open) => open,
                None => &*file.insert(open_regular(&self.path, FILE_MAX)?),
            };
            match format.header(file, place) {
                Ok(blob) if look(&blob) => return Ok(()),
                Ok(_) => {}
                // It was moved or removed just now.
                Err(BlobError::Damaged(_)) if self.stamp != Some(*stamp) => {}
                Err(error) => return Err(RpmError::blobs(&self.path, error)),
            }
        }
        Ok(())
    }

    /// What was odd since this was last asked.
    pub(super) fn take_gap(&mut self) -> Option<RpmError> {
        self.gap.take()
    }

    /// Whether files of packages may be taken for nobody's, since there are too many.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }
}

impl RpmError {
    fn blobs(path: &Path, source: BlobError) -> Self {
        let path = OsString::from(path).into();
        Self::Blobs { path, source }
    }
}
