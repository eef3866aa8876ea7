//! What snapd has to do with a change: units of snaps are in no database of packages. What snapd writes
//! counts as a package's file where it is what snapd makes for a snap that is installed.

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use crate::{
    event::{Change, Grade, PackageFile, Shipped, Verb},
    host::{
        files::{hex, read_regular},
        mounts::Mounts,
        snaps::{self, SnapError, Snaps},
    },
    systemd::snap_unit,
};

/// Where packages of distributions have snapd.
const SNAPD: [&str; 2] = ["/usr/lib/snapd/snapd", "/usr/libexec/snapd/snapd"];
/// Largest unit file that is compared with what snapd would make.
const UNIT_MAX: u64 = 64 << 10;

/// Whether a program is snapd, by its path.
pub(super) fn is_snapd(program: &str) -> bool {
    SNAPD.contains(&program) || snaps::is_snapd(program)
}

/// Whether a change may be one that a manager made since snapd asked it to: a link that enables a unit.
pub(super) fn is_asked(change: &Change) -> bool {
    let asked = change.on_behalf_of.as_deref();
    matches!(change.verb, Verb::Symlink | Verb::Unlink)
        && asked.is_some_and(|asked| asked.grade == Grade::Certain)
}

/// The snaps of this host, and what could not be found out about them.
#[derive(Debug)]
pub(super) struct SnapUnits {
    root: PathBuf,
    snaps: Snaps,
    gap: Option<String>,
}

impl Default for SnapUnits {
    fn default() -> Self {
        Self::at("/")
    }
}

/// The snap whose unit a change removed, or a link to it.
pub(super) fn removed(change: &Change) -> Option<String> {
    let removal = change.verb == Verb::Unlink;
    let snap = snap_unit::named(&change.path).filter(|_| removal)?;
    Some(format!("snap:{snap}"))
}

impl SnapUnits {
    /// Those below `root`. Nothing is read yet.
    pub(super) fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            snaps: Snaps::at(&root),
            root,
            gap: None,
        }
    }

    /// The snap that a unit file belongs to, or a link to one: if the text is what snapd makes for
    /// that snap, and this revision of it is installed.
    pub(super) fn owner(&mut self, change: &Change) -> Option<PackageFile> {
        let content = change.content.as_ref()?;
        let (path, sha256) = match &content.link {
            Some(link) => (link.path.as_deref()?, link.sha256.as_deref()?),
            None => (change.path.as_str(), content.sha256.as_deref()?),
        };
        let name = snap_unit::name_of(path)?;
        // The link has to have the unit's own name.
        if content.link.is_some() && change.path.rsplit('/').next() != Some(name) {
            return None;
        }
        let (text, _) =
            read_regular(&self.root.join(path.trim_start_matches('/')), UNIT_MAX).ok()?;
        if hex(&Sha256::digest(&text)) != sha256 {
            return None; // changed since
        }
        let unit = snap_unit::parse(name, &text)?;
        let has = self.snaps.has(&unit.snap, &unit.revision);
        // An image is mounted before the snap is entered; its mount runs nothing of it.
        let mounts =
            || name.ends_with(".mount") && self.snaps.has_image(&unit.snap, &unit.revision);
        let has = has.map(|has| has || mounts());
        self.noted(has)?.then(|| PackageFile {
            package: format!("snap:{}", unit.snap),
            version: Some(unit.revision),
            shipped: Shipped::Same,
        })
    }

    /// Whether the program at `path` is snapd as a snap of the store brought it.
    pub(super) fn brought_snapd(&mut self, path: &str, mounts: &Mounts) -> bool {
        let brought = self.snaps.brought_snapd(path, mounts);
        self.noted(brought).unwrap_or(false)
    }

    /// What could not be read since this was last asked.
    pub(super) fn take_gap(&mut self) -> Option<String> {
        self.gap.take()
    }

    fn noted<T>(&mut self, result: Result<T, SnapError>) -> Option<T> {
        let note = |error| self.gap = Some(format!("the snaps of this host: {error}"));
        result.map_err(note).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        agent::samples,
        event::{Content, LinkTarget},
    };

    const NAME: &str = "snap-lxd-24.mount";
    const UNIT: &str = "[Unit]\nDescription=Mount unit for lxd, revision 24\nBefore=snapd.mounts.target\n\n[Mount]\nWhat=/var/lib/snapd/snaps/lxd_24.snap\nWhere=/snap/lxd/24\nType=squashfs\nOptions=nodev,ro,x-gdu.hide\nLazyUnmount=yes\n\n[Install]\nWantedBy=snapd.mounts.target\n";

    fn change(path: &str, content: Content) -> Change {
        let writer = samples::actor(2, "/");
        let mut change = samples::change(Verb::Rename, path, writer, false).change;
        change.content = Some(Box::new(content));
        change
    }

    fn digest(text: &str) -> String {
        hex(&Sha256::digest(text))
    }

    #[test]
    fn a_unit_is_its_snaps_while_the_snap_is_installed() {
        let root = tempfile::tempdir().expect("tempdir");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
            fs::write(path, text).expect("write");
        };
        let path = format!("/etc/systemd/system/{NAME}");
        let file = path.trim_start_matches('/');
        write(file, UNIT);
        let content = || Content {
            sha256: Some(digest(UNIT)),
            ..Content::default()
        };
        let mount = change(&path, content());
        let link = |name: &str| {
            let target = LinkTarget {
                path: Some(path.clone()),
                sha256: Some(digest(UNIT)),
                ..LinkTarget::default()
            };
            let content = Content {
                link: Some(target),
                ..Content::default()
            };
            change(
                &format!("/etc/systemd/system/x.target.wants/{name}"),
                content,
            )
        };

        let units = &mut SnapUnits::at(root.path());
        // Written before the snap is entered, as snapd does.
        assert_eq!(units.owner(&mount), None);
        write("var/lib/snapd/snaps/lxd_24.snap", "an image");
        assert!(units.owner(&mount).is_some(), "it is mounted first");
        assert_eq!(units.owner(&change(&path, Content::default())), None);
        fs::remove_file(root.path().join("var/lib/snapd/snaps/lxd_24.snap")).expect("removed");
        let state = r#"{"data":{"snaps":{"lxd":{"sequence":[{"snap-id":"J6","revision":"24"}]}}}}"#;
        write("var/lib/snapd/state.json", state);
        let owner = units.owner(&mount).expect("the snap's");
        assert_eq!(
            (
                owner.package.as_str(),
                owner.version.as_deref(),
                owner.shipped
            ),
            ("snap:lxd", Some("24"), Shipped::Same)
        );
        assert_eq!(units.owner(&link(NAME)), Some(owner));
        assert_eq!(units.owner(&link("ssh.service")), None);
        assert_eq!(units.take_gap(), None);

        // What lies there now is not what was written.
        write(file, &UNIT.replace("lxd_24", "lxd_23"));
        assert_eq!(units.owner(&mount), None);
        write(file, UNIT);
        assert!(units.owner(&mount).is_some());
        write("var/lib/snapd/state.json", "nonsense");
        assert_eq!(units.owner(&mount), None);
        let gap = units.take_gap().expect("a gap");
        assert!(gap.contains("state.json"), "{gap}");
    }

    #[test]
    fn removals_name_the_snap() {
        let removal = |verb, path: &str| {
            let mut change = change(path, Content::default());
            change.verb = verb;
            removed(&change)
        };
        let unit = format!("/etc/systemd/system/{NAME}");
        assert_eq!(removal(Verb::Unlink, &unit).as_deref(), Some("snap:lxd"));
        assert_eq!(removal(Verb::Rename, &unit), None);
        let other = "/etc/systemd/system/snapd.service";
        assert_eq!(removal(Verb::Unlink, other), None);
    }
}
