//! TLS for both listeners: version 1.2 or later, HTTP/2 and 1.1 by ALPN, and a certificate that may change while
//! connections are open: each handshake takes the newest one, those who are connected stay so.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::config::Server;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("`server.{key}`: {path} cannot be read: {why}")]
    File {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// There is no certificate in the file.
    #[error(
        "`server.tls_cert_file`: {0} holds no certificate; it must hold the server's own, then those between \
         it and the root, as PEM"
    )]
    NoCertificate(PathBuf),
    /// The two files do not belong together, or are of a kind that is not served.
    #[error("the certificate in {cert} and the private key in {key} cannot be used: {source}")]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The library refuses its own defaults.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// The listeners' side of TLS.
#[derive(Debug, Clone)]
pub struct Tls {
    config: ServerConfig,
    current: Arc<Current>,
}

/// The certificate that the next handshake gets, and where it comes from.
#[derive(Debug)]
struct Current {
    files: Files,
    provider: Arc<CryptoProvider>,
    key: RwLock<Arc<CertifiedKey>>,
}

/// Where certificate and private key are.
#[derive(Debug, Clone)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

/// What tells a file from the one that was there before.
type Seen = Option<(SystemTime, u64)>;

impl Tls {
    /// Reads certificate and key; `None` if none are configured.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn open(server: &Server) -> Result<Option<Self>, TlsError> {
        let (Some(cert), Some(key)) = (&server.tls_cert_file, &server.tls_key_file) else { return Ok(None) };
        let files = Files { cert: cert.clone(), key: key.clone() };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = RwLock::new(Arc::new(files.load(&provider)?));
        let current = Arc::new(Current { files, provider: Arc::clone(&provider), key });
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        Ok(Some(Self { config, current }))
    }

    /// What a listener needs.
    #[must_use]
    pub fn config(&self) -> ServerConfig {
        self.config.clone()
    }

    /// Takes up a new certificate when its files change, and on SIGHUP, which does no harm any more from the
    /// moment on that this is called. Never ends. What cannot be used is said in the log, and the old one
    /// stays.
    pub fn follow_files(self) -> impl Future<Output = ()> + Send {
        let hang_up = signal(SignalKind::hangup()).ok();
        self.follow(hang_up)
    }

    async fn follow(self, mut hang_up: Option<Signal>) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = self.current.files.seen();
        loop {
            let told = async {
                match &mut hang_up {
                    Some(signal) => signal.recv().await,
                    None => std::future::pending().await,
                }
            };
            let asked = tokio::select! {
                _ = ticks.tick() => false,
                _ = told => true,
            };
            let now = self.current.files.seen();
            if asked || now != seen {
                seen = now;
                self.current.reload();
            }
        }
    }
}

impl Current {
    fn reload(&self) {
        match self.files.load(&self.provider) {
            Ok(key) => {
                *self.key.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
                info!(file = %self.files.cert.display(), "took up the TLS certificate");
            }
            Err(error) => warn!(%error, "the new TLS certificate cannot be used; the old one stays"),
        }
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.key.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Files {
    fn load(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let chain = certificates(&self.cert)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| unreadable("tls_key_file", &self.key, "private key", &error))?;
        if is_open_to_all(&self.key) {
            warn!(file = %self.key.display(), "everybody on this machine can read the TLS private key; chmod 600");
        }
        let pair = CertifiedKey::from_der(chain, key, provider);
        pair.map_err(|source| TlsError::Pair { cert: self.cert.clone(), key: self.key.clone(), source })
    }

    fn seen(&self) -> (Seen, Seen) {
        let seen = |path: &Path| {
            let file = fs::metadata(path).ok()?;
            Some((file.modified().ok()?, file.len()))
        };
        (seen(&self.cert), seen(&self.key))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |error: pem::Error| unreadable("tls_cert_file", path, "certificate", &error);
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(unreadable)?.collect();
    let found = found.map_err(unreadable)?;
    if found.is_empty() { Err(TlsError::NoCertificate(path.to_owned())) } else { Ok(found) }
}

fn unreadable(key: &'static str, path: &Path, what: &str, error: &pem::Error) -> TlsError {
    let why = match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => format!("it holds no {what} as PEM"),
        other => other.to_string(),
    };
    TlsError::File { key, path: path.to_owned(), why }
}

fn is_open_to_all(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
}
