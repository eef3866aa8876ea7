use super::*;
use crate::event::{Actor, FileClass, Login, Process, Request, Tier, TransientUnit, Verb};

const SECOND: u64 = 1_000_000_000;

fn at(milliseconds: u64) -> Timestamp {
    Timestamp {
        boot: 100 * SECOND + milliseconds * 1_000_000,
        wall: 0,
    }
}

fn process(pid: u32, uid: u32) -> Arc<Process> {
    let key = ProcessKey::new(pid, u64::from(pid) * 1000);
    Arc::new(Process {
        uid,
        euid: uid,
        ..Process::of_key(key, None, Timestamp::default())
    })
}

fn actor(pid: u32, uid: u32) -> Actor {
    Actor {
        process: process(pid, uid),
        ancestry: Vec::new(),
    }
}

fn asked(pid: u32, uid: u32, means: Means) -> Arc<Asked> {
    Arc::new(Asked {
        manager: Manager::System,
        target: process(1, 0),
        author: actor(pid, uid),
        login: Login::default(),
        means,
        socket: None,
        tier: Tier::Lsm,
    })
}

fn message(class: RequestClass, method: &str, units: &[&str]) -> Means {
    Means::Message(Box::new(Request {
        class,
        method: Some(method.to_owned()),
        units: units.iter().map(|&unit| unit.to_owned()).collect(),
        ..Request::default()
    }))
}

fn create(units: &[&str]) -> Means {
    let transient = units.iter().map(|&unit| TransientUnit {
        unit: unit.to_owned(),
        ..TransientUnit::default()
    });
    Means::Message(Box::new(Request {
        class: RequestClass::Create,
        method: Some("StartTransientUnit".to_owned()),
        transient: transient.collect(),
        ..Request::default()
    }))
}

fn change(verb: Verb, class: FileClass, path: &str) -> Change {
    Change::sample(verb, class, path, actor(1, 0))
}

fn transient(unit: &str) -> Change {
    let path = format!("/run/systemd/transient/{unit}");
    change(Verb::Create, FileClass::UnitFile, &path)
}

fn enabled(unit: &str) -> Change {
    let path = format!("/etc/systemd/system/timers.target.wants/{unit}");
    change(Verb::Symlink, FileClass::DependencyLink, &path)
}

/// Requests with these, in their order, a millisecond apart; `r1` is the first.
fn requests(all: impl IntoIterator<Item = (u32, u32, Means)>) -> Requests {
    let mut requests = Requests::default();
    for (number, (pid, uid, means)) in all.into_iter().enumerate() {
        let number = number as u64 + 1;
        requests.asked(format!("r{number}"), at(number), asked(pid, uid, means));
    }
    requests
}

fn told(of: Option<OnBehalfOf>) -> Option<(u32, Grade)> {
    of.map(|of| (of.author.process.key.tgid, of.grade))
}

#[test]
fn the_author_is_who_named_the_unit() {
    let mut requests = requests([
        (10, 0, create(&["a.timer", "a.service"])),
        (11, 0, create(&["b.service"])),
        (
            12,
            0,
            message(RequestClass::Start, "StartUnit", &["a.service"]),
        ),
    ]);
    for (unit, author) in [("b.service", 11), ("a.timer", 10), ("a.service", 10)] {
        let of = requests.of_change(&transient(unit), at(20));
        assert_eq!(told(of), Some((author, Grade::Certain)), "{unit}");
    }
    assert_eq!(
        told(requests.of_change(&transient("c.service"), at(20))),
        None
    );
}

#[test]
fn nobody_asked_what_was_written_by_others_or_before() {
    let mut requests = requests([(10, 0, create(&["a.service"]))]);
    let mut by_tool = transient("a.service");
    by_tool.writer = actor(77, 0);
    assert_eq!(told(requests.of_change(&by_tool, at(5))), None);
    assert_eq!(
        told(requests.of_change(&transient("a.service"), at(0))),
        None
    );
    let late = Timestamp {
        boot: at(1).boot + PENDING + 1,
        wall: 0,
    };
    assert_eq!(
        told(requests.of_change(&transient("a.service"), late)),
        None
    );
}

#[test]
fn two_who_ask_for_the_same_are_never_certain() {
    let mut requests = requests([
        (10, 0, create(&["a.service"])),
        (11, 0, create(&["a.service"])),
    ]);
    let of = requests.of_change(&transient("a.service"), at(5)).unwrap();
    assert_eq!(of.grade, Grade::Probable);
    assert!(of.doubt.is_some());
}

#[test]
fn a_unit_of_the_same_name_later_has_its_own_author() {
    let mut requests = requests([(10, 0, create(&["a.service"]))]);
    let of = requests.of_change(&transient("a.service"), at(2));
    assert_eq!(told(of), Some((10, Grade::Certain)));
    requests.asked(
        "r2".to_owned(),
        at(500),
        asked(11, 0, create(&["a.service"])),
    );
    let of = requests.of_change(&transient("a.service"), at(501));
    assert_eq!(told(of), Some((11, Grade::Certain)));
}

#[test]
fn a_user_who_may_be_refused_does_not_take_the_blame() {
    let mut requests = requests([
        (10, 0, create(&["a.service"])),
        (11, 1000, create(&["a.service"])),
    ]);
    let of = requests.of_change(&transient("a.service"), at(5)).unwrap();
    assert_eq!(of.author.process.key.tgid, 10);
    assert!(of.grade < Grade::Certain);

    let mut alone = self::requests([(11, 1000, create(&["b.service"]))]);
    let of = alone.of_change(&transient("b.service"), at(5));
    assert_eq!(told(of), Some((11, Grade::Probable)));
}

#[test]
fn links_are_of_who_enabled_them() {
    let enable = |unit: &str| message(RequestClass::Enable, "EnableUnitFilesWithFlags", &[unit]);
    let mut requests = requests([
        (10, 0, enable("a.timer")),
        (11, 0, enable("/opt/b.timer")),
        (12, 0, enable("c@.timer")),
    ]);
    for (unit, author) in [("a.timer", 10), ("b.timer", 11), ("c@x.timer", 12)] {
        let of = requests.of_change(&enabled(unit), at(9));
        assert_eq!(told(of), Some((author, Grade::Certain)), "{unit}");
    }
    // An alias names neither: several may have meant it.
    let mut alias = change(
        Verb::Symlink,
        FileClass::UnitFile,
        "/etc/systemd/system/x.timer",
    );
    assert_eq!(
        told(requests.of_change(&alias, at(9))).map(|(_, grade)| grade),
        Some(Grade::Hint)
    );
    alias.target = Some("/lib/systemd/system/a.timer".to_owned());
    assert_eq!(
        told(requests.of_change(&alias, at(9))),
        Some((10, Grade::Certain))
    );
}

#[test]
fn what_cannot_be_read_casts_doubt() {
    let undecoded = message(RequestClass::Undecoded, "x", &[]);
    let mut requests = requests([(10, 0, create(&["a.service"])), (11, 0, undecoded)]);
    let of = requests.of_change(&transient("a.service"), at(5));
    assert_eq!(told(of), Some((10, Grade::Probable)));

    // What was cut may have named the unit, but what cannot be read may as well.
    let cut = || match create(&["long.service"]) {
        Means::Message(mut request) => {
            request.truncated = true;
            Means::Message(request)
        }
        other => other,
    };
    let mut requests = self::requests([(10, 0, cut())]);
    let of = requests.of_change(&transient("b.service"), at(5));
    assert_eq!(told(of), Some((10, Grade::Probable)));
    let undecoded = message(RequestClass::Undecoded, "x", &[]);
    let mut requests = self::requests([(10, 0, cut()), (11, 0, undecoded)]);
    let of = requests.of_change(&transient("b.service"), at(5));
    assert_eq!(told(of), Some((10, Grade::Hint)));

    let mut requests = self::requests([(10, 0, create(&["a.service"]))]);
    requests.lost(at(2).boot);
    let of = requests.of_change(&transient("a.service"), at(5));
    assert_eq!(told(of), Some((10, Grade::Probable)));
}

#[test]
fn a_flood_hides_nobody_else() {
    let mut requests = requests([(10, 0, create(&["a.service"]))]);
    for number in 0..10_000 {
        let nonsense = create(&[&format!("n{number}.service")]);
        requests.asked(format!("f{number}"), at(2), asked(66, 0, nonsense));
    }
    assert!(requests.recent.len() <= AUTHOR_MAX + 1);
    let of = requests.of_change(&transient("a.service"), at(5));
    assert_eq!(told(of), Some((10, Grade::Certain)));
    // Not even many authors together take more than there is room for.
    for pid in 100..20_000 {
        let nonsense = create(&[&format!("p{pid}.service")]);
        requests.asked(format!("p{pid}"), at(3), asked(pid, 0, nonsense));
    }
    assert!(requests.recent.len() <= REQUESTS_MAX);
    assert!(requests.by_author.len() <= REQUESTS_MAX);
    assert!(requests.trusted.len() <= lasting::UNITS_MAX);
}

#[test]
fn starts_and_reloads_have_authors() {
    let start = |unit: &str| message(RequestClass::Start, "StartUnit", &[unit]);
    let requests = requests([
        (10, 0, start("a.timer")),
        (11, 0, Means::Signal(1)),
        (12, 1000, start("a.timer")),
    ]);
    let manager = Manager::System;
    let of = requests.of_start(&manager, "a.timer", 0, at(1).boot);
    assert_eq!(told(of), Some((10, Grade::Certain)));
    let of = requests.of_start(&manager, "a.timer", 0, at(9).boot);
    assert_eq!(told(of), Some((10, Grade::Probable)), "root is not refused");
    assert_eq!(
        told(requests.of_start(&manager, "b.timer", 0, at(9).boot)),
        None
    );
    assert_eq!(
        told(requests.of_start(&Manager::User(0), "a.timer", 0, at(9).boot)),
        None
    );
    let of = requests.of_reload(&manager, 0, at(9).boot);
    assert_eq!(told(of), Some((11, Grade::Certain)));
    assert_eq!(
        told(requests.of_reload(&manager, at(3).boot, at(9).boot)),
        None
    );
}

#[test]
fn a_user_pushes_nobodys_starts_out() {
    let start = |unit: &str| message(RequestClass::Start, "StartUnit", &[unit]);
    let mut requests = requests([(10, 0, start("a.timer"))]);
    for number in 0..10_000 {
        let unit = format!("n{number}.service");
        for unit in ["a.timer", &unit] {
            requests.asked(format!("f{number}"), at(2), asked(66, 1000, start(unit)));
        }
    }
    let of = requests.of_start(&Manager::System, "a.timer", 0, at(9).boot);
    assert_eq!(told(of).map(|(pid, _)| pid), Some(10));
}

#[test]
fn what_an_earlier_agent_saw_counts() {
    let start = message(RequestClass::Start, "StartUnit", &["a.timer"]);
    let reload = message(RequestClass::Reload, "Reload", &[]);
    let read = message(RequestClass::Read, "GetUnit", &["a.timer"]);
    let mut requests = Requests::default();
    for (number, means) in [start, reload, read].into_iter().enumerate() {
        let asked = asked(10, 0, means);
        let time = at(number as u64);
        if let Some(lasting) = Lasting::of("r", time, &asked) {
            requests.recall(lasting);
        }
    }
    let manager = Manager::System;
    let of = requests.of_start(&manager, "a.timer", 0, at(9).boot);
    assert_eq!(told(of), Some((10, Grade::Certain)));
    let of = requests.of_reload(&manager, 0, at(9).boot).unwrap();
    assert_eq!((of.method.as_str(), of.time), ("Reload", at(1)));
}
