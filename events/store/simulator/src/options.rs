//! How a simulator is set up.

use std::path::PathBuf;

/// How a [`Simulator`](crate::Simulator) is set up; the default is one node in memory without TLS and credentials.
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) nodes: usize,
    pub(crate) host: String,
    pub(crate) ports: Vec<u16>,
    pub(crate) file: Option<PathBuf>,
    pub(crate) tls: Option<Tls>,
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) system_event_every: u64,
    pub(crate) max_append_bytes: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Tls {
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: 1,
            host: "127.0.0.1".to_owned(),
            ports: Vec::new(),
            file: None,
            tls: None,
            credentials: None,
            system_event_every: 7,
            max_append_bytes: 1024 * 1024,
        }
    }
}

impl Options {
    /// A cluster of so many nodes that share one log; the first one leads.
    #[must_use]
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes.max(1);
        self
    }

    /// Listens on these ports, one for each node; otherwise on free ones.
    #[must_use]
    pub fn ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.ports = ports.into_iter().collect();
        self
    }

    /// By which name clients reach the nodes, where a certificate is made for a name (default `127.0.0.1`).
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Keeps the log in this file, synchronised before every answer. One simulator at a time may have it open.
    #[must_use]
    pub fn durable(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Speaks TLS with this certificate chain and private key, both PEM.
    #[must_use]
    pub fn tls(mut self, certificate_pem: &str, key_pem: &str) -> Self {
        self.tls = Some(Tls { certificate_pem: certificate_pem.to_owned(), key_pem: key_pem.to_owned() });
        self
    }

    /// Requires this user and password for everything but the list of features, as a secured server does.
    #[must_use]
    pub fn credentials(mut self, user: &str, password: &str) -> Self {
        self.credentials = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// After how many appends the server writes an event of its own into `$all` (default 7; 0: never).
    #[must_use]
    pub fn system_event_every(mut self, appends: u64) -> Self {
        self.system_event_every = appends;
        self
    }

    /// The largest append (`MaxAppendSize`, default 1 MiB): data, metadata and twice the length of the types.
    #[must_use]
    pub fn max_append_bytes(mut self, bytes: usize) -> Self {
        self.max_append_bytes = bytes;
        self
    }
}
