use super::*;

fn facts() -> (ClockAnchor, Users, Mounts) {
    (
        ClockAnchor::now().expect("clock"),
        Users::read().expect("users"),
        Mounts::read().expect("mounts"),
    )
}

#[test]
fn this_process_is_found_with_its_facts() {
    let (clock, users, mounts) = facts();
    let seed = seed(&clock, &users, &mounts).expect("seed");
    let own = std::process::id();
    let find = |tgid| seed.processes.iter().find(|p| p.key.tgid == tgid);
    let process = find(own).expect("this process");
    let exe = process.exe.as_ref().expect("an executable");
    let path = std::env::current_exe().expect("path");
    assert_eq!(exe.path, path.to_string_lossy());
    let identity = mounts.identify(&path).expect("identity");
    assert_eq!((exe.device, exe.inode), (identity.device, identity.inode));
    assert_eq!(process.argv[0], std::env::args().next().expect("argv"));
    assert_eq!(process.origin, Origin::Procfs);
    assert!(process.spawner.is_none() && process.executed.is_none());
    assert!(process.mount_ns != 0 && process.pid_ns != 0);
    assert!(process.cgroup.is_some() && process.cwd.is_some());
    assert!(process.started.boot <= clock.timestamp().boot);
    let reaper = seed.reapers.get(&own).expect("parent");
    assert_eq!(reaper.tgid, std::os::unix::process::parent_id());
    assert!(find(1).is_some());
    let one = read_one(own, &clock, &users, &mounts).expect("read");
    assert_eq!(one.expect("alive").key, process.key);
    assert!(
        read_one(4_194_303, &clock, &users, &mounts)
            .expect("read")
            .is_none()
    );
}

#[test]
fn an_unreadable_proc_is_one_error_with_its_path() {
    let (clock, users, mounts) = facts();
    let error = seed_at(Path::new("/no/proc"), &clock, &users, &mounts).expect_err("none");
    assert!(error.to_string().contains("/no/proc"), "{error}");
}

#[test]
fn a_fixture_with_odd_bytes() {
    let (clock, users, mounts) = facts();
    let root = tempfile::tempdir().expect("tempdir");
    for (pid, comm, flags) in [(2_u32, &b"kthreadd"[..], PF_KTHREAD), (7, b"a) \xff(b", 0)] {
        let dir = root.path().join(pid.to_string());
        fs::create_dir(&dir).expect("mkdir");
        let mut stat = format!("{pid} (").into_bytes();
        stat.extend_from_slice(comm);
        stat.extend_from_slice(
            format!(
                ") S 1 0 0 0 -1 {flags} 0 0 0 0 1 1 0 0 20 0 1 0 12345{}\n",
                " 0".repeat(30)
            )
            .as_bytes(),
        );
        fs::write(dir.join("stat"), stat).expect("write");
        let own = fs::read_to_string("/proc/self/status").expect("status");
        fs::write(dir.join("status"), own.replace("Name:\t", "Name:\tx")).expect("write");
        fs::write(dir.join("cmdline"), b"sh\0-c\0\0\xff\0").expect("write");
        fs::write(
            dir.join("cgroup"),
            "3:cpu:/a\n1:name=systemd:/b.slice/c:d.service\n0::/\n",
        )
        .expect("write");
        fs::write(dir.join("loginuid"), "4294967295").expect("write");
        fs::write(dir.join("sessionid"), "5\n").expect("write");
    }
    fs::create_dir(root.path().join("9")).expect("mkdir");
    let seed = seed_at(root.path(), &clock, &users, &mounts).expect("seed");
    assert_eq!(seed.processes.len(), 2);
    assert_eq!(seed.kernel_threads, [2]);
    let process = seed
        .processes
        .iter()
        .find(|p| p.key.tgid == 7)
        .expect("there");
    assert_eq!(process.comm, "a) \u{fffd}(b");
    assert_eq!(process.argv, ["sh", "-c", "", "\u{fffd}"]);
    assert_eq!(process.cgroup.as_deref(), Some("/b.slice/c:d.service"));
    assert_eq!((process.auid, process.session), (None, Some(5)));
    assert_eq!(process.key.start, 12_345 * tick_nanoseconds());
}

#[test]
fn start_times_match_within_a_tick() {
    let tick = tick_nanoseconds();
    let exact = 123 * tick + 4_567;
    let procfs = exact / tick * tick;
    assert!(start_matches(exact, procfs));
    assert!(!start_matches(exact + 3 * tick, procfs));
    assert!(!start_matches(exact - 3 * tick, procfs));
}

#[test]
fn unified_first_then_systemds_own() {
    assert_eq!(cgroup_path("0::/x:y\n").as_deref(), Some("/x:y"));
    assert_eq!(
        cgroup_path("1:name=systemd:/z\n0::/x (deleted)\n").as_deref(),
        Some("/x")
    );
    assert_eq!(cgroup_path("0::/\n").as_deref(), Some("/"));
    assert_eq!(cgroup_path(""), None);
}
