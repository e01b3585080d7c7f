//! Budgets of an org: whatever is interrupted, repeated or raced, its keys spend no more than it has, and whatever is
//! idle with one key can be had by another.

use nemo_events::limits::{Budget, WindowKind};
use nemo_events::{CallId, Day, Nanos, StreamName, Timestamp, Usage};
use nemo_projections::Refusal;
use nemo_projections::decide::{ArchiveOrg, Authorize, Settle, SuspendOrg};
use nemo_projections::refusal::{BudgetOwner, BudgetShort};

use super::probe::Outcome::{self, Away, Conflict, Lost, Passes, Written};
use super::support::*;
use crate::ledger::allotment::OnOrg;
use crate::ledger::{Authorized, Context, ExecuteError, OrgBudgetsAnswer};

const ALL: [WindowKind; 4] = WindowKind::ALL;

/// A node whose org has keys 1 to `keys`, without caps of their own.
async fn org_with(keys: u32) -> Node {
    let node = node().await;
    for n in 1..=keys {
        node.has_key(key_id(n), unlimited()).await;
    }
    node
}

async fn set(node: &Node, budgets: &[(WindowKind, i64)]) -> OrgBudgetsAnswer {
    let budget = |(window, limit): &(WindowKind, i64)| Budget {
        window: *window,
        limit: Nanos::from_nanos(*limit),
        alert_at_percent: None,
    };
    let budgets = budgets.iter().map(budget).collect();
    node.ledger.set_org_budgets(org_id(), budgets, Context::system()).await.unwrap().answer
}

async fn ask(node: &Node, key: u32, n: u128) -> Result<Authorized, ExecuteError> {
    let org = node.ledger.org_view(Some(org_id())).await?;
    let account = node.account(key_id(key)).await;
    node.ledger.authorize(&account, Authorize { org, ..call(n) }).await
}

fn short(asked: Result<Authorized, ExecuteError>) -> (&'static str, BudgetShort) {
    let Err(ExecuteError::Refused(refusal)) = asked else { panic!("not refused but {asked:?}") };
    let code = refusal.code();
    match refusal {
        Refusal::BudgetHeld(short) | Refusal::BudgetExceeded(short) => (code, short),
        other => panic!("no budget is short but {other}"),
    }
}

/// Asks until it is let, as a call does that waits in line.
async fn gets(node: &Node, key: u32, n: u128) -> Authorized {
    for _ in 0..20 {
        match ask(node, key, n).await {
            Ok(authorized) => return authorized,
            Err(ExecuteError::Refused(Refusal::BudgetHeld(_))) => a_while().await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("money is free, and nobody gets it");
}

/// A fresh node reads all streams: no window of the org is spent above what it has out, nor out above its budgets.
async fn sound(node: &Node, keys: u32) -> Node {
    let fresh = another_node(&node.store.memory, PACE).await;
    fresh.clock.set(node.ledger.now());
    let now = node.ledger.now();
    let org = fresh.ledger.org(org_id()).await.unwrap().glance(Clone::clone).unwrap();
    let mut truth = [0; 4];
    for n in 1..=keys {
        let key = fresh.account(key_id(n)).await.glance(|state| state.key.clone()).unwrap();
        for (sum, kind) in truth.iter_mut().zip(ALL) {
            let window = key.windows.at(kind, now);
            *sum += window.settled.as_nanos() + window.held.as_nanos();
        }
    }
    for (spent, kind) in truth.into_iter().zip(ALL) {
        let used = org.allotted.used(kind, Day::of(now)).as_nanos();
        assert!(spent <= used, "{kind}: {spent} is spent and held, {used} is out");
        if let Some(budget) = org.budgets.iter().find(|budget| budget.window == kind) {
            assert!(used <= budget.limit.as_nanos(), "{kind}: {used} is out of {}", budget.limit);
        }
    }
    fresh
}

#[tokio::test]
async fn the_last_nano_of_the_org_is_spent_and_not_one_more() {
    let node = org_with(4).await;
    set(&node, &[(WindowKind::Day, 3 * HOLD)]).await;
    let mut leave = Vec::new();
    for key in 1..=3 {
        leave.push(gets(&node, key, u128::from(key)).await);
    }
    let (code, held) = short(ask(&node, 4, 4).await);
    assert_eq!((code, held.of, held.limit.as_nanos()), ("budget_held", BudgetOwner::Org, 3 * HOLD));
    assert_eq!((held.settled.as_nanos(), held.held.as_nanos(), held.needed.as_nanos()), (0, 3 * HOLD, HOLD));
    for authorized in &leave {
        authorized.settle(settle(authorized.event().call)).await.unwrap();
    }
    // What the three did not use is idle with them: one more call fits, of any key.
    let last = gets(&node, 4, 5).await;
    last.settle(settle(last.event().call)).await.unwrap();
    let (code, spent) = short(ask(&node, 1, 6).await);
    assert_eq!((code, spent.window, spent.of), ("budget_exceeded", WindowKind::Day, BudgetOwner::Org));
    assert_eq!(spent.settled.as_nanos(), 4 * COST);
    assert_eq!(spent.resets_at, Some(at("2026-11-19T00:00:00Z")));
    sound(&node, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_ask_at_once_on_two_nodes_as_many_are_let_as_fit() {
    let one = org_with(8).await;
    let two = another_node(&one.store.memory, PACE).await;
    set(&one, &[(WindowKind::Month, 21 * HOLD)]).await;
    let mut asked = Vec::new();
    let nodes = [std::sync::Arc::new(one), std::sync::Arc::new(two)];
    for n in 0..64_u32 {
        let node = std::sync::Arc::clone(&nodes[n as usize % 2]);
        asked.push(tokio::spawn(async move { ask(&node, 1 + n % 8, n.into()).await }));
    }
    let mut leave = Vec::new();
    for asked in asked {
        match asked.await.unwrap() {
            Ok(authorized) => leave.push(authorized),
            Err(ExecuteError::Refused(Refusal::BudgetHeld(_)) | ExecuteError::Unavailable(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    for node in &nodes {
        node.observes_all().await;
        node.is_quiet().await;
    }
    let fresh = sound(&nodes[0], 8).await;
    // Whoever was refused only lost a race: all of it can be had.
    for n in leave.len()..21 {
        leave.push(gets(&fresh, 1 + n as u32 % 8, 1_000 + n as u128).await);
    }
    assert_eq!(short(ask(&fresh, 1, 2_000).await).0, "budget_held");
    sound(&fresh, 8).await;
}

#[tokio::test]
async fn what_a_crash_leaves_under_way_is_spent_by_nobody_and_had_by_the_next() {
    for appends in 0..4 {
        let node = org_with(2).await;
        set(&node, &[(WindowKind::Day, HOLD)]).await;
        node.store.then((0..appends).map(|_| Passes));
        node.store.then((0..1_000).map(|_| Away));
        let asks = {
            let org = node.ledger.org_view(Some(org_id())).await.unwrap();
            let account = node.account(key_id(1)).await;
            node.asks(&account, Authorize { org, ..call(1) }).await
        };
        for _ in 0..50 {
            a_while().await;
        }
        asks.abort();
        let fresh = sound(&node, 2).await;
        let was_let = !fresh.history(key_id(1)).await.authorized().is_empty();
        if was_let {
            assert_eq!(short(ask(&fresh, 2, 2).await).0, "budget_held", "after {appends} appends");
        } else {
            gets(&fresh, 2, 2).await;
        }
        sound(&fresh, 2).await;
    }
}

#[tokio::test]
async fn conflicts_and_unknown_outcomes_change_nothing() {
    let bad: [&[Outcome]; 5] = [
        &[Written],
        &[Lost],
        &[Conflict, Conflict],
        &[Passes, Written, Written],
        &[Passes, Lost, Conflict, Written],
    ];
    for outcomes in bad {
        let node = org_with(2).await;
        set(&node, &[(WindowKind::Day, 2 * HOLD)]).await;
        node.store.then(outcomes.iter().copied());
        gets(&node, 1, 1).await;
        node.store.then(outcomes.iter().copied());
        gets(&node, 2, 2).await;
        assert_eq!(short(ask(&node, 1, 3).await).0, "budget_held", "{outcomes:?}");
        sound(&node, 2).await;
    }
}

#[tokio::test]
async fn a_budget_that_is_added_counts_what_was_spent_and_is_held_before() {
    let node = org_with(3).await;
    let first = ask(&node, 1, 1).await.unwrap();
    first.settle(settle(first.event().call)).await.unwrap();
    let open = ask(&node, 2, 2).await.unwrap();
    let answer = set(&node, &[(WindowKind::Month, COST + 2 * HOLD)]).await;
    assert!(answer.is_counted);
    assert_eq!((answer.room[0].spent.as_nanos(), answer.room[0].free.as_nanos()), (COST + HOLD, HOLD));
    gets(&node, 3, 3).await;
    assert_eq!(short(ask(&node, 1, 4).await).0, "budget_held");
    // The call that was open then cost less: the next count says so.
    open.settle(settle(open.event().call)).await.unwrap();
    node.ledger.tidy_allotments().await;
    node.is_quiet().await;
    let room = node.ledger.org_budgets(org_id()).await.unwrap().room;
    assert_eq!((room[0].spent.as_nanos(), room[0].held.as_nanos()), (2 * COST, HOLD));
    sound(&node, 3).await;
}

#[tokio::test]
async fn a_slice_ends_with_its_day_and_what_is_idle_of_it_is_had_back() {
    let node = org_with(2).await;
    let before = at("2026-11-18T23:59:00Z");
    node.clock.set(before);
    // Large enough that the first slice is larger than its call.
    set(&node, &[(WindowKind::Month, 40 * HOLD)]).await;
    let open = gets(&node, 1, 1).await;
    let tomorrow = at("2026-11-19T00:02:00Z");
    node.clock.set(tomorrow);
    let used = async |node: &Node| {
        let org = node.ledger.org(org_id()).await.unwrap();
        org.glance(|org| org.as_ref().unwrap().allotted.used(WindowKind::Month, Day::of(tomorrow)).as_nanos())
    };
    assert!(used(&node).await > HOLD);
    node.ledger.tidy_allotments().await;
    assert_eq!(used(&node).await, HOLD, "a call that is open over midnight holds its own day's");
    open.settle(settle(open.event().call)).await.unwrap();
    node.ledger.tidy_allotments().await;
    assert_eq!(used(&node).await, COST);
    let events = node.records(StreamName::Org(org_id())).await;
    let closed = events.iter().filter(|record| record.event.event_type == "AllotmentsClosed").count();
    assert_eq!(closed, 1);
    gets(&node, 1, 2).await;
    sound(&node, 2).await;
}

#[tokio::test]
async fn an_org_that_is_suspended_archived_lowered_or_freed_takes_back_what_is_idle() {
    for way in 0..4 {
        let node = org_with(3).await;
        set(&node, &[(WindowKind::Total, 200 * HOLD)]).await;
        for key in 1..=3 {
            gets(&node, key, u128::from(key)).await;
        }
        let out = async |node: &Node| {
            let answer = node.ledger.org_budgets(org_id()).await.unwrap();
            let org = node.ledger.org(org_id()).await.unwrap();
            let today = Day::of(noon());
            let used = org.glance(|org| org.as_ref().unwrap().allotted.out(WindowKind::Total, today));
            (answer.still_out.as_nanos(), used.as_nanos())
        };
        assert!(out(&node).await.1 > 3 * HOLD, "slices are larger than one call");
        let context = Context::system();
        match way {
            0 => drop(node.ledger.manage_org(org_id(), SuspendOrg { reason: None }, context).await.unwrap()),
            1 => drop(node.ledger.manage_org(org_id(), ArchiveOrg { reason: None }, context).await.unwrap()),
            2 => drop(set(&node, &[(WindowKind::Total, HOLD)]).await),
            _ => drop(set(&node, &[]).await),
        }
        node.is_quiet().await;
        assert_eq!(out(&node).await, (3 * HOLD, 3 * HOLD), "all but what calls hold");
        match (way, ask(&node, 1, 9).await) {
            (0, Err(ExecuteError::Refused(Refusal::OrgSuspended))) => {}
            (1, Err(ExecuteError::Refused(Refusal::OrgArchived))) => {}
            (2, asked) => assert_eq!(short(asked).0, "budget_held"),
            (3, Ok(authorized)) => assert!(!authorized.event().allotted),
            (way, told) => panic!("{way}: {told:?}"),
        }
    }
}

#[tokio::test]
async fn taking_back_that_was_interrupted_goes_on_by_itself() {
    let node = org_with(3).await;
    set(&node, &[(WindowKind::Total, 200 * HOLD)]).await;
    for key in 1..=3 {
        gets(&node, key, u128::from(key)).await;
    }
    let org = node.ledger.org(org_id()).await.unwrap();
    let out = || {
        org.glance(|org| org.as_ref().unwrap().allotted.out(WindowKind::Total, Day::of(noon())).as_nanos())
    };
    // As if the node had died between this event and what follows from it.
    org.execute(OnOrg(SuspendOrg { reason: None }), Context::system()).await.unwrap();
    node.is_quiet().await;
    assert!(out() > 3 * HOLD, "nothing was taken back");
    node.ledger.tidy_allotments().await;
    node.is_quiet().await;
    assert_eq!(out(), 3 * HOLD, "all but what calls hold");
}

#[tokio::test]
async fn what_a_key_spent_outside_of_slices_on_a_node_that_knew_no_better_is_counted() {
    let node = org_with(1).await;
    set(&node, &[(WindowKind::Total, 2 * HOLD)]).await;
    // Made and used where the budgets are not known yet.
    node.has_key(key_id(2), unlimited()).await;
    let late = node.account(key_id(2)).await;
    node.ledger.authorize(&late, call(1)).await.unwrap();
    gets(&node, 2, 2).await;
    let (code, short) = short(ask(&node, 1, 3).await);
    let parts = (short.settled.as_nanos(), short.held.as_nanos());
    assert_eq!((code, parts), ("budget_held", (HOLD, HOLD)), "outside of slices, and in one");
}

#[tokio::test]
async fn a_restarted_node_finds_what_is_idle_with_keys_it_has_not_looked_at() {
    let node = org_with(40).await;
    set(&node, &[(WindowKind::Day, 40 * HOLD)]).await;
    for key in 1..=40 {
        let authorized = gets(&node, key, u128::from(key)).await;
        authorized.void(void(authorized.event().call)).await.unwrap();
    }
    let fresh = sound(&node, 0).await;
    // One call that needs nearly all of it: the money is with 40 keys.
    let mut large = call(100);
    large.ask.output_limit = Some(4_000);
    large.org = fresh.ledger.org_view(Some(org_id())).await.unwrap();
    let account = fresh.account(key_id(1)).await;
    let mut tries = 0;
    loop {
        match fresh.ledger.authorize(&account, large.clone()).await {
            Ok(_) => break,
            Err(ExecuteError::Refused(Refusal::BudgetHeld(_))) => tries += 1,
            Err(error) => panic!("{error}"),
        }
        fresh.is_quiet().await;
        assert!(tries < 10, "each try takes back from 16 keys more");
    }
    sound(&fresh, 40).await;
}

#[tokio::test]
async fn an_overrun_counts_against_the_org() {
    let node = org_with(2).await;
    set(&node, &[(WindowKind::Day, 3 * HOLD)]).await;
    let authorized = gets(&node, 1, 1).await;
    let call: CallId = authorized.event().call;
    let dear = Settle { usage: Usage { input: 100, output: 250, ..Usage::default() }, ..settle(call) };
    authorized.settle(dear).await.unwrap();
    node.observes_all().await;
    node.is_quiet().await;
    let room = node.ledger.org_budgets(org_id()).await.unwrap().room;
    let cost = 100 * 1_000 + 250 * 10_000;
    assert_eq!((room[0].spent.as_nanos(), room[0].free.as_nanos()), (cost, 3 * HOLD - cost));
    assert_eq!(short(ask(&node, 2, 2).await).0, "budget_exceeded");
}

#[tokio::test]
async fn most_calls_need_no_event_of_the_org() {
    let node = org_with(1).await;
    set(&node, &[(WindowKind::Day, 10_000 * HOLD)]).await;
    for n in 0..50 {
        let authorized = gets(&node, 1, n).await;
        authorized.settle(settle(authorized.event().call)).await.unwrap();
    }
    let grants = node.records(StreamName::Org(org_id())).await;
    let grants = grants.iter().filter(|record| record.event.event_type == "BudgetAllotted").count();
    assert!(grants <= 4, "{grants} grants for 50 calls");
    let now: Timestamp = noon();
    assert_eq!(
        node.account(key_id(1)).await.glance(|s| s.key.as_ref().unwrap().slices.of(Day::of(now)).open),
        0
    );
}
