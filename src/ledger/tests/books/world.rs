//! Plays a script on two nodes, and keeps what everybody asked and was told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use nemo_events::key::{BoundBasis, Hold};
use nemo_events::org::OrgLimits;
use nemo_events::{CallId, KeyEvent, KeyId, OrgEvent, OrgId, Revision, StreamName, Usage};
use nemo_projections::decide::{
    Authorize, Block, ClearModel, Create, CreateOrg, ResumeOrg, SetLimits, SetOrgBudgets, Settle, SuspendOrg,
    Unblock,
};
use nemo_projections::hold::Ask;
use nemo_projections::org::Standing;
use nemo_store::{Direction, EventStore as _, MemoryStore};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::super::probe::Probe;
use super::super::support::*;
use super::Seen;
use super::reference::{Ledger as Naive, Wish, calendar, price};
use super::script::{Act, Asked, End, KEYS, NODES, ORGS, Script};
use crate::ledger::{Account, Authorized, Context, EndAnswer, ExecuteError, KeyFold, Ledger, OrgFold};

/// A node with its accounts of every key and org, so that asking needs no reading.
pub(super) struct Member {
    pub(super) node: Node,
    pub(super) keys: Vec<Arc<Account<KeyFold>>>,
    pub(super) orgs: Vec<Arc<Account<OrgFold>>>,
}

/// A call that was asked for, and where its node stood.
pub(super) struct Undecided {
    pub(super) call: CallId,
    pub(super) asked: Asked,
    /// How many of its key's and its org's events the node knew.
    pub(super) knew: usize,
    pub(super) knew_of_org: usize,
    /// How many times its clock had been set.
    pub(super) since: usize,
    pub(super) task: JoinHandle<Result<Authorized, ExecuteError>>,
}

/// A call that may be sent to its provider.
pub(super) struct Running {
    pub(super) node: usize,
    key: usize,
    pub(super) authorized: Arc<Authorized>,
}

pub(super) struct Ending {
    pub(super) node: usize,
    key: usize,
    pub(super) call: CallId,
    pub(super) task: JoinHandle<Result<EndAnswer, ExecuteError>>,
}

pub(super) struct World<'a> {
    pub(super) memory: Arc<MemoryStore>,
    pub(super) members: Vec<Member>,
    /// Everything that each node's clock ever showed.
    pub(super) clocks: [Vec<i64>; NODES],
    pub(super) skew: [i64; NODES],
    pub(super) now: i64,
    pub(super) dead: Vec<Arc<Probe>>,
    pub(super) asking: Vec<Undecided>,
    pub(super) running: Vec<Running>,
    pub(super) ending: Vec<Ending>,
    pub(super) managing: Vec<(usize, JoinHandle<Result<(), ExecuteError>>)>,
    /// How many events of each key each node was shown.
    pub(super) observed: [[usize; KEYS]; NODES],
    /// Every call that anybody ever asked for.
    pub(super) wishes: BTreeMap<CallId, Asked>,
    /// What a call was charged, as its owner was told.
    pub(super) charged: BTreeMap<CallId, i128>,
    /// Calls whose owners were told that they may be made.
    pub(super) granted: Vec<CallId>,
    /// Calls whose owners were told no.
    pub(super) refused: Vec<CallId>,
    seen: &'a Seen,
}

pub(super) fn key(n: usize) -> KeyId {
    key_id(u32::try_from(n).unwrap() + 1)
}

/// The last key is in an org of its own.
pub(super) fn org_of(key: usize) -> usize {
    usize::from(key + 1 == KEYS)
}

pub(super) fn org(n: usize) -> OrgId {
    OrgId::from_uuid(Uuid::from_u128(0x0e9 + n as u128))
}

pub(super) async fn join(memory: &Arc<MemoryStore>) -> Member {
    let node = open(memory, PACE, 64 << 20).await;
    let (mut keys, mut orgs) = (Vec::new(), Vec::new());
    for n in 0..KEYS {
        keys.push(node.account(key(n)).await);
    }
    for n in 0..ORGS {
        orgs.push(node.ledger.org(org(n)).await.unwrap());
    }
    Member { node, keys, orgs }
}

impl<'a> World<'a> {
    pub(super) async fn start(script: &Script, seen: &'a Seen) -> Self {
        let memory = Arc::new(MemoryStore::new());
        let founder = open(&memory, PACE, 64 << 20).await;
        founder.clock.set(script.start);
        for n in 0..ORGS {
            let found = CreateOrg { name: format!("org {n}"), limits: OrgLimits::default() };
            founder.ledger.manage_org(org(n), found, Context::system()).await.unwrap();
        }
        for (n, limits) in script.limits.iter().enumerate() {
            let (org, limits) = (org(org_of(n)), limits.clone());
            let create = Create {
                org,
                standing: Standing::Active,
                labels: labels(),
                limits,
                secret: secret(),
                bounds: None,
            };
            founder.ledger.manage_key(key(n), create, Context::system()).await.unwrap();
        }
        let mut members = Vec::new();
        for _ in 0..NODES {
            members.push(join(&memory).await);
        }
        let mut world = Self {
            memory,
            members,
            clocks: Default::default(),
            skew: [0; NODES],
            now: script.start.as_micros(),
            dead: Vec::new(),
            asking: Vec::new(),
            running: Vec::new(),
            ending: Vec::new(),
            managing: Vec::new(),
            observed: Default::default(),
            wishes: BTreeMap::new(),
            charged: BTreeMap::new(),
            granted: Vec::new(),
            refused: Vec::new(),
            seen,
        };
        world.tick();
        world
    }

    pub(super) fn note(&self, outcome: &'static str) {
        *self.seen.borrow_mut().entry(outcome).or_default() += 1;
    }

    /// Every node's clock shows what it should.
    pub(super) fn tick(&mut self) {
        for (node, member) in self.members.iter().enumerate() {
            let shown = nemo_events::Timestamp::from_micros(self.now + self.skew[node]);
            member.node.clock.set(shown);
            self.clocks[node].push(shown.as_micros());
        }
    }

    pub(super) fn store(&self, node: usize) -> &Probe {
        &self.members[node].node.store
    }

    pub(super) fn ledger(&self, node: usize) -> Arc<Ledger> {
        Arc::clone(&self.members[node].node.ledger)
    }

    /// What is stored of a key, in the naive ledger's form.
    pub(super) fn naive(&self, n: usize) -> Naive {
        let log = self.stored(StreamName::Key(key(n))).into_iter().map(|record| {
            let event = record.event;
            let decoded = KeyEvent::decode(&event.event_type, event.version, &event.data).unwrap();
            (event.recorded_at.as_micros(), decoded)
        });
        Naive { log: log.collect() }
    }

    /// Whether an org was suspended, behind each of its events.
    pub(super) fn suspended(&self, n: usize) -> Vec<bool> {
        let mut suspended = false;
        let events = self.stored(StreamName::Org(org(n))).into_iter().map(|record| {
            let event = record.event;
            match OrgEvent::decode(&event.event_type, event.version, &event.data).unwrap() {
                OrgEvent::OrgSuspended(_) => suspended = true,
                OrgEvent::OrgResumed(_) => suspended = false,
                _ => {}
            }
            suspended
        });
        events.collect()
    }

    pub(super) fn stored(&self, stream: StreamName) -> Vec<nemo_events::EventRecord> {
        let page = self.memory.read_stream(&stream, Revision::FIRST, Direction::Forwards, usize::MAX);
        page.now_or_never().unwrap().unwrap()
    }

    pub(super) async fn act(&mut self, act: &Act) {
        match act {
            Act::Ask(asked) => self.ask(*asked),
            Act::End(place, end) => self.end(place, *end),
            Act::GiveUp(place) => {
                if !self.asking.is_empty() {
                    self.asking[place.index(self.asking.len())].task.abort();
                }
            }
            Act::NextAppend(node, outcome) => self.store(*node).then([*outcome]),
            Act::NextRead(node, reading) => self.store(*node).then_reads([*reading]),
            Act::Pause(node) => self.store(*node).pause_appends(),
            Act::Release(node) => self.store(*node).release_appends(),
            Act::GoAway(node) => self.store(*node).go_away(),
            Act::ComeBack(node) => self.store(*node).come_back(),
            Act::CommitLate(node) => self.commit_late(*node).await,
            Act::Observe(node) => self.observe(*node).await,
            Act::Crash(node, death) => self.crash(*node, *death).await,
            Act::Reap(node) => self.reap(*node).await,
            Act::Overdue { node } => self.end_overdue(*node).await,
            Act::Wait(micros) => self.passes(self.now + micros),
            Act::Edge(kind, micros) => {
                let edge = calendar::end(*kind, self.now).unwrap() + micros;
                self.passes(self.now.max(edge));
            }
            Act::Skew(node, micros) => {
                self.skew[*node] = *micros;
                self.tick();
            }
            Act::Run => {
                tokio::time::sleep(PACE.first).await;
                a_while().await;
                self.collect().await;
            }
            _ => self.manage(act),
        }
    }

    pub(super) fn passes(&mut self, now: i64) {
        self.now = now;
        self.tick();
    }

    pub(super) async fn observe(&mut self, node: usize) {
        let stored: Vec<_> = (0..KEYS).map(|n| self.naive(n).log.len()).collect();
        self.members[node].node.observes_all().await;
        self.observed[node].copy_from_slice(&stored);
    }

    fn ask(&mut self, asked: Asked) {
        let call = call_id(self.wishes.len() as u128 + 1);
        self.wishes.insert(call, asked);
        let member = &self.members[asked.node];
        let (account, org) = (Arc::clone(&member.keys[asked.key]), &member.orgs[org_of(asked.key)]);
        let events = |revision: Option<Revision>| revision.map_or(0, |revision| revision.0 as usize + 1);
        // What it has in memory and what is stored: no decision rests on less than both have.
        let stored = self.naive(asked.key).log.len();
        let knew = events(account.revision()).min(stored).max(self.observed[asked.node][asked.key]);
        let knew_of_org = events(org.revision()).min(self.suspended(org_of(asked.key)).len());
        let (ledger, org) = (self.ledger(asked.node), org.id());
        let task = tokio::spawn(async move {
            let org = ledger.org_view(Some(org)).await?;
            ledger.authorize(&account, Authorize { org, ..command(call, asked) }).await
        });
        let since = self.clocks[asked.node].len() - 1;
        self.asking.push(Undecided { call, asked, knew, knew_of_org, since, task });
    }

    fn end(&mut self, place: &proptest::sample::Index, end: End) {
        if self.running.is_empty() {
            return;
        }
        let Running { node, key, authorized } = self.running.swap_remove(place.index(self.running.len()));
        let call = authorized.event().call;
        let settle = Settle { usage: usage(&authorized.event().hold, end), ..settle(call) };
        let settle = match end {
            End::Settle { evidence, .. } => Settle { evidence, ..settle },
            End::Void | End::Forfeit => settle,
        };
        let mut work = Box::pin(async move {
            match end {
                End::Settle { .. } => authorized.settle(settle).await,
                End::Void => authorized.void(void(call)).await,
                End::Forfeit => authorized.forfeit(forfeit(call)).await,
            }
        });
        // Asked for at once, so that it was asked for whoever goes away afterwards.
        let at_once = (&mut work).now_or_never();
        let task = tokio::spawn(async move {
            match at_once {
                Some(end) => end,
                None => work.await,
            }
        });
        self.ending.push(Ending { node, key, call, task });
    }

    fn manage(&mut self, act: &Act) {
        macro_rules! spawn {
            ($node:expr, $work:ident($id:expr, $command:expr)) => {{
                let (ledger, command) = (self.ledger($node), $command);
                let work = async move { ledger.$work($id, command, Context::system()).await.map(|_| ()) };
                self.managing.push(($node, tokio::spawn(work)));
            }};
        }
        match act.clone() {
            Act::Limits { node, key: n, limits } => {
                spawn!(node, manage_key(key(n), SetLimits { limits, bounds: None }))
            }
            Act::Block { node, key: n } => spawn!(node, manage_key(key(n), Block { reason: None })),
            Act::Unblock { node, key: n } => spawn!(node, manage_key(key(n), Unblock)),
            Act::Clear { node, key: n } => {
                let (provider, provider_model) = ("acme".to_owned(), card().model);
                spawn!(node, manage_key(key(n), ClearModel { provider, provider_model }));
            }
            Act::Revoke { node, key: n } => spawn!(node, revoke_key(key(n), revoke())),
            Act::OrgBudgets { node, org: n, budgets } => {
                spawn!(node, manage_org(org(n), SetOrgBudgets { budgets }));
            }
            Act::Suspend { node, org: n } => spawn!(node, manage_org(org(n), SuspendOrg { reason: None })),
            Act::Resume { node, org: n } => spawn!(node, manage_org(org(n), ResumeOrg)),
            other => unreachable!("{other:?} is no management"),
        }
    }

    /// Takes in the answers that have come.
    async fn collect(&mut self) {
        let (come, asking) =
            std::mem::take(&mut self.asking).into_iter().partition(|asking| asking.task.is_finished());
        self.asking = asking;
        for asking in come {
            self.told(asking).await;
        }
        let (come, ending) =
            std::mem::take(&mut self.ending).into_iter().partition(|ending| ending.task.is_finished());
        self.ending = ending;
        for ending in come {
            self.ended(ending).await;
        }
    }

    pub(super) async fn told(&mut self, mut asking: Undecided) {
        match in_time(&mut asking.task).await {
            None => self.note("given up"),
            Some(Ok(authorized)) => {
                self.granted.push(asking.call);
                let authorized = Arc::new(authorized);
                let (node, key) = (asking.asked.node, asking.asked.key);
                self.running.push(Running { node, key, authorized });
            }
            Some(Err(error)) => {
                self.refused.push(asking.call);
                self.check_refusal(&asking, &error);
            }
        }
    }

    pub(super) async fn ended(&mut self, mut ending: Ending) {
        match in_time(&mut ending.task).await {
            None => {}
            Some(Ok(end)) => {
                self.charged.insert(ending.call, end.charged.as_nanos().into());
            }
            // It was forfeited as overdue, and so long ago that its key does not remember it.
            Some(Err(error)) => assert!(self.naive(ending.key).forgotten(ending.call), "{error}"),
        }
    }

    /// Calls that run on, which only their owners may end.
    pub(super) fn still_running(&self) -> Vec<CallId> {
        self.running.iter().map(|running| running.authorized.event().call).collect()
    }
}

/// What a task came to; `None` for one that was told to stop.
pub(super) async fn in_time<T>(task: &mut JoinHandle<T>) -> Option<T> {
    match tokio::time::timeout(Duration::from_secs(30), task).await.expect("nobody answered") {
        Ok(answer) => Some(answer),
        Err(gone) if gone.is_cancelled() => None,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

pub(super) fn command(id: CallId, asked: Asked) -> Authorize {
    let (input_tokens, output_limit) = (asked.input_tokens, asked.output_limit);
    Authorize {
        ask: Ask { input_tokens, basis: BoundBasis::Bytes, output_limit, choices: 1 },
        ..call(id.as_uuid().as_u128())
    }
}

/// The same as the naive ledger understands it.
pub(super) fn wish(asked: Asked) -> Wish {
    Wish {
        digest: secret().digest,
        card: Arc::new(card()),
        input_tokens: asked.input_tokens,
        basis: BoundBasis::Bytes,
        output_limit: asked.output_limit,
        choices: 1,
        once: None,
    }
}

fn usage(hold: &Hold, end: End) -> Usage {
    let (input, output) = match end {
        End::Settle { input, output, .. } => (input, output),
        End::Void | End::Forfeit => (0, 0),
    };
    Usage {
        input: hold.input_tokens * input / 1_000,
        output: hold.output_tokens * output / 1_000,
        ..Usage::default()
    }
}

/// What a usage costs, by the naive ledger's prices.
pub(super) fn cost(usage: &Usage) -> i128 {
    price::cost(&card(), usage)
}
