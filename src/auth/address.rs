//! Where a request comes from, and how much of that is recorded.
//!
//! Only `X-Forwarded-For` is read, and only from the right, as far as the proxies are trusted: what stands left of
//! the first hop that is none of them was written by whoever wanted to. No other header is believed (`Forwarded`,
//! `X-Real-IP` …), because proxies that do not know one pass on what a client put there.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use actix_web::HttpRequest;
use actix_web::http::header::HeaderValue;
use ipnet::IpNet;
use nemo_events::key::Client;
use nemo_projections::network;

use crate::config::RecordClients;

const USER_AGENT_MAX_BYTES: usize = 256;

/// The socket's peer, or, where that is a trusted proxy, the right-most hop that is none.
#[must_use]
pub fn of(request: &HttpRequest, trusted_proxies: &[IpNet]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let lines = request.headers().get_all("x-forwarded-for").map(HeaderValue::as_bytes);
    Some(behind_proxies(peer, &lines.collect::<Vec<_>>(), trusted_proxies))
}

/// Several lines are one list. A hop that is no address ends the way: nobody knows who is behind it, so the
/// request counts as coming from the proxy that handed it over.
fn behind_proxies(peer: IpAddr, lines: &[&[u8]], trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| network::contains(net, *address));
    let hops = lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b','));
    let mut nearest = peer;
    // Empty elements of a list mean nothing (RFC 9110, 5.6.1).
    for text in hops.map(<[u8]>::trim_ascii).filter(|text| !text.is_empty()) {
        if !is_trusted(&nearest) {
            break;
        }
        let Some(address) = hop(text) else { break };
        nearest = address.to_canonical();
    }
    nearest
}

/// An address, with or without the port that some proxies add: `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1`,
/// `[2001:db8::1]`, `[2001:db8::1]:443`.
fn hop(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let plain = || text.parse::<IpAddr>().ok();
    let with_port = || Some(text.parse::<SocketAddr>().ok()?.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    plain().or_else(with_port).or_else(in_brackets)
}

/// What is recorded of a caller.
#[must_use]
pub fn client(address: IpAddr, user_agent: Option<&str>, record: RecordClients) -> Client {
    match record {
        RecordClients::None => Client::default(),
        RecordClients::Full => Client { address: Some(address.to_string()), user_agent: agent(user_agent) },
        RecordClients::Truncated => {
            Client { address: Some(truncated(address)), user_agent: agent(user_agent) }
        }
    }
}

/// The /24 or /48 that an address lies in.
fn truncated(address: IpAddr) -> String {
    let prefix = if address.is_ipv4() { 24 } else { 48 };
    IpNet::new(address, prefix).map_or_else(|_| "unknown".to_owned(), |net| net.trunc().to_string())
}

fn agent(text: Option<&str>) -> Option<String> {
    text.map(|text| text.get(..text.floor_char_boundary(USER_AGENT_MAX_BYTES)).unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use super::*;

    /// The client as seen through these lines of `X-Forwarded-For`.
    fn seen(peer: &str, lines: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "2001:db8:1::/48"].map(|net| net.parse().unwrap());
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        behind_proxies(peer.parse().unwrap(), &lines, &trusted).to_string()
    }

    #[test]
    fn a_forwarded_address_counts_only_behind_trusted_proxies() {
        assert_eq!(seen("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(seen("2001:db8:1::7", &["1.1.1.1,2001:db8:2::1 , 10.0.0.2"]), "2001:db8:2::1");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3", "nobody else is named");
    }

    #[test]
    fn several_lines_are_one_list_and_its_empty_elements_mean_nothing() {
        assert_eq!(seen("10.0.0.1", &["1.1.1.1", "198.51.100.1, 10.0.0.2", "10.0.0.3"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["198.51.100.1, ,", "", " ,10.0.0.2,"]), "198.51.100.1");
    }

    #[test]
    fn a_port_behind_an_address_is_understood_in_every_form() {
        for (hop, address) in [
            ("198.51.100.1:4711", "198.51.100.1"),
            ("[2001:db8:2::1]:443", "2001:db8:2::1"),
            ("[2001:db8:2::1]", "2001:db8:2::1"),
            ("::ffff:198.51.100.1", "198.51.100.1"),
            ("[::ffff:198.51.100.1]:1", "198.51.100.1"),
        ] {
            assert_eq!(seen("10.0.0.1", &[&format!("1.1.1.1, {hop}, 10.0.0.2:80")]), address);
        }
    }

    #[test]
    fn what_is_no_address_ends_the_way_and_hides_nothing_to_its_right() {
        for rubbish in
            ["rubbish", "unknown", "_hidden", "198.51.100.300", "[198.51.100.1]", "1.1.1.1 2.2.2.2"]
        {
            assert_eq!(seen("10.0.0.1", &[&format!("1.1.1.1, {rubbish}")]), "10.0.0.1", "{rubbish}");
            assert_eq!(seen("10.0.0.1", &[rubbish, "198.51.100.1"]), "198.51.100.1", "{rubbish}");
        }
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let not_even_text: &[u8] = b"\xff\xfe, 198.51.100.1, 10.0.0.2";
        let seen = behind_proxies("10.0.0.1".parse().unwrap(), &[not_even_text], &trusted);
        assert_eq!(seen.to_string(), "198.51.100.1", "a client must not hide by what it puts in front");
    }

    #[test]
    fn a_truncated_record_holds_the_network_only() {
        let address = "203.0.113.77".parse().unwrap();
        let client = client(address, Some("x"), RecordClients::Truncated);
        assert_eq!(client.address.as_deref(), Some("203.0.113.0/24"));
    }
}
