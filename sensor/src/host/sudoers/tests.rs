use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Sudoers {
    let mut sudoers = Sudoers::default();
    parse_into(text, Path::new("/etc/sudoers"), &mut sudoers);
    parse::resolve(&mut sudoers);
    sudoers
}

fn shown(sudoers: &Sudoers) -> Vec<String> {
    let mark = |negated: bool| if negated { "!" } else { "" };
    let list = |members: &[Member]| {
        let members = members
            .iter()
            .map(|it| format!("{}{}", mark(it.negated), it.text));
        members.collect::<Vec<_>>().join(",")
    };
    let mut lines = Vec::new();
    for grant in &sudoers.grants {
        for it in &grant.commands {
            lines.push(format!(
                "{} ({}) {}{}{} {:?}",
                list(&grant.who),
                list(&it.run_as),
                mark(it.negated),
                if it.no_password { "NOPASSWD " } else { "" },
                it.command,
                it.arguments.as_deref().unwrap_or("*"),
            ));
        }
    }
    lines
}

#[test]
fn what_debian_ships() {
    let sudoers = parsed(
        "# comment\nDefaults\tenv_reset\nDefaults\tsecure_path=\"/usr/local/sbin:/usr/bin\"\n\
         root\tALL=(ALL:ALL) ALL\n%sudo   ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n",
    );
    assert_eq!(sudoers.problems, [""; 0]);
    assert_eq!(
        shown(&sudoers),
        ["root (ALL) ALL \"*\"", "%sudo (ALL) ALL \"*\""]
    );
    assert!(sudoers.unauthenticated.is_empty());
}

#[test]
fn lists_tags_and_aliases() {
    let sudoers = parsed(
        "User_Alias OPS = alice, %ops : DEV = bob\n\
         Cmnd_Alias UNITS = /usr/bin/systemctl restart app*, !/usr/bin/systemctl edit *, \\\n\
         \t/usr/bin/systemd-run\n\
         Runas_Alias R = root, !daemon\n\
         OPS , carol web1,web2 = (R) NOPASSWD: SETENV: UNITS, PASSWD: /bin/ls \"\" : db = /bin/true\n\
         #1000, DEV ALL = NOEXEC: CWD=/tmp sha256:abcd= /opt/x a\\,b \\: c\n\
         dave ALL=(:adm) /bin/cat, (www) /bin/id # end\n",
    );
    assert_eq!(sudoers.problems, [""; 0]);
    let ops = "alice,%ops,carol (root,!daemon)";
    assert_eq!(
        shown(&sudoers),
        [
            format!("{ops} NOPASSWD /usr/bin/systemctl \"restart app*\""),
            format!("{ops} !NOPASSWD /usr/bin/systemctl \"edit *\""),
            format!("{ops} NOPASSWD /usr/bin/systemd-run \"*\""),
            format!("{ops} /bin/ls \"\""),
            "alice,%ops,carol () /bin/true \"*\"".to_owned(),
            "#1000,bob () /opt/x \"a,b : c\"".to_owned(),
            "dave ((the user)) /bin/cat \"*\"".to_owned(),
            "dave (www) /bin/id \"*\"".to_owned(),
        ]
    );
    let as_root: Vec<bool> = sudoers
        .grants
        .iter()
        .flat_map(|grant| &grant.commands)
        .map(Allowed::as_root)
        .collect();
    assert_eq!(as_root, [true, true, true, true, true, true, false, false]);
}

#[test]
fn passwords_can_be_switched_off() {
    let sudoers = parsed(
        "Defaults !authenticate\nDefaults:alice !authenticate, env_reset\n\
        Defaults@web !authenticate\nDefaults: %ops !authenticate\nDefaults authenticate\n",
    );
    assert_eq!(sudoers.unauthenticated, ["", "alice", "%ops"]);
}

#[test]
fn nonsense_is_named_and_ends() {
    for text in [
        "alice",
        "= =",
        "alice ALL",
        "alice ALL=",
        "User_Alias x",
        "A\\",
        "(((",
        "\"",
        "a b = (c",
    ] {
        let sudoers = parsed(text);
        assert!(sudoers.grants.len() <= 1, "{text}");
    }
    assert_eq!(
        parsed("alice ALL").problems,
        ["/etc/sudoers:1: not understood"]
    );
    // An alias of itself.
    let sudoers = parsed("User_Alias A = A, A\nA ALL=ALL\n");
    assert!(sudoers.grants[0].who.len() <= 4096);
}

#[test]
fn includes_are_followed() {
    let dir = tempfile::tempdir().expect("tempdir");
    let at = |path: &str| dir.path().join(path);
    std::fs::create_dir_all(at("etc/sudoers.d")).expect("mkdir");
    let write = |path: &str, text: &str| std::fs::write(at(path), text).expect("write");
    write(
        "etc/sudoers",
        "@include more\n#includedir /etc/sudoers.d\n@include sudoers\n",
    );
    write("etc/more", "a ALL=ALL\n");
    write("etc/sudoers.d/b", "b ALL=ALL\n");
    write("etc/sudoers.d/c.bak", "c ALL=ALL\n");
    write("etc/sudoers.d/d~", "d ALL=ALL\n");
    let sudoers = read(&Root::at(dir.path()));
    let who: Vec<_> = sudoers
        .grants
        .iter()
        .map(|it| it.who[0].text.as_str())
        .collect();
    assert_eq!(who[..2], ["a", "b"]);
    assert!(!who.contains(&"c") && !who.contains(&"d"));
    assert!(
        sudoers
            .problems
            .iter()
            .any(|it| it.contains("too many includes"))
    );
    assert!(sudoers.files.contains(&PathBuf::from("/etc/sudoers.d")));
    assert!(read(&Root::at(&at("none"))).files.is_empty());
}

proptest! {
    /// Text made of what the format is made of, in any order.
    #[test]
    fn any_text_is_read(words in prop::collection::vec(
        prop::sample::select(vec![
            "alice", "ALL", "=", "(", ")", ":", ",", "!", "NOPASSWD:", "User_Alias", "A", "Cmnd_Alias",
            "\\", "\"", "\n", " ", "#", "#1000", "/bin/x", "@include", "Defaults", "sha224:", "CWD=", "é",
        ]),
        0..60,
    )) {
        let sudoers = parsed(&words.concat());
        let lines = words.concat().lines().count();
        prop_assert!(sudoers.grants.len() <= lines && sudoers.problems.len() <= 2 * lines);
    }
}
