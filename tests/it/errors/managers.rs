//! Who may manage, from where, and what managers are told.

use reqwest::Method;
use serde_json::{Value, json};

use super::{about, send, told};
use crate::harness::{Nemo, Setup};

#[tokio::test]
async fn with_a_listener_of_its_own_management_is_nowhere_else() {
    let nemo = Setup::default().server("management_listen = \"127.0.0.1:0\"").start().await;
    assert_ne!(nemo.address(), nemo.management_address());
    let key = nemo.rich_key().await;
    key.chat(json!({})).await.ok();
    let ask = |address, path: &str, key: &str| {
        let address: std::net::SocketAddr = address;
        send(nemo.http().get(format!("http://{address}{path}")).bearer_auth(key))
    };
    for path in ["/api/orgs", "/api/keys", "/healthz", "/readyz"] {
        told(&ask(nemo.address(), path, nemo.master_key()).await, 404, "not_found");
        assert_eq!(ask(nemo.management_address(), path, nemo.master_key()).await.status, 200);
    }
    told(&ask(nemo.management_address(), "/v1/key", &key.secret()).await, 404, "not_found");
}

#[tokio::test]
async fn only_the_master_key_manages_and_never_from_a_browser() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let paths =
        ["/api/orgs", "/api/keys", "/api/ledger", &key.path(""), &key.path("/events"), &key.path("/calls")];
    for path in paths {
        let ask = || nemo.http().get(nemo.url(path));
        told(&send(ask()).await, 401, "missing_api_key");
        told(&send(ask().header("x-api-key", nemo.master_key())).await, 401, "missing_api_key");
        told(&send(ask().bearer_auth("rubbish")).await, 401, "invalid_api_key");
        told(&send(ask().bearer_auth(key.secret())).await, 403, "virtual_key_not_allowed");
        for (name, value) in [
            ("origin", "http://localhost"),
            ("cookie", "a=b"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-dest", "empty"),
        ] {
            told(
                &send(ask().bearer_auth(nemo.master_key()).header(name, value)).await,
                403,
                "browser_not_allowed",
            );
        }
        send(ask().bearer_auth(nemo.master_key()).header("sec-fetch-mode", "cors")).await.ok();
    }
    let other = Nemo::start().await;
    let request = nemo.http().get(nemo.url("/api/orgs")).bearer_auth(other.master_key());
    told(&send(request).await, 401, "invalid_api_key");
    let write = nemo.http().post(nemo.url(&key.path("/revoke"))).bearer_auth(key.secret());
    told(&send(write).await, 403, "virtual_key_not_allowed");
    key.get("/v1/key").await.ok();
}

#[tokio::test]
async fn managers_are_told_what_is_not_there_and_what_is_not_understood() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let (get, post) = (Method::GET, Method::POST);
    let nobody = "key_00000000000";
    for path in ["", "/events", "/calls"] {
        let answer = nemo.manage(get.clone(), &format!("/api/keys/{nobody}{path}"), Value::Null).await;
        told(&answer, 404, "key_not_found");
    }
    for id in ["key_short", "nonsense", "key_0000000000%2F"] {
        told(&nemo.manage(get.clone(), &format!("/api/keys/{id}"), Value::Null).await, 404, "key_not_found");
    }
    for what in ["block", "unblock", "revoke", "rotate"] {
        told(
            &nemo.manage(post.clone(), &format!("/api/keys/{nobody}/{what}"), json!({})).await,
            404,
            "key_not_found",
        );
    }
    let no_org = "00000000-0000-7000-8000-000000000000";
    told(&nemo.manage(get.clone(), &format!("/api/orgs/{no_org}"), Value::Null).await, 404, "org_not_found");
    let wish = json!({"org": no_org, "name": "x", "limits": {"unlimited": true}});
    told(&nemo.manage(post.clone(), "/api/keys", wish).await, 404, "org_not_found");
    told(
        &nemo.manage(post.clone(), &key.path("/retire-secret"), json!({"version": 7})).await,
        404,
        "secret_not_found",
    );

    let org = nemo.org().await.to_owned();
    let create = |limits: Value| {
        let wish = json!({"org": org, "name": "x", "limits": limits});
        nemo.manage(Method::POST, "/api/keys", wish)
    };
    told(&create(json!({})).await, 400, "invalid_request");
    told(
        &create(json!({"unlimited": true, "budgets": [{"window": "day", "limit": "1"}]})).await,
        400,
        "invalid_request",
    );
    told(&create(json!({"budgets": [{"window": "day", "limit": 1}]})).await, 400, "invalid_request");
    told(&create(json!({"budgets": [{"window": "year", "limit": "1"}]})).await, 400, "invalid_request");
    about(&create(json!({"budgetz": []})).await, 400, "invalid_request", "budgetz");
    about(
        &nemo.manage(post.clone(), "/api/orgs", json!({"nmae": "x"})).await,
        400,
        "invalid_request",
        "nmae",
    );
    let list = nemo.manage(get.clone(), "/api/keys?lmit=1", Value::Null).await;
    about(&list, 400, "invalid_request", "lmit");

    key.tell("revoke", json!({})).await;
    told(&nemo.manage(post.clone(), &key.path("/unblock"), json!({})).await, 409, "key_revoked");
    nemo.manage(Method::DELETE, &format!("/api/orgs/{org}"), Value::Null).await.ok();
    told(&create(json!({"unlimited": true})).await, 409, "org_archived");
}
