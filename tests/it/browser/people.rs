//! People who sign in, in a real browser.

use serde_json::json;

use super::tell;
use crate::harness::Nemo;

#[tokio::test(flavor = "multi_thread")]
async fn people_come_by_links_sign_in_and_never_send_the_master_key() {
    let nemo = Nemo::start().await;
    let link = nemo.first_link().await;
    tell("people", &nemo, json!({ "link": link })).await;
    assert!(!nemo.stderr().text().contains(link.split_once('#').unwrap().1));
}
