//! Spend and prices: what the server adds up, and what the command line makes of it.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::run;
use crate::fake_provider::Behaviour;
use crate::harness::{Key, Nemo, nanos};

/// Keys with the jobs `a`, `b` and none, and 1, 2 and 3 calls, each of another cost.
async fn spent(nemo: &Nemo) -> (Vec<Key>, String) {
    let mut keys = Vec::new();
    for (job, calls) in [(Some("a"), 1), (Some("b"), 2), (None, 3)] {
        let key = nemo.rich_key().await;
        nemo.manage(Method::PUT, &key.path("/labels"), json!({"name": "k", "job": job})).await.ok();
        for call in 0..calls {
            nemo.provider().script(Behaviour::success(10 * calls + call, 7));
            key.chat(json!({"max_tokens": 50})).await.ok();
        }
        key.ended_calls().await;
        keys.push(key);
    }
    let head = nemo.ask("/api/ledger").await["position"].to_string();
    (keys, head)
}

#[tokio::test]
async fn spend_by_job_is_what_the_keys_were_charged_and_the_total_is_the_sum_of_the_rows() {
    let nemo = Nemo::start().await;
    let (keys, head) = spent(&nemo).await;
    let mut charged = BTreeMap::new();
    for (job, key) in ["a", "b", ""].into_iter().zip(&keys) {
        charged.insert(job.to_owned(), key.charged().await);
    }
    let line = ["spend", "--by", "job", "--every", "day", "--min-position", &head, "--output"];
    let csv = run(&nemo, &[&line[..], &["csv"]].concat()).await.csv();
    let by_job: BTreeMap<_, _> =
        csv.iter().map(|row| (row["name"].clone(), nanos(&row["cost"].clone().into()))).collect();
    assert_eq!(by_job, charged);
    let json = run(&nemo, &[&line[..], &["json"]].concat()).await.json();
    let rows: i128 = json["rows"].as_array().unwrap().iter().map(|row| nanos(&row["cost"])).sum();
    assert_eq!(nanos(&json["total"]["cost"]), rows);
    assert_eq!(rows, charged.values().sum::<i128>());
    assert_eq!(json["total"]["calls"], 6);
    assert_eq!(json["position"].to_string(), head);
    let table = run(&nemo, &[&line[..], &["table"]].concat()).await;
    assert!(table.ok().lines().last().unwrap().contains("Total"), "{table:?}");
}

#[tokio::test]
async fn spend_is_told_apart_by_everything_and_filtered_by_everything() {
    let nemo = Nemo::start().await;
    let (keys, head) = spent(&nemo).await;
    let total = nanos(&nemo.ask(&format!("/api/spend?min_position={head}")).await["total"]["cost"]);
    let cost =
        |rows: &Value| rows["rows"].as_array().unwrap().iter().map(|row| nanos(&row["cost"])).sum::<i128>();
    for by in
        ["key", "org", "app", "job", "env", "cost_centre", "tags", "provider", "model", "endpoint", "nothing"]
    {
        for every in ["whole", "quarter_hour", "hour", "day", "week", "month"] {
            let answer = nemo.ask(&format!("/api/spend?by={by}&every={every}")).await;
            assert_eq!(cost(&answer), total, "{by} {every}");
        }
    }
    let by_key = nemo.ask("/api/spend?by=key").await;
    assert_eq!(by_key["rows"].as_array().unwrap().len(), 3);
    assert_eq!(by_key["rows"][0]["group"]["name"], "k");
    let of = |filter: String| {
        let nemo = nemo.clone();
        async move { nanos(&nemo.ask(&format!("/api/spend?{filter}")).await["total"]["cost"]) }
    };
    assert_eq!(of(format!("key={}", keys[1].id())).await, keys[1].charged().await);
    assert_eq!(of("job=a".to_owned()).await, keys[0].charged().await);
    assert_eq!(of("job=c".to_owned()).await, 0);
    assert_eq!(of("provider=fake&model=gpt-test&endpoint=chat_completions".to_owned()).await, total);
    assert_eq!(of("to=2026-01-01T00:00:00Z".to_owned()).await, 0);
    assert_eq!(of("from=2026-01-01T00:00:00Z".to_owned()).await, total);
}

#[tokio::test]
async fn a_question_about_spend_that_makes_no_sense_is_refused() {
    let nemo = Nemo::start().await;
    let ask = |query: &'static str| {
        let nemo = nemo.clone();
        async move { nemo.manage(Method::GET, &format!("/api/spend?{query}"), Value::Null).await }
    };
    for bad in [
        "by=mood",
        "every=minute",
        "from=yesterday",
        "from=2026-11-01T00:00:01Z",
        "from=2026-11-02T00:00:00Z&to=2026-11-01T00:00:00Z",
        "jobs=a",
        "key=x",
    ] {
        ask(bad).await.refused(400, "invalid_request");
    }
    let from_after_to = run(&nemo, &["spend", "--from", "2026-11-02", "--to", "2026-11-01"]).await;
    assert!(from_after_to.failed(2).contains("before"), "{from_after_to:?}");
}

#[tokio::test]
async fn prices_are_those_that_calls_are_authorised_with() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    key.chat(json!({})).await.ok();
    let card = key.only_call().await.authorized["price_card"].clone();
    let listed = run(&nemo, &["prices", "list", "--model", "GPT-TEST", "--output", "json"]).await.json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let price = &listed[0];
    assert_eq!((&price["model"], &price["price_card"]), (&json!("gpt-test"), &card));
    assert_eq!(price["rates"], json!({"input": "2.5", "output": "10", "cache_read": "1.25"}));
    assert_eq!((&price["context_window"], &price["max_output_tokens"]), (&json!(128_000), &json!(16_384)));
    let csv = run(&nemo, &["prices", "list", "--provider", "fake", "--output", "csv"]).await.csv();
    let names: Vec<_> = csv.iter().map(|row| row["model"].as_str()).collect();
    assert_eq!(names, ["gpt-house", "gpt-test", "gpt-think"]);
    let table = run(&nemo, &["prices", "list", "--model", "gpt-test"]).await;
    assert!(table.ok().contains("$2.50") && table.stdout.contains("128,000"), "{table:?}");
    let none = run(&nemo, &["prices", "list", "--provider", "nobody"]).await;
    assert_eq!((none.ok(), none.stderr.trim_end()), ("", "No model has a price there."));
}

#[tokio::test]
async fn prices_come_in_pages_that_together_are_the_whole_list() {
    let nemo = Nemo::start().await;
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = nemo.ask(&format!("/api/prices?limit=1{cursor}")).await;
        assert_eq!(page["prices"].as_array().unwrap().len(), 1);
        seen.push(page["prices"][0]["model"].clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ["gpt-house", "gpt-test", "gpt-think"]);
    let lost = nemo.manage(Method::GET, "/api/prices?cursor=gone", Value::Null).await;
    lost.refused(400, "invalid_request");
}
