//! The agent as a child process.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, fs};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::event::{Event, check_all};
use crate::feed::Feed;
use crate::skip;

/// How long anything may take. Only a failing test waits this long.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The agent under test: `WHODUNIT_BINARY`, else the release build, else the debug build.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = env::var_os("WHODUNIT_BINARY") {
        return path.into();
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let builds = ["release/whodunit", "debug/whodunit"];
    let found = builds.iter().map(|build| target.join(build));
    match found.into_iter().find(|path| path.is_file()) {
        Some(path) => path,
        None => panic!(
            "no agent in {}: run `cargo xtask build`, or name one by WHODUNIT_BINARY",
            target.display()
        ),
    }
}

/// Whether the agent cannot work here, whatever its quality; says so.
#[must_use]
pub fn skip_without_bpf() -> bool {
    const SYS_ADMIN: u32 = 21;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = capabilities.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    let reason = if !geteuid().is_root() {
        "not root"
    } else if capabilities.is_none_or(|set| set >> SYS_ADMIN & 1 == 0) {
        "root without CAP_SYS_ADMIN"
    } else if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        "this kernel has no BTF"
    } else {
        return false;
    };
    skip(reason);
    true
}

/// A running agent that writes OCSF.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    events: Arc<Feed<Event>>,
    stderr: Arc<Feed<String>>,
    readers: Vec<JoinHandle<()>>,
}

/// The agent's own account of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Events written.
    pub events: u64,
    /// Of them findings.
    pub findings: u64,
    /// Records and events lost.
    pub lost: u64,
}

/// What is left of an agent that ended.
#[derive(Debug)]
pub struct Run {
    /// Everything it told.
    pub events: Vec<Event>,
    /// Its own words.
    pub stderr: Vec<String>,
    /// Its account.
    pub totals: Totals,
}

impl Agent {
    /// Starts `whodunit run` and waits until it is ready. `None` where it cannot work.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Option<Self> {
        if skip_without_bpf() {
            return None;
        }
        let path = binary();
        let mut command = Command::new(&path);
        command.args(["run", "--format", "ocsf"]).args(arguments);
        // What one test sees is nothing to another, nor to an agent of this host.
        if !arguments.contains(&"--state") {
            command.arg("--no-state");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = match command.stderr(Stdio::piped()).spawn() {
            Ok(child) => child,
            Err(error) => panic!("cannot start {}: {error}", path.display()),
        };
        let events = Arc::new(Feed::new());
        let stderr = Arc::new(Feed::new());
        let readers = vec![
            read(child.stdout.take(), &events, |line| Event::parse(&line)),
            read(child.stderr.take(), &stderr, |line| line),
        ];
        let agent = Self {
            child,
            events,
            stderr,
            readers,
        };
        let ready = |line: &String| line.starts_with("ready");
        if let Err(why) = agent.stderr.wait(DEADLINE, ready) {
            panic!("not ready ({why:?}): {:#?}", agent.stderr.all());
        }
        Some(agent)
    }

    /// The agent's pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The first event, told or still to be told, that `wanted` accepts.
    pub fn wait_for(&self, what: &str, wanted: impl FnMut(&Event) -> bool) -> Event {
        match self.events.wait(DEADLINE, wanted) {
            Ok(event) => event,
            Err(why) => {
                let mut tail = String::new();
                let events = self.events.all();
                for event in &events[events.len().saturating_sub(25)..] {
                    let _ = writeln!(tail, "  {}", event.brief());
                }
                panic!(
                    "{what} was not told ({why:?})\nstderr: {:#?}\nthe last of {} events:\n{tail}",
                    self.stderr.all(),
                    events.len()
                );
            }
        }
    }

    /// Stops the agent as a service manager would, and checks what holds for every run.
    #[must_use = "or use stop"]
    pub fn finish(mut self) -> Run {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGTERM).expect("the agent still runs");
        let status = wait_exit(&mut self.child);
        for reader in self.readers.drain(..) {
            assert!(reader.join().is_ok(), "a line that is not JSON");
        }
        let (events, stderr) = (self.events.all(), self.stderr.all());
        assert!(status.success(), "{status}: {stderr:#?}");
        let totals = Totals::parse(stderr.last().map_or("", String::as_str));
        assert_eq!(totals.events, events.len() as u64, "{stderr:#?}");
        let findings = events
            .iter()
            .filter(|event| event.number("class_uid") == 2004);
        assert_eq!(totals.findings, findings.count() as u64);
        check_all(&events, totals.lost);
        Run {
            events,
            stderr,
            totals,
        }
    }

    /// Kills the agent, so that it cannot write anything more. Gives what it told.
    #[must_use]
    pub fn kill(mut self) -> Vec<Event> {
        self.child.kill().expect("the agent still runs");
        self.child.wait().expect("it can be waited for");
        for reader in self.readers.drain(..) {
            // The last line may be cut.
            let _ = reader.join();
        }
        self.events.all()
    }

    /// [`Agent::finish`] for tests that want nothing of it.
    pub fn stop(self) {
        let _ = self.finish();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Only after a failed assertion is it still there.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Totals {
    /// Reads `5 events, 0 findings, 0 lost`.
    #[must_use]
    pub fn parse(line: &str) -> Self {
        let number = |part: &str, word: &str| part.strip_suffix(word)?.trim().parse().ok();
        let read = || -> Option<Self> {
            let mut parts = line.split(", ");
            Some(Self {
                events: number(parts.next()?, "events")?,
                findings: number(parts.next()?, "findings")?,
                lost: number(parts.next()?, "lost")?,
            })
        };
        match read() {
            Some(totals) => totals,
            None => panic!("no closing line: {line:?}"),
        }
    }
}

/// Waits until a child ends by itself.
pub fn wait_exit(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status,
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            Ok(None) => {
                let _ = child.kill();
                panic!("{} did not end", binary().display());
            }
            Err(error) => panic!("cannot wait: {error}"),
        }
    }
}

/// Reads lines on a thread of its own, so that the agent never waits for the test.
fn read<T: Clone + Send + 'static>(
    pipe: Option<impl Read + Send + 'static>,
    feed: &Arc<Feed<T>>,
    parse: fn(String) -> T,
) -> JoinHandle<()> {
    let pipe = pipe.expect("is piped");
    let feed = Arc::clone(feed);
    thread::spawn(move || {
        let _end = End(Arc::clone(&feed));
        for line in BufReader::new(pipe).lines() {
            feed.push(parse(line.expect("is text")));
        }
    })
}

/// Ends the feed also when its reader panics.
struct End<T: Clone>(Arc<Feed<T>>);

impl<T: Clone> Drop for End<T> {
    fn drop(&mut self) {
        self.0.end();
    }
}
