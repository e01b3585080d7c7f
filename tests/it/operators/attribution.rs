//! What people do stands in the ledger beside their names; what they know stands nowhere.

use nemo_test_stores::on_each_store;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Nemo, PASSWORD};

#[on_each_store]
async fn every_write_of_a_person_is_attributed_to_that_person() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    let id = nemo.operator_id("Ada").await;
    let org = ada.manage(Method::POST, "/api/orgs", json!({"name": "acme"})).await.ok();
    let org = org["org"]["id"].as_str().unwrap().to_owned();
    let wish = json!({"org": org, "name": "job", "limits": {"budgets": [{"window": "day", "limit": "1"}]}});
    let key = ada.manage(Method::POST, "/api/keys", wish).await.ok();
    let key = key["key"]["id"].as_str().unwrap().to_owned();
    for (method, path, body) in [
        (Method::PUT, "labels", json!({"name": "other"})),
        (Method::PUT, "limits", json!({"unlimited": true})),
        (Method::POST, "block", json!({"reason": "odd"})),
        (Method::POST, "unblock", json!({})),
        (Method::POST, "rotate", json!({"overlap_secs": 60})),
        (Method::POST, "revoke", json!({})),
    ] {
        ada.manage(method, &format!("/api/keys/{key}/{path}"), body).await.ok();
    }
    ada.manage(Method::POST, &format!("/api/orgs/{org}/suspend"), json!({})).await.ok();
    let page = nemo.ask("/api/ledger/events?limit=1000").await;
    let events = page["events"].as_array().unwrap();
    let of = |stream: &str| events.iter().filter(|event| event["stream"] == stream).collect::<Vec<_>>();
    let key_stream = format!("key-{}", key.trim_start_matches("key_"));
    let (of_key, of_org) = (of(&key_stream), of(&format!("org-{org}")));
    assert_eq!((of_key.len(), of_org.len()), (7, 2));
    for event in of_key.iter().chain(&of_org) {
        assert_eq!(event["metadata"]["actor"], json!({"kind": "operator", "id": id}), "{event}");
        assert!(event["metadata"]["request"].is_string());
    }
    let timeline = nemo.cli().args(["keys", "timeline", &key]).output().unwrap();
    let timeline = String::from_utf8(timeline.stdout).unwrap();
    assert_eq!(timeline.matches("Ada").count(), 7, "{timeline}");
}

#[tokio::test]
async fn what_an_auditor_reads_is_an_event_too() {
    let nemo = Nemo::start().await;
    let _ada = nemo.ada().await;
    let bo = nemo.person("Bo", "auditor").await;
    let key = nemo.rich_key().await;
    let id = nemo.operator_id("Bo").await;
    for _ in 0..3 {
        bo.manage(Method::GET, &format!("/api/keys/{}/events", key.id()), Value::Null).await.ok();
    }
    bo.manage(Method::GET, "/api/ledger/events", Value::Null).await.ok();
    nemo.terminate().await;
    nemo.restart().await;
    let events = nemo.operator_events().await;
    let of = |kind: &str| {
        let found: Vec<_> = events.iter().filter(|event| event["type"] == kind).collect();
        assert_eq!(found.len(), 1, "{kind} {events:?}");
        assert_eq!(found[0]["metadata"]["actor"], json!({"kind": "operator", "id": id}));
        found[0]["data"]["reads"].clone()
    };
    assert_eq!(of("LedgerRead"), json!([{"key": key.id(), "count": 3}]));
    assert_eq!(of("LedgerExported"), json!([{"count": 1}]));
}

/// All files of a directory, those of secrets apart.
fn files(folder: &std::path::Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap_or_default()));
        }
    }
}

#[tokio::test]
async fn neither_passwords_nor_codes_nor_tokens_are_written_anywhere() {
    let nemo = Nemo::start().await;
    let first = nemo.first_link().await;
    let ada = nemo.ada().await;
    let invited = nemo.invitation("auditor").await;
    let bo =
        crate::harness::Person::of(&nemo, &nemo.join(&invited, "Bo", "Bo-Likes-Grey-Wagtails").await).await;
    let unused = nemo.invitation("finance").await;
    nemo.log_in("Ada", "A-Wrong-Password-Typed").await;
    let people = ada.page("/operators").await;
    let account = bo.page("/account").await;
    nemo.ask("/api/operators").await;
    let code = |link: &str| link.split_once('#').unwrap().1.to_owned();
    let secrets = [
        ("password", PASSWORD.to_owned()),
        ("password", "Bo-Likes-Grey-Wagtails".to_owned()),
        ("wrong password", "A-Wrong-Password-Typed".to_owned()),
        ("code", code(&first)),
        ("code", code(&invited)),
        ("code", code(&unused)),
        ("token", ada.token.clone()),
        ("token", bo.token.clone()),
    ];
    let log = nemo.stderr();
    nemo.terminate().await;
    let mut found = vec![
        ("the log".to_owned(), log.text().into_bytes()),
        ("the page of people".to_owned(), people.body.to_vec()),
        ("the account page".to_owned(), account.body.to_vec()),
    ];
    files(&nemo.data(), &mut found);
    assert!(found.iter().any(|(name, _)| name.ends_with("passwords.toml")));
    for (what, secret) in secrets {
        assert!(secret.len() >= 16, "{what} this short would be found by chance");
        for (place, bytes) in &found {
            let hit = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!hit, "a {what} is in {place}");
        }
    }
}
