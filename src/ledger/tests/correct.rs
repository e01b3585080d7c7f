//! Corrections of calls that the fold has forgotten: what is looked up is read from the stream and checked.

use nemo_events::{KeyEvent, Nanos, Revision, StreamName};
use nemo_projections::Refusal;
use nemo_projections::decide::Correct;

use super::support::*;
use crate::ledger::{CallPlaces, Context, Corrected, Correction, ExecuteError};

const DAY: i64 = 24 * 3_600_000_000;

fn correction(charged: i64) -> Correction {
    Correction { call: call_id(1), charged: Nanos::from_nanos(charged), reason: "invoice 7".to_owned() }
}

/// A node whose key made one call, which its fold forgot two days later; and where
/// that call's events are.
async fn forgotten() -> (Node, CallPlaces) {
    let node = node().await;
    let account = node.key(unlimited()).await;
    let authorized = answer(node.asks(&account, call(1)).await).await.unwrap();
    authorized.settle(settle(call_id(1))).await.unwrap();
    node.clock.set(later(noon(), 2 * DAY));
    answer(node.asks(&account, call(2)).await).await.unwrap();
    let knows = account.glance(|state| state.key.as_ref().unwrap().knows_call(call_id(1)));
    assert!(!knows, "it is forgotten");
    let as_of = node.ledger.now();
    (node, CallPlaces { authorized: Revision(1), ended: Revision(2), corrected: None, as_of })
}

#[tokio::test]
async fn a_forgotten_call_is_corrected_and_its_correction_names_the_revision_that_ended_it() {
    let (node, places) = forgotten().await;
    let correct =
        |charged, places| node.ledger.correct_call(key_id(1), correction(charged), places, Context::system());
    let done = correct(4_000, places).await.unwrap();
    assert_eq!(
        done.answer,
        Corrected { charged_before: Nanos::from_nanos(COST), charged: Nanos::from_nanos(4_000) }
    );
    let records = node.records(StreamName::Key(key_id(1))).await;
    let last = &records.last().unwrap().event;
    let decoded = KeyEvent::decode(&last.event_type, last.version, &last.data).unwrap();
    let KeyEvent::CallCorrected(event) = decoded else { panic!("{decoded:?}") };
    assert_eq!((event.ended_at, event.authorized_at), (Revision(2), noon()));

    // What was looked up before that is out of date, and the fold knows better.
    let done = correct(1_000, places).await.unwrap();
    assert_eq!(
        done.answer,
        Corrected { charged_before: Nanos::from_nanos(4_000), charged: Nanos::from_nanos(1_000) }
    );
    let refused = correct(4_000, places).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(Refusal::CorrectionOutOfRange))), "{refused:?}");
}

#[tokio::test]
async fn a_correction_after_a_restart_starts_from_the_last_one_in_the_stream() {
    let (node, places) = forgotten().await;
    let first = node.ledger.correct_call(key_id(1), correction(4_000), places, Context::system());
    let first = first.await.unwrap().revision;
    let again = another_node(&node.store.memory, PACE).await;
    again.clock.set(later(noon(), 4 * DAY));
    let account = again.account(key_id(1)).await;
    answer(again.asks(&account, call(3)).await).await.unwrap();
    let places = CallPlaces { corrected: first, as_of: again.ledger.now(), ..places };
    let done = again.ledger.correct_call(key_id(1), correction(1_000), places, Context::system());
    assert_eq!(
        done.await.unwrap().answer,
        Corrected { charged_before: Nanos::from_nanos(4_000), charged: Nanos::from_nanos(1_000) }
    );
}

#[tokio::test]
async fn what_was_looked_up_wrongly_corrects_nothing() {
    let (node, places) = forgotten().await;
    let before = node.records(StreamName::Key(key_id(1))).await.len();
    let wrong = [
        CallPlaces { authorized: Revision(3), ..places },
        CallPlaces { authorized: Revision(0), ..places },
        CallPlaces { ended: Revision(1), ..places },
        CallPlaces { ended: Revision(99), ..places },
        CallPlaces { corrected: Some(Revision(2)), ..places },
    ];
    for places in wrong {
        let refused = node.ledger.correct_call(key_id(1), correction(1), places, Context::system()).await;
        assert!(matches!(refused, Err(ExecuteError::Unavailable(_))), "{places:?} {refused:?}");
    }
    let bare =
        Correct { call: call_id(1), charged: Nanos::from_nanos(1), reason: "r".to_owned(), forgotten: None };
    let refused = node.ledger.manage_key(key_id(1), bare, Context::system()).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(Refusal::CallUnknown(_)))), "{refused:?}");
    assert_eq!(node.records(StreamName::Key(key_id(1))).await.len(), before);
}
