//! Provisioning: installs what is missing, says each thing it installs, and is silent when nothing
//! is.
//!
//! Each thing is checked by its presence, not by a stamp file, so that a machine that was changed
//! by hand is seen as it is.

use anyhow::{Context, Result, bail};

use crate::apt::{self, Package, package};
use crate::{toolchain, util};

/// What the static agent takes.
const AGENT_BUILD: &[Package] = &[
    package("gcc", "links the agent"),
    package("libc6-dev", "the C library that the agent links, static"),
];

/// What building and reading the virtual machines' disks takes.
const VM_TOOLS: &[Package] = &[
    package("mmdebstrap", "builds the virtual machines' images"),
    package("e2fsprogs", "makes and reads their disks without mounting"),
    package("debian-archive-keyring", "verifies the images' packages"),
    package("xz-utils", "unpacks newer kernels' modules"),
    package("zstd", "unpacks newer kernels' modules"),
];

/// The emulator, and the oldest that boots every suite (7.2 crashes Linux 6.12).
const QEMU: Package = package("qemu-system-x86", "runs the virtual machines");
const QEMU_MIN: u32 = 9;

/// Installs what is missing. Says whether it installed anything.
pub(crate) fn provision(vm: bool) -> Result<bool> {
    let mut changed = false;
    if util::find("cc").is_none() || !has_libc() {
        apt::install(&apt::missing(AGENT_BUILD), None)?;
        changed = true;
    }
    changed |= toolchain::provision()?;
    if vm {
        changed |= vm_tools()?;
    }
    Ok(changed)
}

/// Whether the C library can be linked statically.
fn has_libc() -> bool {
    let archive = std::process::Command::new("cc")
        .arg("--print-file-name=libc.a")
        .output();
    // cc echoes the bare name when it finds no such file.
    archive.is_ok_and(|output| output.stdout.contains(&b'/'))
}

fn vm_tools() -> Result<bool> {
    let mut changed = false;
    let programs = ["mmdebstrap", "mke2fs", "debugfs", "e2fsck", "xz", "zstd"];
    if programs.iter().any(|program| util::find(program).is_none()) {
        apt::install(&apt::missing(VM_TOOLS), None)?;
        changed = true;
    }
    if qemu_version().is_some_and(|version| version >= QEMU_MIN) {
        return Ok(changed);
    }
    if !apt::available() {
        bail!("this machine has no apt; install QEMU for x86-64, version {QEMU_MIN} or newer");
    }
    apt::update()?;
    let offered = apt::candidate(QEMU.name).context("apt offers no qemu-system-x86")?;
    if version_of(&offered).is_some_and(|version| version >= QEMU_MIN) {
        apt::install(&[QEMU], None)?;
    } else {
        let codename = apt::debian_codename().with_context(|| {
            format!("apt offers qemu-system-x86 {offered}; install {QEMU_MIN} or newer by hand")
        })?;
        let suite = apt::backports(&codename)?;
        apt::install(&[QEMU], Some(&suite))?;
    }
    match qemu_version() {
        Some(version) if version >= QEMU_MIN => Ok(true),
        other => bail!("QEMU {QEMU_MIN} or newer is needed, and after installing it is {other:?}"),
    }
}

fn qemu_version() -> Option<u32> {
    version_of(&apt::installed(QEMU.name)?).or_else(|| {
        let text =
            util::capture(std::process::Command::new("qemu-system-x86_64").arg("--version"))?;
        version_of(text.split_once("version ")?.1)
    })
}

/// The leading number of a Debian version, without its epoch.
fn version_of(version: &str) -> Option<u32> {
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    upstream
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}
