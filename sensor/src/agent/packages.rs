//! Which run of a package manager a change belongs to, and which package its file.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::snaps::{self, SnapUnits};
use crate::{
    event::{Actor, Change, FileClass, Packaging, Process, Shipped, Timestamp, Transaction, Verb},
    host::{
        files::{FileStamp, hex, read_regular},
        mounts::Mounts,
        packages::Packages,
    },
};

/// Programs that install packages, or do so for somebody.
const PROGRAMS: [&str; 18] = [
    "/sbin/apk",
    "/usr/bin/apt",
    "/usr/bin/apt-get",
    "/usr/bin/aptitude-curses",
    "/usr/bin/dnf5",
    "/usr/bin/dpkg",
    "/usr/bin/flatpak",
    "/usr/bin/microdnf",
    "/usr/bin/pacman",
    "/usr/bin/rpm",
    "/usr/bin/rpm-ostree",
    "/usr/bin/zypper",
    "/usr/lib/packagekit/packagekitd",
    "/usr/lib/snapd/snapd",
    "/usr/libexec/flatpak-system-helper",
    "/usr/libexec/packagekitd",
    "/usr/libexec/snapd/snapd",
    "/usr/sbin/apk",
];
/// The same as scripts, which an interpreter is given.
const SCRIPTS: [&str; 5] = [
    "/usr/bin/dnf",
    "/usr/bin/dnf-3",
    "/usr/bin/unattended-upgrade",
    "/usr/bin/unattended-upgrades",
    "/usr/bin/yum",
];
/// The one that puts Debian's files into their places.
const DPKG: &str = "/usr/bin/dpkg";
/// Programs of systemd's own that signal managers.
const TOOLS: [&str; 2] = ["/usr/bin/systemctl", "/usr/lib/systemd/systemd-shutdown"];
/// Where dpkg keeps the scripts of packages.
const MAINTAINER_SCRIPTS: &str = "/var/lib/dpkg/info/";
/// Largest program that is compared with its package's.
const PROGRAM_MAX: u64 = 64 << 20;
/// Most programs of which it is remembered whether they are as shipped.
const CHECKED_MAX: usize = 64;
/// Lists of packages that are read ahead at once, and how long that may go on in one go.
const AHEAD: usize = 4;
const AHEAD_TIME: Duration = Duration::from_millis(10);

/// A program that was compared with what its package brought.
#[derive(Debug)]
struct Checked {
    device: u32,
    inode: u64,
    stamp: FileStamp,
    shipped: bool,
    /// When it was last found in its place, in nanoseconds since boot.
    at: u64,
}

/// The package managers of this host, and its packages.
#[derive(Debug, Default)]
pub(crate) struct PackageManagers {
    packages: Packages,
    snaps: SnapUnits,
    checked: VecDeque<Checked>,
}

impl PackageManagers {
    /// What packages have to do with a change; `None` for nothing.
    pub(crate) fn packaging(
        &mut self,
        change: &Change,
        time: Timestamp,
        mounts: &Mounts,
    ) -> Option<Box<Packaging>> {
        let plain = change.class != FileClass::Directory
            && !matches!(change.verb, Verb::Mkdir | Verb::Rmdir | Verb::Mount);
        let mut owner = plain.then(|| self.owner(change)).flatten();
        let mut transaction = self.transaction(&change.writer, mounts);
        if let Some(asked) = change
            .on_behalf_of
            .as_deref()
            .filter(|_| snaps::is_asked(change))
        {
            let mut run = || self.transaction(&asked.author, mounts);
            let of_snapd =
                |run: &Transaction| program_of(&run.manager).is_some_and(snaps::is_snapd);
            transaction = transaction.or_else(|| run().filter(of_snapd));
        }
        if owner.is_none() && transaction.is_some() && is_unpacked(change) {
            owner = self.packages.unpacking_at(time.wall);
        }
        if owner.is_none() && transaction.is_some() && change.verb == Verb::Unlink {
            owner = self.packages.former_owner(Path::new(&change.path));
        }
        if let Some(transaction) = &mut transaction
            && transaction.package.is_none()
        {
            let removed = || snaps::removed(change).filter(|_| is_by_snapd(change));
            let owner = owner.as_ref().map(|owner| owner.package.clone());
            transaction.package = owner.or_else(removed);
        }
        (owner.is_some() || transaction.is_some())
            .then(|| Box::new(Packaging { transaction, owner }))
    }

    /// The package that the file of a change belongs to, as the database says now.
    pub(super) fn owner(&mut self, change: &Change) -> Option<crate::event::PackageFile> {
        let content = change.content.as_ref();
        let md5 = content.and_then(|content| content.md5);
        let sha256 = content.and_then(|content| content.sha256.as_deref());
        let path = Path::new(&change.path);
        let Some(mut owner) = self.packages.owner(path, md5.as_ref(), sha256) else {
            return self.snaps.owner(change);
        };
        // A link where the package has a file.
        if owner.shipped == Shipped::NoContent && content.is_some_and(|now| now.link.is_some()) {
            owner.shipped = Shipped::Different;
        }
        Some(owner)
    }

    fn transaction(&mut self, writer: &Actor, mounts: &Mounts) -> Option<Transaction> {
        let chain = || std::iter::once(&writer.process).chain(&writer.ancestry);
        let managers: Vec<&Arc<Process>> = chain()
            .filter(|process| program_of(process).is_some())
            .collect();
        let outermost = Arc::clone(managers.last()?);
        let verified = managers
            .iter()
            .all(|process| self.is_shipped(process, mounts));
        // Up to the package manager: what is above it can be anything.
        let below = chain().take_while(|process| program_of(process).is_none());
        let package = below.filter_map(|process| scripted(process)).next();
        Some(Transaction {
            manager: outermost,
            verified,
            package,
        })
    }

    /// Whether a request comes from a verified run of a package manager; or, if it is a signal, from a
    /// tool of systemd's that is as its package shipped it.
    pub(crate) fn asks_as_expected(
        &mut self,
        author: &Actor,
        signal: bool,
        mounts: &Mounts,
    ) -> bool {
        let run = self.transaction(author, mounts);
        if run.is_some_and(|run| run.verified && run.package.is_some()) {
            return true;
        }
        let process = &author.process;
        let path = process.exe.as_ref().map(|exe| exe.path.as_str());
        let tool = path.is_some_and(|path| TOOLS.contains(&path));
        signal && tool && self.is_shipped(process, mounts)
    }

    /// Whether a package manager's process runs what a package of this host shipped.
    pub(super) fn is_shipped(&mut self, process: &Process, mounts: &Mounts) -> bool {
        let Some(exe) = &process.exe else {
            return false;
        };
        let since = process.executed.unwrap_or(process.started).boot;
        if crate::host::snaps::is_snapd(&exe.path) {
            let there = mounts.identify(Path::new(&exe.path));
            let runs = there.is_ok_and(|it| (it.device, it.inode) == (exe.device, exe.inode));
            return runs && self.snaps.brought_snapd(&exe.path, mounts);
        }
        let program = self.is_shipped_at(&exe.path, Some((exe.device, exe.inode)), since, mounts);
        let script = program_of(process).filter(|program| *program != exe.path);
        program && script.is_none_or(|script| self.is_shipped_at(script, None, since, mounts))
    }

    fn is_shipped_at(
        &mut self,
        path: &str,
        expected: Option<(u32, u64)>,
        since: u64,
        mounts: &Mounts,
    ) -> bool {
        let found = mounts.identify(Path::new(path)).ok();
        let found = found.map(|found| (found.device, found.inode));
        let stamp = FileStamp::at(Path::new(path));
        let (Some((device, inode)), Some(stamp)) = (expected.or(found), stamp) else {
            return false;
        };
        let is = |known: &&mut Checked| known.device == device && known.inode == inode;
        let known = self.checked.iter_mut().find(is);
        if found != Some((device, inode)) {
            // Replaced while it runs, as dpkg does with itself; or another one in another place.
            return known.is_some_and(|known| known.shipped && since <= known.at);
        }
        let now = crate::host::clock::boot_now().unwrap_or_default();
        if let Some(known) = known.filter(|known| known.stamp == stamp) {
            known.at = now;
            return known.shipped;
        }
        let shipped = self.compare(Path::new(path));
        self.checked
            .retain(|known| (known.device, known.inode) != (device, inode));
        if self.checked.len() >= CHECKED_MAX {
            self.checked.pop_front();
        }
        self.checked.push_back(Checked {
            device,
            inode,
            stamp,
            shipped,
            at: now,
        });
        shipped
    }

    fn compare(&mut self, path: &Path) -> bool {
        let Ok((bytes, _)) = read_regular(path, PROGRAM_MAX) else {
            return false;
        };
        let md5 = Md5::digest(&bytes).into();
        let sha256 = hex(&Sha256::digest(&bytes));
        let owner = self.packages.owner(path, Some(&md5), Some(&sha256));
        owner.is_some_and(|owner| owner.shipped == Shipped::Same)
    }

    /// Reads some of the database before it is asked.
    pub(crate) fn read_ahead(&mut self) {
        let begun = Instant::now();
        while self.packages.read_ahead(AHEAD) && begun.elapsed() < AHEAD_TIME {}
    }

    /// What could not be read since this was last asked.
    pub(crate) fn take_gap(&mut self) -> Option<String> {
        self.packages.take_gap().or_else(|| self.snaps.take_gap())
    }
}

/// Whether dpkg itself gives a file of a package its final name.
fn is_unpacked(change: &Change) -> bool {
    let dpkg = program_of(&change.writer.process) == Some(DPKG);
    let from = change.from.as_deref();
    let new = from.and_then(|from| from.strip_suffix(".dpkg-new"));
    dpkg && change.verb == Verb::Rename && new == Some(&change.path)
}

/// Whether a package manager is still at a file: it has a name for the time of unpacking. What it amounts to is
/// judged by its final name.
pub(super) fn is_being_unpacked(change: &Change) -> bool {
    let run = change.packaging.as_deref();
    let run = run.and_then(|packaging| packaging.transaction.as_ref());
    let itself = program_of(&change.writer.process).is_some();
    itself && run.is_some_and(|run| run.verified) && is_name_of_unpacking(&change.path)
}

/// `x.dpkg-new` of dpkg; `x;65a1b2c3` of rpm.
fn is_name_of_unpacking(path: &str) -> bool {
    let of_rpm = path
        .rsplit_once(';')
        .is_some_and(|(_, id)| id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    of_rpm || path.ends_with(".dpkg-new")
}

/// Whether snapd itself did it, or had it done, and nothing that it runs.
fn is_by_snapd(change: &Change) -> bool {
    let asked = change.on_behalf_of.as_deref();
    let mut actors = std::iter::once(&change.writer).chain(asked.map(|asked| &asked.author));
    actors.any(|actor| {
        let tool = actor.process.exe.as_ref();
        let tool = tool.is_some_and(|exe| TOOLS.contains(&exe.path.as_str()));
        let parent = actor.ancestry.first().filter(|_| tool);
        let snapd = |process: &Process| program_of(process).is_some_and(snaps::is_snapd);
        snapd(&actor.process) || parent.is_some_and(|parent| snapd(parent))
    })
}

/// The package manager that a process runs: its program, or the script its interpreter runs.
fn program_of(process: &Process) -> Option<&str> {
    let exe = process.exe.as_ref()?.path.as_str();
    if PROGRAMS.contains(&exe) || snaps::is_snapd(exe) {
        return Some(exe);
    }
    let name = exe.rsplit('/').next().unwrap_or_default();
    let script = process.argv.get(1).map(String::as_str);
    script.filter(|script| name.starts_with("python3") && SCRIPTS.contains(script))
}

/// The package whose maintainer script a process runs.
fn scripted(process: &Process) -> Option<String> {
    const SCRIPTS: [&str; 5] = ["preinst", "postinst", "prerm", "postrm", "config"];
    let script = |word: &String| {
        let name = word.strip_prefix(MAINTAINER_SCRIPTS)?;
        let (package, kind) = name.rsplit_once('.')?;
        SCRIPTS.contains(&kind).then(|| package.to_owned())
    };
    // The script, as the interpreter or the kernel was given it.
    process.argv.iter().take(3).find_map(script)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Executable, ProcessKey, Timestamp};

    fn process(path: &str, argv: &[&str]) -> Process {
        Process {
            exe: Some(Executable {
                path: path.to_owned(),
                ..Executable::default()
            }),
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            ..Process::of_key(ProcessKey::new(2, 3), None, Timestamp::default())
        }
    }

    #[test]
    fn names_of_unpacking() {
        for name in ["/a/b.dpkg-new", "/a/b;65a1b2c3"] {
            assert!(is_name_of_unpacking(name), "{name}");
        }
        for name in ["/a/b", "/a/b.dpkg-old", "/a/b;c", "/a/b;65a1b2cg"] {
            assert!(!is_name_of_unpacking(name), "{name}");
        }
    }

    #[test]
    fn package_managers_are_known_by_their_program() {
        let is = |path: &str, argv: &[&str]| program_of(&process(path, argv)).is_some();
        assert!(is("/usr/bin/dpkg", &["anything"]));
        assert!(is(
            "/usr/bin/python3.11",
            &["python3", "/usr/bin/dnf", "install"]
        ));
        assert!(!is("/usr/bin/bash", &["bash", "/usr/bin/dnf"]));
        assert!(!is("/tmp/dpkg", &["/usr/bin/dpkg"]));
        assert!(!is("/usr/bin/dpkg-deb", &["dpkg"]));
    }

    #[test]
    fn maintainer_scripts_name_their_package() {
        let of = |argv: &[&str]| scripted(&process("/usr/bin/dash", argv));
        let script = "/var/lib/dpkg/info/libc6:amd64.postinst";
        assert_eq!(
            of(&["/bin/sh", script, "configure"]).as_deref(),
            Some("libc6:amd64")
        );
        assert_eq!(of(&["/bin/sh", "/var/lib/dpkg/info/x.list"]), None);
        assert_eq!(of(&["/bin/sh", "/tmp/x.postinst"]), None);
        assert_eq!(of(&["sh", "-c", "true", script]), None);
    }

    #[test]
    fn the_outermost_run_is_the_transaction() {
        let shell = Arc::new(process("/usr/bin/bash", &["bash"]));
        let apt = Arc::new(process("/usr/bin/apt-get", &["apt-get", "install", "x"]));
        let dpkg = Arc::new(process("/nowhere/dpkg", &["dpkg"]));
        let script = process("/usr/bin/dash", &["sh", "/var/lib/dpkg/info/x.postinst"]);
        let writer = Actor {
            process: Arc::new(script),
            ancestry: vec![dpkg, Arc::clone(&apt), Arc::clone(&shell)],
        };
        let mounts = Mounts::read().expect("mounts");
        let managers = &mut PackageManagers::default();
        let found = managers
            .transaction(&writer, &mounts)
            .expect("a transaction");
        assert!(Arc::ptr_eq(&found.manager, &apt));
        assert_eq!(found.package.as_deref(), Some("x"));
        // Its inode is not that of the host's program.
        assert!(!found.verified);
        let writer = Actor {
            process: shell,
            ancestry: Vec::new(),
        };
        assert!(managers.transaction(&writer, &mounts).is_none());
    }

    #[test]
    fn what_snapd_runs_is_not_snapd() {
        let snapd = || Arc::new(process("/usr/lib/snapd/snapd", &["snapd"]));
        let by = |path: &str, ancestry: Vec<Arc<Process>>| {
            let writer = Actor {
                process: Arc::new(process(path, &[])),
                ancestry,
            };
            let path = "/etc/systemd/system/snap.x.y.service";
            is_by_snapd(&super::super::samples::change(Verb::Unlink, path, writer, false).change)
        };
        assert!(by("/usr/lib/snapd/snapd", Vec::new()));
        assert!(by("/snap/snapd/21/usr/lib/snapd/snapd", Vec::new()));
        assert!(by("/usr/bin/systemctl", vec![snapd()]));
        assert!(!by("/usr/bin/systemctl", Vec::new()));
        // A hook of a snap.
        assert!(!by("/snap/x/1/meta/hooks/install", vec![snapd()]));
        let hook = Arc::new(process("/snap/x/1/meta/hooks/install", &[]));
        assert!(!by("/usr/bin/systemctl", vec![hook, snapd()]));
        assert!(!by("/snap/evil/21/usr/lib/snapd/snapd", Vec::new()));
    }
}
