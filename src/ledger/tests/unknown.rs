//! Unknown is not failed: whatever becomes of an append whose outcome nobody knows, its events are
//! there exactly once and the answer is true.

use nemo_events::{Actor, Sealed};
use nemo_projections::Refusal;

use super::probe::{Outcome, Reading};
use super::support::*;
use crate::ledger::{ExecuteError, KeyAccount};

fn bytes(batch: &[Sealed]) -> Vec<(nemo_events::EventId, nemo_events::Digest)> {
    batch.iter().map(|event| (event.id, event.hash)).collect()
}

#[tokio::test]
async fn what_was_written_is_found_and_not_sent_again() {
    let node = node().await;
    let account = node.key(room_for(1)).await;
    node.store.then([Outcome::Written]);
    let authorized = answer(node.asks(&account, call(1)).await).await.unwrap();
    assert_eq!(authorized.room().budget.unwrap().free.as_nanos(), 0);
    assert_eq!(node.store.sent().len(), 2, "the creation and the call");
    assert_eq!(node.history(account.id()).await.authorized(), [call_id(1)]);
}

#[tokio::test]
async fn what_was_lost_is_sent_again_byte_for_byte() {
    let node = node().await;
    let account = node.key(room_for(1)).await;
    node.store.then([Outcome::Lost, Outcome::Lost, Outcome::Lost]);
    assert!(answer(node.asks(&account, call(1)).await).await.is_ok());
    let sent = node.store.sent().split_off(1);
    assert_eq!(sent.len(), 4);
    assert!(sent.iter().all(|batch| bytes(batch) == bytes(&sent[0])));
    assert_eq!(node.history(account.id()).await.authorized(), [call_id(1)]);
}

#[tokio::test]
async fn whatever_comes_together_the_call_is_there_once_and_authorised() {
    let first = [Outcome::Written, Outcome::Lost, Outcome::Late];
    let then = [
        Outcome::Passes,
        Outcome::Written,
        Outcome::Lost,
        Outcome::Late,
        Outcome::Away,
        Outcome::Conflict,
        Outcome::Invalid,
    ];
    let readings: [&'static [Reading]; 3] = [&[], &[Reading::Away], &[Reading::Away, Reading::Away]];
    let mut schedules = tokio::task::JoinSet::new();
    for outcome in first {
        for second in then {
            for third in [Outcome::Passes, Outcome::Away, Outcome::Conflict] {
                let outcomes = [outcome, second, third];
                let late = if outcomes.contains(&Outcome::Late) { 1..8 } else { 1..2 };
                for (reads, commit_late_before) in
                    readings.iter().flat_map(|r| late.clone().map(move |l| (*r, l)))
                {
                    schedules.spawn(one_schedule(outcomes, reads, commit_late_before));
                }
            }
        }
    }
    schedules.join_all().await;
}

async fn one_schedule(outcomes: [Outcome; 3], reads: &'static [Reading], commit_late_before: usize) {
    let said = format!("{outcomes:?}, {reads:?}, late before operation {commit_late_before}");
    let node = node().await;
    let account = node.key(room_for(2)).await;
    node.store.then(outcomes);
    node.store.then_reads(reads.iter().copied());
    node.store.commit_late_before(commit_late_before);
    let first = node.asks(&account, call(1)).await;
    let second = node.asks(&account, call(2)).await;
    let third = node.asks(&account, call(3)).await;
    let first = answer(first).await.unwrap_or_else(|error| panic!("{said}: {error}"));
    answer(second).await.unwrap_or_else(|error| panic!("{said}: {error}"));
    assert!(matches!(answer(third).await, Err(ExecuteError::Refused(Refusal::BudgetHeld(_)))), "{said}");
    let end = first.settle(settle(call_id(1))).await.unwrap();
    assert_eq!(end.charged.as_nanos(), COST, "{said}");
    // Whatever is still on its way may come now: there is no place left for it.
    node.store.commit_late().await;
    let types = node.history(account.id()).await.types_after_creation();
    assert_eq!(types, ["CallAuthorized", "CallAuthorized", "CallSettled"], "{said}");
    node.is_quiet().await;
    let metrics = node.ledger.metrics();
    assert_eq!((metrics.authorized.total(), metrics.ended.total()), (2, 1), "{said}");
    assert_eq!(metrics.events.total(), 4, "the creation, and those: {said}");
    // One call was ended by its owner, the other was let go of with its end unwritten.
    assert_eq!((metrics.open.get(), metrics.waiting.get()), (1, 0), "{said}");
}

#[tokio::test]
async fn a_late_commit_behind_another_writers_event_never_happens_and_the_call_is_decided_again() {
    let ours = node().await;
    let account = ours.key(room_for(1)).await;
    let theirs = another_node(&ours.store.memory, PACE).await;
    let their_account = theirs.account(account.id()).await;
    ours.store.then([Outcome::Late]);
    ours.store.hold_reads();
    let asking = ours.asks(&account, call(1)).await;
    ours.store.reads_arrive(1).await;
    answer(theirs.asks(&their_account, call(100)).await).await.unwrap();
    ours.store.commit_late().await;
    ours.store.release_reads();
    assert!(matches!(answer(asking).await, Err(ExecuteError::Refused(Refusal::BudgetHeld(_)))));
    assert_eq!(ours.history(account.id()).await.authorized(), [call_id(100)]);
}

#[tokio::test]
async fn while_an_outcome_is_unknown_commands_wait_undecided_and_those_given_up_are_forgotten() {
    let node = node().await;
    let account = node.key(room_for(2)).await;
    node.store.then([Outcome::Lost]);
    node.store.hold_reads();
    let in_doubt = node.asks(&account, call(1)).await;
    node.store.reads_arrive(1).await;
    let given_up = node.asks(&account, call(2)).await;
    let refused = node.asks(&account, call(3)).await;
    let fits = node.asks(&account, call(4)).await;
    let look = node.looks(account.id()).await;
    assert_eq!(account.waiting(), 5);
    assert_eq!(account.glance(|state: &KeyAccount| state.key.as_ref().unwrap().open_calls.len()), 1);
    for asking in [given_up, refused] {
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());
    }
    node.store.then_reads([Reading::Away; 3]);
    node.store.release_reads();
    assert!(answer(in_doubt).await.is_ok());
    assert!(answer(fits).await.is_ok());
    assert_eq!(answer(look).await.unwrap().open, 2);
    assert_eq!(node.history(account.id()).await.authorized(), [1, 4].map(call_id));
    node.is_quiet().await;
}

#[tokio::test]
async fn an_end_of_unknown_outcome_happens_once_though_nobody_waits_for_it() {
    for outcomes in [vec![Outcome::Written], vec![Outcome::Lost, Outcome::Late, Outcome::Away, Outcome::Lost]]
    {
        let node = node().await;
        let account = node.key(room_for(1)).await;
        let authorized = answer(node.asks(&account, call(1)).await).await.unwrap();
        node.store.then(outcomes);
        node.store.commit_late_before(4);
        let settles = tokio::spawn(async move { authorized.settle(settle(call_id(1))).await });
        a_while().await;
        settles.abort();
        node.is_quiet().await;
        assert_eq!(
            node.history(account.id()).await.types_after_creation(),
            ["CallAuthorized", "CallSettled"]
        );
        assert_eq!(account.waiting(), 0);
    }
}

#[tokio::test]
async fn a_call_given_up_while_its_outcome_is_unknown_is_voided_if_it_was_authorised() {
    for outcome in [Outcome::Written, Outcome::Late, Outcome::Lost] {
        let node = node().await;
        let account = node.key(room_for(1)).await;
        node.store.then([outcome]);
        node.store.hold_reads();
        let given_up = node.asks(&account, call(1)).await;
        node.store.reads_arrive(1).await;
        given_up.abort();
        assert!(given_up.await.is_err());
        node.store.commit_late().await;
        node.store.release_reads();
        node.is_quiet().await;
        let history = node.history(account.id()).await;
        assert_eq!(history.voided_unsent(), [call_id(1)], "{outcome:?}");
        assert_eq!(history.types_after_creation(), ["CallAuthorized", "CallVoided"]);
        let records = node.records(nemo_events::StreamName::Key(account.id())).await;
        let metadata: nemo_events::Metadata = serde_json::from_slice(&records[2].event.metadata).unwrap();
        assert_eq!((metadata.actor, metadata.call), (Actor::System, Some(call_id(1))));
        // The room is free again.
        assert!(answer(node.asks(&account, call(2)).await).await.is_ok());
    }
}

#[tokio::test]
async fn a_stream_that_turns_out_damaged_while_looking_ends_the_wait() {
    let node = node().await;
    let account = node.key(room_for(1)).await;
    node.store.then([Outcome::Lost]);
    node.store.then_reads([Reading::Damaged, Reading::Damaged]);
    let asking = node.asks(&account, call(1)).await;
    assert!(matches!(answer(asking).await, Err(ExecuteError::Damaged(_))));
    assert!(answer(node.asks(&account, call(2)).await).await.is_ok(), "the reads were mended since");
}
