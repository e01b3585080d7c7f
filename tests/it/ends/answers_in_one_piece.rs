//! Answers that do not stream, and what may be wrong with them.

use nemo_test_stores::on_each_store;

use super::*;

#[on_each_store]
async fn one_that_breaks_off_is_charged_its_hold() {
    let nemo = impatient().start().await;
    for at in [At::Head, At::Chunk(1), At::Inside(1), At::BeforeLast] {
        for how in [How::Reset, How::Close] {
            let (answer, call) = whole(&nemo, plain().breaks(at, how)).await;
            final_error(&answer, 502, "provider_failed");
            settled(&call, "estimated", "provider_failed", call.hold());
        }
    }
    let (answer, call) = whole(&nemo, plain().missing_bytes(10)).await;
    final_error(&answer, 502, "provider_failed");
    settled(&call, "estimated", "provider_failed", call.hold());
}

#[on_each_store]
async fn one_that_hangs_is_charged_its_hold() {
    let nemo = impatient().start().await;
    for at in [At::Head, At::Chunk(1)] {
        let (answer, call) = whole(&nemo, plain().breaks(at, How::Hang)).await;
        final_error(&answer, 504, "provider_timeout");
        settled(&call, "estimated", "timed_out", call.hold());
    }
}

#[on_each_store]
async fn one_without_usable_usage_is_delivered_and_estimated() {
    let nemo = Nemo::start().await;
    for report in unusable_reports() {
        let (answer, call) = whole(&nemo, plain().reports(report.clone())).await;
        assert_eq!(answer.ok()["choices"][0]["finish_reason"], "stop", "{report:?}");
        settled(&call, "estimated", "completed", call.estimate(ANSWER));
    }
}

#[on_each_store]
async fn one_that_nobody_can_read_is_estimated_by_its_length() {
    let nemo = Nemo::start().await;
    let twice = Report::TwiceFirst(r#"{"prompt_tokens":1,"completion_tokens":1}"#.to_owned());
    let unreadable = [
        Behaviour::malformed_json(),
        plain().reports(twice),
        Behaviour::raw(200, "text/html", "<html>busy</html>"),
        Behaviour::raw(200, "text/event-stream", "data: {}\n\n"),
        Behaviour::raw(200, "application/json", "[]"),
        Behaviour::raw(200, "application/json", ""),
        Behaviour::raw(200, "application/json", vec![0xff; 20]),
    ];
    for (index, behaviour) in unreadable.into_iter().enumerate() {
        let (answer, call) = whole(&nemo, behaviour.clone()).await;
        final_error(&answer, 502, "provider_failed");
        let length = if index == 6 { 20 } else { nemo.twin_of_provider(behaviour).await.len() };
        settled(&call, "estimated", "provider_failed", call.estimate(length));
    }
}

#[on_each_store]
async fn an_error_under_status_200_is_an_error() {
    let nemo = Nemo::start().await;
    let (answer, call) = whole(&nemo, plain().error_event_after(2)).await;
    final_error(&answer, 502, "provider_failed");
    settled(&call, "estimated", "provider_failed", call.estimate(0));
}

#[on_each_store]
async fn one_that_claims_to_be_compressed_is_charged_its_hold() {
    let nemo = Nemo::start().await;
    let (answer, call) = whole(&nemo, plain().claims_gzip()).await;
    final_error(&answer, 502, "provider_failed");
    settled(&call, "estimated", "provider_failed", call.hold());
}

#[on_each_store]
async fn one_under_another_content_type_is_what_it_is() {
    let nemo = Nemo::start().await;
    let (answer, call) = whole(&nemo, plain().content_type("text/html")).await;
    answer.ok();
    assert_eq!(answer.header("content-type"), Some("application/json"), "never the provider's");
    settled(&call, "reported", "completed", PLAIN);
}

#[on_each_store]
async fn one_that_never_ends_is_cut_and_charged_its_hold() {
    let nemo = Nemo::start().await;
    let (answer, call) = whole(&nemo, Behaviour::flood(65)).await;
    final_error(&answer, 502, "provider_failed");
    settled(&call, "estimated", "provider_failed", call.hold());
}
