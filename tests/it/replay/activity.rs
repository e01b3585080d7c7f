//! A key's events, filtered and paged in both directions.

use serde_json::{Value, json};

use super::story;
use crate::harness::{Key, Nemo};

/// Every event of a list, page after page, each of at most `limit`.
async fn all(nemo: &Nemo, key: &Key, query: &str, limit: usize) -> Vec<Value> {
    let (mut found, mut from) = (Vec::new(), String::new());
    loop {
        let mut page = nemo.ask(&key.path(&format!("/events?limit={limit}&{query}{from}"))).await;
        let events = page["events"].as_array_mut().unwrap();
        assert!(events.len() <= limit);
        found.append(events);
        match page["next_from"].as_u64() {
            Some(next) => from = format!("&from={next}"),
            None => return found,
        }
    }
}

#[tokio::test]
async fn backwards_is_forwards_in_reverse_whatever_the_page() {
    let (nemo, key) = story().await;
    let whole: Vec<_> = key.events().await.iter().map(|event| event.whole().clone()).collect();
    for limit in [1, 3, 7, 500] {
        assert_eq!(all(&nemo, &key, "order=forwards", limit).await, whole);
        let mut backwards = all(&nemo, &key, "order=backwards", limit).await;
        backwards.reverse();
        assert_eq!(backwards, whole, "{limit}");
    }
    let before = nemo.ask(&key.path("/events?order=backwards&from=2&limit=2")).await;
    assert_eq!(before["events"], json!([whole[2], whole[1]]));
}

#[tokio::test]
async fn filters_find_the_events_of_a_type_a_model_an_address_and_refusals() {
    let (nemo, key) = story().await;
    let kinds = |events: Vec<Value>| -> Vec<String> {
        events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(all(&nemo, &key, "type=KeyLimitsSet", 1).await), ["KeyLimitsSet"]);
    assert_eq!(kinds(all(&nemo, &key, "refused=true", 1).await), ["CallsRefused"]);
    for limit in [1, 500] {
        let of_model = kinds(all(&nemo, &key, "model=gpt-think", limit).await);
        assert_eq!(
            of_model,
            ["CallAuthorized", "CallSettled", "CallCorrected"],
            "ends go with their beginning"
        );
        let back = kinds(all(&nemo, &key, "model=gpt-think&order=backwards", limit).await);
        assert_eq!(back, ["CallCorrected", "CallSettled", "CallAuthorized"]);
    }
    let from_here = kinds(all(&nemo, &key, "address=127.0.0.1", 500).await);
    assert_eq!(from_here.iter().filter(|kind| *kind == "CallSettled").count(), 3);
    assert!(from_here.contains(&"CallsRefused".to_owned()), "{from_here:?}");
    assert!(all(&nemo, &key, "address=192.0.2.1", 500).await.is_empty());
    let both = kinds(all(&nemo, &key, "type=CallSettled&model=gpt-test", 1).await);
    assert_eq!(both, ["CallSettled", "CallSettled"]);
}

#[tokio::test]
async fn a_type_that_no_event_has_is_refused() {
    let (nemo, key) = story().await;
    for wrong in ["type=KeyPainted", "order=sideways", "refused=perhaps"] {
        let path = key.path(&format!("/events?{wrong}"));
        let refused = nemo.manage(reqwest::Method::GET, &path, Value::Null).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "invalid_request"), "{wrong}");
    }
}
