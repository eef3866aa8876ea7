//! The mounts of the agent's mount namespace: from a device and a path inside its file system to
//! a path on the host, and from a path to the device as the kernel knows it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use procfs::process::MountInfo;

use crate::event::FileIdentity;

/// Where the table comes from.
const MOUNTINFO: &str = "/proc/self/mountinfo";

/// Most bytes of mountinfo that are read: 100,000 mounts is the kernel's default limit.
const MAX_BYTES: u64 = 32 << 20;

/// Why a fact about mounts or files could not be had. Each names the path.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file or directory could not be looked up.
    #[error("cannot look up {}: {source}", path.display())]
    Lookup {
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file system that a file is on did not answer in time.
    #[error("cannot look up {}: {} does not answer", path.display(), point.display())]
    Silent {
        /// The file or directory.
        path: PathBuf,
        /// Where the file system is mounted.
        point: PathBuf,
    },
}

/// Types that wait for a server, another host or a process in user space. Whatever begins with
/// `fuse` or `nfs` is one as well.
const MAY_NOT_ANSWER: [&str; 22] = [
    "9p", "acfs", "afs", "autofs", "beegfs", "ceph", "cifs", "coda", "gfs2", "gpfs", "kafs",
    "lustre", "ncpfs", "ocfs2", "orangefs", "panfs", "pvfs2", "smb3", "smbfs", "vboxsf",
    "virtiofs", "vmhgfs",
];

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its id, unique while it lasts.
    pub id: i32,
    /// The id of the mount it is on.
    pub parent: i32,
    /// Device of the superblock: major << 20 | minor.
    pub device: u32,
    /// The directory of the file system that is mounted: mostly `/`.
    pub root: String,
    /// Where it is mounted.
    pub point: String,
    /// Type of the file system.
    pub fs_type: String,
}

/// The mounts as of one reading.
#[derive(Clone, Debug, Default)]
pub struct Mounts {
    mounts: Vec<Mount>,
    by_id: HashMap<i32, usize>,
    /// Those that show most of the file system first.
    by_device: HashMap<u32, Vec<usize>>,
    children: HashMap<i32, Vec<usize>>,
    /// Where file systems are mounted that may not answer.
    doubtful: Vec<PathBuf>,
}

impl Mounts {
    /// Reads the mounts of the agent's own mount namespace.
    ///
    /// # Errors
    ///
    /// When `/proc/self/mountinfo` cannot be read.
    pub fn read() -> Result<Self, MountError> {
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            File::open(MOUNTINFO)?
                .take(MAX_BYTES)
                .read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|source| MountError::Read {
            path: MOUNTINFO.into(),
            source,
        })?;
        Ok(Self::parse(&bytes))
    }

    /// Parses the text of a mountinfo. A line that does not parse is skipped: one odd mount
    /// must not hide the others. Bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut all = Self::default();
        for line in String::from_utf8_lossy(bytes).lines() {
            let Some(mount) = MountInfo::from_line(line).ok().and_then(mount) else {
                continue;
            };
            let index = all.mounts.len();
            all.by_id.insert(mount.id, index);
            all.by_device.entry(mount.device).or_default().push(index);
            if mount.parent != mount.id {
                all.children.entry(mount.parent).or_default().push(index);
            }
            all.mounts.push(mount);
        }
        for indices in all.by_device.values_mut() {
            indices.sort_by_key(|&at| {
                let root = all.mounts.get(at).map(|mount| mount.root.as_str());
                root.map_or(0, |root| root.trim_end_matches('/').len())
            });
        }
        let doubtful = all.mounts.iter().filter(|mount| all.may_not_answer(mount));
        all.doubtful = doubtful.map(|mount| (&mount.point).into()).collect();
        all
    }

    /// Whether a mount may never answer. The one that the host runs from is not in doubt: if that is
    /// silent, nothing runs any more.
    #[must_use]
    pub fn may_not_answer(&self, mount: &Mount) -> bool {
        let kind = mount.fs_type.as_str();
        let waits =
            MAY_NOT_ANSWER.contains(&kind) || kind.starts_with("fuse") || kind.starts_with("nfs");
        waits && self.root().is_none_or(|root| root.device != mount.device)
    }

    /// Where file systems are mounted that may not answer.
    #[must_use]
    pub fn doubtful(&self) -> &[PathBuf] {
        &self.doubtful
    }

    /// Every mount, in the kernel's order: one that covers another comes after it.
    #[must_use]
    pub fn all(&self) -> &[Mount] {
        &self.mounts
    }

    /// Whether a mount shows the file system with this device.
    #[must_use]
    pub fn shows(&self, device: u32) -> bool {
        self.by_device.contains_key(&device)
    }

    /// Device of the file system of a mount: major << 20 | minor.
    #[must_use]
    pub fn device_of(&self, mount_id: i32) -> Option<u32> {
        Some(self.by_id(mount_id)?.device)
    }

    /// The mount that a host path is on, as a walk of the path would find it: the mounts that are
    /// covered by another are not seen.
    #[must_use]
    pub fn holding(&self, path: &str) -> Option<&Mount> {
        let mut current = self.root()?;
        // Each step goes one mount up the stack; the bound is against nonsense in the table.
        for _ in 0..self.mounts.len() {
            let next = self
                .children
                .get(&current.id)
                .into_iter()
                .flatten()
                .filter_map(|&at| self.mounts.get(at))
                .filter(|mount| relative_to(path, &mount.point).is_some())
                // The first mount point on the way; of several at one place the newest.
                .rev()
                .min_by_key(|mount| mount.point.trim_end_matches('/').len());
            match next {
                Some(mount) => current = mount,
                None => return Some(current),
            }
        }
        None
    }

    fn root(&self) -> Option<&Mount> {
        let roots = || self.mounts.iter().filter(|mount| mount.point == "/");
        roots()
            .find(|mount| mount.parent == mount.id || self.by_id(mount.parent).is_none())
            .or_else(|| roots().next())
    }

    /// The host path of something inside a file system, from the superblock's device and the
    /// path from the file system's root (as `/etc/systemd`).
    ///
    /// Of several mounts that show it, one through which it can be reached is chosen: not
    /// covered by another mount on the way; then the one that shows most of the file system, then
    /// the oldest. `None` when no mount of this namespace shows it.
    #[must_use]
    pub fn host_path(&self, device: u32, inside: &str) -> Option<String> {
        self.by_device
            .get(&device)?
            .iter()
            .filter_map(|&at| self.mounts.get(at))
            .find_map(|mount| {
                let path = join(&mount.point, relative_to(inside, &mount.root)?);
                (self.holding(&path)?.id == mount.id).then_some(path)
            })
    }

    /// The identity of a file or directory as the kernel's probes report it: links at the end of
    /// `path` are followed.
    ///
    /// `st_dev` alone would not do: btrfs gives each subvolume a device of its own there.
    ///
    /// # Errors
    ///
    /// When the path cannot be looked up.
    pub fn identify(&self, path: &Path) -> Result<FileIdentity, MountError> {
        self.identity(path, 0)
    }

    /// As [`Mounts::identify`], of a link itself where `path` is one.
    ///
    /// # Errors
    ///
    /// When the path cannot be looked up.
    pub fn identify_link(&self, path: &Path) -> Result<FileIdentity, MountError> {
        self.identity(path, libc::O_NOFOLLOW)
    }

    fn identity(&self, path: &Path, flags: i32) -> Result<FileIdentity, MountError> {
        let identity = place(path, flags).and_then(|file| self.identity_of(&file));
        identity.map_err(|source| MountError::Lookup {
            path: path.to_owned(),
            source,
        })
    }

    /// The identity of what was opened.
    pub(crate) fn identity_of(&self, file: &File) -> io::Result<FileIdentity> {
        let meta = file.metadata()?;
        let device = mount_id(file)
            .and_then(|id| self.device_of(id))
            .unwrap_or_else(|| kernel_device(meta.dev()));
        Ok(FileIdentity {
            device,
            inode: meta.ino(),
            size: meta.len(),
            mode: meta.mode(),
            nlink: u32::try_from(meta.nlink()).unwrap_or(u32::MAX),
            uid: meta.uid(),
        })
    }

    fn by_id(&self, id: i32) -> Option<&Mount> {
        self.mounts.get(*self.by_id.get(&id)?)
    }
}

/// Opens a path as a mere place.
pub(crate) fn place(path: &Path, flags: i32) -> io::Result<File> {
    fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_CLOEXEC | flags)
        .open(path)
}

fn mount(info: MountInfo) -> Option<Mount> {
    let (major, minor) = info.majmin.split_once(':')?;
    let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    Some(Mount {
        id: info.mnt_id,
        parent: info.pid,
        device: major << 20 | minor & 0xf_ffff,
        root: unescape(&info.root),
        point: unescape(&info.mount_point.to_string_lossy()),
        fs_type: info.fs_type,
    })
}

/// Turns a `st_dev` into the kernel's own form, major << 20 | minor.
#[must_use]
pub fn kernel_device(st_dev: u64) -> u32 {
    let major = nix::sys::stat::major(st_dev);
    let minor = nix::sys::stat::minor(st_dev);
    u32::try_from((major << 20 | minor & 0xf_ffff) & 0xffff_ffff).unwrap_or(0)
}

/// The id of the mount through which a file was opened.
pub(crate) fn mount_id(file: &File) -> Option<i32> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    info.lines()
        .find_map(|line| line.strip_prefix("mnt_id:"))
        .and_then(|id| id.trim().parse().ok())
}

/// What of `path` is below `base`, without a slash in front; `None` if it is not below.
fn relative_to<'a>(path: &'a str, base: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(base.trim_end_matches('/'))?;
    if rest.is_empty() {
        Some(rest)
    } else {
        rest.strip_prefix('/')
    }
}

fn join(base: &str, rest: &str) -> String {
    let base = base.trim_end_matches('/');
    match (base, rest) {
        ("", "") => "/".to_owned(),
        (base, "") => base.to_owned(),
        (base, rest) => format!("{base}/{rest}"),
    }
}

/// Undoes the kernel's `\040` for space, tab, newline and backslash (`mangle` in `fs/seq_file.c`).
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = |at: usize| tail.get(at).filter(|b| (b'0'..=b'7').contains(*b));
        match (first, octal(0), octal(1), octal(2)) {
            (b'\\', Some(a), Some(b), Some(c)) if *a <= b'3' => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail.get(3..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\
21 1 8:1 / / rw - ext4 /dev/sda1 rw
22 21 0:20 / /proc rw - proc proc rw
23 21 0:21 / /run rw - tmpfs tmpfs rw
24 21 8:1 /srv/data /data rw - ext4 /dev/sda1 rw
25 21 8:2 / /var rw - ext4 /dev/sda2 rw
26 25 8:2 /lib/a\\040b /var/x\\040y rw - ext4 /dev/sda2 rw
27 21 8:3 / /mnt rw - ext4 /dev/sdb rw
28 27 0:30 / /mnt rw - tmpfs tmpfs rw
29 23 8:1 /etc/systemd /run/shadow rw - ext4 /dev/sda1 rw
not a mount
30 21 8:4 /sub /only rw - btrfs /dev/sdc rw,subvol=/sub
";

    fn device(major: u32, minor: u32) -> u32 {
        major << 20 | minor
    }

    #[test]
    fn a_path_inside_a_file_system_becomes_a_host_path() {
        let mounts = Mounts::parse(TABLE);
        assert_eq!(mounts.all().len(), 10);
        for (device, inside, expected) in [
            (
                device(8, 1),
                "/etc/systemd/system",
                Some("/etc/systemd/system"),
            ),
            (device(8, 1), "/", Some("/")),
            (
                device(0, 21),
                "/systemd/transient/x.timer",
                Some("/run/systemd/transient/x.timer"),
            ),
            // Covered at /var; seen through /data alone.
            (device(8, 1), "/srv/data/f", Some("/srv/data/f")),
            (device(8, 1), "/var/f", None),
            (device(8, 2), "/lib/a b/f", Some("/var/lib/a b/f")),
            // A tmpfs is mounted over it.
            (device(8, 3), "/f", None),
            (device(0, 30), "/f", Some("/mnt/f")),
            (device(8, 4), "/sub/f", Some("/only/f")),
            (device(8, 4), "/other/f", None),
            (device(9, 9), "/f", None),
        ] {
            assert_eq!(
                mounts.host_path(device, inside).as_deref(),
                expected,
                "{inside}"
            );
        }
        assert_eq!(mounts.device_of(28), Some(device(0, 30)));
        assert_eq!(mounts.holding("/mnt/f").map(|mount| mount.id), Some(28));
        assert_eq!(mounts.holding("/mntx").map(|mount| mount.id), Some(21));
    }

    #[test]
    fn this_hosts_files_are_found_again() {
        let mounts = Mounts::read().expect("mountinfo");
        let proc = mounts.identify(Path::new("/proc")).expect("proc");
        let mount = mounts.holding("/proc").expect("a mount");
        assert_eq!(
            (mount.fs_type.as_str(), mount.device),
            ("proc", proc.device)
        );
        assert_eq!(
            mounts.host_path(proc.device, "/self").as_deref(),
            Some("/proc/self")
        );
        let error = mounts.identify(Path::new("/no/such")).expect_err("missing");
        assert!(error.to_string().contains("/no/such"), "{error}");
    }

    #[test]
    fn odd_bytes_do_not_hide_the_rest() {
        let mounts = Mounts::parse(b"1 1 8:1 / / rw - ext4 a rw\n2 1 8:2 / /\xff rw - ext4 b rw\n");
        assert_eq!(mounts.all().len(), 2);
        assert_eq!(kernel_device(0x801), 8 << 20 | 1);
    }
}
