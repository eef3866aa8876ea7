//! The second disk: what goes into the guest, and what comes out of it.
//!
//! An ext4 file system made and read by e2fsprogs: that needs no mount on the host and no driver in
//! the guest beyond its root disk's (Debian's cloud kernels have no 9p).

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::util;

/// Makes the disk from a directory tree.
pub(super) fn make(tree: &Path, disk: &Path) -> Result<()> {
    // No journal: after the guest's sync everything is in its place, even when the guest dies
    // later. Sparse, so that the size costs nothing.
    util::check_quiet(
        mke2fs()?
            .args([
                "-q",
                "-F",
                "-t",
                "ext4",
                "-O",
                "^has_journal",
                "-E",
                "root_owner=0:0",
                "-d",
            ])
            .arg(tree)
            .arg(disk)
            .arg("2G"),
    )
}

/// Copies an image; what is empty in it stays so.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut copy = Command::new("cp");
    util::check_quiet(
        copy.args(["--sparse=always", "--reflink=auto"])
            .arg(from)
            .arg(to),
    )
}

/// Repairs the disk for the next boot, as a host's own fsck would after a cut of the power, and
/// takes out what that boot writes itself; it is kept in `out`.
pub(super) fn between_boots(disk: &Path, out: &Path) -> Result<()> {
    repair(disk)?;
    util::create_dir(out)?;
    let mut requests = Vec::new();
    for name in ["stderr.log", "events.ndjson", "script.log", "status"] {
        requests.push(format!("dump /out/{name} \"{}\"", out.join(name).display()));
        requests.push(format!("rm /out/{name}"));
    }
    // They are on the root disk by now, and the initramfs does not copy over links.
    for name in ["whodunit.service", "whodunit-vm.service"] {
        let wants = "/overlay/usr/lib/systemd/system/multi-user.target.wants";
        requests.push(format!("rm {wants}/{name}"));
    }
    for request in requests {
        // It fails where there is no such file, which is as good.
        let mut debugfs = Command::new(tool("debugfs")?);
        let done = debugfs.args(["-w", "-R", &request]).arg(disk).output();
        done.context("cannot start debugfs")?;
    }
    Ok(())
}

/// Copies the disk's /out into `out`.
pub(super) fn read_back(disk: &Path, work: &Path, out: &Path) -> Result<()> {
    repair(disk)?;
    let mut debugfs = Command::new(tool("debugfs")?);
    let request = format!("rdump /out \"{}\"", work.display());
    util::check_quiet(debugfs.args(["-R", &request]).arg(disk))?;
    let from = work.join("out");
    let entries = fs::read_dir(&from).with_context(|| format!("{} has no /out", disk.display()))?;
    for entry in entries {
        let entry = entry?;
        let to = out.join(entry.file_name());
        if entry.file_type()?.is_dir() && to.is_dir() {
            fs::remove_dir_all(&to).with_context(|| format!("cannot replace {}", to.display()))?;
        }
        fs::rename(entry.path(), &to)
            .with_context(|| format!("cannot move results to {}", to.display()))?;
    }
    Ok(())
}

fn repair(disk: &Path) -> Result<()> {
    // The guest powers off without unmounting. Exit status 1 means repaired, which is the rule.
    let mut fsck = Command::new(tool("e2fsck")?);
    let status = fsck.args(["-fy"]).arg(disk).output();
    let code = status.context("cannot start e2fsck")?.status.code();
    anyhow::ensure!(
        code.is_some_and(|code| code < 4),
        "e2fsck cannot repair {}",
        disk.display()
    );
    Ok(())
}

/// mke2fs, which is often outside a user's PATH.
pub(super) fn mke2fs() -> Result<Command> {
    tool("mke2fs").map(Command::new)
}

fn tool(name: &str) -> Result<std::path::PathBuf> {
    util::find(name).with_context(|| format!("no {name}: run `cargo xtask setup --vm`"))
}
