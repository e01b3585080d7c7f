//! A provider that leaves call after call without an answer gets no more of them for a while, so that it cannot
//! eat the budgets of its callers.

use serde_json::json;

use crate::fake_provider::{At, Behaviour, How};
use crate::harness::{Nemo, Setup, until};

async fn gateway() -> Nemo {
    Setup::default().calls("unknown_ends_at_most = 3").start().await
}

fn lost() -> Behaviour {
    Behaviour::breaking(At::Read, How::Reset)
}

#[tokio::test]
async fn after_so_many_lost_calls_in_a_row_none_is_sent_until_one_that_tries_comes_back() {
    let nemo = gateway().await;
    let (key, other) = (nemo.rich_key().await, nemo.rich_key().await);
    nemo.provider().script(lost());
    for _ in 0..3 {
        key.chat(json!({})).await.refused(502, "provider_failed");
    }
    let charged = key.charged().await;
    for key in [&key, &other] {
        let refused = key.chat(json!({})).await;
        refused.refused(502, "provider_suspended");
        let wait: u64 = refused.header("retry-after").expect("says when").parse().unwrap();
        assert!((1..=10).contains(&wait) && !refused.forbids_retry(), "{wait}");
    }
    assert_eq!((key.charged().await, other.calls().await.len()), (charged, 0), "nothing is authorised");
    assert_eq!(nemo.provider().request_count(), 3);
    nemo.provider().script(Behaviour::success(9, 7));
    until("one that tries comes back", || async {
        let answer = key.chat(json!({})).await;
        (answer.status == 200).then_some(())
    })
    .await;
    // From then on everybody is served.
    other.chat(json!({})).await.ok();
    key.chat(json!({})).await.ok();
}

#[tokio::test]
async fn whatever_comes_back_in_between_counts_as_an_answer() {
    let nemo = gateway().await;
    let key = nemo.rich_key().await;
    for behaviour in [Behaviour::error(503), Behaviour::rate_limited(1), Behaviour::success(9, 7)] {
        nemo.provider().script_next([lost(), lost(), behaviour]);
        for _ in 0..2 {
            key.chat(json!({})).await.refused(502, "provider_failed");
        }
        let answer = key.chat(json!({})).await;
        assert_ne!(answer.status, 502, "{}", answer.text());
    }
}
