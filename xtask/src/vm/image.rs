//! The suites' images: built once for each recipe, then only booted.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{disk, initrd};
use crate::{apt, util};

/// What is particular to a suite.
pub(super) struct Suite {
    pub(super) name: &'static str,
    /// Debian's name of it.
    release: &'static str,
    /// Additions to the kernel command line.
    pub(super) cmdline: &'static str,
    /// Further options of mmdebstrap.
    options: &'static [&'static str],
    /// Whether it has what a host in use has, beyond what every image has.
    lived_in: bool,
}

const SUITES: &[Suite] = &[
    Suite {
        name: "bullseye",
        release: "bullseye",
        // Linux 5.10 as Debian builds it has BPF LSM compiled in but not in the default list.
        cmdline: "lsm=lockdown,yama,integrity,apparmor,bpf",
        options: &[],
        lived_in: false,
    },
    Suite {
        name: "bookworm",
        release: "bookworm",
        cmdline: "",
        options: &[],
        lived_in: false,
    },
    Suite {
        name: "trixie",
        release: "trixie",
        cmdline: "",
        options: &[],
        lived_in: false,
    },
    Suite {
        name: "sid",
        release: "sid",
        cmdline: "",
        // A mirror may hold a release file that has expired.
        options: &["--aptopt=Acquire::Check-Valid-Until \"false\""],
        lived_in: false,
    },
    Suite {
        name: "bookworm-host",
        release: "bookworm",
        cmdline: "",
        options: &[],
        lived_in: true,
    },
    Suite {
        name: "trixie-host",
        release: "trixie",
        cmdline: "",
        options: &[],
        lived_in: true,
    },
];

/// Packages of every image: systemd as a host runs it, and what scripts use.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,udev,kmod,\
                        busybox-static,sudo,procps,iproute2,util-linux,python3-minimal,cron,\
                        openssh-server,openssh-client";
/// Packages of a host in use: those with timers, and who else makes units.
const LIVED_IN: &str = "anacron,apt-show-versions,btrfsmaintenance,certbot,chkrootkit,crun,exim4-base,\
                        logrotate,man-db,mdadm,ntpsec,php-common,plocate,podman,polkitd,sysstat,\
                        unattended-upgrades";
const KERNEL: &str = "linux-image-cloud-amd64";

/// mmdebstrap's options for every image.
const OPTIONS: &[&str] = &[
    "--variant=minbase",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    // The harness brings its own initramfs: generating one takes long.
    "--dpkgopt=force-confold",
    "--essential-hook=mkdir -p \"$1/etc/initramfs-tools\"",
    "--essential-hook=echo update_initramfs=no >\"$1/etc/initramfs-tools/update-initramfs.conf\"",
];

/// Run in the image's root after the packages are in.
const CUSTOMIZE: &str = r#"
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
passwd -d root
useradd --create-home --uid 1000 --shell /bin/bash alice
passwd -d alice
echo whodunit-test >/etc/hostname
printf '127.0.0.1 localhost whodunit-test\n' >/etc/hosts
# A set machine id: without one systemd would take this for a first boot and apply presets.
echo 5ac0de5ac0de5ac0de5ac0de5ac0de5a >/etc/machine-id
mkdir -p /var/lib/dbus && ln -sf /etc/machine-id /var/lib/dbus/machine-id
# Logins over loopback without a password, for scenarios that come in through sshd.
for home in /root /home/alice; do
    mkdir -p -m 700 $home/.ssh
done
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
printf 'Host localhost 127.0.0.1\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n' >/root/.ssh/config
for home in /root /home/alice; do
    cp /root/.ssh/id_ed25519.pub $home/.ssh/authorized_keys
done
chown -R alice:alice /home/alice/.ssh
# The console is the harness's, and there is no screen. sshd and cron are for scripts to start.
systemctl mask getty@tty1.service serial-getty@ttyS0.service getty-static.service \
    e2scrub_reap.service systemd-journal-flush.service
systemctl disable ssh.service cron.service
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\nForwardToConsole=no\n' >/etc/systemd/journald.conf.d/volatile.conf
: >/etc/fstab
mkdir -p /scenario /out /job
# Newer than /usr: systemd would rebuild its caches at every boot.
touch /etc/.updated /var/.updated
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*.log
"#;

/// The same for a host in use: what packages leave to the administrator is enabled.
const CUSTOMIZE_LIVED_IN: &str = r#"
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
# There is no network: what apt is to know of, a script says.
rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'alice ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/alice
sed -i 's/ENABLED="false"/ENABLED="true"/' /etc/default/sysstat
systemctl enable ssh.service cron.service sysstat.service
systemctl enable btrfs-balance.timer btrfs-defrag.timer btrfs-scrub.timer btrfs-trim.timer
# mdadm has them started with the first array that is found.
systemctl add-wants timers.target mdcheck_start.timer mdcheck_continue.timer mdmonitor-oneshot.timer
"#;

/// An image that is ready to boot.
pub(super) struct Image {
    pub(super) disk: PathBuf,
    pub(super) kernel: PathBuf,
    pub(super) initrd: PathBuf,
}

impl Image {
    fn at(dir: &Path, name: &str) -> Self {
        Self {
            disk: dir.join(format!("{name}.img")),
            kernel: dir.join(format!("{name}.vmlinuz")),
            initrd: dir.join(format!("{name}.initrd")),
        }
    }
}

/// The facts about a suite.
pub(super) fn suite(name: &str) -> Result<&'static Suite> {
    SUITES
        .iter()
        .find(|suite| suite.name == name)
        .with_context(|| {
            let known: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
            format!("unknown suite {name:?}; known: {}", known.join(", "))
        })
}

/// The suite's image, built if there is none of this recipe.
pub(super) fn prepare(suite: &Suite, kernel: Option<&str>) -> Result<Image> {
    let dir = util::cache_dir()?.join("images");
    util::create_dir(&dir)?;
    // Tests start several machines at once: one builds, the others wait for it.
    let lock = dir.join(format!("{}.lock", suite.name));
    let lock =
        fs::File::create(&lock).with_context(|| format!("cannot create {}", lock.display()))?;
    lock.lock().context("cannot lock the image directory")?;

    let kernel = kernel.unwrap_or(KERNEL);
    let flavour = match kernel {
        KERNEL => suite.name.to_owned(),
        other => format!("{}+{}", suite.name, other.replace('/', "@")),
    };
    let fixed = [kernel, PACKAGES, CUSTOMIZE, initrd::INIT];
    let own: &[&str] = if suite.lived_in {
        &[LIVED_IN, CUSTOMIZE_LIVED_IN]
    } else {
        &[]
    };
    let recipe = [&fixed, OPTIONS, suite.options, own, initrd::DRIVERS].concat();
    let name = format!("{flavour}-{:016x}", fnv1a(&recipe));
    let image = Image::at(&dir, &name);
    // The disk is put in place last.
    if image.disk.is_file() {
        return Ok(image);
    }
    println!("building the image {name}: a minute or two, once for each recipe");
    remove_all(&dir, |entry| {
        entry.starts_with(".building-") && entry.ends_with(suite.name)
    })?;
    let work = dir.join(format!(".building-{}-{}", std::process::id(), suite.name));
    util::create_dir(&work)?;
    let built = build(suite, kernel, &work).and_then(|built| {
        for (from, to) in [
            (built.kernel, &image.kernel),
            (built.initrd, &image.initrd),
            (built.disk, &image.disk),
        ] {
            fs::rename(&from, to).with_context(|| format!("cannot rename to {}", to.display()))?;
        }
        Ok(())
    });
    remove_all(&dir, |entry| {
        work.file_name().is_some_and(|name| name == entry)
    })?;
    built.with_context(|| format!("cannot build the image {name}"))?;
    let older = |entry: &str| {
        let rest = entry
            .strip_prefix(&flavour)
            .and_then(|rest| rest.strip_prefix('-'));
        let hash = rest.and_then(|rest| rest.split('.').next());
        hash.is_some_and(|hash| hash.len() == 16) && !entry.starts_with(&name)
    };
    remove_all(&dir, older)?;
    Ok(image)
}

fn build(suite: &Suite, kernel: &str, work: &Path) -> Result<Image> {
    let root = work.join("root");
    let mut packages = format!("{PACKAGES},{kernel}");
    if suite.lived_in {
        packages = format!("{packages},{LIVED_IN}");
    }
    let from = |mirror: Option<String>| -> Result<()> {
        let mut command = util::privileged("mmdebstrap")?;
        command
            .args(OPTIONS)
            .args(suite.options)
            .arg(format!("--include={packages}"))
            .arg(suite.release)
            .arg(&root);
        // Without a mirror mmdebstrap uses the distribution's default.
        let extra = kernel.split_once('/').map(|(_, extra)| extra);
        let uri = mirror.or_else(|| extra.and_then(|_| apt::archive_uri()));
        if let Some(uri) = uri {
            for name in std::iter::once(suite.release).chain(extra) {
                command.arg(format!("deb {uri} {name} main"));
            }
        }
        util::check_quiet(&mut command)
    };
    from(None).or_else(|error| {
        // The default may be out of reach where the machine's own configuration names a mirror.
        let Some(uri) = apt::archive_uri() else {
            return Err(error);
        };
        util::check(util::privileged("rm")?.arg("-rf").arg(&root))?;
        from(Some(uri)).map_err(|_| error)
    })?;
    for script in [
        Some(CUSTOMIZE),
        suite.lived_in.then_some(CUSTOMIZE_LIVED_IN),
    ] {
        let Some(script) = script else { continue };
        let mut customize = util::privileged("chroot")?;
        util::check_quiet(customize.arg(&root).args(["/bin/sh", "-c", script]))?;
    }

    let image = Image::at(work, "new");
    let kernel_file = find_kernel(&root)?;
    fs::copy(&kernel_file, &image.kernel)
        .with_context(|| format!("cannot copy {}", kernel_file.display()))?;
    fs::write(&image.initrd, initrd::make(&root)?)
        .with_context(|| format!("cannot write {}", image.initrd.display()))?;
    // The harness loads the kernel: the image need not carry it.
    let boot = root.join("boot");
    util::check(
        util::privileged("find")?
            .arg(&boot)
            .args(["-mindepth", "1", "-delete"]),
    )?;

    // No journal: the image is never written to, so it needs no recovery. No lazy initialisation:
    // the guest would do it in the background of every run.
    let options = "lazy_itable_init=0,nodiscard";
    let mut mke2fs = util::privileged(&disk::mke2fs()?.get_program().to_string_lossy())?;
    mke2fs.args([
        "-q",
        "-F",
        "-t",
        "ext4",
        "-O",
        "^has_journal",
        "-E",
        options,
        "-d",
    ]);
    let size = if suite.lived_in { "2G" } else { "1200M" };
    util::check_quiet(mke2fs.arg(&root).arg(&image.disk).arg(size))?;
    Ok(image)
}

/// The kernel's file: in /boot, or beside its modules where the distribution moved it.
fn find_kernel(root: &Path) -> Result<PathBuf> {
    let list = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten();
    let boot = list(root.join("boot"))
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-"))
        });
    let modules = || {
        list(root.join("lib/modules"))
            .map(|entry| entry.path().join("vmlinuz"))
            .find(|path| path.is_file())
    };
    boot.or_else(modules)
        .context("the kernel package left no vmlinuz")
}

/// Removes the entries of a directory whose names match; root may own them.
fn remove_all(dir: &Path, matches: impl Fn(&str) -> bool) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    for entry in entries.flatten() {
        if matches(&entry.file_name().to_string_lossy()) {
            util::check(util::privileged("rm")?.arg("-rf").arg(entry.path()))?;
        }
    }
    Ok(())
}

/// A hash that stays the same over releases of the standard library (64-bit FNV-1a).
fn fnv1a(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
