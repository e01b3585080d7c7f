//! Every way in which a call can end: what its caller is told, how the ledger ends it, and what it is charged,
//! computed by hand. After each of them nothing is open, and the provider billed no more than was charged.
//!
//! The answers are of 40 tokens, 160 bytes; a stream has a role chunk and four of 10 tokens, 40 bytes each.

mod answers_in_one_piece;
mod before_any_answer;
mod more_than_the_hold;
mod streams;
mod the_client_leaves;
mod the_key_is_revoked;
mod the_provider_says_no;

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
