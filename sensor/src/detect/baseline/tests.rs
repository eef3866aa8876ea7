use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::event::{Cause, CauseFile, Grade, Process, Severity, SystemdContext, Timestamp};

const FILE: &str = "/etc/systemd/system/x.service";

fn state() -> State {
    let mut state = State {
        host: "web".to_owned(),
        time: 1,
        ..State::default()
    };
    let file = FileState {
        mode: "100644".to_owned(),
        role: "unit".to_owned(),
        sha256: Some("ab".to_owned()),
        ..FileState::default()
    };
    let unit = UnitState {
        commands: vec!["ExecStart=/opt/x".to_owned()],
        file: FILE.to_owned(),
        uid: Some(0),
        ..UnitState::default()
    };
    state.files.insert(FILE.to_owned(), file);
    state
        .units
        .insert(State::key("system", "x.service"), unit.clone());
    state
        .units
        .insert(State::key("user alice", "y@.service"), unit);
    state.users.insert(1000, "alice".to_owned());
    state
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

/// The format is a contract: another byte is another version.
#[test]
fn the_bytes_of_version_1() {
    let bytes = write(&state(), Some(&key(7))).expect("writes");
    let text = String::from_utf8(bytes).expect("is text");
    let unit =
        r#"{"commands":["ExecStart=/opt/x"],"file":"/etc/systemd/system/x.service","uid":0}"#;
    let (first, second) = text.split_once('\n').expect("two lines");
    assert_eq!(
        first,
        format!(
            "{{\"baseline\":{{\"files\":{{\"{FILE}\":{{\"gid\":0,\"mode\":\"100644\",\"role\":\"unit\",\
             \"sha256\":\"ab\",\"uid\":0}}}},\"host\":\"web\",\"time\":1,\"units\":{{\
             \"system x.service\":{unit},\"user alice y@.service\":{unit}}},\
             \"users\":{{\"1000\":\"alice\"}}}},\"format\":\"whodunit-baseline\",\"version\":1}}"
        )
    );
    let public = key(7).public().id();
    assert!(second.starts_with(&format!(
        "{{\"algorithm\":\"ed25519\",\"key\":\"{public}\","
    )));
    assert!(second.ends_with("\"}\n"));
}

#[test]
fn only_the_right_key_opens_it() {
    let signed = write(&state(), Some(&key(7))).expect("writes");
    let (mine, other) = (key(7).public(), key(8).public());
    assert_eq!(read(&signed, Some(&mine), false).expect("reads"), state());
    assert_eq!(read(&signed, None, true).expect("reads"), state());
    let error = |bytes: &[u8], key: Option<&PublicKey>| {
        read(bytes, key, false).expect_err("refused").to_string()
    };
    assert!(error(&signed, Some(&other)).contains(&other.id()));
    assert!(error(&signed, None).contains("--key"));
    let unsigned = write(&state(), None).expect("writes");
    assert!(error(&unsigned, None).contains("not signed"));
    assert!(error(&unsigned, Some(&mine)).contains("not signed"));
    assert_eq!(read(&unsigned, None, true).expect("reads"), state());
    let changed = String::from_utf8(signed.clone())
        .expect("text")
        .replace("/opt/x", "/opt/y");
    assert!(error(changed.as_bytes(), Some(&mine)).contains("signature is bad"));
    // Another's key in the line does not help.
    let forged = write(&state(), Some(&key(8))).expect("writes");
    let forged = String::from_utf8(forged)
        .expect("text")
        .replace(&other.id(), &mine.id());
    assert!(error(forged.as_bytes(), Some(&mine)).contains("signature is bad"));
    let newer = write(&state(), None).expect("writes");
    let newer = String::from_utf8(newer)
        .expect("text")
        .replace("\"version\":1}", "\"version\":2}");
    let newer = read(newer.as_bytes(), None, true)
        .expect_err("newer")
        .to_string();
    assert!(newer.contains("version 2"), "{newer}");
}

#[test]
fn keys_are_text() {
    let key = key(9);
    let again = SecretKey::parse(&key.to_text()).expect("a key");
    assert_eq!(again.public(), key.public());
    assert_eq!(PublicKey::parse(&key.public().to_text()), Ok(key.public()));
    assert_eq!(
        SecretKey::parse(&key.public().to_text()).err(),
        Some(KeyError::NotSecret)
    );
    assert_eq!(PublicKey::parse(&key.to_text()), Err(KeyError::NotPublic));
    let short = "whodunit-ed25519-public:00";
    assert_eq!(PublicKey::parse(short), Err(KeyError::Damaged));
    assert!(!format!("{key:?}").contains("09"));
}

proptest! {
    /// Whatever bit of a signed file is turned, it is refused.
    #[test]
    fn no_bit_can_be_turned(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let mut bytes = write(&state(), Some(&key(7))).expect("writes");
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let opened = read(&bytes, Some(&key(7).public()), false);
        // The case of a hex digit says nothing.
        prop_assert!(opened.is_err() || bit == 5 && opened.is_ok_and(|it| it == state()));
    }

    #[test]
    fn anything_is_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes, None, true);
    }
}

fn changed(change: impl FnOnce(&mut State)) -> Vec<(What, String, Severity)> {
    let mut now = state();
    change(&mut now);
    diff(&state(), &now)
        .into_iter()
        .map(|it| (it.what, it.subject, it.severity))
        .collect()
}

fn unit(state: &mut State) -> &mut UnitState {
    state.units.get_mut("system x.service").expect("there")
}

#[test]
fn differences_are_weighed() {
    let x = || "system x.service".to_owned();
    let file = || FILE.to_owned();
    assert_eq!(changed(|_| {}), []);
    assert_eq!(
        changed(|it| unit(it).commands = vec!["ExecStart=/opt/y".to_owned()]),
        [(What::Changed, x(), Severity::High)]
    );
    assert_eq!(
        changed(|it| unit(it).enabled = true),
        [(What::Changed, x(), Severity::Medium)]
    );
    assert_eq!(
        changed(|it| unit(it).masked = true),
        [(What::Changed, x(), Severity::High)]
    );
    // A package's update.
    assert_eq!(
        changed(|it| {
            unit(it).commands = vec!["ExecStart=/opt/y".to_owned()];
            unit(it).shipped = true;
            let file = it.files.get_mut(FILE).expect("there");
            (file.sha256, file.shipped) = (Some("cd".to_owned()), true);
            file.package = Some("x".to_owned());
        }),
        [
            (What::Changed, x(), Severity::Informational),
            (What::Changed, file(), Severity::Informational)
        ]
    );
    assert_eq!(
        changed(|it| {
            it.units.remove("system x.service");
        }),
        [(What::Removed, x(), Severity::Low)]
    );
    assert_eq!(
        changed(|it| {
            let new = unit(it).clone();
            it.units.insert("system new.service".to_owned(), new);
        }),
        [(What::Added, "system new.service".to_owned(), Severity::High)]
    );
    let with_file =
        |change: fn(&mut FileState)| changed(|it| change(it.files.get_mut(FILE).expect("there")));
    let high = [(What::Changed, file(), Severity::High)];
    assert_eq!(with_file(|it| it.sha256 = None), high);
    assert_eq!(with_file(|it| it.mode = "100666".to_owned()), high);
    assert_eq!(with_file(|it| it.mode = "104755".to_owned()), high);
    assert_eq!(with_file(|it| it.uid = 7), high);
    let low = [(What::Changed, file(), Severity::Low)];
    assert_eq!(with_file(|it| it.mode = "100600".to_owned()), low);
    let generator = "/etc/systemd/system-generators/x".to_owned();
    assert_eq!(
        changed(|it| {
            let file = FileState {
                role: "place".to_owned(),
                ..it.files[FILE].clone()
            };
            it.files.insert(generator.clone(), file);
        }),
        [(What::Added, generator, Severity::High)]
    );
}

fn finding(manager: Manager, unit: &str, sha256: Option<&str>) -> Finding {
    let now = Timestamp { boot: 1, wall: 1 };
    Finding {
        rule: &crate::detect::catalogue::CHANGED_UNIT_RAN,
        title: String::new(),
        message: "m".to_owned(),
        severity: Severity::Medium,
        grade: Grade::Certain,
        process: Arc::new(Process::unknown(now)),
        ancestry: Vec::new(),
        systemd: Some(SystemdContext {
            manager,
            spawned: true,
            unit: Some(unit.to_owned()),
            invocation_id: None,
            cgroup: None,
            trigger: None,
        }),
        timer: None,
        cause: vec![Cause {
            link: LinkKind::Wrote,
            time: now,
            grade: Grade::Certain,
            actor: None,
            file: Some(CauseFile {
                path: FILE.to_owned(),
                sha256: sha256.map(str::to_owned),
            }),
            request: None,
            unit: None,
            event_uid: None,
        }],
        related: Vec::new(),
        traits: Vec::new(),
    }
}

#[test]
fn findings_are_weighed() {
    let weigh = |manager, unit: &str, sha256| {
        let mut finding = finding(manager, unit, sha256);
        state().weigh(&mut finding);
        finding.severity
    };
    assert_eq!(
        weigh(Manager::System, "x.service", Some("ab")),
        Severity::Low
    );
    assert_eq!(
        weigh(Manager::System, "x.service", Some("cd")),
        Severity::Medium
    );
    assert_eq!(weigh(Manager::System, "x.service", None), Severity::Medium);
    assert_eq!(
        weigh(Manager::System, "new.service", Some("ab")),
        Severity::High
    );
    assert_eq!(
        weigh(Manager::User(1000), "y@1.service", Some("ab")),
        Severity::Low
    );
    assert_eq!(
        weigh(Manager::User(1001), "y@1.service", Some("ab")),
        Severity::High
    );
    assert_eq!(
        weigh(Manager::System, "y@1.service", Some("ab")),
        Severity::High
    );
}
