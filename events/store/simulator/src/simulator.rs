//! A running simulator, and what a test can say to it.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;
use tonic::Code;

use crate::counters::Counts;
use crate::faults::{AppendFault, Calls, ReadFault};
use crate::log::{Log, Recorded};
use crate::node::{Node, Port};
use crate::options::{Options, Tls};
use crate::shared::{Command, Shared};

/// A running server or cluster. It has threads of its own, so it can be used from anywhere; what it does not do at
/// once it says. Everything ends when it is dropped.
pub struct Simulator {
    shared: Arc<Shared>,
    nodes: Mutex<Vec<Node>>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

/// An event as it lies in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredEvent {
    /// Its stream.
    pub stream: String,
    /// Its number in the stream, from 0.
    pub revision: u64,
    /// Where it starts in the log: commit and prepare position.
    pub position: u64,
    /// Its id.
    pub id: uuid::Uuid,
    /// Its type.
    pub event_type: String,
    /// What it says.
    pub data: Bytes,
    /// What its writer says about it.
    pub metadata: Bytes,
}

impl Simulator {
    /// Starts all nodes, on free ports of the loopback interface unless the options name some.
    ///
    /// # Panics
    /// If a port, the file or the certificate cannot be used.
    #[must_use]
    pub fn start(options: Options) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("simulator")
            .enable_all()
            .build()
            .expect("a runtime starts");
        let ports: Vec<Port> = (0..options.nodes)
            .map(|node| Port::reserve(options.ports.get(node).copied()).expect("the port is free"))
            .collect();
        let tls = options.tls.as_ref().map(acceptor);
        let log =
            Log::open(options.file.as_deref(), options.system_event_every).expect("the log's file opens");
        let shared = Arc::new(Shared::new(options, log, ports.iter().map(|port| port.number)));
        let nodes = ports.into_iter().enumerate().map(|(number, port)| Node::new(number, port, tls.clone()));
        let simulator = Self { shared, nodes: Mutex::new(nodes.collect()), runtime: Some(runtime) };
        simulator.nodes().iter_mut().for_each(|node| simulator.start_one(node));
        simulator
    }

    /// Where clients connect: `esdb://[user:password@]host:port[,host:port…]?tls=…`.
    #[must_use]
    pub fn connection_string(&self) -> String {
        let options = &self.shared.options;
        let login = options.credentials.as_ref().map(|(user, password)| format!("{user}:{password}@"));
        let hosts: Vec<String> =
            self.shared.members.iter().map(|member| format!("{}:{}", options.host, member.port)).collect();
        format!("esdb://{}{}?tls={}", login.unwrap_or_default(), hosts.join(","), options.tls.is_some())
    }

    /// The nodes' ports.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        self.shared.members.iter().map(|member| member.port).collect()
    }

    // Nodes

    /// Cuts all connections and refuses new ones. When this returns nothing more is committed.
    pub fn stop(&self) {
        self.nodes().iter_mut().for_each(|node| node.stop(&self.shared));
    }

    /// Starts the nodes that are stopped, on their old ports; if all were, the log is read again from its file.
    ///
    /// # Panics
    /// If the file cannot be read.
    pub fn start_again(&self) {
        let mut nodes = self.nodes();
        let file = self.shared.options.file.as_ref();
        if let Some(file) = file.filter(|_| !nodes.iter().any(Node::is_up)) {
            self.shared.log.reopen(file).expect("the log's file opens again");
        }
        nodes.iter_mut().for_each(|node| self.start_one(node));
    }

    /// Stops and starts all nodes.
    pub fn restart(&self) {
        self.stop();
        self.start_again();
    }

    /// Stops one node, the leader or another; the cluster elects nobody by itself.
    pub fn stop_node(&self, node: usize) {
        self.nodes()[node].stop(&self.shared);
    }

    /// Starts a node that is stopped.
    pub fn start_node(&self, node: usize) {
        self.start_one(&mut self.nodes()[node]);
    }

    /// Cuts all connections at once; new ones are accepted. When this returns nothing more is committed that came
    /// by the old ones.
    pub fn cut_connections(&self) {
        self.nodes().iter().for_each(|node| node.cut(&self.shared));
    }

    /// Makes another node the leader. What arrives at the old one from now on is redirected, and so is what has
    /// arrived but is not committed.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn elect(&self, node: usize) {
        assert!(node < self.shared.members.len(), "there is no node {node}");
        self.shared.elect(node);
        self.shared.log.barrier();
        self.shared.log.write_epoch(node);
    }

    /// The node that leads.
    #[must_use]
    pub fn leader(&self) -> usize {
        self.shared.leader()
    }

    // Faults

    /// What happens to the next append, whatever its stream. Several wait for their turn in order.
    pub fn next_append(&self, fault: AppendFault) {
        self.shared.faults.push("", 1, fault);
    }

    /// What happens to the next append to a stream whose name starts like this. [`AppendFault::CutBeforeReading`]
    /// cannot know the stream, and applies to any.
    pub fn next_append_to(&self, stream_prefix: &str, fault: AppendFault) {
        self.shared.faults.push(stream_prefix, 1, fault);
    }

    /// What happens to every append to such streams until [`Simulator::clear_append_faults`].
    pub fn every_append_to(&self, stream_prefix: &str, fault: AppendFault) {
        self.shared.faults.push(stream_prefix, u64::MAX, fault);
    }

    /// Forgets all faults of appends that have not happened.
    pub fn clear_append_faults(&self) {
        self.shared.faults.clear();
    }

    /// What happens to the next read of a stream or of all streams. Several wait for their turn in order.
    pub fn next_read(&self, fault: ReadFault) {
        self.shared.faults.push_read(fault);
    }

    /// Commits, in order, what [`AppendFault::LateCommit`] holds back, and returns how many of these were written;
    /// the others found their stream moved on, or themselves written already.
    pub fn commit_late(&self) -> usize {
        let written = self.shared.faults.commit_late(&self.shared.log);
        self.shared.counters.count(|counts| {
            counts.appends_committed += written.len() as u64;
            counts.events_committed += written.iter().sum::<usize>() as u64;
        });
        written.len()
    }

    /// Lets such calls hang until [`Simulator::release`].
    pub fn hang(&self, calls: Calls) {
        self.shared.faults.hang(calls, true);
    }

    /// Ends what [`Simulator::hang`] began.
    pub fn release(&self, calls: Calls) {
        self.shared.faults.hang(calls, false);
    }

    /// How long every append, read and delivery takes from now on, at least; the clock has milliseconds.
    pub fn latency(&self, latency: Duration) {
        self.shared.faults.set_latency(latency);
    }

    /// Ends all subscriptions as if there were nothing more to come; returns how many.
    pub fn end_subscriptions(&self) -> usize {
        self.shared.subscriptions.tell(Command::End)
    }

    /// Ends all subscriptions with an error; returns how many.
    pub fn fail_subscriptions(&self, code: Code) -> usize {
        self.shared.subscriptions.tell(Command::Fail(code))
    }

    /// Cuts the connections of all subscriptions; returns how many.
    pub fn cut_subscriptions(&self) -> usize {
        self.shared.subscriptions.cut()
    }

    /// Delivers the last `events` (at most 64) again on all subscriptions; returns how many these are.
    pub fn duplicate_deliveries(&self, events: usize) -> usize {
        self.shared.subscriptions.tell(Command::Duplicate(events))
    }

    /// Writes so many events of the server's own into `$all`.
    pub fn write_system_events(&self, count: usize) {
        self.shared.log.write_system_events(count);
    }

    // What happened

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counters.now()
    }

    /// Waits until the counts are as asked.
    ///
    /// # Panics
    /// If they are not within 30 s.
    pub async fn until(&self, what: &str, is: impl Fn(&Counts) -> bool) -> Counts {
        self.shared.counters.until(what, is).await
    }

    /// The events of a stream, as they lie in the log.
    #[must_use]
    pub fn stream(&self, name: &str) -> Vec<StoredEvent> {
        self.shared.log.stream(name).iter().map(|event| stored(event)).collect()
    }

    /// All events in log order, the server's own included.
    #[must_use]
    pub fn all(&self) -> Vec<StoredEvent> {
        self.shared.log.events().iter().map(|event| stored(event)).collect()
    }

    fn start_one(&self, node: &mut Node) {
        node.start(&self.shared, self.runtime().handle()).expect("the port is still reserved");
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<Node>> {
        self.nodes.lock().unwrap()
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("only dropping takes it")
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // Calls that hang hold their connections, which are cut; nothing waits for a release.
        for node in self.nodes.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner) {
            node.stop(&self.shared);
        }
        if let Some(runtime) = self.runtime.take() {
            // Waiting for a runtime is not allowed on a thread of another one.
            let ended = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5)));
            let _ = ended.join();
        }
    }
}

fn acceptor(tls: &Tls) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(tls.certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .expect("the certificate is PEM");
    let key = PrivateKeyDer::from_pem_slice(tls.key_pem.as_bytes()).expect("the key is PEM");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows the default versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the key is the certificate's");
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

fn stored(event: &Recorded) -> StoredEvent {
    StoredEvent {
        stream: event.stream.to_string(),
        revision: event.revision,
        position: event.position,
        id: event.event.id,
        event_type: event.event.event_type.clone(),
        data: event.event.data.clone(),
        metadata: event.event.metadata.clone(),
    }
}
