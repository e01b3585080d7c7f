//! Every way in which a call can end: what its caller is told, how the ledger ends it, and what it is charged,
//! computed by hand. After each of them nothing is open, and the provider billed no more than was charged.
//!
//! The answers are of 40 tokens, 160 bytes; a stream has a role chunk and four of 10 tokens, 40 bytes each.

use serde_json::{Value, json};

use crate::fake_provider::{At, Behaviour, How, Phase, Report};
use crate::harness::{Answer, Call, INPUT, Key, Nemo, OUTPUT, Setup, Tail};

const FIRST_WORDS: &str = "one two";
const CHUNK: usize = 40;
const ANSWER: usize = 160;

fn plain() -> Behaviour {
    Behaviour::success(9, 40)
}

/// What [`plain`] costs.
const PLAIN: i128 = 9 * INPUT + 40 * OUTPUT;

/// A provider that may be silent for a second.
fn impatient() -> Setup {
    Setup::default().provider("first_byte_timeout_secs = 1\nidle_timeout_secs = 1")
}

/// A call of a new key that does not stream.
async fn whole(nemo: &Nemo, behaviour: Behaviour) -> (Answer, Call) {
    nemo.provider().script_next([behaviour]);
    let key = nemo.rich_key().await;
    let answer = key.chat(json!({})).await;
    let call = key.only_call().await;
    assert_eq!(answer.header("x-nemo-call-id"), Some(call.id.as_str()), "{answer:?}");
    assert_eq!(answer.cost(), call.charged(), "{answer:?}");
    key.books_balance().await;
    (answer, call)
}

/// A call of a new key that streams, and asks for usage.
async fn streamed(nemo: &Nemo, behaviour: Behaviour) -> (Tail, Call) {
    nemo.provider().script_next([behaviour]);
    let key = nemo.rich_key().await;
    let stream = key.stream(json!({"stream_options": {"include_usage": true}})).await;
    assert_eq!(stream.status, 200);
    let tail = stream.rest().await;
    assert!(tail.ended, "the body ends in good order: {}", tail.text());
    let call = key.only_call().await;
    key.books_balance().await;
    (tail, call)
}

/// A call of a new key that asks for a stream and gets an error in place of it.
async fn streamed_in_vain(nemo: &Nemo, behaviour: Behaviour) -> (Answer, Call) {
    nemo.provider().script_next([behaviour]);
    let key = nemo.rich_key().await;
    let answer = key.chat(json!({"stream": true})).await;
    let call = key.only_call().await;
    key.books_balance().await;
    (answer, call)
}

#[track_caller]
fn settled(call: &Call, evidence: &str, ending: &str, charged: i128) {
    let told = (&call.ended["evidence"], &call.ended["ending"], call.charged());
    assert_eq!(call.end, "CallSettled", "{call:?}");
    assert_eq!(told, (&json!(evidence), &json!(ending), charged), "{call:?}");
}

#[track_caller]
fn voided(call: &Call, reason: &str) {
    assert_eq!((call.end.as_str(), &call.ended["reason"]), ("CallVoided", &json!(reason)), "{call:?}");
    assert_eq!(call.charged(), 0);
}

#[track_caller]
fn forfeited(call: &Call, reason: &str, charged: i128) {
    let told = (call.end.as_str(), &call.ended["reason"], call.charged());
    assert_eq!(told, ("CallForfeited", &json!(reason), charged), "{call:?}");
}

/// Not to be retried: it would be charged again, or fail again.
#[track_caller]
fn final_error(answer: &Answer, status: u16, code: &str) {
    answer.refused(status, code);
    assert!(answer.forbids_retry(), "{answer:?}");
    assert_eq!(answer.header("retry-after"), None);
}

/// The stream got as far as the first words, and then said what went wrong.
#[track_caller]
fn broke_off(tail: &Tail, code: &str) {
    let text = tail.text();
    assert!(text.contains(FIRST_WORDS) && !tail.is_done() && !text.contains("[DONE]"), "{text}");
    assert_eq!(tail.error_code().as_deref(), Some(code), "{text}");
    assert!(tail.events().last().unwrap().get("error").is_some(), "the error comes last: {text}");
}

mod before_any_answer {
    use super::*;

    #[tokio::test]
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

    #[tokio::test]
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

    #[tokio::test]
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

    #[tokio::test]
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

    #[tokio::test]
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

    #[tokio::test]
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

    #[tokio::test]
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

    #[tokio::test]
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
}

mod the_provider_says_no {
    use super::*;

    #[tokio::test]
    async fn its_own_errors_pass_in_its_own_words_and_cost_nothing() {
        let nemo = Nemo::start().await;
        for status in [400, 404, 408, 409, 413, 422, 429, 500, 503, 529] {
            let behaviour = || if status == 429 { Behaviour::rate_limited(7) } else { Behaviour::error(status) };
            let (answer, call) = whole(&nemo, behaviour()).await;
            assert_eq!(answer.status, status);
            let theirs: Value = serde_json::from_str(&nemo.twin_of_provider(behaviour()).await).unwrap();
            let told = answer.json();
            assert_eq!((&told["error"]["message"], &told["error"]["type"]), (&theirs["error"]["message"], &theirs["error"]["type"]));
            assert_eq!(answer.header("retry-after"), (status == 429).then_some("7"), "{status}");
            let retryable = matches!(status, 408 | 409 | 429) || status >= 500;
            assert_eq!(answer.forbids_retry(), !retryable, "{status}");
            voided(&call, if status < 500 { "provider_refused" } else { "provider_failed" });
            assert_eq!(call.ended["status"], status);
            let (answer, call) = streamed_in_vain(&nemo, behaviour()).await;
            assert_eq!((answer.status, call.charged()), (status, 0));
        }
    }

    #[tokio::test]
    async fn an_error_that_reports_usage_is_charged_for_it() {
        let nemo = Nemo::start().await;
        let body = r#"{"error":{"message":"filtered"},"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}"#;
        for status in [400, 500] {
            let (answer, call) = whole(&nemo, Behaviour::raw(status, "application/json", body)).await;
            assert_eq!((answer.status, answer.json()["error"]["message"].as_str()), (status, Some("filtered")));
            settled(&call, "reported", "provider_failed", 9 * INPUT + 4 * OUTPUT);
        }
    }

    #[tokio::test]
    async fn its_trouble_with_our_key_is_not_the_caller_s() {
        let nemo = Nemo::start().await;
        for status in [401, 402, 403, 407] {
            let (answer, call) = whole(&nemo, Behaviour::error(status)).await;
            final_error(&answer, 502, "provider_error");
            assert!(answer.text().contains(&status.to_string()), "{}", answer.text());
            voided(&call, "provider_refused");
        }
        nemo.provider().accept_keys(["sk-another"]);
        let key = nemo.rich_key().await;
        let answer = key.chat(json!({})).await;
        final_error(&answer, 502, "provider_error");
        assert!(!answer.text().contains("API key"), "{}", answer.text());
        voided(&key.only_call().await, "provider_refused");
    }

    #[tokio::test]
    async fn a_provider_that_repeats_its_key_is_not_repeated() {
        let nemo = Nemo::start().await;
        for status in [400, 401, 429, 500] {
            let (answer, _) = whole(&nemo, Behaviour::error_leaking_the_key(status)).await;
            let whole = format!("{answer:?}{}", answer.text());
            assert!(!whole.contains(&nemo.provider().key()) && !whole.contains("0123456789abcdef"), "{whole}");
            assert_eq!(answer.code(), "provider_error");
        }
        assert!(!nemo.stderr().text().contains(&nemo.provider().key()));
    }

    #[tokio::test]
    async fn a_redirect_is_never_followed() {
        let nemo = Nemo::start().await;
        for status in [301, 302, 303, 307, 308] {
            let (answer, call) = whole(&nemo, Behaviour::redirect(status)).await;
            final_error(&answer, 502, "provider_error");
            assert_eq!(answer.header("location"), None);
            voided(&call, "provider_refused");
        }
        assert_eq!((nemo.provider().redirects_followed(), nemo.provider().request_count()), (0, 5));
    }

    #[tokio::test]
    async fn a_model_that_the_provider_does_not_have_costs_nothing() {
        let price = "[[prices]]\nprovider = \"fake\"\nmodel = \"gpt-gone\"\ninput = \"1\"\noutput = \"1\"\n\
                     context_window = 1000\nmax_output_tokens = 1000\n";
        let nemo = Setup::default().more(price).start().await;
        let key = nemo.rich_key().await;
        let answer = key.chat(json!({"model": "gpt-gone"})).await;
        final_error(&answer, 404, "model_not_found");
        voided(&key.only_call().await, "provider_refused");
    }
}

mod answers_in_one_piece {
    use super::*;

    #[tokio::test]
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

    #[tokio::test]
    async fn one_that_hangs_is_charged_its_hold() {
        let nemo = impatient().start().await;
        for at in [At::Head, At::Chunk(1)] {
            let (answer, call) = whole(&nemo, plain().breaks(at, How::Hang)).await;
            final_error(&answer, 504, "provider_timeout");
            settled(&call, "estimated", "timed_out", call.hold());
        }
    }

    #[tokio::test]
    async fn one_without_usable_usage_is_delivered_and_estimated() {
        let nemo = Nemo::start().await;
        for report in unusable_reports() {
            let (answer, call) = whole(&nemo, plain().reports(report.clone())).await;
            assert_eq!(answer.ok()["choices"][0]["finish_reason"], "stop", "{report:?}");
            settled(&call, "estimated", "completed", call.estimate(ANSWER));
        }
    }

    #[tokio::test]
    async fn one_that_nobody_can_read_is_estimated_by_its_length() {
        let nemo = Nemo::start().await;
        let twice = Report::TwiceFirst(r#"{"prompt_tokens":1,"completion_tokens":1}"#.to_owned());
        let unreadable = [
            Behaviour::malformed_json(),
            plain().reports(twice),
            Behaviour::raw(200, "text/html", "<html>busy</html>"),
            Behaviour::raw(200, "text/event-stream", "data: {}\n\n"),
            Behaviour::raw(200, "application/json", "[]"),
            Behaviour::raw(200, "application/json", vec![0xff; 20]),
        ];
        for (index, behaviour) in unreadable.into_iter().enumerate() {
            let (answer, call) = whole(&nemo, behaviour.clone()).await;
            final_error(&answer, 502, "provider_failed");
            let length = if index == 5 { 20 } else { nemo.twin_of_provider(behaviour).await.len() };
            settled(&call, "estimated", "provider_failed", call.estimate(length));
        }
    }

    #[tokio::test]
    async fn an_error_under_status_200_is_an_error() {
        let nemo = Nemo::start().await;
        let (answer, call) = whole(&nemo, plain().error_event_after(2)).await;
        final_error(&answer, 502, "provider_failed");
        settled(&call, "estimated", "provider_failed", call.estimate(0));
    }

    #[tokio::test]
    async fn one_that_claims_to_be_compressed_is_charged_its_hold() {
        let nemo = Nemo::start().await;
        let (answer, call) = whole(&nemo, plain().claims_gzip()).await;
        final_error(&answer, 502, "provider_failed");
        settled(&call, "estimated", "provider_failed", call.hold());
    }

    #[tokio::test]
    async fn one_under_another_content_type_is_what_it_is() {
        let nemo = Nemo::start().await;
        let (answer, call) = whole(&nemo, plain().content_type("text/html")).await;
        answer.ok();
        assert_eq!(answer.header("content-type"), Some("application/json"), "never the provider's");
        settled(&call, "reported", "completed", PLAIN);
    }

    #[tokio::test]
    async fn one_that_never_ends_is_cut_and_charged_its_hold() {
        let nemo = Nemo::start().await;
        let (answer, call) = whole(&nemo, Behaviour::flood(65)).await;
        final_error(&answer, 502, "provider_failed");
        settled(&call, "estimated", "provider_failed", call.hold());
    }
}

/// Reports that say nothing, and that nobody can bill by.
fn unusable_reports() -> Vec<Report> {
    let mut reports = vec![Report::Nothing];
    for (prompt, completion) in [
        ("-5", "40"),
        ("9", "-40"),
        ("1e18", "40"),
        ("9", "40.5"),
        ("\"9\"", "40"),
        ("null", "40"),
        ("9", "[]"),
        ("9", "9007199254740993"),
        ("9", "99999999999999999999999999"),
    ] {
        reports.push(Report::numbers(prompt, completion));
    }
    reports.extend(["null", "{}", "\"many\"", "[]", "true", "0"].map(|text| Report::Json(text.to_owned())));
    let cached = r#"{"prompt_tokens":9,"completion_tokens":40,"prompt_tokens_details":{"cached_tokens":10}}"#;
    reports.push(Report::Json(cached.to_owned()));
    reports
}

mod streams {
    use super::*;

    #[tokio::test]
    async fn one_that_breaks_off_is_charged_for_what_arrived() {
        let nemo = impatient().start().await;
        for how in [How::Reset, How::Close, How::End] {
            let (tail, call) = streamed(&nemo, plain().breaks(At::Chunk(2), how)).await;
            broke_off(&tail, "provider_failed");
            settled(&call, "estimated", "provider_failed", call.estimate(CHUNK));
            assert_eq!(call.ended["usage"]["output"], CHUNK + 256);
        }
        let (tail, call) = streamed(&nemo, plain().breaks(At::Chunk(2), How::Hang)).await;
        broke_off(&tail, "provider_timeout");
        settled(&call, "estimated", "timed_out", call.estimate(CHUNK));
    }

    #[tokio::test]
    async fn one_that_breaks_off_before_the_first_word_is_charged_its_input() {
        let nemo = impatient().start().await;
        let ways = [
            (At::Head, How::Close, "provider_failed"),
            (At::Head, How::End, "provider_failed"),
            (At::Chunk(1), How::Reset, "provider_failed"),
            (At::Head, How::Hang, "provider_timeout"),
        ];
        for (at, how, code) in ways {
            let (tail, call) = streamed(&nemo, plain().breaks(at, how)).await;
            assert_eq!(tail.error_code().as_deref(), Some(code), "{}", tail.text());
            assert_eq!((call.end.as_str(), call.charged()), ("CallSettled", call.estimate(0)));
        }
    }

    #[tokio::test]
    async fn one_that_breaks_inside_an_event_is_charged_for_the_half_that_arrived() {
        let nemo = Nemo::start().await;
        // One event of 900 tokens, of which the provider bills all.
        let behaviour = Behaviour::success(9, 900).chunks(1).breaks(At::Inside(2), How::Close);
        let (tail, call) = streamed(&nemo, behaviour).await;
        assert_eq!(tail.error_code().as_deref(), Some("provider_failed"));
        assert_eq!((call.end.as_str(), &call.ended["evidence"]), ("CallSettled", &json!("estimated")));
        assert!(call.charged() >= 9 * INPUT + 900 * OUTPUT && call.charged() <= call.hold(), "{call:?}");
    }

    #[tokio::test]
    async fn one_without_done_is_complete_once_its_usage_has_come() {
        let nemo = Nemo::start().await;
        for how in [How::End, How::Close, How::Reset] {
            let (tail, call) = streamed(&nemo, plain().breaks(At::BeforeLast, how)).await;
            assert!(tail.is_done(), "{}", tail.text());
            settled(&call, "reported", "completed", PLAIN);
        }
    }

    #[tokio::test]
    async fn an_error_in_one_passes_and_is_charged_for_what_arrived() {
        let nemo = Nemo::start().await;
        let (tail, call) = streamed(&nemo, plain().error_event_after(3)).await;
        broke_off(&tail, "provider_error");
        let told = tail.events().pop().unwrap();
        assert_eq!(told["error"]["message"], "the model failed while it answered");
        settled(&call, "estimated", "provider_failed", call.estimate(2 * CHUNK));
    }

    fn malformed() -> Behaviour {
        Behaviour::malformed_json().prompt_tokens(9).output_tokens(40)
    }

    #[tokio::test]
    async fn an_event_that_nobody_can_read_passes_and_the_usage_counts() {
        let nemo = Nemo::start().await;
        nemo.provider().script(malformed());
        let key = nemo.rich_key().await;
        let tail = key.stream(json!({})).await.rest().await;
        let theirs = nemo.twin_of_provider(malformed()).await;
        assert_eq!(tail.data().len() + 1, crate::harness::sse_data(&theirs).len(), "all but the usage");
        assert!(tail.is_done());
        settled(&key.books_balance().await[0], "reported", "completed", PLAIN);
    }

    #[tokio::test]
    async fn one_without_usable_usage_is_delivered_and_estimated() {
        let nemo = Nemo::start().await;
        for report in unusable_reports() {
            let (tail, call) = streamed(&nemo, plain().reports(report.clone())).await;
            assert!(tail.is_done(), "{report:?}: {}", tail.text());
            assert_eq!(tail.content().len(), ANSWER);
            settled(&call, "estimated", "completed", call.estimate(ANSWER));
        }
    }

    #[tokio::test]
    async fn of_two_reports_in_one_the_dearer_counts() {
        let nemo = Nemo::start().await;
        let twice = |prompt, completion: u64| {
            plain().reports(Report::TwiceFirst(format!(r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion}}}"#)))
        };
        let (tail, call) = streamed(&nemo, twice(1, 1)).await;
        assert!(tail.is_done());
        settled(&call, "reported", "completed", PLAIN);
        let (_, call) = streamed(&nemo, twice(9, 50)).await;
        settled(&call, "reported", "completed", 9 * INPUT + 50 * OUTPUT);
        let (_, call) = streamed(&nemo, plain().reports(Report::TwiceFirst("\"many\"".to_owned()))).await;
        settled(&call, "reported", "completed", PLAIN);
    }

    #[tokio::test]
    async fn usage_that_comes_early_or_with_every_chunk_counts_if_the_answer_is_complete() {
        let nemo = Nemo::start().await;
        for report in [Report::Early, Report::Running] {
            let (tail, call) = streamed(&nemo, plain().reports(report)).await;
            assert!(tail.is_done(), "{}", tail.text());
            settled(&call, "reported", "completed", PLAIN);
        }
    }

    #[tokio::test]
    async fn usage_that_came_before_the_break_is_not_the_last_word() {
        let nemo = Nemo::start().await;
        for report in [Report::Early, Report::Running] {
            let (tail, call) = streamed(&nemo, plain().reports(report).breaks(At::Inside(4), How::Close)).await;
            assert!(!tail.is_done() && !tail.text().contains("[DONE]"), "{}", tail.text());
            assert_eq!(tail.error_code().as_deref(), Some("provider_failed"));
            assert_eq!((&call.ended["evidence"], &call.ended["ending"]), (&json!("estimated"), &json!("provider_failed")));
            assert!(call.charged() >= call.estimate(CHUNK), "{call:?}");
        }
    }

    #[tokio::test]
    async fn one_that_claims_to_be_compressed_is_charged_its_hold() {
        let nemo = Nemo::start().await;
        let (answer, call) = streamed_in_vain(&nemo, plain().claims_gzip()).await;
        final_error(&answer, 502, "provider_failed");
        settled(&call, "estimated", "provider_failed", call.hold());
    }

    #[tokio::test]
    async fn one_under_another_content_type_is_what_it_is() {
        let nemo = Nemo::start().await;
        let (tail, call) = streamed(&nemo, plain().content_type("text/plain")).await;
        assert!(tail.is_done());
        settled(&call, "reported", "completed", PLAIN);
    }

    #[tokio::test]
    async fn an_answer_in_one_piece_in_place_of_one_counts_as_output() {
        let nemo = Nemo::start().await;
        let content = "word ".repeat(700);
        let body = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": content}}]}).to_string();
        // The provider bills 700 tokens, and says nothing of it.
        let behaviour = Behaviour::raw(200, "application/json", body.clone()).prompt_tokens(9).output_tokens(700);
        let (tail, call) = streamed(&nemo, behaviour).await;
        assert_eq!(tail.error_code().as_deref(), Some("provider_failed"), "{}", tail.text());
        settled(&call, "estimated", "provider_failed", call.estimate(body.len()));
    }

    #[tokio::test]
    async fn a_line_that_never_ends_is_cut_and_charged_the_hold() {
        let nemo = Nemo::start().await;
        let (tail, call) = streamed(&nemo, Behaviour::endless_line(4)).await;
        assert_eq!(tail.error_code().as_deref(), Some("provider_failed"));
        settled(&call, "estimated", "provider_failed", call.hold());
    }

    #[tokio::test]
    async fn a_flood_of_events_is_charged_no_more_than_the_hold() {
        let nemo = Nemo::start().await;
        let (tail, call) = streamed(&nemo, Behaviour::flood(4)).await;
        assert!(tail.is_done() && tail.bytes.len() > 4 * 1024 * 1024);
        settled(&call, "estimated", "completed", call.hold());
    }

    #[tokio::test]
    async fn a_slow_one_is_not_a_silent_one() {
        let nemo = Setup::default().provider("idle_timeout_secs = 2").start().await;
        let slow = plain().each_chunk_after(std::time::Duration::from_millis(400));
        let (tail, call) = streamed(&nemo, slow).await;
        assert!(tail.is_done());
        settled(&call, "reported", "completed", PLAIN);
        assert!(call.ended["duration_ms"].as_u64().unwrap() > 2_000, "longer than the silence that is allowed");
    }
}

mod more_than_the_hold {
    use super::*;

    fn greedy() -> Behaviour {
        Behaviour::success(9, 0).output_tokens_regardless(5_000)
    }

    async fn overcharged(nemo: &Nemo, key: &Key, more: Value) -> Call {
        nemo.provider().script_next([greedy()]);
        if more["stream"] == true {
            assert!(key.stream(json!({"max_tokens": 100})).await.rest().await.is_done());
        } else {
            assert_eq!(key.chat(json!({"max_tokens": 100})).await.cost(), 9 * INPUT + 5_000 * OUTPUT);
        }
        key.ended_calls().await.pop().unwrap()
    }

    #[tokio::test]
    async fn the_true_cost_is_recorded_and_flagged() {
        let nemo = Nemo::start().await;
        for more in [json!({}), json!({"stream": true})] {
            let key = nemo.rich_key().await;
            let call = overcharged(&nemo, &key, more).await;
            settled(&call, "reported", "completed", 9 * INPUT + 5_000 * OUTPUT);
            assert!(call.is_over_hold() && call.charged() > call.hold());
            key.books_balance().await;
        }
    }

    #[tokio::test]
    async fn the_model_is_refused_to_that_key_until_it_is_cleared() {
        let nemo = Nemo::start().await;
        let (key, other) = (nemo.rich_key().await, nemo.rich_key().await);
        overcharged(&nemo, &key, json!({})).await;
        let answer = key.chat(json!({})).await;
        final_error(&answer, 403, "model_flagged");
        // By every name that leads there, and no other model; and no other key.
        key.chat(json!({"model": "gpt-house"})).await.refused(403, "model_flagged");
        key.chat(json!({"model": "gpt-think"})).await.ok();
        other.chat(json!({})).await.ok();
        assert_eq!(key.shown().await["flagged_models"], json!([{"provider": "fake", "provider_model": "gpt-test"}]));

        nemo.kill9().await;
        nemo.restart().await;
        key.chat(json!({})).await.refused(403, "model_flagged");
        key.tell("clear-model", json!({"provider": "fake", "provider_model": "gpt-test"})).await;
        key.chat(json!({})).await.ok();
        assert_eq!(key.shown().await["flagged_models"], json!([]));
        key.books_balance().await;
    }

    #[tokio::test]
    async fn the_budget_that_was_overrun_stops_the_key() {
        let nemo = Nemo::start().await;
        let key = nemo.key(json!({"budgets": [{"window": "total", "limit": "0.01"}]})).await;
        overcharged(&nemo, &key, json!({})).await;
        let answer = key.chat(json!({"model": "gpt-think", "max_tokens": 1})).await;
        final_error(&answer, 402, "budget_exceeded");
        let total = key.shown().await["budgets"][0].clone();
        assert_eq!((&total["settled"], &total["free"]), (&json!("0.0500225"), &json!("0")));
    }

    #[tokio::test]
    async fn a_report_beyond_all_amounts_is_charged_the_hold() {
        let nemo = Nemo::start().await;
        let (answer, call) = whole(&nemo, plain().reports(Report::numbers("9007199254740992", "40"))).await;
        answer.ok();
        settled(&call, "estimated", "completed", call.hold());
    }
}

mod the_client_leaves {
    use super::*;

    /// A request whose provider is held at this phase.
    async fn underway(nemo: &Nemo, key: &Key, more: Value, phase: Phase) -> crate::harness::Raw {
        nemo.provider().hold_at(phase);
        let raw = key.raw_chat(more).await;
        nemo.provider().until_held(phase, 1).await.unwrap();
        raw
    }

    #[tokio::test]
    async fn a_plain_stream_is_cut_at_the_provider_and_charged_for_what_arrived() {
        let nemo = Nemo::start().await;
        for resets in [false, true] {
            nemo.provider().script_next([plain().finishes_unheard()]);
            let key = nemo.rich_key().await;
            let mut raw = underway(&nemo, &key, json!({"stream": true}), Phase::MidStream(2)).await;
            raw.until(FIRST_WORDS).await;
            if resets { raw.reset() } else { raw.hang_up().await }
            // The provider is still held, so nothing but the client's leaving can have ended the call.
            let call = key.only_call().await;
            settled(&call, "estimated", "client_left", call.estimate(CHUNK));
            key.books_balance().await;
            nemo.provider().release();
        }
    }

    #[tokio::test]
    async fn a_plain_stream_left_before_its_head_is_charged_its_input() {
        let nemo = Nemo::start().await;
        nemo.provider().script_next([plain().finishes_unheard()]);
        let key = nemo.rich_key().await;
        underway(&nemo, &key, json!({"stream": true}), Phase::Received).await.hang_up().await;
        let call = key.only_call().await;
        settled(&call, "estimated", "client_left", call.estimate(0));
        key.books_balance().await;
    }

    #[tokio::test]
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

    #[tokio::test]
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

    #[tokio::test]
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
}

mod the_key_is_revoked {
    use super::*;

    #[tokio::test]
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

    #[tokio::test]
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
}
