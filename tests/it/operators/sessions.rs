//! How sessions end.

use nemo_test_stores::on_each_store;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Nemo, PASSWORD, Person, Setup, until};

#[on_each_store]
async fn another_role_a_removal_and_signing_out_end_a_session_at_once() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    let bo = nemo.person("Bo", "auditor").await;
    let other = Person::of(&nemo, &nemo.log_in("bo", PASSWORD).await).await;
    let id = nemo.operator_id("Bo").await;
    assert_eq!(bo.send("/logout", &[]).await.status, 303);
    assert!(!bo.is_in().await && other.is_in().await, "one session, not the other");
    nemo.tell(&format!("/api/operators/{id}/sign-out"), json!({})).await;
    assert!(!other.is_in().await);
    let bo = Person::of(&nemo, &nemo.log_in("bo", PASSWORD).await).await;
    nemo.manage(Method::PUT, &format!("/api/operators/{id}/role"), json!({"role": "admin"})).await.ok();
    assert!(!bo.is_in().await);
    let bo = Person::of(&nemo, &nemo.log_in("bo", PASSWORD).await).await;
    assert_eq!(bo.page("/operators").await.status, 200);
    let removed =
        ada.manage(Method::DELETE, &format!("/api/operators/{id}"), json!({"reason": "left"})).await;
    assert!(removed.ok()["operator"]["removed_at"].is_string());
    assert!(!bo.is_in().await && ada.is_in().await);
    assert_eq!(nemo.log_in("bo", PASSWORD).await.status, 401);
    let ended = bo.manage(Method::GET, "/api/keys", Value::Null).await;
    ended.refused(401, "session_ended");
}

#[tokio::test]
async fn changing_the_password_ends_all_other_sessions_and_goes_on_with_a_new_one() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    let other = Person::of(&nemo, &nemo.log_in("Ada", PASSWORD).await).await;
    let new = "Nine-Loud-Bitterns";
    let wrong = [("before", "not the password"), ("password", new), ("again", new)];
    let refused = ada.send("/account/password", &wrong).await;
    assert!(refused.status == 401 && !refused.text().contains(new), "{}", refused.text());
    assert!(other.is_in().await);
    let right = [("before", PASSWORD), ("password", new), ("again", new)];
    let changed = Person::of(&nemo, &ada.send("/account/password", &right).await).await;
    assert!(changed.is_in().await && !ada.is_in().await && !other.is_in().await);
    assert_ne!(changed.csrf, ada.csrf);
    assert_eq!(nemo.log_in("Ada", new).await.status, 303);
}

#[tokio::test]
async fn a_session_ends_when_nobody_is_there_though_its_page_looks_for_news() {
    let nemo = Setup::default().server("session_idle_secs = 2").start().await;
    let ada = nemo.ada().await;
    let waiting = std::time::Instant::now();
    until("the session has ended", || async {
        let request = ada.request(Method::GET, "/account").header("x-nemo-background", "1");
        let status = crate::harness::Answer::browsed(request).await.status;
        (status == 303).then_some(())
    })
    .await;
    assert!(waiting.elapsed().as_millis() >= 1_500, "{:?}", waiting.elapsed());
    assert!(!ada.is_in().await);
}

#[tokio::test]
async fn the_last_admin_can_neither_be_removed_nor_demoted() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    let id = nemo.operator_id("Ada").await;
    let role = format!("/api/operators/{id}/role");
    nemo.manage(Method::PUT, &role, json!({"role": "auditor"})).await.refused(409, "last_admin");
    nemo.manage(Method::DELETE, &format!("/api/operators/{id}"), json!({})).await.refused(409, "last_admin");
    let form = ada.send(&format!("/operators/{id}/role"), &[("role", "finance")]).await;
    assert!(form.status == 409 && form.text().contains("last admin"), "{}", form.text());
    assert!(ada.is_in().await);
}

#[tokio::test]
async fn a_leaked_master_key_ends_every_session_and_every_link() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    let link = nemo.invitation("admin").await;
    let mut command = nemo.cli();
    command.env("NEMO_SECRETS_DIR", nemo.data().join("secrets"));
    command.args(["secrets", "master-key-leaked", "--since", "1h", "--yes"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("signed out"));
    assert!(!ada.is_in().await);
    assert_eq!(nemo.join(&link, "Mallory", PASSWORD).await.status, 410);
    assert_eq!(nemo.log_in("Ada", PASSWORD).await.status, 303, "her password did not leak");
}
