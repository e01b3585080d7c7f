//! Keys as people manage them: the same as through the API, and each secret on one page only.

use nemo::dashboard::routes::{Who, all};
use serde_json::{Value, json};

use crate::fake_provider::Behaviour;
use crate::harness::{Answer, Nemo, Person};

/// What stands behind a mark on a page, up to the next quote.
fn value_of(page: &Answer, name: &str) -> String {
    let rest = page.text().split(&format!("name=\"{name}\" value=\"")).nth(1);
    let rest = rest.unwrap_or_else(|| panic!("no {name}: {}", page.text()));
    rest.split('"').next().unwrap().to_owned()
}

/// The full keys on a page.
fn secrets_on(page: &Answer) -> Vec<String> {
    let parts = page.text().split("sk-nemo-1").skip(1);
    parts.map(|rest| format!("sk-nemo-1{}", rest.get(..53).unwrap_or_default())).collect()
}

/// Sends the form of a new key.
async fn create(ada: &Person, id: &str, more: &[(&str, &str)]) -> Answer {
    let fields = [&[("id", id), ("org_name", "acme"), ("name", "nightly")], more].concat();
    ada.send("/keys/new", &fields).await
}

async fn new_id(ada: &Person) -> String {
    value_of(&ada.page("/keys/new").await, "id")
}

/// The key as the API tells it.
async fn told(nemo: &Nemo, id: &str) -> Value {
    nemo.ask(&format!("/api/keys/{id}")).await["key"].clone()
}

#[tokio::test]
async fn one_form_makes_one_key_and_shows_its_secret_once() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let ada = nemo.ada().await;
    let id = new_id(&ada).await;
    let made = create(&ada, &id, &[("budget_month", "20"), ("requests_per_minute", "60")]).await;
    let secrets = secrets_on(&made);
    assert_eq!((made.status, secrets.len()), (200, 1), "{}", made.text());
    let call = nemo.http().post(nemo.url("/v1/chat/completions")).bearer_auth(&secrets[0]);
    let call = call.json(&json!({"model": "gpt-test", "messages": [{"role": "user", "content": "hello"}]}));
    Answer::of(call).await.ok();
    let key = told(&nemo, &id).await;
    assert_eq!(
        (&key["labels"]["name"], &key["limits"]["requests_per_minute"]),
        (&json!("nightly"), &json!(60))
    );
    assert_eq!(key["limits"]["budgets"], json!([{"window": "month", "limit": "20"}]));
    let again = create(&ada, &id, &[("budget_month", "20")]).await;
    assert_eq!((again.status, secrets_on(&again).len()), (409, 0), "{}", again.text());
    assert!(again.text().contains("Nothing was created a second time"), "{}", again.text());
    let position = nemo.ask("/api/ledger").await["position"].clone();
    for of in ["keys", "orgs"] {
        let listed = nemo.ask(&format!("/api/{of}?min_position={position}")).await;
        assert_eq!(listed[of].as_array().unwrap().len(), 1, "{of}");
    }
    for page in ["/keys", "/keys/new", "/", &format!("/keys/{id}/rotate")] {
        assert_eq!(secrets_on(&ada.page(page).await), Vec::<String>::new(), "{page}");
    }
    let creation = nemo.ask(&format!("/api/keys/{id}/events?limit=1")).await;
    let metadata = creation["events"][0]["metadata"].to_string();
    assert!(metadata.contains("operator"), "a person did it: {metadata}");
}

#[tokio::test]
async fn what_is_wrong_stands_beside_its_field_and_nothing_is_made() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    let id = new_id(&ada).await;
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[("budget_month", "2,50")], "budget_month-wrong"),
        (&[], "Give it a budget"),
        (&[("budget_day", "1"), ("expires_at", "2020-01-01T00:00")], "lies in the past"),
        (&[("budget_day", "1"), ("unlimited", "yes")], "either a budget or no cap"),
    ];
    for (fields, said) in cases {
        let page = create(&ada, &id, fields).await;
        assert!((400..500).contains(&page.status) && page.text().contains(said), "{said}: {}", page.text());
        assert!(page.text().contains("value=\"nightly\""), "what was typed stays: {}", page.text());
        assert_eq!(secrets_on(&page), Vec::<String>::new());
    }
    assert_eq!(nemo.ask("/api/keys").await["keys"], json!([]));
    assert_eq!(create(&ada, &id, &[("unlimited", "yes")]).await.status, 200);
    assert_eq!(told(&nemo, &id).await["limits"]["unlimited"], json!(true));
}

#[tokio::test]
async fn one_form_rotates_once_and_a_leaked_secret_ends_at_once() {
    let nemo = Nemo::start().await;
    let (ada, key) = (nemo.ada().await, nemo.rich_key().await);
    let path = format!("/keys/{}/rotate", key.id());
    let version = value_of(&ada.page(&path).await, "version");
    let fields = [("version", version.as_str()), ("overlap", "3600"), ("leaked", "yes")];
    let rotated = ada.send(&path, &fields).await;
    assert_eq!((rotated.status, secrets_on(&rotated).len()), (200, 1), "{}", rotated.text());
    key.chat(json!({})).await.refused(401, "key_rotated");
    let again = ada.send(&path, &fields).await;
    assert_eq!((again.status, secrets_on(&again).len()), (409, 0), "{}", again.text());
    assert_eq!(ada.send(&path, &[("overlap", "0")]).await.status, 409, "a form that replaces no secret");
    let secrets = told(&nemo, key.id()).await["secrets"].clone();
    assert_eq!(secrets.as_array().unwrap().last().unwrap()["version"], json!(2), "{secrets}");
}

#[tokio::test]
async fn a_key_is_revoked_only_by_its_name_and_blocked_with_a_reason() {
    let nemo = Nemo::start().await;
    let (ada, key) = (nemo.ada().await, nemo.rich_key().await);
    let at = |action: &str| format!("/keys/{}/{action}", key.id());
    let blocked = ada.send(&at("block"), &[("reason", "unusual traffic"), ("to", "list")]).await;
    assert_eq!((blocked.status, blocked.header("location")), (303, Some("/keys")));
    assert_eq!(told(&nemo, key.id()).await["status"], "blocked");
    assert_eq!(ada.send(&at("unblock"), &[]).await.status, 303);
    let wrong = ada.send(&at("revoke"), &[("name", "another"), ("reason", "over")]).await;
    assert!(wrong.status == 422 && wrong.text().contains("Nothing was revoked"), "{}", wrong.text());
    assert_eq!(told(&nemo, key.id()).await["status"], "active");
    let limits = ada.send(&at("limits"), &[("budget_total", "3"), ("models", "gpt-*")]).await;
    assert_eq!(limits.status, 303, "{}", limits.text());
    assert_eq!(told(&nemo, key.id()).await["limits"]["models"], json!(["gpt-*"]));
    assert_eq!(ada.send(&at("labels"), &[("name", "new"), ("job", "x")]).await.status, 303);
    assert_eq!(ada.send(&at("revoke"), &[("name", "new"), ("reason", "over")]).await.status, 303);
    assert_eq!(told(&nemo, key.id()).await["status"], "revoked");
    for action in ["block", "rotate", "limits", "labels", "revoke"] {
        assert_eq!(ada.page(&at(action)).await.status, 409, "{action}: nothing is left to do");
    }
}

#[tokio::test]
async fn several_keys_are_changed_at_once_with_a_result_for_each() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    let (one, two, gone) = (nemo.rich_key().await, nemo.rich_key().await, nemo.rich_key().await);
    nemo.tell(&gone.path("/revoke"), json!({})).await;
    let position = nemo.ask("/api/ledger").await["position"].clone();
    nemo.ask(&format!("/api/keys?min_position={position}")).await;
    let keys = [("key", one.id()), ("key", two.id()), ("key", gone.id())];
    let blocked =
        ada.send("/keys/bulk", &[&keys[..], &[("do", "block"), ("reason", "drill")]].concat()).await;
    assert_eq!(blocked.text().matches("Blocked<").count(), 2, "{}", blocked.text());
    assert!(blocked.text().contains("1 of 3 were not changed"), "{}", blocked.text());
    let unsure = ada.send("/keys/bulk", &[&keys[..], &[("do", "revoke"), ("count", "2")]].concat()).await;
    assert_eq!(unsure.status, 422);
    assert_eq!(told(&nemo, one.id()).await["status"], "blocked");
    let revoked = ada.send("/keys/bulk", &[&keys[..], &[("do", "revoke"), ("count", "3")]].concat()).await;
    assert_eq!(revoked.text().matches("Revoked<").count(), 3, "{}", revoked.text());
    assert_eq!(told(&nemo, two.id()).await["status"], "revoked");
}

#[tokio::test]
async fn the_list_is_bounded_filtered_by_its_address_and_shows_hostile_names_as_text() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    assert!(ada.page("/keys").await.text().contains("Create your first virtual key"));
    let org = nemo.org().await.to_owned();
    for number in 0..60 {
        let name =
            if number == 7 { "<img src=x onerror=alert(1)>".to_owned() } else { format!("key {number}") };
        let limits = json!({"budgets": [{"window": "day", "limit": "1"}]});
        let env = if number < 5 { "prod" } else { "dev" };
        let wish = json!({"org": org, "name": name, "env": env, "limits": limits});
        nemo.tell("/api/keys", wish).await;
    }
    let position = nemo.ask("/api/ledger").await["position"].clone();
    nemo.ask(&format!("/api/keys?min_position={position}")).await;
    let rows = |page: &Answer| page.text().matches("<tr data-row").count();
    let first = ada.page("/keys").await;
    assert_eq!(rows(&first), 50);
    assert!(first.text().contains(">60 keys<") && first.text().contains("<option value=\"prod\">"));
    assert!(first.body.len() < 150_000, "{} bytes", first.body.len());
    let next = first.text().split("href=\"").find(|rest| rest.starts_with("/keys?cursor=")).unwrap();
    let second = ada.page(next.split('"').next().unwrap()).await;
    assert_eq!(rows(&second), 10);
    assert!(!second.text().contains("<img"), "{}", second.text());
    assert!(second.text().contains("&lt;img src=x onerror=alert(1)&gt;"), "{}", second.text());
    assert_eq!(rows(&ada.page("/keys?env=prod").await), 5);
    assert_eq!(rows(&ada.page("/keys?q=key+59&status=active").await), 1);
    assert!(ada.page("/keys?q=nothing").await.text().contains("Nothing matches"));
    assert_eq!(ada.page("/keys?cursor=nonsense").await.status, 400);
}

#[tokio::test]
async fn what_a_page_hides_its_route_refuses() {
    let nemo = Nemo::start().await;
    let (key, auditor) = (nemo.rich_key().await, nemo.person("Bo", "auditor").await);
    assert!(!auditor.page("/keys").await.text().contains("Create key"));
    for route in all() {
        let Who::Person(Some(right)) = route.who else { continue };
        let path = route.path.replace("{id}", key.id());
        let answer = match route.method.as_str() {
            "GET" => auditor.page(&path).await,
            _ => auditor.send(&path, &[]).await,
        };
        let may = nemo_events::Role::Auditor.may(right);
        assert_eq!(answer.status == 403, !may, "{} {path}: {}", route.method.as_str(), answer.status);
        if !may {
            assert!(answer.text().contains("role_not_allowed"), "{path}");
        }
    }
    assert_eq!(told(&nemo, key.id()).await["status"], "active");
}
