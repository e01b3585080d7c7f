//! Everything at once: two nodes over one store, random commands, faults, askers who go away, clocks that
//! jump. Afterwards the store heals, and stream, answers and accounts must agree with a simple model:
//! each call is where its asker was told that it is, exactly once.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt as _;
use nemo_events::limits::WindowKind;
use nemo_events::{CallId, KeyEvent};
use nemo_projections::Refusal;
use nemo_projections::decide::SetLimits;
use proptest::prelude::*;
use proptest::sample::Index;
use tokio::task::JoinHandle;

use super::probe::{Outcome, Reading};
use super::support::*;
use crate::ledger::{Account, Authorized, Context, EndAnswer, ExecuteError, KeyFold};
use crate::metrics::ledger::LedgerMetrics;

/// One step of a schedule; `usize` is the node.
#[derive(Debug, Clone)]
enum Act {
    Authorize(usize),
    End(Index, End),
    GiveUp(Index),
    Look(usize),
    Revoke(usize),
    SetLimit(usize, i64),
    CountRefusal(usize),
    WriteRefusals(usize),
    NextAppend(usize, Outcome),
    NextReadFails(usize),
    GoAway(usize),
    ComeBack(usize),
    Pause(usize),
    Release(usize),
    CommitLate(usize),
    Observe(usize),
    Clock(usize, i64),
    Run,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Settle,
    Void,
    Forfeit,
}

impl End {
    const fn event(self) -> &'static str {
        match self {
            Self::Settle => "CallSettled",
            Self::Void => "CallVoided",
            Self::Forfeit => "CallForfeited",
        }
    }
}

fn act() -> impl Strategy<Value = Act> {
    let node = 0..2_usize;
    let end = prop_oneof![Just(End::Settle), Just(End::Void), Just(End::Forfeit)];
    let outcome = prop_oneof![
        3 => Just(Outcome::Written),
        3 => Just(Outcome::Lost),
        3 => Just(Outcome::Late),
        1 => Just(Outcome::Away),
        1 => Just(Outcome::Conflict),
        2 => Just(Outcome::Passes),
    ];
    prop_oneof![
        14 => node.clone().prop_map(Act::Authorize),
        8 => (any::<Index>(), end).prop_map(|(call, end)| Act::End(call, end)),
        6 => any::<Index>().prop_map(Act::GiveUp),
        4 => node.clone().prop_map(Act::Look),
        1 => node.clone().prop_map(Act::Revoke),
        2 => (node.clone(), 0..20_i64).prop_map(|(node, calls)| Act::SetLimit(node, calls)),
        2 => node.clone().prop_map(Act::CountRefusal),
        1 => node.clone().prop_map(Act::WriteRefusals),
        8 => (node.clone(), outcome).prop_map(|(node, outcome)| Act::NextAppend(node, outcome)),
        3 => node.clone().prop_map(Act::NextReadFails),
        1 => node.clone().prop_map(Act::GoAway),
        2 => node.clone().prop_map(Act::ComeBack),
        5 => node.clone().prop_map(Act::Pause),
        5 => node.clone().prop_map(Act::Release),
        4 => node.clone().prop_map(Act::CommitLate),
        4 => node.clone().prop_map(Act::Observe),
        1 => (node, -4..4_i64).prop_map(|(node, seconds)| Act::Clock(node, seconds)),
        14 => Just(Act::Run),
    ]
}

/// What became of a call, as far as anybody was told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// Leave was given, and nobody has ended it.
    Open,
    /// Leave was given, and its end was asked for.
    Ended(End),
    /// It was refused by name.
    Refused,
    /// Nobody knows: the asker went away.
    GivenUp,
}

struct Run {
    nodes: [Node; 2],
    accounts: [Arc<Account<KeyFold>>; 2],
    asking: Vec<(CallId, Asking<Authorized>)>,
    open: Vec<Arc<Authorized>>,
    ends: Vec<(JoinHandle<Result<EndAnswer, ExecuteError>>, i64)>,
    looks: Vec<Asking<Seen>>,
    managed: Vec<Asking<()>>,
    fates: BTreeMap<CallId, Fate>,
    refusals: u64,
    revoked: bool,
}

impl Run {
    async fn start() -> Self {
        let one = node().await;
        let account = one.key(room_for(12)).await;
        let two = another_node(&one.store.memory, PACE).await;
        let their_account = two.account(account.id()).await;
        Self {
            nodes: [one, two],
            accounts: [account, their_account],
            asking: Vec::new(),
            open: Vec::new(),
            ends: Vec::new(),
            looks: Vec::new(),
            managed: Vec::new(),
            fates: BTreeMap::new(),
            refusals: 0,
            revoked: false,
        }
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Authorize(node) => {
                let n = (self.fates.len() + self.asking.len()) as u128;
                let asking = self.nodes[node].asks_soon(&self.accounts[node], call(n));
                self.asking.push((call_id(n), asking));
            }
            Act::End(place, end) => self.end(&place, end),
            Act::GiveUp(place) => {
                if !self.asking.is_empty() {
                    let (_, asking) = &self.asking[place.index(self.asking.len())];
                    asking.abort();
                } else if !self.ends.is_empty() {
                    self.ends[place.index(self.ends.len())].0.abort();
                }
            }
            Act::Look(node) => self.looks.push(self.nodes[node].looks_soon(key_id(1))),
            Act::Revoke(node) => {
                self.managed.push(self.nodes[node].revokes_soon(key_id(1)));
                self.revoked = true;
            }
            Act::SetLimit(node, calls) => {
                let ledger = Arc::clone(&self.nodes[node].ledger);
                let set = SetLimits { limits: room_for(calls), bounds: None };
                self.managed.push(tokio::spawn(async move {
                    match ledger.manage_key(key_id(1), set, Context::system()).await {
                        Ok(_) | Err(ExecuteError::Refused(Refusal::Revoked)) => Ok(()),
                        Err(error) => Err(error),
                    }
                }));
            }
            Act::CountRefusal(node) => {
                self.nodes[node].ledger.count_refusal(key_id(1), &Refusal::Blocked, None);
                self.refusals += 1;
            }
            Act::WriteRefusals(node) => {
                let ledger = Arc::clone(&self.nodes[node].ledger);
                self.managed.push(tokio::spawn(async move {
                    ledger.write_refusals().await;
                    Ok(())
                }));
            }
            Act::NextAppend(node, outcome) => self.nodes[node].store.then([outcome]),
            Act::NextReadFails(node) => self.nodes[node].store.then_reads([Reading::Away]),
            Act::GoAway(node) => self.nodes[node].store.go_away(),
            Act::ComeBack(node) => self.nodes[node].store.come_back(),
            Act::Pause(node) => self.nodes[node].store.pause_appends(),
            Act::Release(node) => self.nodes[node].store.release_appends(),
            Act::CommitLate(node) => self.nodes[node].store.commit_late().await,
            Act::Observe(node) => self.nodes[node].observes_all().await,
            Act::Clock(node, seconds) => self.nodes[node].clock.set(later(noon(), seconds * 1_000_000)),
            Act::Run => {
                tokio::time::sleep(PACE.first).await;
                a_while().await;
                self.collect().await;
            }
        }
    }

    fn end(&mut self, place: &Index, end: End) {
        if self.open.is_empty() {
            return;
        }
        let authorized = self.open.swap_remove(place.index(self.open.len()));
        let call = authorized.event().call;
        self.fates.insert(call, Fate::Ended(end));
        let charged = match end {
            End::Settle => COST,
            End::Void => 0,
            End::Forfeit => HOLD,
        };
        let mut ends = Box::pin(async move {
            match end {
                End::Settle => authorized.settle(settle(call)).await,
                End::Void => authorized.void(void(call)).await,
                End::Forfeit => authorized.forfeit(forfeit(call)).await,
            }
        });
        // Asked for at once, so that it was asked for whoever goes away afterwards.
        assert!((&mut ends).now_or_never().is_none());
        self.ends.push((tokio::spawn(ends), charged));
    }

    /// Takes in the answers that have come.
    async fn collect(&mut self) {
        let (come, asking) =
            std::mem::take(&mut self.asking).into_iter().partition(|(_, asking)| asking.is_finished());
        self.asking = asking;
        for (call, asking) in come {
            self.told(call, asking).await;
        }
    }

    async fn told(&mut self, call: CallId, asking: Asking<Authorized>) {
        let fate = match tokio::time::timeout(std::time::Duration::from_secs(30), asking)
            .await
            .expect("nobody answered")
        {
            Ok(Ok(authorized)) => {
                self.open.push(Arc::new(authorized));
                Fate::Open
            }
            Ok(Err(ExecuteError::Refused(_) | ExecuteError::ClockBehind(_))) => Fate::Refused,
            Ok(Err(error)) => panic!("{error}"),
            Err(gone) if gone.is_cancelled() => Fate::GivenUp,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        self.fates.insert(call, fate);
    }

    async fn heal(&mut self) {
        for node in &self.nodes {
            node.store.come_back();
            node.store.release_appends();
            node.clock.set(later(noon(), 4_000_000));
        }
        for (call, asking) in std::mem::take(&mut self.asking) {
            self.told(call, asking).await;
        }
        for (ends, charged) in std::mem::take(&mut self.ends) {
            match tokio::time::timeout(std::time::Duration::from_secs(30), ends).await.expect("an end hangs")
            {
                Ok(end) => assert_eq!(end.unwrap().charged.as_nanos(), charged),
                Err(gone) => assert!(gone.is_cancelled()),
            }
        }
        for look in std::mem::take(&mut self.looks) {
            tolerate(answer(look).await);
        }
        for managed in std::mem::take(&mut self.managed) {
            tolerate(answer(managed).await);
        }
        for node in &self.nodes {
            node.is_quiet().await;
            node.store.commit_late().await;
            node.ledger.write_refusals().await;
            node.is_quiet().await;
        }
    }

    async fn check(&self) {
        let history = self.nodes[0].history(key_id(1)).await;
        let (authorized, ends, unsent) = (history.authorized(), history.ends(), history.voided_unsent());
        for (call, fate) in &self.fates {
            let times = authorized.iter().filter(|other| *other == call).count();
            let end = ends.get(call).copied();
            match fate {
                Fate::Open => assert_eq!((times, end), (1, None), "{call}"),
                Fate::Ended(asked) => assert_eq!((times, end), (1, Some(asked.event())), "{call}"),
                Fate::Refused => assert_eq!((times, end), (0, None), "{call}"),
                Fate::GivenUp => {
                    let voided = times == 1 && unsent.contains(call);
                    assert!(times == 0 || voided, "{call} was given up but not voided");
                }
            }
        }
        let told = |call: &CallId| self.fates.contains_key(call);
        assert!(authorized.iter().all(told));
        self.check_rooms(&history);
        let refused = |event: &KeyEvent| match event {
            KeyEvent::CallsRefused(refused) => refused.refusals.iter().map(|count| count.count).sum(),
            _ => 0,
        };
        assert_eq!(history.events.iter().map(refused).sum::<u64>(), self.refusals);
        self.check_counts(&history);
        for (node, account) in self.nodes.iter().zip(&self.accounts) {
            assert_eq!(account.waiting(), 0);
            node.observes_all().await;
            answer(node.looks(key_id(1)).await).await.unwrap();
            assert_eq!(
                account.glance(|state| state.key.clone()),
                history.state,
                "memory is not what the stream says"
            );
        }
    }

    /// Both nodes together counted what is in the store, each event once.
    fn check_counts(&self, history: &History) {
        let sum = |count: fn(&LedgerMetrics) -> u64| -> u64 {
            self.nodes.iter().map(|node| count(node.ledger.metrics())).sum()
        };
        assert_eq!(sum(|metrics| metrics.events.total()), history.events.len() as u64);
        assert_eq!(sum(|metrics| metrics.authorized.total()), history.authorized().len() as u64);
        assert_eq!(sum(|metrics| metrics.ended.total()), history.ends().len() as u64);
        assert_eq!(sum(|metrics| metrics.refusals.total()), self.refusals);
        let waiting: i64 = self.nodes.iter().map(|node| node.ledger.metrics().waiting.get()).sum();
        assert_eq!(waiting, 0);
    }

    /// What callers were told that is left is what was left at their call's revision.
    fn check_rooms(&self, history: &History) {
        for authorized in &self.open {
            let place =
                |event: &KeyEvent| matches!(event, KeyEvent::CallAuthorized(e) if e == authorized.event());
            let revision =
                history.events.iter().position(place).expect("the event is not the one that is told");
            let budget = authorized.room().budget.unwrap();
            assert_eq!(budget.window, WindowKind::Total);
            assert_eq!(history.free_at(revision), Some(budget.free));
        }
    }
}

/// Only clocks keep anybody from being answered.
fn tolerate<T>(result: Result<T, ExecuteError>) {
    match result {
        Ok(_) | Err(ExecuteError::ClockBehind(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_in_whatever_order_everybody_is_told_the_truth(acts in prop::collection::vec(act(), 1..160)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut run = Run::start().await;
            for act in acts {
                run.act(act).await;
            }
            run.heal().await;
            run.check().await;
        });
    }
}
