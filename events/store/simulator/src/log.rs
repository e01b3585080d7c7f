//! The log that all nodes share: one order over all streams, positions that are places in a file.
//!
//! Rules are the server's (`IndexWriter.CheckCommit` and `AllReader` of its sources): an append happens at its
//! expected revision or not at all; the same events at the same place again are the same append; positions are
//! byte offsets, sparse and irregular, and reading from one that is no record's start is refused.
//! What is answered is durable where the log has a file.

mod append;
mod disk;
mod read;
mod system;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

pub(crate) use append::{Appended, Expected, Refused, Write};
use disk::Disk;
pub(crate) use read::{InvalidPosition, Page, StreamPage};

/// An event as a client proposes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proposed {
    pub(crate) id: Uuid,
    pub(crate) event_type: String,
    pub(crate) is_json: bool,
    pub(crate) data: Bytes,
    pub(crate) metadata: Bytes,
}

/// An event as it lies in the log.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// Where its record starts; commit and prepare position alike.
    pub(crate) position: u64,
    pub(crate) stream: Arc<str>,
    pub(crate) revision: u64,
    /// 100-nanosecond ticks since 1970.
    pub(crate) created: u64,
    pub(crate) event: Proposed,
}

/// What is known of a stream.
#[derive(Default)]
struct Stream {
    events: Vec<Arc<Recorded>>,
    /// The first revision that reads still show (`$tb`).
    truncate_before: u64,
    /// How many events reads show at most (`$maxCount`).
    max_count: Option<u64>,
}

#[derive(Default)]
struct State {
    events: Vec<Arc<Recorded>>,
    /// Starts of records that hold no event.
    fillers: Vec<u64>,
    /// Where the next record will start.
    end: u64,
    streams: HashMap<Arc<str>, Stream>,
    appends: u64,
    /// After how many appends the server writes an event of its own; 0: never.
    system_event_every: u64,
    disk: Option<Disk>,
}

/// The log, shared by all nodes.
pub(crate) struct Log {
    state: Mutex<State>,
    /// Appends that wait until the ones before them are synchronised.
    waiting: Mutex<Vec<Waiting>>,
    end: watch::Sender<u64>,
    system_event_every: u64,
    is_durable: bool,
}

/// An append that waits for its turn.
struct Waiting {
    write: Write,
    may: Box<dyn FnOnce() -> bool + Send>,
    done: oneshot::Sender<Result<Appended, Refused>>,
}

impl Log {
    /// A log in memory, or in `file`, which is created where it is missing.
    pub(crate) fn open(file: Option<&Path>, system_event_every: u64) -> io::Result<Self> {
        let log = Self {
            state: Mutex::default(),
            waiting: Mutex::default(),
            end: watch::Sender::new(0),
            system_event_every,
            is_durable: file.is_some(),
        };
        log.load(file)?;
        Ok(log)
    }

    /// Forgets what is in memory and reads it again from the file, as a restarted server does. Without a file
    /// the log stays as it is.
    pub(crate) fn reopen(&self, file: &Path) -> io::Result<()> {
        *self.lock() = State::default();
        self.load(Some(file))
    }

    fn load(&self, file: Option<&Path>) -> io::Result<()> {
        let mut state = self.lock();
        if let Some(file) = file {
            let (disk, batches) = Disk::open(file)?;
            for batch in batches {
                state.replay(batch);
            }
            state.disk = Some(disk);
        }
        state.system_event_every = self.system_event_every;
        if state.end == 0 {
            state.create();
            state.sync();
        }
        self.end.send_replace(state.end);
        Ok(())
    }

    /// Appends, all or none, if the stream is as expected, and if it `may` when its turn has come. Where the log has
    /// a file, appends that come together are synchronised together.
    pub(crate) async fn append(
        self: &Arc<Self>,
        write: Write,
        may: impl FnOnce() -> bool + Send + 'static,
    ) -> Result<Appended, Refused> {
        if !self.is_durable {
            return self.lock().append_if(write, may, &self.end);
        }
        let (done, outcome) = oneshot::channel();
        let is_first = {
            let mut waiting = self.waiting.lock().unwrap();
            waiting.push(Waiting { write, may: Box::new(may), done });
            waiting.len() == 1
        };
        if is_first {
            let log = Arc::clone(self);
            tokio::task::spawn_blocking(move || log.append_waiting());
        }
        // An error means that the file did not take it, which ends the test, or that the simulator is dropped.
        outcome.await.unwrap_or(Err(Refused::NotWritten))
    }

    /// Appends what waits, synchronises once, and says so.
    fn append_waiting(&self) {
        let mut state = self.lock();
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
        let mut outcomes = Vec::with_capacity(waiting.len());
        for Waiting { write, may, done } in waiting {
            outcomes.push((done, state.append_if(write, may, &self.end)));
        }
        state.sync();
        drop(state);
        for (done, outcome) in outcomes {
            // An error means that nobody waits any more.
            let _ = done.send(outcome);
        }
    }

    /// The same at once, for a test that commits what it has held back.
    pub(crate) fn append_now(&self, write: Write) -> Result<Appended, Refused> {
        let mut state = self.lock();
        let outcome = state.append_if(write, || true, &self.end);
        state.sync();
        outcome
    }

    /// Writes `count` events of the server's own, as its statistics do.
    pub(crate) fn write_system_events(&self, count: usize) {
        let mut state = self.lock();
        state.write_statistics(count);
        state.sync();
        self.end.send_replace(state.end);
    }

    /// Records that another node leads.
    pub(crate) fn write_epoch(&self, leader: usize) {
        let mut state = self.lock();
        state.write_epoch(leader);
        state.sync();
        self.end.send_replace(state.end);
    }

    /// A page of a stream, upwards or downwards from `from`; `None` if there is no such stream.
    pub(crate) fn read_stream(
        &self,
        stream: &str,
        from: u64,
        forwards: bool,
        limit: usize,
    ) -> Option<StreamPage> {
        self.lock().read_stream(stream, from, forwards, limit)
    }

    /// A page of all streams upwards, from a position that is a record's start.
    pub(crate) fn read_forwards(
        &self,
        from: (u64, u64),
        limit: usize,
        window: usize,
        wanted: impl Fn(&Recorded) -> bool,
    ) -> Result<Page, InvalidPosition> {
        self.lock().read_forwards(from, limit, window, wanted)
    }

    /// A page of all streams downwards, below a position that is a record's start or the end.
    pub(crate) fn read_backwards(
        &self,
        from: (u64, u64),
        limit: usize,
        window: usize,
        wanted: impl Fn(&Recorded) -> bool,
    ) -> Result<Page, InvalidPosition> {
        self.lock().read_backwards(from, limit, window, wanted)
    }

    /// Where the log ends now, and a notice of every time that it grows.
    pub(crate) fn end(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }

    /// Comes back when every append that had started is through.
    pub(crate) fn barrier(&self) {
        drop(self.lock());
    }

    /// Every event of a stream.
    pub(crate) fn stream(&self, name: &str) -> Vec<Arc<Recorded>> {
        self.lock().streams.get(name).map_or_else(Vec::new, |stream| stream.events.clone())
    }

    /// Every event in log order.
    pub(crate) fn events(&self) -> Vec<Arc<Recorded>> {
        self.lock().events.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no one panics while holding the log")
    }
}
