//! `cargo xtask test`: every check in one run, with one line of totals at the end.
//!
//! A failed step does not stop the run: one run shows everything that is wrong.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::{compile, setup, toolchain, util};

/// Results added up over the steps.
#[derive(Clone, Copy, Default)]
struct Totals {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Totals {
    const PASSED: Self = Self {
        passed: 1,
        failed: 0,
        skipped: 0,
    };
    const FAILED: Self = Self {
        passed: 0,
        failed: 1,
        skipped: 0,
    };
    const SKIPPED: Self = Self {
        passed: 0,
        failed: 0,
        skipped: 1,
    };

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// One row of the table below.
struct Step {
    name: &'static str,
    kind: Kind,
}

enum Kind {
    /// One of xtask's own tasks: passes or fails as a whole.
    Task(fn() -> Result<()>),
    /// A cargo command that passes or fails as a whole.
    Check(&'static [&'static str]),
    /// clippy of the kernel crate, with that crate's own toolchain.
    EbpfClippy,
    /// A cargo test command: its own results are counted.
    Tests {
        args: &'static [&'static str],
        ignored: Ignored,
    },
}

/// What a test run's ignored tests mean.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ignored {
    /// A later step runs them.
    RunLater,
    /// Nothing else runs them.
    Skipped,
}

/// Static checks, left out when a filter names the tests to run.
const CHECKS: &[Step] = &[
    Step {
        name: "format",
        kind: Kind::Check(&["fmt", "--all", "--check"]),
    },
    Step {
        name: "clippy",
        kind: Kind::Check(&[
            "clippy",
            "--workspace",
            "--exclude=whodunit-ebpf",
            "--all-targets",
            "--",
            "-Dwarnings",
        ]),
    },
    Step {
        name: "clippy of the kernel crate",
        kind: Kind::EbpfClippy,
    },
    Step {
        name: "documentation",
        kind: Kind::Check(&["doc", "--workspace", "--exclude=whodunit-ebpf", "--no-deps"]),
    },
];

/// What everything else needs.
const BUILDS: &[Step] = &[
    Step {
        name: "kernel object",
        kind: Kind::Task(|| compile::ebpf().map(drop)),
    },
    Step {
        name: "agent",
        kind: Kind::Task(|| compile::agent().map(drop)),
    },
    Step {
        name: "programs of tests",
        kind: Kind::Task(|| compile::test_programs().map(drop)),
    },
];

/// Tests: unit and on this host, then in virtual machines (each ignored by default, for it needs
/// minutes and the tools that `setup --vm` installs).
const TESTS: &[Step] = &[
    Step {
        name: "unit tests and this host",
        kind: Kind::Tests {
            args: &[
                "test",
                "--workspace",
                "--exclude=whodunit-ebpf",
                "--no-fail-fast",
            ],
            ignored: Ignored::RunLater,
        },
    },
    Step {
        name: "virtual machines",
        kind: Kind::Tests {
            args: &[
                "test",
                "-p",
                "whodunit-tests",
                "--tests",
                "--no-fail-fast",
                "--",
                "--ignored",
            ],
            ignored: Ignored::Skipped,
        },
    },
];

/// Provisions, builds, and runs every step.
pub(crate) fn run(filter: Option<&str>) -> Result<ExitCode> {
    setup::provision(true)?;
    let checks = if filter.is_none() { CHECKS } else { &[] };
    let mut totals = Totals::default();
    let mut times = Vec::new();
    for step in BUILDS.iter().chain(checks).chain(TESTS) {
        println!("\n== {}", step.name);
        let start = Instant::now();
        let result = step.run(filter).unwrap_or_else(|error| {
            eprintln!("{}: {error:#}", step.name);
            Totals::FAILED
        });
        times.push((step.name, start.elapsed(), result));
        totals.add(result);
    }
    println!(
        "\n{:<28} {:>8} {:>8} {:>8} {:>8}",
        "step", "seconds", "passed", "failed", "skipped"
    );
    for (
        name,
        time,
        Totals {
            passed,
            failed,
            skipped,
        },
    ) in times
    {
        let seconds = time.as_secs_f64();
        println!("{name:<28} {seconds:>8.1} {passed:>8} {failed:>8} {skipped:>8}");
    }
    println!();
    let Totals {
        passed,
        failed,
        skipped,
    } = totals;
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(ExitCode::from(u8::from(failed > 0)))
}

impl Step {
    fn run(&self, filter: Option<&str>) -> Result<Totals> {
        match self.kind {
            Kind::Task(task) => task().map(|()| Totals::PASSED),
            Kind::Check(args) => {
                let mut command = util::cargo();
                command.args(args).env("RUSTDOCFLAGS", "-Dwarnings");
                util::check(&mut command).map(|()| Totals::PASSED)
            }
            Kind::EbpfClippy => ebpf_clippy(),
            Kind::Tests { args, ignored } => {
                let mut command = util::cargo();
                let (cargo, harness) = match args.iter().position(|arg| *arg == "--") {
                    Some(at) => args.split_at(at),
                    None => (args, &[][..]),
                };
                command.args(cargo).args(filter).args(harness);
                tests(&mut command, ignored)
            }
        }
    }
}

fn ebpf_clippy() -> Result<Totals> {
    if !toolchain::installed().is_some_and(|toolchain| toolchain.has_clippy()) {
        println!("skipped: the kernel object's toolchain has no clippy");
        return Ok(Totals::SKIPPED);
    }
    let mut command = compile::ebpf_cargo("clippy")?;
    util::check(command.args(["--release", "--", "-Dwarnings"])).map(|()| Totals::PASSED)
}

/// Runs cargo test, showing its output, and adds up its `test result:` lines.
fn tests(command: &mut Command, ignored: Ignored) -> Result<Totals> {
    let start = || format!("cannot start {}", util::show(command));
    let context = start();
    let mut child = command.stdout(Stdio::piped()).spawn().context(context)?;
    let mut totals = Totals::default();
    let mut excused = 0;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.context("cannot read cargo's output")?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            totals.add(result_line(&line, ignored).unwrap_or_default());
            // A test that cannot run here says so and returns, which cargo takes for success.
            if line.starts_with("skipped:") {
                totals.skipped += 1;
                excused += 1;
            }
        }
    }
    totals.passed = totals.passed.saturating_sub(excused);
    let status = child.wait().context("cannot wait for cargo")?;
    if !status.success() && totals.failed == 0 {
        // It did not compile, or a test process died before it could say.
        eprintln!("{} failed: {status}", util::show(command));
        totals.failed = 1;
    }
    Ok(totals)
}

/// Reads `test result: ok. 5 passed; 0 failed; 1 ignored; …`.
fn result_line(line: &str, ignored: Ignored) -> Option<Totals> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut totals = Totals::default();
    for part in counts.split("; ") {
        let Some((number, what)) = part.split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse::<u64>() else {
            continue;
        };
        match what {
            "passed" => totals.passed = number,
            "failed" => totals.failed = number,
            "ignored" if ignored == Ignored::Skipped => totals.skipped = number,
            _ => {}
        }
    }
    Some(totals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_line_is_counted() {
        let line = "test result: FAILED. 5 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.00s";
        let totals = result_line(line, Ignored::Skipped).unwrap();
        assert_eq!((totals.passed, totals.failed, totals.skipped), (5, 2, 1));
        assert_eq!(result_line(line, Ignored::RunLater).unwrap().skipped, 0);
        assert!(result_line("running 5 tests", Ignored::Skipped).is_none());
    }
}
