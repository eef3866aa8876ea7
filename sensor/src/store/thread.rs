//! The thread that writes: the loop hands notes over and never waits for the disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::database::Database;
use super::error::is_corrupt;
use super::note::Note;
use crate::event::LossCount;

/// How long notes that are not urgent may wait for company.
pub const LAZY: Duration = Duration::from_secs(10);
/// Notes that may wait for the thread; what comes then is dropped and counted.
const QUEUE: usize = 2048;
/// So many times that, if it is a change or a request: who made a unit is not known otherwise.
const LASTING: usize = 8;
/// Most notes of one transaction, and of those kept while the disk refuses them.
const BATCH: usize = 1024;
/// How long after a refusal it is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// How often it is looked for what is too old or too much.
const TIDY: Duration = Duration::from_secs(3600);
/// The same by what was written meanwhile.
const TIDY_NOTES: usize = 4096;

/// The store of a running agent.
#[derive(Debug)]
pub struct Store {
    sender: Sender<Note>,
    /// Notes that may wait.
    queue: usize,
    shared: Arc<Shared>,
    done: Receiver<()>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// How many notes wait for the thread.
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    dropped: BTreeMap<&'static str, u64>,
    gaps: Vec<String>,
    /// Nothing more will come.
    closing: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Counters stay usable whatever happened to who held them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drop_note(&self, kind: &'static str) {
        *self.state().dropped.entry(kind).or_default() += 1;
    }

    fn gap(&self, gap: String) {
        log::warn!("{gap}");
        let mut state = self.state();
        if state.gaps.len() < 16 {
            state.gaps.push(gap);
        }
    }
}

impl Store {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn spawn(database: Database) -> std::io::Result<Self> {
        Self::spawn_with_queue(database, QUEUE)
    }

    pub(super) fn spawn_with_queue(database: Database, queue: usize) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let (finished, done) = channel();
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            database: Some(database),
            shared: Arc::clone(&shared),
            receiver,
            waiting: Vec::new(),
            since: Instant::now(),
            refused: None,
            tidied: None,
            written: 0,
        };
        thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                writer.run();
                // Nobody may be waiting for it.
                let _ = finished.send(());
            })?;
        Ok(Self {
            sender,
            queue,
            shared,
            done,
        })
    }

    /// Hands a note over. When there is no room it is dropped and counted.
    pub fn keep(&self, note: Note) {
        let lasting = matches!(note, Note::Change(_) | Note::Request(_));
        let room = self.queue * if lasting { LASTING } else { 1 };
        // Nobody else sends: it can only become less.
        if self.shared.waiting.load(Ordering::Relaxed) >= room {
            return self.shared.drop_note(note.kind());
        }
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.sender.send(note) {
            self.shared.drop_note(error.0.kind());
        }
    }

    /// What was dropped since this was last asked.
    #[must_use]
    pub fn losses(&self) -> Vec<LossCount> {
        let dropped = std::mem::take(&mut self.shared.state().dropped);
        let losses = dropped.into_iter().map(|(kind, count)| LossCount {
            stage: "store",
            kind,
            count,
        });
        losses.collect()
    }

    /// What went wrong since this was last asked, each a sentence.
    #[must_use]
    pub fn gaps(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.state().gaps)
    }

    /// Writes what waits, for `limit` at most. Says what was lost at the end.
    #[must_use]
    pub fn finish(self, limit: Duration) -> Vec<LossCount> {
        let Self {
            sender,
            shared,
            done,
            ..
        } = self;
        shared.state().closing = true;
        drop(sender);
        if done.recv_timeout(limit).is_err() {
            log::warn!("the store was not finished within {} s", limit.as_secs());
        }
        let dropped = std::mem::take(&mut shared.state().dropped);
        let losses = dropped.into_iter().map(|(kind, count)| LossCount {
            stage: "store",
            kind,
            count,
        });
        losses.collect()
    }
}

struct Writer {
    /// `None` once it could not even be replaced.
    database: Option<Database>,
    shared: Arc<Shared>,
    receiver: Receiver<Note>,
    waiting: Vec<Note>,
    /// When the first of `waiting` came.
    since: Instant,
    /// When the disk last refused.
    refused: Option<Instant>,
    tidied: Option<Instant>,
    written: usize,
}

impl Writer {
    fn run(mut self) {
        loop {
            let more = self.gather();
            if self.is_due() || !more {
                self.flush();
            }
            if !more {
                for note in self.waiting.drain(..) {
                    self.shared.drop_note(note.kind());
                }
                return;
            }
            self.tidy_now_and_then();
        }
    }

    /// Waits for notes. `false` when no more will come.
    fn gather(&mut self) -> bool {
        let wait = match self.refused {
            Some(at) => RETRY.saturating_sub(at.elapsed()),
            None if self.waiting.is_empty() => TIDY,
            None => LAZY.saturating_sub(self.since.elapsed()),
        };
        if self.refused.is_some() && self.waiting.len() >= BATCH {
            if self.shared.state().closing {
                for note in self.receiver.iter() {
                    self.shared.drop_note(note.kind());
                }
                return false;
            }
            // What comes meanwhile waits in the queue, which counts what it has no room for.
            thread::sleep(wait);
            return true;
        }
        match self.receiver.recv_timeout(wait) {
            Ok(note) => self.wait_for_company(note),
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        while self.waiting.len() < BATCH {
            match self.receiver.try_recv() {
                Ok(note) => self.wait_for_company(note),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        true
    }

    fn wait_for_company(&mut self, note: Note) {
        self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        if self.waiting.is_empty() {
            self.since = Instant::now();
        }
        self.waiting.push(note);
    }

    fn is_due(&self) -> bool {
        if let Some(at) = self.refused {
            return at.elapsed() >= RETRY;
        }
        let full = self.waiting.len() >= BATCH;
        let old = !self.waiting.is_empty() && self.since.elapsed() >= LAZY;
        full || old || self.waiting.iter().any(Note::is_urgent)
    }

    fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let Some(database) = &mut self.database else {
            for note in self.waiting.drain(..) {
                self.shared.drop_note(note.kind());
            }
            return;
        };
        let mut result = database.write(&self.waiting);
        if result.as_ref().is_err_and(is_full) {
            // Perhaps the bound of the file was reached, and something can go.
            result = database
                .tidy(wall_now())
                .and_then(|()| database.write(&self.waiting));
        }
        match result {
            Ok(()) => {
                if self.refused.take().is_some() {
                    log::info!("the store is written again");
                }
                self.written += self.waiting.len();
                self.waiting.clear();
            }
            Err(error) if is_corrupt(&error) => self.replace(&error.to_string()),
            Err(error) => {
                if self.refused.is_none() {
                    let directory = database.directory().display();
                    self.shared.gap(format!(
                        "who wrote what is not kept for now: {directory}: {error}"
                    ));
                }
                self.refused = Some(Instant::now());
            }
        }
    }

    /// The database was found broken: starts anew. What waits is written to the new one.
    fn replace(&mut self, why: &str) {
        let Some(database) = self.database.take() else {
            return;
        };
        match database.replace(wall_now(), why) {
            Ok((database, gap)) => {
                self.shared.gap(gap);
                self.database = Some(database);
                self.refused = Some(Instant::now());
            }
            Err(error) => self
                .shared
                .gap(format!("who wrote what is not kept any more: {error}")),
        }
    }

    fn tidy_now_and_then(&mut self) {
        let due =
            self.written >= TIDY_NOTES || self.tidied.is_none_or(|last| last.elapsed() >= TIDY);
        if !due || self.refused.is_some() {
            return;
        }
        self.tidied = Some(Instant::now());
        self.written = 0;
        if let Some(database) = &mut self.database
            && let Err(error) = database.tidy(wall_now())
        {
            log::warn!("the store cannot be tidied: {error}");
        }
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}

fn wall_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}
