//! Small words for the tests: nodes over one store, one key, one card, one call.
//!
//! The card costs 1,000 nano-dollars for a token in and 10,000 for a token out.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use nemo_events::key::{BoundBasis, Client, Ending, Evidence, ForfeitReason, KeySecret, Labels, VoidReason};
use nemo_events::limits::{Budget, Endpoint, KeyLimits, WindowKind};
use nemo_events::org::OrgLimits;
use nemo_events::price::{PriceCard, Rates};
use nemo_events::{
    CallId, Digest, EventRecord, KeyId, Nanos, OrgId, Position, RequestId, Revision, StreamName, Timestamp,
    Usage,
};
use nemo_projections::decide::{
    Authorize, Create, CreateOrg, Forfeit, ForfeitCharge, Forfeiter, PresentedSecret, Priced, Revoke, Settle,
    Void,
};
use nemo_projections::hold::Ask;
use nemo_projections::org::Standing;

use nemo_store::{Direction, EventStore, MemoryStore};
use tokio::task::JoinHandle;
use uuid::Uuid;

pub(super) use super::history::{History, Seen, written};
use super::probe::Probe;
use crate::clock::ManualClock;
use crate::ledger::pace::Pace;
use crate::ledger::{
    Account, Authorized, Context, ExecuteError, KeyAccount, KeyFold, Ledger, LedgerOptions, NoSnapshots,
    Snapshots,
};

/// One node over a store that others may share.
pub(super) struct Node {
    pub(super) store: Arc<Probe>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) ledger: Arc<Ledger>,
}

/// Long patience and short waits: whoever gives up does so because a test says so.
pub(super) const PACE: Pace = Pace {
    authorize: Duration::from_secs(600),
    manage: Duration::from_secs(600),
    first: Duration::from_micros(100),
    longest: Duration::from_millis(2),
};

pub(super) async fn node() -> Node {
    another_node(&Arc::new(MemoryStore::new()), PACE).await
}

pub(super) async fn impatient_node() -> Node {
    let patience = Duration::from_millis(250);
    another_node(&Arc::new(MemoryStore::new()), Pace { authorize: patience, manage: patience, ..PACE }).await
}

pub(super) async fn another_node(memory: &Arc<MemoryStore>, pace: Pace) -> Node {
    node_with_memory_for(memory, pace, 64 << 20).await
}

pub(super) async fn node_with_memory_for(
    memory: &Arc<MemoryStore>,
    pace: Pace,
    accounts_max_bytes: u64,
) -> Node {
    let node = open(memory, pace, accounts_max_bytes).await;
    if node.records(StreamName::Org(org_id())).await.is_empty() {
        // By another ledger, so that this one has sent nothing yet.
        let founder = open(memory, PACE, accounts_max_bytes).await;
        let found = CreateOrg { name: "acme".to_owned(), limits: OrgLimits::default() };
        founder.ledger.manage_org(org_id(), found, Context::system()).await.unwrap();
    }
    node
}

pub(super) async fn open(memory: &Arc<MemoryStore>, pace: Pace, accounts_max_bytes: u64) -> Node {
    open_with(memory, pace, accounts_max_bytes, Arc::new(NoSnapshots)).await
}

pub(super) async fn open_with(
    memory: &Arc<MemoryStore>,
    pace: Pace,
    accounts_max_bytes: u64,
    snapshots: Arc<dyn Snapshots>,
) -> Node {
    let (store, clock) = (Probe::over(memory), Arc::new(ManualClock::new(noon())));
    let options = LedgerOptions {
        store: Arc::clone(&store) as Arc<dyn EventStore>,
        clock: Arc::clone(&clock) as Arc<dyn crate::clock::Clock>,
        node: "node-a".parse().unwrap(),
        accounts_max_bytes,
        snapshots,
    };
    Node { store, clock, ledger: Ledger::open_at(options, pace).await.unwrap() }
}

impl Node {
    /// A key under these limits, which no account in memory knows yet.
    pub(super) async fn has_key(&self, id: KeyId, limits: KeyLimits) {
        let create = Create {
            org: org_id(),
            standing: Standing::Active,
            labels: labels(),
            limits,
            bounds: None,
            secret: secret(),
        };
        self.ledger.manage_key(id, create, Context::system()).await.unwrap();
    }

    /// The account of a new key.
    pub(super) async fn key(&self, limits: KeyLimits) -> Arc<Account<KeyFold>> {
        self.has_key(key_id(1), limits).await;
        self.account(key_id(1)).await
    }

    pub(super) async fn account(&self, id: KeyId) -> Arc<Account<KeyFold>> {
        self.ledger.key(id).await.unwrap()
    }

    /// Asks in a task of its own. Whoever gets leave makes sure that it is durable.
    pub(super) fn asks_soon(
        &self,
        account: &Arc<Account<KeyFold>>,
        command: Authorize,
    ) -> Asking<Authorized> {
        let (ledger, account, memory) =
            (Arc::clone(&self.ledger), Arc::clone(account), Arc::clone(&self.store.memory));
        tokio::spawn(async move {
            let authorized = ledger.authorize(&account, command).await?;
            let durable = written(&memory, account.id()).now_or_never().unwrap().authorized();
            assert!(durable.contains(&authorized.event().call), "answered too early");
            Ok(authorized)
        })
    }

    /// The same; when this returns, the command has been decided.
    pub(super) async fn asks(
        &self,
        account: &Arc<Account<KeyFold>>,
        command: Authorize,
    ) -> Asking<Authorized> {
        started(self.asks_soon(account, command)).await
    }

    pub(super) fn revokes_soon(&self, id: KeyId) -> Asking<()> {
        let ledger = Arc::clone(&self.ledger);
        tokio::spawn(async move { ledger.revoke_key(id, revoke(), Context::system()).await.map(|_| ()) })
    }

    pub(super) async fn revokes(&self, id: KeyId) -> Asking<()> {
        started(self.revokes_soon(id)).await
    }

    /// Looks at a key in a task of its own, and makes sure that what it is told is so and durable.
    pub(super) fn looks_soon(&self, id: KeyId) -> Asking<Seen> {
        let (ledger, memory) = (Arc::clone(&self.ledger), Arc::clone(&self.store.memory));
        tokio::spawn(async move {
            let done = ledger.look(id, |account: &KeyAccount, now| Seen::of(account, now)).await?;
            let seen = Seen { revision: done.revision, ..done.answer };
            if let Some(revision) = seen.revision {
                let written = written(&memory, id).now_or_never().unwrap();
                assert_eq!(written.seen_at(revision), seen, "told what is not so, or not yet");
            }
            Ok(seen)
        })
    }

    pub(super) async fn looks(&self, id: KeyId) -> Asking<Seen> {
        started(self.looks_soon(id)).await
    }

    /// Waits until nothing runs any more.
    pub(super) async fn is_quiet(&self) {
        until(|| self.ledger.core.tasks.is_empty()).await;
    }

    pub(super) async fn records(&self, stream: StreamName) -> Vec<EventRecord> {
        let page = self.store.memory.read_stream(&stream, Revision::FIRST, Direction::Forwards, usize::MAX);
        page.await.unwrap()
    }

    /// What is in the store of a key, once it is found to be sound.
    pub(super) async fn history(&self, id: KeyId) -> History {
        written(&self.store.memory, id).await
    }

    /// Shows the ledger everything in the store, as a follower would.
    pub(super) async fn observes_all(&self) {
        let mut after: Option<Position> = None;
        loop {
            let page = self.store.memory.read_all(after, 100).await.unwrap();
            let Some(last) = page.last() else { return };
            after = Some(last.position);
            self.ledger.observe(&page);
        }
    }
}

pub(super) type Asking<T> = JoinHandle<Result<T, ExecuteError>>;

async fn started<T>(task: JoinHandle<T>) -> JoinHandle<T> {
    a_while().await;
    task
}

/// Lets every task go as far as it can without the clock.
pub(super) async fn a_while() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// Waits for something that comes by itself, and fails where it does not.
pub(super) async fn until(mut is_so: impl FnMut() -> bool) {
    let comes = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), comes).await.expect("it never came");
}

/// Waits for an answer that must come.
pub(super) async fn answer<T>(asking: Asking<T>) -> Result<T, ExecuteError> {
    tokio::time::timeout(Duration::from_secs(30), asking).await.expect("nobody answered").unwrap()
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn noon() -> Timestamp {
    at("2026-11-18T12:00:00Z")
}

pub(super) fn later(moment: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(moment.as_micros() + micros)
}

pub(super) fn key_id(n: u32) -> KeyId {
    format!("{n:011}").parse().unwrap()
}

pub(super) fn call_id(n: u128) -> CallId {
    CallId::from_uuid(Uuid::from_u128(n))
}

pub(super) fn org_id() -> OrgId {
    OrgId::from_uuid(Uuid::from_u128(0x0e9))
}

pub(super) fn labels() -> Labels {
    Labels { name: "nightly".to_owned(), ..Labels::default() }
}

pub(super) fn unlimited() -> KeyLimits {
    KeyLimits { unlimited: true, ..KeyLimits::default() }
}

/// Limits under which exactly so many plain calls may be open at once.
pub(super) fn room_for(calls: i64) -> KeyLimits {
    let budget =
        Budget { window: WindowKind::Total, limit: Nanos::from_nanos(calls * HOLD), alert_at_percent: None };
    KeyLimits { budgets: vec![budget], ..KeyLimits::default() }
}

pub(super) fn secret() -> KeySecret {
    KeySecret {
        version: 1,
        digest: Digest::of(b"secret"),
        pepper: "pepper-1".parse().unwrap(),
        last_four: "a1b2".to_owned(),
    }
}

/// Where callers are.
pub(super) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

pub(super) fn presented() -> PresentedSecret {
    let KeySecret { pepper, digest, .. } = secret();
    PresentedSecret { digests: vec![(pepper, digest)] }
}

pub(super) fn card() -> PriceCard {
    PriceCard {
        provider: "acme".to_owned(),
        model: "acme-large-1".to_owned(),
        rates: Rates { input: "1".parse().unwrap(), output: "10".parse().unwrap(), ..Rates::default() },
        tiers: Vec::new(),
        context_window: 100_000,
        max_output_tokens: 8_192,
        reasoning: false,
        tokenizer: None,
        source: "test".to_owned(),
    }
}

/// What [`call`] holds.
pub(super) const HOLD: i64 = 100 * 1_000 + 100 * 10_000;

/// A plain call: 100 tokens in, at most 100 out.
pub(super) fn call(n: u128) -> Authorize {
    let card = card();
    Authorize {
        call: call_id(n),
        request: RequestId::from_uuid(Uuid::from_u128(n)),
        attempt: 1,
        presented: presented(),
        org: Standing::Active.into(),
        address: HERE,
        client: Client::default(),
        endpoint: Endpoint::ChatCompletions,
        model: "large".to_owned(),
        priced: Ok(Priced {
            provider: card.provider.clone(),
            provider_model: card.model.clone(),
            card_id: card.id().unwrap(),
            card: Arc::new(card),
        }),
        ask: Ask { input_tokens: 100, basis: BoundBasis::Bytes, output_limit: Some(100), choices: 1 },
        deadline_secs: 600,
        tags: Vec::new(),
        streams: false,
        hidden_output: false,
        once: Vec::new(),
    }
}

/// The end of a call that took 100 tokens in and gave 50.
pub(super) fn settle(call: CallId) -> Settle {
    Settle {
        call,
        card: Arc::new(card()),
        usage: Usage { input: 100, output: 50, ..Usage::default() },
        evidence: Evidence::Reported,
        ending: Ending::Completed,
        provider_request: None,
        status: Some(200),
        first_byte_ms: Some(180),
        duration_ms: 900,
    }
}

/// What [`settle`] charges.
pub(super) const COST: i64 = 100 * 1_000 + 50 * 10_000;

pub(super) fn void(call: CallId) -> Void {
    Void { call, reason: VoidReason::NotConnected, status: None, duration_ms: 3 }
}

pub(super) fn forfeit(call: CallId) -> Forfeit {
    Forfeit { call, charge: ForfeitCharge::Hold, reason: ForfeitReason::TimedOut, by: Forfeiter::Owner }
}

pub(super) fn revoke() -> Revoke {
    Revoke { reason: None }
}
