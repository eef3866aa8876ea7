//! The initramfs of a virtual machine: loads the disks' drivers, brings the job in, and hands over
//! to systemd.
//!
//! Distributions generate one that finds its root among any hardware; this one knows what it
//! boots, which saves seconds of every run.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::cpio::Archive;
use crate::util;

/// The first process. /dev/vda is the image, /dev/vdb the job's disk.
pub(super) const INIT: &str = r#"#!/bin/busybox sh
set -e
trap 'echo "whodunit-vm: the initramfs failed"; poweroff -f' EXIT
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
for module in /modules/*; do insmod "$module"; done
until [ -b /dev/vda ] && [ -b /dev/vdb ]; do usleep 10000; done
mount -t ext4 /dev/vda /root
mount -t ext4 /dev/vdb /root/job
cp -a /root/job/overlay/. /root/
mount -o bind /root/job/scenario /root/scenario
mount -o bind /root/job/out /root/out
umount /root/job
mount -o move /dev /root/dev
trap - EXIT
exec switch_root /root /sbin/init
"#;

/// Drivers for the disks; what they depend on comes with them. A kernel may have any of them built
/// in, so that none has to be found.
pub(super) const DRIVERS: &[&str] = &["virtio_pci", "virtio_blk", "crc32c_generic", "ext4"];

/// Makes the archive from an image's tree.
pub(super) fn make(root: &Path) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for dir in ["bin", "dev", "modules", "root"] {
        archive.dir(dir);
    }
    archive.file("init", INIT.as_bytes());
    archive.file("bin/busybox", &util::read(&root.join("bin/busybox"))?);
    for (index, (name, module)) in modules(root)?.into_iter().enumerate() {
        archive.file(&format!("modules/{index:02}-{name}.ko"), &module);
    }
    Ok(archive.finish())
}

/// The modules to load, in order, unpacked.
fn modules(root: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    // Not below /usr: bullseye's minimal variant has its directories apart.
    let all = root.join("lib/modules");
    let release = fs::read_dir(&all)
        .with_context(|| format!("cannot list {}", all.display()))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.join("modules.dep").is_file())
        .with_context(|| format!("no modules.dep below {}", all.display()))?;
    let dep = String::from_utf8_lossy(&util::read(&release.join("modules.dep"))?).into_owned();
    let mut needs: HashMap<String, (&str, Vec<String>)> = HashMap::new();
    for line in dep.lines() {
        let Some((path, rest)) = line.split_once(':') else {
            continue;
        };
        let rest = rest.split_whitespace().map(module_name).collect();
        needs.insert(module_name(path), (path, rest));
    }
    let mut order = Vec::new();
    for driver in DRIVERS {
        visit(driver, &needs, &mut order);
    }
    order
        .into_iter()
        .map(|name| {
            let file = release.join(needs[&name].0);
            unpack(&file).map(|bytes| (name, bytes))
        })
        .collect()
}

/// Adds a module after what it needs.
fn visit(name: &str, needs: &HashMap<String, (&str, Vec<String>)>, order: &mut Vec<String>) {
    let Some((_, before)) = needs.get(name) else {
        return;
    };
    if order.iter().any(|seen| seen == name) {
        return;
    }
    for before in before {
        visit(before, needs, order);
    }
    order.push(name.to_owned());
}

/// `kernel/drivers/block/virtio_blk.ko.xz` → `virtio_blk`.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

fn unpack(file: &Path) -> Result<Vec<u8>> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => util::output(Command::new("xz").arg("-dc").arg(file)),
        Some("zst") => util::output(Command::new("zstd").arg("-dcq").arg(file)),
        _ => util::read(file),
    }
}
