//! Secrets on disk and in answers: made once, shown once, refused when they are gone, replaced with an overlap.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nemo_test_stores::on_each_store;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Nemo, until, well_formed_key};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn the_first_start_makes_a_master_key_for_its_owner_only() {
    let nemo = Nemo::start().await;
    assert_eq!(mode(&nemo.data().join("secrets")), 0o700);
    for file in std::fs::read_dir(nemo.data().join("secrets")).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    let key = nemo.master_key();
    assert!(key.starts_with("mk-nemo-1") && key.len() == 69, "{} characters", key.len());
    nemo.stdout().until(nemo.master_key_file().to_str().unwrap()).await;
    assert!(!nemo.stdout().text().contains(key) && !nemo.stderr().text().contains(key));
    nemo.ask("/api/ledger").await;
}

#[on_each_store]
async fn later_starts_nag_until_the_master_key_has_moved() {
    let nemo = Nemo::start().await;
    let (file, key) = (nemo.master_key_file(), nemo.master_key().to_owned());
    nemo.terminate().await;
    nemo.restart().await;
    nemo.stdout().until(&format!("still in {}", file.display())).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), key, "nothing was made anew");
    std::fs::remove_file(&file).unwrap();
    nemo.terminate().await;
    nemo.restart().await;
    nemo.ask("/api/ledger").await;
    assert!(!nemo.stdout().text().contains("master-key"), "{}", nemo.stdout().text());
}

#[on_each_store]
async fn a_ledger_without_its_secrets_is_not_started() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    nemo.terminate().await;
    let (here, away) = (nemo.data().join("secrets"), nemo.home().join("away"));
    std::fs::rename(&here, &away).unwrap();
    let refused = nemo.try_restart().await.expect_err("it starts without its secrets");
    assert!(!refused.status.success());
    assert!(refused.stderr.contains("there is no secrets directory at"), "{}", refused.stderr);
    assert!(refused.stderr.contains(here.to_str().unwrap()) && !here.exists(), "{}", refused.stderr);
    // Put back, everything is as it was.
    std::fs::rename(&away, &here).unwrap();
    nemo.restart().await;
    key.chat(json!({})).await.ok();
}

#[on_each_store]
async fn a_ledger_with_another_secret_under_a_known_name_is_not_started() {
    let nemo = Nemo::start().await;
    nemo.terminate().await;
    for (file, member) in [("peppers.toml", "secret = \""), ("master.toml", "digest = \"")] {
        let path = nemo.data().join("secrets").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, after) = text.split_once(member).unwrap();
        std::fs::write(&path, format!("{before}{member}{}{}", "0".repeat(64), &after[64..])).unwrap();
        let refused = nemo.try_restart().await.expect_err("it starts with other secrets");
        assert!(
            refused.stderr.contains("is not the one that this ledger was written with"),
            "{}",
            refused.stderr
        );
        std::fs::write(&path, text).unwrap();
    }
    nemo.restart().await;
}

#[on_each_store]
async fn a_ledger_with_the_secrets_of_another_is_not_started() {
    let (nemo, other) = (Nemo::start().await, Nemo::start().await);
    nemo.rich_key().await;
    nemo.terminate().await;
    other.terminate().await;
    std::fs::copy(other.data().join("secrets/peppers.toml"), nemo.data().join("secrets/peppers.toml"))
        .unwrap();
    let refused = nemo.try_restart().await.expect_err("it starts with another pepper");
    assert!(refused.stderr.contains("pepper"), "{}", refused.stderr);
}

#[on_each_store]
async fn secrets_that_others_can_read_are_refused_with_the_remedy() {
    let nemo = Nemo::start().await;
    nemo.terminate().await;
    let peppers = nemo.data().join("secrets/peppers.toml");
    std::fs::set_permissions(&peppers, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = nemo.try_restart().await.expect_err("it starts with exposed peppers");
    assert!(refused.stderr.contains(&format!("chmod 600 '{}'", peppers.display())), "{}", refused.stderr);
}

#[on_each_store]
async fn a_key_is_shown_once_and_never_again() {
    let nemo = Nemo::start().await;
    let wish = json!({"org": nemo.org().await, "name": "once", "limits": {"unlimited": true}});
    let created = nemo.manage(Method::POST, "/api/keys", wish).await;
    let secret = created.ok()["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("sk-nemo-1") && secret.len() == 62, "{} characters", secret.len());
    assert_eq!(created.header("cache-control"), Some("no-store"));
    let id = created.json()["key"]["id"].as_str().unwrap().to_owned();
    let position = created.json()["position"].clone();
    assert_eq!(created.json()["key"]["secrets"][0]["last_four"], secret[58..]);
    let path = format!("/api/keys/{id}");
    for path in [path.clone(), format!("{path}/events"), format!("/api/keys?min_position={position}")] {
        let told = nemo.ask(&path).await.to_string();
        assert!(told.contains("once") && !told.contains(&secret[20..56]), "{path}: {told}");
    }
}

#[on_each_store]
async fn a_replaced_secret_works_until_its_overlap_ends() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let old = key.with_secret(&key.secret());
    assert_eq!(key.rotate(json!({"overlap_secs": 3600})).await, old.secret());
    assert_ne!(key.secret(), old.secret());
    old.chat(json!({})).await.ok();
    key.chat(json!({})).await.ok();
    let versions: Vec<Value> =
        key.ended_calls().await.iter().map(|call| call.authorized["secret_version"].clone()).collect();
    assert_eq!(versions, [json!(1), json!(2)], "each call says which secret made it");

    key.tell("retire-secret", json!({"version": 1})).await;
    old.chat(json!({})).await.refused(401, "key_rotated");
    key.chat(json!({})).await.ok();
}

#[on_each_store]
async fn an_overlap_ends_by_itself() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let old = key.with_secret(&key.secret());
    key.rotate(json!({"overlap_secs": 1})).await;
    let ended = || async { (old.get("/v1/key").await.status == 401).then_some(()) };
    until("the overlap is over", ended).await;
    old.chat(json!({})).await.refused(401, "key_rotated");
    key.chat(json!({})).await.ok();
}

#[on_each_store]
async fn a_leaked_secret_ends_at_once_and_the_key_keeps_its_history() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    key.chat(json!({})).await.ok();
    let old = key.with_secret(&key.secret());
    key.rotate(json!({"leaked": true})).await;
    old.chat(json!({})).await.refused(401, "key_rotated");
    key.chat(json!({})).await.ok();
    assert_eq!(key.books_balance().await.len(), 2);
    let rotated = key.events().await.into_iter().find(|event| event.kind() == "KeySecretRotated").unwrap();
    assert_eq!(rotated.data()["leaked"], true);
    nemo.terminate().await;
    nemo.restart().await;
    old.chat(json!({})).await.refused(401, "key_rotated");
    key.chat(json!({})).await.ok();
}

#[on_each_store]
async fn a_well_formed_key_with_the_wrong_secret_learns_nothing() {
    let nemo = Nemo::start().await;
    let (key, other) = (nemo.rich_key().await, Nemo::start().await);
    key.tell("revoke", json!({})).await;
    // Named refusals are for those who hold the secret; the id is no secret.
    let forged = well_formed_key(key.public_id(), &"x".repeat(36));
    key.with_secret(&forged).chat(json!({})).await.refused(401, "invalid_api_key");
    key.chat(json!({})).await.refused(401, "key_revoked");
    let stranger = other.rich_key().await;
    let request = nemo.http().get(nemo.url("/v1/key")).bearer_auth(stranger.secret());
    Answer::of(request).await.refused(401, "invalid_api_key");
}

#[on_each_store]
async fn a_rotation_that_would_end_an_overlap_early_is_refused() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let first = key.with_secret(&key.secret());
    for _ in 0..7 {
        key.rotate(json!({"overlap_secs": 3600})).await;
    }
    let path = key.path("/rotate");
    let ninth = nemo.manage(Method::POST, &path, json!({"overlap_secs": 3600})).await;
    ninth.refused(409, "too_many_secrets");
    first.chat(json!({})).await.ok();
    key.tell("retire-secret", json!({"version": 1})).await;
    key.rotate(json!({"overlap_secs": 3600})).await;
    key.chat(json!({})).await.ok();
}
