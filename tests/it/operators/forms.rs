//! Writes of other sites: refused by the API and by every page alike.

use nemo::dashboard::routes::{Who, all};
use nemo::openapi::Method as M;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::harness::{Answer, Nemo};

/// What may be wrong about where a write comes from, applied to a good one.
const FOREIGN: [&str; 5] = ["http://evil.test", "null", "", "http://127.0.0.1", "https://127.0.0.1:1"];

fn with_origin(request: RequestBuilder, origin: &str) -> RequestBuilder {
    let (client, request) = request.build_split();
    let mut request = request.unwrap();
    request.headers_mut().remove("origin");
    if !origin.is_empty() {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    RequestBuilder::from_parts(client, request)
}

#[tokio::test]
async fn the_api_takes_a_persons_write_only_from_a_page_of_ours_that_knows_the_secret() {
    let nemo = Nemo::start().await;
    let (ada, bo) = (nemo.ada().await, nemo.person("Bo", "admin").await);
    let write = || {
        let request = ada.request(Method::POST, "/api/orgs").json(&json!({"name": "acme"}));
        request.header("origin", nemo.url(""))
    };
    let good = || write().header("x-nemo-csrf", &ada.csrf);
    for origin in FOREIGN {
        Answer::of(with_origin(good(), origin)).await.refused(403, "cross_site_request");
    }
    Answer::of(write()).await.refused(403, "cross_site_request");
    for csrf in ["", "wrong", &bo.csrf, &ada.csrf[1..]] {
        Answer::of(write().header("x-nemo-csrf", csrf)).await.refused(403, "cross_site_request");
    }
    assert_eq!(nemo.ask("/api/orgs").await["orgs"], json!([]));
    Answer::of(good()).await.ok();
}

#[tokio::test]
async fn every_form_is_refused_to_other_sites_and_without_its_secret() {
    let nemo = Nemo::start().await;
    let (ada, bo) = (nemo.ada().await, nemo.person("Bo", "admin").await);
    let cookie = format!("__Host-nemo-session={}", ada.token);
    let forms: Vec<_> = all().into_iter().filter(|route| route.method == M::Post).collect();
    assert!(forms.len() > 8);
    for route in forms.iter().filter(|route| route.who != Who::Anybody) {
        let path = route.path.replace("{id}", "key_0123456789A");
        for origin in FOREIGN {
            let form = nemo.form(&path, &[("csrf", &ada.csrf)]).header("cookie", &cookie);
            let answer = Answer::browsed(with_origin(form, origin)).await;
            assert_eq!(answer.status, 403, "{path} {origin}");
        }
        for csrf in ["", "wrong", &bo.csrf] {
            let form = nemo.form(&path, &[("csrf", csrf)]).header("cookie", &cookie);
            let answer = Answer::browsed(form).await;
            assert_eq!(answer.status, 403, "{path} {csrf}");
            assert!(answer.text().contains("cross_site_request"), "{path} {}", answer.text());
        }
    }
    assert!(ada.is_in().await, "nothing of it was done");
}

#[tokio::test]
async fn a_persons_key_and_cookie_do_not_mix() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    let both = ada.request(Method::GET, "/api/keys").bearer_auth(nemo.master_key());
    Answer::of(both).await.refused(403, "browser_not_allowed");
    let key = nemo.rich_key().await;
    let inference = nemo.http().get(nemo.url("/v1/models"));
    let inference = inference.header("cookie", format!("__Host-nemo-session={}", ada.token));
    Answer::of(inference).await.refused(401, "missing_api_key");
    let with_key = ada.request(Method::GET, "/v1/models").bearer_auth(key.secret());
    Answer::of(with_key).await.ok();
    let nobody = nemo.http().get(nemo.url("/api/keys")).header("cookie", "__Host-nemo-session=rubbish");
    Answer::of(nobody).await.refused(401, "session_ended");
}
