//! What services rest on, by their settings.

use super::*;
use crate::systemd::unit_file::UnitFile;
use crate::systemd::unit_name::UnitName;

fn of(lines: &str) -> Vec<Target> {
    let text = format!("[Service]\n{lines}\n");
    let name = UnitName::parse("a.service").expect("a name");
    let (file, _) = UnitFile::parse(text.as_bytes());
    targets(&Service::new(&name, &file))
}

fn files(lines: &str) -> Vec<String> {
    let file = |target| match target {
        Target::File(path) => Some(path),
        _ => None,
    };
    of(lines).into_iter().filter_map(file).collect()
}

#[test]
fn what_is_run_sourced_and_read() {
    let cases: [(&str, &[&str]); 31] = [
        (
            "StandardInput=file:/var/x/a.txt\nExecStart=/bin/sh",
            &["/bin/sh", "/var/x/a.txt"],
        ),
        (
            "StandardInput=file:/var/x/a.txt\nExecStart=/bin/sort",
            &["/bin/sort"],
        ),
        (
            "Environment=A=/b \"BASH_ENV=/opt/e\"\nEnvironment='LD_PRELOAD=/opt/a.so /opt/b.so'\nExecStart=/bin/a",
            &["/bin/a", "/opt/a.so", "/opt/b.so", "/opt/e"],
        ),
        (
            "Environment=\"NODE_OPTIONS=--require=/opt/r.js\"\nExecStart=/bin/a",
            &["/bin/a", "/opt/r.js"],
        ),
        (
            "ExecStart=/usr/bin/env BASH_ENV=/tmp/e /bin/bash -c :",
            &["/bin/bash", "/tmp/e", "/usr/bin/env"],
        ),
        (
            "ExecStart=/bin/a --config=/opt/a.conf --state=/var/a",
            &["/bin/a", "/opt/a.conf"],
        ),
        (
            "LoadCredential=c:/opt/c d\nLoadCredentialEncrypted=e:/opt/e\nOpenFile=/opt/o:x:read-only\n\
             ExtensionImages=-/opt/i.raw:nosuid\nExecStart=/bin/a",
            &["/bin/a", "/opt/c", "/opt/e", "/opt/i.raw", "/opt/o"],
        ),
        (
            "BindReadOnlyPaths=-/opt/x:/usr/bin/mesg\nExecStart=/usr/bin/mesg",
            &["/opt/x", "/usr/bin/mesg"],
        ),
        (
            "BindPaths=/var/bin/:/usr/local /run/x\nExecStart=/usr/local/tool",
            &["/usr/local/tool", "/var/bin/tool"],
        ),
        ("ExecStart=/opt/a --log /var/log/a", &["/opt/a"]),
        (
            "ExecStart=/opt/a /etc/a.conf /var/lib/a/state",
            &["/etc/a.conf", "/opt/a"],
        ),
        ("ExecStart=/bin/sh /tmp/x.sh", &["/bin/sh", "/tmp/x.sh"]),
        ("ExecStart=/usr/bin/touch /run/x", &["/usr/bin/touch"]),
        (
            "WorkingDirectory=/opt/j\nExecStart=/bin/sh -x run.sh arg",
            &["/bin/sh", "/opt/j/run.sh"],
        ),
        ("ExecStart=/bin/sh run.sh", &["/bin/sh", "/run.sh"]),
        (
            "RootDirectory=/srv/root/\nEnvironmentFile=/etc/e\nExecStart=/run.sh /etc/f",
            &["/etc/e", "/srv/root/etc/f", "/srv/root/run.sh"],
        ),
        ("RootImage=/srv/i.raw\nExecStart=/a", &["/a", "/srv/i.raw"]),
        (
            "ExecStart=/bin/sh -c '. /opt/lib.sh; true'",
            &["/bin/sh", "/opt/lib.sh"],
        ),
        (
            "ExecStart=/bin/sh -ec \"[ ! -x /usr/sbin/x ] || /tmp/y --a=/var/b >/var/log/c\"",
            &["/bin/sh", "/tmp/y", "/usr/sbin/x"],
        ),
        (
            "ExecStart=/bin/bash -c 'for a in 1 2; do /run/z $a; done; cat /etc/q | sh /tmp/s'",
            &["/bin/bash", "/etc/q", "/run/z", "/tmp/s"],
        ),
        (
            "ExecStart=/usr/bin/env -i PATH=/usr/bin sh /opt/l/x.py",
            &["/opt/l/x.py", "/usr/bin/env"],
        ),
        (
            "ExecStart=/usr/bin/python3 -m http.server",
            &["/usr/bin/python3"],
        ),
        (
            "ExecStart=/usr/bin/python3 -c 'exec(open(\"/tmp/p.py\").read())'",
            &["/tmp/p.py", "/usr/bin/python3"],
        ),
        (
            "ExecStart=/usr/bin/python3.11 /tmp/x.py",
            &["/tmp/x.py", "/usr/bin/python3.11"],
        ),
        ("ExecStart=/usr/bin/env /run/x", &["/run/x", "/usr/bin/env"]),
        (
            "ExecStart=/bin/sh /var/tmp/x.sh",
            &["/bin/sh", "/var/tmp/x.sh"],
        ),
        (
            "ExecStart=/usr/bin/tool /etc/tool.conf /var/lib/tool/state",
            &["/etc/tool.conf", "/usr/bin/tool"],
        ),
        (
            "ExecStartPre=-/bin/true ; +!!/bin/a \\; b \";\"\nExecStart=@/usr/bin/python3 name -c \"print('x y')\" %i\n\
             ExecStart=:|sh /opt/x.sh\nEnvironmentFile=-/etc/default/x\nEnvironmentFile=/run/y\nExecStopPost=-",
            &[
                "/bin/a",
                "/bin/true",
                "/etc/default/x",
                "/opt/x.sh",
                "/run/y",
                "/usr/bin/python3",
            ],
        ),
        ("ExecStart=/bin/sh -c 'rm -f /var/tmp/*'", &["/bin/sh"]),
        ("ExecStart=/bin/sh -c true run.sh", &["/bin/sh"]),
        (
            "ExecStart=/usr/bin/nice /tmp/n",
            &["/tmp/n", "/usr/bin/nice"],
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(files(lines), expected, "{lines}");
    }
}

#[test]
fn a_name_is_looked_for() {
    let Some(Target::FirstOf(found)) = of("ExecStart=tool").pop() else {
        panic!("a search");
    };
    assert_eq!(
        found.first().map(String::as_str),
        Some("/usr/local/sbin/tool")
    );
    assert_eq!(found.len(), SEARCH_PATH.len());
    let lines = "ExecSearchPath=/opt/a:/opt/b\nExecStart=tool";
    let expected = vec!["/opt/a/tool".to_owned(), "/opt/b/tool".to_owned()];
    assert_eq!(of(lines), [Target::FirstOf(expected)]);
}

#[test]
fn parts_are_run() {
    let found = of("ExecStart=/bin/run-parts --report /opt/hooks");
    assert!(found.contains(&Target::Directory("/opt/hooks".to_owned())));
}

#[test]
fn what_is_searched_for_code() {
    let found = of(
        "Environment=PYTHONPATH=/opt/p/:/var/q PATH=/usr/local/bin:/usr/games:/srv/bin:/bin\nExecStart=/bin/a",
    );
    let directories: Vec<_> = found
        .into_iter()
        .filter(|target| matches!(target, Target::Directory(_)))
        .collect();
    let expected = ["/opt/p", "/srv/bin"].map(|path| Target::Directory(path.to_owned()));
    assert_eq!(directories, expected);
}
