//! What somebody may put where units are, to blind or to stop whoever looks.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use whodunit_tests::{Agent, Event, Kind, Scratch, skip, skip_without_bpf};

/// A load path that hardly any host has.
const UNITS: &str = "/etc/systemd/system.attached";
const ENTRIES: usize = 100_000;

/// The load path, gone when the test ends.
struct Attached;

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(UNITS);
    }
}

/// A directory with as many entries as nobody has, and one of each odd kind.
fn crowd(dir: &Path, tag: &str) {
    fs::create_dir(dir).unwrap();
    let at = |name: &str| dir.join(format!("{tag}{name}"));
    // Links are quicker to make than files; no file system takes more than some ten thousand.
    for n in 0..ENTRIES {
        let first = at(&format!("{}.service", n / 20_000 * 20_000));
        if n % 20_000 == 0 {
            fs::write(&first, "[Unit]\n").unwrap();
        } else {
            fs::hard_link(&first, at(&format!("{n}.service"))).unwrap();
        }
    }
    for arguments in [
        vec!["fifo.service", "p"],
        vec!["zero.service", "c", "1", "5"],
    ] {
        let mut mknod = Command::new("mknod");
        mknod.arg(at(arguments[0])).args(&arguments[1..]);
        assert!(mknod.status().unwrap().success());
    }
    let loops = at("loop.service");
    symlink(&loops, &loops).unwrap();
    fs::write(at("bytes.service"), b"[Unit]\nDescription=\xff\xfe\n").unwrap();
    let huge = File::create(at("huge.service")).unwrap();
    huge.set_len(33 << 20).unwrap();
    // No unit's name: systemd passes it over, and so does the agent.
    let name = [tag.as_bytes(), b"\xff.service"].concat();
    fs::write(dir.join(OsStr::from_bytes(&name)), "[Unit]\n").unwrap();
}

fn gap_of(agent: &Agent, name: &str) -> String {
    let event = agent.wait_for(name, |event| {
        event.verb() == "attributes" && event.path().ends_with(name)
    });
    event.text("unmapped/change/content/gap").to_owned()
}

#[test]
fn nothing_in_a_load_path_blinds_or_stops_the_agent() {
    if skip_without_bpf() {
        return;
    }
    if Path::new(UNITS).exists() {
        return skip("there is a /etc/systemd/system.attached");
    }
    let scratch = Scratch::new(&[Path::new("/etc")]);
    let tag = scratch.tag();
    let aside = PathBuf::from(scratch.path(0, "crowd"));
    crowd(&aside, tag);
    let _attached = Attached;
    fs::rename(&aside, UNITS).unwrap();

    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    let gap = |event: &Event, words: &str| {
        let text = event.text("unmapped/health/gap");
        event.kind() == Kind::Health && text.contains(UNITS) && text.contains(words)
    };
    agent.wait_for("a gap", |event| {
        gap(event, "more entries than are looked at")
    });
    let at = |name: &str| Path::new(UNITS).join(format!("{tag}{name}"));

    // Changes are seen as anywhere else.
    let new = at("new.service");
    fs::write(&new, "[Service]\nExecStart=/bin/true\n").unwrap();
    let created = agent.wait_for("a new unit", |event| {
        event.is_change(&["create"], &new.to_string_lossy())
    });
    assert_eq!(
        created.at("unmapped/change/content/settings/kind"),
        "service"
    );

    // What cannot be read is touched, told and not opened.
    for name in [
        "fifo.service",
        "zero.service",
        "bytes.service",
        "huge.service",
    ] {
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    for (name, words) in [
        ("fifo.service", "not a regular file but a FIFO"),
        ("zero.service", "not a regular file but a character device"),
        ("bytes.service", "not UTF-8"),
        ("huge.service", "of which at most"),
    ] {
        let gap = gap_of(&agent, name);
        assert!(gap.contains(words), "{name}: {gap}");
    }
    fs::remove_file(at("loop.service")).unwrap();
    symlink(at("loop.service"), at("loop.service")).unwrap();
    let looped = agent.wait_for("a loop", |event| {
        event.is_change(&["symlink"], &at("loop.service").to_string_lossy())
    });
    let links = looped.text("unmapped/change/content/gap");
    assert!(links.contains("too many symbolic links"), "{links}");

    // Away and back while it runs: it is the same directory, and watched still.
    fs::rename(UNITS, &aside).unwrap();
    fs::rename(&aside, UNITS).unwrap();
    let after = at("after.service");
    fs::write(&after, "[Unit]\n").unwrap();
    agent.wait_for("a unit after all that", |event| {
        event.is_change(&["create"], &after.to_string_lossy())
    });
    agent.stop();
}
