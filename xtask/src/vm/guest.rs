//! What runs inside: the agent's unit, the driver that runs the script, and where their files lie
//! on the second disk.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::util;

/// What one run puts into the guest.
pub(super) struct Payload<'a> {
    pub(super) binary: &'a Path,
    /// An absolute path: its directory goes along.
    pub(super) script: &'a Path,
    /// Files that go beside it.
    pub(super) added: &'a [PathBuf],
    pub(super) sensor_args: &'a [String],
    pub(super) suite: &'a str,
    /// The run's time limit.
    pub(super) seconds: u64,
}

/// Unpacked over the image's root by the initramfs, before systemd starts. A directory of this name
/// beside the script goes along.
const OVERLAY: &str = "overlay";

/// Runs the script between the agent's `ready` and its stop.
///
/// It waits with builtins alone where it has to poll: every command would be one more process in
/// the recording. Lines beginning `whodunit-vm: ` on the console tell the harness how far it is.
const DRIVER: &str = r#"#!/bin/bash
say() { echo "whodunit-vm: $*" >/dev/console; }
pause() { read -rt 0.05 -u "$never"; }
end() {
    systemctl show -p Result -p ExecMainCode -p ExecMainStatus whodunit.service >/out/sensor
    [[ $(</out/sensor) == *Result=success* ]] || {
        [[ -e /out/failure || -e /out/sensor-ended-on-purpose ]] ||
            echo "the sensor did not end well: $(tr '\n' ' ' </out/sensor)" >/out/failure
    }
    [[ ! -e /out/failure && $(</out/status) == 0 ]] || journalctl -b --no-pager >/out/journal.log
    say ended
    sync
    systemctl poweroff -ff
}
fail() { echo "$*" >/out/failure; say "failed: $*"; end; exit 1; }

exec {never}<> <(:)
say started
read -r cmdline </proc/cmdline
export WHODUNIT_BOOT=${cmdline##*whodunit.boot=}
WHODUNIT_BOOT=${WHODUNIT_BOOT%% *}
# Whatever the boot still has to do is not the script's doing.
systemctl is-system-running --wait >/dev/null
say booted
pid=$(systemctl show -p MainPID --value whodunit.service)
ready() {
    local line
    [[ -e /out/stderr.log ]] || return 1
    while read -r line; do [[ $line == ready* ]] && return 0; done </out/stderr.log
    return 1
}
until ready; do
    [[ $pid != 0 && -d /proc/$pid ]] || fail "the sensor ended before it was ready"
    read -r uptime _ </proc/uptime
    (( ${uptime%.*} < LIMIT - 20 )) || fail "the sensor was not ready in time"
    pause
done
say ready

read -r uptime _ </proc/uptime
left=$(( LIMIT - ${uptime%.*} - 15 ))
cd /scenario
timeout -k 5 "$left" bash "/scenario/$SCRIPT" </dev/null >/out/script.log 2>&1
status=$?
echo "$status" >/out/status
(( status != 124 )) || echo "the script was stopped after $left s" >>/out/script.log
say "script done"
systemctl stop whodunit.service
end
"#;

/// Lays the payload out under `tree`, as the disk will hold it.
pub(super) fn lay_out(payload: &Payload<'_>, tree: &Path) -> Result<()> {
    let overlay = tree.join(OVERLAY);
    let units = overlay.join("usr/lib/systemd/system");
    let wants = units.join("multi-user.target.wants");
    util::create_dir(&wants)?;
    util::create_dir(&tree.join("out"))?;

    install(payload.binary, &overlay.join("usr/bin/whodunit"), 0o755)?;
    util::write_if_changed(
        &overlay.join("usr/lib/whodunit-vm/driver"),
        DRIVER.as_bytes(),
        0o755,
    )?;
    for (name, text) in [
        ("whodunit.service", sensor_unit(payload)),
        ("whodunit-vm.service", driver_unit(payload)?),
    ] {
        util::write_if_changed(&units.join(name), text.as_bytes(), 0o644)?;
        // As a package would enable it, so that the guest's /etc stays as the image has it.
        symlink(format!("../{name}"), wants.join(name))
            .with_context(|| format!("cannot link {name} in {}", wants.display()))?;
    }
    let scripts = payload
        .script
        .parent()
        .context("the script is not in a directory")?;
    let before = scripts.join(OVERLAY);
    if before.is_dir() {
        copy_dir(&before, &overlay)?;
    }
    let beside = tree.join("scenario");
    copy_dir(scripts, &beside)?;
    for file in payload.added {
        let name = file
            .file_name()
            .with_context(|| format!("{} has no name", file.display()))?;
        install(file, &beside.join(name), 0o755)?;
    }
    Ok(())
}

fn sensor_unit(payload: &Payload<'_>) -> String {
    let args: String = payload
        .sensor_args
        .iter()
        .map(|arg| format!(" {}", quote(arg)))
        .collect();
    format!(
        "[Unit]\n\
         Description=Process lineage sensor\n\
         [Service]\n\
         Type=exec\n\
         ExecStart=/usr/bin/whodunit run --format ocsf --output /out/events.ndjson{args}\n\
         StandardError=file:/out/stderr.log\n\
         TimeoutStopSec=20\n\
         [Install]\n\
         WantedBy=multi-user.target\n"
    )
}

fn driver_unit(payload: &Payload<'_>) -> Result<String> {
    let script = payload.script.file_name().and_then(|name| name.to_str());
    let script = script.context("the script's name is not UTF-8")?;
    let Payload { suite, seconds, .. } = payload;
    // Type=simple: a unit that is still starting would keep the boot from being over.
    Ok(format!(
        "[Unit]\n\
         Description=Test driver\n\
         After=whodunit.service\n\
         [Service]\n\
         Type=simple\n\
         ExecStart=/usr/lib/whodunit-vm/driver\n\
         Environment=LIMIT={seconds} {} {}\n\
         Environment=WHODUNIT_OUT=/out WHODUNIT_EVENTS=/out/events.ndjson HOME=/root LANG=C.UTF-8\n",
        quote(&format!("SCRIPT={script}")),
        quote(&format!("WHODUNIT_SUITE={suite}")),
    ))
}

/// One word for a unit file.
fn quote(word: &str) -> String {
    let word = word
        .replace('\\', r"\\")
        .replace('"', r#"\""#)
        .replace('\n', r"\n");
    format!("\"{}\"", word.replace('%', "%%").replace('$', "$$"))
}

fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    if let Some(dir) = to.parent() {
        util::create_dir(dir)?;
    }
    let copy = || -> std::io::Result<()> {
        fs::copy(from, to)?;
        fs::set_permissions(to, fs::Permissions::from_mode(mode))
    };
    copy().with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// Copies a directory's files; what is neither file, link nor directory stays behind.
fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    util::create_dir(to)?;
    let entries = fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_dir(&from, &to)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&from)?, &to)?;
        } else if kind.is_file() {
            fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
    }
    Ok(())
}
