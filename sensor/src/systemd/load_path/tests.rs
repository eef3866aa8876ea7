use super::*;

fn paths(dirs: &[LoadDir]) -> Vec<&str> {
    dirs.iter().map(|dir| dir.path.as_str()).collect()
}

#[test]
fn user_load_path_is_in_the_documented_order() {
    let dirs = UserDirs::new(1000, "/home/u/", Some("/run/user/1000")).units();
    assert_eq!(
        paths(&dirs),
        [
            "/home/u/.config/systemd/user.control",
            "/run/user/1000/systemd/user.control",
            "/run/user/1000/systemd/transient",
            "/run/user/1000/systemd/generator.early",
            "/home/u/.config/systemd/user",
            "/home/u/.config/systemd/user.attached",
            "/etc/xdg/systemd/user",
            "/etc/systemd/user",
            "/run/user/1000/systemd/user",
            "/run/user/1000/systemd/user.attached",
            "/run/systemd/user",
            "/run/user/1000/systemd/generator",
            "/home/u/.local/share/systemd/user",
            "/usr/local/share/systemd/user",
            "/usr/share/systemd/user",
            "/usr/local/lib/systemd/user",
            "/usr/lib/systemd/user",
            "/run/user/1000/systemd/generator.late",
        ]
    );
    assert_eq!(dirs[0].serves.manager(), Some(Manager::User(1000)));
    assert_eq!(dirs[7].serves.manager(), None);
    assert!(dirs[7].serves.includes(&Manager::User(7)));
}

#[test]
fn a_manager_moves_its_directories_by_its_environment() {
    let dirs = UserDirs::new(1000, "/home/u", None)
        .with_environment(
            b"XDG_CONFIG_HOME=/c\0SECRET=x\0XDG_DATA_HOME=rel\0XDG_DATA_DIRS=/a:b:/c/\0\xff=1",
        )
        .units();
    let paths = paths(&dirs);
    assert!(paths.contains(&"/c/systemd/user"));
    assert!(paths.contains(&"/home/u/.local/share/systemd/user"));
    assert!(paths.contains(&"/a/systemd/user"));
    assert!(paths.iter().all(|path| path.starts_with('/')));
}

#[test]
fn capsules_have_a_home_of_their_own() {
    let dirs = UserDirs::capsule("box").units();
    assert!(paths(&dirs).contains(&"/var/lib/capsules/box/.config/systemd/user"));
    assert!(paths(&dirs).contains(&"/run/capsules/box/systemd/transient"));
    assert_eq!(
        crate::systemd::cgroup::unit_of_cgroup(
            "/capsule.slice/capsule@box.service/app.slice/x.service"
        )
        .manager,
        Manager::Capsule("box".to_owned())
    );
}

#[test]
fn what_generators_write_is_known_by_its_directory() {
    for path in [
        "/run/systemd/generator",
        "/run/systemd/generator.early/x.wants/y.service",
        "/run/user/1000/systemd/generator.late/x.service",
        "/run/capsules/box/systemd/generator/x.service",
    ] {
        assert!(is_generated(path), "{path}");
    }
    for path in [
        "/run/systemd/generators/x.service",
        "/run/systemd/transient/x.service",
        "/run/systemd/system/generator/x.service",
        "/run/user/systemd/generator/x.service",
        "/etc/systemd/generator/x.service",
    ] {
        assert!(!is_generated(path), "{path}");
    }
}
