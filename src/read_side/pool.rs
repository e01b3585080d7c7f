//! A few readers of the read model. Each blocks, so each question runs on a thread made for that.

use std::path::Path;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nemo_read_model::{ReadModelError, Reader};
use tokio::sync::Semaphore;

/// Questions that are answered at the same time.
const READERS: usize = 4;
/// How long a question waits for a reader.
const PATIENCE: Duration = Duration::from_secs(2);

/// Readers of one file.
pub(super) struct Pool {
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Idle>>,
}

/// Readers that wait for a question. Those of an earlier file are not taken back.
#[derive(Default)]
struct Idle {
    generation: u64,
    readers: Vec<Reader>,
}

impl Pool {
    pub(super) fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(READERS)), idle: Arc::default() }
    }

    /// Forgets every reader: the file is another one now.
    pub(super) fn forget(&self) {
        let mut idle = lock(&self.idle);
        idle.generation = idle.generation.wrapping_add(1);
        idle.readers.clear();
    }

    /// Asks a reader; `None` where none came free in time.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        path: &Path,
        ask: impl FnOnce(&Reader) -> Result<T, ReadModelError> + Send + 'static,
    ) -> Option<Result<T, ReadModelError>> {
        let permit =
            tokio::time::timeout(PATIENCE, Arc::clone(&self.permits).acquire_owned()).await.ok()?.ok()?;
        let (idle, path) = (Arc::clone(&self.idle), path.to_owned());
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let (generation, reader) = take(&idle);
            let reader = reader.map_or_else(|| Reader::open(&path), Ok)?;
            let answer = ask(&reader);
            give_back(&idle, generation, reader);
            answer
        });
        // Only a panic or the end of the runtime has no answer.
        work.await.ok()
    }
}

fn take(idle: &Mutex<Idle>) -> (u64, Option<Reader>) {
    let mut idle = lock(idle);
    (idle.generation, idle.readers.pop())
}

fn give_back(idle: &Mutex<Idle>, generation: u64, reader: Reader) {
    let mut idle = lock(idle);
    if idle.generation == generation {
        idle.readers.push(reader);
    }
}

fn lock(idle: &Mutex<Idle>) -> std::sync::MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
