//! Executes commands: load, decide, append, evolve. The only writer of the ledger.
//!
//! Never imports the web framework; everything here runs on one multi-thread runtime, so that a
//! client that hangs up cannot drop work that must finish.

mod account;
mod accounts;
mod allotment;
mod calls;
pub mod command;
mod correct;
mod counted;
mod fold;
pub mod follow;
mod health;
mod lag;
mod lines;
mod management;
mod node;
mod operators;
mod pace;
pub mod reap;
mod refusals;
mod replay;
mod room;
mod running;
mod secrets;
mod snapshots;
mod stream;
#[cfg(test)]
mod tests;

pub use account::Account;
pub use accounts::Accounts;
pub use allotment::{KeysOfOrgs, OrgBudgetRoom, OrgBudgetsAnswer};
pub use calls::{Authorized, EndAnswer};
pub use command::{Context, Done, ExecuteError};
pub use correct::{CallPlaces, Corrected, Correction};
pub use fold::{GatewayFold, GatewayState, KeyAccount, KeyFold, OperatorFold, OrgFold, PriceFold};
pub use lag::Lag;
pub use lines::{Lines, Waiter, Whose};
pub use operators::Taking;
pub use replay::{KeyThen, Moment};
pub use room::{BudgetLeft, RateLeft, Room};
pub use running::{Cut, CutSignal, Place, Running};
pub use snapshots::{KEEP_EVERY, Kept, NoSnapshots, Snapshots, last_kept};

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, RwLock, Weak};

use nemo_events::{BootId, KeyId, NodeId, OrgId, Position, PriceCardId, Timestamp};
use nemo_store::EventStore;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::clock::Clock;
use crate::metrics::ledger::LedgerMetrics;
use fold::Fold;
use operators::OfOperators;
use pace::Pace;
use refusals::Refusals;

/// What every account needs.
pub(super) struct Core {
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    node: NodeId,
    boot: BootId,
    tasks: TaskTracker,
    runtime: Handle,
    health: health::StoreHealth,
    pace: Pace,
    metrics: LedgerMetrics,
    /// What is kept of long streams.
    snapshots: Arc<dyn Snapshots>,
    /// Where orgs may find idle money.
    slack: allotment::Slack,
}

/// The ledger, as this node writes it.
pub struct Ledger {
    core: Arc<Core>,
    keys: Accounts<KeyFold>,
    orgs: Accounts<OrgFold>,
    prices: Account1<PriceFold>,
    gateway: Account1<GatewayFold>,
    operators: Account1<OperatorFold>,
    of_operators: Arc<OfOperators>,
    refusals: Arc<Refusals>,
    /// Cards that can be cited: what most calls look at instead of the account.
    published: RwLock<HashSet<PriceCardId>>,
    /// Calls in flight on this node.
    pub running: Running,
    /// Calls that wait for what others of their key hold.
    pub lines: Lines,
    /// The last event that the accounts were told of.
    observed: Mutex<Option<Position>>,
    /// Turns of those who replay.
    replays: Semaphore,
    /// For work that goes on without whoever began it.
    me: Weak<Self>,
    /// Who knows the keys of orgs, if anybody does.
    directory: OnceLock<Arc<dyn KeysOfOrgs>>,
    /// One counts at a time.
    counting: tokio::sync::Mutex<()>,
}

/// The account of a kind that has one stream only.
type Account1<F> = Arc<Account<F>>;

fn the_only_account<F: Fold<Id = ()>>(core: &Arc<Core>) -> Account1<F> {
    Arc::new(Account::unread((), Arc::clone(core)))
}

/// How the ledger is opened.
pub struct LedgerOptions {
    /// Where events are kept.
    pub store: Arc<dyn EventStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// This node's name.
    pub node: NodeId,
    /// Memory for accounts, in bytes.
    pub accounts_max_bytes: u64,
    /// Where folds of long streams are kept.
    pub snapshots: Arc<dyn Snapshots>,
}

impl Ledger {
    /// The ledger, of which nothing was read yet: its store need not be reachable. Works on the current
    /// runtime. Nothing may be asked of it before [`Ledger::read`].
    #[must_use]
    pub fn unread(options: LedgerOptions) -> Arc<Self> {
        Self::unread_at(options, Pace::default())
    }

    fn unread_at(options: LedgerOptions, pace: Pace) -> Arc<Self> {
        let core = Arc::new(Core {
            store: options.store,
            clock: options.clock,
            node: options.node,
            boot: BootId::from_uuid(Uuid::now_v7()),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            health: health::StoreHealth::default(),
            pace,
            metrics: LedgerMetrics::default(),
            snapshots: options.snapshots,
            slack: allotment::Slack::default(),
        });
        let max_bytes = options.accounts_max_bytes;
        Arc::new_cyclic(|me| Self {
            keys: Accounts::new(Arc::clone(&core), max_bytes),
            orgs: Accounts::new(Arc::clone(&core), max_bytes / 8),
            prices: the_only_account(&core),
            gateway: the_only_account(&core),
            operators: the_only_account(&core),
            of_operators: Arc::default(),
            refusals: Arc::default(),
            published: RwLock::default(),
            running: Running::default(),
            lines: Lines::default(),
            observed: Mutex::default(),
            replays: Semaphore::new(replay::REPLAYS_AT_ONCE),
            me: me.clone(),
            directory: OnceLock::new(),
            counting: tokio::sync::Mutex::default(),
            core,
        })
    }

    /// Reads and folds the streams that every call needs.
    ///
    /// # Errors
    /// Where they cannot be read, or not now.
    pub async fn read(&self) -> Result<(), ExecuteError> {
        let head = self.core.store.head().await.map_err(ExecuteError::from)?;
        // From here on whatever others write is told to the accounts by following the log.
        self.saw(head);
        self.prices.read().await?;
        self.gateway.read().await?;
        self.operators.read().await
    }

    /// The ledger, read.
    ///
    /// # Errors
    /// As [`Ledger::read`].
    #[cfg(test)]
    pub(crate) async fn open(options: LedgerOptions) -> Result<Arc<Self>, ExecuteError> {
        Self::open_at(options, Pace::default()).await
    }

    #[cfg(test)]
    async fn open_at(options: LedgerOptions, pace: Pace) -> Result<Arc<Self>, ExecuteError> {
        let ledger = Self::unread_at(options, pace);
        ledger.read().await?;
        Ok(ledger)
    }

    /// The store behind the ledger.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.core.store
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &LedgerMetrics {
        &self.core.metrics
    }

    /// Now, by this node's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.core.clock.now()
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> &NodeId {
        &self.core.node
    }

    /// This start of it.
    #[must_use]
    pub fn boot(&self) -> BootId {
        self.core.boot
    }

    /// Where work runs that must not end with a client's connection. Tracked until shutdown.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.core.tasks.spawn_on(work, &self.core.runtime);
    }

    /// A key's account; one of a key that does not exist has no revision. Takes as long as the store does:
    /// bound the wait. The reading goes on for whoever asks next.
    ///
    /// # Errors
    /// Where the stream cannot be read.
    pub async fn key(&self, id: KeyId) -> Result<Arc<Account<KeyFold>>, ExecuteError> {
        self.keys.get(id).await
    }

    /// A key's account if it is in memory.
    #[must_use]
    pub fn key_in_memory(&self, id: KeyId) -> Option<Arc<Account<KeyFold>>> {
        self.keys.live(id)
    }

    /// An org's account; one of an org that does not exist has no revision.
    ///
    /// # Errors
    /// Where the stream cannot be read.
    pub async fn org(&self, id: OrgId) -> Result<Arc<Account<OrgFold>>, ExecuteError> {
        self.orgs.get(id).await
    }

    /// A key's account for a caller, who is not kept waiting longer than for an authorisation.
    ///
    /// # Errors
    /// Where the stream cannot be read, or not in time.
    pub async fn key_for_caller(&self, id: KeyId) -> Result<Arc<Account<KeyFold>>, ExecuteError> {
        calls::within(self.core.pace.authorize, self.key(id)).await
    }

    /// Where the store's log ends.
    ///
    /// # Errors
    /// Why it cannot be told, or not in time.
    pub async fn head(&self) -> Result<Option<Position>, String> {
        match tokio::time::timeout(self.core.pace.authorize, self.core.store.head()).await {
            Ok(head) => head.map_err(|error| error.to_string()),
            Err(_) => Err("the store does not answer".to_owned()),
        }
    }

    /// Why the last append failed, if that was just now.
    #[must_use]
    pub fn store_trouble(&self) -> Option<String> {
        self.core.health.trouble()
    }

    /// Why calls cannot be taken just now; `None` if they can.
    pub async fn unready_reason(&self) -> Option<String> {
        match self.store_trouble() {
            Some(why) => Some(why),
            None => self.head().await.err(),
        }
    }

    /// Ends of calls that are decided, or wait to be, and are not known to be durable.
    #[must_use]
    pub fn unwritten_ends(&self) -> usize {
        self.keys.unwritten_ends()
    }

    /// Waits until all work in hand is done. No new work may be handed in meanwhile.
    pub async fn drain(&self) {
        self.core.tasks.close();
        self.core.tasks.wait().await;
    }
}
