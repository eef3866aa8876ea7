//! What real clients sent, and what nobody should.
//!
//! `tests/recorded/` has all that clients of systemd 247, 252, 257 and 262, libdbus, GDBus and
//! python-dbus wrote to a socket: `systemd-run-timer-252.bin` and so on.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::event::RequestClass;

mod hostile;
mod zbus;

fn recorded(name: &str) -> Vec<u8> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/systemd/wire/tests/recorded");
    let path = dir.join(name).with_extension("bin");
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn peer(name: &str) -> Peer {
    let bus = ["busctl", "gdbus", "dbus-send", "python", "loginctl"];
    if name.starts_with("varlink") {
        Peer::Varlink
    } else if bus.iter().any(|client| name.starts_with(client)) {
        Peer::Bus
    } else {
        Peer::Manager
    }
}

fn requests(name: &str) -> Vec<Request> {
    let bytes = recorded(name);
    let requests = Stream::new(peer(name)).requests(&bytes, bytes.len() as u64);
    for request in &requests {
        assert_eq!(request.gap, None, "{name}: {request:?}");
        assert!(!request.truncated, "{name}: {request:?}");
    }
    requests
}

/// The one request that is no read.
fn request(name: &str) -> Request {
    let mut all = requests(name);
    all.retain(|request| !request.is_read());
    assert_eq!(all.len(), 1, "{name}: {all:#?}");
    all.remove(0)
}

#[test]
fn starts_by_every_library() {
    for name in [
        "systemctl-start-247",
        "systemctl-start-252",
        "systemctl-start-257",
        "systemctl-start-262",
        "busctl-start-247",
        "busctl-start-252",
        "busctl-start-257",
        "busctl-start-262",
        "dbus-send",
        "gdbus",
    ] {
        let request = request(name);
        assert_eq!(request.class, RequestClass::Start, "{name}");
        assert_eq!(request.method.as_deref(), Some("StartUnit"), "{name}");
        assert_eq!(request.units, ["upd.timer"], "{name}");
        assert_eq!(request.mode.as_deref(), Some("replace"), "{name}");
        let interface = request.interface.as_deref();
        assert_eq!(interface, Some("org.freedesktop.systemd1.Manager"));
        assert_eq!(request.object.as_deref(), Some("/org/freedesktop/systemd1"));
        let destination = request.destination.as_deref();
        assert_eq!(destination, Some("org.freedesktop.systemd1"), "{name}");
    }
}

#[test]
fn timers_by_systemd_run() {
    for version in ["247", "252", "257", "262"] {
        let request = request(&format!("systemd-run-timer-{version}"));
        assert_eq!(request.class, RequestClass::Create);
        assert_eq!(request.units, ["upd.timer"]);
        let [timer, service] = request.transient.as_slice() else {
            panic!("{request:#?}");
        };
        assert_eq!(timer.unit, "upd.timer");
        assert_eq!(
            timer.when,
            ["OnActiveSec=5", "OnCalendar=daily"],
            "{version}"
        );
        let accuracy = "AccuracyUSec=100000".to_owned();
        assert!(timer.settings.contains(&accuracy), "{timer:?}");
        assert_eq!(service.unit, "upd.service");
        assert_eq!(service.user.as_deref(), Some("nobody"));
        assert_eq!(service.working_directory.as_deref(), Some("/tmp"));
        assert_eq!(service.environment, ["LD_PRELOAD=/x.so", "TOKEN"]);
        let [command] = service.runs.as_slice() else {
            panic!("{service:#?}");
        };
        assert_eq!(command.setting, "ExecStart");
        assert_eq!(command.path, "/bin/sh");
        assert_eq!(command.argv, ["/bin/sh", "-c", "id >/tmp/x"]);
        assert!(!format!("{request:?}").contains("secret"));
    }
}

#[test]
fn transient_units_by_other_libraries() {
    let gdbus = request("gdbus-transient");
    assert_eq!(gdbus.transient[0].runs[0].argv, ["sh", "-c", "id"]);
    assert_eq!(gdbus.transient[0].settings, ["RemainAfterExit=yes"]);
    assert_eq!(gdbus.mode.as_deref(), Some("fail"));
    let python = request("python-dbus");
    assert_eq!(python.units, ["upd.timer"]);
    assert_eq!(python.transient[0].when, ["OnActiveSec=5"]);
    assert_eq!(python.transient[0].triggers.as_deref(), Some("upd.service"));
    assert_eq!(python.transient[1].unit, "upd.service");
    assert_eq!(python.transient[1].runs[0].path, "/bin/sh");
    let scope = request("scope-252");
    assert_eq!(scope.units, ["upd.scope"]);
    assert_eq!(scope.transient[0].processes.len(), 1, "{scope:?}");
    // Since 256 the process goes as a file descriptor, which no byte of the message tells.
    let scope = request("scope-262");
    let settings = &scope.transient[0].settings;
    assert!(settings[1].starts_with("PIDFDs="), "{settings:?}");
}

#[test]
fn what_else_systemctl_asks() {
    for version in ["247", "252", "257", "262"] {
        let enable = request(&format!("systemctl-enable-{version}"));
        assert_eq!(enable.class, RequestClass::Enable);
        assert_eq!((enable.runtime, enable.force), (Some(true), Some(false)));
        assert_eq!(enable.units, ["upd.timer"]);
        let reload = request(&format!("systemctl-reload-{version}"));
        assert_eq!(reload.class, RequestClass::Reload);
    }
    let two = request("systemctl-start-two-262");
    assert_eq!(two.method.as_deref(), Some("EnqueueUnitJobMany"));
    assert_eq!(two.units, ["a.service", "b.timer"]);
    assert_eq!(
        (two.class, two.arguments),
        (RequestClass::Start, vec!["job=start".to_owned()])
    );
    let link = request("link-262");
    assert_eq!(link.method.as_deref(), Some("LinkUnitFiles"));
    assert_eq!(link.units, ["/dev/shm/x.timer"]);
    let set = request("set-property-262");
    assert_eq!((set.class, set.runtime), (RequestClass::Set, Some(true)));
    assert_eq!(
        set.settings,
        ["CPUQuotaPerSecUSec=100000", "MemoryMax=1073741824"]
    );
    let environment = request("set-environment-262");
    assert_eq!(environment.class, RequestClass::Environment);
    assert_eq!(environment.environment, ["LD_PRELOAD=/x.so", "TOKEN"]);
    let kill = request("kill-262");
    assert_eq!(
        (kill.class, kill.units),
        (RequestClass::Kill, vec!["upd.service".to_owned()])
    );
    assert!(
        kill.arguments.contains(&"signal=9".to_owned()),
        "{:?}",
        kill.arguments
    );
    let wants = request("add-wants-262");
    assert_eq!(wants.class, RequestClass::Enable);
    assert_eq!(
        wants.arguments,
        ["target=multi-user.target", "dependency=Wants"]
    );
    assert_eq!(request("preset-262").class, RequestClass::Enable);
    assert_eq!(request("revert-262").class, RequestClass::Disable);
    assert_eq!(request("set-default-262").units, ["rescue.target"]);
    let property = request("busctl-property-262");
    assert_eq!(property.class, RequestClass::Set);
    assert_eq!(property.settings, ["LogLevel=debug"]);
    let linger = request("loginctl-linger-262");
    assert_eq!(linger.class, RequestClass::Linger);
    assert_eq!(linger.arguments, ["uid=65534", "enable=yes"]);
    let unit = request("dbus-send-unit");
    assert_eq!(unit.method.as_deref(), Some("Start"));
    assert_eq!(unit.units, ["upd.timer"]);
}

#[test]
fn reads_are_told_apart() {
    let reads = requests("list-timers-262");
    assert!(!reads.is_empty());
    assert!(reads.iter().all(Request::is_read), "{reads:#?}");
    // Before a call, GDBus asks what types it takes.
    let gdbus = requests("gdbus");
    assert_eq!(gdbus.len(), 2, "{gdbus:#?}");
    assert_eq!(gdbus[0].method.as_deref(), Some("Introspect"));
    assert!(gdbus[0].is_read());
}

#[test]
fn varlink() {
    let create = request("varlinkctl-262");
    assert_eq!(create.protocol, Protocol::Varlink);
    let method = create.method.as_deref();
    assert_eq!(method, Some("io.systemd.Unit.StartTransient"));
    assert_eq!(create.class, RequestClass::Create);
    assert_eq!(create.units, ["upd.service"]);
    assert_eq!(create.mode.as_deref(), Some("replace"));
    let unit = &create.transient[0];
    assert_eq!(unit.user.as_deref(), Some("nobody"));
    assert_eq!(unit.environment, ["LD_PRELOAD=/x.so", "TOKEN"]);
    assert_eq!(unit.runs[0].path, "/bin/sh");
    assert_eq!(unit.runs[0].argv, ["sh", "-c", "id"]);
    assert!(unit.settings.contains(&"Type=oneshot".to_owned()));

    let whole = recorded("varlinkctl-262");
    for cut in 0..whole.len() - 1 {
        let requests = Stream::new(Peer::Varlink).requests(&whole[..cut], whole.len() as u64);
        assert_eq!(requests.len(), 1, "{cut}");
        let part = &requests[0];
        assert!(part.truncated || part.gap.is_some(), "{cut}: {part:?}");
        if cut > 60 {
            assert_eq!(part.method, create.method, "{cut}");
        }
    }
    let mut stream = Stream::new(Peer::Varlink);
    let two = b"{\"method\":\"io.systemd.Manager.Reload\"}\0{\"method\":\"a.b.C\"}\0[]\0x\0\0";
    let requests = stream.requests(two, two.len() as u64);
    let classes: Vec<_> = requests.iter().map(|request| request.class).collect();
    use RequestClass::{Reload, Undecoded, Unknown};
    assert_eq!(classes, [Reload, Unknown, Undecoded, Undecoded, Undecoded]);
}

/// Every recording, in the same order each time.
fn all() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/systemd/wire/tests/recorded");
    let entries = fs::read_dir(dir).expect("recordings").flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    names.sort();
    assert!(names.len() > 30);
    names
}

#[test]
fn a_byte_at_a_time_is_the_same() {
    for name in all() {
        let mut stream = Stream::new(peer(&name));
        let mut found = Vec::new();
        for byte in recorded(&name) {
            found.extend(stream.requests(&[byte], 1));
        }
        assert_eq!(found, requests(&name), "{name}");
        assert_eq!(stream.buffered(), 0, "{name}");
    }
}

/// The first message behind the authentication, of a connection whose beginning was not seen.
#[test]
fn a_first_piece_may_be_short() {
    let whole = recorded("systemctl-reload-262");
    let call = &whole[48..];
    for peer in [Peer::Manager, Peer::Bus] {
        let expected = Stream::new(peer).requests(call, call.len() as u64);
        assert_eq!(expected.len(), 1);
        for size in 1..call.len() {
            let mut fresh = Stream::new(peer);
            let mut lost = Stream::new(peer);
            lost.lost(&mut |_| {});
            for stream in [&mut fresh, &mut lost] {
                let pieces = [&call[..size], &call[size..], call];
                let mut found = Vec::new();
                for piece in pieces {
                    found.extend(stream.requests(piece, piece.len() as u64));
                }
                assert_eq!(
                    found,
                    [expected.clone(), expected.clone()].concat(),
                    "{size}"
                );
            }
        }
    }
    // What only began so is told, and hides nothing that follows.
    let mut stream = Stream::new(Peer::Manager);
    assert!(stream.requests(b"l\x01", 2).is_empty());
    let told = stream.requests(b"and no message at all", 21);
    assert_eq!(told[0].class, RequestClass::Undecoded);
    assert_eq!(stream.requests(call, call.len() as u64).len(), 1);
    // It may as well be the end of something.
    let mut stream = Stream::new(Peer::Bus);
    assert!(stream.requests(b"l", 1).is_empty());
    assert_eq!(stream.requests(call, call.len() as u64).len(), 1);
}

proptest! {
    #[test]
    fn any_fragments_are_the_same(
        name in prop::sample::select(all()),
        sizes in prop::collection::vec(1usize..200, 1..40),
    ) {
        let bytes = recorded(&name);
        let mut stream = Stream::new(peer(&name));
        let mut found = Vec::new();
        let mut rest = bytes.as_slice();
        for size in sizes.iter().cycle() {
            let (chunk, after) = rest.split_at(*size.min(&rest.len()));
            found.extend(stream.requests(chunk, chunk.len() as u64));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(found, requests(&name));
    }

    #[test]
    fn a_cut_send_keeps_what_is_there(name in prop::sample::select(all()), at in any::<prop::sample::Index>()) {
        let bytes = recorded(&name);
        let at = at.index(bytes.len());
        let mut stream = Stream::new(peer(&name));
        let mut found = stream.requests(&bytes[..at], bytes.len() as u64);
        // What comes after it is whole again.
        let next = recorded("systemctl-reload-262");
        let next = &next[48..];
        if stream.peer() == Peer::Manager {
            found = stream.requests(next, next.len() as u64);
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(found[0].class, RequestClass::Reload);
        } else {
            prop_assert!(found.len() <= 3);
        }
    }
}
