//! Every change that can be made, seen by every tier: one boot of a virtual machine, in which
//! several agents look on at once while `tiers/do.sh` makes each change once.
//!
//! `WHODUNIT_VM_RESULTS_TIERS` names a directory with the results of an earlier boot, to work on
//! expectations without booting again.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in its helpers"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{env, fs};

use serde::Deserialize;
use whodunit_tests::{Event, Kind, Totals, check_all, vm};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const TIERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tiers");
/// The tiers of programs, which agree, and where each one's events are.
const PROGRAMS: [(&str, &str); 3] = [
    ("lsm", "events.ndjson"),
    ("fentry", "fentry.ndjson"),
    ("kprobe", "kprobe.ndjson"),
];
const MARKS: (&str, &str) = ("tracepoint", "tracepoint.ndjson");
/// How many contents of one run may be missing, each with its reason: a busy machine looks late.
const MISSED_MAX: usize = 3;

/// `tiers/expect.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[expect(dead_code, reason = "for whoever reads the file")]
    about: String,
    /// SHA-256 of what items write, by a short name.
    contents: HashMap<String, String>,
    items: Vec<Item>,
}

/// One thing that is done, and all that is told of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    item: String,
    see: Vec<Wanted>,
    /// What single tiers tell instead.
    #[serde(default)]
    but: BTreeMap<String, Vec<Wanted>>,
    /// Paths that marks tell nothing of.
    #[serde(default)]
    unmarked: Vec<String>,
    /// Why `but` or `unmarked`.
    #[serde(default)]
    because: String,
}

/// One event.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Wanted {
    verb: String,
    /// `/etc/systemd/system/x-ITEM.service` if left out.
    path: Option<String>,
    /// May end in `*`.
    #[serde(default)]
    from: String,
    #[serde(default)]
    target: String,
    #[serde(default = "unit_file")]
    class: String,
    /// `x-ITEM.service` if left out.
    unit: Option<String>,
    writer: String,
    /// A name from `contents`.
    #[serde(default)]
    content: String,
}

fn unit_file() -> String {
    "unit-file".to_owned()
}

fn table() -> Table {
    let path = Path::new(TIERS).join("expect.json");
    serde_json::from_str(&fs::read_to_string(&path).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One agent's run: all it told, and what of it is of an item.
struct Run {
    events: Vec<Event>,
    stderr: String,
    items: HashMap<String, Vec<Event>>,
}

struct Boot {
    runs: HashMap<&'static str, Run>,
    script_log: String,
}

static BOOT: LazyLock<Boot> = LazyLock::new(|| {
    let results = env::var_os("WHODUNIT_VM_RESULTS_TIERS").map(PathBuf::from);
    read(&results.unwrap_or_else(boot))
});

fn boot() -> PathBuf {
    let out = Path::new(ROOT).join("target/scenarios/tiers");
    let script = Path::new(TIERS).join("do.sh");
    let arguments = ["--timeout", "300", "--arg=--tier=lsm"];
    let _ = vm::boot("bookworm", &script, &out, &arguments);
    out
}

fn read(dir: &Path) -> Boot {
    let text = |name: &str| {
        let bytes = fs::read(dir.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let marks = text("marks");
    let mark = |what: &str| {
        let line = marks.lines().find_map(|line| line.strip_prefix(what));
        let seconds: f64 = line.unwrap().trim_start_matches(" all ").parse().unwrap();
        (seconds * 1e9) as u64
    };
    // Marks are cut to hundredths of a second.
    let during = mark("begin")..mark("end") + 10_000_000;
    let run = |file: &str, stderr: &str| {
        let events: Vec<Event> = text(file).lines().map(Event::parse).collect();
        let mut items: HashMap<String, Vec<Event>> = HashMap::new();
        for event in &events {
            if event.kind() == Kind::Change
                && during.contains(&event.number("unmapped/boot_ns"))
                && let Some(item) = item_of(event)
            {
                items.entry(item).or_default().push(event.clone());
            }
        }
        Run {
            events,
            stderr: text(stderr),
            items,
        }
    };
    let runs = PROGRAMS.into_iter().chain([MARKS]).map(|(tier, file)| {
        let stderr = match tier {
            "lsm" => "stderr.log".to_owned(),
            other => format!("{other}.err"),
        };
        (tier, run(file, &stderr))
    });
    Boot {
        runs: runs.collect(),
        script_log: text("script.log"),
    }
}

/// Names that nobody can choose, and their items.
const FIXED: [(&str, &str); 2] = [("/etc/rc.local", "rclocal"), ("/etc/fstab", "fstab")];

/// The item that an event is of, by the names it is about.
fn item_of(event: &Event) -> Option<String> {
    let fixed = FIXED.iter().find(|(path, _)| *path == event.path());
    if let Some((_, item)) = fixed {
        return Some((*item).to_owned());
    }
    let names = [event.path(), event.text("unmapped/change/from")];
    names.into_iter().find_map(|name| {
        let (_, rest) = name.split_once("x-")?;
        let end = rest.find(|character: char| !character.is_ascii_lowercase());
        Some(rest[..end.unwrap_or(rest.len())].to_owned())
    })
}

impl Wanted {
    fn path(&self, item: &str) -> String {
        let usual = || format!("/etc/systemd/system/x-{item}.service");
        self.path.clone().unwrap_or_else(usual)
    }

    fn is(&self, event: &Event, item: &str, contents: &HashMap<String, String>) -> bool {
        let unit = self.unit.clone().unwrap_or(format!("x-{item}.service"));
        let from = event.text("unmapped/change/from");
        let from_fits = match self.from.strip_suffix('*') {
            Some(start) => from.starts_with(start),
            None => from == self.from,
        };
        let content = event.text("unmapped/change/content/sha256");
        let content_fits = match self.content.as_str() {
            "" => content.is_empty(),
            name => contents[name] == content || content.is_empty() && has_gap(event),
        };
        event.verb() == self.verb
            && event.path() == self.path(item)
            && event.text("unmapped/change/class") == self.class
            && event.text("unmapped/change/unit") == unit
            && event.text("unmapped/change/target") == self.target
            && event.text("actor/process/name") == self.writer
            && from_fits
            && content_fits
    }
}

/// Whether the agent looked before the change had landed, or too late, and says so.
fn has_gap(event: &Event) -> bool {
    let gap = event.text("unmapped/change/content/gap");
    ["replaced meanwhile", "gone before it was read"].contains(&gap)
}

fn show(event: &Event) -> String {
    let text = |pointer| event.text(pointer);
    format!(
        "{} {} from {:?} target {:?} class {} unit {:?} writer {:?} content {:.8} {}",
        event.verb(),
        event.path(),
        text("unmapped/change/from"),
        text("unmapped/change/target"),
        text("unmapped/change/class"),
        text("unmapped/change/unit"),
        text("actor/process/name"),
        text("unmapped/change/content/sha256"),
        text("unmapped/change/content/gap"),
    )
}

/// What is wrong with what a tier of programs told of an item.
fn faults(item: &Item, tier: &str, contents: &HashMap<String, String>) -> Vec<String> {
    let wanted = item.but.get(tier).unwrap_or(&item.see);
    let mut told = BOOT.runs[tier]
        .items
        .get(&item.item)
        .cloned()
        .unwrap_or_default();
    let mut faults = Vec::new();
    for wanted in wanted {
        let is_it = |event: &Event| wanted.is(event, &item.item, contents);
        match told.iter().position(is_it) {
            Some(at) => drop(told.remove(at)),
            None => faults.push(format!(
                "{tier} {}: not told: {} {} by {:?}",
                item.item,
                wanted.verb,
                wanted.path(&item.item),
                wanted.writer
            )),
        }
    }
    let extra = told.iter().map(show);
    faults.extend(extra.map(|event| format!("{tier} {}: also told: {event}", item.item)));
    faults
}

#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn programs_tell_every_change_alike() {
    let table = table();
    let mut wrong = Vec::new();
    for item in &table.items {
        for (tier, _) in PROGRAMS {
            wrong.extend(faults(item, tier, &table.contents));
        }
    }
    let log = &BOOT.script_log;
    assert!(
        wrong.is_empty(),
        "\n- {}\nscript: {log}",
        wrong.join("\n- ")
    );
}

/// Marks know less (no source of a rename from elsewhere, no name of an attribute) and say some
/// things by another verb; but no place where something happened goes unmentioned.
#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn marks_tell_of_every_place() {
    let mut wrong = Vec::new();
    for item in &table().items {
        let told = BOOT.runs[MARKS.0].items.get(&item.item);
        let told: BTreeSet<&str> = told.into_iter().flatten().map(Event::path).collect();
        let places: BTreeSet<String> = item
            .see
            .iter()
            .map(|wanted| {
                let path = wanted.path(&item.item);
                // Marks see what leaves by its old name.
                let leaves = wanted.verb == "rename" && path.starts_with("/root/");
                if leaves { wanted.from.clone() } else { path }
            })
            .collect();
        for place in places {
            let expected =
                !item.unmarked.contains(&place) && !item.unmarked.contains(&"*".to_owned());
            if told.contains(place.as_str()) != expected {
                wrong.push(format!("{}: {place}: told {}", item.item, !expected));
            }
        }
    }
    assert!(wrong.is_empty(), "\n- {}", wrong.join("\n- "));
}

#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn every_run_is_sound() {
    for (tier, run) in &BOOT.runs {
        let totals = Totals::parse(run.stderr.lines().last().unwrap_or_default());
        assert_eq!(totals.lost, 0, "{tier}");
        assert_eq!(totals.events, run.events.len() as u64, "{tier}");
        check_all(&run.events, totals.lost);
        let ready = run.stderr.lines().find(|line| line.starts_with("ready"));
        let by = format!("file changes by {tier}");
        assert!(ready.is_some_and(|line| line.contains(&by)), "{ready:?}");
        let missed = run.items.values().flatten().filter(|event| has_gap(event));
        assert!(missed.count() <= MISSED_MAX, "{tier}");
        let table = table();
        let known: BTreeSet<_> = table.items.iter().map(|item| &item.item).collect();
        let unknown: Vec<_> = run
            .items
            .keys()
            .filter(|item| !known.contains(item))
            .collect();
        assert!(unknown.is_empty(), "{tier}: nobody expects {unknown:?}");
    }
    assert!(!BOOT.script_log.contains("failed: "), "{}", BOOT.script_log);
}

#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn a_name_makes_no_manager() {
    for (tier, run) in &BOOT.runs {
        let is_child = |event: &&Event| event.command() == "/bin/echo child-of-none";
        let child = run.events.iter().find(is_child);
        let child = child.unwrap_or_else(|| panic!("{tier}: the exec is not told"));
        let spawned = child.at("unmapped/systemd/spawned_by_manager");
        assert_ne!(spawned.as_bool(), Some(true), "{tier}: {child:?}");
        assert_eq!(child.text("actor/process/name"), "systemd", "{tier}");
    }
}

/// All of this went on beside a home on a file system whose server never answered.
#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn a_dead_home_is_named_and_holds_nothing_up() {
    let said = "/srv/x/dead does not answer";
    for (tier, run) in &BOOT.runs {
        let told = run
            .events
            .iter()
            .any(|event| event.kind() == Kind::Health && format!("{event:?}").contains(said));
        assert!(told, "{tier} tells no gap");
    }
}

/// Every item of the script has its row and the other way round.
#[test]
fn the_table_is_whole() {
    let script = fs::read_to_string(Path::new(TIERS).join("do.sh")).unwrap();
    let mut done = BTreeSet::new();
    for line in script.lines() {
        let mut words = line.split([' ', ';']).filter(|word| !word.is_empty());
        if let (Some("item" | "put"), Some(name)) = (words.next(), words.next())
            && name.starts_with(|character: char| character.is_ascii_lowercase())
        {
            done.insert(name.to_owned());
        }
    }
    done.remove("before");
    done.remove("end");
    let table = table();
    let rows: BTreeSet<_> = table.items.iter().map(|item| item.item.clone()).collect();
    assert_eq!(rows, done);
    assert_eq!(rows.len(), table.items.len(), "a name twice");
    for item in &table.items {
        let explained = item.but.is_empty() && item.unmarked.is_empty();
        assert_eq!(explained, item.because.is_empty(), "{}", item.item);
        for wanted in item.see.iter().chain(item.but.values().flatten()) {
            let content = &wanted.content;
            assert!(
                content.is_empty() || table.contents.contains_key(content),
                "{content}"
            );
        }
    }
}
