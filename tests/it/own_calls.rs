//! What became of a call that its caller left: asked with the key that made it, and with no other.

use nemo_test_stores::on_each_store;
use serde_json::{Value, json};

use crate::fake_provider::{Behaviour, Phase};
use crate::harness::{Key, Nemo, nanos, until};

async fn fate(key: &Key, call: &str) -> Value {
    key.get(&format!("/v1/key?call={call}")).await.ok()["call"].take()
}

#[on_each_store]
async fn whoever_left_a_stream_is_told_what_it_is_charged() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 40));
    nemo.provider().hold_at(Phase::MidStream(2));
    let key = nemo.rich_key().await;
    let mut stream = key.stream(json!({})).await;
    stream.until("one two").await;
    let call = stream.header("x-nemo-call-id").unwrap().to_owned();
    let open = fate(&key, &call).await;
    assert_eq!((&open["charged"], &open["ended_at"]), (&Value::Null, &Value::Null), "{open}");
    drop(stream);
    let ended = until("the call has ended", || async {
        let told = fate(&key, &call).await;
        (told["charged"] != Value::Null).then_some(told)
    });
    let (ended, booked) = (ended.await, key.only_call().await);
    assert_eq!(ended["id"], call);
    assert_eq!(nanos(&ended["charged"]), booked.charged());
    assert_eq!(nanos(&ended["hold"]), booked.hold());
    assert_eq!(booked.charged(), booked.estimate(40), "ten tokens were received");
    let last = key.events().await.len() - 1;
    assert_eq!(ended["ended_at"], last, "the revision at which it can be looked up");
    assert_eq!(key.get("/v1/key").await.ok()["call"], Value::Null, "nobody asked");
}

#[tokio::test]
async fn a_call_is_told_to_the_key_that_made_it_alone() {
    let nemo = Nemo::start().await;
    let (key, other) = (nemo.rich_key().await, nemo.rich_key().await);
    let call = key.chat(json!({})).await.header("x-nemo-call-id").unwrap().to_owned();
    assert_ne!(fate(&key, &call).await["charged"], Value::Null);
    other.get(&format!("/v1/key?call={call}")).await.refused(404, "call_not_found");
    let stray = key.get(&format!("/v1/key?call={}", key.secret())).await;
    stray.refused(400, "invalid_request");
    assert!(!stray.text().contains(&key.secret()));
    key.get("/v1/key?calls=1").await.refused(400, "invalid_request");
}
