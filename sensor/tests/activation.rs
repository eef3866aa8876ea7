//! Verdicts on activations: recorded inputs, one file a case, with the expected verdict in it.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, also in its helpers"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;
use serde::Deserialize;
use whodunit::correlate::activation::{Activations, Output, Seen};
use whodunit::event::{Grade, Manager, Timestamp, Trigger, TriggerType};
use whodunit::systemd::bus::*;

/// One file. Times are milliseconds since boot.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    about: String,
    inputs: Vec<Input>,
    expect: BTreeMap<String, Expected>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Expected {
    #[serde(rename = "type")]
    kind: String,
    unit: Option<String>,
    grade: String,
    fired_at: Option<u64>,
    behind: Option<String>,
    /// The unit that was started, where the group is another's.
    #[serde(default)]
    started: Option<String>,
    /// The time of the input that brought it.
    told_at: u64,
}

#[path = "activation/input.rs"]
mod input;

use input::{ExecInput, Input, What};

const MS: u64 = 1_000_000;
/// How late a fact may be, in milliseconds. Whoever shows the id of an earlier start is found out by
/// its end: while that is not told, nobody can know.
const DELAY: u64 = 2000;

fn time(ms: u64) -> Timestamp {
    Timestamp {
        boot: ms * MS,
        wall: 1_700_000_000_000 * MS + ms * MS,
    }
}

fn id(short: &str) -> String {
    format!("{short:0>32}")
}

fn details(of: Option<(String, u64)>) -> Option<Details> {
    of.filter(|(unit, _)| !unit.is_empty())
        .map(|(unit, at)| Details {
            fired: (at != 0).then(|| time(at)),
            unit,
            path: None,
        })
}

fn fact(what: What) -> Option<BusFact> {
    Some(match what {
        What::Connected(version) => BusFact::Connected {
            way: Way::Bus,
            booting: version.ends_with("booting"),
            version,
        },
        What::Disconnected(why) => BusFact::Disconnected(why),
        What::Gone => BusFact::Gone,
        What::Reloading(begins) => BusFact::Reloading(begins),
        What::Timer(timer, at) | What::TimerAsked(timer, at) if at == 0 => {
            BusFact::Timer(TimerFact {
                timer,
                ..TimerFact::default()
            })
        }
        What::Timer(timer, at) => BusFact::Timer(TimerFact {
            timer,
            fired: Some(time(at)),
            ..TimerFact::default()
        }),
        What::TimerAsked(timer, at) => BusFact::Timer(TimerFact {
            timer,
            asked: true,
            fired: Some(time(at)),
            ..TimerFact::default()
        }),
        What::Unit(unit) => BusFact::Unit(UnitFact {
            unit: unit.name,
            asked: unit.asked,
            active: unit.active,
            sub: unit.sub,
            invocation: (!unit.id.is_empty()).then(|| id(&unit.id)),
            left_inactive: unit.left * MS,
            became_inactive: unit.ended * MS,
            details: details(unit.details),
        }),
        What::Links(links) => BusFact::Links(UnitLinks {
            unit: links.name,
            triggers: links.triggers,
            triggered_by: links.triggered_by,
            pulled_by: links.pulled_by,
            restarted_with: links.restarted_with,
            upheld_by: links.upheld_by,
            handler_of: links.handler_of,
            handlers: links.handlers,
            bus_name: links.bus_name,
        }),
        What::Restarts(unit, count) => BusFact::Restarts { unit, count },
        What::Job(job, unit) => BusFact::JobNew {
            job,
            unit,
            standing: false,
        },
        What::JobStanding(job, unit) => BusFact::JobNew {
            job,
            unit,
            standing: true,
        },
        What::JobRead(job, kind, trigger) => BusFact::JobRead {
            job,
            found: Some(JobFound {
                kind,
                details: trigger.map(|trigger| details(Some(trigger))),
            }),
        },
        What::JobGone(job) => BusFact::JobRead { job, found: None },
        What::JobRemoved(job, unit) => BusFact::JobRemoved { job, unit },
        What::UnitNew(unit) => BusFact::UnitNew(unit),
        What::UnitRemoved(unit) => BusFact::UnitRemoved(unit),
        What::Exec(_) | What::Tick => return None,
    })
}

type Told = BTreeMap<String, (Expected, Vec<String>)>;

struct Run {
    machine: Activations<String>,
    told: Told,
    /// The starts of which a process was seen: their units and invocation ids.
    begun: BTreeSet<(String, Option<String>)>,
}

/// How many facts each manager told so far.
#[derive(Default)]
struct Numbers(BTreeMap<Option<u32>, u64>);

impl Numbers {
    /// The number of an input, if it is a fact.
    fn of(&mut self, input: &Input) -> u64 {
        let number = self.0.entry(input.by).or_default();
        *number += input.lost + u64::from(fact(input.what.clone()).is_some());
        *number
    }
}

impl Run {
    fn new() -> Self {
        Self {
            machine: Activations::default(),
            told: Told::new(),
            begun: BTreeSet::new(),
        }
    }

    fn note(&mut self, at: u64, out: Vec<Output<String>>) {
        for output in out {
            match output {
                Output::Judged(name, judgement) => {
                    let behind = judgement.behind.and_then(|behind| behind.unit);
                    self.tell(name, judgement.trigger, (behind, judgement.started), at);
                }
                Output::Fired(firing) => {
                    let state = match firing.active {
                        Some(true) => " active",
                        // Of most cases nobody told whether the unit ran before.
                        Some(false) | None => "",
                    };
                    let name = format!("{} at {}{state}", firing.timer, firing.time.boot / MS);
                    let kind = trigger("fired", Grade::None);
                    self.tell(name, kind, (None, None), at);
                }
            }
        }
    }

    fn tell(
        &mut self,
        name: String,
        trigger: Trigger,
        (behind, started): (Option<String>, Option<String>),
        at: u64,
    ) {
        let told = Expected {
            kind: trigger.kind.as_str().to_owned(),
            unit: trigger.unit,
            grade: trigger.grade.as_str().to_owned(),
            fired_at: trigger.fired_at.map(|time| time.boot / MS),
            behind,
            started,
            told_at: at,
        };
        let twice = self.told.insert(name.clone(), (told, trigger.evidence));
        assert!(twice.is_none(), "told twice: {name}");
    }

    fn exec(&mut self, at: u64, exec: ExecInput) {
        let manager = exec.user.map_or(Manager::System, Manager::User);
        let hint = exec.hint.map(|unit| Trigger {
            unit: Some(unit),
            ..trigger("timer", Grade::Hint)
        });
        let id = exec.id.as_deref().map(id);
        let seen = Seen {
            manager: &manager,
            unit: &exec.unit,
            invocation: id.as_deref(),
            spawned: !exec.descends,
            time: at * MS,
            hint: hint.as_ref(),
        };
        let begun = (exec.unit.clone(), id.clone());
        let first = self.begun.insert(begun) && !exec.descends;
        if let Some(judgement) = self.machine.known(&seen) {
            // Else its cause would be told nowhere.
            assert!(!first, "{}: without a verdict of its own", exec.name);
            let behind = judgement.behind.and_then(|behind| behind.unit);
            self.tell(
                exec.name,
                judgement.trigger,
                (behind, judgement.started),
                at,
            );
        } else if self.machine.awaits(&seen) {
            let mut out = Vec::new();
            assert_eq!(self.machine.hold(&seen, exec.name, &mut out), None);
            self.note(at, out);
        } else if let Some(hint) = hint {
            self.tell(exec.name, hint, (None, None), at);
        }
    }

    /// Takes an input in; `number` is that of its fact.
    fn input(&mut self, Input { at, what, by, .. }: Input, number: u64) {
        let mut out = Vec::new();
        match what {
            What::Exec(exec) => return self.exec(at, exec),
            What::Tick => self.machine.tick(at * MS, &mut out),
            what => {
                let fact = fact(what).expect("is a fact");
                let told = whodunit::systemd::bus::Told {
                    manager: by.map_or(Manager::System, Manager::User),
                    number,
                    seen: at * MS,
                    fact,
                };
                self.machine.told(told, &mut out);
            }
        }
        self.note(at, out);
    }
}

fn trigger(kind: &str, grade: Grade) -> Trigger {
    Trigger {
        kind: match kind {
            "timer" => TriggerType::Timer,
            _ => TriggerType::Unknown,
        },
        unit: None,
        fired_at: None,
        grade,
        evidence: Vec::new(),
    }
}

fn cases() -> Vec<(String, Case)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/activation");
    let entries = std::fs::read_dir(&dir).expect("lists the cases");
    let mut cases: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "json"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("reads");
            let name = path.file_stem().expect("a name").to_string_lossy();
            let case = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (name.into_owned(), case)
        })
        .collect();
    cases.sort_by(|(a, _), (b, _)| a.cmp(b));
    cases
}

fn run(inputs: &[Input]) -> Told {
    let mut run = Run::new();
    let mut numbers = Numbers::default();
    for input in inputs {
        run.input(input.clone(), numbers.of(input));
    }
    run.told
}

#[test]
fn every_case_has_its_verdicts() {
    let mut faults = Vec::new();
    for (name, case) in cases() {
        let told = run(&case.inputs);
        for (exec, expected) in &case.expect {
            match told.get(exec) {
                Some((real, _)) if real == expected => {}
                real => faults.push(format!(
                    "{name} ({}): {exec}\n  expected {expected:?}\n  told     {real:?}",
                    case.about
                )),
            }
        }
        for exec in told.keys().filter(|exec| !case.expect.contains_key(*exec)) {
            faults.push(format!("{name}: not expected: {exec}: {:?}", told[exec]));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What is told at `certain` is what the whole, ordered input leads to.
fn check_truth(name: &str, whole: &Told, told: &Told) {
    for (exec, (real, evidence)) in told {
        if real.grade != "certain" {
            continue;
        }
        let (truth, _) = &whole[exec];
        assert_eq!(
            (&real.kind, &real.unit, real.fired_at),
            (&truth.kind, &truth.unit, truth.fired_at),
            "{name}: {exec}: {evidence:?}"
        );
    }
}

proptest! {
    // The same cases in each run: what fails, fails for everybody.
    #![proptest_config(ProptestConfig {
        cases: 2000,
        rng_seed: proptest::test_runner::RngSeed::Fixed(247),
        ..ProptestConfig::default()
    })]

    /// Loss and disorder of facts change how sure a verdict is, never what it is.
    #[test]
    fn loss_and_disorder_never_make_a_wrong_certainty(
        case in any::<prop::sample::Index>(),
        lost in prop::collection::vec(prop::bool::weighted(0.2), 60),
        swaps in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..6), 0..6),
    ) {
        let cases = cases();
        let (name, case) = &cases[case.index(cases.len())];
        let whole = run(&case.inputs);
        // Numbers are given where facts are told, before any is lost or late.
        let mut numbers = Numbers::default();
        let mut inputs: Vec<(Input, u64)> = case
            .inputs
            .iter()
            .map(|input| (input.clone(), numbers.of(input)))
            .collect();
        // A fact may be late, but not for ever: see DELAY.
        for (at, by) in swaps {
            let from = at.index(inputs.len());
            let (moved, number) = inputs.remove(from);
            let reach = inputs.iter().skip(from).take(by);
            let by = reach.take_while(|(other, _)| other.at <= moved.at + DELAY).count();
            inputs.insert(from + by, (moved, number));
        }
        let mut run = Run::new();
        let mut lost = lost.into_iter().cycle();
        for (input, number) in inputs {
            let kept = matches!(input.what, What::Exec(_) | What::Tick | What::Connected(_));
            if lost.next().unwrap_or(false) && !kept {
                // The tracker counts what there is no room for, and the agent looks at that.
                run.machine.lost(input.by.is_none());
            } else {
                run.input(input, number);
            }
        }
        check_truth(name, &whole, &run.told);
    }
}
