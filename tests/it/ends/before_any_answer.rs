//! Nothing came back: no connection, a broken one, or silence.

use nemo_test_stores::on_each_store;

use super::*;

#[on_each_store]
async fn a_provider_that_refuses_connections_costs_nothing() {
    let nemo = Nemo::start().await;
    nemo.provider().refuse();
    let (answer, call) = whole(&nemo, plain()).await;
    answer.refused(502, "provider_unreachable");
    assert_eq!((answer.header("retry-after"), answer.forbids_retry()), (Some("1"), false));
    voided(&call, "not_connected");
    let (answer, call) = streamed_in_vain(&nemo, plain()).await;
    answer.refused(502, "provider_unreachable");
    voided(&call, "not_connected");
    nemo.provider().resume();
    nemo.rich_key().await.chat(json!({})).await.ok();
}

#[on_each_store]
async fn a_connection_that_breaks_before_the_request_was_read_is_charged_as_if_it_was() {
    let nemo = Nemo::start().await;
    for how in [How::Reset, How::Close] {
        let (answer, call) = whole(&nemo, Behaviour::breaking(At::Unread, how)).await;
        final_error(&answer, 502, "provider_failed");
        forfeited(&call, "reset", call.hold());
        let (answer, call) = streamed_in_vain(&nemo, Behaviour::breaking(At::Unread, how)).await;
        final_error(&answer, 502, "provider_failed");
        forfeited(&call, "reset", call.input_hold());
    }
    assert_eq!(nemo.provider().request_count(), 0, "nothing was sent a second time");
}

#[on_each_store]
async fn a_connection_that_breaks_as_soon_as_it_is_made_costs_nothing_only_if_nothing_was_sent() {
    let nemo = Nemo::start().await;
    for how in [How::Close, How::Reset] {
        let (answer, call) = whole(&nemo, Behaviour::breaking(At::Accept, how)).await;
        // Whether a byte was sent before the break is a race that the gateway knows the outcome of.
        if call.end == "CallVoided" {
            answer.refused(502, "provider_unreachable");
            voided(&call, "not_connected");
        } else {
            final_error(&answer, 502, "provider_failed");
            forfeited(&call, "reset", call.hold());
        }
    }
    assert_eq!(nemo.provider().request_count(), 0);
}

#[on_each_store]
async fn a_kept_connection_that_breaks_does_not_make_a_second_request() {
    let nemo = Nemo::start().await;
    for how in [How::Close, How::Reset] {
        let (answer, _) = whole(&nemo, plain()).await;
        answer.ok();
        let before = nemo.provider().request_count();
        let (answer, call) = whole(&nemo, Behaviour::breaking(At::Unread, how)).await;
        final_error(&answer, 502, "provider_failed");
        forfeited(&call, "reset", call.hold());
        assert_eq!(nemo.provider().request_count(), before);
    }
}

#[on_each_store]
async fn an_idle_connection_that_the_provider_closed_costs_nothing() {
    let nemo = Nemo::start().await;
    for _ in 0..5 {
        let (answer, _) = whole(&nemo, plain()).await;
        answer.ok();
        nemo.provider().refuse();
        nemo.provider().resume();
    }
    assert_eq!(nemo.provider().request_count(), 5);
}

#[on_each_store]
async fn a_request_that_was_read_and_never_answered_is_charged_its_hold() {
    let nemo = impatient().start().await;
    for how in [How::Reset, How::Close] {
        let (answer, call) = whole(&nemo, plain().breaks(At::Read, how)).await;
        final_error(&answer, 502, "provider_failed");
        forfeited(&call, "reset", call.hold());
    }
    let (answer, call) = whole(&nemo, plain().breaks(At::Read, How::Hang)).await;
    final_error(&answer, 504, "provider_timeout");
    forfeited(&call, "timed_out", call.hold());
}

#[on_each_store]
async fn a_stream_whose_head_never_came_is_charged_its_input() {
    let nemo = impatient().start().await;
    for how in [How::Reset, How::Close] {
        let (answer, call) = streamed_in_vain(&nemo, plain().breaks(At::Read, how)).await;
        final_error(&answer, 502, "provider_failed");
        forfeited(&call, "reset", call.input_hold());
    }
    let (answer, call) = streamed_in_vain(&nemo, plain().breaks(At::Read, How::Hang)).await;
    final_error(&answer, 504, "provider_timeout");
    forfeited(&call, "timed_out", call.input_hold());
}

#[on_each_store]
async fn a_call_is_cut_before_its_deadline() {
    // The owner cuts a call 5 s before its deadline.
    let nemo = Setup::default().calls("deadline_secs = 6").start().await;
    let (answer, call) = whole(&nemo, plain().breaks(At::Read, How::Hang)).await;
    final_error(&answer, 504, "provider_timeout");
    settled(&call, "estimated", "deadline_reached", call.hold());
    let (tail, call) = streamed(&nemo, plain().breaks(At::Chunk(2), How::Hang)).await;
    broke_off(&tail, "provider_timeout");
    settled(&call, "estimated", "deadline_reached", call.estimate(CHUNK));
}
