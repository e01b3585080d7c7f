//! The page of a key, as people use it.

use serde_json::json;

use super::Story;
use crate::fake_provider::Behaviour;
use crate::replay::page::Person;
use crate::replay::story;

#[tokio::test]
async fn the_page_of_a_key_is_clean_replays_by_keyboard_and_follows_the_ledger() {
    let (nemo, key) = story().await;
    let other = nemo.rich_key().await;
    let anna = Person::admin(&nemo).await;
    let middle = key.events().await.len() / 2;
    let call = async || {
        nemo.provider().script(Behaviour::success(30, 20));
        other.chat(json!({"max_tokens": 40})).await.ok();
    };
    for _ in 0..4 {
        call().await;
    }
    let plan = json!({"key": key.id(), "live": other.id(), "session": anna.session(), "middle": middle});
    let mut story = Story::start("key", &nemo, plan).await;
    story.until("one more call").await;
    call().await;
    story.answer(json!({})).await;
    story.end().await;
}
