//! The client leaves; what that means depends on whether its output can be seen.

use nemo_test_stores::on_each_store;

use super::*;

/// A request whose provider is held at this phase.
async fn underway(nemo: &Nemo, key: &Key, more: Value, phase: Phase) -> crate::harness::Raw {
    nemo.provider().hold_at(phase);
    let raw = key.raw_chat(more).await;
    nemo.provider().until_held(phase, 1).await.unwrap();
    raw
}

#[on_each_store]
async fn a_plain_stream_is_cut_at_the_provider_and_charged_for_what_arrived() {
    let nemo = Nemo::start().await;
    for resets in [false, true] {
        nemo.provider().script_next([plain().finishes_unheard()]);
        let key = nemo.rich_key().await;
        let mut raw = underway(&nemo, &key, json!({"stream": true}), Phase::MidStream(2)).await;
        raw.until(FIRST_WORDS).await;
        if resets {
            raw.reset()
        } else {
            raw.hang_up().await
        }
        // The provider is still held, so nothing but the client's leaving can have ended the call.
        let call = key.only_call().await;
        settled(&call, "estimated", "client_left", call.estimate(CHUNK));
        key.books_balance().await;
        nemo.provider().release();
    }
}

#[on_each_store]
async fn a_plain_stream_left_before_its_head_is_charged_its_input() {
    let nemo = Nemo::start().await;
    nemo.provider().script_next([plain().finishes_unheard()]);
    let key = nemo.rich_key().await;
    underway(&nemo, &key, json!({"stream": true}), Phase::Received).await.hang_up().await;
    let call = key.only_call().await;
    settled(&call, "estimated", "client_left", call.estimate(0));
    key.books_balance().await;
}

#[on_each_store]
async fn an_answer_in_one_piece_is_read_to_its_end() {
    let nemo = Nemo::start().await;
    for phase in [Phase::Received, Phase::FirstByte, Phase::MidStream(1)] {
        nemo.provider().script_next([plain()]);
        let key = nemo.rich_key().await;
        underway(&nemo, &key, json!({}), phase).await.reset();
        nemo.provider().release();
        let call = key.only_call().await;
        settled(&call, "reported", "completed", PLAIN);
        key.books_balance().await;
    }
}

#[on_each_store]
async fn a_stream_with_hidden_output_is_read_to_its_end() {
    let nemo = Nemo::start().await;
    // Slow, so that the leaving is noticed before the end.
    let slow = plain().each_chunk_after(std::time::Duration::from_millis(50));
    for (more, charged) in [
        (json!({"stream": true, "n": 3}), 9 * INPUT + 3 * 40 * OUTPUT),
        (json!({"stream": true, "model": "gpt-think"}), PLAIN),
    ] {
        for phase in [Phase::Received, Phase::MidStream(2)] {
            nemo.provider().script_next([slow.clone()]);
            let key = nemo.rich_key().await;
            underway(&nemo, &key, more.clone(), phase).await.hang_up().await;
            nemo.provider().release();
            let call = key.only_call().await;
            settled(&call, "reported", "client_left", charged);
            key.books_balance().await;
        }
    }
}

#[on_each_store]
async fn hidden_output_whose_report_never_comes_is_charged_the_hold() {
    let nemo = Nemo::start().await;
    nemo.provider().script_next([plain().breaks(At::Chunk(6), How::Close)]);
    let key = nemo.rich_key().await;
    let more = json!({"stream": true, "model": "gpt-think"});
    underway(&nemo, &key, more, Phase::MidStream(2)).await.hang_up().await;
    nemo.provider().release();
    let call = key.only_call().await;
    settled(&call, "estimated", "provider_failed", call.hold());
    key.books_balance().await;
}
