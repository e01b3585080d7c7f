//! The page of a key: what it says of any moment is what the API says, and it stays small whatever the key did.

use reqwest::Method;
use serde_json::{Value, json};

use super::{state, story};
use crate::harness::{Nemo, until};
use crate::made::{self, Made};

/// Somebody who is signed in.
pub(crate) struct Person {
    nemo: Nemo,
    cookie: String,
}

/// A page as it was answered.
struct Page {
    status: u16,
    html: String,
}

impl Person {
    /// The first admin, by the link that the start printed.
    pub(crate) async fn admin(nemo: &Nemo) -> Person {
        let printed = || async { nemo.stdout().text().split("/setup#").nth(1).map(str::to_owned) };
        let rest = until("the link for the first person is printed", printed).await;
        let code = rest.split_whitespace().next().unwrap().to_owned();
        // Nothing here needs to be encoded.
        let password = "correct-horse-battery-staple";
        let form = format!("code={code}&name=Anna&password={password}&again={password}");
        let request = nemo.http().post(nemo.url("/setup")).header("origin", nemo.url("")).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let reply = request.send().await.unwrap();
        let cookie = reply.headers().get("set-cookie").map(|value| value.to_str().unwrap().to_owned());
        let status = reply.status();
        let Some(cookie) = cookie else { panic!("{status}: {}", reply.text().await.unwrap()) };
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Person { nemo: nemo.clone(), cookie }
    }

    /// What stands in their cookie.
    pub(crate) fn session(&self) -> &str {
        self.cookie.split_once('=').unwrap().1
    }

    async fn opens(&self, path: &str) -> Page {
        let request = self.nemo.http().get(self.nemo.url(path)).header("cookie", &self.cookie);
        let reply = request.header("accept", "text/html").send().await.unwrap();
        let status = reply.status().as_u16();
        Page { status, html: reply.text().await.unwrap() }
    }
}

impl Page {
    /// What an attribute holds, in its first place.
    fn data(&self, name: &str) -> &str {
        let (_, rest) =
            self.html.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("no {name}: {}", self.html));
        rest.split('"').next().unwrap()
    }

    /// The card with the state.
    fn replay(&self) -> &str {
        let from = self.html.find("<section class=\"card replay\"").expect("a card with the state");
        let rest = &self.html[from..];
        &rest[..rest.find("</section>").unwrap()]
    }
}

fn billed(key: &Value) -> u64 {
    let used = &key["attribution"];
    used["total"]["calls"].as_u64().unwrap() - used["voided"].as_u64().unwrap()
}

#[tokio::test]
async fn the_page_says_of_every_revision_what_the_api_says() {
    let (nemo, key) = story().await;
    let anna = Person::admin(&nemo).await;
    let head = key.events().await.len() - 1;
    for revision in 0..=head {
        let told = state(&nemo, &key, &format!("revision={revision}")).await;
        let page = anna.opens(&format!("/keys/{}?at=@{revision}", key.id())).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.data("data-at"), revision.to_string());
        assert_eq!(page.data("data-head"), head.to_string());
        let then = &told["key"];
        assert_eq!(page.data("data-spend"), then["attribution"]["total"]["spend"], "@{revision}");
        assert_eq!(page.data("data-calls"), billed(then).to_string());
        let addresses = then["attribution"]["addresses"]["values"].as_array().unwrap().len();
        assert_eq!(page.data("data-addresses"), addresses.to_string());
        let status = then["status"].as_str().unwrap();
        let status = format!(">{}{}<", status[..1].to_uppercase(), &status[1..]);
        assert!(page.replay().contains(&status), "@{revision} {status}");
        if revision < head {
            assert_eq!(page.data("data-after"), told["after"]["used"]["spend"]);
        }
        let fragment = anna.opens(&format!("/keys/{}/replay?at=@{revision}", key.id())).await;
        assert_eq!(fragment.replay(), page.replay(), "the slider shows what the page shows");
    }
    let now = anna.opens(&format!("/keys/{}", key.id())).await;
    assert_eq!(now.data("data-at"), head.to_string());
    let shown = key.shown().await;
    assert_eq!(now.data("data-spend"), shown["attribution"]["total"]["spend"]);
}

#[tokio::test]
async fn a_moment_that_is_none_is_told_and_the_key_is_shown_as_it_is() {
    let (nemo, key) = story().await;
    let anna = Person::admin(&nemo).await;
    for wrong in ["@999999", "2001-01-01", "yesterday", "position:0"] {
        let page = anna.opens(&format!("/keys/{}?at={wrong}", key.id())).await;
        assert_eq!(page.status, 404, "{wrong}");
        assert!(page.html.contains("That moment is not shown"), "{wrong}");
        assert_eq!(page.data("data-at"), page.data("data-head"));
    }
    assert_eq!(anna.opens("/keys/key_0123456789A").await.status, 404);
}

#[tokio::test]
async fn the_list_of_events_is_filtered_paged_and_written_to_a_file() {
    let (nemo, key) = story().await;
    let anna = Person::admin(&nemo).await;
    let path = format!("/keys/{}", key.id());
    let refused = anna.opens(&format!("{path}?type=CallsRefused")).await;
    assert_eq!(refused.html.matches("<details class=\"event\"").count(), 1);
    assert!(
        refused.html.contains("Call refused") && refused.html.contains("key blocked"),
        "{}",
        refused.html
    );
    let none = anna.opens(&format!("{path}?model=none")).await;
    assert!(none.html.contains("Nothing matches"));
    let older = anna.opens(&format!("{path}?before=@3")).await;
    assert_eq!(older.html.matches("<details class=\"event\"").count(), 4);
    let whole = anna.opens(&format!("{path}/activity.csv")).await;
    let events = key.events().await;
    assert_eq!(whole.html.lines().count(), events.len() + 1);
    for event in &events {
        assert!(whole.html.contains(event.whole()["hash"].as_str().unwrap()));
    }
    let filtered = anna.opens(&format!("{path}/activity.csv?type=CallSettled")).await;
    assert_eq!(filtered.html.lines().count(), 4);
}

#[tokio::test]
async fn names_and_reasons_are_text_whatever_they_hold() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let evil = "<img src=x onerror=alert(1)>";
    nemo.manage(Method::PUT, &key.path("/labels"), json!({"name": evil, "job": evil, "tags": [evil]}))
        .await
        .ok();
    key.tell("block", json!({"reason": format!("\"'>{evil}")})).await;
    let page = Person::admin(&nemo).await.opens(&format!("/keys/{}", key.id())).await;
    assert_eq!(page.status, 200);
    assert!(!page.html.contains("<img") && page.html.contains("&lt;img src=x"), "{}", page.html);
    let file =
        Person { nemo: nemo.clone(), cookie: String::new() }.opens(&format!("/keys/{}", key.id())).await;
    assert_ne!(file.status, 200, "nobody sees it who is not signed in");
}

#[tokio::test]
async fn a_page_stays_small_whatever_the_key_did() {
    let nemo = Nemo::start().await;
    nemo.terminate().await;
    let (mut made, long) = (Made::default().at("2026-11-01T00:00:00Z".parse().unwrap()), made::key(1));
    made.create_org("made");
    (1..=500).for_each(|n| made.create(made::key(n), &format!("key {n}")));
    for number in 0..1_500 {
        let call = made.authorize_from(long, number, &format!("10.0.{}.{}", number / 200, number % 200));
        made.settle(long, call);
    }
    let store =
        nemo_store::EmbeddedStore::open(&nemo.data(), nemo_store::embedded::Options::default()).unwrap();
    nemo_store::EventStore::append_in_order(&store, made.take()).await.unwrap();
    nemo_store::EventStore::close(&store).await;
    drop(store);
    nemo.restart().await;
    let anna = Person::admin(&nemo).await;
    let path = format!("/keys/{long}");
    for query in ["", "?at=@1500", "?type=KeyLimitsSet", "?address=10.0.7.99", "?before=@1000"] {
        let page = anna.opens(&format!("{path}{query}")).await;
        assert_eq!(page.status, 200, "{query}");
        assert!(page.html.len() < 180_000, "{query}: {} bytes", page.html.len());
        assert!(page.html.matches("<details class=\"event\"").count() <= 25, "{query}");
        let loads = page.html.matches("/assets/").count();
        assert!(loads <= 12, "{query}: {loads} files");
    }
    let fragment = anna.opens(&format!("{path}/replay?at=@1500")).await;
    assert!(fragment.html.len() < 60_000, "{} bytes", fragment.html.len());
}
