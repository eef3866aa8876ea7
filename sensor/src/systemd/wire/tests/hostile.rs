//! Bytes that no honest client sends.

use super::*;

/// One message: fields of texts and a signature, and a body.
fn message(big: bool, fields: &[(u8, &str)], signature: &str, body: &[u8]) -> Vec<u8> {
    let number = |number: usize| {
        let number = u32::try_from(number).expect("small");
        if big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    };
    let mut array = Vec::new();
    for (code, text) in fields {
        array.resize(array.len().next_multiple_of(8), 0);
        array.extend([*code, 1, if *code == 1 { b'o' } else { b's' }, 0]);
        array.extend(number(text.len()));
        array.extend(text.as_bytes());
        array.push(0);
    }
    if !signature.is_empty() {
        array.resize(array.len().next_multiple_of(8), 0);
        array.extend([8, 1, b'g', 0, u8::try_from(signature.len()).expect("short")]);
        array.extend(signature.as_bytes());
        array.push(0);
    }
    let mut message = vec![if big { b'B' } else { b'l' }, 1, 0, 1];
    message.extend(number(body.len()));
    message.extend(number(7));
    message.extend(number(array.len()));
    message.extend(array);
    message.resize(message.len().next_multiple_of(8), 0);
    message.extend(body);
    message
}

const PATH: (u8, &str) = (1, "/org/freedesktop/systemd1");
const MANAGER: (u8, &str) = (2, "org.freedesktop.systemd1.Manager");

fn one(bytes: &[u8]) -> Request {
    let mut requests = Stream::new(Peer::Manager).requests(bytes, bytes.len() as u64);
    assert_eq!(requests.len(), 1, "{requests:#?}");
    requests.remove(0)
}

#[test]
fn both_endiannesses_and_any_order() {
    for big in [false, true] {
        let number = |n: u32| {
            if big {
                n.to_be_bytes()
            } else {
                n.to_le_bytes()
            }
        };
        let mut body = number(9).to_vec();
        body.extend(b"upd.timer\0\0\0");
        body.extend(number(4));
        body.extend(b"fail\0");
        for fields in [
            [PATH, MANAGER, (3, "StartUnit")],
            [(3, "StartUnit"), MANAGER, PATH],
            [MANAGER, (3, "StartUnit"), PATH],
        ] {
            let request = one(&message(big, &fields, "ss", &body));
            assert_eq!(request.units, ["upd.timer"]);
            assert_eq!(request.mode.as_deref(), Some("fail"));
            assert_eq!(request.gap, None);
        }
    }
}

#[test]
fn what_cannot_be_decoded_is_a_request() {
    // Of other types than the method takes.
    let request = one(&message(
        false,
        &[PATH, MANAGER, (3, "StartUnit")],
        "u",
        &[1, 0, 0, 0],
    ));
    assert_eq!(request.class, RequestClass::Start);
    assert!(request.gap.expect("a gap").contains("\"u\""));
    // With a body that lies about its lengths.
    let lies = [0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0];
    let request = one(&message(
        false,
        &[PATH, MANAGER, (3, "StartUnit")],
        "ss",
        &lies,
    ));
    assert!(request.gap.expect("a gap").contains("too early"));
    // A method of tomorrow.
    let request = one(&message(
        false,
        &[PATH, MANAGER, (3, "Frobnicate")],
        "",
        &[],
    ));
    assert_eq!(request.class, RequestClass::Unknown);
    assert_eq!(request.method.as_deref(), Some("Frobnicate"));
    // No method, and a field twice.
    let request = one(&message(false, &[PATH, MANAGER], "", &[]));
    assert_eq!(request.class, RequestClass::Undecoded);
    let request = one(&message(false, &[PATH, PATH, (3, "Reload")], "", &[]));
    assert!(request.gap.expect("a gap").contains("twice"));
    // Garbage, told once.
    let mut stream = Stream::new(Peer::Manager);
    let garbage = [b'x'; 100];
    let first = stream.requests(&garbage, 100);
    assert_eq!(first[0].class, RequestClass::Undecoded);
    assert_eq!(stream.requests(&garbage, 100), []);
    let reload = message(false, &[PATH, MANAGER, (3, "Reload")], "", &[]);
    let after = stream.requests(&reload, reload.len() as u64);
    assert_eq!(after[0].class, RequestClass::Reload);
    assert_eq!(stream.requests(&garbage, 100).len(), 1);
}

#[test]
fn an_authentication_may_be_unreadable() {
    let to = (6, "org.freedesktop.systemd1");
    let reload = message(false, &[PATH, MANAGER, (3, "Reload"), to], "", &[]);
    let told = |stream: &mut Stream, bytes: &[u8], sent: u64| -> Vec<RequestClass> {
        let requests = stream.requests(bytes, sent);
        requests.iter().map(|request| request.class).collect()
    };
    for peer in [Peer::Manager, Peer::Bus] {
        let mut stream = Stream::new(peer);
        assert!(stream.skip_authentication(48));
        // Part of it was readable, or a message comes.
        for rest in [&b"BEGIN\r\n"[..], b""] {
            let mut stream = stream.clone();
            assert_eq!(told(&mut stream, rest, rest.len() as u64), []);
            let len = reload.len() as u64;
            assert_eq!(told(&mut stream, &reload, len), [RequestClass::Reload]);
        }
        assert!(!stream.skip_authentication(48), "it comes once");
    }
    let mut stream = Stream::new(Peer::Manager);
    assert!(!stream.skip_authentication(100), "a request may be in it");
    assert!(stream.skip_authentication(64));
    // The end of a message that began there.
    let undecoded = [RequestClass::Undecoded];
    assert_eq!(told(&mut stream, &reload[4..], 100), undecoded);
    let mut stream = Stream::new(Peer::Manager);
    assert!(stream.skip_authentication(64));
    assert_eq!(told(&mut stream, b"", 40), undecoded);
    assert!(!Stream::new(Peer::Varlink).skip_authentication(48));
}

#[test]
fn what_is_no_authentication_is_told_once() {
    let told = |sends: &[&[u8]]| -> usize {
        let mut stream = Stream::new(Peer::Manager);
        let told = sends
            .iter()
            .flat_map(|bytes| stream.requests(bytes, bytes.len() as u64));
        told.filter(|request| request.class == RequestClass::Undecoded)
            .count()
    };
    let auth: &[u8] = b"\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n";
    assert_eq!(told(&[auth]), 0);
    let pieces: Vec<&[u8]> = auth.chunks(1).collect();
    assert_eq!(told(&pieces), 0);
    let sd_bus: &[u8] = b"\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n";
    assert_eq!(told(&[sd_bus]), 0);

    assert_eq!(told(&[b"\0\x07\xfe no such thing"]), 1);
    assert_eq!(told(&[b"\0", b"Xyz", b" and so on", b"\nmore\n"]), 1);
    assert_eq!(told(&[b"GET / HTTP/1.0\r\n"]), 1);
    assert_eq!(told(&[b"\0AUTH EXTERNAL 30\r\n", &[b'x'; 100_000]]), 1);
    let endless = [b"AUTH ", &[b'x'; 100_000][..]].concat();
    assert_eq!(told(&[b"\0", &endless]), 1);

    // What comes after it is read all the same.
    let call = message(false, &[PATH, MANAGER, (3, "Reload")], "", b"");
    let mut stream = Stream::new(Peer::Manager);
    let mut sent = b"\0nonsense\r\nBEGIN\r\n".to_vec();
    sent.extend(call);
    let requests = stream.requests(&sent, sent.len() as u64);
    let classes: Vec<_> = requests.iter().map(|request| request.class).collect();
    assert_eq!(classes, [RequestClass::Undecoded, RequestClass::Reload]);
}

#[test]
fn a_body_nested_without_end() {
    // A hundred variants in each other, and a hundred arrays.
    let mut body = vec![8, 0, 0, 0, 0, 0, 0, 0];
    body.extend([1, 0, 0, 0, b'x', 0]);
    for _ in 0..100 {
        body.extend([1, b'v', 0]);
    }
    body.extend([1, b'y', 0, 7]);
    let length = u32::try_from(body.len() - 8).expect("small");
    body.splice(..4, length.to_le_bytes());
    let mut whole = vec![1, 0, 0, 0, b'u', 0, 0, 0];
    whole.extend([0, 0, 0, 0]); // runtime
    whole.extend(&body);
    let fields = [PATH, MANAGER, (3, "SetUnitProperties")];
    let request = one(&message(false, &fields, "sba(sv)", &whole));
    assert!(request.gap.is_some(), "{request:?}");

    let mut arrays = vec![1, 0, 0, 0, b'u', 0, 0, 0, 0, 0, 0, 0];
    arrays.extend([130, 0, 0, 0, 1, 0, 0, 0, b'x', 0, 100]);
    arrays.extend([b'a'; 99]);
    arrays.extend([b'y', 0, 0, 0, 0, 0]);
    arrays.resize(150, 0);
    let request = one(&message(false, &fields, "sba(sv)", &arrays));
    assert!(request.gap.is_some(), "{request:?}");
}

#[test]
fn nothing_is_kept_beyond_the_cap() {
    let mut huge = message(false, &[PATH, MANAGER, (3, "SetEnvironment")], "as", &[]);
    huge.splice(4..8, (100u32 << 20).to_le_bytes());
    let mut stream = Stream::new(Peer::Manager);
    let mut found = stream.requests(&huge, huge.len() as u64);
    let chunk = [0u8; 4096];
    let mut sent = 0;
    while sent + chunk.len() <= 100 << 20 {
        found.extend(stream.requests(&chunk, chunk.len() as u64));
        assert!(stream.buffered() <= MESSAGE_MAX);
        sent += chunk.len();
    }
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].method.as_deref(), Some("SetEnvironment"));
    assert!(found[0].truncated);
    let reload = message(false, &[PATH, MANAGER, (3, "Reload")], "", &[]);
    found = stream.requests(&reload, reload.len() as u64);
    assert_eq!(found[0].class, RequestClass::Reload);

    let mut stream = Stream::new(Peer::Varlink);
    for _ in 0..100 {
        stream.requests(&[b'{'; 4096], 4096);
        assert!(stream.buffered() <= MESSAGE_MAX);
    }
    let end = b"}\0{\"method\":\"io.systemd.Manager.Reload\"}\0";
    let found = stream.requests(end, end.len() as u64);
    assert_eq!(found[0].class, RequestClass::Reload);
}

#[test]
fn many_items_are_cut_and_said_so() {
    let mut strings = Vec::new();
    for _ in 0..1000 {
        strings.extend([1, 0, 0, 0, b'a', 0, 0, 0]);
    }
    let mut body = u32::try_from(strings.len())
        .expect("small")
        .to_le_bytes()
        .to_vec();
    body.extend(strings);
    let request = one(&message(
        false,
        &[PATH, MANAGER, (3, "SetEnvironment")],
        "as",
        &body,
    ));
    assert!(request.truncated);
    assert_eq!(request.environment.len(), 64);
}

#[test]
fn a_loss_is_bridged() {
    let reload = message(false, &[PATH, MANAGER, (3, "Reload")], "", &[]);
    let mut stream = Stream::new(Peer::Manager);
    stream.requests(&reload[..20], 20);
    let mut items = 0;
    stream.lost(&mut |_| items += 1);
    assert_eq!(items, 1, "the header's beginning");
    let tail = stream.requests(&reload[40..], (reload.len() - 40) as u64);
    assert_eq!(tail[0].class, RequestClass::Undecoded);
    let after = stream.requests(&reload, reload.len() as u64);
    assert_eq!(after[0].class, RequestClass::Reload);
}

#[test]
fn on_a_bus_only_what_is_for_managers() {
    let on_bus = |destination: &'static str, interface: &'static str, member: &'static str| {
        let fields = [PATH, (2, interface), (3, member), (6, destination)];
        let bytes = message(false, &fields, "", &[]);
        Stream::new(Peer::Bus)
            .requests(&bytes, bytes.len() as u64)
            .len()
    };
    assert_eq!(on_bus("org.freedesktop.systemd1", MANAGER.1, "Reload"), 1);
    // By the unique name too.
    assert_eq!(on_bus(":1.3", MANAGER.1, "Reload"), 1);
    assert_eq!(
        on_bus("org.freedesktop.DBus", "org.freedesktop.DBus", "Hello"),
        0
    );
    assert_eq!(
        on_bus("org.freedesktop.NetworkManager", MANAGER.1, "Reload"),
        0
    );
    let login = "org.freedesktop.login1";
    assert_eq!(
        on_bus(login, "org.freedesktop.login1.Manager", "SetUserLinger"),
        1
    );
    assert_eq!(
        on_bus(login, "org.freedesktop.login1.Manager", "ListSessions"),
        0
    );
    let garbage = [b'x'; 64];
    assert_eq!(Stream::new(Peer::Bus).requests(&garbage, 64).len(), 0);
}

#[test]
fn paths_of_objects() {
    for (path, unit) in [
        (
            "/org/freedesktop/systemd1/unit/upd_2etimer",
            Some("upd.timer"),
        ),
        (
            "/org/freedesktop/systemd1/unit/a_40b_5cx2dc_2eservice",
            Some(r"a@b\x2dc.service"),
        ),
        ("/org/freedesktop/systemd1/unit/_", Some("")),
        ("/org/freedesktop/systemd1/unit/a_zz_", Some("a_zz_")),
        ("/org/freedesktop/systemd1", None),
    ] {
        assert_eq!(unit_of_object(path).as_deref(), unit, "{path}");
    }
}

proptest! {
    #[test]
    fn any_bytes(
        chunks in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..200), 0u64..300), 0..20),
        peer in prop::sample::select(vec![Peer::Manager, Peer::Bus, Peer::Varlink]),
    ) {
        let mut stream = Stream::new(peer);
        for (bytes, sent) in chunks {
            stream.requests(&bytes, sent);
            prop_assert!(stream.buffered() <= MESSAGE_MAX);
        }
    }

    #[test]
    fn recordings_with_faults(
        name in prop::sample::select(all()),
        faults in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = recorded(&name);
        for (at, byte) in faults {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut stream = Stream::new(peer(&name));
        stream.requests(&bytes, bytes.len() as u64);
        prop_assert!(stream.buffered() <= MESSAGE_MAX);
    }
}
