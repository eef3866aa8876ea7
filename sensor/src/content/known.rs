//! What was last known under each name.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The content last seen under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// In hex; `None` for a link.
    pub(super) sha256: Option<Arc<str>>,
    /// The text, or what a link says; `None` when it is not kept.
    pub(super) text: Option<Arc<str>>,
    /// Whether it is a link.
    pub(super) link: bool,
    /// Whether it sets a variable that loads code, if its text is not kept for the secrets in it.
    pub(super) loads_code: bool,
}

#[derive(Debug)]
struct Entry {
    known: Known,
    seen: u64,
    /// Nanoseconds since boot.
    read_at: Option<u64>,
    /// Whether the name was removed since.
    gone: bool,
}

/// What was last known under each name, bounded in names and bytes: the ones longest not seen go
/// first. A name stays when its file is removed, for the next file of that name is compared with
/// what was there.
#[derive(Debug)]
pub(super) struct Table {
    files_max: usize,
    bytes_max: usize,
    by_path: BTreeMap<Arc<Path>, Entry>,
    by_age: BTreeMap<u64, Arc<Path>>,
    bytes: usize,
    clock: u64,
    forgotten: bool,
}

/// What an entry takes beside its texts, roughly.
const ENTRY: usize = 256;

impl Table {
    pub(super) fn new(files_max: usize, bytes_max: usize) -> Self {
        Self {
            files_max,
            bytes_max,
            by_path: BTreeMap::new(),
            by_age: BTreeMap::new(),
            bytes: 0,
            clock: 0,
            forgotten: false,
        }
    }

    pub(super) fn get(&self, path: &Path) -> Option<&Known> {
        self.by_path.get(path).map(|entry| &entry.known)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&Path, &Known)> {
        let all = self.by_path.iter();
        all.map(|(path, entry)| (path.as_ref(), &entry.known))
    }

    /// The names that are there, as far as is known.
    pub(super) fn standing(&self) -> impl Iterator<Item = &Path> {
        let standing = self.by_path.iter().filter(|(_, entry)| !entry.gone);
        standing.map(|(path, _)| path.as_ref())
    }

    pub(super) fn is_standing(&self, path: &Path) -> bool {
        self.by_path.get(path).is_some_and(|entry| !entry.gone)
    }

    /// A name was removed.
    pub(super) fn removed(&mut self, path: &Path) {
        if let Some(entry) = self.by_path.get_mut(path) {
            entry.gone = true;
        }
    }

    /// When what is known was read, in nanoseconds since boot.
    pub(super) fn read_at(&self, path: &Path) -> Option<u64> {
        self.by_path.get(path)?.read_at
    }

    /// Whether something went for lack of room.
    pub(super) fn has_forgotten(&self) -> bool {
        self.forgotten
    }

    /// Whether one more with `bytes` of text fits without another going.
    pub(super) fn has_room(&self, path: &Path, bytes: usize) -> bool {
        self.by_path.len() < self.files_max && self.bytes + weight(path, bytes) <= self.bytes_max
    }

    pub(super) fn put(&mut self, path: &Path, known: Known) {
        self.take(path);
        let path: Arc<Path> = path.into();
        self.clock += 1;
        self.bytes += weight(&path, known.text_len());
        self.by_age.insert(self.clock, Arc::clone(&path));
        let seen = self.clock;
        let read_at = crate::host::clock::boot_now().ok();
        let entry = Entry {
            known,
            seen,
            read_at,
            gone: false,
        };
        self.by_path.insert(path, entry);
        while self.by_path.len() > self.files_max || self.bytes > self.bytes_max {
            let Some((_, oldest)) = self.by_age.pop_first() else {
                return;
            };
            self.take(&oldest);
            self.forgotten = true;
        }
    }

    /// After a rename: a name that nothing is known of takes over what is known of the old one,
    /// and so does what is below it if it is a directory. A name of which something is known
    /// keeps that, to be compared with.
    pub(super) fn renamed(&mut self, from: &Path, to: &Path) {
        let below = (Bound::Included(from), Bound::Unbounded);
        let below = self.by_path.range::<Path, _>(below);
        let below = below.take_while(|(path, _)| path.starts_with(from));
        let old: Vec<Arc<Path>> = below.clone().map(|(path, _)| Arc::clone(path)).collect();
        let moved: Vec<(PathBuf, Known)> = below
            .filter_map(|(path, entry)| {
                let rest = path.strip_prefix(from).ok()?;
                let path = if rest.as_os_str().is_empty() {
                    to.to_owned()
                } else {
                    to.join(rest)
                };
                Some((path, entry.known.clone()))
            })
            .collect();
        for path in old {
            self.removed(&path);
        }
        for (path, known) in moved {
            if !self.by_path.contains_key(path.as_path()) {
                self.put(&path, known);
            }
        }
    }

    fn take(&mut self, path: &Path) {
        if let Some((path, entry)) = self.by_path.remove_entry(path) {
            self.by_age.remove(&entry.seen);
            self.bytes -= weight(&path, entry.known.text_len());
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        assert_eq!(self.by_path.len(), self.by_age.len());
        (self.by_path.len(), self.bytes)
    }
}

impl Known {
    /// Of a link that says `text`.
    pub(super) fn link(text: &str) -> Self {
        Self {
            sha256: None,
            text: Some(text.into()),
            link: true,
            loads_code: false,
        }
    }

    fn text_len(&self) -> usize {
        self.text.as_ref().map_or(0, |text| text.len())
    }
}

fn weight(path: &Path, text: usize) -> usize {
    ENTRY + path.as_os_str().len() + text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(text: &str) -> Known {
        Known {
            sha256: None,
            text: Some(text.into()),
            link: false,
            loads_code: false,
        }
    }

    fn text<'a>(table: &'a Table, path: &str) -> Option<&'a str> {
        table.get(Path::new(path))?.text.as_deref()
    }

    #[test]
    fn the_ones_longest_not_seen_go_first() {
        let mut table = Table::new(3, 10_000);
        for path in ["/a", "/b", "/c", "/a", "/d"] {
            table.put(Path::new(path), known(path));
        }
        assert_eq!(text(&table, "/b"), None);
        assert_eq!(text(&table, "/a"), Some("/a"));
        assert_eq!(table.size(), (3, 3 * (ENTRY + 4)));
        assert!(!table.has_room(Path::new("/e"), 0));
        // Larger than all there is room for.
        table.put(Path::new("/e"), known(&"x".repeat(20_000)));
        assert_eq!(table.size(), (0, 0));
    }

    #[test]
    fn a_rename_takes_along_what_is_below() {
        let mut table = Table::new(100, 100_000);
        for path in ["/u/x.d", "/u/x.d/a", "/u/x.d/b", "/u/x.da", "/u/y.d/b"] {
            table.put(Path::new(path), known(path));
        }
        table.renamed(Path::new("/u/x.d"), Path::new("/u/y.d"));
        assert_eq!(text(&table, "/u/y.d"), Some("/u/x.d"));
        assert_eq!(text(&table, "/u/y.d/a"), Some("/u/x.d/a"));
        assert_eq!(text(&table, "/u/y.d/b"), Some("/u/y.d/b"));
        assert_eq!(table.size().0, 7);
    }
}
