//! Correcting what calls are charged: downwards, on evidence, one or many, also long after they ended.

use std::fs;

use reqwest::Method;
use serde_json::json;

use super::{ran, run};
use crate::fake_provider::{Behaviour, Phase};
use crate::harness::{Answer, INPUT, Key, Nemo, OUTPUT, nanos};

async fn correct(nemo: &Nemo, call: &str, charged: &str) -> Answer {
    let body = json!({ "charged": charged, "reason": "invoice 7" });
    nemo.manage(Method::POST, &format!("/api/calls/{call}/correct"), body).await
}

/// A key with one call that cost what 9 tokens in and 7 out cost.
async fn charged(nemo: &Nemo) -> (Key, String) {
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.rich_key().await;
    assert_eq!(key.chat(json!({"max_tokens": 50})).await.cost(), 9 * INPUT + 7 * OUTPUT);
    let call = key.only_call().await.id.clone();
    (key, call)
}

#[tokio::test]
async fn a_correction_lowers_the_charge_the_budget_and_the_spend_and_says_who_did_it_and_why() {
    let nemo = Nemo::start().await;
    let (key, call) = charged(&nemo).await;
    let line = ["calls", "correct", &call, "--charged", "0.00001", "--evidence", "invoice 7", "--yes"];
    let ran = run(&nemo, &line).await;
    assert!(ran.ok().contains("$0.00009250") && ran.stdout.contains("$0.00001000"), "{ran:?}");
    assert!(ran.stderr.contains("Corrected: 1 of 1."), "{ran:?}");

    let event = key.events().await.pop().unwrap();
    assert_eq!(event.kind(), "CallCorrected");
    assert_eq!(event.data()["reason"], "invoice 7");
    assert_eq!(event.data()["charged_before"], "0.0000925");
    assert_eq!(event.metadata()["actor"]["kind"], "master_key");
    assert_eq!(event.metadata()["call"], json!(call));
    assert_eq!(key.charged().await, 10_000);
    let spend = nemo.ask(&format!("/api/spend?min_position={}", event.whole()["position"])).await;
    assert_eq!(spend["total"]["cost"], "0.00001");
    let shown = run(&nemo, &["calls", "show", &call]).await;
    for part in ["corrected", "$0.00001000", "invoice 7", "127.0.0.1"] {
        assert!(shown.ok().contains(part), "{part} {shown:?}");
    }
}

#[tokio::test]
async fn a_charge_is_never_raised_and_the_same_again_changes_nothing() {
    let nemo = Nemo::start().await;
    let (key, call) = charged(&nemo).await;
    correct(&nemo, &call, "0.00009251").await.refused(400, "correction_out_of_range");
    correct(&nemo, &call, "-0.00001").await.refused(400, "correction_out_of_range");
    let first = correct(&nemo, &call, "0.00005").await.ok();
    assert_eq!((&first["charged_before"], &first["charged"]), (&json!("0.0000925"), &json!("0.00005")));
    let events = key.events().await.len();
    let again = correct(&nemo, &call, "0.00005").await.ok();
    assert_eq!((&again["charged_before"], &again["charged"]), (&json!("0.00005"), &json!("0.00005")));
    correct(&nemo, &call, "0.00006").await.refused(400, "correction_out_of_range");
    assert_eq!(key.events().await.len(), events, "nothing was written");
    let nobody = "0197b5a0-0000-7000-8000-000000000009";
    correct(&nemo, nobody, "0").await.refused(404, "call_not_found");
    correct(&nemo, "7", "0").await.refused(404, "call_not_found");
    let body = json!({ "charged": "0", "reason": " " });
    let path = format!("/api/calls/{call}/correct");
    nemo.manage(Method::POST, &path, body).await.refused(400, "invalid_request");
}

#[tokio::test]
async fn an_open_call_is_not_corrected_and_a_revoked_keys_call_is() {
    let nemo = Nemo::start().await;
    let (key, call) = charged(&nemo).await;
    nemo.provider().hold_at(Phase::Received);
    let running = key.raw_chat(json!({})).await;
    nemo.provider().until_held(Phase::Received, 1).await.unwrap();
    let open = key.shown().await["open_calls"]["calls"][0]["id"].as_str().unwrap().to_owned();
    correct(&nemo, &open, "0").await.refused(409, "call_not_ended");
    key.tell("revoke", json!({})).await;
    running.reset();
    correct(&nemo, &call, "0").await.ok();
    let first = key.ended_calls().await.remove(0);
    assert_eq!((nanos(&first.ended["cost"]), first.charged()), (92_500, 0), "the end itself stays");
}

#[tokio::test]
async fn many_calls_are_corrected_from_a_file_and_a_bad_line_changes_nothing() {
    let nemo = Nemo::start().await;
    let ((one, first), (other, second)) = (charged(&nemo).await, charged(&nemo).await);
    let file = nemo.home().join("corrections.csv");
    let line = [
        "calls",
        "correct",
        "--file",
        file.to_str().unwrap(),
        "--reason",
        "invoice 8",
        "--yes",
        "--output",
        "csv",
    ];
    fs::write(&file, format!("call,charged\n{first},0.00001\n{second},oops\n")).unwrap();
    assert!(run(&nemo, &line).await.failed(2).contains("corrections.csv"));
    assert_eq!(one.charged().await, 92_500);
    fs::write(&file, format!("invoice,call,charged\n8,{first},0.00001\n8,{second},0\n")).unwrap();
    let rows = run(&nemo, &line).await.csv();
    let charges: Vec<_> = rows.iter().map(|row| row["charged"].as_str()).collect();
    assert_eq!(charges, ["0.00001", "0"]);
    assert_eq!((one.charged().await, other.charged().await), (10_000, 0));
    // What was stopped in the middle says so, and doing it again is harmless.
    let nobody = "0197b5a0-0000-7000-8000-000000000009";
    fs::write(&file, format!("call,charged\n{first},0\n{nobody},0\n{second},0\n")).unwrap();
    let stopped = run(&nemo, &line).await;
    assert_eq!(stopped.code, 3, "{stopped:?}");
    assert!(stopped.stderr.contains("Corrected: 1 of 3;") && stopped.stderr.contains(nobody), "{stopped:?}");
    assert_eq!(one.charged().await, 0);
}

#[tokio::test]
async fn corrections_need_a_yes_off_a_terminal_and_a_reason_everywhere() {
    let nemo = Nemo::start().await;
    let (key, call) = charged(&nemo).await;
    let line = ["calls", "correct", &call, "--charged", "0", "--reason", "invoice"];
    assert!(run(&nemo, &line).await.failed(2).contains("--yes"));
    let without_reason = run(&nemo, &["calls", "correct", &call, "--charged", "0", "--yes"]).await;
    assert!(without_reason.code == 2 && without_reason.stderr.contains("--reason"), "{without_reason:?}");
    let mut command = nemo.cli();
    command.args(["calls", "correct", "--yes", "--reason", "r", "--file", "nowhere.csv"]);
    assert!(ran(command).await.failed(2).contains("nowhere.csv"));
    assert_eq!(key.charged().await, 92_500);
}
