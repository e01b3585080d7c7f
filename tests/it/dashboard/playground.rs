//! The page of the playground: what it says to the browser, and where it is.

use crate::harness::{Answer, Nemo, Setup};

async fn at(nemo: &Nemo, address: impl std::fmt::Display, path: &str) -> Answer {
    Answer::browsed(nemo.http().get(format!("http://{address}{path}"))).await
}

#[tokio::test]
async fn its_policy_lets_it_speak_to_its_own_gateway_s_calls_alone() {
    let nemo = Nemo::start().await;
    let page = at(&nemo, nemo.address(), "/playground").await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    let rules = [
        "default-src 'none'",
        "script-src 'self'",
        &format!("connect-src {}/v1/", nemo.address()),
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ];
    for rule in rules {
        assert!(policy.split("; ").any(|stated| stated == rule), "{rule} in {policy}");
    }
    for (header, value) in [
        ("cache-control", "no-store"),
        ("cross-origin-opener-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(page.header(header), Some(value), "{header}");
    }
    assert!(page.header("set-cookie").is_none());
    for forbidden in ["<form", " style=", " onclick=", "k-nemo-1", "http://", "https://"] {
        assert!(!page.text().contains(forbidden), "{forbidden}");
    }
}

#[tokio::test]
async fn a_host_that_would_change_its_policy_is_refused() {
    let nemo = Nemo::start().await;
    for host in ["x; script-src *", "x/ *", "a,b", ""] {
        let head = format!("GET /playground HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer = nemo.raw(head).await.rest().await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{host}: {answer}");
    }
}

#[tokio::test]
async fn it_is_the_same_for_everybody() {
    let nemo = Nemo::start().await;
    let page = at(&nemo, nemo.address(), "/playground").await;
    let url = format!("http://{}/playground", nemo.address());
    let known = nemo.http().get(url).header("cookie", "__Host-nemo-session=someone").bearer_auth("sk-nemo-x");
    assert_eq!(Answer::browsed(known).await.body, page.body);
}

#[tokio::test]
async fn it_is_where_calls_are_made() {
    let nemo = Setup::default().server("management_listen = \"127.0.0.1:0\"").start().await;
    let page = at(&nemo, nemo.address(), "/playground").await;
    assert_eq!(page.status, 200);
    for asset in page.text().split('"').filter(|part| part.starts_with("/assets/")) {
        assert_eq!(at(&nemo, nemo.address(), asset).await.status, 200, "{asset}");
    }
    assert!(!page.text().contains("href=\"/docs"), "there is no dashboard on this address");
    assert_eq!(at(&nemo, nemo.address(), "/docs").await.status, 404);
    let elsewhere = at(&nemo, nemo.management_address(), "/playground").await;
    assert_eq!(elsewhere.status, 404);
    assert!(elsewhere.text().contains("where applications make theirs"), "{}", elsewhere.text());
}
