//! `/docs` as people see it.

use serde_json::json;

use super::tell;
use crate::harness::Nemo;

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_can_be_read_in_both_themes_on_a_desk_and_on_a_telephone() {
    tell("reference", &Nemo::start().await, json!({})).await;
}
