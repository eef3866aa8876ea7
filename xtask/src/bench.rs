//! `cargo xtask bench`: what an exec costs with the agent, beside auditd and bpftrace, in one run.
//!
//! CPU time is told, not wall time: that of the programs that are started (where probes and audit
//! rules run), and that of whoever watches them. It bears a busy machine better.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::apt::{self, Package, package};
use crate::{compile, setup, util};

const PACKAGES: &[Package] = &[
    package("auditd", "to measure beside it"),
    package("bpftrace", "to measure beside it"),
];

/// How long a watcher may take until it watches.
const START_LIMIT: Duration = Duration::from_secs(30);

/// One line for each exec: less than any sensor does.
const BPFTRACE: &str = r#"BEGIN { printf("ready\n"); }
tracepoint:syscalls:sys_enter_execve { printf("%d ", pid); join(args->argv); }"#;

/// What the audit rules are: every exec, and two directories of units.
const AUDIT_RULES: &[&[&str]] = &[
    &["-a", "always,exit", "-F", "arch=b64", "-S", "execve"],
    &["-w", "/etc/systemd/system", "-p", "wa"],
    &["-w", "/usr/lib/systemd/system", "-p", "wa"],
];

/// Who watches while programs are started.
#[derive(Clone, Copy, PartialEq)]
enum Watcher {
    Nobody,
    Whodunit,
    Auditd,
    Bpftrace,
}

const WATCHERS: [Watcher; 4] = [
    Watcher::Nobody,
    Watcher::Whodunit,
    Watcher::Auditd,
    Watcher::Bpftrace,
];

impl Watcher {
    fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Whodunit => "whodunit",
            Self::Auditd => "auditd",
            Self::Bpftrace => "bpftrace",
        }
    }
}

/// Microseconds of CPU for each exec, and resident memory afterwards.
struct Sample {
    workload: f64,
    watcher: f64,
    resident: u64,
}

/// Builds, then measures `rounds` rounds of `execs` execs with each watcher in turn.
pub(crate) fn run(rounds: usize, execs: u32) -> Result<()> {
    if !util::is_root() {
        bail!("run this as root: probes and audit rules need it");
    }
    setup::provision(false)?;
    compile::ebpf()?;
    let agent = compile::agent()?;
    let missing = apt::missing(PACKAGES);
    if !missing.is_empty() {
        apt::update()?;
        apt::install(&missing, None)?;
    }
    let work = util::product("bench");
    util::create_dir(&work)?;
    // Programs and libraries are in the page cache from here on.
    exec_many(execs / 10 + 1)?;
    let mut samples: [Vec<Sample>; 4] = Default::default();
    for round in 0..rounds {
        for (watcher, samples) in WATCHERS.into_iter().zip(&mut samples) {
            eprintln!("round {} of {rounds}: {}", round + 1, watcher.name());
            samples.push(measure(watcher, &agent, &work, execs)?);
        }
    }
    report(&samples, rounds, execs);
    Ok(())
}

fn report(samples: &[Vec<Sample>; 4], rounds: usize, execs: u32) {
    println!("CPU for each exec in µs, median of {rounds} rounds of {execs} execs of /bin/true");
    println!("watcher     workload  watcher   total   more  of auditd  RSS MB");
    let total = |samples: &Vec<Sample>| median(samples, |sample| sample.workload + sample.watcher);
    let bare = total(&samples[0]);
    let audit = total(&samples[2]) - bare;
    for (watcher, samples) in WATCHERS.into_iter().zip(samples) {
        let more = total(samples) - bare;
        println!(
            "{:<10} {:9.1} {:8.1} {:7.1} {:6.1} {:10.2} {:7.1}",
            watcher.name(),
            median(samples, |sample| sample.workload),
            median(samples, |sample| sample.watcher),
            total(samples),
            more,
            more / audit,
            median(samples, |sample| sample.resident as f64 / 1e6),
        );
    }
}

fn median(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn measure(watcher: Watcher, agent: &Path, work: &Path, execs: u32) -> Result<Sample> {
    let mut watching = start(watcher, agent, work)?;
    let mut watched: Vec<u32> = watching.iter().map(Child::id).collect();
    if watcher == Watcher::Auditd {
        watched.extend(kernel_thread("kauditd"));
    }
    let before = (own_cpu()?, cpu_of(&watched));
    exec_many(execs)?;
    // What waits in queues is part of the price.
    sleep(Duration::from_secs(1));
    let after = (own_cpu()?, cpu_of(&watched));
    let resident = watching.as_ref().map_or(0, |child| resident(child.id()));
    stop(watcher, watching.as_mut())?;
    let each = |nanoseconds: u64| nanoseconds as f64 / 1e3 / f64::from(execs);
    Ok(Sample {
        workload: each(after.0 - before.0),
        watcher: each(after.1.saturating_sub(before.1)),
        resident,
    })
}

fn exec_many(count: u32) -> Result<()> {
    for _ in 0..count {
        util::check(&mut Command::new("/bin/true"))?;
    }
    Ok(())
}

fn start(watcher: Watcher, agent: &Path, work: &Path) -> Result<Option<Child>> {
    let log = |name: &str| -> Result<(PathBuf, Stdio)> {
        let path = work.join(name);
        let file =
            fs::File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok((path, file.into()))
    };
    let (path, sink) = log(&format!("{}.log", watcher.name()))?;
    let mut command = match watcher {
        Watcher::Nobody => return Ok(None),
        Watcher::Whodunit => {
            let mut command = Command::new(agent);
            let events = work.join("events.ndjson");
            command
                .args(["run", "--format", "ocsf", "--output"])
                .arg(events);
            command.stderr(sink);
            command
        }
        Watcher::Auditd => {
            let mut command = util::privileged("auditd")?;
            command.arg("-n").stdout(sink).stderr(Stdio::null());
            command
        }
        Watcher::Bpftrace => {
            mount_tracefs()?;
            let mut command = util::privileged("bpftrace")?;
            command
                .args(["-B", "line", "-e", BPFTRACE])
                .stdout(sink)
                .stderr(Stdio::null());
            command
        }
    };
    let mut child = command
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", util::show(&command)))?;
    if let Err(error) = wait_ready(watcher, &path, &mut child) {
        let _ = stop(watcher, Some(&mut child));
        return Err(error);
    }
    Ok(Some(child))
}

fn wait_ready(watcher: Watcher, log: &Path, child: &mut Child) -> Result<()> {
    let until = Instant::now() + START_LIMIT;
    let ready = || match watcher {
        Watcher::Nobody => true,
        Watcher::Whodunit => {
            let text = fs::read_to_string(log).unwrap_or_default();
            text.lines().any(|line| line.starts_with("ready"))
        }
        Watcher::Auditd => audit(&["-s"])
            .and_then(|text| {
                let pid = text.lines().find_map(|line| line.strip_prefix("pid "))?;
                Some(pid.trim() != "0")
            })
            .unwrap_or(false),
        Watcher::Bpftrace => {
            let text = fs::read_to_string(log).unwrap_or_default();
            text.lines().any(|line| line == "ready")
        }
    };
    while !ready() {
        if let Some(status) = child.try_wait()? {
            bail!(
                "{} ended at its start: {status}; see {}",
                watcher.name(),
                log.display()
            );
        }
        if Instant::now() > until {
            bail!("{} is not ready; see {}", watcher.name(), log.display());
        }
        sleep(Duration::from_millis(50));
    }
    if watcher == Watcher::Auditd {
        for rule in AUDIT_RULES {
            util::check_quiet(util::privileged("auditctl")?.args(*rule))?;
        }
    }
    Ok(())
}

fn stop(watcher: Watcher, child: Option<&mut Child>) -> Result<()> {
    let Some(child) = child else { return Ok(()) };
    if watcher == Watcher::Auditd {
        audit(&["-D"]).context("cannot remove the audit rules")?;
    }
    let pid = child.id().to_string();
    util::check_quiet(Command::new("kill").args(["-TERM", &pid]))?;
    child.wait()?;
    if watcher == Watcher::Auditd {
        audit(&["-e", "0"]).context("cannot switch audit off")?;
    }
    Ok(())
}

fn audit(arguments: &[&str]) -> Option<String> {
    util::capture(util::privileged("auditctl").ok()?.args(arguments))
}

fn mount_tracefs() -> Result<()> {
    let place = "/sys/kernel/tracing";
    if Path::new(place).join("events").exists() {
        return Ok(());
    }
    util::check_quiet(Command::new("mount").args(["-t", "tracefs", "tracefs", place]))
}

/// CPU time of this process and of the children that it waited for, in ns.
fn own_cpu() -> Result<u64> {
    let stat = String::from_utf8(util::read(Path::new("/proc/self/stat"))?)?;
    let fields = stat.rsplit_once(')').context("/proc/self/stat is odd")?.1;
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11) // utime, stime, cutime, cstime
        .take(4)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Ok(ticks * 10_000_000) // USER_HZ is 100
}

/// CPU time of all threads of processes, in ns.
fn cpu_of(processes: &[u32]) -> u64 {
    let threads = processes
        .iter()
        .filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok())
        .flatten()
        .flatten();
    threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

fn kernel_thread(name: &str) -> Option<u32> {
    util::capture(Command::new("pgrep").args(["-x", name]))?
        .trim()
        .parse()
        .ok()
}
