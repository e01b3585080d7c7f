//! Whether an address lies in a network, however either of them is written.

use std::net::IpAddr;

use ipnet::IpNet;

/// Whether a network contains an address. An IPv4 address is the same one in its IPv6 form (`::ffff:a.b.c.d`),
/// and so is a network of such addresses; no other IPv6 network, not even `::/0`, contains any IPv4 address.
#[must_use]
pub fn contains(net: &IpNet, address: IpAddr) -> bool {
    const MAPPED_PREFIX: u8 = 96;
    let address = address.to_canonical();
    let mapped = match (net, address) {
        (IpNet::V6(net), IpAddr::V4(address)) => {
            net.prefix_len() >= MAPPED_PREFIX && net.contains(&address.to_ipv6_mapped())
        }
        (IpNet::V4(_), _) | (IpNet::V6(_), IpAddr::V6(_)) => false,
    };
    mapped || net.contains(&address)
}
