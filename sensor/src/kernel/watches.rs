//! The table of watched directories and files, on both sides of the boundary.

use std::{
    collections::HashMap,
    ffi::OsString,
    io,
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use aya::maps::{HashMap as BpfMap, MapData};
use thiserror::Error;
use whodunit_common::{WatchKey, WatchValue, watch_flags};

use super::{
    fanotify::{Fanotify, FanotifyError, Scope},
    wake::Wake,
};
use crate::event::FileIdentity;

/// Why something cannot be watched.
#[derive(Debug, Error)]
pub enum WatchError {
    /// The kernel's table is full or refuses the entry.
    #[error("cannot watch {path}: {source}")]
    Map {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        source: aya::maps::MapError,
    },
    /// fanotify refuses it.
    #[error(transparent)]
    Fanotify(#[from] FanotifyError),
}

/// Who looks at the watched places.
#[derive(Debug)]
enum Backend {
    /// Programs below the syscall layer, which ask this map.
    Programs(Box<BpfMap<MapData, WatchKey, WatchValue>>),
    /// Marks on the inodes.
    Marks(Box<Fanotify>),
}

#[derive(Debug)]
struct Watch {
    path: PathBuf,
    key: WatchKey,
    scope: Scope,
}

/// What is watched, by number.
#[derive(Debug)]
pub struct Watches {
    backend: Backend,
    by_id: HashMap<u32, Watch>,
    by_key: HashMap<WatchKey, u32>,
    next: u32,
}

impl Watches {
    /// Served by programs.
    #[must_use]
    pub fn by_programs(map: BpfMap<MapData, WatchKey, WatchValue>) -> Self {
        Self::new(Backend::Programs(Box::new(map)))
    }

    /// Served by fanotify.
    #[must_use]
    pub fn by_marks(fanotify: Fanotify) -> Self {
        Self::new(Backend::Marks(Box::new(fanotify)))
    }

    fn new(backend: Backend) -> Self {
        Self {
            backend,
            by_id: HashMap::new(),
            by_key: HashMap::new(),
            next: 1,
        }
    }

    /// Watches what has this identity; `path` is its name on the host. Asking again with a wider
    /// scope widens it. Says whether something changed.
    pub fn add(
        &mut self,
        path: &Path,
        identity: &FileIdentity,
        scope: Scope,
    ) -> Result<bool, WatchError> {
        let key = WatchKey {
            inode: identity.inode,
            device: identity.device,
            reserved: 0,
        };
        let known = self.by_key.get(&key).copied();
        if let Some(id) = known
            && let Some(watch) = self.by_id.get_mut(&id)
        {
            // It may have several names; the first is kept while it is one.
            if watch.path != path && !is_at(&watch.path, &key) {
                watch.path = path.to_owned();
            }
            if watch.scope >= scope {
                return Ok(false);
            }
            watch.scope = scope;
        }
        let id = known.unwrap_or(self.next);
        let scope = self.by_id.get(&id).map_or(scope, |watch| watch.scope);
        match &mut self.backend {
            Backend::Programs(map) => {
                let flags = match scope {
                    Scope::Ancestor => watch_flags::ANCESTOR,
                    Scope::Entries => watch_flags::ENTRIES,
                    Scope::Content => watch_flags::CONTENT,
                    Scope::File => watch_flags::FILE,
                };
                map.insert(key, WatchValue { id, flags }, 0)
                    .map_err(|source| WatchError::Map {
                        path: path.to_owned(),
                        source,
                    })?;
            }
            Backend::Marks(fanotify) => {
                fanotify.watch(path, id, scope)?;
            }
        }
        if known.is_none() {
            self.by_id.insert(
                id,
                Watch {
                    path: path.to_owned(),
                    key,
                    scope,
                },
            );
            self.by_key.insert(key, id);
            self.next += 1;
        }
        Ok(true)
    }

    /// Forgets a directory that is gone.
    pub fn remove(&mut self, id: u32) {
        let Some(watch) = self.by_id.remove(&id) else {
            return;
        };
        self.by_key.remove(&watch.key);
        match &mut self.backend {
            Backend::Programs(map) => {
                let _ = map.remove(&watch.key); // gone is gone
            }
            Backend::Marks(fanotify) => fanotify.unwatch(id),
        }
    }

    /// Forgets what has this identity: its inode number may be used again.
    pub fn forget(&mut self, identity: &FileIdentity) {
        if let Some(id) = self.id(identity) {
            self.remove(id);
        }
    }

    /// The host's name of a watched directory or file.
    #[must_use]
    pub fn path(&self, id: u32) -> Option<&Path> {
        self.by_id.get(&id).map(|watch| watch.path.as_path())
    }

    /// The number of what has this identity.
    #[must_use]
    pub fn id(&self, identity: &FileIdentity) -> Option<u32> {
        let key = WatchKey {
            inode: identity.inode,
            device: identity.device,
            reserved: 0,
        };
        self.by_key.get(&key).copied()
    }

    /// Device and inode number of what is watched.
    #[must_use]
    pub fn identity(&self, id: u32) -> Option<(u32, u64)> {
        let key = self.by_id.get(&id)?.key;
        Some((key.device, key.inode))
    }

    /// How much of it is watched.
    #[must_use]
    pub fn scope(&self, id: u32) -> Option<Scope> {
        self.by_id.get(&id).map(|watch| watch.scope)
    }

    /// How many places are watched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether nothing is watched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The fanotify group, when that is what serves.
    pub fn fanotify(&mut self) -> Option<&mut Fanotify> {
        match &mut self.backend {
            Backend::Marks(fanotify) => Some(fanotify),
            Backend::Programs(_) => None,
        }
    }

    /// What wakes when fanotify has something, where that serves.
    pub fn wake(&self) -> io::Result<Option<Wake>> {
        match &self.backend {
            Backend::Marks(fanotify) => {
                Ok(Some(Wake::new(fanotify.as_fd().try_clone_to_owned()?)?))
            }
            Backend::Programs(_) => Ok(None),
        }
    }

    /// The host's name of `name` in the watched directory `id`.
    #[must_use]
    pub fn entry(&self, id: u32, name: &OsString) -> Option<PathBuf> {
        Some(self.path(id)?.join(name))
    }
}

/// Whether `path` still names what has this identity. Inode numbers suffice: it did before.
fn is_at(path: &Path, key: &WatchKey) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.ino() == key.inode)
}
