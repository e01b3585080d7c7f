//! Links with which people choose their passwords.

use nemo_test_stores::on_each_store;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Nemo, PASSWORD, Person, token_in};

#[on_each_store]
async fn the_first_link_makes_one_admin_and_is_not_printed_again() {
    let nemo = Nemo::start().await;
    let link = nemo.first_link().await;
    assert!(link.strip_prefix("/setup#").unwrap().len() >= 26, "{link}");
    let ada = Person::of(&nemo, &nemo.join(&link, " Ada ", PASSWORD).await).await;
    assert_eq!(ada.page("/operators").await.status, 200);
    let spent = nemo.join(&link, "Mallory", PASSWORD).await;
    assert!(spent.status == 410 && spent.text().contains("used already"), "{}", spent.text());
    let people = nemo.ask("/api/operators").await;
    assert_eq!(people["operators"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&people["operators"][0]["name"], &people["operators"][0]["role"]),
        (&json!("Ada"), &json!("admin"))
    );
    nemo.terminate().await;
    nemo.restart().await;
    nemo.stdout().until("Node ").await;
    assert!(!nemo.stdout().text().contains("/setup#"));
    assert!(!ada.is_in().await, "sessions end with the process");
    assert_eq!(nemo.log_in("ada", PASSWORD).await.status, 303, "a password does not");
}

#[tokio::test]
async fn of_many_who_use_one_link_at_the_same_time_one_comes_in() {
    let nemo = Nemo::start().await;
    let first = nemo.first_link().await;
    for (round, link) in [first, nemo.invitation("auditor").await].into_iter().enumerate() {
        let names: Vec<String> = (0..8).map(|n| format!("person {round}-{n}")).collect();
        let uses = names.iter().map(|name| nemo.join(&link, name, PASSWORD));
        let answers = futures_util::future::join_all(uses).await;
        let came = answers.iter().filter(|answer| answer.status == 303).count();
        assert_eq!(came, 1, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
        let people = nemo.ask("/api/operators").await;
        assert_eq!(people["operators"].as_array().unwrap().len(), round + 1);
    }
}

#[tokio::test]
async fn a_restart_before_the_first_link_is_used_prints_another_and_the_old_one_is_dead() {
    let nemo = Nemo::start().await;
    let old = nemo.first_link().await;
    nemo.kill9().await;
    nemo.restart().await;
    let new = nemo.first_link().await;
    assert_ne!(old, new);
    assert_eq!(nemo.join(&old, "Mallory", PASSWORD).await.status, 410);
    Person::of(&nemo, &nemo.join(&new, "Ada", PASSWORD).await).await;
    nemo.kill9().await;
    nemo.restart().await;
    assert_eq!(
        nemo.log_in("Ada", PASSWORD).await.status,
        303,
        "whoever was let in is still there after kill -9"
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_form_costs_nobody_the_link() {
    let nemo = Nemo::start().await;
    let _ada = nemo.ada().await;
    let link = nemo.invitation("finance").await;
    let taken = nemo.join(&link, "ADA", PASSWORD).await;
    assert!(taken.status == 409 && taken.text().contains("Another operator"), "{}", taken.text());
    let short = nemo.join(&link, "Bo", "short").await;
    assert!(short.status == 400 && short.text().contains("12 characters"), "{}", short.text());
    assert!(short.text().contains("value=\"Bo\"") && !short.text().contains("value=\"short\""));
    let code = link.split_once('#').unwrap().1;
    assert!(!short.text().contains(code), "a code is never sent back");
    let differ = [("code", code), ("name", "Bo"), ("password", PASSWORD), ("again", "another one")];
    let differ = Answer::browsed(nemo.form("/setup", &differ)).await;
    assert!(differ.status == 400 && differ.text().contains("not the same"), "{}", differ.text());
    let bo = Person::of(&nemo, &nemo.join(&link, "Bo", PASSWORD).await).await;
    assert_eq!(bo.page("/operators").await.status, 403, "the link said which role");
}

#[tokio::test]
async fn whoever_forgot_a_password_chooses_another_by_a_link_and_is_signed_out_elsewhere() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    let id = nemo.operator_id("Ada").await;
    let made = nemo.tell(&format!("/api/operators/{id}/link"), json!({})).await;
    let link = made["path"].as_str().unwrap();
    let (page, code) = link.split_once('#').unwrap();
    assert_eq!(page, "/setup/password");
    assert_eq!(
        nemo.join(&link.replace("/setup/password", "/setup"), "Mallory", PASSWORD).await.status,
        400,
        "another page's"
    );
    let new = "Nine-Loud-Bitterns";
    let fields = [("code", code), ("password", new), ("again", new)];
    let set = Answer::browsed(nemo.form("/setup/password", &fields)).await;
    assert!(Person::of(&nemo, &set).await.is_in().await);
    assert!(!ada.is_in().await);
    assert_eq!(nemo.log_in("Ada", PASSWORD).await.status, 401);
    assert_eq!(nemo.log_in("Ada", new).await.status, 303);
    assert_eq!(Answer::browsed(nemo.form("/setup/password", &fields)).await.status, 410);
    let file = std::fs::read_to_string(nemo.data().join("secrets/passwords.toml")).unwrap();
    assert_eq!(file.matches("$argon2id$").count(), 1, "earlier hashes are gone: {file}");
}

#[tokio::test]
async fn a_hash_that_comes_back_from_an_old_copy_lets_nobody_in() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    let file = nemo.data().join("secrets/passwords.toml");
    let old = std::fs::read(&file).unwrap();
    let new = "Nine-Loud-Bitterns";
    let fields = [("before", PASSWORD), ("password", new), ("again", new)];
    assert_eq!(ada.send("/account/password", &fields).await.status, 303);
    std::fs::write(&file, old).unwrap();
    assert_eq!(nemo.log_in("Ada", PASSWORD).await.status, 401);
    assert_eq!(nemo.log_in("Ada", new).await.status, 401, "and its successor is lost with the file");
}

#[tokio::test]
async fn signing_everybody_out_ends_the_links_that_wait() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    let link = nemo.invitation("admin").await;
    nemo.tell("/api/operators/sign-out", json!({})).await;
    assert!(!ada.is_in().await);
    assert_eq!(nemo.join(&link, "Mallory", PASSWORD).await.status, 410);
}

#[tokio::test]
async fn a_page_of_another_site_uses_no_link_and_signs_nobody_in() {
    let nemo = Nemo::start().await;
    let link = nemo.first_link().await;
    let code = link.split_once('#').unwrap().1;
    let fields = [("code", code), ("name", "Mallory"), ("password", PASSWORD), ("again", PASSWORD)];
    for origin in ["http://evil.test", "null", ""] {
        let form = nemo.form("/setup", &fields);
        let (client, request) = form.build_split();
        let mut request = request.unwrap();
        request.headers_mut().remove("origin");
        if !origin.is_empty() {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        let answer = client.execute(request).await.unwrap();
        assert_eq!(answer.status(), 403, "{origin}");
    }
    assert_eq!(nemo.manage(Method::GET, "/api/operators", Value::Null).await.ok()["operators"], json!([]));
    assert!(token_in(&nemo.join(&link, "Ada", PASSWORD).await).is_some());
}
