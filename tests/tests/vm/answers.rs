//! systemd's own answers about generated names, units and drop-ins, against the agent's.
//!
//! The inputs come from a fixed seed and go into the machine as files; one run of each of systemd's
//! tools answers all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use whodunit::event::Manager;
use whodunit::systemd::installed::Installed;
use whodunit::systemd::load_paths::LoadPaths;
use whodunit::systemd::service::Service;
use whodunit::systemd::unit_name::UnitName;
use whodunit::systemd::words::{expand, unescape_name};

/// The directories of the load path that units are generated for, as in the machine.
const DIRS: [(&str, &str); 3] = [
    ("etc", "/etc/systemd/system"),
    ("run", "/run/systemd/system"),
    ("usr", "/usr/lib/systemd/system"),
];
const NAMES: usize = 600;
const ESCAPES: usize = 200;
const UNITS: usize = 120;

/// Numbers that look random and are the same in each run (xorshift64).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    pub(super) fn of<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// Up to `most` pieces, one after the other.
    fn text(&mut self, from: &[&str], most: usize) -> String {
        let count = self.below(most + 1);
        (0..count).map(|_| self.of(from)).collect()
    }
}

/// Writes what the machine is asked about to `dir`.
pub(super) fn generate(dir: &Path) {
    let dice = &mut Dice(0x7768_6f64_756e_6974);
    fs::create_dir_all(dir).unwrap();
    let list = |name: &str, lines: BTreeSet<String>| {
        let lines: Vec<String> = lines.into_iter().collect();
        fs::write(dir.join(name), lines.join("\n") + "\n").unwrap();
    };
    list("names", (0..NAMES).map(|_| name(dice)).collect());
    list("escapes", (0..ESCAPES).map(|_| escaped(dice)).collect());
    let units = (0..UNITS).map(|_| unit(dice, &dir.join("tree"))).collect();
    list("units", units);
}

/// A file name, which may be a unit's.
fn name(dice: &mut Dice) -> String {
    const PARTS: [&str; 24] = [
        "a", "b", "Z", "0", "-", "_", ".", ":", "@", "\\", "\\x2d", "#", " ", "ü", "~", "+", "%",
        "*", "[", "'", "\"", "=", "!", "@@",
    ];
    const TYPES: [&str; 16] = [
        ".service",
        ".timer",
        ".socket",
        ".mount",
        ".automount",
        ".swap",
        ".target",
        ".path",
        ".slice",
        ".scope",
        ".device",
        ".snapshot",
        ".timers",
        ".Service",
        "",
        ".conf",
    ];
    // Most are made of what is allowed, for else hardly one is valid.
    let most = if dice.below(2) == 0 { 11 } else { PARTS.len() };
    let stem = match dice.below(40) {
        // With the longest type as long as a file name can be.
        0 => "x".repeat(232 + dice.below(14)),
        _ => dice.text(&PARTS[..most], 6),
    };
    let types = if dice.below(3) > 0 {
        &TYPES[..11]
    } else {
        &TYPES[..]
    };
    let name = stem + dice.of(types);
    // What begins with a dot is not listed, whether it is valid or not.
    if name.is_empty() || name.starts_with('.') {
        return format!("a{name}");
    }
    name
}

/// A name in systemd's escaping, without what would be a blank.
fn escaped(dice: &mut Dice) -> String {
    let parts = [
        "a", "b", ".", "-", "_", ":", "\\x2d", "\\x5c", "\\x40", "\\x2f", "0",
    ];
    format!("e{}", dice.text(&parts, 8))
}

/// Makes a unit in one or more of the directories, and returns a name to ask for.
fn unit(dice: &mut Dice, tree: &Path) -> String {
    for (dir, _) in DIRS {
        fs::create_dir_all(tree.join(dir)).unwrap();
    }
    let number = dice.below(1000);
    let stem = format!("answers-{}-{number}", dice.of(&["a", "b", "c"]));
    let template = dice.below(4) == 0;
    let (file, asked) = if template {
        (
            format!("{stem}@.service"),
            format!("{stem}@{}.service", dice.of(&["i", "j-k", "x\\x2dy"])),
        )
    } else {
        (format!("{stem}.service"), format!("{stem}.service"))
    };
    for (dir, _) in DIRS {
        let path = tree.join(dir).join(&file);
        if (dir == "usr" || dice.below(3) == 0) && !path.exists() {
            fs::write(path, unit_text(dice)).unwrap();
        }
    }
    // A unit may have another name, under which it is asked for.
    let alias = format!("answers-alias{number}.service");
    let link = tree.join("etc").join(&alias);
    let there = tree.join("etc").join(&file).exists();
    if !template && there && dice.below(2) == 0 && fs::symlink_metadata(&link).is_err() {
        symlink(&file, &link).unwrap();
    }
    let stems = [
        "answers-".to_owned(),
        format!("answers-{}-", dice.of(&["a", "b", "c"])),
        file.strip_suffix(".service").unwrap().to_owned(),
        asked.strip_suffix(".service").unwrap().to_owned(),
        alias.strip_suffix(".service").unwrap().to_owned(),
    ];
    for _ in 0..dice.below(4) {
        let dir = tree.join(dice.of(&["etc", "run", "usr"]));
        let dir = dir.join(format!("{}.service.d", stems[dice.below(stems.len())]));
        fs::create_dir_all(&dir).unwrap();
        let name = dice.of(&[
            "10-a.conf",
            "20-b.conf",
            "z.conf",
            ".hidden.conf",
            "x.conf.bak",
        ]);
        fs::write(dir.join(name), unit_text(dice)).unwrap();
    }
    if link.is_symlink() && dice.below(2) == 0 {
        return alias;
    }
    asked
}

/// The text of a unit, odd but without what systemd refuses to read to its end.
fn unit_text(dice: &mut Dice) -> String {
    let mut text = String::new();
    for _ in 0..dice.below(4) {
        text += dice.of(&["[Unit]\n", " [Unit] \n", "[Unit]\r\n", "; no\n[Unit]\n"]);
        for _ in 0..dice.below(4) {
            text += dice.of(&[
                "Description=one %n\n",
                "Description = two  words\t\n",
                "Description=three \\\n  lines\\\n# between\n and more\n",
                "Description=%p of %i, 100%%\n",
                "Description=\n",
                "\tDescription=after a tab\n",
                "# Description=no\n",
                " ; Description=no\n",
                "\n",
                "Description=ends in \\\\\n",
                "Description=\"quoted\" 'text'\n",
                "X-Own=1\n",
                "Description=ü – ü\n",
            ]);
        }
        text += "[Service]\nType=oneshot\n";
        for _ in 0..dice.below(4) {
            text += dice.of(&[
                "ExecStart=/bin/echo one two\n",
                "ExecStart=/bin/echo \"one two\" 'three four' five\n",
                "ExecStart=-/bin/false %p\n",
                "ExecStart=@/bin/echo other a\\x41b\n",
                "ExecStart=\n",
                "ExecStart=/bin/echo a ; /bin/echo b \\; c\n",
                "ExecStart=/bin/echo \\\n    joined \\\n    lines\n",
                "ExecStart = /bin/echo \"tab\\tin\" end\n",
                "ExecStart=+/bin/echo ${A} $B $$C\n",
                "ExecStart=:/bin/echo 100%%\n",
                "execstart=/bin/echo not\n",
            ]);
        }
    }
    text
}

/// What a manager says of one unit.
pub(super) type Answer = BTreeMap<String, Vec<String>>;

/// Reads the blocks of `systemctl show`.
pub(super) fn answers(text: &str) -> Vec<Answer> {
    let block = |block: &str| {
        let mut answer = Answer::new();
        for (key, value) in block.lines().filter_map(|line| line.split_once('=')) {
            answer
                .entry(key.to_owned())
                .or_default()
                .push(value.to_owned());
        }
        answer
    };
    text.split("\n\n")
        .filter(|text| !text.trim().is_empty())
        .map(block)
        .collect()
}

/// `{ path=/bin/echo ; argv[]=/bin/echo a b ; ignore_errors=no ; …`
fn command(shown: &str) -> Option<(String, String)> {
    let path = shown.strip_prefix("{ path=")?;
    let (path, rest) = path.split_once(" ; argv[]=")?;
    let (argv, _) = rest.split_once(" ; ignore_errors=")?;
    Some((path.to_owned(), argv.to_owned()))
}

/// Compares the answers in `out` with the agent's about the inputs in `dir`; one line for each
/// difference, and how many were compared.
pub(super) fn differences(dir: &Path, out: &Path) -> (Vec<String>, usize) {
    let text = |path: PathBuf| {
        let text = fs::read(&path);
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        String::from_utf8_lossy(&text).into_owned()
    };
    let mut faults = Vec::new();
    let mut compared = 0;

    let listed = text(out.join("answers.names"));
    let valid: BTreeSet<&str> = listed
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    for name in text(dir.join("names")).lines() {
        compared += 1;
        let ours = UnitName::parse(name);
        if ours.is_ok() != valid.contains(name) {
            faults.push(format!(
                "name {name:?}: {ours:?}, systemd {}",
                valid.contains(name)
            ));
        }
    }

    let escapes = text(dir.join("escapes"));
    let theirs = text(out.join("answers.escapes"));
    for (escaped, theirs) in escapes
        .lines()
        .zip(theirs.trim_end_matches('\n').split(' '))
    {
        compared += 1;
        let ours = unescape_name(escaped);
        if ours != theirs {
            faults.push(format!(
                "unescaped {escaped:?}: {ours:?}, systemd {theirs:?}"
            ));
        }
    }

    // The built-in list is of all versions: theirs has to be a part of it, in the same order.
    let builtin = LoadPaths::builtin();
    let mut ours = builtin.unit_dirs(&Manager::System).iter();
    for path in text(out.join("answers.paths")).lines() {
        compared += 1;
        if !ours.any(|our| our == path) {
            faults.push(format!("load path {path} is not where it should be"));
        }
    }

    let mut paths = LoadPaths::builtin();
    let tree = dir.join("tree");
    let dirs = DIRS.map(|(name, _)| tree.join(name).to_string_lossy().into_owned());
    paths.set_unit_path(&Manager::System, &dirs);
    let mut installed = Installed::new();
    let asked = text(dir.join("units"));
    let answers = answers(&text(out.join("answers.show")));
    if asked.lines().count() != answers.len() {
        faults.push(format!(
            "{} units, {} answers",
            asked.lines().count(),
            answers.len()
        ));
    }
    for (unit, answer) in asked.lines().zip(&answers) {
        compared += 1;
        let one = |key: &str| answer.get(key).map_or("", |values| values[0].as_str());
        let ours = installed.unit(&paths, &Manager::System, unit);
        let Some((file, files)) = ours else {
            if one("LoadState") != "masked" && one("LoadState") != "not-found" {
                faults.push(format!("{unit}: not found, systemd {answer:?}"));
            }
            continue;
        };
        let there = |path: &PathBuf| {
            let rest = path.strip_prefix(&tree).unwrap();
            let (dir, rest) = rest.to_str().unwrap().split_once('/').unwrap();
            let real = DIRS.iter().find(|(name, _)| *name == dir).unwrap().1;
            // On a merged host systemd 252 finds what lies in /usr/lib in /lib first.
            format!("{real}/{rest}")
        };
        let merged = |path: &str| match path.strip_prefix("/lib/") {
            Some(rest) => format!("/usr/lib/{rest}"),
            None => path.to_owned(),
        };
        let ours: Vec<String> = files.iter().map(there).collect();
        let mut theirs = vec![merged(one("FragmentPath"))];
        theirs.extend(one("DropInPaths").split_whitespace().map(merged));
        if ours != theirs {
            faults.push(format!("{unit}: files {ours:?}, systemd {theirs:?}"));
            continue;
        }
        // While a unit is loaded under another name, specifiers stand for that one.
        if one("Id") != unit {
            continue;
        }
        let id = UnitName::parse(one("Id")).unwrap();
        let described = file
            .last("Unit", "Description")
            .map(|text| expand(text, &id));
        let described = described.unwrap_or_else(|| id.as_str().to_owned());
        if described != one("Description") {
            let theirs = one("Description");
            faults.push(format!(
                "{unit}: described {described:?}, systemd {theirs:?}"
            ));
        }
        let service = Service::new(&id, &file);
        let ours: Vec<(String, String)> = service
            .commands
            .iter()
            .map(|command| (command.path.clone(), command.argv.join(" ")))
            .collect();
        let shown = answer.get("ExecStart").into_iter().flatten();
        let theirs: Vec<(String, String)> = shown.filter_map(|shown| command(shown)).collect();
        if ours != theirs {
            faults.push(format!("{unit}: runs {ours:?}, systemd {theirs:?}"));
        }
    }
    (faults, compared)
}

#[test]
fn inputs_are_the_same_each_time_and_of_both_kinds() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for dir in &dirs {
        generate(dir.path());
    }
    let read =
        |name: &str, which: usize| fs::read_to_string(dirs[which].path().join(name)).unwrap();
    for name in ["names", "escapes", "units"] {
        assert_eq!(read(name, 0), read(name, 1));
    }
    let names = read("names", 0);
    let valid = names
        .lines()
        .filter(|name| UnitName::parse(name).is_ok())
        .count();
    assert!(
        valid > 100 && names.lines().count() - valid > 100,
        "{valid} are valid"
    );
}

#[test]
fn shown_commands_are_read() {
    let shown = "{ path=/bin/echo ; argv[]=/bin/echo a ; b ; ignore_errors=no ; start_time=[n/a] }";
    let read = command(shown);
    assert_eq!(
        read,
        Some(("/bin/echo".to_owned(), "/bin/echo a ; b".to_owned()))
    );
    let two = answers("Id=a\nExecStart=1\nExecStart=2\n\nId=b\n");
    assert_eq!((two.len(), two[0]["ExecStart"].len()), (2, 2));
}
