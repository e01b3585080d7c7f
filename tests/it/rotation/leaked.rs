//! The master key has leaked: one command ends it, lists what was done with it, and answers that.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::{done, manage, master_key_on_disk, run, secrets, stderr, stdout};
use crate::fake_provider::Behaviour;
use crate::harness::{Answer, Key, Nemo};

/// What somebody does who has the master key: an org, a key, new limits for a key that was there.
async fn misuse(nemo: &Nemo) -> Key {
    let theirs = nemo.new_org("theirs").await;
    let key = nemo.key_in(&theirs, json!({"unlimited": true})).await;
    key.chat(json!({})).await.ok();
    key
}

fn rows(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn the_key_ends_at_once_and_what_was_made_with_it_is_blocked() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let before = nemo.rich_key().await;
    let since = nemo.ask("/api/ledger").await["now"].as_str().unwrap().to_owned();
    let made = misuse(&nemo).await;
    let rotated = nemo.rich_key().await;
    rotated.rotate(json!({"overlap_secs": 60})).await;
    before.set_limits(json!({"unlimited": true})).await;
    let leaked = nemo.master_key().to_owned();

    let unasked = run(secrets(&nemo, &["master-key-leaked", "--since", &since])).await;
    assert_eq!((unasked.status.code(), stdout(&unasked).as_str()), (Some(2), ""));
    manage(&nemo, &leaked, "/api/ledger").await.ok();

    let command = ["master-key-leaked", "--since", &since, "--block", "--yes", "--output", "jsonl"];
    let deeds = rows(&done(secrets(&nemo, &command)).await);
    manage(&nemo, &leaked, "/api/ledger").await.refused(401, "master_key_replaced");
    let kinds: Vec<&str> = deeds.iter().map(|deed| deed["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["OrgCreated", "KeyCreated", "KeyCreated", "KeySecretRotated", "KeyLimitsSet"]);
    for deed in &deeds {
        assert_eq!(deed["master_key"], leaked[9..20]);
        let answered = deed["type"] == "KeyCreated" || deed["type"] == "KeySecretRotated";
        assert_eq!(deed["answer"] == "blocked", answered, "{deed}");
    }
    for key in [&made, &rotated] {
        key.chat(json!({})).await.refused(403, "key_blocked");
    }
    before.chat(json!({})).await.ok();

    // Asked about again by its id, nothing is replaced any more.
    let key = master_key_on_disk(&nemo);
    let again = ["master-key-leaked", "--replaced", &leaked[9..20], "--since", "1h"];
    let table = done(secrets(&nemo, &again)).await;
    assert!(table.starts_with("Time") && table.contains("KeySecretRotated"), "{table}");
    assert_eq!(master_key_on_disk(&nemo), key);
    let csv = done(secrets(&nemo, &[&again[..], &["--output", "csv"]].concat())).await;
    assert!(csv.starts_with("recorded_at,position,master_key,type,key,org,data,answer\n"), "{csv}");
    let unknown =
        run(secrets(&nemo, &["master-key-leaked", "--replaced", &key[9..20], "--since", "1h"])).await;
    assert_eq!(unknown.status.code(), Some(3), "{}", stderr(&unknown));
}

#[tokio::test]
async fn keys_that_were_made_with_it_get_new_secrets_in_files_for_their_owner_only() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let (first, gone) = (nemo.rich_key().await, nemo.rich_key().await);
    gone.tell("revoke", json!({})).await;
    let dir = nemo.home().join("new-secrets");
    // A run that got as far as an empty file.
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join(first.id()), "").unwrap();
    let args = ["master-key-leaked", "--since", "1h", "--yes", "--output", "json", "--rotate-keys"];
    let output = run(secrets(&nemo, &[&args[..], &[dir.to_str().unwrap()]].concat())).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let deeds: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let created: Vec<&Value> =
        deeds.as_array().unwrap().iter().filter(|deed| deed["type"] == "KeyCreated").collect();
    let file = dir.join(first.id());
    assert_eq!(created[0]["answer"], json!({"rotated": file.display().to_string()}));
    assert_eq!(created[1]["answer"], "revoked");
    let secret = fs::read_to_string(&file).unwrap().trim().to_owned();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(!stdout(&output).contains(&secret[20..]) && !stderr(&output).contains(&secret[20..]));
    first.chat(json!({})).await.refused(401, "key_rotated");
    first.with_secret(&secret).chat(json!({})).await.ok();
}

#[tokio::test]
async fn without_a_server_the_key_ends_on_disk_and_the_same_command_goes_on_later() {
    let nemo = Nemo::start().await;
    nemo.rich_key().await;
    let leaked = nemo.master_key().to_owned();
    let args = ["master-key-leaked", "--since", "1h", "--block", "--yes", "--output", "jsonl"];
    let command = secrets(&nemo, &args);
    nemo.terminate().await;
    let output = run(command).await;
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    assert!(stderr(&output).contains("give the same command again"), "{}", stderr(&output));
    let key = master_key_on_disk(&nemo);
    assert_ne!(key, leaked);

    nemo.restart().await;
    manage(&nemo, &leaked, "/api/ledger").await.refused(401, "master_key_replaced");
    let deeds = rows(&done(secrets(&nemo, &args)).await);
    assert!(
        deeds.iter().any(|deed| deed["type"] == "KeyCreated" && deed["answer"] == "blocked"),
        "{deeds:?}"
    );
    assert_eq!(master_key_on_disk(&nemo), key, "the new key is not replaced as well");
    // That leak is handled: the next one is another one.
    done(secrets(&nemo, &args)).await;
    assert_ne!(master_key_on_disk(&nemo), key);
}

#[tokio::test]
async fn what_was_done_with_a_master_key_is_found_in_a_log_of_many_events() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.rich_key().await;
    for _ in 0..20 {
        key.chat(json!({})).await.ok();
    }
    let id = &nemo.master_key()[9..20];
    let page = nemo.ask(&format!("/api/master-keys/{id}/events")).await;
    let kinds: Vec<&str> =
        page["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["OrgCreated", "KeyCreated"], "calls are not among them");
    assert_eq!((&page["next_cursor"], &page["looked_at"]), (&json!(null), &page["position"]));
    let later = nemo.ask(&format!("/api/master-keys/{id}/events?since=9000-01-01T00:00:00Z")).await;
    assert_eq!(later["events"], json!([]));
    let request =
        nemo.http().get(nemo.url("/api/master-keys/not-an-id/events")).bearer_auth(nemo.master_key());
    Answer::of(request).await.refused(404, "master_key_not_found");
}
