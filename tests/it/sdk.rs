//! The official OpenAI clients for Python and Node, unchanged, against Nemo: what their users see, which
//! exception each refusal becomes, and how often it is tried.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::fake_provider::{At, Behaviour, How};
use crate::harness::{INPUT, Key, Nemo, OUTPUT, Setup};

/// The clients by name, with the command that runs cases from standard input.
fn clients() -> [(&'static str, Command); 2] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut python = python();
    python.arg(root.join("tests/sdk/client.py"));
    let mut node = Command::new("node");
    node.arg(root.join("tests/sdk/client.mjs"));
    [("python", python), ("node", node)]
}

/// Python with what `tests/sdk/requirements.txt` names.
pub(crate) fn python() -> Command {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"));
    let python = target.join("sdk/venv/bin/python");
    assert!(python.exists(), "the Python client is not installed: run scripts/setup");
    Command::new(python)
}

/// Runs cases one after the other; what their user saw, in order.
async fn seen(mut client: Command, nemo: &Nemo, cases: Vec<Value>) -> Vec<Value> {
    let plan = json!({ "base_url": nemo.url("/v1"), "cases": cases }).to_string();
    let run = move || {
        let mut child = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(plan.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{client:?} failed");
        String::from_utf8(output.stdout).unwrap()
    };
    let lines = tokio::task::spawn_blocking(run).await.unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn case(key: &Key, stream: bool, more: Value) -> Value {
    json!({ "key": key.secret(), "stream": stream, "body": key.body(more) })
}

async fn capped(nemo: &Nemo) -> Key {
    nemo.key(json!({"budgets": [{"window": "total", "limit": "1"}]})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_clients_work_unchanged_streaming_and_not() {
    for (name, client) in clients() {
        let nemo = Nemo::start().await;
        nemo.provider().script(Behaviour::success(9, 7));
        let key = capped(&nemo).await;
        let asks_usage = json!({"stream_options": {"include_usage": true}});
        let cases =
            vec![case(&key, false, json!({})), case(&key, true, json!({})), case(&key, true, asks_usage)];
        let seen = seen(client, &nemo, cases).await;
        let content: Vec<_> = seen.iter().map(|s| s["content"].as_str().unwrap()).collect();
        assert!(!content[0].is_empty() && content.iter().all(|c| *c == content[0]), "{name}: {content:?}");
        assert!(seen.iter().all(|s| s["finish"] == "stop" && s["attempts"] == 1), "{name}: {seen:?}");
        assert_eq!(seen[0]["cost"], "0.0000925", "{name}");
        assert_eq!(seen[1]["usage"], Value::Null, "{name}: nobody asked for usage");
        assert_eq!(seen[2]["usage"]["completion_tokens"], 7, "{name}");
        assert_eq!(seen[2]["cost"], "0.0000925", "{name}: in the last chunk's usage");
        assert_eq!(key.charged().await, 3 * (9 * INPUT + 7 * OUTPUT), "{name}");
        key.books_balance().await;
    }
}

/// How a refusal looks to a user of the clients: exception in Python and in Node, status, code, attempts.
struct Expected(&'static str, &'static str, u16, &'static str, u64);

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_is_the_right_exception_and_tried_as_often_as_it_may_help() {
    for (name, client) in clients() {
        let nemo = Nemo::start().await;
        let (cases, expected) = refusals(&nemo).await;
        let before = nemo.provider().request_count();
        for (seen, expected) in seen(client, &nemo, cases).await.iter().zip(&expected) {
            let Expected(python, node, status, code, attempts) = expected;
            let class = if name == "python" { python } else { node };
            assert_eq!(seen["code"], *code, "{name}: {seen}");
            assert_eq!(seen["status"], *status, "{name}: {seen}");
            assert_eq!(seen["error"], *class, "{name}: {seen}");
            assert_eq!(seen["attempts"], *attempts, "{name}: {seen}");
        }
        assert_eq!(nemo.provider().request_count(), before, "{name}: the provider heard of none of them");
    }
}

async fn refusals(nemo: &Nemo) -> (Vec<Value>, Vec<Expected>) {
    let budget = json!({"budgets": [{"window": "total", "limit": "1"}]});
    let plain = nemo.key(budget.clone()).await;
    let poor = nemo.key(json!({"budgets": [{"window": "day", "limit": "0.0001"}]})).await;
    let scoped =
        nemo.key(json!({"unlimited": true, "models": ["gpt-house"], "addresses": ["10.0.0.0/8"]})).await;
    let narrow = nemo.key(json!({"unlimited": true, "models": ["gpt-house"]})).await;
    let slow = nemo.key(json!({"unlimited": true, "tokens_per_minute": 10})).await;
    let (blocked, revoked) = (nemo.key(budget.clone()).await, nemo.key(budget).await);
    blocked.tell("block", json!({})).await;
    revoked.tell("revoke", json!({})).await;
    let stranger = plain.with_secret("sk-nemo-nonsense");
    let master = plain.with_secret(nemo.master_key());
    let (auth, denied, bad) = ("AuthenticationError", "PermissionDeniedError", "BadRequestError");
    let rows = vec![
        (case(&stranger, false, json!({})), Expected(auth, auth, 401, "invalid_api_key", 1)),
        (case(&master, false, json!({})), Expected(denied, denied, 403, "master_key_not_allowed", 1)),
        (case(&revoked, true, json!({})), Expected(auth, auth, 401, "key_revoked", 1)),
        (case(&blocked, false, json!({})), Expected(denied, denied, 403, "key_blocked", 1)),
        (case(&scoped, false, json!({})), Expected(denied, denied, 403, "address_not_allowed", 1)),
        (case(&narrow, false, json!({})), Expected(denied, denied, 403, "model_not_allowed", 1)),
        (case(&poor, true, json!({})), Expected("APIStatusError", "APIError", 402, "budget_exceeded", 1)),
        (case(&slow, false, json!({})), Expected(bad, bad, 400, "tokens_above_rate", 1)),
        (
            case(&plain, false, json!({"model": "nobody-serves-this"})),
            Expected("NotFoundError", "NotFoundError", 404, "model_not_found", 1),
        ),
        (
            case(&plain, false, json!({"model": "gpt-unpriced"})),
            Expected(bad, bad, 400, "model_not_priced", 1),
        ),
        (
            case(&plain, false, json!({"max_tokens": 1_000_000})),
            Expected(bad, bad, 400, "output_limit_too_high", 1),
        ),
        (
            case(&plain, false, json!({"prediction": {"type": "content", "content": "x"}})),
            Expected(bad, bad, 400, "request_not_priceable", 1),
        ),
    ];
    rows.into_iter().unzip()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_help_is_tried_again_and_billed_once() {
    for (name, client) in clients() {
        let nemo = Nemo::start().await;
        let key = capped(&nemo).await;
        let faults = [Behaviour::error(503), Behaviour::rate_limited(1), Behaviour::success(9, 7)];
        nemo.provider().script_next(faults);
        let seen = seen(client, &nemo, vec![case(&key, false, json!({}))]).await;
        assert_eq!(seen[0]["attempts"], 3, "{name}: {seen:?}");
        assert_eq!(seen[0]["finish"], "stop", "{name}: {seen:?}");
        let ends: Vec<String> = key.ended_calls().await.iter().map(|call| call.end.clone()).collect();
        assert_eq!(ends, ["CallVoided", "CallVoided", "CallSettled"], "{name}");
        assert_eq!(key.charged().await, 9 * INPUT + 7 * OUTPUT, "{name}");
        key.books_balance().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_an_idempotency_key_is_tried_until_it_is_made_and_then_never_again() {
    for (name, client) in clients() {
        let nemo = Nemo::start().await;
        let key = capped(&nemo).await;
        nemo.provider().script(Behaviour::success(9, 7));
        nemo.provider().script_next([Behaviour::error(503), Behaviour::rate_limited(1)]);
        let mut once = case(&key, false, json!({}));
        once["headers"] = json!({"Idempotency-Key": "nightly/2026-11-22"});
        let mut other = case(&key, false, json!({"max_tokens": 51}));
        other["headers"] = once["headers"].clone();
        let seen = seen(client, &nemo, vec![once.clone(), once, other]).await;
        assert_eq!(
            (&seen[0]["finish"], &seen[0]["attempts"]),
            (&json!("stop"), &json!(3)),
            "{name}: {seen:?}"
        );
        let codes: Vec<_> = seen[1..].iter().map(|s| (s["code"].as_str().unwrap(), &s["attempts"])).collect();
        let expected = [("call_already_billed", &json!(1)), ("idempotency_key_reused", &json!(1))];
        assert_eq!(codes, expected, "{name}: {seen:?}");
        assert_eq!(key.charged().await, 9 * INPUT + 7 * OUTPUT, "{name}");
        key.books_balance().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_billed_is_not_tried_again() {
    for (name, client) in clients() {
        let nemo = Setup::default().provider("first_byte_timeout_secs = 1").start().await;
        let key = capped(&nemo).await;
        nemo.provider().script_next([
            Behaviour::breaking(At::Read, How::Hang),
            Behaviour::breaking(At::Read, How::Reset),
            Behaviour::success(9, 7).breaks(At::Chunk(2), How::Close),
        ]);
        let cases =
            vec![case(&key, false, json!({})), case(&key, false, json!({})), case(&key, true, json!({}))];
        let seen = seen(client, &nemo, cases).await;
        let codes: Vec<_> = seen.iter().map(|s| s["code"].as_str().unwrap_or("-")).collect();
        assert_eq!(codes, ["provider_timeout", "provider_failed", "provider_failed"], "{name}: {seen:?}");
        assert!(seen.iter().all(|s| s["attempts"] == 1), "{name}: {seen:?}");
        assert_eq!(key.ended_calls().await.len(), 3, "{name}");
        key.books_balance().await;
    }
}
