//! What holds for every page: where its parts come from, and how it fails.

use nemo::dashboard::assets;
use nemo::dashboard::routes::{Who, all};

use crate::harness::{Answer, Nemo};

async fn browse(nemo: &Nemo, path: &str) -> Answer {
    Answer::browsed(nemo.http().get(nemo.url(path))).await
}

/// The address of an asset on a page that anybody sees.
async fn an_address(nemo: &Nemo) -> String {
    let page = browse(nemo, "/nowhere").await;
    let address = page.text().split('"').find(|part| part.ends_with("/base.css")).unwrap();
    address.to_owned()
}

#[tokio::test]
async fn every_asset_is_served_for_ever_under_its_hash() {
    let nemo = Nemo::start().await;
    let address = an_address(&nemo).await;
    for name in assets::names() {
        let asset = browse(&nemo, &address.replace("base.css", &name)).await;
        assert_eq!(asset.status, 200, "{name}");
        assert_eq!(asset.header("cache-control"), Some("public, max-age=31536000, immutable"), "{name}");
        assert!(asset.header("content-type").is_some(), "{name}");
    }
    let other_build = browse(&nemo, "/assets/0000000000000000/base.css").await;
    assert_eq!(other_build.status, 404);
    for name in ["../mod.rs", "%2e%2e/mod.rs", "nothing.css", "playground"] {
        let asset = browse(&nemo, &address.replace("base.css", name)).await;
        assert_eq!(asset.status, 404, "{name}");
    }
}

#[tokio::test]
async fn a_browser_is_shown_a_page_where_a_program_is_told_a_problem() {
    let nemo = Nemo::start().await;
    let page = browse(&nemo, "/nowhere?q=%3Cimg%20src=x%3E").await;
    assert_eq!((page.status, page.header("content-type")), (404, Some("text/html; charset=utf-8")));
    let id = page.header("x-request-id").unwrap();
    assert!(page.text().contains(id) && page.text().contains("not_found"), "{}", page.text());
    assert!(!page.text().contains("<img"), "{}", page.text());
    for (header, value) in [("cross-origin-opener-policy", "same-origin"), ("x-frame-options", "DENY")] {
        assert_eq!(page.header(header), Some(value), "{header}");
    }
    Answer::of(nemo.http().get(nemo.url("/nowhere"))).await.refused(404, "not_found");
    for path in ["/api/keys", "/v1/models"] {
        let asked = nemo.http().get(nemo.url(path)).header("accept", "text/html");
        Answer::of(asked).await.refused(401, "missing_api_key");
    }
}

#[tokio::test]
async fn a_page_that_does_not_take_a_method_names_those_that_it_takes() {
    let nemo = Nemo::start().await;
    for path in all().into_iter().map(|route| route.path) {
        let asked = nemo.http().delete(nemo.url(&path.replace("{id}", "key_0123456789A")));
        let answer = Answer::browsed(asked).await;
        let taken = all().into_iter().filter(|route| route.path == path).map(|route| route.method.as_str());
        let taken = taken.collect::<Vec<_>>().join(", ");
        assert_eq!((answer.status, answer.header("allow")), (405, Some(taken.as_str())), "{path}");
    }
}

#[tokio::test]
async fn nobody_sees_a_page_without_signing_in_but_those_that_are_for_everybody() {
    let nemo = Nemo::start().await;
    for route in all() {
        let (method, path) = (route.method.as_str(), route.path.replace("{id}", "key_0123456789A"));
        let asked = nemo.http().request(method.parse().unwrap(), nemo.url(&path));
        let answer = Answer::browsed(asked).await;
        match route.who {
            Who::Anybody => assert!(answer.status < 300 || method == "POST", "{method} {path}"),
            Who::Person(_) => {
                let place =
                    answer.header("location").unwrap_or_else(|| panic!("{method} {path}: {}", answer.status));
                assert!(place.starts_with("/login?next=/"), "{method} {path} -> {place}");
            }
        }
    }
}
