//! The agent on a host with systemd: one boot of a virtual machine for all scenarios.
//!
//! `WHODUNIT_VM_SUITE` names another Debian suite than bookworm; `WHODUNIT_VM_RESULTS` a directory
//! with the results of an earlier boot, to work on expectations without booting again.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in its helpers"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{env, fs};

use whodunit_tests::{Event, Scenario, Totals, check_all, vm};

#[path = "vm/answers.rs"]
mod answers;
#[path = "vm/cat_config.rs"]
mod cat_config;
#[path = "vm/noise.rs"]
mod noise;
#[path = "vm/odd_files.rs"]
mod odd_files;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// The scenario in which systemd is asked about generated inputs.
const ANSWERS: &str = "30-answers";
const SCENARIOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");

/// What came out of the machine.
struct Boot {
    events: Vec<Event>,
    /// `begin` or `end`, scenario, nanoseconds since boot.
    marks: Vec<(String, String, u64)>,
    stderr: String,
    script_log: String,
    /// Where it was read from.
    dir: PathBuf,
}

static BOOT: LazyLock<Boot> = LazyLock::new(|| {
    let results = env::var_os("WHODUNIT_VM_RESULTS").map(PathBuf::from);
    results.map_or_else(boot, |dir| read(&dir))
});

fn boot() -> Boot {
    let suite = env::var("WHODUNIT_VM_SUITE").unwrap_or_else(|_| "bookworm".to_owned());
    // Kept, for whoever looks into a failure.
    let out = Path::new(ROOT).join("target/scenarios").join(&suite);
    let script = stage().join("run.sh");
    // If a script failed, its own test will say so.
    let _ = vm::boot(
        &suite,
        &script,
        &out,
        &["--timeout", "900", "--arg=--exits"],
    );
    read(&out)
}

/// The scenarios, with what is generated for them.
fn stage() -> PathBuf {
    let stage = Path::new(ROOT).join("target/scenarios/scripts");
    let _ = fs::remove_dir_all(&stage);
    fs::create_dir_all(&stage).unwrap();
    for entry in fs::read_dir(SCENARIOS).unwrap() {
        let from = entry.unwrap().path();
        let to = stage.join(from.file_name().unwrap());
        if from.is_file() {
            fs::copy(&from, &to).unwrap();
            continue;
        }
        fs::create_dir(&to).unwrap();
        for entry in fs::read_dir(&from).unwrap() {
            let from = entry.unwrap().path();
            fs::copy(&from, to.join(from.file_name().unwrap())).unwrap();
        }
    }
    let generated = stage.join(ANSWERS).join("generated");
    answers::generate(&generated);
    odd_files::generate(&generated);
    cat_config::generate(&generated);
    stage
}

fn read(dir: &Path) -> Boot {
    let text = |name: &str| {
        let text = fs::read(dir.join(name));
        text.map_or_else(
            |_| String::new(),
            |text| String::from_utf8_lossy(&text).into_owned(),
        )
    };
    let mark = |line: &str| {
        let [what, name, seconds] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let seconds: f64 = seconds.parse().unwrap();
        (what.to_owned(), name.to_owned(), (seconds * 1e9) as u64)
    };
    Boot {
        events: text("events.ndjson").lines().map(Event::parse).collect(),
        marks: text("marks").lines().map(mark).collect(),
        stderr: text("stderr.log"),
        script_log: text("script.log"),
        dir: dir.to_owned(),
    }
}

/// Compares what was told from a scenario's beginning until the next one's with its expectations.
fn check(name: &str) {
    let boot = &*BOOT;
    let begin = |wanted: &str| {
        let mut marks = boot.marks.iter();
        marks.position(|(what, name, _)| what == "begin" && name == wanted)
    };
    let Some(first) = begin(name) else {
        panic!("{name} was not reached:\n{}", boot.script_log);
    };
    let start = boot.marks[first].2;
    let mut later = boot.marks[first + 1..].iter();
    let next = later.find(|(what, ..)| what == "begin");
    // Marks are cut to hundredths of a second.
    let end = next.map_or(u64::MAX, |(.., time)| time + 10_000_000);
    let events: Vec<Event> = boot
        .events
        .iter()
        .filter(|event| (start..end).contains(&event.number("unmapped/boot_ns")))
        .cloned()
        .collect();
    let scenario = Scenario::read(&Path::new(SCENARIOS).join(name).join("expect.json"));
    let mut faults = scenario.faults(&events);
    let failed = format!("failed: {name}");
    if boot
        .script_log
        .lines()
        .any(|line| line.starts_with(&failed))
    {
        faults.push(format!("do.sh failed:\n{}", boot.script_log));
    }
    assert!(
        faults.is_empty(),
        "{}\n- {}",
        scenario.about,
        faults.join("\n- ")
    );
}

macro_rules! scenarios {
    ($($test:ident: $name:literal,)*) => {
        $(
            #[test]
            #[ignore = "boots a virtual machine; cargo xtask test runs it"]
            fn $test() {
                check($name);
            }
        )*

        #[test]
        fn every_scenario_is_listed_and_readable() {
            let listed: BTreeSet<_> = [$($name),*].map(str::to_owned).into();
            let dirs = fs::read_dir(SCENARIOS).unwrap().map(|entry| entry.unwrap());
            let dirs = dirs.filter(|entry| entry.path().is_dir());
            let names = dirs.map(|entry| entry.file_name().into_string().unwrap());
            assert_eq!(names.collect::<BTreeSet<_>>(), listed);
            for name in listed {
                let dir = Path::new(SCENARIOS).join(name);
                assert!(dir.join("do.sh").is_file(), "{}", dir.display());
                assert!(!Scenario::read(&dir.join("expect.json")).see.is_empty());
            }
        }
    };
}

scenarios! {
    a_scan_and_a_baseline: "00-scan",
    a_persistent_timer: "01-persistent-timer",
    a_transient_timer_of_a_user: "02-user-transient-timer",
    a_transient_timer_of_the_system: "03-system-transient-timer",
    a_drop_in: "04-drop-in",
    units_moved_into_place: "05-into-place",
    a_unit_linked_from_elsewhere: "06-linked-unit",
    a_load_path_by_other_names: "07-other-names",
    a_template_and_a_hidden_unit: "08-template",
    what_was_refused: "09-refused",
    packages_that_bring_units: "20-packages",
    a_write_that_nobody_saw: "21-unseen",
    a_manager_that_was_shown_another_unit: "22-shown-another",
    what_systemd_makes_of_it: "30-answers",
}

#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn names_units_and_drop_ins_are_systemds() {
    let boot = &*BOOT;
    let inputs = tempfile::tempdir().unwrap();
    answers::generate(inputs.path());
    let (faults, compared) = answers::differences(inputs.path(), &boot.dir);
    assert!(compared > 700, "only {compared} were compared");
    assert!(faults.is_empty(), "- {}", faults.join("\n- "));
}

#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn odd_unit_files_are_read_as_systemd_reads_them() {
    let boot = &*BOOT;
    let inputs = tempfile::tempdir().unwrap();
    odd_files::generate(inputs.path());
    let (faults, compared) = odd_files::differences(inputs.path(), &boot.dir);
    assert!(compared >= 160, "only {compared} were compared");
    assert!(faults.is_empty(), "- {}", faults.join("\n- "));
}

#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn configuration_is_what_systemd_reads() {
    let boot = &*BOOT;
    let inputs = tempfile::tempdir().unwrap();
    cat_config::generate(inputs.path());
    let (faults, compared) = cat_config::differences(inputs.path(), &boot.dir);
    assert!(compared >= 150, "only {compared} were compared");
    assert!(faults.is_empty(), "- {}", faults.join("\n- "));
}

#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn each_real_change_is_told_once() {
    let boot = &*BOOT;
    let faults = noise::faults(&boot.events, &boot.marks);
    assert!(faults.is_empty(), "- {}", faults.join("\n- "));
}

#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn the_whole_boot_is_sound() {
    let boot = &*BOOT;
    let last = boot.stderr.lines().last().unwrap_or_default();
    let totals = Totals::parse(last);
    assert_eq!(totals.lost, 0, "{}", boot.stderr);
    assert_eq!(totals.events, boot.events.len() as u64);
    check_all(&boot.events, totals.lost);
    let ready = boot.stderr.lines().find(|line| line.starts_with("ready"));
    assert!(
        ready.is_some_and(|line| line.contains("lsm")),
        "{}",
        boot.stderr
    );
}
