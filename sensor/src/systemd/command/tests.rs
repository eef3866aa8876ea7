//! Command lines, and what they are to do.

use proptest::prelude::*;

use super::*;
use crate::event::{Executable, ProcessKey, Timestamp};

fn argv(line: &str) -> Vec<String> {
    crate::systemd::words::split_words(line)
}

/// The intent of a command line, by the first word's name.
fn of(line: &str) -> Intent {
    let argv = argv(line);
    of_command(base(&argv[0]), &argv).unwrap_or_else(|| panic!("{line}"))
}

/// As one line: `verb units|when|user|runs|options|arguments @ place ! gap`, without what is not
/// there.
fn shown(intent: &Intent) -> String {
    let mut out = intent.verb.clone().unwrap_or_default();
    let lists = [
        ("units", &intent.units),
        ("when", &intent.when),
        ("runs", &intent.runs),
        ("options", &intent.options),
        ("arguments", &intent.arguments),
    ];
    for (name, list) in lists {
        if !list.is_empty() {
            out.push_str(&format!(" {name}={}", list.join(" ")));
        }
    }
    let single = [
        ("method", &intent.method),
        ("user", &intent.user),
        ("host", &intent.host),
        ("machine", &intent.machine),
        ("root", &intent.root),
        ("gap", &intent.gap),
    ];
    for (name, value) in single {
        if let Some(value) = value {
            out.push_str(&format!(" {name}={value}"));
        }
    }
    if intent.manager != "system" {
        out.push_str(&format!(" manager={}", intent.manager));
    }
    out
}

fn check(table: &[(&str, &str)]) {
    for (line, expected) in table {
        assert_eq!(shown(&of(line)), *expected, "{line}");
    }
}

#[test]
fn systemctl() {
    check(&[
        ("systemctl start upd.timer", "start units=upd.timer"),
        ("systemctl start upd", "start units=upd.service"),
        (
            "/usr/bin/systemctl --now enable a.timer b c@1.service",
            "enable units=a.timer b.service c@1.service options=now",
        ),
        ("systemctl stop 'upd*'", "stop units=upd*"),
        (
            "systemctl enable --us --runt upd.timer",
            "enable units=upd.timer options=runtime manager=user",
        ),
        (
            "systemctl --glob enable upd",
            "enable units=upd.service manager=global",
        ),
        (
            "systemctl --ro=/mnt enable upd",
            "enable units=upd.service root=/mnt",
        ),
        (
            "systemctl --root / enable upd",
            "enable units=upd.service root=/",
        ),
        (
            "systemctl -H root@web start upd",
            "start units=upd.service host=root@web",
        ),
        (
            "systemctl -Hweb start upd",
            "start units=upd.service host=web",
        ),
        (
            "systemctl --user -M alice@.host start upd",
            "start units=upd.service machine=alice@.host manager=user",
        ),
        (
            "systemctl -C c start upd",
            "start units=upd.service manager=capsule:c",
        ),
        (
            "systemctl -qfH web mask upd",
            "mask units=upd.service options=force host=web",
        ),
        (
            "systemctl link /dev/shm/x.timer",
            "link units=/dev/shm/x.timer",
        ),
        ("systemctl isolate rescue", "isolate units=rescue.target"),
        (
            "systemctl add-wants multi-user upd",
            "add-wants units=upd.service arguments=target=multi-user.target",
        ),
        (
            "systemctl set-property --runtime upd CPUQuota=5%",
            "set-property units=upd.service options=runtime arguments=CPUQuota=5%",
        ),
        (
            "systemctl set-environment LD_PRELOAD=/x.so TOKEN=hunter2",
            "set-environment arguments=LD_PRELOAD=/x.so TOKEN",
        ),
        (
            "systemctl kill -s KILL upd",
            "kill units=upd.service options=signal=KILL",
        ),
        ("systemctl daemon-reload", "daemon-reload"),
        (
            "systemctl edit --drop-in=x upd",
            "edit units=upd.service options=drop-in=x",
        ),
        ("systemctl", "list-units"),
        (
            "systemctl -p Id --property=X show upd",
            "show units=upd.service",
        ),
        ("systemctl -P Id show upd", "show units=upd.service"),
        ("systemctl --prop Id show upd", "show units=upd.service"),
        ("systemctl --version", "version"),
        ("systemctl start -- -x.service", "start units=-x.service"),
        (
            "systemctl --f start a",
            "start units=a.service gap=the option --f is ambiguous",
        ),
        (
            "systemctl --nope start a",
            "start units=a.service gap=the option --nope is not known",
        ),
        (
            "systemctl start a -H",
            "start units=a.service gap=the option -H lacks its value",
        ),
    ]);
    // Called by another name.
    let words = argv("/sbin/reboot -f");
    let intent = of_command("systemctl", &words).expect("a tool");
    assert_eq!(shown(&intent), "reboot arguments=-f");
    let words = argv("innocent enable upd");
    let intent = of_command("systemctl", &words).expect("a tool");
    assert_eq!(shown(&intent), "enable units=upd.service");
}

#[test]
fn systemd_run() {
    check(&[
        (
            "systemd-run --on-active=5s --unit=upd /bin/sh -c 'id; exit'",
            "timer units=upd.timer upd.service when=OnActiveSec=5s runs=/bin/sh -c id; exit",
        ),
        (
            "systemd-run --user --on-cal '*:0/1' -u upd.timer sh --user",
            "timer units=upd.timer upd.service when=OnCalendar=*:0/1 runs=sh --user manager=user",
        ),
        (
            "systemd-run --timer-property=AccuracySec=1s --timer-property OnBootSec=3 true",
            "timer when=OnBootSec=3 runs=true options=AccuracySec=1s",
        ),
        (
            "systemd-run --on-clock-change --uid nobody true",
            "timer when=OnClockChange=yes runs=true user=nobody",
        ),
        (
            "systemd-run --scope -u x sleep 5",
            "scope units=x.scope runs=sleep 5",
        ),
        (
            "systemd-run -p User=a -E TOKEN=hunter2 -E PATH=/x -t bash",
            "service runs=bash options=property=User=a pty setenv=TOKEN setenv=PATH=/x",
        ),
        (
            "systemd-run -M c --wait true",
            "service runs=true machine=c",
        ),
        ("systemd-run -Hweb true", "service runs=true host=web"),
        (
            "systemd-run --path-property=PathExists=/x -u w true",
            "path units=w.path w.service runs=true options=path-property=PathExists=/x",
        ),
        (
            "systemd-run --on-calendar=daily --unit upd.service",
            "timer units=upd.timer upd.service when=OnCalendar=daily",
        ),
        ("systemd-run --help", "help"),
        ("run0 -u alice id -u", "service runs=id -u user=alice"),
        ("run0", "service user=root"),
    ]);
    let words = argv("/usr/bin/run0 id");
    let intent = of_command("systemd-run", &words).expect("a tool");
    assert_eq!((intent.tool, intent.runs), ("run0", vec!["id".to_owned()]));
}

#[test]
fn messages() {
    let start = "org.freedesktop.systemd1.Manager.StartUnit";
    let shown_start = |verb: &str, manager: &str| {
        format!(
            "{verb} units=upd.timer options=destination=org.freedesktop.systemd1 \
             arguments=/org/freedesktop/systemd1 upd.timer replace method={start}{manager}"
        )
    };
    let line = "dbus-send --system --print-reply --dest=org.freedesktop.systemd1 \
                /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager.StartUnit \
                string:upd.timer string:replace";
    assert_eq!(shown(&of(line)), shown_start("call", ""));
    let line = line.replace("--system --print-reply ", "");
    assert_eq!(shown(&of(&line)), shown_start("signal", " manager=user"));
    let line = "gdbus call -y -d org.freedesktop.systemd1 -o /org/freedesktop/systemd1 \
                --method org.freedesktop.systemd1.Manager.StartUnit \"'upd.timer'\" replace";
    assert_eq!(shown(&of(line)), shown_start("call", ""));
    check(&[
        (
            "busctl --user call org.freedesktop.systemd1 /org/freedesktop/systemd1 \
             org.freedesktop.systemd1.Manager StartUnit ss upd.timer replace",
            "call units=upd.timer options=destination=org.freedesktop.systemd1 \
             arguments=/org/freedesktop/systemd1 ss upd.timer replace \
             method=org.freedesktop.systemd1.Manager.StartUnit manager=user",
        ),
        (
            "busctl call :1.3 /org/freedesktop/systemd1/unit/a_2eservice \
             org.freedesktop.systemd1.Unit Start s -x",
            "call units=a.service options=destination=:1.3 \
             arguments=/org/freedesktop/systemd1/unit/a_2eservice s -x \
             method=org.freedesktop.systemd1.Unit.Start",
        ),
        ("busctl", "list"),
        (
            r#"varlinkctl call /run/systemd/io.systemd.Manager io.systemd.Unit.StartTransient '{"context":{"ID":"a.service","Service":{"ExecStart":[{"path":"/bin/sh","arguments":["sh","-c"]}]}}}'"#,
            "call units=a.service runs=sh -c arguments=/run/systemd/io.systemd.Manager \
             method=io.systemd.Unit.StartTransient",
        ),
        (
            "varlinkctl call x y.Z {",
            "call arguments=x method=y.Z gap=the parameters are no JSON",
        ),
    ]);
}

#[test]
fn other_tools() {
    check(&[
        ("at now + 1 minute", "schedule when=now + 1 minute"),
        (
            "at -f /x -q b 10:00",
            "schedule when=10:00 options=file=/x queue=b",
        ),
        ("at -t 202601010000", "schedule when=202601010000"),
        ("at -l", "list"),
        ("at -r 3", "remove arguments=3"),
        ("/bin/sh /usr/bin/batch", "schedule when=batch"),
        ("crontab -u alice /x", "install arguments=/x user=alice"),
        ("crontab -l", "list"),
        ("crontab -", "install arguments=-"),
        ("loginctl enable-linger alice", "enable-linger user=alice"),
        ("loginctl enable-linger", "enable-linger"),
        (
            "machinectl -q shell alice@c /bin/sh -c 'id -u'",
            "shell runs=/bin/sh -c id -u user=alice machine=c",
        ),
        ("machinectl shell", "shell"),
        ("machinectl --uid=a shell c", "shell user=a machine=c"),
        (
            "portablectl attach --now x.raw",
            "attach options=now arguments=x.raw",
        ),
        (
            "/usr/bin/perl /usr/bin/deb-systemd-helper enable upd.timer",
            "enable units=upd.timer",
        ),
        (
            "perl5.36 -w /usr/bin/deb-systemd-invoke --user start upd",
            "start units=upd.service manager=user",
        ),
        (
            "sh -e /usr/sbin/invoke-rc.d --quiet upd restart",
            "restart units=upd.service",
        ),
        (
            "/bin/sh /usr/sbin/service upd start",
            "start units=upd.service",
        ),
    ]);
}

#[test]
fn other_programs_have_none() {
    for line in [
        "sh -c 'systemctl start x'",
        "sh -c deb-systemd-helper",
        "perl -e service x start",
        "sh",
        "true",
        "systemctl2 start x",
        "env systemctl start x",
        "",
    ] {
        let words = argv(line);
        let name = words.first().map_or("", |word| base(word));
        assert_eq!(of_command(name, &words), None, "{line}");
    }
}

#[test]
fn of_a_process() {
    let mut process = Process::of_key(ProcessKey::default(), None, Timestamp::default());
    process.argv = argv("x start upd");
    assert_eq!(intent(&process), None, "nobody knows what it runs");
    process.exe = Some(Executable {
        path: "/usr/bin/systemctl".to_owned(),
        ..Executable::default()
    });
    process.argv_truncated = true;
    let found = intent(&process).expect("a tool");
    assert_eq!(
        shown(&found),
        "start units=upd.service gap=the command line is cut"
    );
}

proptest! {
    #[test]
    fn any_words(
        tool in prop::sample::select(vec![
            "systemctl", "systemd-run", "run0", "busctl", "dbus-send", "gdbus", "varlinkctl",
            "at", "crontab", "loginctl", "machinectl", "portablectl", "deb-systemd-helper",
            "deb-systemd-invoke", "invoke-rc.d", "service", "sh", "perl5",
        ]),
        words in prop::collection::vec("(--?[a-z=-]{0,8}|.{0,12}|\\PC{0,6})", 0..12),
    ) {
        let found = of_command(tool, &words);
        if let Some(found) = found {
            prop_assert!(found.units.len() <= ITEMS_MAX + 2);
        }
    }
}
