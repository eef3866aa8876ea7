//! Unit files: the text format, timers and services.

use std::time::Duration;

use proptest::prelude::*;
use whodunit::systemd::calendar::smallest_interval;
use whodunit::systemd::service::Service;
use whodunit::systemd::span::parse_span;
use whodunit::systemd::timer::{Timer, TimerBase, TimerExpression};
use whodunit::systemd::unit_file::{FILE_MAX, ProblemKind, UnitFile};
use whodunit::systemd::unit_name::UnitName;
use whodunit::systemd::words::split_words;

fn parse(text: &str) -> UnitFile {
    let (file, problems) = UnitFile::parse(text.as_bytes());
    assert_eq!(problems, [], "{text}");
    file
}

fn problems(bytes: &[u8]) -> Vec<(usize, ProblemKind)> {
    let problems = UnitFile::parse(bytes).1;
    problems.into_iter().map(|it| (it.line, it.kind)).collect()
}

fn name(text: &str) -> UnitName {
    UnitName::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

#[test]
fn sections_comments_and_continuations() {
    let file = parse(
        "\u{feff}[Unit]\r\n# one\n  ; two\nDescription = a = b \n\n[Service]\n\
         ExecStart=/bin/sh \\\n# between\n  -c \\\n;and again\n 'x'\nExecStart=\nExecStart=/b\nX=a\\\\\nY=1",
    );
    assert_eq!(file.last("Unit", "Description"), Some("a = b"));
    let raw: Vec<_> = file.raw("Service", "ExecStart").collect();
    assert_eq!(raw, ["/bin/sh    -c   'x'", "", "/b"]);
    assert_eq!(file.values("Service", "ExecStart"), ["/b"]);
    assert_eq!(
        file.first("Service", "ExecStart"),
        Some("/bin/sh    -c   'x'")
    );
    assert_eq!(file.last("Service", "X"), Some("a\\\\"));
    assert_eq!(file.last("Service", "Y"), Some("1"));
    assert_eq!(file.last("Unit", "Y"), None);
}

#[test]
fn what_is_odd_is_told_and_read_on() {
    let (file, _) = UnitFile::parse(b"[A]\0k=1\0\n[B]\nk=\xff\n[C\nk=2");
    assert_eq!(file.last("A", "k"), Some("1"));
    assert_eq!(file.last("B", "k"), Some("2"));
    assert_eq!(
        problems(b"k=1\n[A]\nword\n=v\n[B\nx=\xff\ny=\\"),
        [
            (1, ProblemKind::NoSection),
            (3, ProblemKind::NoEquals),
            (4, ProblemKind::NoKey),
            (5, ProblemKind::BrokenSection),
            (6, ProblemKind::NotUtf8),
            (7, ProblemKind::OpenContinuation),
        ]
    );
    let mut long = b"[A]\nk=1\n#".to_vec();
    long.resize(FILE_MAX + 1, b'x');
    assert_eq!(problems(&long), [(0, ProblemKind::FileTooLong)]);
    assert!(ProblemKind::NotUtf8.is_fatal());
    let (_, problems) = UnitFile::parse(b"[A]\nx");
    assert_eq!(problems[0].to_string(), "line 2: no '=' in the line");
}

#[test]
fn the_unit_a_timer_triggers() {
    let timer = name("foo@i.timer");
    let unit = |parts: &[&str]| {
        let files: Vec<_> = parts.iter().map(|text| parse(text)).collect();
        let view = Timer::new(&timer, &UnitFile::merge(&files));
        (
            view.unit.expect("a unit").as_str().to_owned(),
            view.explicit,
        )
    };
    let given = |text: &str| (text.to_owned(), true);
    assert_eq!(unit(&["[Timer]"]), ("foo@i.service".to_owned(), false));
    assert_eq!(
        unit(&["[Timer]\nUnit=a.service\nUnit=b.service"]),
        given("a.service")
    );
    // A drop-in takes effect only where the file has none.
    assert_eq!(
        unit(&["[Timer]", "[Timer]\nUnit=evil.service"]),
        given("evil.service")
    );
    assert_eq!(
        unit(&[
            "[Timer]\nUnit=a.service",
            "[Timer]\nUnit=\nUnit=evil.service"
        ]),
        given("a.service")
    );
    assert_eq!(
        unit(&["[Timer]\nUnit=bad\nUnit=foo@i.timer\nUnit=%p-%i.service"]),
        given("foo-i.service")
    );
    assert_eq!(
        unit(&["[Unit]\nUnit=a.service"]),
        ("foo@i.service".to_owned(), false)
    );
}

#[test]
fn when_a_timer_elapses() {
    let view = |text: &str| Timer::new(&name("t.timer"), &parse(text));
    let timer = view(
        "[Timer]\nOnBootSec=5s\nOnUnitActiveSec=1h 30min\nOnUnitInactiveSec=infinity\n\
         OnCalendar=*:0/5\nOnCalendar=Mon *-*-1..7 00:00\nPersistent=yes\nOnClockChange=1",
    );
    assert_eq!(timer.expressions.len(), 5);
    assert_eq!(
        timer.expressions[0],
        TimerExpression::Monotonic(TimerBase::Boot, Duration::from_secs(5))
    );
    assert!(timer.persistent && timer.on_clock_change && !timer.on_timezone_change);
    assert_eq!(timer.smallest_monotonic(), Some(Duration::from_secs(5)));
    assert_eq!(timer.smallest_repeat(), Some(Duration::from_secs(5400)));
    assert_eq!(timer.smallest_calendar(), Some(Duration::from_secs(300)));
    assert_eq!(timer.interval(), Some(Duration::from_secs(300)));
    let cleared = view("[Timer]\nOnBootSec=5s\nOnUnitActiveSec=1\nOnCalendar=\nOnActiveSec=9");
    assert_eq!(cleared.expressions.len(), 1);
    assert_eq!(cleared.interval(), None);
    assert_eq!(cleared.accuracy, Duration::from_secs(60));
    assert_eq!(view("[Timer]\nOnActiveSec=soon").expressions, []);
}

#[test]
fn what_a_service_runs() {
    let file = parse(
        "[Service]\nUser=web\nExecStartPre=-/bin/true ; +!!/bin/a \\; b \";\"\n\
         ExecStart=@/usr/bin/python3 name -c \"print('x y')\" %i\nExecStart=:|sh /opt/x.sh\n\
         EnvironmentFile=-/etc/default/x\nEnvironmentFile=/run/y\nExecStopPost=-",
    );
    let service = Service::new(&name("x@i.service"), &file);
    let commands: Vec<_> = service
        .commands
        .iter()
        .map(|c| {
            (
                c.key,
                c.prefixes.as_str(),
                c.path.as_str(),
                c.argv.join("|"),
            )
        })
        .collect();
    assert_eq!(
        commands,
        [
            ("ExecStartPre", "-", "/bin/true", "/bin/true".to_owned()),
            ("ExecStartPre", "+!!", "/bin/a", "/bin/a|;|b|;".to_owned()),
            (
                "ExecStart",
                "@",
                "/usr/bin/python3",
                "name|-c|print('x y')|i".to_owned()
            ),
            ("ExecStart", ":|", "sh", "sh|/opt/x.sh".to_owned()),
        ]
    );
    assert_eq!(service.user.as_deref(), Some("web"));
    assert!(service.commands[0].ignores_failure() && service.commands[1].is_privileged());
}

#[test]
fn systemds_own_units_parse() {
    let mut count = 0;
    for directory in ["/usr/lib/systemd/system", "/usr/lib/systemd/user"] {
        let Ok(entries) = std::fs::read_dir(directory) else {
            println!("skipped: no {directory}");
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let file_name = entry.file_name().to_string_lossy().into_owned();
            if !path.is_file() || UnitName::parse(&file_name).is_err() {
                continue;
            }
            let bytes = std::fs::read(&path).expect("readable");
            let (file, problems) = UnitFile::parse(&bytes);
            assert_eq!(problems, [], "{}", path.display());
            let unit = name(&file_name);
            if file_name.ends_with(".timer") {
                let timer = Timer::new(&unit, &file);
                assert!(timer.interval().is_some() || timer.smallest_monotonic().is_some());
            } else if file_name.ends_with(".service") && !bytes.is_empty() {
                let service = Service::new(&unit, &file);
                for command in &service.commands {
                    let first = command.path.as_bytes()[0];
                    assert!(
                        first == b'/' || first.is_ascii_alphanumeric(),
                        "{file_name}"
                    );
                }
            }
            count += 1;
        }
    }
    println!("{count} units");
}

fn assignment() -> impl Strategy<Value = (String, String, String)> {
    (
        "[A-Za-z][A-Za-z0-9-]{0,12}",
        "[A-Za-z][A-Za-z0-9-]{0,12}",
        "([!-\\[\\]-~]([ -\\[\\]-~äλ☃]{0,30}[!-\\[\\]-~])?)?",
    )
}

proptest! {
    #[test]
    fn any_bytes_parse(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let (file, _) = UnitFile::parse(&bytes);
        let _ = Timer::new(&name("a@b.timer"), &file);
        let _ = Service::new(&name("a@b.service"), &file);
    }

    #[test]
    fn any_unit_like_text_parses(text in "(\\[(Timer|Service)\\]|[A-Z]{0,2}Exec(Start|Stop)=|Unit=|OnCalendar=|OnBootSec=|[ -~]{0,8}|\\\\|\n|\r|%.|['\"]){0,40}") {
        let (file, _) = UnitFile::parse(text.as_bytes());
        let _ = Timer::new(&name("a@b.timer"), &file);
        let _ = Service::new(&name("a@b.service"), &file);
        let _ = (parse_span(&text), smallest_interval(&text), split_words(&text));
    }

    #[test]
    fn what_is_printed_parses_to_the_same(parts in prop::collection::vec(assignment(), 0..20)) {
        let text: String = parts.iter().map(|(s, k, v)| format!("[{s}]\n{k}={v}\n")).collect();
        let file = parse(&text);
        let got: Vec<_> = file.assignments().iter()
            .map(|it| (it.section.clone(), it.key.clone(), it.value.clone())).collect();
        prop_assert_eq!(&got, &parts);
        let again = parse(&file.to_string());
        let again: Vec<_> = again.assignments().iter()
            .map(|it| (it.section.clone(), it.key.clone(), it.value.clone())).collect();
        prop_assert_eq!(again, got);
    }

    #[test]
    fn a_printed_parse_of_anything_is_stable(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (file, _) = UnitFile::parse(&bytes);
        let (once, _) = UnitFile::parse(file.to_string().as_bytes());
        let strip = |file: &UnitFile| -> Vec<_> { file.assignments().iter()
            .map(|it| (it.section.clone(), it.key.clone(), it.value.clone())).collect() };
        prop_assert_eq!(strip(&once), strip(&file));
    }
}
