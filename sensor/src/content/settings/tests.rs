use super::*;
use proptest::prelude::*;

fn unit(name: &str, text: &str) -> UnitSettings {
    parse(FileClass::UnitFile, name, text.as_bytes()).expect("a unit")
}

fn drop_in(name: &str, text: &str) -> UnitSettings {
    parse(FileClass::DropIn, name, text.as_bytes()).expect("a drop-in")
}

#[test]
fn a_service() {
    let found = unit(
        "upd.service",
        "[Unit]\nOnFailure=a.service\nWants=b.service c.service\n[Service]\nExecStart=/old\n\
         ExecStart=\nExecStart=-/bin/sh -c \"x; \\\n  y\" %n\nExecStartPre=+/bin/true\n\
         User=nobody\nEnvironmentFile=-/etc/default/upd\nExecPaths=/no\n\
         [Install]\nWantedBy=multi-user.target\nAlias=dbus-x.service\n",
    );
    assert_eq!(
        found,
        UnitSettings {
            kind: "service",
            runs: vec![
                "ExecStartPre=+/bin/true".to_owned(),
                "ExecStart=-/bin/sh -c \"x;    y\" upd.service".to_owned(),
            ],
            user: Some("nobody".to_owned()),
            environment_files: vec!["-/etc/default/upd".to_owned()],
            pulls_in: vec!["Wants=b.service c.service".to_owned()],
            on_end: vec!["OnFailure=a.service".to_owned()],
            installs: vec![
                "WantedBy=multi-user.target".to_owned(),
                "Alias=dbus-x.service".to_owned(),
            ],
            ..UnitSettings::default()
        }
    );
}

#[test]
fn timers() {
    let found = unit(
        "upd.timer",
        "[Timer]\nOnBootSec=5\nOnUnitActiveSec=1min\nOnCalendar=daily\nPersistent=yes\n",
    );
    assert_eq!(found.triggers.as_deref(), Some("upd.service"));
    assert_eq!(
        found.when,
        ["OnCalendar=daily", "OnBootSec=5", "OnUnitActiveSec=1min"]
    );
    assert_eq!((found.interval_seconds, found.persistent), (Some(60), true));
    let found = unit(
        "upd.timer",
        "[Timer]\nOnCalendar=*:*:0/0.5\nUnit=x.service\n",
    );
    assert_eq!(found.interval_seconds, Some(1));
    assert_eq!(found.triggers.as_deref(), Some("x.service"));
    let found = unit("upd@.timer", "[Timer]\nOnBootSec=5\nUnit=x-%i.service\n");
    assert_eq!(found.triggers.as_deref(), Some("x-%i.service"));
    assert_eq!(found.interval_seconds, None);
    let found = unit("upd@.timer", "");
    assert_eq!(found.triggers.as_deref(), Some("upd@.service"));
    let found = unit("upd@i.timer", "[Timer]\nUnit=x-%i.service\n");
    assert_eq!(found.triggers.as_deref(), Some("x-i.service"));
}

#[test]
fn what_else_triggers() {
    let found = unit("a.path", "[Path]\nPathExists=/run/x\n");
    assert_eq!(found.triggers.as_deref(), Some("a.service"));
    assert_eq!(found.when, ["PathExists=/run/x"]);
    let socket = "[Socket]\nListenStream=80\nExecStartPre=/x\nExecStopPre=/y\nUser=u\n";
    let found = unit("a.socket", socket);
    assert_eq!(found.triggers.as_deref(), Some("a.service"));
    assert_eq!(found.when, ["ListenStream=80"]);
    assert_eq!(found.runs, ["ExecStartPre=/x", "ExecStopPre=/y"]);
    assert_eq!(found.user.as_deref(), Some("u"));
    let found = unit("a.socket", &format!("{socket}Accept=yes\n"));
    assert_eq!(found.triggers.as_deref(), Some("a@.service"));
    let found = unit("a.socket", "[Socket]\nService=b.service\n");
    assert_eq!(found.triggers.as_deref(), Some("b.service"));
    let found = unit("mnt.automount", "[Automount]\nWhere=/mnt\n");
    assert_eq!(found.triggers.as_deref(), Some("mnt.mount"));
    let target = unit("a.target", "[Unit]\nWants=b.service\n");
    assert_eq!((target.triggers, target.pulls_in.len()), (None, 1));
}

#[test]
fn a_drop_in_says_what_it_sets_itself() {
    let found = drop_in("ssh.service", "[Service]\nExecStart=\nExecStart=/x %n\n");
    assert_eq!(found.runs, ["ExecStart=", "ExecStart=/x ssh.service"]);
    let found = drop_in("upd.timer", "[Timer]\nOnCalendar=\nOnCalendar=minutely\n");
    assert_eq!(found.when, ["OnCalendar=", "OnCalendar=minutely"]);
    assert_eq!((found.interval_seconds, found.triggers), (Some(60), None));
    for many in ["service", "ssh-.service", "ssh@.service"] {
        let found = drop_in(many, "[Service]\nExecStartPost=/x %n %i\n");
        assert_eq!(found.runs, ["ExecStartPost=/x %n %i"], "{many}");
    }
    assert_eq!(drop_in("timer", "[Timer]\nOnBootSec=1\n").when.len(), 1);
    assert!(!drop_in("a.timer", "").masked);
}

#[test]
fn masks_and_other_files() {
    assert!(unit("a.service", "").masked && !unit("a.service", "\n").masked);
    assert!(masked("a.timer").is_some_and(|it| it.masked && it.kind == "timer"));
    assert_eq!(parse(FileClass::Preset, "a.service", b"x"), None);
    assert_eq!(parse(FileClass::UnitFile, "nonsense", b"x"), None);
}

#[test]
fn much_is_cut_and_takes_no_long() {
    let line = format!("ExecStart=/bin/{}\n", "x".repeat(2000));
    let found = unit("a.service", &format!("[Service]\n{}", line.repeat(300)));
    let bytes: usize = found.runs.iter().map(String::len).sum();
    assert!(found.truncated && bytes <= BYTES_MAX && found.runs.len() == 16);
    assert!(found.runs[0].ends_with("x…") && found.runs[0].len() <= VALUE_MAX);

    let start = std::time::Instant::now();
    let line = "OnCalendar=*:*:0..58/2\n";
    let found = unit("a.timer", &format!("[Timer]\n{}", line.repeat(40_000)));
    assert_eq!((found.interval_seconds, found.truncated), (Some(2), true));
    assert_eq!(found.when.len(), LIST_MAX);
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400), name in "[a@.-]{0,4}(service|timer|socket|path)") {
        for class in [FileClass::UnitFile, FileClass::DropIn] {
            let _ = parse(class, &name, &bytes);
        }
    }
}
