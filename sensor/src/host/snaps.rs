//! Which snaps are installed, by snapd's own state, and whether a program lies in one.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::files::{FileStamp, ReadError, read_regular};
use super::mounts::Mounts;

/// Snapd's state, and the largest that is read.
const STATE: &str = "var/lib/snapd/state.json";
const STATE_MAX: u64 = 64 << 20;
/// Where images of snaps lie.
const IMAGES: &str = "/var/lib/snapd/snaps";
/// Where they are mounted, and the snaps and the place in them that have snapd's program.
const MOUNTED: [&str; 2] = ["/snap/", "/var/lib/snapd/snap/"];
const CARRIERS: [&str; 2] = ["snapd", "core"];
const SNAPD: &str = "usr/lib/snapd/snapd";

#[derive(Debug, Default, Deserialize)]
struct State {
    #[serde(default)]
    data: Data,
}

#[derive(Debug, Default, Deserialize)]
struct Data {
    #[serde(default)]
    snaps: HashMap<String, Snap>,
}

#[derive(Debug, Default, Deserialize)]
struct Snap {
    #[serde(default)]
    sequence: Vec<Revision>,
}

#[derive(Debug, Deserialize)]
struct Revision {
    revision: String,
    /// The store's; empty for what was not from there.
    #[serde(default, rename = "snap-id")]
    id: String,
}

/// The snaps of this host.
#[derive(Debug)]
pub struct Snaps {
    root: PathBuf,
    stamp: Option<FileStamp>,
    state: State,
}

impl Default for Snaps {
    fn default() -> Self {
        Self::at("/")
    }
}

impl Snaps {
    /// Those below `root`. Nothing is read yet.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            stamp: None,
            state: State::default(),
        }
    }

    /// Whether this revision of a snap is installed.
    ///
    /// # Errors
    ///
    /// When snapd's state cannot be read or understood.
    pub fn has(&mut self, snap: &str, revision: &str) -> Result<bool, SnapError> {
        Ok(self.revision(snap, revision)?.is_some())
    }

    /// Whether snapd has the image of this revision: it is there, and mounted, before the snap is entered as
    /// installed.
    #[must_use]
    pub fn has_image(&self, snap: &str, revision: &str) -> bool {
        let image = image(snap, revision);
        is_roots(&self.root.join(image.trim_start_matches('/')))
    }

    fn revision(&mut self, snap: &str, revision: &str) -> Result<Option<&Revision>, SnapError> {
        self.refresh()?;
        let known = self.state.data.snaps.get(snap);
        let mut sequence = known.iter().flat_map(|snap| &snap.sequence);
        Ok(sequence.find(|known| known.revision == revision))
    }

    fn refresh(&mut self) -> Result<(), SnapError> {
        let path = self.root.join(STATE);
        let now = FileStamp::at(&path);
        if self.stamp.is_some() && self.stamp == now {
            return Ok(());
        }
        self.stamp = None;
        self.state = State::default();
        let (bytes, stamp) = match read_regular(&path, STATE_MAX) {
            Err(error) if error.is_missing() => return Ok(()),
            other => other?,
        };
        self.state = serde_json::from_slice(&bytes).map_err(|source| SnapError::State {
            path: path.clone(),
            source,
        })?;
        self.stamp = Some(stamp).filter(FileStamp::is_settled);
        Ok(())
    }

    /// Whether the program at `path` is snapd as a snap of the store brought it: on the image that snapd has
    /// for that revision, which is root's and mounted where snapd mounts it. The caller sees to it that
    /// the process runs what is at `path`.
    ///
    /// # Errors
    ///
    /// When snapd's state cannot be read or understood.
    pub fn brought_snapd(&mut self, path: &str, mounts: &Mounts) -> Result<bool, SnapError> {
        let Some((snap, revision)) = carrier(path) else {
            return Ok(false);
        };
        let from_store = self
            .revision(snap, revision)?
            .is_some_and(|it| !it.id.is_empty());
        let Some(mount) = mounts.holding(path).filter(|_| from_store) else {
            return Ok(false);
        };
        let point = path.strip_suffix(SNAPD).unwrap_or(path);
        let number = format!("{}:{}", mount.device >> 20, mount.device & 0xf_ffff);
        let backing = format!("/sys/dev/block/{number}/loop/backing_file");
        let backing = fs::read_to_string(backing).unwrap_or_default();
        let image = image(snap, revision);
        let roots = is_roots(Path::new(&image));
        Ok(mount.fs_type == "squashfs"
            && mount.root == "/"
            && mount.point == point.trim_end_matches('/')
            && backing.trim_end() == image
            && roots)
    }
}

/// Where snapd has the image of a revision.
fn image(snap: &str, revision: &str) -> String {
    format!("{IMAGES}/{snap}_{revision}.snap")
}

/// Whether a file is root's, and nobody else can write to it.
fn is_roots(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| {
        meta.is_file() && meta.uid() == 0 && meta.permissions().mode() & 0o022 == 0
    })
}

/// Whether a program is snapd's by its path, in a snap.
#[must_use]
pub fn is_snapd(path: &str) -> bool {
    carrier(path).is_some()
}

/// The snap and the revision in which snapd's program lies at `path`.
fn carrier(path: &str) -> Option<(&str, &str)> {
    let rest = MOUNTED.iter().find_map(|place| path.strip_prefix(place))?;
    let (snap, rest) = rest.split_once('/')?;
    let (revision, inside) = rest.split_once('/')?;
    (CARRIERS.contains(&snap) && inside == SNAPD).then_some((snap, revision))
}

/// Why it is not known which snaps there are.
#[derive(Debug, thiserror::Error)]
pub enum SnapError {
    /// The state cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is not snapd's.
    #[error("cannot understand {}: {source}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is odd about it.
        source: serde_json::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_is_what_the_state_says() {
        let root = tempfile::tempdir().expect("tempdir");
        let snaps = &mut Snaps::at(root.path());
        assert!(!snaps.has("lxd", "24").expect("no snapd"));
        let path = root.path().join(STATE);
        fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        let state = r#"{"data":{"snaps":{"lxd":{"type":"app","sequence":[{"name":"lxd","snap-id":"J6","revision":"23"},{"name":"lxd","snap-id":"J6","revision":"24"}],"active":true,"current":"24"},"mine_a":{"sequence":[{"name":"mine","snap-id":"","revision":"x1"}]}},"auth":{"last-id":1}},"changes":{},"tasks":{},"last-change-id":3}"#;
        fs::write(&path, state).expect("write");
        for (snap, revision, is) in [
            ("lxd", "24", true),
            ("lxd", "23", true),
            ("lxd", "25", false),
            ("mine_a", "x1", true),
            ("mine", "x1", false),
        ] {
            assert_eq!(snaps.has(snap, revision).expect("read"), is, "{snap}");
        }
        fs::write(&path, "{").expect("write");
        let error = snaps.has("lxd", "24").expect_err("cut off").to_string();
        assert!(error.contains("state.json"), "{error}");
        fs::remove_file(&path).expect("remove");
        assert!(!snaps.has("lxd", "24").expect("removed"));
    }

    #[test]
    fn snapd_lies_in_two_snaps() {
        assert!(is_snapd("/snap/snapd/123/usr/lib/snapd/snapd"));
        assert!(is_snapd("/var/lib/snapd/snap/core/9/usr/lib/snapd/snapd"));
        assert!(!is_snapd("/snap/evil/1/usr/lib/snapd/snapd"));
        assert!(!is_snapd("/snap/snapd/1/x/usr/lib/snapd/snapd"));
        // No such snap is installed, so that it is nobody's.
        let snaps = &mut Snaps::at("/nowhere");
        let mounts = Mounts::read().expect("mounts");
        let path = "/snap/snapd/123/usr/lib/snapd/snapd";
        assert!(!snaps.brought_snapd(path, &mounts).expect("read"));
    }
}
