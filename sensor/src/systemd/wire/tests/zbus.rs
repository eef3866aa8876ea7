//! What zbus encodes is read back.

use std::collections::HashMap;

use ::zbus::Message;
use ::zbus::zvariant::{Endian, Value};

use super::*;

fn call(member: &'static str, big: bool) -> ::zbus::message::Builder<'static> {
    let endian = if big { Endian::Big } else { Endian::Little };
    Message::method_call("/org/freedesktop/systemd1", member)
        .and_then(|it| it.destination("org.freedesktop.systemd1"))
        .and_then(|it| it.interface("org.freedesktop.systemd1.Manager"))
        .expect("a call")
        .endian(endian)
}

fn read(message: &Message) -> Request {
    let bytes = message.data();
    let mut requests = Stream::new(Peer::Bus).requests(bytes, bytes.len() as u64);
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

proptest! {
    #[test]
    fn lists_of_units(
        units in prop::collection::vec("[^\0]{0,40}", 0..30),
        runtime in any::<bool>(),
        force in any::<bool>(),
        big in any::<bool>(),
    ) {
        let body = (&units, runtime, force);
        let request = read(&call("EnableUnitFiles", big).build(&body).expect("a message"));
        prop_assert_eq!(request.units, units);
        prop_assert_eq!((request.runtime, request.force), (Some(runtime), Some(force)));
        prop_assert_eq!((request.gap, request.truncated), (None, false));
    }

    #[test]
    fn transient_units(
        unit in "[a-z]{1,20}\\.service",
        argv in prop::collection::vec("[^\0]{0,30}", 1..10),
        user in "[a-z]{1,8}",
        span in any::<u64>(),
        pids in prop::collection::vec(any::<u32>(), 0..10),
        big in any::<bool>(),
    ) {
        let path = argv[0].clone();
        let commands = vec![(path.clone(), argv.clone(), false)];
        let properties = vec![
            ("User", Value::from(user.clone())),
            ("ExecStart", Value::from(commands)),
            ("OnActiveSec", Value::from(span)),
            ("PIDs", Value::from(pids.clone())),
            ("Nested", Value::from(HashMap::from([("a", Value::from(vec![1u8, 2]))]))),
        ];
        let aux: Vec<(&str, Vec<(&str, Value<'_>)>)> = vec![("x.service", vec![])];
        let body = (unit.as_str(), "fail", properties, aux);
        let request = read(&call("StartTransientUnit", big).build(&body).expect("a message"));
        prop_assert_eq!(request.gap.as_deref(), None);
        prop_assert_eq!(request.units, vec![unit.clone()]);
        let [made, aux] = request.transient.as_slice() else {
            panic!("{:?}", request.transient);
        };
        prop_assert_eq!(&made.runs[0].argv, &argv);
        prop_assert_eq!(&made.runs[0].path, &path);
        prop_assert_eq!(made.user.as_deref(), Some(user.as_str()));
        prop_assert_eq!(&made.processes, &pids);
        prop_assert_eq!(made.when.len(), 1);
        prop_assert_eq!(&made.settings, &["Nested=a (2 bytes)"]);
        prop_assert_eq!(&aux.unit, "x.service");
    }
}
