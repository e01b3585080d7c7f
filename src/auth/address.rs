//! Where a request comes from, and how much of that is recorded.

use std::net::IpAddr;

use actix_web::HttpRequest;
use ipnet::IpNet;
use nemo_events::key::Client;
use nemo_projections::network;

use crate::config::RecordClients;

const USER_AGENT_MAX_BYTES: usize = 256;

/// The socket's peer, or, where that is a trusted proxy, the right-most hop that is none.
#[must_use]
pub fn of(request: &HttpRequest, trusted_proxies: &[IpNet]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let hops = request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = hops.flat_map(|list| list.split(',')).map(str::trim).collect();
    Some(behind_proxies(peer, &hops, trusted_proxies))
}

fn behind_proxies(peer: IpAddr, hops: &[&str], trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| network::contains(net, *address));
    let mut nearest = peer;
    for hop in hops.iter().rev() {
        if !is_trusted(&nearest) {
            break;
        }
        let Ok(address) = hop.parse::<IpAddr>() else { break };
        nearest = address.to_canonical();
    }
    nearest
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

    #[test]
    fn a_forwarded_address_counts_only_behind_trusted_proxies() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(behind_proxies(ip("203.0.113.9"), &["198.51.100.1"], &trusted), ip("203.0.113.9"));
        assert_eq!(
            behind_proxies(ip("10.0.0.1"), &["1.1.1.1", "198.51.100.1", "10.0.0.2"], &trusted),
            ip("198.51.100.1")
        );
        assert_eq!(behind_proxies(ip("10.0.0.1"), &["rubbish"], &trusted), ip("10.0.0.1"));
        assert_eq!(behind_proxies(ip("10.0.0.1"), &[], &trusted), ip("10.0.0.1"));
    }

    #[test]
    fn a_truncated_record_holds_the_network_only() {
        let address = "203.0.113.77".parse().unwrap();
        let client = client(address, Some("x"), RecordClients::Truncated);
        assert_eq!(client.address.as_deref(), Some("203.0.113.0/24"));
    }
}
