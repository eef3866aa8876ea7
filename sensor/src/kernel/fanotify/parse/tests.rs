use proptest::prelude::*;

use super::*;

const HANDLE: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

fn record(kind: u8, name: Option<&str>) -> Vec<u8> {
    let mut body = vec![9; 8];
    body.extend(8u32.to_ne_bytes());
    body.extend(1i32.to_ne_bytes());
    body.extend(HANDLE);
    if let Some(name) = name {
        body.extend(name.as_bytes());
        body.push(0);
    }
    while !body.len().is_multiple_of(4) {
        body.push(0);
    }
    let length = u16::try_from(HEADER + body.len()).unwrap();
    let mut record = vec![kind, 0];
    record.extend(length.to_ne_bytes());
    record.extend(body);
    record
}

fn message(mask: u64, pid: i32, records: &[Vec<u8>]) -> Vec<u8> {
    let records = records.concat();
    let mut message = Vec::new();
    message.extend(
        u32::try_from(METADATA + records.len())
            .unwrap()
            .to_ne_bytes(),
    );
    message.extend([libc::FANOTIFY_METADATA_VERSION, 0]);
    message.extend(24u16.to_ne_bytes());
    message.extend(mask.to_ne_bytes());
    message.extend(libc::FAN_NOFD.to_ne_bytes());
    message.extend(pid.to_ne_bytes());
    message.extend(records);
    message
}

fn malformed(buffer: &[u8]) -> bool {
    matches!(
        events(buffer).last(),
        Some(Err(FanotifyError::Malformed(_)))
    )
}

#[test]
fn reads_every_kind_of_record() {
    let buffer = [
        message(2, 7, &[record(2, Some("upd.timer")), record(1, None)]),
        message(
            libc::FAN_RENAME,
            -1,
            &[
                record(10, Some("a")),
                record(12, Some("bb")),
                record(77, None),
            ],
        ),
        message(libc::FAN_Q_OVERFLOW, 0, &[]),
        message(4, 1, &[record(3, None)]),
    ]
    .concat();
    let events: Vec<_> = events(&buffer).collect::<Result<_, _>>().unwrap();
    assert_eq!(events.len(), 4);
    let entry = events[0].entry.unwrap();
    assert_eq!((events[0].mask, events[0].pid), (2, 7));
    assert_eq!(entry.name(), "upd.timer");
    assert_eq!(entry.directory(), events[0].object.unwrap());
    assert_eq!(events[1].pid, 0);
    assert_eq!(events[1].old.unwrap().name(), "a");
    assert_eq!(events[1].new.unwrap().name(), "bb");
    assert_eq!(events[2].entry, None);
    assert_eq!(events[3].entry.unwrap().name(), "");
}

#[test]
fn refuses_lengths_that_do_not_fit() {
    let good = message(2, 7, &[record(2, Some("upd.timer"))]);
    assert!(!malformed(&good));
    for cut in 1..good.len() {
        assert!(malformed(&good[..cut]), "cut at {cut}");
    }
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        bad
    };
    assert!(malformed(&with(0, &0u32.to_ne_bytes())), "no progress");
    assert!(
        malformed(&with(0, &u32::MAX.to_ne_bytes())),
        "beyond the buffer"
    );
    assert!(malformed(&with(4, &[2])), "version");
    assert!(
        malformed(&with(6, &8u16.to_ne_bytes())),
        "metadata too short"
    );
    assert!(
        malformed(&with(6, &u16::MAX.to_ne_bytes())),
        "metadata too long"
    );
    assert!(
        malformed(&with(26, &0u16.to_ne_bytes())),
        "record without progress"
    );
    assert!(
        malformed(&with(26, &200u16.to_ne_bytes())),
        "record beyond the event"
    );
    assert!(
        malformed(&with(36, &u32::MAX.to_ne_bytes())),
        "handle beyond the record"
    );
    let end = good.len();
    assert!(malformed(&with(end - 3, b"xxx")), "name without an end");
}

#[test]
fn an_error_ends_the_buffer() {
    let mut buffer = message(2, 7, &[record(2, Some("a"))]);
    buffer.extend([1, 2, 3]);
    buffer.extend(message(2, 7, &[record(2, Some("b"))]));
    let results: Vec<_> = events(&buffer).collect();
    assert_eq!(results.len(), 2);
    assert!(results[0].is_ok() && results[1].is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        for event in events(&bytes).flatten() {
            let _ = event.entry.map(|entry| (entry.directory(), entry.name()));
        }
    }

    #[test]
    fn any_damage_is_survived(at in 0usize..140, with in any::<u8>(), cut in 0usize..140) {
        let mut buffer = [
            message(2, 7, &[record(2, Some("upd.timer")), record(1, None)]),
            message(libc::FAN_RENAME, 1, &[record(10, Some("a")), record(12, Some("bb"))]),
        ].concat();
        let index = at % buffer.len();
        buffer[index] = with;
        buffer.truncate(buffer.len() - cut % buffer.len());
        let mut consumed = 0;
        for event in events(&buffer).flatten() {
            consumed += 1;
            for entry in [event.entry, event.old, event.new].into_iter().flatten() {
                prop_assert!(entry.directory().len() >= FID);
                prop_assert!(entry.bytes.len() <= buffer.len());
            }
        }
        prop_assert!(consumed <= buffer.len() / METADATA);
    }
}
