//! Opens the store that the configuration names: the data directory's own, or a server's.

use std::fmt;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use nemo_store::embedded::{Commit, DirLock, EmbeddedStore, Options};
use nemo_store::eventstoredb::{self, EventStoreDb};
use nemo_store::{EventStore, embedded};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::store_password::StorePassword;
use crate::backup::marks;
use crate::config::{Config, PasswordSource, ServerStore, StoreEntry, StoreLogin};
use crate::metrics::store::StoreMetrics;

/// What keeps the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = StoreKind)]
pub enum Kind {
    /// The data directory.
    Embedded,
    /// An EventStoreDB or KurrentDB server.
    EventStoreDb,
}

/// Where a ledger is, for people: a directory, or the server's hosts. Never with a user or password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// What keeps it.
    pub kind: Kind,
    /// Where that is.
    pub place: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Embedded => f.write_str(&self.place),
            Kind::EventStoreDb => write!(f, "the event store at {}", self.place),
        }
    }
}

/// A ledger's store, in use by this process.
pub struct Opened {
    /// The events.
    pub events: Arc<dyn EventStore>,
    /// Where they are.
    pub place: Place,
    /// Keeps other processes out of the data directory, where the store itself does not.
    _lock: Option<DirLock>,
}

/// Opens what `nemo serve` works on. The embedded store is checked first, which takes a while; a server need
/// not even be reachable. The embedded store's commits are counted in `metrics`.
///
/// # Errors
/// A ledger or a directory that is in use or damaged, or settings that cannot be used; the text names the
/// place and what to do.
pub async fn open(config: &Config, metrics: StoreMetrics) -> anyhow::Result<Opened> {
    let dir = &config.server.data_dir;
    match &config.store {
        StoreEntry::Embedded => {
            marks::refuse_to_write(dir)?;
            let on_commit = Box::new(move |commit: Commit| metrics.committed(commit.events, commit.took));
            open_embedded_with(dir.clone(), Options { on_commit, ..options() }).await
        }
        StoreEntry::Server(server) => {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .with_context(|| format!("cannot create {}", dir.display()))?;
            // The read model there has one writer.
            let lock = DirLock::acquire(dir);
            let lock = lock.with_context(|| format!("cannot use the directory {}", dir.display()))?;
            Ok(Opened { _lock: Some(lock), ..connect(server)? })
        }
    }
}

/// Opens the embedded store, after all its checks; tells how far they are.
///
/// # Errors
/// A ledger that is in use or damaged; the text names the place and what to do.
pub async fn open_embedded(
    dir: PathBuf,
    on_progress: impl Fn(embedded::Progress) + Send + Sync + 'static,
) -> anyhow::Result<Opened> {
    open_embedded_with(dir, Options { on_progress: Box::new(on_progress), ..options() }).await
}

async fn open_embedded_with(dir: PathBuf, options: Options) -> anyhow::Result<Opened> {
    let place = Place { kind: Kind::Embedded, place: dir.display().to_string() };
    let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(&dir, options)).await?;
    let store = opened.with_context(|| format!("cannot open the ledger in {}", place.place))?;
    Ok(Opened { events: Arc::new(store), place, _lock: None })
}

/// Begins to connect to a server. Returns at once; the store is not available until the server answers.
///
/// # Errors
/// Settings that cannot be used.
pub fn connect(server: &ServerStore) -> anyhow::Result<Opened> {
    let options = server_options(server).context("the store's settings cannot be used")?;
    let place = Place { kind: Kind::EventStoreDb, place: options.hosts() };
    let store = EventStoreDb::connect(&options).context("the store's settings cannot be used")?;
    Ok(Opened { events: Arc::new(store), place, _lock: None })
}

fn server_options(server: &ServerStore) -> anyhow::Result<eventstoredb::Options> {
    let mut options = eventstoredb::Options::new(&server.url)?;
    if let Some(file) = &server.ca_file {
        options = options.with_ca_file(file)?;
    }
    if let Some(prefix) = &server.stream_prefix {
        options = options.with_prefix(prefix)?;
    }
    if let Some(StoreLogin { user, password }) = &server.login {
        let password = match password {
            PasswordSource::Variable(name) => StorePassword::from_env(name)?,
            PasswordSource::File(path) => StorePassword::from_file(path)?,
        };
        options = options.with_login(user, password.expose_secret())?;
    }
    options.tuning.sessions = server.sessions;
    options.tuning.timeout = Duration::from_secs(server.timeout_secs.into());
    options.tuning.scan_timeout = Duration::from_secs(server.scan_timeout_secs.into());
    options.tuning.max_append_bytes = server.max_append_bytes;
    Ok(options)
}

/// Whether a directory says that it had an embedded ledger in it, whatever has become of that.
#[must_use]
pub fn was_in(dir: &Path) -> bool {
    dir.join(EmbeddedStore::WATERMARK_NAME).exists()
}

/// Whether a directory has an embedded ledger in it.
#[must_use]
pub fn is_in(dir: &Path) -> bool {
    dir.join(EmbeddedStore::FILE_NAME).exists()
}

#[cfg(not(feature = "failpoints"))]
pub(crate) fn options() -> Options {
    Options::default()
}

#[cfg(feature = "failpoints")]
pub(crate) fn options() -> Options {
    Options { on_phase: Some(crate::failpoint::reached), ..Options::default() }
}
