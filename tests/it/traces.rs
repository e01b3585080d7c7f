//! Traces: off by default; where they are on, spans of calls go to the collector, in the caller's trace, and
//! neither prompts nor keys go with them.

mod collector;

use serde_json::{Value, json};

use crate::fake_provider::Behaviour;
use crate::harness::{Answer, Key, Nemo, Setup, until};
use collector::Collector;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const PROMPT: &str = "the canary sings of prompts and traces";

async fn traced(more: &str) -> (Nemo, Collector) {
    let collector = Collector::start().await;
    let lines = format!("[telemetry]\notlp_endpoint = \"{}\"\n{more}", collector.url());
    let nemo = Setup::default().more(&lines).start().await;
    nemo.provider().script(Behaviour::success(9, 40));
    (nemo, collector)
}

/// A call in a trace of the caller's.
async fn call_in_trace(key: &Key, more: Value, flags: &str) -> Answer {
    let request = key.request(key.body(more).to_string().into());
    let request = request.header("traceparent", format!("00-{TRACE}-{PARENT}-{flags}"));
    Answer::of(request.header("tracestate", "vendor=a-secret-of-the-callers-own")).await
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_a_span_in_its_callers_trace_with_the_fixed_fields() {
    let (nemo, collector) = traced("service_name = \"nemo-of-the-test\"").await;
    let key = nemo.rich_key().await;
    call_in_trace(&key, json!({}), "01").await.ok();
    let call = key.only_call().await;
    for part in [
        "nemo-of-the-test",
        "authorize",
        "settle",
        "provider",
        "fake",
        "gpt-test",
        "cost_nanos",
        "duration_ms",
    ] {
        collector.until(part.as_bytes()).await;
    }
    for part in [call.id.as_str(), key.id(), "call.id", "key.id", "model"] {
        collector.until(part.as_bytes()).await;
    }
    collector.until(&bytes(TRACE)).await;
    collector.until(&bytes(PARENT)).await;
    let refused = key.chat(json!({"model": "unheard-of"})).await;
    refused.refused(404, "model_not_found");
    collector.until(b"refusal.code").await;
    collector.until(b"model_not_found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_prompts_nor_answers_nor_keys_are_in_traces() {
    let (nemo, collector) = traced("").await;
    let key = nemo.rich_key().await;
    let prompt = json!({"messages": [{"role": "user", "content": PROMPT}]});
    let answer = call_in_trace(&key, prompt.clone(), "01").await;
    let content = answer.ok()["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    for behaviour in [Behaviour::error_leaking_the_key(401), Behaviour::malformed_json()] {
        nemo.provider().script_next([behaviour]);
        call_in_trace(&key, prompt.clone(), "01").await;
    }
    key.stream(prompt).await.rest().await;
    // Whatever waits is sent before the end.
    nemo.terminate().await;
    let sent = collector.received();
    assert!(contains(&sent, b"settle") && contains(&sent, &bytes(TRACE)), "there are traces");
    let (secret, provider_key) = (key.secret(), nemo.provider().key());
    let master_key = nemo.master_key().to_owned();
    let hidden =
        [PROMPT, &content, &secret, &secret[20..56], &provider_key, &master_key, "secret-of-the-callers"];
    for hidden in hidden {
        assert!(!contains(&sent, hidden.as_bytes()), "{hidden}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_hear_of_the_trace_only_where_that_is_configured() {
    let (nemo, _collector) = traced("").await;
    call_in_trace(&nemo.rich_key().await, json!({}), "01").await.ok();
    let seen = nemo.provider().requests().pop().unwrap();
    assert_eq!((seen.header("traceparent"), seen.header("tracestate")), (None, None));
    let (nemo, _collector) = traced("send_traceparent = true").await;
    call_in_trace(&nemo.rich_key().await, json!({}), "01").await.ok();
    let seen = nemo.provider().requests().pop().unwrap();
    let told = seen.header("traceparent").expect("the provider is told").to_owned();
    assert!(told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-01"), "{told}");
    assert!(!told.contains(PARENT), "its parent is our span: {told}");
    assert_eq!(seen.header("tracestate"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_does_not_want_a_trace_leaves_none() {
    let (nemo, collector) = traced("").await;
    let key = nemo.rich_key().await;
    call_in_trace(&key, json!({}), "00").await.ok();
    // Nonsense is no trace; the call gets one of its own.
    let nonsense = key.request(key.body(json!({})).to_string().into()).header("traceparent", "nonsense");
    Answer::of(nonsense).await.ok();
    nemo.terminate().await;
    let sent = collector.received();
    assert!(contains(&sent, b"settle") && !contains(&sent, &bytes(TRACE)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_harms_nobody_and_is_said_once() {
    let (nemo, collector) = traced("").await;
    collector.refuse();
    let key = nemo.rich_key().await;
    for _ in 0..3 {
        key.chat(json!({})).await.ok();
    }
    nemo.stderr().until("traces cannot be sent").await;
    collector.resume();
    let sent_again = || async {
        key.chat(json!({})).await.ok();
        nemo.stderr().text().contains("traces are sent again").then_some(())
    };
    until("traces are sent again", sent_again).await;
    assert_eq!(nemo.stderr().text().matches("traces cannot be sent").count(), 1);
    key.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_none_is_refused() {
    for bad in ["nowhere", "ftp://127.0.0.1/", "http://user:password@127.0.0.1/v1/traces"] {
        let exited =
            Setup::default().more(&format!("[telemetry]\notlp_endpoint = \"{bad}\"")).refused().await;
        assert!(exited.stderr.contains("telemetry.otlp_endpoint"), "{exited}");
        assert!(!exited.stderr.contains("password@"), "{exited}");
    }
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}
