//! Peppers are replaced under live keys, which change over as they make calls.

use std::fs;

use futures_util::future::join_all;
use serde_json::json;

use super::{add_pepper, count, done, gateway_events, peppers, run, secrets, stderr};
use crate::fake_provider::Behaviour;
use crate::harness::Nemo;

#[tokio::test]
async fn keys_change_over_to_a_new_pepper_once_as_they_make_calls() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let (busy, quiet) = (nemo.rich_key().await, nemo.rich_key().await);
    let [(old, ..)] = <[_; 1]>::try_from(peppers(&nemo).await).unwrap();

    let new = add_pepper(&nemo).await;
    assert_eq!(
        peppers(&nemo).await,
        [(old.clone(), "overlapping".to_owned(), 2), (new.clone(), "current".to_owned(), 0)]
    );
    // A key of the new pepper, and the old keys without a restart; many calls at once renew once.
    nemo.rich_key().await.chat(json!({})).await.ok();
    for answer in join_all((0..8).map(|_| busy.chat(json!({})))).await {
        answer.ok();
    }
    let renewed = busy.history().await.into_iter().filter(|kind| kind == "KeyDigestRenewed").count();
    assert_eq!(renewed, 1);
    assert_eq!(peppers(&nemo).await.iter().map(|(.., keys)| *keys).collect::<Vec<_>>(), [1, 2]);

    let refused = run(secrets(&nemo, &["retire-pepper", &old, "--yes"])).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("1 key still need"), "{}", stderr(&refused));
    let listed = done({
        let mut list = nemo.cli();
        list.args(["keys", "list", "--pepper", &old, "--output", "csv"]);
        list
    })
    .await;
    assert!(listed.lines().count() == 2 && listed.contains(quiet.id()), "{listed}");

    quiet.chat(json!({})).await.ok();
    let unasked = run(secrets(&nemo, &["retire-pepper", &old])).await;
    assert_eq!(unasked.status.code(), Some(2), "off a terminal it must be meant");
    let dying = done(secrets(&nemo, &["retire-pepper", &old, "--yes", "--output", "json"])).await;
    assert_eq!(dying, "[]\n", "no key dies");
    for key in [&busy, &quiet] {
        key.chat(json!({})).await.ok();
    }
    let file = fs::read_to_string(nemo.data().join("secrets/peppers.toml")).unwrap();
    assert!(file.contains(&format!("retired = [\"{old}\"]")) && file.matches("secret = ").count() == 1);

    nemo.terminate().await;
    let events = gateway_events(&nemo).await;
    assert_eq!((count(&events, "PepperAdded"), count(&events, "PepperRetired")), (2, 1));
    nemo.restart().await;
    for key in [&busy, &quiet] {
        key.chat(json!({})).await.ok();
    }
}

#[tokio::test]
async fn a_pepper_is_retired_by_force_with_a_list_of_the_keys_that_die() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let (key, revoked) = (nemo.rich_key().await, nemo.rich_key().await);
    revoked.tell("revoke", json!({})).await;
    let old = peppers(&nemo).await[0].0.clone();
    let current = add_pepper(&nemo).await;
    let not_older = run(secrets(&nemo, &["retire-pepper", &current, "--force", "--yes"])).await;
    assert_eq!(not_older.status.code(), Some(3), "{}", stderr(&not_older));
    let unknown = run(secrets(&nemo, &["retire-pepper", "p-unknown", "--yes"])).await;
    assert_eq!(unknown.status.code(), Some(3), "{}", stderr(&unknown));

    let forced = ["retire-pepper", &old, "--force", "--yes", "--output", "jsonl"];
    let dying = done(secrets(&nemo, &forced)).await;
    assert!(dying.lines().count() == 1 && dying.contains(key.id()), "{dying}");
    key.chat(json!({})).await.refused(401, "invalid_api_key");
    key.rotate(json!({"overlap_secs": 0})).await;
    key.chat(json!({})).await.ok();
}

#[tokio::test]
async fn an_added_pepper_is_told_in_every_format() {
    let nemo = Nemo::start().await;
    for (format, beginning) in
        [("table", "Kind "), ("json", "[\n{\"kind\":\"pepper\""), ("csv", "kind,id,status,")]
    {
        let told = done(secrets(&nemo, &["add-pepper", "--output", format])).await;
        assert!(told.starts_with(beginning) && told.contains("current"), "{told}");
    }
    assert_eq!(peppers(&nemo).await.len(), 4);
}

#[tokio::test]
async fn a_pepper_that_was_lost_is_missed_while_serving_and_at_the_next_start() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let path = nemo.data().join("secrets/peppers.toml");
    let before = fs::read_to_string(&path).unwrap();
    done(secrets(&nemo, &["add-pepper"])).await;
    let both = fs::read_to_string(&path).unwrap();
    nemo.terminate().await;
    // An old backup of the secrets, and one that somebody tidied up by hand.
    let entries: Vec<&str> = both.split("[[pepper]]").collect();
    let tidied = format!("{}[[pepper]]{}", entries[0], entries[2]);
    for file in [before, tidied] {
        fs::write(&path, file).unwrap();
        let refused = nemo.try_restart().await.expect_err("it starts without a pepper");
        assert!(refused.stderr.contains("is missing: restore the secrets"), "{}", refused.stderr);
    }
    fs::write(&path, both).unwrap();
    nemo.restart().await;
    key.chat(json!({})).await.ok();
}
