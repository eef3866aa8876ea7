//! What is kept of dpkg's database in memory: of each package's list the hashes of its paths, four
//! bytes each. A hash that fits is looked up in the list itself.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lists::{self, Diversion};
use super::status::{self, Stanza};
use super::{FILE_MAX, read_optional};
use crate::host::files::{FileStamp, ReadError, read_regular};

/// Most packages that are known.
const PACKAGES_MAX: usize = 65_536;
/// Most paths of all packages together: 8 MiB of hashes.
const PATHS_MAX: usize = 2 << 20;
/// Most lists that are remembered after they were replaced or removed, and the longest of them.
const FORMER_MAX: usize = 64;
const FORMER_PATHS_MAX: usize = 4096;

#[derive(Debug)]
struct Listed {
    stamp: FileStamp,
    /// Sorted.
    hashes: Box<[u32]>,
}

/// The database as of when it was last looked at.
#[derive(Debug)]
pub(super) struct Index {
    admin: PathBuf,
    info: PathBuf,
    /// State of `info/`, `status`, `updates/` and `diversions` when they were read; `None` when it
    /// may have changed since without showing.
    stamps: [Option<FileStamp>; 4],
    /// By the name that files in `info/` have.
    lists: BTreeMap<Arc<str>, Listed>,
    /// Lists to be read.
    unread: Vec<(Arc<str>, FileStamp)>,
    kept: usize,
    /// Lists as they were before dpkg replaced or removed them, the newest last.
    former: VecDeque<(Arc<str>, Box<[u32]>)>,
    /// Whether there were more paths than are kept.
    full: bool,
    /// By `package` and `package:architecture`.
    status: HashMap<String, Arc<Stanza>>,
    diversions: Vec<Diversion>,
}

impl Index {
    pub(super) fn at(admin: PathBuf) -> Self {
        Self {
            info: admin.join("info"),
            admin,
            stamps: [None; 4],
            lists: BTreeMap::new(),
            unread: Vec::new(),
            kept: 0,
            former: VecDeque::new(),
            full: false,
            status: HashMap::new(),
            diversions: Vec::new(),
        }
    }

    pub(super) fn admin(&self) -> &Path {
        &self.admin
    }

    pub(super) fn info(&self) -> &Path {
        &self.info
    }

    pub(super) fn status(&self, name: &str) -> Option<&Stanza> {
        self.status.get(name).map(AsRef::as_ref)
    }

    pub(super) fn diverted_to(&self, path: &[u8]) -> Option<&Diversion> {
        self.diversions
            .iter()
            .find(|diversion| *diversion.to == *path)
    }

    pub(super) fn diverted_from(&self, path: &[u8]) -> Option<&Diversion> {
        self.diversions
            .iter()
            .find(|diversion| *diversion.from == *path)
    }

    /// Brings the index into step with the disk, reading at most `count` lists. Says whether there
    /// are more.
    pub(super) fn refresh(&mut self, count: Option<usize>) -> Result<bool, ReadError> {
        let read = self.read(count);
        if read.is_err() {
            self.stamps = [None; 4]; // to be tried again
        }
        read
    }

    fn read(&mut self, count: Option<usize>) -> Result<bool, ReadError> {
        let [info, status, updates, diversions] =
            ["info", "status", "updates", "diversions"].map(|name| self.admin.join(name));
        if self.is_stale(0, &info) {
            self.find_lists();
        }
        // The journal holds what was not merged into the status yet: both say how things stand.
        if self.is_stale(1, &status) | self.is_stale(2, &updates) {
            self.status.clear();
            let mut files = vec![status];
            let mut journal: Vec<PathBuf> = entries(&updates).map(|entry| entry.path()).collect();
            journal.sort();
            files.extend(journal);
            for file in files {
                let bytes = read_optional(&file)?.unwrap_or_default();
                self.learn_status(&bytes);
            }
        }
        if self.is_stale(3, &diversions) {
            let bytes = read_optional(&diversions)?.unwrap_or_default();
            self.diversions = lists::diversions(&bytes);
        }
        for _ in 0..count.unwrap_or(usize::MAX) {
            let Some((name, stamp)) = self.unread.pop() else {
                break;
            };
            self.read_list(name, stamp)?;
        }
        Ok(!self.unread.is_empty())
    }

    fn is_stale(&mut self, which: usize, path: &Path) -> bool {
        let now = FileStamp::at(path);
        let Some(known) = self.stamps.get_mut(which) else {
            return true;
        };
        let stale = known.is_none() || *known != now;
        *known = now.filter(FileStamp::is_settled);
        stale
    }

    fn learn_status(&mut self, bytes: &[u8]) {
        for stanza in status::stanzas(bytes) {
            if self.status.len() >= 2 * PACKAGES_MAX {
                return;
            }
            let stanza = Arc::new(stanza);
            let full = format!("{}:{}", stanza.package, stanza.architecture);
            self.status.insert(full, Arc::clone(&stanza));
            self.status.insert(stanza.package.clone(), stanza);
        }
    }

    /// Finds out which lists there are, and which of them are new.
    fn find_lists(&mut self) {
        self.unread.clear();
        let mut there = HashSet::new();
        for entry in entries(&self.info).take(16 * PACKAGES_MAX) {
            let name = entry.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".list"));
            // Most files there are others: only of lists more than the name is asked for.
            let Some((name, meta)) = name.and_then(|name| Some((name, entry.metadata().ok()?)))
            else {
                continue;
            };
            let (name, stamp): (Arc<str>, _) = (name.into(), FileStamp::of(&meta));
            let known = self.lists.get(&name);
            if known.is_none_or(|known| known.stamp != stamp) && there.len() < PACKAGES_MAX {
                self.unread.push((Arc::clone(&name), stamp));
            }
            there.insert(name);
        }
        let gone = self.lists.extract_if(.., |name, _| !there.contains(name));
        for (name, list) in gone.collect::<Vec<_>>() {
            self.remember(name, list);
        }
        self.kept = self.lists.values().map(|list| list.hashes.len()).sum();
    }

    fn read_list(&mut self, name: Arc<str>, stamp: FileStamp) -> Result<(), ReadError> {
        if let Some(old) = self.lists.remove(&name) {
            self.kept -= old.hashes.len();
            self.remember(Arc::clone(&name), old);
        }
        let bytes = read_optional(&self.info.join(format!("{name}.list")))?;
        let bytes = bytes.unwrap_or_default();
        let room = PATHS_MAX - self.kept;
        let mut hashes: Vec<u32> = lists::paths(&bytes).take(room + 1).map(hash).collect();
        self.full |= hashes.len() > room;
        hashes.truncate(room);
        hashes.sort_unstable();
        self.kept += hashes.len();
        let hashes = hashes.into();
        self.lists.insert(name, Listed { stamp, hashes });
        Ok(())
    }

    fn remember(&mut self, name: Arc<str>, list: Listed) {
        if list.hashes.len() > FORMER_PATHS_MAX {
            return;
        }
        if self.former.len() >= FORMER_MAX {
            self.former.pop_front();
        }
        self.former.push_back((name, list.hashes));
    }

    /// The package whose list had `path` until lately.
    pub(super) fn formerly(&self, path: &[u8]) -> Option<&str> {
        let wanted = hash(path);
        let mut former = self.former.iter().rev();
        let found = former.find(|(_, hashes)| hashes.binary_search(&wanted).is_ok())?;
        Some(&found.0)
    }

    /// Whether files of packages may be taken for nobody's, since there are too many.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// The packages whose lists have `path`.
    pub(super) fn listing(&self, path: &[u8]) -> Result<Vec<String>, ReadError> {
        let wanted = hash(path);
        let mut found = Vec::new();
        for (name, listed) in &self.lists {
            if listed.hashes.binary_search(&wanted).is_err() {
                continue;
            }
            let list = self.info.join(format!("{name}.list"));
            match read_regular(&list, FILE_MAX) {
                Ok((bytes, _)) if lists::paths(&bytes).any(|listed| listed == path) => {
                    found.push(name.to_string());
                }
                Err(error) if !error.is_missing() => return Err(error),
                _ => {}
            }
        }
        Ok(found)
    }
}

fn entries(dir: &Path) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(dir).into_iter().flatten().flatten()
}

pub(super) fn hash(path: &[u8]) -> u32 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    // The lower half is as good as the whole.
    u32::try_from(hasher.finish() & u64::from(u32::MAX)).unwrap_or_default()
}
