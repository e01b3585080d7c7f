use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{KEY, ORG, SECRET, answered, key, key_reply, run};
use crate::cli::exit::Exit;
use crate::cli::testing::{Canned, FakeServer};

fn issued() -> Value {
    json!({ "key": key(), "revision": 0, "position": 77, "secret": SECRET })
}

async fn server() -> FakeServer {
    FakeServer::answering(vec![Canned::new(201, issued().to_string())]).await
}

const CREATE: [&str; 10] =
    ["keys", "create", "--org", ORG, "--name", "nightly", "--app", "etl", "--budget", "day=5.00"];

#[tokio::test]
async fn a_new_key_stands_alone_on_stdout_and_is_told_to_be_saved() {
    let server = server().await;
    let ran = run(&server, &CREATE).await;
    ran.result.unwrap();
    assert_eq!(ran.data, format!("{SECRET}\n"));
    assert!(
        ran.words.contains("Save this key now. This is the only time the full key is shown."),
        "{}",
        ran.words
    );
    assert!(
        ran.words.contains("curl -H \"Authorization: Bearer $NEMO_API_KEY\" 'http://127.0.0.1"),
        "{}",
        ran.words
    );
    assert!(ran.words.contains("/v1/models'") && !ran.words.contains(SECRET), "{}", ran.words);
    let sent: Value = serde_json::from_str(&server.requests().first().unwrap().body).unwrap();
    let limits = json!({ "budgets": [{ "window": "day", "limit": "5" }] });
    assert_eq!(sent, json!({ "org": ORG, "name": "nightly", "app": "etl", "limits": limits }));
    assert_eq!(server.lines(), ["POST /api/keys"]);
}

#[tokio::test]
async fn a_new_key_is_in_the_document_that_was_asked_for() {
    for (output, data) in [
        ("json", format!("{}\n", issued())),
        ("jsonl", format!("{}\n", issued())),
        ("csv", format!("id,name,org,secret\n{KEY},nightly,{ORG},{SECRET}\n")),
    ] {
        let ran = run(&server().await, &[&CREATE[..], &["--output", output]].concat()).await;
        assert_eq!(ran.data, data);
    }
}

#[tokio::test]
async fn with_a_file_for_it_the_key_is_nowhere_else() {
    for output in ["table", "json", "jsonl", "csv"] {
        let home = TempDir::new().unwrap();
        let path = home.path().join("key");
        let line = [&CREATE[..], &["--output", output, "--secret-file", path.to_str().unwrap()]].concat();
        let ran = run(&server().await, &line).await;
        ran.result.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{SECRET}\n"));
        assert!(
            !ran.data.contains("sk-nemo-1") && !ran.words.contains("sk-nemo-1"),
            "{}{}",
            ran.data,
            ran.words
        );
        assert!(ran.data.contains(KEY), "{}", ran.data);
        assert!(ran.words.contains("Bearer $(cat '/"), "{}", ran.words);
        if output == "json" {
            let mut without = issued();
            without.as_object_mut().unwrap().remove("secret");
            assert_eq!(serde_json::from_str::<Value>(&ran.data).unwrap(), without);
        }
    }
}

#[tokio::test]
async fn a_file_that_is_there_stops_everything_before_a_key_is_made() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("key");
    fs::write(&path, "mine").unwrap();
    let server = server().await;
    let ran = run(&server, &[&CREATE[..], &["--secret-file", path.to_str().unwrap()]].concat()).await;
    assert_eq!(ran.result.unwrap_err().exit(), Exit::Usage);
    assert_eq!(server.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn no_empty_file_is_left_where_no_key_was_made() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("key");
    let server = FakeServer::answering(vec![Canned::new(400, r#"{"detail":"name is empty."}"#)]).await;
    let ran = run(&server, &[&CREATE[..], &["--secret-file", path.to_str().unwrap()]].concat()).await;
    assert_eq!(ran.result.unwrap_err().exit(), Exit::Usage);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_new_key_without_any_limit_is_told_how_to_get_one() {
    let problem = json!({ "detail": "a key needs at least one budget", "code": "invalid_request" });
    let server = FakeServer::answering(vec![Canned::new(400, problem.to_string())]).await;
    let error = run(&server, &["keys", "create", "--org", ORG, "--name", "n"]).await.result.unwrap_err();
    assert!(error.told().contains("--budget") && error.told().contains("--unlimited"), "{}", error.told());
}

#[tokio::test]
async fn a_rotation_prints_the_new_key_and_says_for_how_long_the_old_one_works() {
    for (options, sent) in [
        (&[][..], json!({ "leaked": false })),
        (&["--overlap", "15m"], json!({ "overlap_secs": 900, "leaked": false })),
        (&["--overlap", "0"], json!({ "overlap_secs": 0, "leaked": false })),
        (&["--leaked", "--yes"], json!({ "leaked": true })),
    ] {
        let server = server().await;
        let ran = run(&server, &[&["keys", "rotate", KEY][..], options].concat()).await;
        ran.result.unwrap();
        assert_eq!(ran.data, format!("{SECRET}\n"));
        assert_eq!(server.lines(), [format!("POST /api/keys/{KEY}/rotate")]);
        let body: Value = serde_json::from_str(&server.requests().first().unwrap().body).unwrap();
        assert_eq!(body, sent);
        assert!(ran.words.contains("…9zzz, is refused from 2026-11-22 11:00:00Z on"), "{}", ran.words);
    }
}

#[tokio::test]
async fn a_leaked_key_is_rotated_only_after_a_yes() {
    let script = || vec![Canned::json(&key_reply()), Canned::json(&issued())];
    let server = FakeServer::answering(script()).await;
    let ran = answered(&server, &["keys", "rotate", KEY, "--leaked"], Some("y\n")).await;
    ran.result.unwrap();
    assert!(
        ran.words.contains("refuses every earlier one at once") && ran.words.contains("--yes"),
        "{}",
        ran.words
    );
    let unchanged = FakeServer::answering(script()).await;
    let ran = answered(&unchanged, &["keys", "rotate", KEY, "--leaked"], Some("n\n")).await;
    assert_eq!((ran.result.unwrap_err().exit(), unchanged.lines().len()), (Exit::Failed, 1));
}
