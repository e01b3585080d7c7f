//! The key is revoked while its calls run.

use nemo_test_stores::on_each_store;

use super::*;

#[on_each_store]
async fn a_running_stream_is_cut_and_charged_for_what_arrived() {
    let nemo = Nemo::start().await;
    nemo.provider().script(plain());
    nemo.provider().hold_at(Phase::MidStream(2));
    for (more, hidden) in [(json!({}), false), (json!({"model": "gpt-think"}), true)] {
        let key = nemo.rich_key().await;
        let mut stream = key.stream(more).await;
        stream.until(FIRST_WORDS).await;
        let revoked = key.tell("revoke", json!({})).await;
        assert_eq!(revoked["calls_cut"], 1);
        let tail = stream.rest().await;
        broke_off(&tail, "key_revoked");
        let call = key.only_call().await;
        settled(&call, "estimated", "key_revoked", if hidden { call.hold() } else { call.estimate(CHUNK) });
        key.books_balance().await;
    }
}

#[on_each_store]
async fn a_client_that_does_not_read_cannot_keep_its_call_alive() {
    let nemo = Nemo::start().await;
    // Far more than fits into all buffers on the way.
    nemo.provider().script(Behaviour::flood(100));
    let key = nemo.rich_key().await;
    let mut raw = key.raw_chat(json!({"stream": true})).await;
    raw.until("xxxx").await;
    key.tell("revoke", json!({})).await;
    let call = key.only_call().await;
    settled(&call, "estimated", "key_revoked", call.hold());
    key.books_balance().await;
}

#[on_each_store]
async fn a_call_without_an_answer_yet_is_cut_and_charged_its_hold() {
    let nemo = Nemo::start().await;
    nemo.provider().hold_at(Phase::Received);
    let key = nemo.rich_key().await;
    let asking = tokio::spawn({
        let key = key.clone();
        async move { key.chat(json!({})).await }
    });
    nemo.provider().until_held(Phase::Received, 1).await.unwrap();
    key.tell("revoke", json!({})).await;
    final_error(&asking.await.unwrap(), 401, "key_revoked");
    let call = key.only_call().await;
    settled(&call, "estimated", "key_revoked", call.hold());
    key.books_balance().await;
}
