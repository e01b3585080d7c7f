//! Webhooks as their receivers meet them: in order, signed, again until they are taken, and never the past.

mod receiver;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use self::receiver::{Manner, Received, Receiver};
use crate::fake_provider::Behaviour;
use crate::harness::{Nemo, Setup, until};
use crate::metrics::Page;

/// 32 bytes.
const SECRET: &str = "whsec_bmVtby13ZWJob29rLXRlc3Qtc2VjcmV0LTAwMDAwMDE=";

fn webhook(receiver: &Receiver, more: &str) -> String {
    let url = receiver.url();
    format!("[[webhooks]]\nname = \"ops\"\nurl = \"{url}\"\nsecret_env = \"HOOK_SECRET\"\n{more}\n")
}

fn told(receiver: &Receiver, more: &str) -> Setup {
    Setup::default().env("HOOK_SECRET", SECRET).more(&webhook(receiver, more))
}

/// What the receiver's own program says of a message: that of the page about webhooks.
fn is_genuine(secret: &str, headers: &Value, body: &[u8]) -> bool {
    let page = include_str!("../../src/docs/webhooks.md");
    let example = page.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let program = format!(
        "{example}\nimport json, sys\nask = json.load(sys.stdin)\n\
         print(verify(ask['secret'], ask['headers'], base64.b64decode(ask['body'])))"
    );
    let ask = json!({"secret": secret, "headers": headers, "body": STANDARD.encode(body)}).to_string();
    let mut python = Command::new("python3");
    python.args(["-c", &program]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = python.spawn().unwrap();
    python.stdin.take().unwrap().write_all(ask.as_bytes()).unwrap();
    let said = python.wait_with_output().unwrap();
    assert!(said.status.success());
    match String::from_utf8(said.stdout).unwrap().trim() {
        "True" => true,
        "False" => false,
        other => panic!("{other}"),
    }
}

async fn shown(nemo: &Nemo) -> Value {
    nemo.ask("/api/webhooks").await["webhooks"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_and_deeds_are_told_in_order_and_signed_without_any_secret() {
    let receiver = Receiver::start(Manner::Takes).await;
    let nemo = told(&receiver, "").start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let limits = json!({"budgets": [{"window": "total", "limit": "0.005", "alert_at_percent": 1}]});
    let key = nemo.key(limits).await;
    for _ in 0..2 {
        let answer = key
            .chat(json!({"max_tokens": 50, "messages": [{"role": "user", "content": "a prompt of mine"}]}));
        answer.await.ok();
    }
    key.tell("block", json!({"reason": "a look"})).await;
    key.chat(json!({})).await.refused(403, "key_blocked");
    key.tell("unblock", json!({})).await;
    key.chat(json!({"max_tokens": 50})).await.ok();
    key.rotate(json!({"leaked": true})).await;
    nemo.manage(Method::DELETE, &key.path(""), json!({"reason": "done"})).await.ok();
    let org = nemo.org().await;
    nemo.tell(&format!("/api/orgs/{org}/suspend"), json!({})).await;

    let types = [
        "key.created",
        "budget.threshold_reached",
        "key.blocked",
        "key.unblocked",
        "calls.refused",
        "key.leaked",
        "key.revoked",
        "org.suspended",
    ];
    until("all of it was told", || async { (receiver.taken().len() >= types.len()).then_some(()) }).await;
    let taken = receiver.taken();
    let mut found = receiver.taken_types();
    // Refusals are written with whatever is next, or at the minute's end.
    found.retain(|kind| kind != "calls.refused");
    let expected: Vec<_> = types.iter().filter(|kind| **kind != "calls.refused").collect();
    assert_eq!(found.iter().collect::<Vec<_>>(), expected);

    let positions: Vec<u64> =
        taken.iter().map(|message| message.json()["position"].as_u64().unwrap()).collect();
    assert!(positions.is_sorted_by(|one, next| one < next), "{positions:?}");
    let of_type = |kind: &str| taken.iter().find(|message| message.json()["type"] == kind).unwrap();
    let alert = of_type("budget.threshold_reached").json();
    assert_eq!(
        alert["data"]["budget"],
        json!({"window": "total", "limit": "0.005", "percent": 1, "settled": "0.0000925"})
    );
    assert_eq!(alert["data"]["key"], json!({"id": key.id(), "name": "test"}));
    assert_eq!(alert["data"]["org"], json!({"id": org, "name": "acme"}));
    assert_eq!(of_type("key.blocked").json()["data"]["reason"], "a look");
    let refused = of_type("calls.refused").json();
    assert_eq!(refused["data"]["refusals"], json!([{"code": "key_blocked", "count": 1}]));
    let events = key.events().await;
    let raised =
        events.iter().find(|event| event.kind() == "BudgetAlertRaised").unwrap().whole()["id"].clone();
    assert_eq!((&alert["id"], of_type("budget.threshold_reached").id()), (&raised, raised.as_str().unwrap()));

    let Received { body, .. } = of_type("key.leaked");
    let headers = of_type("key.leaked").headers();
    assert!(is_genuine(SECRET, &headers, body));
    assert!(!is_genuine(SECRET, &headers, &[body.as_slice(), b" "].concat()), "a body that was changed");
    let another = SECRET.replace("bmVt", "bmVs");
    assert!(!is_genuine(&another, &headers, body), "another secret");
    let everything: Vec<u8> = taken.iter().flat_map(|it| [it.head.as_bytes(), &it.body].concat()).collect();
    let everything = String::from_utf8(everything).unwrap();
    for secret in [&key.secret(), nemo.master_key(), SECRET, "a prompt of mine", &nemo.provider().key()] {
        assert!(!everything.contains(secret));
    }
    for kind in ["budget", "refusal"] {
        let lines = Page::of(&nemo).await.text_of("nemo_alerts_raised_total");
        assert!(lines.iter().any(|line| line.contains(kind)), "{lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_tried_again_and_nothing_passes_it() {
    let receiver = Receiver::start(Manner::Answers(500)).await;
    let nemo = told(&receiver, "timeout_secs = 1\nevents = [\"key.created\", \"key.revoked\"]").start().await;
    let key = nemo.rich_key().await;
    key.tell("block", json!({})).await;
    nemo.manage(Method::DELETE, &key.path(""), json!({})).await.ok();
    receiver.until_asked(1).await;
    let row = until("it is told that it fails", || async {
        let row = shown(&nemo).await;
        (row["state"] == "failing" && row["backlog"] == 2).then_some(row)
    });
    let row = row.await;
    assert_eq!(row["failing"]["error"], "it answered 500");
    assert_eq!(row["receiver"], receiver.origin());
    let before = receiver.all().len();
    receiver.is(Manner::Hangs).await;
    receiver.until_asked(before + 1).await;
    receiver.is(Manner::Away).await;
    until("it is refused", || async {
        let error = shown(&nemo).await["failing"]["error"].as_str().unwrap_or_default().to_owned();
        error.contains("cannot be reached").then_some(())
    })
    .await;
    receiver.is(Manner::Takes).await;
    receiver.until_taken(&["key.created", "key.revoked"]).await;
    let all = receiver.all();
    let (first, last) = (all.first().unwrap(), all.last().unwrap());
    assert!(
        all[..all.len() - 1].iter().all(|attempt| attempt.id() == first.id() && attempt.body == first.body)
    );
    assert_ne!(first.id(), last.id());
    until("nothing waits", || async { (shown(&nemo).await["backlog"] == 0).then_some(()) }).await;
    let row = shown(&nemo).await;
    assert_eq!((&row["state"], &row["delivered"]["type"]), (&json!("delivering"), &json!("key.revoked")));
    let attempts = Page::of(&nemo).await.text_of("nemo_webhook_attempts_total");
    for outcome in ["refused", "unreachable", "delivered"] {
        assert!(attempts.iter().any(|line| line.contains(outcome)), "{attempts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_loses_nothing_and_a_lost_read_model_repeats_nothing() {
    let receiver = Receiver::start(Manner::Hangs).await;
    let nemo = told(&receiver, "events = [\"key.created\"]").start().await;
    for _ in 0..2 {
        nemo.rich_key().await;
    }
    // It has the message, and has not said so.
    receiver.until_asked(1).await;
    nemo.kill9().await;
    receiver.is(Manner::Takes).await;
    nemo.restart().await;
    receiver.until_taken(&["key.created"; 2]).await;
    assert_eq!(receiver.all()[0].id(), receiver.taken()[0].id(), "the same message, again");
    until("how far it has come is told", || async { (shown(&nemo).await["backlog"] == 0).then_some(()) })
        .await;

    nemo.terminate().await;
    for file in ["read-model.sqlite", "read-model.sqlite-wal", "read-model.sqlite-shm"] {
        let _ = std::fs::remove_file(nemo.data().join(file));
    }
    nemo.restart().await;
    nemo.rich_key().await;
    receiver.until_taken(&["key.created"; 3]).await;
    let ids: std::collections::BTreeSet<_> = receiver.taken().iter().map(|it| it.id().to_owned()).collect();
    assert_eq!(ids.len(), 3, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_new_is_told_nothing_of_the_past_and_one_that_wants_no_more_is_left_alone() {
    let receiver = Receiver::start(Manner::Answers(410)).await;
    let nemo = Setup::default().env("HOOK_SECRET", SECRET).start().await;
    nemo.rich_key().await;
    nemo.terminate().await;
    nemo.append_to_config(&webhook(&receiver, "events = [\"key.created\", \"key.blocked\"]"));
    nemo.restart().await;
    let key = nemo.rich_key().await;
    until("it is given up", || async { (!shown(&nemo).await["given_up"].is_null()).then_some(()) }).await;
    receiver.is(Manner::Takes).await;
    key.tell("block", json!({})).await;
    receiver.until_taken(&["key.blocked"]).await;
    let all: Vec<_> =
        receiver.all().iter().map(|message| message.json()["data"]["key"]["id"].clone()).collect();
    assert_eq!(
        all,
        [json!(key.id()), json!(key.id())],
        "one attempt at what is not wanted, none at the past"
    );
    let given_up = Page::of(&nemo).await.text_of("nemo_webhook_given_up_total");
    assert!(given_up.iter().any(|line| line.ends_with(" 1")), "{given_up:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_delays_neither_calls_nor_revokes_nor_lists() {
    let receiver = Receiver::start(Manner::Hangs).await;
    let nemo = told(&receiver, "timeout_secs = 60").start().await;
    let keys = [nemo.rich_key().await, nemo.rich_key().await];
    receiver.until_asked(1).await;
    let began = Instant::now();
    for key in &keys {
        key.chat(json!({})).await.ok();
        let revoked = nemo.manage(Method::DELETE, &key.path(""), json!({})).await.ok();
        let position = revoked["position"].as_u64().unwrap();
        nemo.ask(&format!("/api/keys?status=revoked&min_position={position}")).await;
    }
    assert_eq!(nemo.terminate().await.code(), Some(0), "nor the end");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(receiver.all().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_listed_and_tried_and_its_secrets_change_while_it_runs() {
    let receiver = Receiver::start(Manner::Takes).await;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("hook");
    let another = SECRET.replace("bmVt", "bmVs");
    std::fs::write(&file, SECRET).unwrap();
    let more = format!(
        "[[webhooks]]\nname = \"ops\"\nurl = \"{}\"\nsecret_file = \"{}\"",
        receiver.url(),
        file.display()
    );
    let nemo = Setup::default().more(&more).start().await;

    let listed = nemo.cli().args(["webhooks", "list"]).output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    assert!(text.contains("ops") && text.contains("delivering"), "{text}");
    let listed = nemo.cli().args(["webhooks", "list", "--output", "json"]).output().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&listed.stdout).unwrap()[0]["name"], "ops");
    let ada = nemo.ada().await;
    let page = ada.page("/ledger").await.text().to_owned();
    assert!(page.contains("Webhooks") && page.contains(&receiver.origin()), "{page}");
    assert!(!page.contains("path-that-is-a-secret") && !text.contains("path-that-is-a-secret"));

    let looked = nemo.local_cli().args(["doctor", "--offline", "--config", "nemo.toml"]).output().unwrap();
    let found = String::from_utf8(looked.stdout).unwrap();
    assert!(found.contains("webhook ops") && !found.contains("path-that-is-a-secret"), "{found}");

    let tested = nemo.cli().args(["webhooks", "test", "ops"]).output().unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
    let message = receiver.taken().pop().unwrap();
    assert_eq!(message.json()["type"], "webhook.test");
    assert!(is_genuine(SECRET, &message.headers(), &message.body));

    std::fs::write(&file, format!("{another}\n{SECRET}\n")).unwrap();
    assert_eq!(nemo.tell("/api/reload", json!({})).await["webhooks"], json!(["ops"]));
    let tested = nemo.tell("/api/webhooks/ops/test", json!({})).await;
    assert_eq!((&tested["delivered"], &tested["status"]), (&json!(true), &json!(204)));
    let message = receiver.taken().pop().unwrap();
    for secret in [SECRET, &another] {
        assert!(is_genuine(secret, &message.headers(), &message.body));
    }
    std::fs::write(&file, "hunter2").unwrap();
    let refused = nemo.manage(Method::POST, "/api/reload", json!({})).await;
    assert!(!refused.refused(422, "configuration_invalid").text().contains("hunter2"));

    // One that is to be no more keeps nothing else from being read again, whatever became of its secret.
    let config = nemo.home().join("nemo.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.split("[[webhooks]]").next().unwrap()).unwrap();
    let reloaded = nemo.tell("/api/reload", json!({})).await;
    assert_eq!((&reloaded["webhooks"], &reloaded["needs_restart"]), (&json!([]), &json!(["webhooks"])));

    receiver.is(Manner::Answers(302)).await;
    let tested = nemo.cli().args(["webhooks", "test", "ops"]).output().unwrap();
    assert_eq!(tested.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&tested.stderr).contains("redirects are not followed"));
    let unknown = nemo.manage(Method::POST, "/api/webhooks/nobody/test", json!({})).await;
    unknown.refused(404, "webhook_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_without_a_secret_keeps_the_gateway_from_starting() {
    let more = "[[webhooks]]\nname = \"ops\"\nurl = \"https://ops.example/\"\nsecret_env = \"HOOK_SECRET\"";
    for secret in ["whsec_c2hvcnQ=", "a secret without a form"] {
        let exited = Setup::default().more(more).env("HOOK_SECRET", secret).refused().await;
        assert!(exited.stderr.contains("webhook ops") && exited.stderr.contains("HOOK_SECRET"), "{exited}");
        assert!(!exited.stderr.contains(secret), "{exited}");
    }
}
