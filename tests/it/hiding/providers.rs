//! Providers that lie about usage in ways that a bill could hide behind.

use super::*;
use crate::fake_provider::{At, How, Report};

/// Calls of new keys, whole and streaming, that may say more than they used but bill what they used.
async fn each_is_covered(nemo: &Nemo, behaviours: impl IntoIterator<Item = Behaviour>) {
    for behaviour in behaviours {
        for streams in [false, true] {
            let key = nemo.rich_key().await;
            nemo.provider().script_next([behaviour.clone()]);
            let more =
                json!({"stream": streams, "stream_options": streams.then(|| json!({"include_usage": true}))});
            key.chat(more).await;
            let calls = nothing_is_hidden(&key, &[nemo.provider()]).await;
            assert_eq!(calls.len(), 1, "{behaviour:?}");
        }
    }
}

#[tokio::test]
async fn a_report_that_says_less_first_or_nothing_or_nonsense_hides_nothing() {
    let nemo = Setup::default().provider("first_byte_timeout_secs = 1\nidle_timeout_secs = 1").start().await;
    let honest = || Behaviour::success(9, 40);
    let less = || r#"{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}"#.to_owned();
    each_is_covered(
        &nemo,
        [
            honest().reports(Report::TwiceFirst(less())),
            honest().reports(Report::TwiceFirst(less())).breaks(At::BeforeLast, How::Close),
            honest().reports(Report::Running).breaks(At::Chunk(4), How::Reset),
            honest().reports(Report::Early).breaks(At::Chunk(4), How::Close),
            honest().reports(Report::Nothing),
            honest().reports(Report::numbers("-9", "-40")),
            honest().reports(Report::numbers("0", "1e3")),
            honest().reports(Report::Json(r#"{"prompt_tokens":9}"#.to_owned())),
            honest().reports(Report::Json("[]".to_owned())).in_tool_call(),
        ],
    )
    .await;
}

#[tokio::test]
async fn huge_pieces_and_a_body_that_is_longer_or_shorter_than_it_says_hide_nothing() {
    let nemo = Setup::default().provider("first_byte_timeout_secs = 1\nidle_timeout_secs = 1").start().await;
    let big = || Behaviour::success(9, 900).text_bytes(1 << 20).chunks(1);
    each_is_covered(
        &nemo,
        [
            big(),
            big().one_write().split_every(65_537),
            big().reports(Report::Nothing),
            big().breaks(At::Inside(2), How::Close),
            Behaviour::success(9, 40).missing_bytes(10),
            Behaviour::success(9, 40).body_chunked().breaks(At::BeforeLast, How::End),
            Behaviour::success(9, 40).breaks(At::Chunk(3), How::Hang),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_answer_that_comes_after_the_deadline_was_paid_for() {
    let nemo = Setup::default().calls("deadline_secs = 6").start().await;
    for streams in [false, true] {
        let late = Behaviour::success(9, 200).first_byte_after(std::time::Duration::from_millis(1_500));
        nemo.provider().script_next([late.finishes_unheard()]);
        let key = nemo.rich_key().await;
        key.chat(json!({ "stream": streams })).await.refused(504, "provider_timeout");
        nothing_is_hidden(&key, &[nemo.provider()]).await;
    }
}
