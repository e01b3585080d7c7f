//! `kill -9` at each place of a call's life, and then the same request again: the provider bills it once at most, the
//! ledger charges it once, and whoever asks again is told so.

use serde_json::{Value, json};

use super::{PRICE, once};
use crate::fake_provider::Behaviour;
use crate::harness::{Call, Key, Setup, until};

/// What the ledger has of the call that was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Has {
    /// Nothing: it is made when it is asked for again.
    Nothing,
    /// Its hold: nobody knows what became of it, so that is charged.
    Hold,
    /// Its bill.
    Bill,
}

/// Places in the order of a call's life, with the arrival that is the last there, and whether the call streams.
const PLACES: [(&str, u64, bool, Has); 17] = [
    ("before-authorize", 1, false, Has::Nothing),
    ("before-append", 1, false, Has::Nothing),
    ("group-commit", 1, true, Has::Nothing),
    ("group-committed", 1, false, Has::Hold),
    ("after-append", 1, true, Has::Hold),
    ("after-authorize", 1, false, Has::Hold),
    ("dispatch", 1, true, Has::Hold),
    ("answered", 1, false, Has::Hold),
    ("first-byte", 1, true, Has::Hold),
    ("mid-stream", 1, true, Has::Hold),
    ("last-byte", 1, false, Has::Hold),
    ("before-settle", 1, true, Has::Hold),
    ("before-append", 2, false, Has::Hold),
    ("group-commit", 2, false, Has::Hold),
    ("group-committed", 2, true, Has::Bill),
    ("after-append", 2, false, Has::Bill),
    ("after-settle", 1, true, Has::Bill),
];

#[tokio::test]
async fn wherever_it_is_killed_a_request_that_is_sent_again_is_charged_once() {
    let crash = tempfile::tempdir().unwrap();
    let crash_at = crash.path().join("crash-at");
    std::fs::write(&crash_at, "").unwrap();
    let nemo = Setup::default().env("NEMO_CRASH_AT", &format!("@{}", crash_at.display())).start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    // The price card is published with the first call.
    nemo.rich_key().await.chat(json!({})).await.ok();
    for (place, arrival, streams, has) in PLACES {
        let told = format!("{place} {arrival}, streams: {streams}");
        let key = nemo.rich_key().await;
        let before = nemo.provider().request_count();
        std::fs::write(&crash_at, format!("{place}:{arrival}")).unwrap();
        let body = key.body(json!({ "stream": streams })).to_string();
        let cut = key.request(body.into()).header("idempotency-key", "order-4711").send().await;
        // The head of a stream may have come; its end did not.
        if let Ok(cut) = cut {
            assert!(cut.bytes().await.is_err(), "{told}: it lives on");
        }
        nemo.until_exit().await;
        std::fs::write(&crash_at, "").unwrap();
        nemo.restart().await;

        let found = until("what was open has ended", || ended(&key)).await;
        let again = once(&key, "order-4711", json!({ "stream": streams })).await;
        let sent = nemo.provider().request_count() - before;
        let call = match has {
            Has::Nothing => {
                assert_eq!((found.len(), again.status, sent), (0, 200, 1), "{told}: {}", again.text());
                key.only_call().await
            }
            Has::Hold | Has::Bill => {
                again.refused(409, "call_already_billed");
                assert!(again.forbids_retry() && sent <= 1, "{told}: {sent} requests were sent");
                let call = key.only_call().await;
                assert_eq!(again.cost(), call.charged(), "{told}");
                assert_eq!(again.header("x-nemo-call-id"), Some(call.id.as_str()), "{told}");
                call
            }
        };
        let expected = match has {
            Has::Hold => ("CallForfeited", call.hold()),
            Has::Nothing | Has::Bill => ("CallSettled", PRICE),
        };
        assert_eq!((call.end.as_str(), call.charged()), expected, "{told}");
        once(&key, "order-4711", json!({ "stream": streams })).await.refused(409, "call_already_billed");
        assert_eq!(key.books_balance().await.len(), 1, "{told}");
    }
}

/// The calls of a key, once none of them is open.
async fn ended(key: &Key) -> Option<Vec<Call>> {
    let shown: Value = key.shown().await;
    if shown["open_calls"]["count"] != 0 {
        return None;
    }
    Some(key.calls().await)
}
