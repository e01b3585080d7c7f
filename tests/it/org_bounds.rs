//! An org's bounds as managers meet them: through the API, the command line and the pages.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Nemo};

const BOUNDS: &str =
    r#"{"budgets": [{"window": "month", "limit": "100"}], "requests_per_minute": 60, "models": ["gpt-*"]}"#;

fn bounds() -> Value {
    serde_json::from_str(BOUNDS).unwrap()
}

/// Limits within them.
fn within() -> Value {
    json!({"budgets": [{"window": "total", "limit": "100"}], "requests_per_minute": 6, "models": ["gpt-4*", "gpt-test"]})
}

async fn bound(nemo: &Nemo, org: &str, bounds: Value) -> Answer {
    nemo.manage(Method::PUT, &format!("/api/orgs/{org}/limits"), json!({ "key_bounds": bounds })).await
}

/// The fields that a refusal names.
fn fields(answer: &Answer) -> Vec<String> {
    let errors = answer.json()["errors"].clone();
    let field = |error: &Value| error["field"].as_str().unwrap().to_owned();
    errors.as_array().unwrap_or_else(|| panic!("{errors}")).iter().map(field).collect()
}

#[tokio::test]
async fn no_key_of_an_org_gets_wider_than_its_bounds_and_those_that_are_stay_until_they_change() {
    let nemo = Nemo::start().await;
    let org = nemo.new_org("bounded").await;
    let wide = nemo.key_in(&org, json!({"unlimited": true})).await;
    let revoked = nemo.key_in(&org, json!({"unlimited": true})).await;
    revoked.tell("revoke", json!({})).await;
    let fits = nemo.key_in(&org, within()).await;

    let set = bound(&nemo, &org, bounds()).await.ok();
    let outside = json!({"count": 1, "keys": [{
        "id": wide.id(), "name": "test", "last_four": wide.secret()[58..],
        "fields": ["budgets", "requests_per_minute", "models"],
    }]});
    assert_eq!(set["keys_outside_bounds"], outside);
    assert_eq!(nemo.ask(&format!("/api/orgs/{org}")).await["keys_outside_bounds"], outside);
    assert_eq!(wide.shown().await["limits"], json!({"unlimited": true}), "a bound rewrites no key");

    let create = async |limits: Value| {
        nemo.manage(Method::POST, "/api/keys", json!({"org": org, "name": "new", "limits": limits})).await
    };
    let too_wide = json!({"budgets": [{"window": "month", "limit": "100.01"}], "models": ["*"]});
    let refused = create(too_wide.clone()).await;
    refused.refused(409, "limits_outside_bounds");
    assert_eq!(fields(&refused), ["budgets", "requests_per_minute", "models"]);
    let said = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        said.contains("a month budget of at most $100 is needed (the month budget is $100.01)"),
        "{said}"
    );
    create(within()).await.ok();

    for key in [&wide, &fits] {
        let set = nemo.manage(Method::PUT, &key.path("/limits"), too_wide.clone()).await;
        set.refused(409, "limits_outside_bounds");
        nemo.manage(Method::PUT, &key.path("/limits"), within()).await.ok();
    }
    let position = nemo.ask("/api/ledger").await["position"].clone();
    nemo.ask(&format!("/api/keys?min_position={position}")).await;
    let shown = nemo.ask(&format!("/api/orgs/{org}")).await;
    assert_eq!(shown["keys_outside_bounds"], json!({"count": 0, "keys": []}));
    let unbound = nemo.manage(Method::PUT, &format!("/api/orgs/{org}/limits"), json!({})).await.ok();
    assert_eq!(unbound["keys_outside_bounds"], Value::Null);
    create(json!({"unlimited": true})).await.ok();
}

#[tokio::test]
async fn defaults_that_their_own_bounds_forbid_are_refused_and_so_is_a_bound_without_meaning() {
    let nemo = Nemo::start().await;
    let org = nemo.new_org("bounded").await;
    let limits = json!({"key_defaults": {"unlimited": true}, "key_bounds": bounds()});
    let refused = nemo.manage(Method::PUT, &format!("/api/orgs/{org}/limits"), limits.clone()).await;
    refused.refused(409, "limits_outside_bounds");
    assert_eq!(fields(&refused), ["budgets", "requests_per_minute", "models"]);
    let created = nemo.manage(Method::POST, "/api/orgs", json!({"name": "x", "limits": limits})).await;
    created.refused(409, "limits_outside_bounds");
    let nonsense = bound(&nemo, &org, json!({"unlimited": true})).await;
    nonsense.refused(400, "invalid_request");
    assert!(nonsense.text().contains("key_bounds: unlimited: bounds nothing; leave it out"));
    assert_eq!(nemo.ask(&format!("/api/orgs/{org}")).await["org"]["limits"], json!({}));
    let fits = json!({"key_defaults": within(), "key_bounds": bounds()});
    nemo.manage(Method::PUT, &format!("/api/orgs/{org}/limits"), fits).await.ok();
    let wish = json!({"org": org, "name": "takes what it gets"});
    let key = nemo.manage(Method::POST, "/api/keys", wish).await.ok();
    assert_eq!(key["key"]["limits"], within());
}

#[tokio::test]
async fn forms_mark_every_field_that_is_wider_and_the_page_of_an_org_names_its_keys() {
    let nemo = Nemo::start().await;
    let (ada, org) = (nemo.ada().await, nemo.new_org("bounded").await);
    let wide = nemo.key_in(&org, json!({"unlimited": true})).await;
    let set = ada.send(&format!("/orgs/{org}/bounds"), &[("budget_month", "100"), ("models", "gpt-*")]).await;
    assert_eq!(set.status, 303, "{}", set.text());
    let position = nemo.ask("/api/ledger").await["position"].clone();
    nemo.ask(&format!("/api/keys?min_position={position}")).await;
    let page = ada.page(&format!("/orgs/{org}")).await;
    assert!(
        page.text().contains("1 key is wider already") && page.text().contains(wide.id()),
        "{}",
        page.text()
    );
    let path = format!("/keys/{}/limits", wide.id());
    let form = ada.page(&path).await;
    assert!(form.text().contains("Its org bounds its keys."), "{}", form.text());
    let refused = ada.send(&path, &[("budget_day", "5"), ("models", "claude-*")]).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    for said in [
        "wider than what the org allows its keys. Nothing was changed.",
        "A month budget of at most $100 is needed (there is none).",
        "Nothing beyond gpt-* may be allowed (claude-* outside).",
    ] {
        assert!(refused.text().contains(said), "{said}: {}", refused.text());
    }
    assert_eq!(wide.shown().await["limits"], json!({"unlimited": true}));
    let defaults = ada.send(&format!("/orgs/{org}/limits"), &[("budget_month", "101")]).await;
    assert!(
        defaults.status == 409 && defaults.text().contains("(the month budget is $101)"),
        "{}",
        defaults.text()
    );
    let narrowed = ada.send(&path, &[("budget_total", "5"), ("models", "gpt-4o")]).await;
    assert_eq!(narrowed.status, 303, "{}", narrowed.text());
    let none = ada.send(&format!("/orgs/{org}/bounds"), &[]).await;
    assert_eq!(none.status, 303, "{}", none.text());
    assert_eq!(nemo.ask(&format!("/api/orgs/{org}")).await["org"]["limits"], json!({}));
}
