//! A few connections for reads, each used by one blocking task at a time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::connect::{read_failed, reader};
use crate::ReadError;

#[derive(Debug)]
pub(super) struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    readers: u32,
    permits: Arc<Semaphore>,
}

impl Pool {
    /// A pool that opens its connections when they are first needed.
    pub(super) fn new(path: PathBuf, readers: u32) -> Self {
        let readers = readers.clamp(1, 1024);
        let permits = Arc::new(Semaphore::new(readers as usize));
        Self { path, idle: Mutex::default(), readers, permits }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }

    /// Runs a read on a thread that may block. Dropping the future lets the read finish unobserved.
    pub(super) async fn run<T, F>(self: &Arc<Self>, read: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let pool = Arc::clone(self);
        let task = tokio::task::spawn_blocking(move || {
            let idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match idle {
                Some(connection) => connection,
                None => reader(&pool.path).map_err(read_failed)?,
            };
            let answer = read(&connection);
            pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            drop(permit);
            answer
        });
        task.await.unwrap_or_else(|error| Err(ReadError::Unavailable(error.to_string())))
    }

    /// Refuses further reads, waits for those that run, and closes the connections.
    pub(super) async fn close(&self) {
        if let Ok(all) = self.permits.acquire_many(self.readers).await {
            self.permits.close();
            drop(all);
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

pub(super) fn closed() -> ReadError {
    ReadError::Unavailable("the store is closed".to_owned())
}
