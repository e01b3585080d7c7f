//! The pages of the reference: whole, linked, and closed against everything that is not their own.

use std::collections::BTreeSet;

use crate::harness::{Answer, DOCUMENT, Nemo, Setup};

async fn page(nemo: &Nemo, path: &str) -> Answer {
    let answer = Answer::of(nemo.http().get(nemo.url(path))).await;
    assert_eq!(answer.status, 200, "{path}");
    answer
}

/// What stands behind each of these marks up to the next quote.
fn behind<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    text.split(mark).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[tokio::test]
async fn every_route_and_every_shape_has_its_place_on_the_page() {
    let nemo = Nemo::start().await;
    let html = page(&nemo, "/docs").await.text().to_owned();
    let places: Vec<&str> = behind(&html, " id=\"");
    let unique: BTreeSet<&str> = places.iter().copied().collect();
    assert_eq!(unique.len(), places.len(), "a place is there twice");
    assert!(places.iter().all(|place| !place.contains(' ')), "{places:?}");
    for item in DOCUMENT["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            assert!(unique.contains(operation["operationId"].as_str().unwrap()), "{}", operation["summary"]);
        }
    }
    for name in DOCUMENT["components"]["schemas"].as_object().unwrap().keys() {
        assert!(unique.contains(format!("shape-{name}").as_str()), "{name}");
    }
}

#[tokio::test]
async fn every_link_leads_somewhere() {
    let nemo = Nemo::start().await;
    for path in ["/docs", "/docs/errors"] {
        let html = page(&nemo, path).await.text().to_owned();
        let places: BTreeSet<&str> = behind(&html, " id=\"").into_iter().collect();
        for link in behind(&html, "href=\"") {
            match link.strip_prefix('#') {
                Some(place) => assert!(places.contains(place), "{path}: {link}"),
                None => assert_eq!(page(&nemo, link).await.status, 200),
            }
        }
    }
}

#[tokio::test]
async fn the_type_of_a_problem_leads_to_its_explanation() {
    let nemo = Nemo::start().await;
    let problem = Answer::of(nemo.http().get(nemo.url("/api/orgs"))).await.json();
    let (path, place) = problem["type"].as_str().unwrap().split_once('#').unwrap();
    let html = page(&nemo, path).await.text().to_owned();
    assert!(html.contains(&format!("<tr id=\"{place}\">")), "{place}");
    for code in nemo::openapi::errors::CODES.iter() {
        assert!(html.contains(&format!("<tr id=\"{}\">", code.code)), "{}", code.code);
    }
}

#[tokio::test]
async fn the_pages_load_nothing_foreign_and_run_nothing() {
    let nemo = Nemo::start().await;
    for path in ["/docs", "/docs/errors", "/docs/style.css"] {
        let answer = page(&nemo, path).await;
        let policy = answer.header("content-security-policy").unwrap();
        for rule in ["default-src 'none'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(rule) && !policy.contains("unsafe"), "{policy}");
        }
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        for forbidden in ["<script", "style=\"", "javascript:", "//cdn", "@import", "url(", " on"] {
            let lower = answer.text().to_lowercase();
            let found = lower.contains(forbidden) && (forbidden != " on" || lower.contains(" onclick="));
            assert!(!found, "{path} has {forbidden}");
        }
        assert!(!answer.text().contains("k-nemo-1"), "{path} shows a key");
    }
    assert_eq!(page(&nemo, "/docs").await.header("content-type"), Some("text/html; charset=utf-8"));
}

#[tokio::test]
async fn the_pages_tell_nothing_of_this_gateway() {
    let one = Nemo::start().await;
    let two =
        Setup::default().server("node = \"another\"\nmanagement_listen = \"127.0.0.1:0\"").start().await;
    two.rich_key().await;
    for path in ["/docs", "/docs/errors", "/openapi.json"] {
        assert_eq!(page(&one, path).await.body, page(&two, path).await.body, "{path}");
    }
}
