//! Where calls may come from, at the edges of networks and in both forms of an IPv4 address.

use std::net::IpAddr;

use nemo_events::limits::KeyLimits;
use nemo_projections::Refusal;
use nemo_projections::decide::Authorize;

use crate::support::{call, key, noon, unlimited};

/// A network, addresses in it, and addresses outside of it.
type Case = (&'static str, &'static [&'static str], &'static [&'static str]);

const CASES: [Case; 14] = [
    ("203.0.113.7/32", &["203.0.113.7", "::ffff:203.0.113.7"], &["203.0.113.6", "203.0.113.8"]),
    ("203.0.113.6/31", &["203.0.113.6", "203.0.113.7"], &["203.0.113.5", "203.0.113.8"]),
    ("203.0.113.0/24", &["203.0.113.0", "203.0.113.255"], &["203.0.112.255", "203.0.114.0"]),
    // Bits behind the prefix do not matter.
    ("203.0.113.99/24", &["203.0.113.0", "203.0.113.255"], &["203.0.112.255", "203.0.114.0"]),
    ("128.0.0.0/1", &["128.0.0.0", "255.255.255.255"], &["127.255.255.255", "8000::"]),
    ("0.0.0.0/0", &["0.0.0.0", "255.255.255.255", "::ffff:8.8.8.8"], &["::", "::1", "2001:db8::1"]),
    ("2001:db8::7/128", &["2001:db8::7"], &["2001:db8::6", "2001:db8::8"]),
    (
        "2001:db8::/32",
        &["2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"],
        &["2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"],
    ),
    ("2001:db8::/127", &["2001:db8::", "2001:db8::1"], &["2001:db8::2", "2001:db7:ffff::"]),
    // Whoever allows all of IPv6 has not allowed IPv4.
    ("::/0", &["::", "ffff:ffff::1"], &["203.0.113.7", "::ffff:203.0.113.7"]),
    ("::/64", &["::1"], &["0.0.0.1", "::ffff:203.0.113.7"]),
    // An IPv4 network in the form of IPv6.
    ("::ffff:203.0.113.0/120", &["203.0.113.0", "::ffff:203.0.113.255"], &["203.0.112.255", "::203.0.113.0"]),
    ("::ffff:203.0.113.7/128", &["203.0.113.7", "::ffff:203.0.113.7"], &["203.0.113.8", "::203.0.113.7"]),
    ("::ffff:0:0/96", &["0.0.0.0", "255.255.255.255", "::ffff:1.2.3.4"], &["::1", "::fffe:1.2.3.4"]),
];

fn from(net: &str, address: &str) -> Result<(), Refusal> {
    let key = key(KeyLimits { addresses: Some(vec![net.parse().unwrap()]), ..unlimited() });
    let command = Authorize { address: address.parse::<IpAddr>().unwrap(), ..call(1) };
    key.when(&command, noon()).result().map(|_| ())
}

#[test]
fn a_network_reaches_from_its_first_address_to_its_last_and_not_one_further() {
    for (net, inside, outside) in CASES {
        for address in inside {
            assert_eq!(from(net, address), Ok(()), "{address} in {net}");
        }
        for address in outside {
            assert_eq!(from(net, address), Err(Refusal::AddressNotAllowed), "{address} not in {net}");
        }
    }
}
