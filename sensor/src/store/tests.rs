//! The store as a whole, on a real file system.

mod bounds;
mod broken;
mod thread;

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::event::{
    Actor, Change, FileClass, Grade, Login, Manager, OnBehalfOf, Origin, PackageFile, Packaging,
    Process, ProcessKey, RequestClass, Shipped, Timestamp, Transaction, Trigger, TriggerType, Verb,
};
use crate::systemd::load_path::Serves;

const BOOT: &str = "11111111-1111-4111-8111-111111111111";
const LATER: &str = "22222222-2222-4222-8222-222222222222";
const SECOND: u64 = 1_000_000_000;
/// Some day in 2026.
const NOW: u64 = 1_790_000_000 * SECOND;

fn open(dir: &Path, boot: &str) -> Opened {
    open_at(dir, boot, NOW)
}

fn open_at(dir: &Path, boot: &str, now: u64) -> Opened {
    Database::open(dir, boot, Limits::default(), now).unwrap()
}

fn at(seconds: u64) -> Timestamp {
    Timestamp {
        boot: seconds * SECOND,
        wall: NOW + seconds * SECOND,
    }
}

fn process(pid: u32, start: u64, name: &str, spawner: Option<&Process>) -> Process {
    Process {
        origin: Origin::Exec,
        argv: vec![name.to_owned(), "--x".to_owned()],
        comm: name.to_owned(),
        uid: 0,
        euid: 0,
        gid: 0,
        auid: Some(1000),
        user: Some("root".into()),
        executed: Some(at(start)),
        ..Process::of_key(
            ProcessKey::new(pid, start * SECOND),
            spawner.map(|spawner| spawner.key),
            at(start),
        )
    }
}

/// sshd → bash → tee
fn tee() -> Actor {
    let sshd = process(900, 5, "sshd", None);
    let bash = process(1000, 10, "bash", Some(&sshd));
    let tee = process(1001, 20, "tee", Some(&bash));
    Actor {
        process: Arc::new(tee),
        ancestry: vec![Arc::new(bash), Arc::new(sshd)],
    }
}

fn change(path: &str, verb: Verb, sha256: Option<&str>, writer: Actor) -> Change {
    let name = path.rsplit('/').next().unwrap_or_default();
    Change {
        unit: Some(name.to_owned()),
        content: Some(Box::new(crate::event::Content {
            sha256: sha256.map(str::to_owned),
            ..Default::default()
        })),
        ..Change::sample(verb, FileClass::UnitFile, path, writer)
    }
}

fn changed(uid: &str, seconds: u64, change: Change) -> Note {
    Note::Change(Box::new(ChangeNote {
        uid: Some(uid.to_owned()),
        time: at(seconds),
        serves: Serves::System,
        change: Arc::new(change),
    }))
}

const UNIT: &str = "/etc/systemd/system/upd.service";

#[test]
fn a_change_is_remembered_with_its_writer() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BOOT);
    assert!(opened.memory.alive.is_none() && opened.memory.files.is_empty());
    let note = changed("a-1", 30, change(UNIT, Verb::Create, Some("aa"), tee()));
    opened.database.keep(std::slice::from_ref(&note)).unwrap();
    // The answer may get lost on the way: a second try is no second change.
    opened.database.keep(&[note]).unwrap();
    drop(opened);

    let memory = open_at(dir.path(), BOOT, NOW + 100 * SECOND).memory;
    assert_eq!(memory.alive, Some(NOW));
    assert!(memory.same_boot);
    assert_eq!(memory.files[UNIT].content, Content::Sha256("aa".to_owned()));
    let [past] = &memory.changes[..] else {
        panic!("{:?}", memory.changes);
    };
    assert_eq!((past.uid.as_str(), past.time), ("a-1", at(30)));
    let writer = &past.change.writer;
    let names = |actor: &Actor| -> Vec<String> {
        let all = std::iter::once(&actor.process).chain(&actor.ancestry);
        all.map(|process| process.argv.join(" ")).collect()
    };
    assert_eq!(names(writer), ["tee --x", "bash --x", "sshd --x"]);
    assert_eq!(writer.process.key, tee().process.key);
    assert_eq!(writer.process.spawner, tee().process.spawner);
    assert_eq!(writer.process.boot, None);
    assert_eq!(writer.process.auid, Some(1000));
}

#[test]
fn who_reads_a_file_may_be_known_later() {
    let dir = tempfile::tempdir().unwrap();
    let path = "/home/a/real/systemd/user/upd.service";
    let mut opened = open(dir.path(), BOOT);
    for serves in [Serves::Elsewhere, Serves::User(1000)] {
        let note = Note::Change(Box::new(ChangeNote {
            uid: Some("a-1".to_owned()),
            time: at(30),
            serves,
            change: Arc::new(change(path, Verb::Create, Some("aa"), tee())),
        }));
        opened.database.keep(&[note]).unwrap();
    }
    drop(opened);
    let memory = open_at(dir.path(), BOOT, NOW + 100 * SECOND).memory;
    let [past] = &memory.changes[..] else {
        panic!("{:?}", memory.changes);
    };
    assert_eq!(past.serves, Serves::User(1000));
}

#[test]
fn an_agent_that_was_cut_off_is_known() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!open(dir.path(), BOOT).memory.cut_off, "there was none");
    let mut second = open_at(dir.path(), BOOT, NOW + SECOND);
    assert!(second.memory.cut_off, "the first did not say that it ends");
    second.database.keep(&[Note::Ended(at(9).wall)]).unwrap();
    drop(second);
    let third = open_at(dir.path(), BOOT, NOW + 100 * SECOND);
    assert!(!third.memory.cut_off);
    assert_eq!(third.memory.alive, Some(at(9).wall));
}

#[test]
fn processes_of_another_boot_are_kept_apart() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BOOT);
    let note = changed("a-1", 30, change(UNIT, Verb::Create, Some("aa"), tee()));
    opened.database.keep(&[note]).unwrap();
    drop(opened);

    let mut opened = open(dir.path(), LATER);
    let memory = &opened.memory;
    assert!(!memory.same_boot);
    let past = &memory.changes[0];
    // Before all of this boot, whatever the time since that boot was.
    assert_eq!(past.time.boot, 0);
    assert_eq!(past.time.wall, at(30).wall);
    let writer = &past.change.writer;
    for process in std::iter::once(&writer.process).chain(&writer.ancestry) {
        assert_eq!(process.boot.as_deref(), Some(BOOT));
        assert_eq!(process.started.boot, 0);
    }
    // Written again in this boot, it is still a process of that one.
    let again = changed(
        "b-1",
        40,
        change(UNIT, Verb::Write, Some("bb"), writer.clone()),
    );
    opened.database.keep(&[again]).unwrap();
    drop(opened);
    let memory = open(dir.path(), LATER).memory;
    let writer = &memory.changes[0].change.writer;
    assert_eq!(writer.process.boot.as_deref(), Some(BOOT));
    assert_eq!(memory.changes[0].time, at(40));
}

#[test]
fn names_that_go_are_no_longer_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BOOT);
    let drop_in = "/etc/systemd/system/a.service.d/x.conf";
    let beside = "/etc/systemd/system/a.service.dx";
    let moved = "/etc/systemd/system/b.service.d/x.conf";
    let renamed = Change {
        from: Some("/etc/systemd/system/a.service.d".to_owned()),
        class: FileClass::Directory,
        unit: Some("b.service".to_owned()),
        content: None,
        ..change("/etc/systemd/system/b.service.d", Verb::Rename, None, tee())
    };
    opened
        .database
        .keep(&[
            changed("1", 1, change(UNIT, Verb::Create, Some("aa"), tee())),
            changed("2", 2, change(drop_in, Verb::Create, Some("dd"), tee())),
            changed("3", 3, change(beside, Verb::Create, Some("ee"), tee())),
            changed("4", 4, change(UNIT, Verb::Unlink, None, tee())),
            changed("5", 5, renamed),
        ])
        .unwrap();
    drop(opened);
    let memory = open(dir.path(), BOOT).memory;
    let mut names: Vec<&str> = memory.files.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, [beside, "/etc/systemd/system/b.service.d", moved]);
    assert_eq!(
        memory.files[moved].content,
        Content::Sha256("dd".to_owned())
    );
    let past = memory.changes.iter().find(|past| past.change.path == moved);
    let past = past.unwrap();
    assert_eq!(past.change.verb, Verb::Rename);
    assert_eq!(past.change.unit.as_deref(), Some("b.service"));
    assert_eq!(past.change.writer.process.key, tee().process.key);

    let history = History::open(dir.path(), BOOT).unwrap();
    let versions = history.versions(UNIT).unwrap();
    let verbs: Vec<_> = versions
        .iter()
        .map(|version| version.verb.as_str())
        .collect();
    assert_eq!(verbs, ["create", "remove"]);
    assert!(!versions[0].latest && versions[1].latest && !versions[1].present);
    assert_eq!(versions[0].until, at(4).wall);
}

#[test]
fn packaging_is_remembered_also_when_it_comes_later() {
    let packaging = |shipped| Packaging {
        owner: Some(PackageFile {
            package: "upd:amd64".to_owned(),
            version: Some("1.2-3".to_owned()),
            shipped,
        }),
        transaction: Some(Transaction {
            manager: tee().ancestry[0].clone(),
            verified: true,
            package: Some("upd:amd64".to_owned()),
        }),
    };
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BOOT);
    let other = "/etc/systemd/system/other.service";
    let known = Change {
        packaging: Some(Box::new(packaging(Shipped::Same))),
        ..change(UNIT, Verb::Rename, Some("aa"), tee())
    };
    let late = Note::Package(Box::new(PackageNote {
        change: "2".to_owned(),
        writer: tee(),
        packaging: packaging(Shipped::Different),
    }));
    let notes = [
        changed("1", 1, known),
        changed("2", 2, change(other, Verb::Rename, Some("bb"), tee())),
        late,
    ];
    opened.database.keep(&notes).unwrap();
    drop(opened);
    for boot in [BOOT, LATER] {
        let memory = open(dir.path(), boot).memory;
        let of = |path: &str| {
            let found = memory.changes.iter().find(|past| past.change.path == path);
            found.unwrap().change.clone()
        };
        assert!(of(UNIT).is_package_work());
        assert!(!of(other).is_package_work());
        let kept = of(other).packaging.unwrap();
        assert_eq!(kept.owner, packaging(Shipped::Different).owner);
        let run = kept.transaction.unwrap();
        assert_eq!(run.manager.argv, ["bash", "--x"]);
        assert_eq!(run.manager.key, of(other).writer.ancestry[0].key);
    }
    let history = History::open(dir.path(), LATER).unwrap();
    let version = history.versions(UNIT).unwrap().remove(0);
    assert_eq!(
        version.packaging.unwrap().owner,
        packaging(Shipped::Same).owner
    );
}

fn pid_1() -> Actor {
    Actor {
        process: Arc::new(process(1, 1, "init", None)),
        ancestry: Vec::new(),
    }
}

fn login() -> Login {
    Login {
        tty: Some("pts/3".to_owned()),
        peer: Some(([192, 0, 2, 7], 50_000).into()),
    }
}

#[test]
fn who_asked_for_a_change_outlives_the_boot() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BOOT);
    let mut link = change(UNIT, Verb::Symlink, None, pid_1());
    link.on_behalf_of = Some(Box::new(OnBehalfOf {
        author: tee(),
        login: login(),
        grade: Grade::Probable,
        method: "EnableUnitFiles".to_owned(),
        class: RequestClass::Enable,
        event_uid: "6".to_owned(),
        time: at(1),
        doubt: Some("requests were lost"),
        transient: Vec::new(),
        health_check: false,
    }));
    opened.database.keep(&[changed("7", 2, link)]).unwrap();
    drop(opened);

    let history = History::open(dir.path(), LATER).unwrap();
    let version = history.versions(UNIT).unwrap().remove(0);
    let requester = version.requester.unwrap();
    assert_eq!(requester.by.process.key.tgid, 1001);
    assert_eq!(requester.by.ancestry.len(), 2);
    assert_eq!(requester.method.as_deref(), Some("EnableUnitFiles"));
    assert_eq!(requester.time, at(1).wall);
    assert_eq!(requester.doubt.as_deref(), Some("requests were lost"));
    assert!(matches!(version.writer, VersionWriter::Known(writer) if writer.process.key.tgid == 1));

    for (boot, here) in [(BOOT, true), (LATER, false)] {
        let memory = open(dir.path(), boot).memory;
        let of = memory.changes[0].change.on_behalf_of.clone().unwrap();
        assert_eq!(of.author.process.key, tee().process.key);
        assert_eq!(of.author.ancestry.len(), 2);
        assert_eq!(
            (of.class, of.grade),
            (RequestClass::Enable, Grade::Probable)
        );
        assert_eq!(
            (of.method.as_str(), of.event_uid.as_str()),
            ("EnableUnitFiles", "6")
        );
        assert_eq!(of.login, login());
        assert_eq!(of.time.wall, at(1).wall);
        assert_eq!(of.time.boot, if here { at(1).boot } else { 0 });
    }
}

fn start(uid: &str, seconds: u64, euid: u32) -> RequestNote {
    let mut by = tee();
    Arc::make_mut(&mut by.process).euid = euid;
    RequestNote {
        uid: uid.to_owned(),
        time: at(seconds),
        manager: Manager::System,
        by,
        login: login(),
        method: "StartUnit".to_owned(),
        class: RequestClass::Start,
        units: vec!["upd.timer".to_owned(), "other.service".to_owned()],
    }
}

#[test]
fn who_asked_for_a_start_is_known_to_the_next_agent() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BOOT);
    let note = |note: RequestNote| Note::Request(Box::new(note));
    let reload = RequestNote {
        method: "SIGHUP".to_owned(),
        class: RequestClass::Reload,
        units: Vec::new(),
        ..start("r-2", 12, 0)
    };
    let user = RequestNote {
        manager: Manager::User(1000),
        ..start("r-3", 14, 1000)
    };
    let notes = [note(start("r-1", 10, 0)), note(reload), note(user)];
    assert!(notes[0].is_urgent() && !notes[2].is_urgent());
    opened.database.keep(&notes).unwrap();
    // A second try is no second request.
    opened.database.keep(&notes).unwrap();
    opened.database.tidy(NOW).unwrap();
    drop(opened);

    let memory = open(dir.path(), BOOT).memory;
    let uids: Vec<_> = memory.requests.iter().map(|one| one.uid.as_str()).collect();
    assert_eq!(uids, ["r-1", "r-2", "r-3"]);
    let first = &memory.requests[0];
    assert_eq!(first.time, at(10));
    assert_eq!(first.units, ["upd.timer", "other.service"]);
    assert_eq!((first.class, &first.login), (RequestClass::Start, &login()));
    assert_eq!(first.by.process.key, tee().process.key);
    assert_eq!(first.by.ancestry.len(), 2);
    assert_eq!(memory.requests[1].method, "SIGHUP");
    assert_eq!(memory.requests[2].manager, Manager::User(1000));

    // After a boot nothing runs because of it any more; it is told who asks.
    assert!(open(dir.path(), LATER).memory.requests.is_empty());
    let history = History::open(dir.path(), LATER).unwrap();
    let found = history.requests("upd.timer", 9).unwrap();
    let uids: Vec<_> = found.iter().map(|one| one.uid.as_str()).collect();
    assert_eq!(uids, ["r-3", "r-1"]);
    assert_eq!(found[1].time, Timestamp { boot: 0, ..at(10) });
    assert_eq!(found[1].by.process.boot.as_deref(), Some(BOOT));
    assert!(history.requests("upd", 9).unwrap().is_empty());
}

#[test]
fn what_came_of_it_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BOOT);
    let trigger = Trigger {
        kind: TriggerType::Timer,
        unit: Some("upd.timer".to_owned()),
        fired_at: Some(at(60)),
        grade: Grade::Certain,
        evidence: vec!["the timer elapsed".to_owned()],
    };
    let run = |invocation: &str, manager: Manager| {
        Note::Run(Box::new(RunNote {
            manager,
            unit: "upd.service".to_owned(),
            invocation: Some(invocation.to_owned()),
            time: at(61),
            trigger: trigger.clone(),
            behind: None,
            process: tee(),
            uid: "x-9".to_owned(),
        }))
    };
    let notes = [
        changed("a-1", 30, change(UNIT, Verb::Create, Some("aa"), tee())),
        Note::Firing(FiringNote {
            manager: Manager::System,
            timer: "upd.timer".to_owned(),
            time: at(60),
            uid: "x-8".to_owned(),
            triggers: vec!["upd.service".to_owned()],
        }),
        run("i1", Manager::System),
        run("i1", Manager::System),
        run("i1", Manager::User(1000)),
        Note::Told {
            manager: Manager::System,
            unit: "upd.service".to_owned(),
            uid: "a-1".to_owned(),
        },
        Note::Finding(Box::new(FindingNote {
            uid: "x-10".to_owned(),
            time: at(62).wall,
            code: "timer-ran-changed-unit".to_owned(),
            severity: 4,
            unit: Some("upd.service".to_owned()),
            title: "A timer's changed unit ran as root".to_owned(),
            event: "{}".to_owned(),
        })),
        Note::Alive(at(63).wall),
    ];
    opened.database.keep(&notes).unwrap();
    let history = History::open(dir.path(), BOOT).unwrap();
    assert_eq!(history.alive().unwrap(), at(63).wall);
    let (firings, count) = history.firings("upd.timer", 5).unwrap();
    assert_eq!((firings[0].time, count), (at(60).wall, 1));
    assert_eq!(firings[0].triggers, ["upd.service"]);
    let runs = history.runs("upd.service", 5).unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!(runs[1].trigger.as_ref(), Some(&trigger));
    assert_eq!(history.runs_of_timer("upd.timer", 5).unwrap().len(), 2);
    let finding = history.finding("x-10").unwrap().unwrap();
    assert_eq!(finding.severity, 4);
    assert_eq!(history.findings_of_unit("upd.service").unwrap().len(), 1);
    assert!(history.finding("x-11").unwrap().is_none());
    drop(opened);

    let memory = open(dir.path(), BOOT).memory;
    assert_eq!(memory.alive, Some(at(63).wall));
    let told = (Manager::System, "upd.service".to_owned(), 1);
    assert_eq!(memory.told, [told]);
    assert_eq!(memory.runs.len(), 2);
    assert_eq!(memory.runs[0].trigger, trigger);
    // Invocations are of one boot.
    assert!(open(dir.path(), LATER).memory.runs.is_empty());
}

#[test]
fn living_processes_are_remembered_for_their_boot() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BOOT);
    let Actor { process, ancestry } = tee();
    let live = |process: &Arc<Process>, ancestry: &[Arc<Process>]| LiveProcess {
        process: Arc::clone(process),
        ancestry: ancestry.to_vec(),
        cgroup: 77,
        systemd: None,
    };
    let note = Note::Lineage(LineageNote {
        live: vec![
            live(&process, &ancestry),
            live(&ancestry[0], &ancestry[1..]),
        ],
        gone: Vec::new(),
    });
    opened.database.keep(&[note]).unwrap();
    let history = History::open(dir.path(), BOOT).unwrap();
    let found = history.process(1001, 20 * SECOND - 3_000_000, 10_000_000);
    assert_eq!(found.unwrap().unwrap().ancestry.len(), 2);
    let other = history.process(1001, 21 * SECOND, 10_000_000);
    assert!(other.unwrap().is_none());
    drop(opened);

    let mut opened = open(dir.path(), BOOT);
    let lineage = &opened.memory.lineage;
    assert_eq!(lineage.live.len(), 2);
    assert!(lineage.live.iter().all(|live| live.cgroup == 77));
    let mut above: Vec<u32> = lineage.ancestors().iter().map(|it| it.key.tgid).collect();
    above.sort_unstable();
    assert_eq!(above, [900, 1000]);
    let note = Note::Lineage(LineageNote {
        live: Vec::new(),
        gone: vec![process.key],
    });
    opened.database.keep(&[note]).unwrap();
    drop(opened);
    let memory = open(dir.path(), BOOT).memory;
    assert_eq!(memory.lineage.live.len(), 1);
    assert_eq!(memory.lineage.live[0].process.key.tgid, 1000);
    assert!(open(dir.path(), LATER).memory.lineage.live.is_empty());
    // And they are not there again when that boot's id comes back.
    assert!(open(dir.path(), BOOT).memory.lineage.live.is_empty());
}
