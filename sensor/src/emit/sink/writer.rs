//! The thread that writes.

use std::io::{self, ErrorKind};
use std::sync::PoisonError;
use std::time::Duration;

use super::Shared;
use super::queue::{Batch, FULL, Label};
use super::target::Output;

/// How long bulk lines wait for company.
const LINGER: Duration = Duration::from_millis(5);
/// Most bytes for one write: what a pipe takes at once.
const CHUNK: usize = 64 << 10;
/// How long to wait before a full disk is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// How long to wait for a reader when the descriptor does not block.
const READER: Duration = Duration::from_millis(2);

/// Why a batch was not written to its end.
enum Stop {
    /// The reader went away.
    Closed,
    /// The sink ends and the target takes no more.
    Abandoned(String),
}

/// Writes until the sink is finished and the queue is empty.
pub(super) fn run(shared: &Shared, mut output: impl Output, target: &str) {
    let mut batch = Batch::default();
    let mut stalled = false;
    while next(shared, &mut batch) {
        // Lines before this are released.
        let mut released = 0;
        let result = write(
            shared,
            &mut output,
            &batch,
            &mut released,
            &mut stalled,
            target,
        );
        match result {
            Ok(()) => batch.clear(),
            Err(Stop::Closed) => {
                shared.lock().close();
                break;
            }
            Err(Stop::Abandoned(reason)) => {
                shared.lock().abandon(&batch.lines[released..], &reason);
                break;
            }
        }
    }
    shared.lock().done = true;
    shared.done.notify_all();
}

/// Waits for lines and takes them; `false` when no more will come.
fn next(shared: &Shared, batch: &mut Batch) -> bool {
    let mut state = shared.lock();
    while state.queue.lines.is_empty() {
        if state.closing {
            return false;
        }
        state.idle = true;
        state = shared
            .work
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner);
        state.idle = false;
    }
    if !state.urgent && !state.closing && state.queue.bytes.len() < FULL {
        state = shared
            .work
            .wait_timeout(state, LINGER)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
    }
    state.urgent = false;
    std::mem::swap(batch, &mut state.queue);
    true
}

fn write(
    shared: &Shared,
    output: &mut impl Output,
    batch: &Batch,
    released: &mut usize,
    stalled: &mut bool,
    target: &str,
) -> Result<(), Stop> {
    let bytes = &batch.bytes;
    let mut at = 0;
    // Where the first line that is not released begins.
    let mut start = 0;
    while at < bytes.len() {
        let end = bytes.len().min(at + CHUNK);
        let error = match output.write(&bytes[at..end]) {
            Ok(count) if count > 0 => {
                at += count;
                if std::mem::take(stalled) {
                    log::info!("{target} takes events again");
                }
                let lines = &batch.lines[*released..];
                let whole = whole_lines(lines, &mut start, at);
                let mut state = shared.lock();
                if state.given_up.is_none() {
                    state.release(&lines[..whole]);
                    *released += whole;
                    continue;
                }
                None
            }
            Ok(_) => Some(io::Error::from(ErrorKind::WriteZero)),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => continue,
                ErrorKind::BrokenPipe => return Err(Stop::Closed),
                ErrorKind::WouldBlock => None,
                _ => Some(error),
            },
        };
        if let Some(error) = &error
            && !std::mem::replace(stalled, true)
        {
            log::error!("cannot write events to {target}: {error}; trying again until it works");
        }
        let full = error.is_some();
        let state = shared.lock();
        // A slow reader has until the deadline; a full disk has had its chance.
        if state.given_up.is_some() || (state.closing && full) {
            drop(state);
            output.take_back((at - start) as u64);
            let reason = error.map_or_else(String::new, |error| error.to_string());
            return Err(Stop::Abandoned(reason));
        }
        let waiting =
            shared
                .work
                .wait_timeout_while(state, if full { RETRY } else { READER }, |state| {
                    state.given_up.is_none() && !(state.closing && full)
                });
        drop(waiting.unwrap_or_else(PoisonError::into_inner));
    }
    Ok(())
}

/// How many of `lines`, the first of which begins at `start`, end at or before `at`; `start` moves
/// behind them.
fn whole_lines(lines: &[(Label, usize)], start: &mut usize, at: usize) -> usize {
    let mut whole = 0;
    for (_, length) in lines {
        if *start + length > at {
            break;
        }
        *start += length;
        whole += 1;
    }
    whole
}
