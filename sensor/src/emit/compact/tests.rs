use std::sync::Arc;

use super::*;
use crate::detect::catalogue::TIMER_RAN_CHANGED_UNIT;
use crate::event::{
    Cause, CauseFile, Change, FileClass, Finding, LinkKind, LossCount, Origin, ProcessKey,
    Severity, Tier, Trigger, Verb,
};

/// 2026-11-22 14:02:10.020 UTC.
const WROTE: u64 = 1_795_356_130_020_000_000;
const SECOND: u64 = 1_000_000_000;

fn at(wall: u64) -> Timestamp {
    Timestamp { boot: 1, wall }
}

fn process(pid: u32, path: &str, argv: &[&str], auid: Option<u32>) -> Process {
    Process {
        boot: None,
        key: ProcessKey::new(pid, u64::from(pid) * 1000),
        origin: Origin::Exec,
        spawner: Some(ProcessKey::new(1, 1)),
        exe: Some(Executable {
            path: path.to_owned(),
            inode: 7,
            nlink: 1,
            ..Executable::default()
        }),
        argv: argv.iter().map(|&a| a.to_owned()).collect(),
        argv_truncated: false,
        cwd: None,
        comm: String::new(),
        uid: 0,
        euid: 0,
        gid: 0,
        user: Some("root".into()),
        auid,
        session: None,
        cgroup: None,
        mount_ns: 0,
        pid_ns: 0,
        started: Timestamp::default(),
        executed: Some(at(WROTE + 81 * SECOND)),
    }
}

fn init() -> Arc<Process> {
    Arc::new(process(
        1,
        "/usr/lib/systemd/systemd",
        &["/sbin/init"],
        None,
    ))
}

fn tee() -> Actor {
    Actor {
        process: Arc::new(process(4100, "/usr/bin/tee", &["tee"], Some(1000))),
        ancestry: vec![
            Arc::new(process(4099, "/usr/bin/sudo", &["sudo", "tee"], Some(1000))),
            Arc::new(process(1044, "/usr/bin/bash", &["-bash"], Some(1000))),
            Arc::new(process(981, "/usr/sbin/sshd", &["sshd"], None)),
        ],
    }
}

fn shell() -> Process {
    process(4242, "/usr/bin/dash", &["/bin/sh", "/opt/.x/u.sh"], None)
}

fn context(trigger: Option<Trigger>) -> SystemdContext {
    SystemdContext {
        manager: Manager::System,
        spawned: true,
        unit: Some("upd.service".to_owned()),
        invocation_id: None,
        cgroup: None,
        trigger,
    }
}

fn timer(grade: Grade) -> Trigger {
    Trigger {
        kind: TriggerType::Timer,
        unit: Some("upd.timer".to_owned()),
        fired_at: None,
        grade,
        evidence: Vec::new(),
    }
}

fn change(verb: Verb, path: &str) -> Change {
    Change::sample(verb, FileClass::UnitFile, path, tee())
}

fn shown(wall: u64, body: Body) -> String {
    let event = Event {
        uid: "e".to_owned(),
        sequence: 1,
        time: at(wall),
        body,
    };
    line(&event, &Style::utc(false))
}

fn exec(process: Process, ancestry: Vec<Arc<Process>>, systemd: Option<SystemdContext>) -> Body {
    Body::Exec(Exec {
        process: Arc::new(process),
        ancestry,
        systemd,
        intent: None,
        awaited: false,
    })
}

#[test]
fn intents() {
    let argv = [
        "systemctl",
        "-H",
        "web",
        "--us",
        "start",
        "upd\u{1b}",
        "b",
        "c",
        "d",
        "e",
    ];
    let systemctl = process(4100, "/usr/bin/systemctl", &argv, None);
    let intent = crate::systemd::command::intent(&systemctl).map(Box::new);
    let body = Body::Exec(Exec {
        process: Arc::new(systemctl),
        ancestry: Vec::new(),
        systemd: None,
        intent,
        awaited: false,
    });
    assert!(shown(WROTE, body).contains(
        r"  [start upd\x1b.service b.service c.service d.service …, manager user, on web]  "
    ));
    let argv = ["systemd-run", "--on-active=5s", "-u", "x", "--uid=a", "id"];
    let run = process(4100, "/usr/bin/systemd-run", &argv, None);
    let intent = crate::systemd::command::intent(&run).map(Box::new);
    let body = Body::Exec(Exec {
        process: Arc::new(run),
        ancestry: Vec::new(),
        systemd: None,
        intent,
        awaited: false,
    });
    assert!(shown(WROTE, body).contains("  [timer x.timer x.service, OnActiveSec=5s, as a]  "));
}

#[test]
fn changes() {
    let path = "/etc/systemd/system/upd.timer";
    assert_eq!(
        shown(WROTE, Body::Change(change(Verb::Closed, path))),
        "14:02:10.020Z  wrote     /etc/systemd/system/upd.timer  \
         by sshd(981) → bash(1044, auid 1000) → sudo → tee(4100, root)"
    );
    let mut link = change(
        Verb::Symlink,
        "/etc/systemd/system/timers.target.wants/upd.timer",
    );
    link.target = Some(path.to_owned());
    link.writer.ancestry.clear();
    assert_eq!(
        shown(WROTE, Body::Change(link)),
        "14:02:10.020Z  linked    /etc/systemd/system/timers.target.wants/upd.timer to \
         /etc/systemd/system/upd.timer  by tee(4100, auid 1000, root)"
    );
    let mut rename = change(Verb::Rename, path);
    rename.from = Some("/tmp/\x1b[2Jx".to_owned());
    rename.truncated = true;
    rename.writer.ancestry.truncate(1);
    assert_eq!(
        shown(WROTE, Body::Change(rename)),
        "14:02:10.020Z  renamed   …/etc/systemd/system/upd.timer from /tmp/\\x1b[2Jx  \
         by sudo(4099, auid 1000) → tee(4100, root)"
    );
}

#[test]
fn execs() {
    assert_eq!(
        shown(
            WROTE,
            exec(
                shell(),
                vec![init()],
                Some(context(Some(timer(Grade::Certain))))
            )
        ),
        "14:02:10.020Z  ran       /bin/sh /opt/.x/u.sh  upd.service (system) ← upd.timer, certain  \
         PID 1 → dash(4242, root)"
    );
    let mut user = context(None);
    user.manager = Manager::User(1000);
    let mut sh = shell();
    sh.euid = 0;
    sh.uid = 1000;
    sh.user = None;
    assert_eq!(
        shown(WROTE, exec(sh, vec![init()], Some(user))),
        "14:02:10.020Z  ran       /bin/sh /opt/.x/u.sh  upd.service (user 1000)  \
         PID 1 → dash(4242, uid 1000, euid 0)"
    );
    let mut unknown = shell();
    unknown.origin = Origin::Unknown;
    unknown.exe = None;
    unknown.argv.clear();
    unknown.spawner = None;
    assert_eq!(
        shown(0, exec(unknown, Vec::new(), None)),
        "--:--:--.---Z  ran       ?  ? → ?(4242)"
    );
    let mut memfd = process(9, "/memfd:x", &["kworker"], None);
    memfd.exe.as_mut().unwrap().nlink = 0;
    assert_eq!(
        shown(WROTE, exec(memfd, vec![init()], None)),
        "14:02:10.020Z  ran       kworker [memfd]  PID 1 → memfd:x(9, root)"
    );
}

#[test]
fn nobody_writes_to_the_terminal_and_long_lines_are_cut() {
    let long = "a".repeat(500);
    let sh = process(9, "/bin/\u{202e}x\n", &["\x1b]0;t\x07", &long], None);
    let expected = format!(
        "14:02:10.020Z  ran       '\\x1b]0;t\\x07' {}…  PID 1 → \\u{{202e}}x\\n(9, root)",
        "a".repeat(104)
    );
    assert_eq!(shown(WROTE, exec(sh, vec![init()], None)), expected);
}

#[test]
fn exits() {
    let exit = |code, signal| {
        let process = Arc::new(shell());
        let ancestry = vec![init()];
        Body::Exit(Exit {
            process,
            ancestry,
            code,
            signal,
        })
    };
    assert_eq!(
        shown(WROTE, exit(Some(2), None)),
        "14:02:10.020Z  exited    with 2  PID 1 → dash(4242, root)"
    );
    assert_eq!(
        shown(WROTE, exit(None, Some(9))),
        "14:02:10.020Z  killed    by signal 9 (SIGKILL)  PID 1 → dash(4242, root)"
    );
}

fn finding(cause: Vec<Cause>) -> Finding {
    Finding {
        rule: &TIMER_RAN_CHANGED_UNIT,
        title: "New timer upd.timer ran as root".to_owned(),
        message: "upd.timer was written 81 s before it ran /usr/bin/dash as root".to_owned(),
        severity: Severity::High,
        grade: Grade::Certain,
        process: Arc::new(shell()),
        ancestry: vec![init()],
        systemd: Some(context(None)),
        timer: Some("upd.timer".to_owned()),
        cause,
        related: Vec::new(),
        traits: Vec::new(),
    }
}

fn cause(link: LinkKind, wall: u64, grade: Grade) -> Cause {
    Cause {
        link,
        time: at(wall),
        grade,
        actor: None,
        file: None,
        request: None,
        unit: None,
        event_uid: None,
    }
}

#[test]
fn a_finding_tells_its_chain() {
    let chain = vec![
        Cause {
            actor: Some(tee()),
            file: Some(CauseFile {
                path: "/etc/systemd/system/upd.timer".to_owned(),
                sha256: None,
            }),
            ..cause(LinkKind::Wrote, WROTE - 86_400 * SECOND, Grade::Certain)
        },
        Cause {
            file: Some(CauseFile {
                path: "/etc/systemd/system/timers.target.wants/upd.timer".to_owned(),
                sha256: None,
            }),
            ..cause(LinkKind::Linked, WROTE + 21 * SECOND, Grade::Probable)
        },
        Cause {
            unit: Some("upd.timer".to_owned()),
            ..cause(LinkKind::Fired, WROTE + 80 * SECOND, Grade::Certain)
        },
        cause(LinkKind::Spawned, WROTE + 81 * SECOND, Grade::Certain),
    ];
    let body = Body::Finding(Box::new(finding(chain)));
    assert_eq!(
        shown(WROTE + 81 * SECOND, body),
        "\
14:03:31.020Z  FINDING   high: New timer upd.timer ran as root  [timer-ran-changed-unit, certain]
  2026-11-21 14:02  wrote     /etc/systemd/system/upd.timer  by sshd(981) → bash(1044, auid 1000) → sudo → tee(4100, root)
  14:02:31.020Z  linked    /etc/systemd/system/timers.target.wants/upd.timer  by ?  (probable)
  14:03:30.020Z  fired     upd.timer
  14:03:31.020Z  ran       /bin/sh /opt/.x/u.sh  upd.service (system)  PID 1 → dash(4242, root)"
    );
}

#[test]
fn a_finding_without_a_chain_says_its_message() {
    let body = Body::Finding(Box::new(finding(Vec::new())));
    assert_eq!(
        shown(WROTE + 81 * SECOND, body),
        "\
14:03:31.020Z  FINDING   high: New timer upd.timer ran as root  [timer-ran-changed-unit, certain]
  upd.timer was written 81 s before it ran /usr/bin/dash as root
  14:03:31.020Z  ran       /bin/sh /opt/.x/u.sh  upd.service (system)  PID 1 → dash(4242, root)"
    );
}

#[test]
fn health() {
    let started = Health::Started {
        file_tier: Some(Tier::Fentry),
        watched: 14,
        blind: vec!["mounts".to_owned()],
    };
    assert_eq!(
        shown(WROTE, Body::Health(started)),
        "14:02:10.020Z  started   file changes by fentry, 14 directories watched; blind to: mounts"
    );
    let loss = |kind, count| LossCount {
        stage: "sink",
        kind,
        count,
    };
    assert_eq!(
        shown(
            WROTE,
            Body::Health(Health::Loss(vec![loss("exec", 12), loss("exit", 3)]))
        ),
        "14:02:10.020Z  LOST      12 exec in sink, 3 exit in sink"
    );
    assert_eq!(
        shown(WROTE, Body::Health(Health::Gap("no\nline".to_owned()))),
        "14:02:10.020Z  gap       no\\nline"
    );
    let stopped = Health::Stopped {
        events: 9,
        findings: 1,
        lost: 0,
    };
    assert_eq!(
        shown(WROTE, Body::Health(stopped)),
        "14:02:10.020Z  stopped   9 events, 1 findings, 0 lost"
    );
}

#[test]
fn colours_only_when_asked_and_always_ended() {
    let event = Event {
        uid: "e".to_owned(),
        sequence: 1,
        time: at(WROTE),
        body: Body::Finding(Box::new(finding(Vec::new()))),
    };
    let plain = line(&event, &Style::utc(false));
    assert!(!plain.contains('\x1b'));
    let colored = line(&event, &Style::utc(true));
    assert!(colored.contains("\x1b[1;31m"));
    assert_eq!(
        colored.matches('\x1b').count(),
        2 * colored.matches("\x1b[0m").count()
    );
}

#[test]
fn local_time_follows_the_zone() {
    let style = Style {
        color: false,
        zone: TimeZone::fixed(jiff::tz::offset(2)),
        utc: false,
    };
    let event = Event {
        uid: "e".to_owned(),
        sequence: 1,
        time: at(WROTE),
        body: Body::Health(Health::Gap("x".to_owned())),
    };
    assert_eq!(line(&event, &style), "16:02:10.020  gap       x");
    // Whatever the zone of this machine is, it can be had.
    let local = line(&event, &Style::local(false));
    assert!(local.contains(":10.020  gap"), "{local}");
}

/// An exec whose verdict follows is told with it, in one line, with the time of the exec.
#[test]
fn one_line_for_an_exec_and_its_verdict() {
    let mut exec = exec(shell(), vec![init()], Some(context(None)));
    if let Body::Exec(exec) = &mut exec {
        exec.awaited = true;
    }
    assert_eq!(shown(WROTE, exec.clone()), "");
    let Body::Exec(mut judged) = exec else {
        return;
    };
    judged.systemd = Some(context(Some(timer(Grade::Certain))));
    let verdict = |exec| {
        let verdict = crate::event::Verdict {
            refers_to: "e".to_owned(),
            exec,
            cause: Vec::new(),
        };
        shown(WROTE + 82 * SECOND, Body::Verdict(Box::new(verdict)))
    };
    assert_eq!(
        verdict(judged.clone()),
        "14:03:31.020Z  ran       /bin/sh /opt/.x/u.sh  upd.service (system) ← upd.timer, certain  \
         PID 1 → dash(4242, root)"
    );
    let mut unknown = timer(Grade::None);
    (unknown.kind, unknown.unit) = (TriggerType::Unknown, None);
    judged.systemd = Some(context(Some(unknown)));
    assert_eq!(
        verdict(judged),
        "14:03:31.020Z  ran       /bin/sh /opt/.x/u.sh  upd.service (system)  PID 1 → dash(4242, root)"
    );
}
