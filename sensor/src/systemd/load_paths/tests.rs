use super::*;

fn paths() -> LoadPaths {
    let mut paths = LoadPaths::builtin();
    paths.add_user(UserDirs::new(1000, "/home/u", Some("/run/user/1000")));
    paths
}

#[test]
fn the_longest_directory_decides() {
    let paths = paths();
    let user = Some(Manager::User(1000));
    let system = Some(Manager::System);
    for (path, area, class, unit, manager) in [
        (
            "/etc/systemd/system/x.timer",
            Area::SystemUnits,
            FileClass::UnitFile,
            "x.timer",
            &system,
        ),
        (
            "//etc/./systemd/system/x.timer",
            Area::SystemUnits,
            FileClass::UnitFile,
            "x.timer",
            &system,
        ),
        (
            "/lib/systemd/system/x.timer",
            Area::SystemUnits,
            FileClass::UnitFile,
            "x.timer",
            &system,
        ),
        (
            "/lib/systemd/user/x.timer",
            Area::UserUnits,
            FileClass::UnitFile,
            "x.timer",
            &None,
        ),
        (
            "/etc/systemd/system/service.d/a.conf",
            Area::SystemUnits,
            FileClass::DropIn,
            "service",
            &system,
        ),
        (
            "/etc/systemd/system",
            Area::SystemUnits,
            FileClass::Directory,
            "",
            &system,
        ),
        (
            "/etc/systemd/system.conf",
            Area::ManagerConfig,
            FileClass::ManagerConfig,
            "",
            &system,
        ),
        (
            "/run/systemd/system.conf",
            Area::ManagerConfig,
            FileClass::ManagerConfig,
            "",
            &system,
        ),
        (
            "/etc/systemd/system.conf.d/a.conf",
            Area::ManagerConfig,
            FileClass::ManagerConfig,
            "",
            &system,
        ),
        (
            "/etc/systemd/journald.conf",
            Area::ManagerConfig,
            FileClass::Other,
            "",
            &None,
        ),
        (
            "/etc/init.d/backup.sh",
            Area::GeneratorSources,
            FileClass::GeneratorSource,
            "backup.service",
            &system,
        ),
        (
            "/etc/init.d/backup.dpkg-new",
            Area::GeneratorSources,
            FileClass::Other,
            "",
            &system,
        ),
        (
            "/etc/rc3.d/S01backup",
            Area::GeneratorSources,
            FileClass::GeneratorSource,
            "backup.service",
            &system,
        ),
        (
            "/etc/rc.local",
            Area::GeneratorSources,
            FileClass::GeneratorSource,
            "rc-local.service",
            &system,
        ),
        (
            "/etc/fstab",
            Area::GeneratorSources,
            FileClass::GeneratorSource,
            "",
            &system,
        ),
        (
            "/run/systemd/system-generators/g",
            Area::Generators,
            FileClass::Generator,
            "",
            &system,
        ),
        (
            "/etc/systemd/user-environment-generators/g~",
            Area::EnvironmentGenerators,
            FileClass::Generator,
            "",
            &None,
        ),
        (
            "/etc/systemd/system-preset/0.preset",
            Area::Presets,
            FileClass::Preset,
            "",
            &system,
        ),
        (
            "/home/u/.config/systemd/user/x.timer",
            Area::UserUnits,
            FileClass::UnitFile,
            "x.timer",
            &user,
        ),
        (
            "/home/u/.config/systemd",
            Area::ManagerConfig,
            FileClass::Directory,
            "",
            &user,
        ),
        (
            "/home/u/.config",
            Area::UserUnits,
            FileClass::Directory,
            "",
            &user,
        ),
        (
            "/home/u/.config/environment.d/a.conf",
            Area::Environment,
            FileClass::ManagerConfig,
            "",
            &user,
        ),
        (
            "/run/user/1000/systemd/transient/r.timer",
            Area::UserUnits,
            FileClass::UnitFile,
            "r.timer",
            &user,
        ),
        (
            "/var/lib/systemd/linger/u",
            Area::Linger,
            FileClass::Linger,
            "",
            &system,
        ),
        (
            "/var/lib/systemd/timers/stamp-x.timer",
            Area::TimerStamps,
            FileClass::TimerStamp,
            "x.timer",
            &system,
        ),
    ] {
        let found = paths.classify(path).unwrap_or_else(|| panic!("{path}"));
        assert_eq!((found.area, found.class), (area, class), "{path}");
        assert_eq!(found.unit.as_deref().unwrap_or(""), unit, "{path}");
        assert_eq!(&found.manager(), manager, "{path}");
    }
}

#[test]
fn what_is_elsewhere_is_nothing_to_systemd() {
    let paths = paths();
    for path in [
        "/run/systemd/units/invocation:x.service",
        "/run/systemd/system.conf/x",
        "/tmp/x.timer",
        "/home/u/x",
        "etc/systemd/system/x.timer",
        "/etc/systemd/system/../../passwd",
        "",
    ] {
        assert_eq!(paths.classify(path), None, "{path}");
    }
    let root = paths.classify("/").map(|found| found.class);
    assert_eq!(root, Some(FileClass::Directory));
}

#[test]
fn directories_can_be_added_at_run_time() {
    let mut paths = paths();
    let stated = vec!["/opt/units".to_owned(), "/etc/systemd/system".to_owned()];
    paths.set_unit_path(&Manager::System, &stated);
    assert_eq!(paths.unit_dirs(&Manager::System), stated);
    let found = paths.classify("/opt/units/x.timer").expect("classified");
    assert_eq!(found.unit.as_deref(), Some("x.timer"));
    paths.add_alias("/srv/real/", "/opt/units");
    assert!(paths.classify("/srv/real/y.timer").is_some());
    assert!(!paths.add(LoadDir::new(
        "/opt/units/",
        Area::SystemUnits,
        Serves::System
    )));
}
