//! Virtual machines: a script run against the agent on a suite's own kernel and systemd.
//!
//! One run is one boot of a cached image, which stays as it was built: what differs from run to run
//! (the agent, its unit, the script) is on a second disk, which also brings the results back.

mod cpio;
mod disk;
mod guest;
mod image;
mod initrd;
mod qemu;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{setup, util};

/// What to run, and where.
pub(crate) struct Job {
    /// Debian suite.
    pub(crate) suite: String,
    /// Kernel package (PACKAGE or PACKAGE/SUITE) in place of the suite's own.
    pub(crate) kernel: Option<String>,
    /// Script run as root with bash; its directory is /scenario in the guest.
    pub(crate) script: PathBuf,
    /// Directory for what comes back.
    pub(crate) out: PathBuf,
    /// How often the machine is booted with the same disks.
    pub(crate) boots: u32,
    /// Agent to run; the release build when None.
    pub(crate) binary: Option<PathBuf>,
    /// Files that are put beside the script.
    pub(crate) added: Vec<PathBuf>,
    /// Further arguments of `whodunit run`.
    pub(crate) sensor_args: Vec<String>,
    /// From power-on to power-off.
    pub(crate) timeout: Duration,
}

/// How a run went.
pub(crate) struct Outcome {
    /// The script's exit status.
    pub(crate) script_status: i32,
}

/// Boots, runs the script, and brings everything back. An error means that the harness, the boot
/// or the agent failed; a failed script is an outcome.
pub(crate) fn run(job: &Job) -> Result<Outcome> {
    let start = Instant::now();
    let suite = image::suite(&job.suite)?;
    let script = job
        .script
        .canonicalize()
        .with_context(|| format!("cannot find the script {}", job.script.display()))?;
    let binary = job
        .binary
        .clone()
        .unwrap_or_else(|| util::product("release/whodunit"));
    if !binary.is_file() {
        bail!(
            "{} does not exist: run `cargo xtask build`",
            binary.display()
        );
    }
    setup::provision(true)?;
    let mut phases = Phases::default();
    let image = image::prepare(suite, job.kernel.as_deref())?;
    phases.mark("image", start.elapsed());

    clear(&job.out)?;
    let work = Work::create(&job.out)?;
    let disk = work.0.join("disk.img");
    let payload = guest::Payload {
        binary: &binary,
        script: &script,
        added: &job.added,
        sensor_args: &job.sensor_args,
        suite: suite.name,
        seconds: job.timeout.as_secs(),
    };
    guest::lay_out(&payload, &work.0.join("tree"))?;
    disk::make(&work.0.join("tree"), &disk)?;
    phases.mark("disk", start.elapsed());

    let root = (job.boots > 1).then(|| work.0.join("root.img"));
    if let Some(root) = &root {
        disk::copy(&image.disk, root)?;
    }
    let console = job.out.join("console.log");
    let mut ended = Ok(());
    for boot in 1..=job.boots {
        let machine = qemu::Machine {
            image: &image,
            cmdline: suite.cmdline,
            disk: &disk,
            root: root.as_deref(),
            boot,
        };
        ended = qemu::run(&machine, &console, job.timeout, |name| {
            phases.mark(name, start.elapsed());
        });
        if ended.is_err() || boot == job.boots {
            break;
        }
        disk::between_boots(&disk, &job.out.join(format!("boot-{boot}")))?;
        let kept = job.out.join(format!("console-{boot}.log"));
        fs::rename(&console, &kept).with_context(|| format!("no {}", console.display()))?;
    }
    // Even after a failure: what came so far says why.
    let read = disk::read_back(&disk, &work.0, &job.out);
    phases.mark("results", start.elapsed());
    println!("{}: {phases}", suite.name);
    ended.and(read).map_err(|error| explain(&job.out, error))?;
    verdict(&job.out).map_err(|error| explain(&job.out, error))
}

/// Reads what the guest's driver left.
fn verdict(out: &Path) -> Result<Outcome> {
    if let Ok(problem) = fs::read_to_string(out.join("failure")) {
        bail!("{}", problem.trim());
    }
    let console = fs::read(out.join("console.log")).unwrap_or_default();
    if String::from_utf8_lossy(&console).contains("Kernel panic") {
        bail!("the guest's kernel panicked");
    }
    let file = out.join("status");
    let Ok(text) = fs::read_to_string(&file) else {
        bail!("the machine ended before the script did: no status came back");
    };
    let script_status = text
        .trim()
        .parse()
        .with_context(|| format!("{} does not hold a number: {text:?}", file.display()))?;
    if script_status != 0 {
        let log = fs::read(out.join("script.log")).unwrap_or_default();
        eprintln!("the script's exit status is {script_status}; the end of script.log:");
        eprintln!("{}", util::tail(&String::from_utf8_lossy(&log), 20));
    }
    Ok(Outcome { script_status })
}

/// Adds the ends of the logs that a person would look at next.
fn explain(out: &Path, error: anyhow::Error) -> anyhow::Error {
    let mut text = format!("{error:#}");
    for (name, lines) in [("console.log", 25), ("stderr.log", 15), ("script.log", 10)] {
        let bytes = fs::read(out.join(name)).unwrap_or_default();
        if !bytes.is_empty() {
            let end = util::tail(&String::from_utf8_lossy(&bytes), lines);
            text.push_str(&format!("\n--- end of {}\n{end}", out.join(name).display()));
        }
    }
    anyhow::Error::msg(text)
}

/// Removes what an earlier run left: a stale result must never be taken for this run's.
fn clear(out: &Path) -> Result<()> {
    util::create_dir(out)?;
    for name in [
        "events.ndjson",
        "stderr.log",
        "console.log",
        "script.log",
        "journal.log",
        "status",
        "failure",
        "sensor",
    ] {
        match fs::remove_file(out.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error)
                    .with_context(|| format!("cannot remove {}", out.join(name).display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A directory for the run's own files, gone when the run ends.
struct Work(PathBuf);

impl Work {
    fn create(out: &Path) -> Result<Self> {
        let dir = out.join(format!(".vm-{}", std::process::id()));
        util::create_dir(&dir)?;
        Ok(Self(dir))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // Nothing to be done about a failure: the files are only in the way.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How long each phase took.
#[derive(Default)]
struct Phases(Vec<(String, Duration)>);

impl Phases {
    fn mark(&mut self, name: &str, at: Duration) {
        self.0.push((name.to_owned(), at));
    }
}

impl std::fmt::Display for Phases {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut before = Duration::ZERO;
        for (name, at) in &self.0 {
            write!(formatter, "{name} {:.1} s, ", (*at - before).as_secs_f64())?;
            before = *at;
        }
        write!(formatter, "in all {:.1} s", before.as_secs_f64())
    }
}
