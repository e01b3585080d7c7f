//! `nemo serve --demo`: what it invents is a ledger like any other, says that it is invented, and keeps away from
//! real ones.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::harness::{Demo, Nemo, nanos, program, until};

const LEAKED: &str = "key_DemoPartner";

/// The keys of a demo that its user does not have.
const CAST: usize = 11;

fn verify(data: &Path) {
    let mut command = program();
    let verified = command.args(["ledger", "verify", "--data-dir"]).arg(data).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_demo_has_thirty_days_of_past_that_verify_and_says_that_it_is_simulated() {
    let mut demo = Demo::start().await;
    let words = demo.stdout().text();
    assert!(words.contains("THIS IS A DEMO"), "{words}");
    let keys = demo.list(&["keys", "list"]);
    assert_eq!(keys.len(), CAST + 1);
    for key in &keys {
        let id = key["id"].as_str().unwrap();
        assert!(id.starts_with("key_Demo") && key["labels"]["tags"][0] == "demo", "{key}");
        assert_eq!(key["open_calls"], 0, "{key}");
        if id != "key_DemoYourKey" {
            assert!(nanos(&key["spend"]) > 100_000_000 && key["calls"].as_u64() > Some(20), "{key}");
        }
    }
    let providers: std::collections::BTreeSet<_> = keys
        .iter()
        .flat_map(|key| demo.list(&["keys", "calls", key["id"].as_str().unwrap(), "--limit", "5"]))
        .map(|call| call["provider"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        !providers.is_empty() && providers.iter().all(|name| name.starts_with("simulated-")),
        "{providers:?}"
    );
    assert!(demo.terminate().await.success());
    verify(&demo.data());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_a_leak_is_in_the_leaked_key_s_stream() {
    let demo = Demo::start().await;
    let events = demo.list(&["keys", "timeline", LEAKED]);
    let kinds = kinds(&events);
    let at =
        |kind: &str| kinds.iter().position(|found| *found == kind).unwrap_or_else(|| panic!("no {kind}"));
    let (blocked, revoked) = (at("KeyBlocked"), at("KeyRevoked"));
    assert!(at("CallAuthorized") < blocked && blocked < revoked);
    assert!(!kinds[revoked..].contains(&"CallAuthorized"));
    assert!(kinds[revoked..].contains(&"CallsRefused"), "the thief goes on trying");
    let thefts: Vec<_> = events
        .iter()
        .filter(|event| {
            event["data"]["client"]["address"].as_str().is_some_and(|at| at.starts_with("203.0.113."))
        })
        .collect();
    assert!(thefts.len() > 10, "{} calls from strange addresses", thefts.len());
    assert!(thefts.iter().all(|event| event["data"]["model"] != "gpt-4o-mini"));
    let times: Vec<_> =
        events.iter().map(|event| event["recorded_at"].as_str().unwrap().to_owned()).collect();
    assert!(times.is_sorted());
    assert_eq!(demo.ask(&["keys", "show", LEAKED])["key"]["status"], "revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_s_key_is_shown_once_and_kept_nowhere() {
    let mut demo = Demo::start().await;
    let words = demo.stdout().text();
    let key = words.split("NEMO_API_KEY=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    assert!(key.starts_with("sk-nemo-1DemoYourKey"), "{words}");
    assert_eq!(words.matches(&key).count(), 1);
    let body = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Is this real?"}]}"#;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(format!("{}/v1/chat/completions", demo.url())).bearer_auth(&key).body(body);
    let answer = request.header("content-type", "application/json").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.unwrap().contains("is simulated"));
    let call = || async { demo.list(&["keys", "calls", "key_DemoYourKey"]).pop() };
    assert_eq!(until("the call is listed", call).await["outcome"], "settled");
    assert!(demo.terminate().await.success());
    let secret = &key["sk-nemo-1DemoYourKey".len()..key.len() - 6];
    for file in std::fs::read_dir(demo.data()).unwrap() {
        let path = file.unwrap().path();
        let holds = path.is_file()
            && std::fs::read(&path).unwrap().windows(secret.len()).any(|w| w == secret.as_bytes());
        assert!(!holds, "{} holds the key", path.display());
    }
    demo.restart(&["--quiet"]).await.unwrap();
    let words = demo.stdout().text();
    assert!(!words.contains("sk-nemo-1") && words.contains("keys rotate key_DemoYourKey"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_started_again_goes_on_and_invents_nothing_twice() {
    let mut demo = Demo::start().await;
    let (before, keys) = (demo.events().await, demo.list(&["keys", "list"]).len());
    assert!(demo.terminate().await.success());
    demo.restart(&["--quiet"]).await.unwrap();
    let grown = demo.events().await - before;
    assert!(grown < 40, "{grown} events more");
    assert_eq!(demo.list(&["keys", "list"]).len(), keys);
    assert!(demo.terminate().await.success());
    verify(&demo.data());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_that_was_killed_while_it_wrote_its_past_completes_it() {
    let mut demo = Demo::start().await;
    let whole = demo.events().await;
    let home = tempfile::tempdir_in(demo.home()).unwrap();
    demo.terminate().await;
    let mut command = Demo::command(home.path(), &["--quiet"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Two megabytes are some of the past and not all of it.
    let ledger = home.path().join("nemo-demo");
    let size = || std::fs::read_dir(&ledger).into_iter().flatten().flatten();
    let size = || size().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum::<u64>();
    until("some of the past is written", || async { (size() > 2_000_000).then_some(()) }).await;
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_dir_all(demo.data()).unwrap();
    std::fs::rename(&ledger, demo.data()).unwrap();
    demo.restart(&["--quiet"]).await.unwrap();
    let completed = demo.events().await;
    // What was in flight is missing; calls that were cut short are ended one by one.
    assert!(completed > whole * 9 / 10 && completed < whole * 11 / 10, "{completed} of {whole}");
    assert_eq!(demo.list(&["keys", "list"]).len(), CAST + 1);
    assert_eq!(demo.ask(&["keys", "show", LEAKED])["key"]["status"], "revoked");
    let none_open =
        || async { demo.list(&["keys", "list"]).iter().all(|key| key["open_calls"] == 0).then_some(()) };
    until("no call is open", none_open).await;
    assert!(demo.terminate().await.success());
    verify(&demo.data());
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_flows_while_it_runs_and_ends_with_it() {
    let mut demo = Demo::start_with(&[]).await;
    let calls = |demo: &Demo| demo.ask(&["keys", "show", "key_DemoShopBot"])["key"]["windows"].clone();
    let before = calls(&demo);
    until("a call was billed", || async { (calls(&demo) != before).then_some(()) }).await;
    assert!(demo.terminate().await.success());
    // Started again it has other secrets, and still calls.
    demo.restart(&[]).await.unwrap();
    let before = calls(&demo);
    until("a call was billed", || async { (calls(&demo) != before).then_some(()) }).await;
    assert!(kinds(&demo.list(&["keys", "timeline", "key_DemoShopBot"])).contains(&"KeySecretRotated"));
    demo.kill9().await;
    demo.restart(&["--quiet"]).await.unwrap();
    let ended =
        || async { demo.list(&["keys", "list"]).iter().all(|key| key["open_calls"] == 0).then_some(()) };
    until("no call is open", ended).await;
    assert!(demo.terminate().await.success());
    verify(&demo.data());
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_and_real_ledgers_refuse_each_other_s_directories() {
    let nemo = Nemo::start().await;
    nemo.terminate().await;
    let data = nemo.data();
    let before = std::fs::read_dir(&data).unwrap().count();
    let refused =
        Demo::command(nemo.home(), &["--quiet", "--data-dir", data.to_str().unwrap()]).output().unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && told.contains("is not a demo's directory"), "{told}");
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), before, "nothing was put into it");

    std::fs::write(data.join("demo"), "first-day = 2026-01-01\n").unwrap();
    let refused = nemo.try_restart().await.expect_err("it serves a demo's ledger");
    assert!(refused.stderr.contains("nemo serve --demo"), "{}", refused.stderr);
}
