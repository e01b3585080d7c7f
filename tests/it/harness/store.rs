//! Where the ledger of a gateway under test is: in its data directory, or on a server. A story that is told by
//! [`Store::tells`] runs on that store without knowing of it.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use nemo_events::{EventId, Revision, Sealed, StreamName, Timestamp};
use nemo_eventstoredb_simulator::{Options as SimulatorOptions, Simulator};
use nemo_store::eventstoredb::{EventStoreDb, Options};
use nemo_store::{Direction, EmbeddedStore, EventStore, Expected, embedded};

use super::nemo::Nemo;
use super::setup::Setup;

/// Names a real server, such as `esdb://127.0.0.1:2113?tls=false`: then stories run on that one and not on a
/// simulated one, each gateway under a stream prefix of its own. Nothing is cleaned up there.
const REAL_SERVER: &str = "NEMO_TEST_EVENTSTORE";

/// What keeps a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Store {
    /// The data directory.
    Embedded,
    /// A simulated server in the process of the tests, or a real one.
    EventStoreDb,
}

tokio::task_local! {
    static TOLD_ON: (Store, Arc<AtomicUsize>);
}

impl Store {
    /// Runs a story in which [`Setup::start`] starts gateways on this store.
    pub(crate) async fn tells(self, story: impl Future<Output = ()>) {
        self.announce();
        let gateways = Arc::new(AtomicUsize::new(0));
        TOLD_ON.scope((self, Arc::clone(&gateways)), story).await;
        assert!(gateways.load(Ordering::SeqCst) > 0, "the story started nothing on {self:?}");
    }

    /// The store of the story that is being told; in other tests, and in tasks that they spawn, the embedded one.
    pub(crate) fn of_this_story() -> Store {
        TOLD_ON.try_with(|(store, _)| *store).unwrap_or(Store::Embedded)
    }

    /// Whether servers are simulated, and do what a test says.
    pub(crate) fn is_simulated() -> bool {
        std::env::var_os(REAL_SERVER).is_none()
    }

    /// Once in each run, and past the capture of what tests print.
    fn announce(self) {
        static ANNOUNCED: Mutex<BTreeSet<Store>> = Mutex::new(BTreeSet::new());
        if ANNOUNCED.lock().unwrap().insert(self) {
            let what = match (self, std::env::var(REAL_SERVER)) {
                (Store::Embedded, _) => "embedded: stories run on the store in the data directory".to_owned(),
                (Store::EventStoreDb, Ok(_)) => {
                    format!("eventstoredb: stories run on the server of {REAL_SERVER}")
                }
                (Store::EventStoreDb, Err(_)) => {
                    format!(
                        "eventstoredb: stories run on simulated servers ({REAL_SERVER} names no real one)"
                    )
                }
            };
            let _ = writeln!(std::io::stderr(), "{what}");
        }
    }
}

/// A server that a story's gateway has its ledger on.
pub(super) struct Server {
    url: String,
    prefix: String,
    /// Ends with this.
    simulated: Option<Simulator>,
}

impl Server {
    /// For a gateway that is started now, if its story asks for one. A simulated one has its file in `home`.
    pub(super) fn for_this_story(home: &Path) -> Option<Server> {
        let (store, gateways) = TOLD_ON.try_with(Clone::clone).ok()?;
        gateways.fetch_add(1, Ordering::SeqCst);
        (store == Store::EventStoreDb).then(|| Server::new(home))
    }

    fn new(home: &Path) -> Server {
        match std::env::var(REAL_SERVER) {
            Ok(url) => Server { url, prefix: new_prefix(), simulated: None },
            Err(_) => Server::simulate(home, 1),
        }
    }

    /// One of so many nodes.
    pub(super) fn simulate(home: &Path, nodes: usize) -> Server {
        let options = SimulatorOptions::default().nodes(nodes).durable(home.join("server.log"));
        let simulated = Simulator::start(options);
        Server { url: simulated.connection_string(), prefix: new_prefix(), simulated: Some(simulated) }
    }

    /// The setup of a gateway whose ledger is there.
    pub(super) fn under(&self, setup: Setup) -> Setup {
        setup.on_server(&self.url).more(&format!("stream_prefix = \"{}\"", self.prefix))
    }

    /// What tells a command where the ledger is.
    fn arguments(&self) -> Vec<String> {
        ["--store", &self.url, "--stream-prefix", &self.prefix].map(str::to_owned).into()
    }

    /// The ledger's store.
    async fn open(&self) -> EventStoreDb {
        let options = Options::new(&self.url).unwrap().with_prefix(&self.prefix).unwrap();
        let store = EventStoreDb::connect(&options).unwrap();
        store.reachable().await;
        store
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "streams {}* at {}", self.prefix, self.url)
    }
}

fn new_prefix() -> String {
    format!("test-{}-", uuid::Uuid::now_v7().simple())
}

/// A gateway's ledger, from outside.
impl Nemo {
    /// The server that its ledger is on, where that is a simulated one that the harness has started.
    pub(crate) fn server(&self) -> Option<&Simulator> {
        self.place().and_then(|server| server.simulated.as_ref())
    }

    /// What a stream is called on the server.
    pub(crate) fn on_server(&self, stream: &str) -> String {
        format!("{}{stream}", self.place().expect("its ledger is on a server").prefix)
    }

    /// What a simulated server keeps on disk; nothing without one.
    pub(crate) fn server_log(&self) -> Vec<u8> {
        self.server().map(|_| std::fs::read(self.home().join("server.log")).unwrap()).unwrap_or_default()
    }

    /// Opens the store of its ledger, which nobody may be using any more.
    pub(crate) async fn open_store(&self) -> Box<dyn EventStore> {
        match self.place() {
            None => Box::new(EmbeddedStore::open(&self.data(), embedded::Options::default()).unwrap()),
            Some(server) => Box::new(server.open().await),
        }
    }

    /// `nemo ledger verify` of its ledger.
    pub(crate) fn verify(&self) -> Output {
        let mut command = self.local_cli();
        command.args(["ledger", "verify", "--data-dir"]).arg(self.data());
        command.args(self.place().map(Server::arguments).unwrap_or_default());
        command.output().unwrap()
    }
}

/// Appends what a node would have written that started with a clock an hour ahead.
pub(crate) async fn start_an_hour_ahead(store: &dyn EventStore) {
    let gateway = StreamName::Gateway;
    let last = store.read_stream(&gateway, Revision(u64::MAX), Direction::Backwards, 1).await.unwrap();
    let last = &last[0].event;
    let now = Timestamp::from(chrono::Utc::now());
    let event = Sealed {
        revision: last.revision.next(),
        id: EventId::from_uuid(uuid::Uuid::now_v7()),
        recorded_at: now.plus_secs(3600),
        prev_hash: last.hash,
        ..last.clone()
    };
    store.append(Expected::Exact(last.revision), vec![event.with_hash()]).await.unwrap();
}
