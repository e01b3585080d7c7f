//! However many keys there are, and whatever names callers invent, the page has the same lines.

use std::collections::BTreeSet;
use std::time::Instant;

use futures_util::{StreamExt, stream};
use serde_json::json;

use super::page::Page;
use crate::fake_provider::Behaviour;
use crate::harness::{Answer, Key, Nemo, Setup};

const KEYS: usize = 10_000;
const AT_ONCE: usize = 32;
/// Of so many keys one makes a call that is billed.
const BILLED_OF: usize = 20;

/// What everybody does with a key: a call to a model that nobody serves, and now and then one that is billed.
async fn use_key(nemo: &Nemo, key: &Key, number: usize) {
    let model = format!("invented-{number}");
    key.chat(json!({ "model": model })).await.refused(404, "model_not_found");
    let nowhere = nemo.http().get(nemo.url(&format!("/v1/nowhere/{number}"))).header("user-agent", &model);
    Answer::of(nowhere).await.refused(404, "not_found");
    if number.is_multiple_of(BILLED_OF) {
        key.chat(json!({})).await.ok();
    }
}

async fn use_keys(nemo: &Nemo, numbers: std::ops::Range<usize>) {
    let using = stream::iter(numbers).map(|number| async move {
        let key = nemo.rich_key().await;
        use_key(nemo, &key, number).await;
    });
    using.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_keys_make_no_more_lines_than_ten() {
    let nemo = Setup::default().env("NEMO_LOG", "error").start().await;
    nemo.provider().script(Behaviour::success(9, 40));
    use_keys(&nemo, 0..10).await;
    // The page counts itself too, from the second time on.
    Page::of(&nemo).await;
    let few = Page::of(&nemo).await;
    use_keys(&nemo, 10..KEYS).await;
    let asked = Instant::now();
    let many = Page::of(&nemo).await;
    let took = asked.elapsed();
    println!("{} lines, {} bytes, told in {took:?}", many.lines().count(), many.text.len());
    let few: BTreeSet<&str> = few.lines().collect();
    let more: Vec<&str> = many.lines().filter(|line| !few.contains(line)).collect();
    assert_eq!(more, Vec::<&str>::new());
    assert_eq!(many.sum("nemo_ledger_events_total", &[("type", "KeyCreated")]), KEYS as i128);
    assert_eq!(many.sum("nemo_refusals_total", &[("code", "model_not_found")]), KEYS as i128);
    assert_eq!(many.sum("nemo_calls_authorized_total", &[]), (KEYS / BILLED_OF) as i128);
    let unknown = [("route", "none"), ("method", "GET"), ("status", "404")];
    assert_eq!(many.sum("nemo_http_requests_total", &unknown), KEYS as i128);
    assert!(!many.text.contains("invented") && !many.text.contains("nowhere"), "{}", many.text);
}
