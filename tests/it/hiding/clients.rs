//! Clients that pause, half-close, trickle and flood.

use super::*;

/// Waits until the provider has produced all that it can without being read further: everything, or as much as
/// buffers take.
async fn until_it_cannot_go_on(provider: &FakeProvider) {
    let (mut before, mut same) = (0, 0);
    while same < 20 {
        let now = provider.billed_nanos();
        same = if now == before && now > 0 { same + 1 } else { 0 };
        before = now;
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// A stream of 16,000 tokens in as many events, some 5 MB, more than the buffers between gateway and client take. Each
/// token is one byte, so that what was received says no more of what was made than it must.
fn long() -> Behaviour {
    Behaviour::success(9, 16_000).chunks(16_000).text_bytes(16_000)
}

fn wish() -> Value {
    json!({"stream": true, "max_tokens": 16_000})
}

#[tokio::test]
async fn a_client_that_stops_reading_and_leaves_pays_for_what_was_made_meanwhile() {
    let nemo = Nemo::start().await;
    for resets in [false, true] {
        nemo.provider().script_next([long()]);
        let key = nemo.rich_key().await;
        let raw = nemo.narrow(last(&nemo, &key, wish())).await;
        until_it_cannot_go_on(nemo.provider()).await;
        if resets {
            raw.reset()
        } else {
            raw.hang_up().await
        }
        let calls = nothing_is_hidden(&key, &[nemo.provider()]).await;
        assert_eq!((calls.len(), calls[0].end.as_str()), (1, "CallSettled"));
    }
}

#[tokio::test]
async fn a_client_that_stops_reading_until_its_key_is_revoked_or_its_deadline_comes_pays_too() {
    let nemo = Setup::default().calls("deadline_secs = 7").start().await;
    for revoked in [false, true] {
        nemo.provider().script_next([long()]);
        let key = nemo.rich_key().await;
        let raw = nemo.narrow(last(&nemo, &key, wish())).await;
        until_it_cannot_go_on(nemo.provider()).await;
        if revoked {
            key.tell("revoke", json!({"reason": "leaked"})).await;
        }
        nothing_is_hidden(&key, &[nemo.provider()]).await;
        drop(raw);
    }
}

#[tokio::test]
async fn a_client_that_pauses_and_reads_on_gets_its_whole_answer() {
    let nemo = Nemo::start().await;
    nemo.provider().script_next([long()]);
    let key = nemo.rich_key().await;
    let raw = nemo.raw(last(&nemo, &key, wish())).await;
    until_it_cannot_go_on(nemo.provider()).await;
    let answer = raw.rest().await;
    assert!(answer.contains("data: [DONE]"), "{} bytes", answer.len());
    let calls = nothing_is_hidden(&key, &[nemo.provider()]).await;
    assert_eq!(calls[0].charged(), 9 * crate::harness::INPUT + 16_000 * crate::harness::OUTPUT);
}

#[tokio::test]
async fn a_client_that_closes_its_half_is_billed_whether_or_not_it_hears_the_answer() {
    let nemo = Nemo::start().await;
    for streams in [false, true] {
        nemo.provider().script_next([Behaviour::success(9, 40)]);
        nemo.provider().hold_at(Phase::Received);
        let key = nemo.rich_key().await;
        let mut raw = nemo.raw(last(&nemo, &key, json!({ "stream": streams }))).await;
        nemo.provider().until_held(Phase::Received, 1).await.unwrap();
        raw.close_half().await;
        nemo.provider().release();
        let heard = raw.rest().await;
        let calls = nothing_is_hidden(&key, &[nemo.provider()]).await;
        assert_eq!((calls.len(), calls[0].end.as_str()), (1, "CallSettled"), "{heard}");
    }
}

#[tokio::test]
async fn a_body_that_trickles_in_makes_its_call_when_it_is_whole_and_none_if_it_never_is() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let (head, body) = bytes(&nemo, &key, json!({}));
    let (most, rest) = body.split_at(body.len() - 1);
    let trickle = async || {
        let mut raw = nemo.raw(format!("{head}connection: close\r\n\r\n")).await;
        for byte in most.as_bytes() {
            raw.write([*byte]).await;
        }
        raw
    };
    let (mut whole, left, reset) = (trickle().await, trickle().await, trickle().await);
    left.hang_up().await;
    reset.reset();
    assert_eq!(
        (nemo.provider().request_count(), key.calls().await.len()),
        (0, 0),
        "nothing is held for a part"
    );
    whole.write(rest).await;
    assert!(whole.rest().await.starts_with("HTTP/1.1 200"));
    let calls = nothing_is_hidden(&key, &[nemo.provider()]).await;
    assert_eq!((calls.len(), nemo.provider().request_count()), (1, 1));
}

#[tokio::test]
async fn requests_that_are_sent_in_a_heap_are_calls_one_by_one_whether_or_not_anybody_reads() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.key(json!({"unlimited": true, "requests_per_minute": 8})).await;
    let (head, body) = bytes(&nemo, &key, json!({}));
    let heap = format!("{head}\r\n{body}").repeat(7);
    let read = nemo.raw(format!("{heap}{}", last(&nemo, &key, json!({})))).await.rest().await;
    assert_eq!(read.matches("HTTP/1.1 200").count(), 8, "{read}");
    assert_eq!(nothing_is_hidden(&key, &[nemo.provider()]).await.len(), 8);
    // Nobody reads: however many of them were begun, each has its end and its bill.
    let key = nemo.rich_key().await;
    let (head, body) = bytes(&nemo, &key, json!({"stream": true}));
    let unread = nemo.raw(format!("{head}\r\n{body}").repeat(20)).await;
    until("some of them were begun", || async { (nemo.provider().request_count() > 10).then_some(()) }).await;
    unread.reset();
    until("no request is running", || async {
        (nemo.ask("/api/ledger").await["running_calls"] == 0).then_some(())
    })
    .await;
    nothing_is_hidden(&key, &[nemo.provider()]).await;
    verified(&nemo).await;
}
