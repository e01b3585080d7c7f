//! Whose address counts where proxies stand in between: the right-most hop that none of the trusted proxies is. What a
//! client writes itself changes nothing.

use reqwest::RequestBuilder;
use serde_json::json;

use super::{cost_nothing, send, told};
use crate::harness::{Key, Setup};

/// The only address that the key may be used from is in here.
const OFFICE: &str = "203.0.113.0/24";
/// The socket's peer is one of them.
const TRUSTED: &str = r#"trusted_proxies = ["127.0.0.1", "10.0.0.0/8", "2001:db8:1::/48"]"#;

/// A chat request with these headers, each a line of its own.
fn request(key: &Key, headers: &[(&str, &[u8])]) -> RequestBuilder {
    let request = key.request(key.body(json!({})).to_string().into());
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

#[tokio::test]
async fn an_address_behind_trusted_proxies_is_the_client_s_in_whatever_form_it_is_written() {
    let nemo = Setup::default().server(TRUSTED).start().await;
    let limits = json!({"unlimited": true, "addresses": [OFFICE, "2001:db8:2::/48"]});
    let (xff, mut expected) = ("x-forwarded-for", Vec::new());
    let key = nemo.key(limits).await;
    let allowed: [(&[&[u8]], &str); 9] = [
        (&[b"203.0.113.9"], "203.0.113.9"),
        (&[b"203.0.113.9:4711"], "203.0.113.9"),
        (&[b"::ffff:203.0.113.9"], "203.0.113.9"),
        (&[b"2001:db8:2::9"], "2001:db8:2::9"),
        (&[b"[2001:db8:2::9]:443 , 2001:db8:1::1"], "2001:db8:2::9"),
        // Whatever stands left of it was written by the client.
        (&[b"198.51.100.1, 203.0.113.9, 10.1.2.3"], "203.0.113.9"),
        (&[b"198.51.100.1", b"203.0.113.9", b"10.1.2.3, 10.0.0.1:80"], "203.0.113.9"),
        (&[b"rubbish, \xff\xfe, 203.0.113.9"], "203.0.113.9"),
        (&[b"203.0.113.9, , ,", b""], "203.0.113.9"),
    ];
    for (lines, address) in allowed {
        let headers: Vec<(&str, &[u8])> = lines.iter().map(|line| (xff, *line)).collect();
        send(request(&key, &headers)).await.ok();
        expected.push(address.to_owned());
    }
    let recorded = key.books_balance().await;
    let recorded: Vec<_> =
        recorded.iter().map(|call| call.authorized["client"]["address"].as_str().unwrap()).collect();
    assert_eq!(recorded, expected, "as the events have it");
}

#[tokio::test]
async fn nobody_gets_in_by_what_he_writes_about_himself() {
    let nemo = Setup::default().server(TRUSTED).start().await;
    let office = nemo.key(json!({"unlimited": true, "addresses": [OFFICE]})).await;
    // The proxies themselves are allowed: whoever makes them lose the way would be taken for one.
    let inside = nemo.key(json!({"unlimited": true, "addresses": ["127.0.0.0/8", "10.0.0.0/8"]})).await;
    let xff = "x-forwarded-for";
    let forged: [&[(&str, &[u8])]; 8] = [
        &[(xff, b"203.0.113.9, 10.0.0.7, 198.51.100.1")],
        &[(xff, b"10.0.0.7"), (xff, b"198.51.100.1")],
        &[(xff, b"\xff\xff, 198.51.100.1")],
        &[(xff, b"\xff\xff"), (xff, b"198.51.100.1, 10.0.0.1")],
        &[(xff, b"10.0.0.7, 198.51.100.1:10, 127.0.0.1")],
        &[(xff, b"198.51.100.1"), ("forwarded", b"for=203.0.113.9")],
        &[(xff, b"198.51.100.1"), ("forwarded", b"for=10.0.0.1;by=10.0.0.1"), ("x-real-ip", b"203.0.113.9")],
        &[(xff, b"198.51.100.1"), ("x-client-ip", b"10.0.0.1"), ("true-client-ip", b"203.0.113.9")],
    ];
    for headers in forged {
        for key in [&office, &inside] {
            told(&send(request(key, headers)).await, 403, "address_not_allowed");
        }
    }
    cost_nothing(&nemo, &[&office, &inside]).await;
    // What is no address counts as the proxy that handed it over, and no header of another name counts at all.
    send(request(&inside, &[(xff, b"203.0.113.9, unknown")])).await.ok();
    send(request(&inside, &[("forwarded", b"for=203.0.113.9")])).await.ok();
    told(&send(request(&office, &[("forwarded", b"for=203.0.113.9")])).await, 403, "address_not_allowed");
    let refusals = office.events().await;
    let refusals =
        refusals.iter().filter(|event| event.kind() == "CallsRefused").map(|event| event.whole().to_string());
    assert!(!refusals.collect::<String>().contains("203.0.113.9"), "no forged address is recorded");
}

#[tokio::test]
async fn where_no_proxy_is_trusted_the_socket_s_peer_is_the_client() {
    let nemo = Setup::default().start().await;
    let office = nemo.key(json!({"unlimited": true, "addresses": [OFFICE]})).await;
    let inside = nemo.key(json!({"unlimited": true, "addresses": ["127.0.0.0/8"]})).await;
    let forged: [(&str, &[u8]); 2] = [("x-forwarded-for", b"203.0.113.9"), ("forwarded", b"for=203.0.113.9")];
    told(&send(request(&office, &forged)).await, 403, "address_not_allowed");
    send(request(&inside, &forged)).await.ok();
    assert_eq!(inside.only_call().await.authorized["client"]["address"], "127.0.0.1");
}
