//! Why units were started, on real hosts: one boot for each of several versions of systemd.
//!
//! `tests/activation/run.sh` starts units in every way there is and notes what started each, in
//! order. `WHODUNIT_VM_SUITE` and `WHODUNIT_VM_RESULTS` are as for the scenarios. What was measured is printed, and kept
//! in `target/activation/<suite>/measured`.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in its helpers"
)]

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use whodunit_tests::{Event, Kind, skip, vm};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/activation/run.sh");

/// Timers of which the script knows that they elapsed and nothing ran.
const RAN_NOTHING: [&str; 2] = ["act-busy-b.timer", "act-cond.timer"];
/// From how many milliseconds on for a start a machine, or what else it has to do, is too slow for the
/// bus to be heard in the time that a verdict has.
const SLOW: u64 = 500;
/// Of all starts at least this many are expected: else the script did not get far.
const LEAST: usize = 500;

fn boot(suite: &str) -> PathBuf {
    let out = Path::new(ROOT).join("target/activation").join(suite);
    vm::boot_well(suite, Path::new(SCRIPT), &out, &["--timeout", "900"]);
    out
}

/// One process that the manager started, as it was told.
struct Start {
    /// Of another manager than PID 1 with its name before it: `user:1000 a.service`.
    unit: String,
    trigger: String,
    grade: String,
    evidence: String,
    /// From the exec to its verdict, in nanoseconds; none when the exec had it already.
    waited: Option<u64>,
}

fn starts(events: &[Event]) -> Vec<Start> {
    let verdicts: HashMap<&str, &Event> = events
        .iter()
        .filter(|event| event.kind() == Kind::Verdict)
        .map(|event| (event.text("unmapped/refers_to"), event))
        .collect();
    let spawned = |event: &&Event| {
        event.kind() == Kind::Exec && event.at("unmapped/systemd/spawned_by_manager") == true
    };
    let start = |exec: &Event| {
        let verdict = verdicts.get(exec.text("metadata/uid")).copied();
        let told = verdict.unwrap_or(exec);
        let at = |field: &str| told.text(&format!("unmapped/systemd/trigger/{field}"));
        let time = |event: &Event| event.number("unmapped/boot_ns");
        Start {
            unit: match exec.text("unmapped/systemd/manager") {
                "system" => exec.text("unmapped/systemd/unit").to_owned(),
                of => format!("{of} {}", exec.text("unmapped/systemd/unit")),
            },
            trigger: format!("{} {}", at("type"), at("unit")).trim().to_owned(),
            grade: at("grade").to_owned(),
            evidence: told.at("unmapped/systemd/trigger/evidence").to_string(),
            waited: verdict.map(|verdict| time(verdict).saturating_sub(time(exec))),
        }
    };
    events.iter().filter(spawned).map(start).collect()
}

/// What the script says: a unit, or the beginning of its name, and what started it each time.
fn truth(out: &Path) -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(out.join("truth")).unwrap();
    let line = |line: &str| {
        let mut words = line.split('\t').map(str::to_owned);
        (words.next().unwrap_or_default(), words.collect())
    };
    text.lines().map(line).collect()
}

fn names(pattern: &str, unit: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => unit.starts_with(prefix),
        None => unit == pattern,
    }
}

/// What is expected of `count` starts; `...` stands for more of the one before it.
fn expand(expected: &[String], count: usize) -> Vec<&str> {
    let named = expected.iter().filter(|name| *name != "...").count();
    let mut all = Vec::new();
    for name in expected {
        if name != "..." {
            all.push(name.as_str());
        } else if let Some(&last) = all.last() {
            all.extend(std::iter::repeat_n(last, count.saturating_sub(named)));
        }
    }
    all
}

#[derive(Default)]
struct Score {
    faults: Vec<String>,
    /// Whether right, and words for it.
    probable: Vec<(bool, String)>,
    /// Of the timers' runs, whether certain.
    timers: Vec<bool>,
    count: usize,
    table: String,
}

fn score(truth: &BTreeMap<String, Vec<String>>, starts: &[Start]) -> Score {
    let mut score = Score::default();
    for (pattern, expected) in truth {
        let told: Vec<&Start> = starts
            .iter()
            .filter(|start| names(pattern, &start.unit))
            .collect();
        let wanted = expand(expected, told.len());
        if told.len() < wanted.len() {
            let line = format!("{pattern}: {} starts of {wanted:?}", told.len());
            score.faults.push(line);
        }
        let mut grades: BTreeMap<(&str, &str, bool), usize> = BTreeMap::new();
        for (at, start) in told.iter().enumerate() {
            let wanted = wanted.get(at).copied().unwrap_or("nothing");
            let right = start.trigger == wanted;
            *grades.entry((wanted, &start.grade, right)).or_default() += 1;
            let line = format!(
                "{} #{at}: {} {}, is {wanted}: {}",
                start.unit, start.grade, start.trigger, start.evidence
            );
            match start.grade.as_str() {
                "certain" if !right => score.faults.push(line),
                "probable" => score.probable.push((right, line)),
                _ => {}
            }
            if wanted.starts_with("timer ") {
                score.timers.push(start.grade == "certain");
            }
        }
        score.count += told.len();
        for ((wanted, grade, right), count) in grades {
            let right = if right { "" } else { ", another trigger told" };
            let _ = writeln!(
                score.table,
                "{pattern} | {wanted} | {grade}{right} | {count}"
            );
        }
    }
    score
}

fn percent(part: usize, whole: usize) -> f64 {
    let whole = u32::try_from(whole.max(1)).unwrap();
    f64::from(u32::try_from(part).unwrap()) * 100.0 / f64::from(whole)
}

/// How long `systemctl start` of a service that does nothing took in the machine, in milliseconds: the
/// median of some. How slow a machine is, and how busy, goes into this as into the verdicts.
fn round_trip(out: &Path) -> u64 {
    let text = fs::read_to_string(out.join("round-trips")).unwrap_or_default();
    let mut took: Vec<u64> = text.lines().filter_map(|line| line.parse().ok()).collect();
    took.sort_unstable();
    took.get(took.len() / 2).copied().unwrap_or(0) / 1000
}

#[test]
#[ignore = "boots a virtual machine; cargo xtask test runs it"]
fn what_started_each_unit() {
    let suite = env::var("WHODUNIT_VM_SUITE").unwrap_or_else(|_| "bookworm".to_owned());
    let results = env::var_os("WHODUNIT_VM_RESULTS").map(PathBuf::from);
    let out = results.unwrap_or_else(|| boot(&suite));
    let events = fs::read_to_string(out.join("events.ndjson")).unwrap();
    let events: Vec<Event> = events.lines().map(Event::parse).collect();
    for line in fs::read_to_string(out.join("left-out"))
        .unwrap_or_default()
        .lines()
    {
        println!("left out: {line}");
    }

    let starts = starts(&events);
    let Score {
        mut faults,
        probable,
        timers,
        count,
        table,
    } = score(&truth(&out), &starts);
    let wrong: Vec<&str> = probable
        .iter()
        .filter(|(right, _)| !right)
        .map(|(_, words)| words.as_str())
        .collect();
    let certain = timers.iter().filter(|certain| **certain).count();
    let mut waits: Vec<u64> = starts.iter().filter_map(|start| start.waited).collect();
    waits.sort_unstable();
    let wait = |per_mille: usize| {
        let at = waits.len() * per_mille / 1000;
        waits
            .get(at.min(waits.len().saturating_sub(1)))
            .copied()
            .unwrap_or(0)
            / 1_000_000
    };
    let measured = format!(
        "{table}\n{count} starts; timers' runs certain: {certain} of {} ({:.1} %); probable and wrong: {} of {} \
         ({:.1} %); verdicts after p50 {} ms, p90 {} ms, p99 {} ms, at most {} ms; \
         a start by systemctl takes {} ms\n",
        timers.len(),
        percent(certain, timers.len()),
        wrong.len(),
        probable.len(),
        percent(wrong.len(), probable.len()),
        wait(500),
        wait(900),
        wait(990),
        wait(1000),
        round_trip(&out),
    );
    println!("{measured}\nprobable and wrong:\n{}", wrong.join("\n"));
    fs::write(out.join("measured"), measured).unwrap();

    if count < LEAST {
        faults.push(format!("{count} starts of {LEAST}"));
    }
    if wrong.len() * 100 > probable.len() {
        faults.push(format!(
            "of {} probable wrong: {}",
            probable.len(),
            wrong.len()
        ));
    }
    if round_trip(&out) > SLOW {
        skip("how many timers' runs are certain, and after how long: this machine is too busy");
    } else {
        // Before 252 the manager does not say which timer it was.
        if suite != "bullseye" && certain * 100 < timers.len() * 95 {
            faults.push(format!("{certain} of {} timer runs certain", timers.len()));
        }
        if wait(1000) > 2000 {
            faults.push(format!("a verdict came after {} ms", wait(1000)));
        }
    }
    for timer in RAN_NOTHING {
        let fired = |event: &&Event| event.kind() == Kind::Job && event.text("job/name") == timer;
        if !events.iter().any(|event| fired(&event)) {
            faults.push(format!("{timer} elapsed and was not told"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
