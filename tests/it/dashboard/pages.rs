//! Overview, orgs, prices and the ledger, as they are sent to a browser: figures like those of the API, forms that
//! do what the API does, and names that stay text.

use reqwest::Method;
use serde_json::{Value, json};

use crate::fake_provider::Behaviour;
use crate::harness::{Nemo, Person, nanos, until};

const HOSTILE: &str = "<img src=x onerror=alert(1)>";

/// `$1,234.56`, as pages show a total, worked out here once more.
fn dollars(nanos: i128) -> String {
    match nanos {
        0 => "$0.00".to_owned(),
        1..50_000 => "<$0.0001".to_owned(),
        50_000..100_000_000 => format!("$0.{:04}", (nanos + 50_000) / 100_000),
        _ => format!("${}.{:02}", nanos / 1_000_000_000, nanos / 10_000_000 % 100),
    }
}

/// A page that is there.
async fn sees(person: &Person, path: &str) -> String {
    let page = person.page(path).await;
    assert_eq!(page.status, 200, "{path}: {}", page.text());
    page.text().to_owned()
}

/// A form that does what it is for, and leads to another page.
async fn does(person: &Person, path: &str, fields: &[(&str, &str)]) {
    let done = person.send(path, fields).await;
    assert_eq!(done.status, 303, "{path}: {}", done.text());
}

/// Waits until the lists have all that is in the ledger.
async fn caught_up(nemo: &Nemo) {
    until("lists are current", || async {
        let status = nemo.ask("/api/ledger").await;
        let follows = status["read_model"]["state"] == "current";
        (follows && status["position"] == status["read_model"]["position"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_empty_ledger_asks_for_its_first_key() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    // Before the lists are current, nobody knows whether there are keys.
    caught_up(&nemo).await;
    let page = sees(&ada, "/").await;
    assert!(page.contains("Create your first virtual key") && page.contains("href=\"/keys/new\""), "{page}");
}

#[tokio::test]
async fn the_overview_shows_the_figures_of_the_api() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.rich_key().await;
    key.chat(json!({"max_tokens": 50})).await.ok();
    key.books_balance().await;
    // What was spent is $0.0000925.
    key.set_limits(json!({"budgets": [{"window": "total", "limit": "0.00011"}]})).await;
    caught_up(&nemo).await;
    let ada = nemo.ada().await;
    let (page, told) = (sees(&ada, "/").await, nemo.ask("/api/overview").await);
    let spent = nanos(&told["month"]["cost"]);
    assert_eq!(spent, key.charged().await);
    assert!(page.contains(&format!("title=\"${}\"", told["month"]["cost"].as_str().unwrap())), "{page}");
    assert!(
        page.contains(&format!(
            "<p class=\"figure\"><span class=\"money\" title=\"${}\">{}</span>",
            told["month"]["cost"].as_str().unwrap(),
            dollars(spent).replace('<', "&lt;")
        )),
        "{page}"
    );
    assert!(page.contains("1 key comes close to a cap") && page.contains("Review these keys"), "{page}");
    assert!(page.contains("30 days, total") && page.contains("<svg class=\"columns\""), "{page}");
    assert!(page.contains("created key") && page.contains("master key"), "who did what");
}

#[tokio::test]
async fn an_org_is_managed_by_forms_alone() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    let made = ada.send("/orgs/new", &[("name", HOSTILE)]).await;
    let place = made.header("location").unwrap_or_else(|| panic!("{}", made.text())).to_owned();
    let page = sees(&ada, &place).await;
    assert!(!page.contains("<img") && page.contains("&lt;img src=x"), "{page}");
    caught_up(&nemo).await;
    assert!(!sees(&ada, "/orgs").await.contains("<img"));

    let id = place.rsplit('/').next().unwrap().to_owned();
    let org = || async { nemo.ask(&format!("/api/orgs/{id}")).await["org"].clone() };
    does(&ada, &format!("{place}/rename"), &[("name", "acme & sons")]).await;
    assert_eq!(org().await["name"], "acme & sons");
    does(&ada, &format!("{place}/limits"), &[("budget_month", "25"), ("requests_per_minute", "60")]).await;
    let defaults = org().await["limits"]["key_defaults"].clone();
    assert_eq!(defaults, json!({"budgets": [{"window": "month", "limit": "25"}], "requests_per_minute": 60}));
    does(&ada, &format!("{place}/bounds"), &[("budget_month", "30"), ("requests_per_minute", "60")]).await;
    let limits = org().await["limits"].clone();
    let bounds = json!({"budgets": [{"window": "month", "limit": "30"}], "requests_per_minute": 60});
    assert_eq!((&limits["key_defaults"], &limits["key_bounds"]), (&defaults, &bounds));
    does(&ada, &format!("{place}/suspend"), &[("reason", "invoice overdue")]).await;
    assert_eq!(org().await["status"], "suspended");
    does(&ada, &format!("{place}/resume"), &[]).await;
    assert_eq!(org().await["status"], "active");

    let key = nemo
        .key_in(&id, json!({"budgets": [{"window": "total", "limit": "1"}], "requests_per_minute": 1}))
        .await;
    caught_up(&nemo).await;
    let asks = sees(&ada, &format!("{place}/archive")).await;
    assert!(asks.contains("1 key is revoked"), "{asks}");
    let wrong =
        ada.send(&format!("{place}/archive"), &[("name", "acme"), ("reason", "contract \"ended\"")]).await;
    assert!(
        wrong.text().contains("This is not the org&#39;s name.")
            || wrong.text().contains("This is not the org's name."),
        "{}",
        wrong.text()
    );
    assert!(wrong.text().contains("contract &quot;ended&quot;"), "what was entered is kept");
    assert_eq!(org().await["status"], "active");
    does(&ada, &format!("{place}/archive"), &[("name", "acme & sons"), ("reason", "contract ended")]).await;
    assert_eq!(org().await["status"], "archived");
    assert_eq!(key.shown().await["status"], "revoked");
    let events = key.events().await;
    assert_eq!(events.last().unwrap().data()["reason"], "contract ended");
    assert_eq!(events.last().unwrap().metadata()["actor"]["kind"], "operator", "a person did it");
}

#[tokio::test]
async fn what_is_refused_is_said_on_the_form_with_what_was_entered() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    let long = "x".repeat(200);
    let refused = ada.send("/orgs/new", &[("name", &long)]).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains(&long) && refused.text().contains("at most 128 bytes"),
        "{}",
        refused.text()
    );
    let org = nemo.org().await.to_owned();
    for part in ["limits", "bounds"] {
        let sent = [("budget_month", "much"), ("models", "gpt-*")];
        let refused = ada.send(&format!("/orgs/{org}/{part}"), &sent).await;
        assert_eq!(refused.status, 422, "{}", refused.text());
        assert!(
            refused.text().contains("Write dollars as 25 or 2.50.") && refused.text().contains(">gpt-*<")
        );
    }
    let without_budget = ada.send(&format!("/orgs/{org}/limits"), &[("requests_per_minute", "5")]).await;
    assert!(without_budget.status == 422 && without_budget.text().contains("Give it a budget"));
    assert_eq!(nemo.ask(&format!("/api/orgs/{org}")).await["org"]["limits"], json!({}));
}

#[tokio::test]
async fn orgs_and_prices_are_found_by_what_the_address_says() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    for name in ["north", "south"] {
        nemo.new_org(name).await;
    }
    caught_up(&nemo).await;
    let found = sees(&ada, "/orgs?q=nor").await;
    assert!(found.contains(">north<") && !found.contains(">south<"), "{found}");
    assert!(sees(&ada, "/orgs?status=archived").await.contains("No org matches"));
    let prices = sees(&ada, "/prices?q=gpt-test").await;
    assert!(prices.contains("Past calls keep their price.") && prices.contains("$2.50"), "{prices}");
    assert!(sees(&ada, "/prices?q=nothing-like-it").await.contains("No model matches"));
    let history = sees(&ada, "/prices/history?model=gpt-test").await;
    assert!(
        history.contains("In force") && history.contains("No call cites a card of this model yet"),
        "{history}"
    );
    let unknown = ada.page("/prices/history?model=%3Cimg%3E").await;
    assert_eq!(unknown.status, 404);
    assert!(!unknown.text().contains("<img>"));
}

#[tokio::test]
async fn the_ledger_page_names_its_secrets_by_id_and_shows_none() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    caught_up(&nemo).await;
    let page = sees(&ada, "/ledger").await;
    let told = nemo.ask("/api/secrets").await;
    for secret in told["secrets"].as_array().unwrap() {
        assert!(page.contains(secret["id"].as_str().unwrap()), "{page}");
    }
    assert!(page.contains("Takes events") && page.contains("(this one)"), "{page}");
    assert!(!page.contains(nemo.master_key()) && !page.contains("mk-nemo-"));
}

#[tokio::test]
async fn an_overview_names_nobody_to_whoever_may_not_read_the_ledger() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    let _key = nemo.rich_key().await;
    caught_up(&nemo).await;
    let finn = nemo.person("Finn", "finance").await;
    let (all, less) = (sees(&ada, "/").await, sees(&finn, "/").await);
    assert!(all.contains("Latest changes") && !less.contains("Latest changes"), "{less}");
    assert!(!less.contains("href=\"/keys/new\"") && !less.contains("href=\"/ledger\""), "{less}");
    let told = finn.manage(Method::GET, "/api/overview", Value::Null).await;
    assert_eq!((told.ok()["deeds"].clone(), told.status), (json!([]), 200));
    assert_eq!(finn.page("/ledger").await.status, 403);
    assert_eq!(finn.page("/orgs/new").await.status, 403);
    assert_eq!(finn.send("/orgs/new", &[("name", "mine")]).await.status, 403);
    let orgs = nemo.ask("/api/orgs").await["orgs"].clone();
    assert!(orgs.as_array().unwrap().iter().all(|org| org["name"] != json!("mine")), "{orgs}");
}
