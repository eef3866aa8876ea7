//! Unit names and cgroup paths, over cases from real hosts and generated ones.

use proptest::prelude::*;
use whodunit::event::Manager;
use whodunit::systemd::cgroup::{cg_escape, cg_unescape, unit_of_cgroup};
use whodunit::systemd::entry::classify_entry;
use whodunit::systemd::unit_name::{
    DropInScope, InvalidUnitName, UnitName, UnitType, unit_of_dependency_dir, unit_of_dropin_dir,
};

#[test]
fn valid_and_invalid_names() {
    for name in [
        "a.service",
        ".t.timer",
        "x@.timer",
        "x@a@b.timer",
        "run-p12-i34.scope",
        "dev-disk-by\\x2duuid.swap",
        "-.slice",
        "-.mount",
        "a:b_c.path",
    ] {
        assert!(UnitName::parse(name).is_ok(), "{name}");
    }
    for (name, why) in [
        ("", InvalidUnitName::Length),
        ("x", InvalidUnitName::Type),
        (".timer", InvalidUnitName::Type),
        ("x.timer.dpkg-new", InvalidUnitName::Type),
        ("x.timers", InvalidUnitName::Type),
        (".#x.timerABC", InvalidUnitName::Type),
        ("#x.timer", InvalidUnitName::Character),
        ("a b.timer", InvalidUnitName::Character),
        ("a/b.timer", InvalidUnitName::Character),
        ("ü.timer", InvalidUnitName::Character),
        ("@x.timer", InvalidUnitName::Prefix),
    ] {
        assert_eq!(UnitName::parse(name), Err(why), "{name}");
    }
    assert!(UnitName::parse(&format!("{}.timer", "x".repeat(249))).is_ok());
    assert!(UnitName::parse(&format!("{}.timer", "x".repeat(250))).is_err());
}

#[test]
fn templates_and_instances() {
    let unit = UnitName::parse("a-b@i@j.timer").expect("valid");
    assert_eq!(unit.kind(), UnitType::Timer);
    assert_eq!((unit.prefix(), unit.instance()), ("a-b", Some("i@j")));
    assert_eq!(unit.template().expect("template").as_str(), "a-b@.timer");
    let service = unit.with_kind(UnitType::Service).expect("service");
    assert_eq!(service.as_str(), "a-b@i@j.service");
    assert!(UnitName::parse("a@.timer").expect("valid").is_template());
}

#[test]
fn drop_ins_reach_units_by_name_prefix_and_type() {
    let unit = UnitName::parse("foo-bar-baz@i.service").expect("valid");
    assert_eq!(
        unit.drop_in_stems(),
        [
            "foo-bar-baz@i.service",
            "foo-bar-baz@.service",
            "foo-bar-.service",
            "foo-.service",
            "foo-bar-@i.service",
            "foo-bar-@.service",
            "foo-.service",
            "foo-@i.service",
            "foo-@.service",
            "service",
        ]
    );
    let covers =
        |directory: &str| unit_of_dropin_dir(directory).is_some_and(|scope| scope.covers(&unit));
    assert!(covers("service.d") && covers("foo-.service.d") && covers("foo-@.service.d"));
    assert!(!covers("timer.d") && !covers("fo-.service.d") && !covers("foo-bar.service.d"));
    assert!(matches!(
        unit_of_dropin_dir("foo-.service.d"),
        Some(DropInScope::Prefix(_))
    ));
    assert_eq!(unit_of_dropin_dir("conf.d"), None);
    let target = unit_of_dependency_dir("timers.target.wants").expect("valid");
    assert_eq!(target.as_str(), "timers.target");
    assert_eq!(unit_of_dependency_dir("x.wants"), None);
}

#[test]
fn cgroups_of_real_hosts() {
    let container = |path: &str| Manager::Container(path.to_owned());
    for (path, manager, unit, outer) in [
        ("/", Manager::System, "", ""),
        ("/init.scope", Manager::System, "init.scope", ""),
        ("/system.slice", Manager::System, "", ""),
        (
            "/system.slice/upd.service",
            Manager::System,
            "upd.service",
            "",
        ),
        (
            "/system.slice/_.x.service",
            Manager::System,
            ".x.service",
            "",
        ),
        (
            "/system.slice/__x.service",
            Manager::System,
            "_x.service",
            "",
        ),
        (
            "/a.slice/a-b.slice/x.service/.control",
            Manager::System,
            "x.service",
            "",
        ),
        // The leaf is the service's own invention.
        (
            "/system.slice/evil.service/system.slice/logrotate.service",
            Manager::System,
            "evil.service",
            "",
        ),
        (
            "/system.slice/system-getty.slice/getty@tty1.service",
            Manager::System,
            "getty@tty1.service",
            "",
        ),
        (
            "/user.slice/user-1000.slice/session-3.scope",
            Manager::System,
            "session-3.scope",
            "",
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service",
            Manager::System,
            "user@1000.service",
            "",
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/init.scope",
            Manager::User(1000),
            "init.scope",
            "user@1000.service",
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.slice/t.service/y",
            Manager::User(1000),
            "t.service",
            "user@1000.service",
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice",
            Manager::User(1000),
            "",
            "user@1000.service",
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/.control",
            Manager::System,
            "user@1000.service",
            "",
        ),
        (
            "/user.slice/user-0.slice/user@0.service/t.service",
            Manager::User(0),
            "t.service",
            "user@0.service",
        ),
        (
            "/user.slice/user@01.service/t.service",
            Manager::System,
            "user@01.service",
            "",
        ),
        (
            "/user.slice/user@x.service/t.service",
            Manager::System,
            "user@x.service",
            "",
        ),
        (
            "/capsule.slice/capsule@c.service/app.slice/t.service",
            Manager::Capsule("c".to_owned()),
            "t.service",
            "capsule@c.service",
        ),
        (
            "/system.slice/docker-ab12.scope",
            Manager::System,
            "docker-ab12.scope",
            "",
        ),
        (
            "/system.slice/docker-ab12.scope/init.scope",
            container("/system.slice/docker-ab12.scope"),
            "init.scope",
            "docker-ab12.scope",
        ),
        (
            "/system.slice/docker-ab12.scope/system.slice/cron.service",
            container("/system.slice/docker-ab12.scope"),
            "cron.service",
            "docker-ab12.scope",
        ),
        (
            "/machine.slice/machine-deb.scope/payload/system.slice/cron.service",
            container("/machine.slice/machine-deb.scope"),
            "cron.service",
            "machine-deb.scope",
        ),
        (
            "/machine.slice/systemd-nspawn@deb.service/payload/init.scope",
            container("/machine.slice/systemd-nspawn@deb.service"),
            "init.scope",
            "systemd-nspawn@deb.service",
        ),
        (
            "/machine.slice/machine-deb.scope/supervisor",
            Manager::System,
            "machine-deb.scope",
            "",
        ),
        (
            "/machine.slice/libpod-1.scope/container/system.slice/a.service",
            container("/machine.slice/libpod-1.scope"),
            "a.service",
            "libpod-1.scope",
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-1.scope/container/init.scope",
            container("user:1000/libpod-1.scope"),
            "init.scope",
            "user@1000.service",
        ),
        (
            "/kubepods.slice/kubepods-pod1.slice/cri-containerd-9.scope",
            Manager::System,
            "cri-containerd-9.scope",
            "",
        ),
        (
            "/lxc.payload.c1/system.slice/cron.service",
            container("/lxc.payload.c1"),
            "cron.service",
            "",
        ),
        (
            "/docker/ab12/init.scope",
            container("/docker/ab12"),
            "init.scope",
            "",
        ),
        ("/docker/ab12", Manager::System, "", ""),
        (
            "/../../system.slice/x.service",
            Manager::System,
            "x.service",
            "",
        ),
    ] {
        let found = unit_of_cgroup(path);
        assert_eq!(found.manager, manager, "{path}");
        assert_eq!(found.unit.as_deref().unwrap_or(""), unit, "{path}");
        assert_eq!(found.outer.as_deref().unwrap_or(""), outer, "{path}");
    }
    let found = unit_of_cgroup("/a.slice/a-b.slice/x.service/sub/leaf");
    assert_eq!(found.slice.as_deref(), Some("a-b.slice"));
    assert_eq!(found.below, "sub/leaf");
    let started = unit_of_cgroup("/user.slice/user-7.slice/user@7.service/init.scope");
    let started = started.for_child_of_pid1();
    assert_eq!(started.manager, Manager::System);
    assert_eq!(started.unit.as_deref(), Some("user@7.service"));
}

fn stem() -> impl Strategy<Value = String> {
    "[A-Za-z0-9:_.\\\\-]{1,40}(@[A-Za-z0-9:_.@\\\\-]{1,20})?"
}

proptest! {
    #[test]
    fn text_never_panics(text in "\\PC{0,300}", pieces in prop::collection::vec("[a-z@_.]{0,6}(\\.(slice|scope|service|d|wants))?", 0..12)) {
        let path = pieces.join("/");
        for text in [&text, &path] {
            let _ = UnitName::parse(text).map(|unit| (unit.drop_in_stems(), unit.template()));
            let _ = unit_of_dropin_dir(text);
            let _ = unit_of_dependency_dir(text);
            let _ = classify_entry(text);
            let _ = unit_of_cgroup(text).for_child_of_pid1();
        }
    }

    #[test]
    fn any_nesting_of_slices_finds_the_unit(
        slices in prop::collection::vec("[a-z_.][a-z0-9_]{0,6}(-[a-z0-9]{1,4}){0,3}", 0..8),
        stem in stem(),
        below in prop::collection::vec("[a-z.@_-]{1,12}(\\.service|\\.slice)?", 0..4),
    ) {
        let unit = format!("{stem}.service");
        prop_assume!(!stem.starts_with("user@") && !stem.starts_with("capsule@"));
        prop_assume!(!stem.starts_with("systemd-nspawn@"));
        let mut path = String::new();
        for slice in &slices {
            path.push('/');
            path.push_str(&cg_escape(&format!("{slice}.slice")));
        }
        path.push('/');
        path.push_str(&cg_escape(&unit));
        for part in &below {
            path.push('/');
            path.push_str(part);
        }
        let found = unit_of_cgroup(&path);
        prop_assert_eq!(found.unit.as_deref(), Some(unit.as_str()));
        prop_assert_eq!(found.manager, Manager::System);
    }

    #[test]
    fn a_user_manager_is_found_below_any_slices(uid in any::<u32>(), stem in stem()) {
        prop_assume!(!stem.contains("libpod"));
        let unit = format!("{stem}.service");
        let path = format!("/user.slice/user-{uid}.slice/user@{uid}.service/app.slice/{}", cg_escape(&unit));
        let found = unit_of_cgroup(&path);
        prop_assert_eq!(found.manager, Manager::User(uid));
        prop_assert_eq!(found.unit, Some(unit));
    }

    #[test]
    fn escaping_round_trips(name in "[A-Za-z0-9:_.@-]{1,60}") {
        let escaped = cg_escape(&name);
        prop_assert_eq!(cg_unescape(&escaped), name.as_str());
        prop_assert!(!escaped.starts_with('.') && !escaped.starts_with("cgroup."));
    }

    #[test]
    fn a_stem_in_the_list_is_a_valid_directory(stem in stem(), kind in 0..UnitType::ALL.len()) {
        let name = format!("{stem}.{}", UnitType::ALL[kind]);
        if let Ok(unit) = UnitName::parse(&name) {
            for stem in unit.drop_in_stems() {
                let scope = unit_of_dropin_dir(&format!("{stem}.d"));
                prop_assert!(scope.is_some_and(|scope| scope.covers(&unit)));
            }
        }
    }
}
