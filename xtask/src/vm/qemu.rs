//! Runs a virtual machine to its end, watching its console.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::image::Image;
use crate::util;

/// What makes up the machine.
pub(super) struct Machine<'a> {
    pub(super) image: &'a Image,
    /// The suite's own additions to the kernel command line.
    pub(super) cmdline: &'a str,
    pub(super) disk: &'a Path,
    /// A copy of the image that may be written to.
    pub(super) root: Option<&'a Path>,
    /// Which boot with these disks it is, from 1 on.
    pub(super) boot: u32,
}

/// `panic=-1` with `-no-reboot` ends QEMU at a panic; the guest is trusted, so it need not pay for
/// its CPU's mitigations.
const CMDLINE: &str = "console=ttyS0 panic=-1 loglevel=4 edd=off mitigations=off random.trust_cpu=on \
                       systemd.show_status=error";

/// What the guest's driver puts before each line that is for the harness.
const MARK: &str = "whodunit-vm: ";

/// Boots the machine and waits until it is off; calls `phase` as it gets further.
pub(super) fn run(
    machine: &Machine<'_>,
    console: &Path,
    timeout: Duration,
    mut phase: impl FnMut(&str),
) -> Result<()> {
    let mut command = command(machine, console)?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", util::show(&command)))?;
    let end = Instant::now() + timeout;
    let mut seen = 0;
    let mut last = "the machine is starting".to_owned();
    let status = loop {
        let status = child.try_wait().context("cannot wait for QEMU")?;
        let text = fs::read(console).unwrap_or_default();
        // A line that is still being written is left for the next look.
        let whole = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        let text = String::from_utf8_lossy(&text[..whole]);
        let marks: Vec<&str> = text
            .lines()
            .filter_map(|line| Some(line.split_once(MARK)?.1.trim()))
            .collect();
        for mark in marks.iter().skip(seen) {
            phase(mark);
            (*mark).clone_into(&mut last);
        }
        seen = seen.max(marks.len());
        if let Some(status) = status {
            break status;
        }
        if Instant::now() >= end {
            child.kill().context("cannot stop QEMU")?;
            child.wait().context("cannot wait for QEMU")?;
            bail!(
                "the machine was stopped after {} s; it had come to: {last}",
                timeout.as_secs()
            );
        }
        // The console is a file, which cannot be waited on.
        thread::sleep(Duration::from_millis(50));
    };
    phase("off");
    if !status.success() {
        let output = child
            .wait_with_output()
            .context("cannot read QEMU's output")?;
        bail!(
            "QEMU failed: {status}\n{}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

fn command(machine: &Machine<'_>, console: &Path) -> Result<Command> {
    let Machine {
        image,
        cmdline,
        disk,
        root,
        boot,
    } = machine;
    // setpriv: a killed test must not leave its machine running.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"]);
    // A processor model rather than `host` or `max`: the same guest on every machine.
    match std::env::var("WHODUNIT_VM_ACCEL").as_deref() {
        Ok("kvm") => command.args(["-accel", "kvm", "-cpu", "host"]),
        Err(_) | Ok("tcg") => command.args(["-accel", "tcg,thread=multi", "-cpu", "EPYC"]),
        Ok(other) => bail!("WHODUNIT_VM_ACCEL={other}: only tcg and kvm are known"),
    };
    command
        .args(["-machine", "pc", "-smp", "2", "-m", "1024"])
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
            "-nic",
            "none",
        ])
        .args(["-rtc", &format!("base={}", clock(*boot)?)])
        .arg("-serial")
        .arg(format!("file:{}", option_path(console)?))
        .arg("-kernel")
        .arg(&image.kernel)
        .arg("-initrd")
        .arg(&image.initrd)
        .args([
            "-append",
            &format!("{CMDLINE} {cmdline} whodunit.boot={boot}"),
        ]);
    // The image is never written; the disk is read back after the machine is off.
    let root = match root {
        Some(copy) => ("root", *copy, "off"),
        None => ("root", &*image.disk, "on"),
    };
    for (id, file, snapshot) in [root, ("job", *disk, "off")] {
        let file = option_path(file)?;
        command
            .arg("-drive")
            .arg(format!(
                "if=none,id={id},file={file},format=raw,cache=unsafe,snapshot={snapshot}"
            ))
            .args(["-device", &format!("virtio-blk-pci,drive={id}")]);
    }
    Ok(command)
}

/// The guest's time at power-on: tomorrow at ten, and an hour later for each further boot.
///
/// Tomorrow, so that no file of the image is from the future; at ten, so that none of the
/// distribution's daily timers comes due during a run, whenever it is made.
fn clock(boot: u32) -> Result<String> {
    let date = util::capture(Command::new("date").args(["-u", "-d", "tomorrow", "+%Y-%m-%d"]));
    Ok(format!(
        "{}T{:02}:00:00",
        date.context("cannot run `date`")?.trim(),
        9 + boot.min(14)
    ))
}

/// A path inside a QEMU option, where a comma is written twice.
fn option_path(path: &Path) -> Result<String> {
    let path = path
        .to_str()
        .with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(path.replace(',', ",,"))
}
