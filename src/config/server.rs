//! `[server]` and `[calls]`.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread;

use ipnet::IpNet;
use nemo_events::NodeId;

use super::environment::Environment;
use super::error::ConfigError;
use super::kind::{List, OneOf, Optional, Text, Whole, not_empty, parsed};
use super::read::{Section, Source};
use super::reference::section;

/// How much of a caller's address and user agent the ledger records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecordClients {
    /// The address and the user agent.
    #[default]
    Full,
    /// The network that the address lies in, and the user agent.
    Truncated,
    /// Nothing.
    None,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

const RECORD_CLIENTS: OneOf<RecordClients> = OneOf(&[
    ("full", RecordClients::Full),
    ("truncated", RecordClients::Truncated),
    ("none", RecordClients::None),
]);
const LOG_FORMAT: OneOf<LogFormat> = OneOf(&[("text", LogFormat::Text), ("json", LogFormat::Json)]);
const ADDRESS: &str = "an IP address and a port, such as \"127.0.0.1:4141\"";
const MIB: u64 = 1024 * 1024;

section! {
    /// `[server]`: the process, its addresses and its files.
    pub struct Server in "[server]" {
        /// Where `/v1` and the playground listen, and everything else too unless `management_listen` is set.
        listen: SocketAddr = Text(ADDRESS, parsed), "127.0.0.1:4141";
        /// Where the dashboard and `/api` listen. Required as soon as `listen` is not a loopback address.
        management_listen: Option<SocketAddr> = Optional(Text(ADDRESS, parsed)), "the same as `listen`";
        /// The certificate with which both listeners speak TLS: PEM, the server's own first, then those up to the root.
        tls_cert_file: Option<PathBuf> = Optional(Text("a path", not_empty::<PathBuf>)), "none: plain HTTP";
        /// The private key of that certificate, as PEM.
        tls_key_file: Option<PathBuf> = Optional(Text("a path", not_empty::<PathBuf>)), "none: plain HTTP";
        /// The directory of the ledger and its read model.
        data_dir: PathBuf = Text("a path", not_empty::<PathBuf>), "nemo-data";
        /// The directory of the master key's digest and the peppers.
        secrets_dir: Option<PathBuf> = Optional(Text("a path", not_empty::<PathBuf>)), "`secrets` in `data_dir`";
        /// This node's name in the ledger.
        node: NodeId = Text("1 to 64 letters, digits, `-`, `_` or `.`", parsed), "node-1";
        /// Threads that serve HTTP.
        workers: Option<usize> = Optional(Whole(1..=1024)), "one for each core";
        /// Proxies that are believed when they name the client in `X-Forwarded-For`: the right-most hop that is none of
        /// them counts, and no other header.
        trusted_proxies: Vec<IpNet> = List(Text("a network such as \"10.0.0.0/8\", or an address", network)), "none";
        /// How much of a caller's address and user agent is recorded with each call; truncated means /24 and /48.
        record_clients: RecordClients = RECORD_CLIENTS, "full";
        /// How long running calls may go on when the server is stopped.
        drain_secs: u32 = Whole(0..=3600), "25";
        /// How long somebody who is logged in may do nothing before the session ends.
        session_idle_secs: u32 = Whole(1..=86_400), "1800";
        /// How long a session may last in all.
        session_max_secs: u32 = Whole(1..=604_800), "43200";
        /// Largest request body.
        body_max_bytes: usize = Whole(1024..=1024 * MIB), "33554432";
        /// How log lines look.
        log_format: LogFormat = LOG_FORMAT, "text";
        /// Memory for the states of keys that are kept ready.
        accounts_max_bytes: u64 = Whole(MIB..=1024 * 1024 * MIB), "67108864";
    }
}

section! {
    /// `[calls]`: limits of every call, which a provider may have its own of.
    pub struct Calls in "[calls]" {
        /// How long a call may take in all.
        deadline_secs: u32 = Whole(1..=86_400), "600";
        /// How long connecting to a provider may take.
        connect_timeout_secs: u32 = Whole(1..=86_400), "10";
        /// How long a provider may stay silent before the first byte of its answer.
        first_byte_timeout_secs: u32 = Whole(1..=86_400), "120";
        /// How long a provider may stay silent within its answer.
        idle_timeout_secs: u32 = Whole(1..=86_400), "60";
        /// How long a call waits for money that other calls of its key hold before it is refused; 0: not at all.
        held_wait_secs: u32 = Whole(0..=60), "5";
        /// Calls in a row that a provider may leave without an answer, each charged its hold, before none is sent to it for 10 s; 0: any number.
        unknown_ends_at_most: u32 = Whole(0..=1000), "10";
        /// Calls that one request may make where each before came to nothing and cost nothing: at the next provider that serves the model, or the same one again; 1: no second one.
        attempts_at_most: u32 = Whole(1..=10), "3";
        /// How often a provider is asked again before the next one is. Official clients ask again by themselves.
        retries_at_most: u32 = Whole(0..=9), "0";
        /// Longest pause before a provider is asked again; one that asks for a longer one (`retry-after`) is passed over.
        retry_wait_secs: u32 = Whole(0..=60), "2";
        /// Longest time for which a provider that asks for a pause, takes no connection or does not take its key is asked after the others; 0: not at all.
        rest_at_most_secs: u32 = Whole(0..=3600), "30";
        /// Request fields that are passed on although Nemo does not know them: you vouch that they cost nothing.
        inert_fields: Vec<String> = List(Text("a name such as \"top_a\" or \"messages[].images\"", not_empty::<String>)), "none";
    }
}

impl Server {
    /// Reads the section and checks that its addresses fit together.
    pub(super) fn checked(section: &Section<'_>) -> Result<Self, ConfigError> {
        let server = Self::read(section)?;
        match (&server.tls_cert_file, &server.tls_key_file) {
            (Some(_), None) => return Err(section.bad("tls_key_file", "is required with `tls_cert_file`")),
            (None, Some(_)) => return Err(section.bad("tls_cert_file", "is required with `tls_key_file`")),
            _ => {}
        }
        let everywhere = !server.listen.ip().to_canonical().is_loopback();
        match server.management_listen {
            None if everywhere => Err(section.bad(
                "management_listen",
                "is required because `listen` is not a loopback address: name the address where the dashboard \
                 and `/api` listen, such as \"127.0.0.1:4142\"",
            )),
            Some(address) if address == server.listen && address.port() != 0 => Err(section.bad(
                "management_listen",
                "must differ from `listen`; leave it out to serve everything at one loopback address",
            )),
            _ => Ok(server),
        }
    }

    /// The directory of the secrets.
    #[must_use]
    pub fn secrets_dir(&self) -> PathBuf {
        self.secrets_dir.clone().unwrap_or_else(|| self.data_dir.join("secrets"))
    }

    /// How many threads serve HTTP.
    #[must_use]
    pub fn worker_threads(&self) -> usize {
        self.workers.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
    }
}

impl Calls {
    /// The limits that hold where nobody states others.
    pub(super) fn usual(path: &Path) -> Result<Self, ConfigError> {
        let nothing = Environment::default();
        Self::read(&Section::single(&Source { path, text: "", environment: &nothing }, "calls", None)?)
    }
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
