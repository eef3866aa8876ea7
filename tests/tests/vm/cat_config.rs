//! Which files `systemd-analyze cat-config` shows, against what the agent takes for managers'
//! configuration, presets and user managers' environment.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use whodunit::event::FileClass;
use whodunit::systemd::load_paths::LoadPaths;

use super::answers::Dice;

/// Where systemd looks for settings.
const ROOTS: [&str; 4] = ["etc", "run", "usr/local/lib", "usr/lib"];

/// Directories in there, and what the agent calls a file that is read in one.
const DIRS: [(&str, FileClass); 5] = [
    ("systemd/system.conf.d", FileClass::ManagerConfig),
    ("systemd/user.conf.d", FileClass::ManagerConfig),
    ("systemd/system-preset", FileClass::Preset),
    ("systemd/user-preset", FileClass::Preset),
    ("environment.d", FileClass::ManagerConfig),
];

const FILES: usize = 160;

/// Writes the files as they are to lie below `/`.
pub(super) fn generate(dir: &Path) {
    let dice = &mut Dice(0x636f_6e66_6967_7572);
    for number in 0..FILES {
        let (into, _) = DIRS[dice.below(DIRS.len())];
        let directory = dir.join("conf-tree").join(dice.of(&ROOTS)).join(into);
        let name = format!(
            "{}answers{number}{}",
            dice.of(&["", "", "", "", ".", "10-", "%i ", "ü"]),
            dice.of(&[
                ".conf",
                ".conf",
                ".preset",
                ".preset",
                ".conf~",
                ".conf.d",
                ".txt",
                "",
                ".CONF",
                ".conf.dpkg-new",
                ".preset.rpmsave",
                "..conf",
                ".preset ",
                ".conf#",
            ])
        );
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(name), "# nothing\n").unwrap();
    }
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        if entry.path().is_dir() {
            files(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

/// Compares what was shown in the machine, in `out`, with what the agent says of each file; one line
/// for each difference, and how many were compared.
pub(super) fn differences(dir: &Path, out: &Path) -> (Vec<String>, usize) {
    let tree = dir.join("conf-tree");
    let shown = fs::read(out.join("answers.config")).unwrap();
    let shown = String::from_utf8_lossy(&shown).into_owned();
    let shown: BTreeSet<&str> = shown
        .lines()
        .filter_map(|line| line.strip_prefix("# /"))
        .collect();
    let mut there = Vec::new();
    files(&tree, &mut there);
    let paths = LoadPaths::builtin();
    let mut faults = Vec::new();
    for file in &there {
        let relative = file.strip_prefix(&tree).unwrap().to_string_lossy();
        let directory = |(into, _): &&(&str, FileClass)| relative.contains(into);
        let (_, wanted) = DIRS.iter().find(directory).unwrap();
        let ours = paths.classify(&format!("/{relative}"));
        let ours = ours.is_some_and(|place| place.class == *wanted);
        let theirs = shown.contains(relative.as_ref());
        if ours != theirs {
            faults.push(format!("/{relative}: read {ours}, systemd {theirs}"));
        }
    }
    (faults, there.len())
}

#[test]
fn generated_files_are_of_both_kinds() {
    let dir = tempfile::tempdir().unwrap();
    generate(dir.path());
    let mut there = Vec::new();
    files(&dir.path().join("conf-tree"), &mut there);
    assert_eq!(there.len(), FILES);
    let paths = LoadPaths::builtin();
    let read = there.iter().filter(|file| {
        let relative = file.strip_prefix(dir.path().join("conf-tree")).unwrap();
        let place = paths.classify(&format!("/{}", relative.display()));
        place.is_some_and(|place| place.class != FileClass::Other)
    });
    let read = read.count();
    assert!((20..FILES - 20).contains(&read), "{read} are read");
}
