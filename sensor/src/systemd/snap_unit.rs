//! Units as snapd writes them: services, timers and sockets that run nothing but `snap run` of a snap's
//! program, and mounts of a snap's image. Anything more or otherwise in the file, and it is none of these.
//!
//! See snapd's `wrappers/internal/service_{unit,timer,socket}_gen.go` and `systemd/systemd.go`
//! (`assembleMountUnitContent`).

use super::unit_file::UnitFile;

/// Where snapd puts the units of the system.
const PLACE: &str = "/etc/systemd/system/";
/// Where snaps are mounted: on most distributions, and on those that have no `/snap`.
const MOUNTED: [&str; 2] = ["/snap/", "/var/lib/snapd/snap/"];
/// Where their images lie.
const IMAGES: &str = "/var/lib/snapd/snaps/";

/// What snapd may set, but for what is looked at closer. Of the interfaces' own settings there are
/// `Delegate=` and what gpio-chardev waits for.
const HARMLESS: [(&str, &str); 37] = [
    ("Unit", "Description"),
    ("Unit", "Requires"),
    ("Unit", "Wants"),
    ("Unit", "After"),
    ("Unit", "Before"),
    ("Unit", "X-Snappy"),
    ("Service", "SyslogIdentifier"),
    ("Service", "Restart"),
    ("Service", "RestartSec"),
    ("Service", "SuccessExitStatus"),
    ("Service", "WorkingDirectory"),
    ("Service", "TimeoutStopSec"),
    ("Service", "TimeoutStartSec"),
    ("Service", "Type"),
    ("Service", "RemainAfterExit"),
    ("Service", "BusName"),
    ("Service", "WatchdogSec"),
    ("Service", "KillMode"),
    ("Service", "KillSignal"),
    ("Service", "OOMScoreAdjust"),
    ("Service", "Delegate"),
    ("Service", "Slice"),
    ("Timer", "OnCalendar"),
    ("Timer", "Unit"),
    ("Socket", "Service"),
    ("Socket", "FileDescriptorName"),
    ("Socket", "ListenStream"),
    ("Socket", "SocketMode"),
    ("Mount", "What"),
    ("Mount", "Where"),
    ("Mount", "Type"),
    ("Mount", "Options"),
    ("Mount", "LazyUnmount"),
    ("Install", "WantedBy"),
    ("Install", "X-SnapdOrigin"),
    ("Service", "EnvironmentFile"),
    ("Service", "Environment"),
];
/// Options of mounts that snapd gives.
const OPTIONS: [&str; 5] = ["nodev", "ro", "x-gdu.hide", "x-gvfs-hide", "allow_other"];

/// The snap that a unit belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapUnit {
    /// Its name, with the key of a parallel instance.
    pub snap: String,
    /// Its revision: a number, or `x` and a number where it was not from the store.
    pub revision: String,
}

/// The name of a unit file that lies where snapd puts its units, if it has the name of one.
#[must_use]
pub fn name_of(path: &str) -> Option<&str> {
    let name = path
        .strip_prefix(PLACE)
        .filter(|name| !name.contains('/'))?;
    (program_of(name).is_some() || name.ends_with(".mount")).then_some(name)
}

/// The snap by the name of its unit, or of a link to it, whatever that holds or held.
#[must_use]
pub fn named(path: &str) -> Option<String> {
    let name = path.strip_prefix(PLACE)?.rsplit('/').next()?;
    if let Some((snap, _)) = program_of(name) {
        return Some(snap.to_owned());
    }
    let mut places = MOUNTED.iter().map(|place| escaped(place));
    let rest =
        places.find_map(|place| name.strip_suffix(".mount")?.strip_prefix(place.as_str()))?;
    let (snap, revision) = rest.rsplit_once('-')?;
    let snap = snap.replace("\\x2d", "-");
    of(&snap, revision)
        .filter(|it| !it.snap.contains('/'))
        .map(|it| it.snap)
}

/// The snap and the program of `snap.NAME.APP.service` and its like.
fn program_of(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_prefix("snap.")?;
    let (rest, kind) = rest.rsplit_once('.')?;
    let (snap, program) = rest.split_once('.')?;
    let program = match kind {
        "service" | "timer" => program,
        "socket" => program.split_once('.')?.0,
        _ => return None,
    };
    let is_word = |word: &str| {
        let is = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !word.is_empty() && word.bytes().all(is)
    };
    (is_word(snap) && is_word(program)).then_some((snap, program))
}

/// What a unit file is to which snap; `None` if snapd would not write it so.
#[must_use]
pub fn parse(name: &str, text: &[u8]) -> Option<SnapUnit> {
    let (file, problems) = UnitFile::parse(text);
    let known = |it: &super::unit_file::Assignment| {
        HARMLESS.contains(&(it.section.as_str(), it.key.as_str())) || is_exec(&it.section, &it.key)
    };
    // Lines that go on are none of snapd's.
    let odd = !problems.is_empty() || text.windows(2).any(|pair| pair == b"\\\n");
    if odd || file.assignments().is_empty() || !file.assignments().iter().all(known) {
        return None;
    }
    match name.rsplit_once('.')?.1 {
        "mount" => mount(name, &file),
        "service" => service(name, &file),
        "timer" => timer(name, &file),
        "socket" => socket(name, &file),
        _ => None,
    }
}

fn is_exec(section: &str, key: &str) -> bool {
    section == "Service"
        && matches!(
            key,
            "ExecStart" | "ExecStop" | "ExecReload" | "ExecStopPost"
        )
}

/// Whether the file sets nothing of these sections.
fn is_without(file: &UnitFile, sections: &[&str]) -> bool {
    let mut set = file.assignments().iter();
    !set.any(|it| sections.contains(&it.section.as_str()))
}

/// The value of what is set once.
fn only<'a>(file: &'a UnitFile, section: &str, key: &str) -> Option<&'a str> {
    let mut values = file.raw(section, key);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

fn service(name: &str, file: &UnitFile) -> Option<SnapUnit> {
    let (snap, program) = program_of(name)?;
    let revision = only(file, "Service", "WorkingDirectory")?.strip_prefix("/var/snap/")?;
    let revision = revision.strip_prefix(snap)?.strip_prefix('/')?;
    let runs = |command: &str| is_launcher(command, snap, program);
    let commands = file.assignments().iter();
    let mut commands = commands.filter(|it| is_exec(&it.section, &it.key));
    let environment = |value: &str| {
        let namespace = value.strip_prefix("SNAPD_LOG_NAMESPACE=");
        namespace.is_some_and(|it| !it.contains([' ', '"', '\'', '\\']))
    };
    let fits = only(file, "Service", "ExecStart").is_some()
        && commands.all(|it| runs(&it.value))
        && file
            .raw("Service", "EnvironmentFile")
            .all(|it| it == "-/etc/environment")
        && file.raw("Service", "Environment").all(environment)
        && is_without(file, &["Timer", "Socket", "Mount"]);
    of(snap, revision).filter(|_| fits)
}

/// `/usr/bin/snap run [--command=…|--timer="…"] NAME[.APP]`
fn is_launcher(command: &str, snap: &str, program: &str) -> bool {
    let Some(rest) = command.strip_prefix("/usr/bin/snap run ") else {
        return false;
    };
    let (option, target) = rest.rsplit_once(' ').unwrap_or(("", rest));
    let timer = option
        .strip_prefix("--timer=\"")
        .and_then(|it| it.strip_suffix('"'));
    let fits = match option {
        "" | "--command=stop" | "--command=reload" | "--command=post-stop" => true,
        _ => timer.is_some_and(|it| !it.contains(['"', '\\', '$', '%'])),
    };
    // The program that is named like its snap is left out; a parallel instance has a key in its name.
    let plain = snap.split('_').next() == Some(program) && target == snap;
    let named = target.split_once('.') == Some((snap, program));
    fits && (plain || named)
}

fn timer(name: &str, file: &UnitFile) -> Option<SnapUnit> {
    let (snap, program) = program_of(name)?;
    let fits = only(file, "Timer", "Unit")? == format!("snap.{snap}.{program}.service")
        && is_without(file, &["Service", "Socket", "Mount"]);
    required(snap, file).filter(|_| fits)
}

fn socket(name: &str, file: &UnitFile) -> Option<SnapUnit> {
    let (snap, program) = program_of(name)?;
    let own = ["/var/snap/", "/run/user/0/snap."].map(|place| format!("{place}{snap}/"));
    let listens = |value: &str| {
        let within = own.iter().any(|place| value.starts_with(place)) && !value.contains("/../");
        within || !value.contains('/')
    };
    let fits = only(file, "Socket", "Service")? == format!("snap.{snap}.{program}.service")
        && file.raw("Socket", "ListenStream").all(listens)
        && is_without(file, &["Service", "Timer", "Mount"]);
    required(snap, file).filter(|_| fits)
}

/// The snap by the mount that its timer or socket requires.
fn required(snap: &str, file: &UnitFile) -> Option<SnapUnit> {
    let mount = only(file, "Unit", "Requires")?.strip_suffix(".mount")?;
    let mut places = MOUNTED
        .iter()
        .map(|place| escaped(&format!("{place}{snap}/")));
    let revision = places.find_map(|place| mount.strip_prefix(place.as_str()))?;
    of(snap, revision)
}

fn mount(name: &str, file: &UnitFile) -> Option<SnapUnit> {
    let point = only(file, "Mount", "Where")?;
    let mounted = MOUNTED.iter().find_map(|place| point.strip_prefix(place))?;
    let (snap, revision) = mounted.split_once('/')?;
    let image = only(file, "Mount", "What")?;
    let mut options = only(file, "Mount", "Options")?.split(',');
    let fits = image == format!("{IMAGES}{snap}_{revision}.snap")
        && name.strip_suffix(".mount") == Some(escaped(point).as_str())
        && matches!(
            only(file, "Mount", "Type")?,
            "squashfs" | "fuse.squashfuse" | "fuse.snapfuse"
        )
        && options.all(|it| OPTIONS.contains(&it) || it.starts_with("context="))
        && is_without(file, &["Service", "Timer", "Socket"]);
    of(snap, revision).filter(|_| fits)
}

fn of(snap: &str, revision: &str) -> Option<SnapUnit> {
    let number = revision.strip_prefix('x').unwrap_or(revision);
    let is = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is.then(|| SnapUnit {
        snap: snap.to_owned(),
        revision: revision.to_owned(),
    })
}

/// A path as unit names have it; those of snaps have no other bytes that are written otherwise.
fn escaped(path: &str) -> String {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.replace('-', "\\x2d").replace('/', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNT: &str = "[Unit]\nDescription=Mount unit for my-snap, revision 12\nAfter=snapd.mounts-pre.target\nBefore=snapd.mounts.target\n\n[Mount]\nWhat=/var/lib/snapd/snaps/my-snap_12.snap\nWhere=/snap/my-snap/12\nType=squashfs\nOptions=nodev,ro,x-gdu.hide,x-gvfs-hide\nLazyUnmount=yes\n\n[Install]\nWantedBy=snapd.mounts.target\nWantedBy=multi-user.target\n";
    const SERVICE: &str = "[Unit]\n# Auto-generated, DO NOT EDIT\nDescription=Service for snap application my-snap.svc\nRequires=snap-my\\x2dsnap-12.mount\nWants=network.target\nAfter=snap-my\\x2dsnap-12.mount network.target snapd.apparmor.service\nX-Snappy=yes\n\n[Service]\nEnvironmentFile=-/etc/environment\nExecStart=/usr/bin/snap run --timer=\"10:00-12:00,,mon\" my-snap.svc\nSyslogIdentifier=my-snap.svc\nRestart=on-failure\nWorkingDirectory=/var/snap/my-snap/12\nExecStop=/usr/bin/snap run --command=stop my-snap.svc\nTimeoutStopSec=30s\nType=simple\n";
    const TIMER: &str = "[Unit]\n# Auto-generated, DO NOT EDIT\nDescription=Timer svc for snap application my-snap.svc\nRequires=snap-my\\x2dsnap-12.mount\nAfter=snap-my\\x2dsnap-12.mount\nX-Snappy=yes\n\n[Timer]\nUnit=snap.my-snap.svc.service\nOnCalendar=*-*-* 10:00\n\n[Install]\nWantedBy=timers.target\n";
    const SOCKET: &str = "[Unit]\n# Auto-generated, DO NOT EDIT\nDescription=Socket one for snap application my-snap.svc\nRequires=snap-my\\x2dsnap-12.mount\nAfter=snap-my\\x2dsnap-12.mount\nX-Snappy=yes\n\n[Socket]\nService=snap.my-snap.svc.service\nFileDescriptorName=one\nListenStream=/var/snap/my-snap/common/one.sock\nSocketMode=0600\n\n[Install]\nWantedBy=sockets.target\n";

    const UNITS: [(&str, &str); 4] = [
        ("snap-my\\x2dsnap-12.mount", MOUNT),
        ("snap.my-snap.svc.service", SERVICE),
        ("snap.my-snap.svc.timer", TIMER),
        ("snap.my-snap.svc.one.socket", SOCKET),
    ];

    #[test]
    fn units_by_the_templates_of_snapd() {
        for (name, text) in UNITS {
            let unit = parse(name, text.as_bytes()).expect(name);
            assert_eq!(
                (unit.snap.as_str(), unit.revision.as_str()),
                ("my-snap", "12")
            );
            assert_eq!(name_of(&format!("{PLACE}{name}")), Some(name));
            let link = format!("{PLACE}multi-user.target.wants/{name}");
            assert_eq!(named(&link).as_deref(), Some("my-snap"));
            assert_eq!(name_of(&link), None);
            // Another's name, or another kind.
            for (other, _) in UNITS.iter().filter(|(other, _)| *other != name) {
                assert_eq!(parse(other, text.as_bytes()), None, "{other} for {name}");
            }
        }
        let local = MOUNT
            .replace("12", "x1")
            .replace("/snap/my", "/var/lib/snapd/snap/my");
        let unit = parse("var-lib-snapd-snap-my\\x2dsnap-x1.mount", local.as_bytes());
        assert_eq!(unit.expect("mounted elsewhere").revision, "x1");
        // A parallel instance, whose program is named like the snap.
        let text = SERVICE
            .replace("my-snap.svc", "lxd_one")
            .replace("my-snap", "lxd_one");
        assert!(parse("snap.lxd_one.lxd.service", text.as_bytes()).is_some());
        assert_eq!(parse("snap.lxd_one.other.service", text.as_bytes()), None);
    }

    /// As snapd 2.57.6 of Debian 12 wrote them for a snap from a file; of the timer's 1,440 times three.
    #[test]
    fn units_that_a_running_snapd_wrote() {
        macro_rules! recorded {
            ($name:literal) => {
                include_str!(concat!("../../tests/fixtures/snapd/", $name))
            };
        }
        for (name, text) in [
            (
                r"snap-hello\x2dtimer-x1.mount",
                recorded!("snap-hello_x2dtimer-x1.mount"),
            ),
            (
                "snap.hello-timer.serve.service",
                recorded!("snap.hello-timer.serve.service"),
            ),
            (
                "snap.hello-timer.tick.service",
                recorded!("snap.hello-timer.tick.service"),
            ),
            (
                "snap.hello-timer.tick.timer",
                recorded!("snap.hello-timer.tick.timer"),
            ),
        ] {
            let unit = parse(name, text.as_bytes()).expect(name);
            assert_eq!(
                (unit.snap.as_str(), unit.revision.as_str()),
                ("hello-timer", "x1")
            );
        }
    }

    #[test]
    fn anything_else_is_not_snapds() {
        let changed = |text: &str, from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        };
        let start = "ExecStart=/usr/bin/snap run --timer=\"10:00-12:00,,mon\" my-snap.svc";
        let service = [
            ("[Service]\n", "[Service]\nExecStartPre=/tmp/x\n"),
            ("[Service]\n", "[Service]\nUser=me\n"),
            (
                "[Service]\n",
                "[Service]\nEnvironment=LD_PRELOAD=/tmp/x.so\n",
            ),
            ("[Service]\n", "[Service]\nExecStart=\n"),
            ("-/etc/environment", "-/tmp/environment"),
            (
                "[Service]\n",
                "[Service]\nEnvironment=SNAPD_LOG_NAMESPACE=a LD_PRELOAD=/x\n",
            ),
            (start, "ExecStart=/tmp/snap run my-snap.svc"),
            (start, "ExecStart=/usr/bin/snap run other.svc"),
            (start, "ExecStart=/usr/bin/snap run --shell my-snap.svc"),
            (
                start,
                "ExecStart=/usr/bin/snap run --timer=\"x\" --shell my-snap.svc",
            ),
            (
                start,
                "ExecStart=/usr/bin/snap run --timer=\"x\" \"; /tmp/x \" my-snap.svc",
            ),
            (start, "ExecStart=-/usr/bin/snap run my-snap.svc"),
            (start, "ExecStart=/usr/bin/snap run \\\n my-snap.svc"),
            (start, ""),
            ("/var/snap/my-snap/12", "/tmp/my-snap/12"),
            ("/var/snap/my-snap/12", "/var/snap/my-snap/.."),
        ];
        for (from, to) in service {
            let text = changed(SERVICE, from, to);
            assert_eq!(
                parse("snap.my-snap.svc.service", text.as_bytes()),
                None,
                "{to}"
            );
        }
        for (from, to) in [
            (
                "/var/lib/snapd/snaps/my-snap_12.snap",
                "/tmp/my-snap_12.snap",
            ),
            (
                "/var/lib/snapd/snaps/my-snap_12.snap",
                "/var/lib/snapd/snaps/other_12.snap",
            ),
            ("Where=/snap/my-snap/12", "Where=/usr/lib/systemd"),
            ("Type=squashfs", "Type=none"),
            ("nodev,ro", "bind,suid"),
        ] {
            let text = changed(MOUNT, from, to);
            assert_eq!(
                parse("snap-my\\x2dsnap-12.mount", text.as_bytes()),
                None,
                "{to}"
            );
        }
        let text = changed(TIMER, "Unit=snap.my-snap", "Unit=snap.other");
        assert_eq!(parse("snap.my-snap.svc.timer", text.as_bytes()), None);
        let text = changed(SOCKET, "/var/snap/my-snap/common", "/run/dbus");
        assert_eq!(parse("snap.my-snap.svc.one.socket", text.as_bytes()), None);
        for path in [
            "/etc/systemd/system/x.service",
            "/etc/systemd/system/snap.x.service",
            "/etc/systemd/system/snap.a.b.service.d/snap.a.b.service",
            "/run/systemd/system/snap.a.b.service",
        ] {
            assert_eq!(name_of(path), None, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn texts_are_anybodys(which in 0_usize..4, at in 0_usize..400, with in ".{0,8}") {
            let (name, text) = UNITS[which];
            let at = at.min(text.len());
            let _ = parse(name, format!("{}{with}{}", &text[..at], &text[at..]).as_bytes());
        }
    }
}
