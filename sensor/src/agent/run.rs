//! The loop of `whodunit run`.

use std::{future::pending, path::PathBuf, time::Duration};

use anyhow::Context as _;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::yield_now,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use whodunit_common::BULK_WAKE_INTERVAL;

use super::{Agent, Totals, stream::Stream};
use crate::{
    config::Config,
    detect::{Detector, baseline::State},
    emit::{Encoder, Format, Sink, Style, Target},
    host::Host,
    kernel::{TierChoice, Wake, heap},
};

/// How often losses are reported and names are looked up anew.
const TICK: Duration = Duration::from_millis(500);
/// How late that may be while records wait: it handles all of them first.
const TICK_LATEST: Duration = Duration::from_secs(5);
/// How often memory that was freed is given back, beside once at the start.
const TIDY: Duration = Duration::from_secs(20);
/// How long after a wakeup for the bulk ring it is looked at again.
const LOOK_AGAIN: Duration = Duration::from_nanos(BULK_WAKE_INTERVAL + 2_000_000);
/// Most facts of managers that are taken in one turn.
const FACTS_MAX: usize = 1024;
/// How long the sink may take at the end.
const FINISH: Duration = Duration::from_secs(5);
/// Events that may wait for a slow reader.
const QUEUE: usize = 16_384;

/// What `whodunit run` was asked to do.
#[derive(Debug)]
pub struct Options {
    /// How events are written.
    pub format: Format,
    /// How compact lines look.
    pub style: Style,
    /// Where to.
    pub target: Target,
    /// End after this long.
    pub duration: Option<Duration>,
    /// End after this many events.
    pub count: Option<u64>,
    /// How file changes may be seen.
    pub tier: TierChoice,
    /// Whether the end of processes is told too.
    pub exits: bool,
    /// What findings are weighed by, and what is expected.
    pub config: Config,
    /// The trusted state that findings are weighed by.
    pub baseline: Option<State>,
    /// Where the store lies; `None`: nothing is kept.
    pub state: Option<PathBuf>,
    /// The files that it goes by: whoever changes one changes what is told.
    pub settings: Vec<PathBuf>,
}

/// Runs until a signal, the end of the time, or enough events.
pub async fn run(options: Options) -> anyhow::Result<Totals> {
    let Options {
        format,
        style,
        target,
        duration,
        count,
        tier,
        exits,
        config,
        baseline,
        state,
        settings,
    } = options;
    let host = Host::read();
    let encoder = Encoder::new(format, &host, style)?;
    let sink = Sink::spawn(target, QUEUE)?;
    let stream = Stream::new(run_name()?, count, baseline, encoder, sink);

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let detector = Detector::new(config.tunables, config.exceptions).trusting(config.managed);
    // First: by the time the probes see, managers are listened to.
    let mut bus = crate::systemd::bus::track().context("cannot start to read the bus")?;
    let mut agent = Agent::start(
        tier,
        exits,
        detector,
        stream,
        &host,
        state.as_deref(),
        &settings,
    )?;
    // The kernel side's own words, if it has any, go to the log.
    let mut logger = agent.probes.log();

    let [priority, requests, bulk] = agent.rings.wakes()?;
    let marks = agent.watching.watches.wake()?;
    let mounts = Wake::on_mounts().context("cannot watch /proc/self/mountinfo")?;
    for manager in agent.take_found() {
        bus.follow(manager);
    }

    eprintln!(
        "ready: processes by tracepoint, file changes by {}, {} places watched",
        agent.file_tier().as_str(),
        agent.watched()
    );
    crate::host::notify::ready();

    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tidy = interval(TIDY);
    tidy.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = async {
        match duration {
            Some(duration) => sleep(duration).await,
            None => pending().await,
        }
    };
    tokio::pin!(end);
    let mut look_again = false;
    // Whether a turn ended before all was handled that waits.
    let mut more = false;
    let mut ticked = Instant::now();
    loop {
        tokio::select! {
            woken = priority.ready() => woken?,
            woken = requests.ready() => woken?,
            woken = bulk.ready() => {
                woken?;
                look_again = true;
            }
            () = sleep(LOOK_AGAIN), if look_again => look_again = false,
            () = due(agent.next_due()) => agent.due(),
            woken = woken(marks.as_ref()) => woken?,
            woken = mounts.ready() => {
                woken?;
                agent.mounts_changed();
            }
            Some(told) = bus.facts.next() => {
                agent.facts_lost(bus.facts.take_dropped());
                agent.told(told);
            }
            _ = ticks.tick(), if !more || ticked.elapsed() >= TICK_LATEST => {
                ticked = Instant::now();
                agent.facts_lost(bus.facts.take_dropped());
                agent.tick();
                if let Some(logger) = &mut logger {
                    logger.flush();
                }
            }
            _ = tidy.tick() => heap::give_back(),
            () = yield_now(), if more => {}
            () = &mut end => break,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => break,
        }
        for _ in 0..FACTS_MAX {
            let Some(told) = bus.facts.waiting() else {
                break;
            };
            agent.told(told);
        }
        let handled;
        (handled, more) = agent.turn();
        // More may come without a wakeup: see BULK_WAKE_INTERVAL.
        look_again |= handled > 0;
        for manager in agent.take_found() {
            bus.follow(manager);
        }
        if agent.is_done() {
            break;
        }
    }
    agent.drain_all();
    agent.finish(FINISH).context("the output is not complete")
}

async fn due(wait: Option<Duration>) {
    match wait {
        Some(wait) => sleep(wait).await,
        None => pending().await,
    }
}

async fn woken(marks: Option<&Wake>) -> std::io::Result<()> {
    match marks {
        Some(marks) => marks.ready().await,
        None => pending().await,
    }
}

/// A name that no other run has: the first half of a random UUID from the kernel.
fn run_name() -> anyhow::Result<String> {
    const SOURCE: &str = "/proc/sys/kernel/random/uuid";
    let uuid = std::fs::read_to_string(SOURCE).with_context(|| format!("cannot read {SOURCE}"))?;
    Ok(uuid.trim().replace('-', "").chars().take(16).collect())
}
