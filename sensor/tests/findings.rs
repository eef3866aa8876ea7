//! What changes of files amount to: each rule firing, and not firing.

#![expect(
    clippy::expect_used,
    reason = "helpers of tests, where a panic is the failure"
)]

use std::sync::Arc;

use whodunit::{
    correlate::Seen,
    detect::{
        AGENT_UNIT, ConfigurationManagement, Detector, Outside, Tunables, agent_cut_off,
        agent_signalled, catalogue, command_outside_unit, environment_asked, mapping, posture,
    },
    event::{
        Actor, Asked, Change, Content, Diff, Exec, Executable, FileClass, FileIdentity, Finding,
        Grade, LinkKind, Login, Manager, Means, Origin, PackageFile, Packaging, Process,
        ProcessKey, Request, RequestClass, Severity, Shipped, SystemdContext, Tier, Timestamp,
        Transaction, UnitSettings, Verb,
    },
    systemd::{cgroup::unit_of_cgroup, load_path::Serves},
};

const SECOND: u64 = 1_000_000_000;
const LATER: u64 = 3600 * SECOND;

fn process(pid: u32, path: &str, uid: u32) -> Process {
    Process {
        origin: Origin::Exec,
        exe: Some(Executable {
            path: path.to_owned(),
            inode: 7,
            nlink: 1,
            ..Executable::default()
        }),
        uid,
        euid: uid,
        ..Process::of_key(ProcessKey::new(pid, 1), None, Timestamp::default())
    }
}

fn by(process: Process) -> Actor {
    Actor {
        process: Arc::new(process),
        ancestry: Vec::new(),
    }
}

fn change(verb: Verb, path: &str, class: FileClass) -> Change {
    let name = path.rsplit('/').next().unwrap_or_default();
    Change {
        verb,
        path: path.to_owned(),
        truncated: false,
        from: None,
        target: None,
        object: FileIdentity {
            inode: 12,
            mode: 0o100_644,
            ..FileIdentity::default()
        },
        class,
        unit: Some(name.to_owned()),
        truncates: false,
        tier: Tier::Lsm,
        writer: by(process(4100, "/usr/bin/tee", 0)),
        unseen: None,
        packaging: None,
        on_behalf_of: None,
        content: Some(Box::new(Content {
            sha256: Some("aa".to_owned()),
            ..Content::default()
        })),
        between: None,
    }
}

fn set(change: &mut Change, settings: UnitSettings) {
    content(change).settings = Some(settings);
}

fn content(change: &mut Change) -> &mut Content {
    change
        .content
        .as_deref_mut()
        .expect("every change here has one")
}

fn timer(path: &str, interval: u64) -> Change {
    let mut change = change(Verb::Create, path, FileClass::UnitFile);
    set(
        &mut change,
        UnitSettings {
            kind: "timer",
            triggers: Some("upd.service".to_owned()),
            interval_seconds: Some(interval),
            ..UnitSettings::default()
        },
    );
    change
}

fn drop_in(runs: &[&str]) -> Change {
    let path = "/etc/systemd/system/apt-daily.service.d/x.conf";
    let mut change = change(Verb::Create, path, FileClass::DropIn);
    set(
        &mut change,
        UnitSettings {
            kind: "service",
            runs: runs.iter().map(|&run| run.to_owned()).collect(),
            ..UnitSettings::default()
        },
    );
    change
}

fn seen(change: Change, serves: Serves) -> Seen {
    Seen {
        uid: "a-1".to_owned(),
        sequence: 1,
        time: Timestamp { boot: 5, wall: 5 },
        serves,
        gone: false,
        change: Arc::new(change),
    }
}

fn judged(change: Change, serves: Serves) -> Option<Finding> {
    let mut detector = Detector::default();
    detector.changed(&seen(change, serves), 0);
    let mut findings = detector.due(LATER);
    assert!(findings.len() <= 1, "one change, one finding: {findings:?}");
    findings.pop()
}

/// A change in a package manager's run.
fn packaged(change: Change, verified: bool, shipped: Shipped) -> Change {
    let packaging = Packaging {
        transaction: Some(Transaction {
            manager: Arc::new(process(9, "/usr/bin/dpkg", 0)),
            verified,
            package: Some("x".to_owned()),
        }),
        owner: Some(PackageFile {
            package: "x".to_owned(),
            version: None,
            shipped,
        }),
    };
    Change {
        packaging: Some(Box::new(packaging)),
        ..change
    }
}

#[test]
fn what_a_package_brought_is_informational() {
    let path = "/usr/lib/systemd/system/x.timer";
    let weigh = |verb, verified, shipped| {
        let change = packaged(change(verb, path, FileClass::UnitFile), verified, shipped);
        judged(change, Serves::System).expect("a finding").severity
    };
    let informational = Severity::Informational;
    assert_eq!(weigh(Verb::Rename, true, Shipped::Same), informational);
    assert_eq!(weigh(Verb::Symlink, true, Shipped::NoDigest), informational);
    // Another content than the package's, a package manager that is none, a write nobody saw.
    assert_ne!(weigh(Verb::Rename, true, Shipped::Different), informational);
    assert_ne!(weigh(Verb::Rename, false, Shipped::Same), informational);
    assert_ne!(weigh(Verb::Load, true, Shipped::Same), informational);
}

#[track_caller]
fn is(change: Change, serves: Serves, rule: &str, severity: Severity) {
    let finding = judged(change, serves).expect("a finding");
    assert_eq!((finding.rule.id, finding.severity), (rule, severity));
    assert_eq!(finding.related.len(), 1);
    assert_eq!(finding.cause.len(), 1);
}

#[track_caller]
fn is_nothing(change: Change, serves: Serves) {
    let finding = judged(change, serves);
    assert!(finding.is_none(), "{finding:?}");
}

const SYSTEM: &str = "/etc/systemd/system/upd.timer";
const HOME: &str = "/home/a/.config/systemd/user/upd.timer";

#[test]
fn a_new_timer_weighs_by_its_manager_and_its_interval() {
    is(
        timer(SYSTEM, 86_400),
        Serves::System,
        "timer-created",
        Severity::Medium,
    );
    is(
        timer(SYSTEM, 60),
        Serves::System,
        "timer-created",
        Severity::High,
    );
    is(
        timer(HOME, 86_400),
        Serves::User(1000),
        "timer-created",
        Severity::Low,
    );
    is(
        timer(HOME, 60),
        Serves::User(1000),
        "timer-created",
        Severity::Medium,
    );
    // Root's own manager, and what all users' managers read, weigh like PID 1.
    is(
        timer(HOME, 86_400),
        Serves::User(0),
        "timer-created",
        Severity::Medium,
    );
    is(
        timer(HOME, 86_400),
        Serves::AllUsers,
        "timer-created",
        Severity::Medium,
    );
}

#[test]
fn what_no_manager_reads_is_informational() {
    const BUILT: &str = "/var/tmp/build/usr/lib/systemd/system/new.timer";
    let severity = |change| judged(change, Serves::Elsewhere).map(|finding| finding.severity);
    assert_eq!(severity(timer(BUILT, 60)), Some(Severity::Informational));
    // A manager that reads it is one that is not known.
    let load = change(Verb::Load, BUILT, FileClass::UnitFile);
    assert_eq!(severity(load), Some(Severity::Medium));
}

#[test]
fn the_tunables_weigh() {
    let judge = |tunables: Tunables| {
        let mut detector = Detector::new(tunables, Vec::new());
        detector.changed(&seen(timer(SYSTEM, 60), Serves::System), 0);
        detector.due(LATER).pop()
    };
    let threshold = |timer_interval_threshold| Tunables {
        timer_interval_threshold,
        ..Tunables::default()
    };
    let severity = |tunables| judge(tunables).expect("a finding").severity;
    assert_eq!(severity(threshold(61)), Severity::High);
    assert_eq!(severity(threshold(60)), Severity::Medium);
    let elsewhere = Tunables {
        timer_creation_path: vec!["/usr/lib/systemd/system".to_owned()],
        ..Tunables::default()
    };
    assert!(judge(elsewhere).is_none());
    let names: Vec<_> = judge(Tunables::default())
        .expect("a finding")
        .traits
        .iter()
        .map(|weighed| weighed.name)
        .collect();
    assert_eq!(
        names,
        ["TimerIntervalThreshold", "UserContext", "TimerCreationPath"]
    );
}

#[test]
fn a_timer_that_was_there_is_changed() {
    let mut changed = timer(SYSTEM, 86_400);
    content(&mut changed).previous_sha256 = Some("bb".to_owned());
    is(
        changed.clone(),
        Serves::System,
        "unit-changed",
        Severity::Medium,
    );
    content(&mut changed).previous_sha256 = Some("aa".to_owned());
    is_nothing(changed, Serves::System); // written anew as it was
}

#[test]
fn transient_timers_are_the_only_transient_units_told() {
    let path = "/run/systemd/transient/run-u7.timer";
    let manager = || by(process(1, "/usr/lib/systemd/systemd", 0));
    let mut made = timer(path, 86_400);
    made.writer = manager();
    is(made, Serves::System, "transient-timer", Severity::Medium);
    // The second is a program's of flatpak.
    for path in [
        "/run/systemd/transient/session-3.scope",
        "/run/user/1000/systemd/transient/app-flatpak-org.x.Y-7.scope",
    ] {
        let mut made = change(Verb::Create, path, FileClass::UnitFile);
        made.writer = manager();
        is_nothing(made, Serves::System);
    }
}

#[test]
fn services_are_low_until_they_run() {
    let path = "/etc/systemd/system/upd.service";
    is(
        change(Verb::Create, path, FileClass::UnitFile),
        Serves::System,
        "unit-changed",
        Severity::Low,
    );
    is_nothing(
        change(Verb::Unlink, path, FileClass::UnitFile),
        Serves::System,
    );
    let mut touched = change(Verb::Setattr, path, FileClass::UnitFile);
    is_nothing(touched.clone(), Serves::System);
    content(&mut touched).mode = Some(0o100_666);
    is(touched, Serves::System, "unit-writable", Severity::Medium);
}

#[test]
fn a_drop_in_weighs_by_what_it_sets() {
    let adds = drop_in(&["ExecStartPost=/opt/.x/u.sh"]);
    is(adds, Serves::System, "drop-in-adds-command", Severity::High);
    // It only drops what the unit's file runs.
    is(
        drop_in(&["ExecStart="]),
        Serves::System,
        "unit-changed",
        Severity::Low,
    );
    let mut preload = drop_in(&[]);
    content(&mut preload).diff = Some(Diff {
        text: "@@ -0,0 +1,2 @@\n+[Service]\n+Environment=LD_PRELOAD=/dev/shm/x.so\n".to_owned(),
        ..Diff::default()
    });
    is(
        preload,
        Serves::User(1000),
        "drop-in-adds-command",
        Severity::Medium,
    );
}

#[test]
fn what_managers_read_beside_units() {
    let of = |path: &str, class| change(Verb::Create, path, class);
    let generator = "/etc/systemd/system-generators/x";
    is(
        of(generator, FileClass::Generator),
        Serves::System,
        "generator-changed",
        Severity::High,
    );
    let mut runs = change(Verb::Setattr, generator, FileClass::Generator);
    runs.object.mode = 0o100_755;
    is(runs, Serves::System, "generator-changed", Severity::High);
    let rule = "generator-source-changed";
    let mut script = of("/etc/init.d/x", FileClass::GeneratorSource);
    script.unit = Some("x.service".to_owned());
    is(script, Serves::System, rule, Severity::Medium);
    let mut table = of("/etc/fstab", FileClass::GeneratorSource);
    table.unit = None;
    is(table, Serves::System, rule, Severity::Low);
    let path = "/etc/systemd/system-preset/00-x.preset";
    is(
        of(path, FileClass::Preset),
        Serves::System,
        "preset-changed",
        Severity::Medium,
    );
    let path = "/etc/systemd/system.conf.d/x.conf";
    let rule = "manager-config-changed";
    is(
        of(path, FileClass::ManagerConfig),
        Serves::System,
        rule,
        Severity::Medium,
    );
    let path = "/var/lib/systemd/linger/a";
    is(
        of(path, FileClass::Linger),
        Serves::System,
        "linger-enabled",
        Severity::Low,
    );
    let path = "/var/lib/extensions/x.raw";
    let rule = "extension-image-changed";
    is(
        change(Verb::Mkdir, "/var/lib/extensions/evil", FileClass::Image),
        Serves::System,
        "extension-image-changed",
        Severity::Medium,
    );
    is(
        of(path, FileClass::Image),
        Serves::System,
        rule,
        Severity::Medium,
    );
}

#[test]
fn a_timed_target_weighs_by_its_writer() {
    let path = "/usr/local/bin/backup.sh";
    let written = change(Verb::Write, path, FileClass::Target);
    let rule = "timed-target-changed";
    is(written.clone(), Serves::Everyone, rule, Severity::Medium);
    let by_user = Change {
        writer: by(process(4100, "/usr/bin/tee", 1000)),
        ..written
    };
    is(by_user, Serves::Everyone, rule, Severity::High);
}

#[test]
fn what_managers_load_unseen() {
    let mut loaded = change(Verb::Load, "/srv/x.service", FileClass::UnitFile);
    let rule = "unit-from-unexpected-place";
    is(loaded.clone(), Serves::System, rule, Severity::Medium);
    content(&mut loaded).previous_sha256 = Some("bb".to_owned());
    is(loaded, Serves::System, "unseen-change", Severity::High);
    let mounted = change(Verb::Mount, "/etc/systemd/system", FileClass::Directory);
    let rule = "load-path-mounted-over";
    is(mounted, Serves::System, rule, Severity::High);
}

fn adds(mut change: Change, line: &str) -> Change {
    content(&mut change).diff = Some(Diff {
        text: format!("@@ -1 +1,2 @@\n A=b\n+{line}\n"),
        ..Diff::default()
    });
    change
}

#[test]
fn variables_that_load_code_weigh_more() {
    // Of an environment file only this is known: its text is not kept.
    for (loads_code, severity) in [(true, Severity::High), (false, Severity::Medium)] {
        let mut target = change(Verb::Closed, "/etc/default/x", FileClass::Target);
        target.content = Some(Box::new(Content {
            loads_code,
            ..Content::default()
        }));
        is(target, Serves::System, "timed-target-changed", severity);
    }
    let config = change(
        Verb::Create,
        "/etc/systemd/system.conf.d/x.conf",
        FileClass::ManagerConfig,
    );
    for (line, severity) in [
        (
            "ManagerEnvironment=SYSTEMD_UNIT_PATH=/opt/units:",
            Severity::High,
        ),
        ("DefaultEnvironment=\"A=b\" LD_AUDIT=/x.so", Severity::High),
        ("LogLevel=debug", Severity::Medium),
    ] {
        let change = adds(config.clone(), line);
        is(change, Serves::System, "manager-config-changed", severity);
    }
}

fn ran(manager: Manager) -> Exec {
    let mut process = process(70, "/usr/bin/id", 0);
    process.argv = vec!["id".to_owned(), "-u".to_owned()];
    Exec {
        process: Arc::new(process),
        ancestry: Vec::new(),
        systemd: Some(SystemdContext {
            manager,
            spawned: true,
            unit: Some("cron.service".to_owned()),
            invocation_id: None,
            cgroup: None,
            trigger: None,
        }),
        intent: None,
        awaited: false,
    }
}

#[test]
fn a_process_that_a_service_does_not_name() {
    let finding = |manager, outside: &Outside| {
        let finding = command_outside_unit(&ran(manager), "a-1", outside, Vec::new());
        assert_eq!(finding.rule.id, "command-outside-unit");
        assert_eq!(finding.related[0].uid, "a-1");
        (finding.severity, finding.message)
    };
    let (severity, message) = finding(Manager::System, &Outside::Unnamed);
    assert_eq!(severity, Severity::Medium);
    assert_eq!(
        message,
        "PID 1 ran /usr/bin/id in cron.service; no command of the unit is `id -u`"
    );
    let (severity, _) = finding(Manager::User(1000), &Outside::Unnamed);
    assert_eq!(severity, Severity::Low);
    let moved = Outside::Moved {
        from: "/user.slice/user-0.slice/session-1.scope".to_owned(),
        to: unit_of_cgroup("/system.slice/cron.service"),
    };
    let (severity, message) = finding(Manager::System, &moved);
    assert_eq!(severity, Severity::Medium);
    assert!(
        message.contains("in cron.service, where it came from /user.slice/"),
        "{message}"
    );
}

/// What is one rule to the agent and to `scan` is explained in one way.
#[test]
fn a_rule_and_a_check_of_one_name_say_the_same() {
    let mut shared = 0;
    for check in posture::CHECKS {
        for rule in catalogue::RULES.iter().filter(|it| it.id == check.id) {
            assert_eq!(rule.title, check.title, "{}", check.id);
            assert_eq!(rule.explanation, check.explanation, "{}", check.id);
            shared += 1;
        }
    }
    assert_eq!(shared, 2);
}

#[test]
fn every_rule_bears_on_a_control() {
    for rule in catalogue::RULES {
        assert!(!mapping::controls_of(rule.id).is_empty(), "{}", rule.id);
    }
}

#[test]
fn what_the_agent_rests_on() {
    let of = |verb, path: &str, class| {
        let mut change = change(verb, path, class);
        change.unit = Some(AGENT_UNIT.to_owned());
        change
    };
    let drop_in = "/etc/systemd/system/whodunit.service.d/x.conf";
    let link = "/etc/systemd/system/multi-user.target.wants/whodunit.service";
    for change in [
        of(Verb::Closed, "/usr/bin/whodunit", FileClass::Target),
        of(Verb::Unlink, "/usr/bin/whodunit", FileClass::Target),
        of(Verb::Create, drop_in, FileClass::DropIn),
        of(
            Verb::Symlink,
            "/etc/systemd/system/whodunit.service",
            FileClass::UnitFile,
        ),
        of(Verb::Unlink, link, FileClass::DependencyLink),
    ] {
        is(
            change.clone(),
            Serves::System,
            "agent-tampered",
            Severity::High,
        );
        let finding = judged(packaged(change, true, Shipped::Same), Serves::System);
        assert_eq!(finding.expect("told").severity, Severity::Informational);
    }
    // A package that is being built.
    let built = "/tmp/build/usr/lib/systemd/system/whodunit.service";
    is(
        of(Verb::Create, built, FileClass::UnitFile),
        Serves::Elsewhere,
        "unit-changed",
        Severity::Informational,
    );
    is_nothing(
        of(Verb::Symlink, link, FileClass::DependencyLink),
        Serves::System,
    );
    let other = change(
        Verb::Unlink,
        "/etc/systemd/system/x.wants/x.service",
        FileClass::DependencyLink,
    );
    is_nothing(other, Serves::System);
}

#[test]
fn a_manager_asked_to_load_code() {
    let asked = |manager: Manager, environment: &[&str]| Asked {
        manager,
        target: Arc::new(Process::unknown(Timestamp::default())),
        author: by(process(70, "/usr/bin/systemctl", 0)),
        login: Login::default(),
        means: Means::Message(Box::new(Request {
            class: RequestClass::Environment,
            method: Some("SetEnvironment".to_owned()),
            environment: environment.iter().map(|&it| it.to_owned()).collect(),
            ..Request::default()
        })),
        socket: None,
        tier: Tier::Lsm,
    };
    let judged = |asked: &Asked| environment_asked(asked, "a-1", Timestamp::default());
    let finding = judged(&asked(Manager::System, &["A=b", "LD_PRELOAD=/x.so"])).expect("told");
    assert_eq!(finding.rule.id, "manager-config-changed");
    assert_eq!(
        (finding.severity, finding.related[0].uid.as_str()),
        (Severity::High, "a-1")
    );
    assert!(
        finding
            .message
            .contains("systemctl(70) asked PID 1 to set LD_PRELOAD=/x.so")
    );
    let finding = judged(&asked(Manager::User(7), &["SYSTEMD_UNIT_PATH=/x"])).expect("told");
    assert_eq!(finding.severity, Severity::Medium);
    for harmless in [
        &["A=b", "DISPLAY"][..],
        &["-LD_PRELOAD"],
        &["PYTHONPATH=/x"],
        &[],
    ] {
        assert!(
            judged(&asked(Manager::System, harmless)).is_none(),
            "{harmless:?}"
        );
    }
}

#[test]
fn signals_to_the_agent() {
    let author = by(process(70, "/usr/bin/kill", 0));
    for (signal, severity) in [
        ("SIGSTOP", Severity::High),
        ("SIGUSR1", Severity::High),
        ("SIGTERM", Severity::Medium),
    ] {
        let finding = agent_signalled(&author, Timestamp::default(), signal);
        assert_eq!(
            (finding.rule.id, finding.severity),
            ("agent-tampered", severity)
        );
        assert!(finding.message.starts_with("kill(70) sent the agent SIG"));
        assert_eq!(finding.process.key.tgid, 70);
    }
    let at = |seconds: u64| Timestamp {
        boot: 0,
        wall: seconds * SECOND,
    };
    let finding = agent_cut_off(at(0), at(3600));
    assert!(
        finding
            .message
            .ends_with("between 1970-01-01T00:00:00Z and 1970-01-01T01:00:00Z"),
        "{}",
        finding.message
    );
}

#[test]
fn what_a_mount_brings_is_told_with_it() {
    let dir = "/etc/systemd/system/apt-daily.service.d";
    let mut detector = Detector::default();
    let mut mounted = |path: &str, pid: u32, at: u64| {
        let class = if path == dir {
            FileClass::Directory
        } else {
            FileClass::DropIn
        };
        let change = Change {
            writer: by(process(pid, "/usr/bin/mount", 0)),
            ..change(Verb::Mount, path, class)
        };
        detector.changed(&seen(change, Serves::System), at);
    };
    mounted(dir, 70, 0);
    for n in 0..10 {
        mounted(&format!("{dir}/{n}.conf"), 70, SECOND / 2);
    }
    // Another's deed, and another directory.
    mounted(&format!("{dir}/x.conf"), 71, SECOND / 2);
    mounted(&format!("{dir}x/y.conf"), 70, SECOND / 2);
    assert!(detector.due(SECOND).is_empty());
    let found = detector.due(2 * SECOND);
    let [whole, other, beside] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!((whole.related.len(), whole.cause.len()), (11, 11));
    let brings = format!("{dir}, which brings 10 files: 0.conf, 1.conf, ");
    assert!(whole.message.contains(&brings), "{}", whole.message);
    assert!(whole.message.ends_with("7.conf …"), "{}", whole.message);
    assert_eq!((other.related.len(), beside.related.len()), (1, 1));
}

#[test]
fn masking_matters_for_what_defends_the_host() {
    let masked = |unit: &str| {
        let path = format!("/etc/systemd/system/{unit}");
        let mut change = change(Verb::Symlink, &path, FileClass::UnitFile);
        set(
            &mut change,
            UnitSettings {
                kind: "service",
                masked: true,
                ..UnitSettings::default()
            },
        );
        change
    };
    is(
        masked("auditd.service"),
        Serves::System,
        "security-unit-masked",
        Severity::High,
    );
    is_nothing(masked("bluetooth.service"), Serves::System);
}

#[test]
fn generators_are_judged_and_their_output_is_not() {
    let path = "/run/systemd/generator/x.service";
    let written = change(Verb::Create, path, FileClass::UnitFile);
    // A stranger who writes there is judged like anywhere.
    is(
        written.clone(),
        Serves::System,
        "unit-changed",
        Severity::Low,
    );
    let generator = "/usr/lib/systemd/system-generators/systemd-fstab-generator";
    let by_generator = Change {
        writer: by(process(77, generator, 0)),
        ..written
    };
    is_nothing(by_generator, Serves::System);
}

#[test]
fn a_script_that_writes_line_by_line_makes_one_finding() {
    let mut detector = Detector::default();
    for (step, hash) in ["a1", "a2", "a3"].into_iter().enumerate() {
        let mut written = timer(SYSTEM, if hash == "a3" { 60 } else { 86_400 });
        content(&mut written).sha256 = Some(hash.to_owned());
        detector.changed(&seen(written, Serves::System), step as u64 * SECOND / 2);
        assert!(detector.due(step as u64 * SECOND / 2).is_empty());
    }
    assert_eq!(detector.next_due(), Some(2 * SECOND));
    let told = detector.due(2 * SECOND);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].severity, Severity::High, "as the file is at last");
    // The same again is not said again, something new is.
    detector.changed(&seen(timer(SYSTEM, 60), Serves::System), 3 * SECOND);
    assert_eq!(detector.due(LATER).len(), 1, "another content");
}

#[test]
fn a_file_that_never_stands_still_is_told_all_the_same() {
    let mut detector = Detector::default();
    let mut told = 0;
    for step in 0..20 {
        let now = step * SECOND / 2;
        let mut written = timer(SYSTEM, 60);
        content(&mut written).sha256 = Some(step.to_string());
        detector.changed(&seen(written, Serves::System), now);
        told += detector.due(now).len();
    }
    assert!(told >= 1);
}

#[test]
fn an_unknown_writer_lowers_the_grade() {
    let mut made = timer(SYSTEM, 86_400);
    made.writer = by(Process::unknown(Timestamp::default()));
    let finding = judged(made, Serves::System).expect("a finding");
    assert_eq!(finding.grade, Grade::Probable);
    assert!(
        finding.message.starts_with("somebody unseen"),
        "{}",
        finding.message
    );
}

#[test]
fn rules_have_ids_of_their_own_and_say_what_they_must() {
    let mut ids: Vec<_> = catalogue::RULES.iter().map(|rule| rule.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), catalogue::RULES.len());
    for rule in catalogue::RULES {
        assert!(!rule.techniques.is_empty(), "{}", rule.id);
        for text in [rule.explanation, rule.severity, rule.check, rule.silence] {
            assert!(
                text.len() >= 3 && !text.contains("  "),
                "{}: {text}",
                rule.id
            );
        }
    }
}

/// `docs/FINDINGS.md` is made of the catalogue: `UPDATE_DOCS=1` writes it anew.
#[test]
fn the_documentation_lists_every_rule() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/FINDINGS.md");
    let wanted = catalogue::documentation();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &wanted).expect("docs/FINDINGS.md can be written");
    }
    let found = std::fs::read_to_string(path).expect("docs/FINDINGS.md can be read");
    assert!(found == wanted, "run this test with UPDATE_DOCS=1");
}

fn asked(means: Means, by: Process, ancestry: Vec<Process>, peer: Option<&str>) -> Asked {
    Asked {
        manager: Manager::System,
        target: Arc::new(process(1, "/usr/lib/systemd/systemd", 0)),
        author: Actor {
            process: Arc::new(by),
            ancestry: ancestry.into_iter().map(Arc::new).collect(),
        },
        login: Login {
            tty: None,
            peer: peer.map(|peer| peer.parse().expect("an address")),
        },
        means,
        socket: None,
        tier: Tier::Lsm,
    }
}

fn message(class: RequestClass, method: &str, unit: &str) -> Means {
    Means::Message(Box::new(Request {
        class,
        method: Some(method.to_owned()),
        units: vec![unit.to_owned()],
        ..Request::default()
    }))
}

fn asked_for(asked: &[Asked], expected: bool) -> Vec<Finding> {
    let mut detector = Detector::default();
    for (number, asked) in asked.iter().enumerate() {
        let uid = format!("r-{number}");
        detector.asked(&uid, Timestamp::default(), asked, expected, 0);
    }
    detector.due(LATER)
}

const HUP: u32 = 1;
const TERM: u32 = 15;
const PEER: &str = "192.0.2.7:50122";

#[test]
fn a_reload_by_signal() {
    let kill = || process(300, "/usr/bin/kill", 0);
    let by = |signal, process| asked(Means::Signal(signal), process, Vec::new(), None);
    let of = |asked: Asked, expected| {
        let found = asked_for(&[asked], expected).pop();
        found.map(|finding| (finding.rule.id, finding.severity))
    };
    let id = catalogue::MANAGER_RELOADED_BY_SIGNAL.id;
    assert_eq!(of(by(HUP, kill()), false), Some((id, Severity::Medium)));
    assert_eq!(of(by(TERM, kill()), false), Some((id, Severity::Medium)));
    let expected = of(by(HUP, kill()), true);
    assert_eq!(expected, Some((id, Severity::Informational)));
    let mut user = by(HUP, kill());
    user.manager = Manager::User(1000);
    assert_eq!(of(user, false), Some((id, Severity::Low)));
    // A user's manager ends by it.
    let mut user = by(TERM, kill());
    user.manager = Manager::User(1000);
    assert_eq!(of(user, false), None);
    // Other signals, managers that pass it on, and those who call the method.
    assert_eq!(of(by(10, kill()), false), None);
    let manager = process(900, "/usr/lib/systemd/systemd", 1000);
    assert_eq!(of(by(HUP, manager), false), None);
    let reload = message(RequestClass::Reload, "Reload", "");
    assert_eq!(of(asked(reload, kill(), Vec::new(), None), false), None);

    let findings = asked_for(&[by(HUP, kill()), by(HUP, kill())], false);
    let [finding] = &findings[..] else {
        panic!("the same is said once: {findings:?}");
    };
    let told = "kill(300) had PID 1 read its units anew by SIGHUP";
    assert_eq!(finding.message, told);
    assert_eq!(finding.cause[0].link, LinkKind::Reloaded);
    assert_eq!(finding.related[0].uid, "r-0");
}

#[test]
fn a_requester_over_ssh() {
    let systemctl = || process(412, "/usr/bin/systemctl", 0);
    let by = |means, peer| asked(means, systemctl(), Vec::new(), peer);
    let of = |asked: Asked, expected| {
        let found = asked_for(&[asked], expected).pop();
        found.map(|finding| (finding.rule.id, finding.severity))
    };
    let id = catalogue::REQUESTER_OVER_SSH.id;
    let start = |unit| message(RequestClass::Start, "StartUnit", unit);
    let enable = |unit| message(RequestClass::Enable, "EnableUnitFiles", unit);
    for (means, severity) in [
        (start("a.timer"), Severity::Medium),
        (enable("a.timer"), Severity::Medium),
        (enable("a.service"), Severity::Low),
        (start("a.service"), Severity::Informational),
    ] {
        let found = of(by(means.clone(), Some(PEER)), false);
        assert_eq!(found, Some((id, severity)), "{means:?}");
        assert_eq!(of(by(means, None), false), None, "nobody came from afar");
    }
    let expected = of(by(start("a.timer"), Some(PEER)), true);
    assert_eq!(expected, Some((id, Severity::Informational)));
    for (class, method) in [
        (RequestClass::Start, "RestartUnit"),
        (RequestClass::Stop, "StopUnit"),
        (RequestClass::Reload, "Reload"),
        (RequestClass::Undecoded, "x"),
    ] {
        let means = message(class, method, "a.timer");
        assert_eq!(of(by(means, Some(PEER)), false), None, "{method}");
    }
    // By `systemctl -H`.
    let bridge = process(80, "/usr/bin/systemd-stdio-bridge", 0);
    let remote = asked(start("a.service"), bridge, Vec::new(), Some(PEER));
    assert_eq!(of(remote, false), Some((id, Severity::Low)));
    // A user may be refused by PID 1, and may do anything with a manager of one's own.
    let user = || process(7, "/usr/bin/systemctl", 1000);
    let asks = asked(start("a.timer"), user(), Vec::new(), Some(PEER));
    assert_eq!(asked_for(&[asks], false)[0].grade, Grade::Probable);
    let mut own = asked(start("a.timer"), user(), Vec::new(), Some(PEER));
    own.manager = Manager::User(1000);
    assert_eq!(of(own, false), Some((id, Severity::Low)));
    // A scope starts nothing: flatpak has each of its programs in one.
    let scope = "app-flatpak-org.x.Y-7.scope";
    let scope = message(RequestClass::Create, "StartTransientUnit", scope);
    let flatpak = process(7, "/usr/bin/flatpak", 1000);
    let mut own = asked(scope, flatpak, Vec::new(), Some(PEER));
    assert_eq!(of(own.clone(), false), Some((id, Severity::Medium)));
    own.manager = Manager::User(1000);
    assert_eq!(of(own, false), Some((id, Severity::Informational)));

    // `enable --now` is one deed, and the worst of it counts.
    let both = [
        by(enable("a.timer"), Some(PEER)),
        by(start("a.timer"), Some(PEER)),
    ];
    let findings = asked_for(&both, false);
    let [finding] = &findings[..] else {
        panic!("{findings:?}");
    };
    let told = "systemctl(412) asked PID 1 for EnableUnitFiles a.timer, in a session over SSH from \
                192.0.2.7:50122";
    assert_eq!(finding.message, told);
    assert_eq!(finding.timer.as_deref(), Some("a.timer"));
    assert_eq!(finding.cause[0].link, LinkKind::Enabled);
}

#[test]
fn configuration_management_is_trusted_where_it_is_named() {
    const RUBY: &str = "/opt/puppetlabs/puppet/bin/ruby";
    const PARENT: &str = "/usr/lib/systemd/systemd";
    let told = |chain: &[&str], path: &str, day: i8| {
        let tool = ConfigurationManagement {
            program: RUBY.to_owned(),
            parent: PARENT.to_owned(),
            path: "/etc/systemd/system".to_owned(),
            owner: "platform".to_owned(),
            reason: "puppet runs here".to_owned(),
            expires: jiff::civil::date(2027, 1, day),
        };
        let mut processes = (30..).zip(chain).map(|(pid, exe)| process(pid, exe, 0));
        let mut change = timer(path, 60);
        change.writer = by(processes.next().expect("a writer"));
        change.writer.ancestry = processes.map(Arc::new).collect();
        let mut detector = Detector::default().trusting(vec![tool]);
        detector.changed(&seen(change, Serves::System), 0);
        let mut finding = detector.due(LATER).pop().expect("a finding");
        let now = Timestamp {
            boot: LATER,
            wall: 1_799_020_800_000_000_000, // 2027-01-04
        };
        detector.except(&mut finding, now);
        let by_whom = finding.traits.iter();
        let by_whom = by_whom.filter(|it| it.name == "configuration-management");
        assert_eq!(
            by_whom.count() == 1,
            finding.severity == Severity::Informational
        );
        finding.severity == Severity::Informational
    };
    let here = "/etc/systemd/system/a.timer";
    assert!(told(&[RUBY, PARENT], here, 4));
    assert!(told(&["/usr/bin/mv", "/bin/dash", RUBY, PARENT], here, 4));
    for (chain, path, day) in [
        (vec![RUBY, PARENT], here, 3),
        (vec![RUBY], here, 4),
        (vec![RUBY, "/bin/bash", PARENT], here, 4),
        (vec!["/usr/bin/ruby", PARENT], here, 4),
        (vec![RUBY, PARENT], "/etc/systemd/system-other/a.timer", 4),
        (vec![RUBY, PARENT], "/run/systemd/system/a.timer", 4),
    ] {
        assert!(!told(&chain, path, day), "{chain:?} {path} {day}");
    }
}
