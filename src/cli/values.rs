//! What may stand on the command line, each as its own type. A text that is none is clap's to refuse.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail, ensure};
use ipnet::IpNet;
use nemo_events::limits::{Endpoint, WindowKind};
use nemo_events::{KeyId, Nanos, OrgId, Revision, Timestamp};
use reqwest::Url;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as NameError, StrDeserializer};

use crate::cli::render::text::without_keys;

/// Where the server is: `http://` or `https://`, host and port, and a path if it is mounted below one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl(Url);

impl ServerUrl {
    /// An address under the server; each segment is escaped.
    #[must_use]
    pub fn at(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        // An http address always has a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Whether nobody in between can read what is sent.
    #[must_use]
    pub fn is_private(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        self.0.scheme() == "https"
            || host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for ServerUrl {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let url = Url::parse(text).context("not a URL such as http://127.0.0.1:4141")?;
        ensure!(
            matches!(url.scheme(), "http" | "https") && url.has_host(),
            "must begin with http:// or https://"
        );
        ensure!(url.username().is_empty() && url.password().is_none(), "must not carry a name or password");
        ensure!(url.query().is_none() && url.fragment().is_none(), "must not carry a query or fragment");
        Ok(Self(url))
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// An org as people name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrgName {
    /// By id.
    Id(OrgId),
    /// By its name, exactly.
    Named(String),
}

impl FromStr for OrgName {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        ensure!(!text.trim().is_empty(), "an org's id or name, not nothing");
        Ok(text.parse().map_or_else(|_| Self::Named(text.to_owned()), Self::Id))
    }
}

/// A cap on spend: `day=5.00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetValue {
    /// The windows that it counts.
    pub window: WindowKind,
    /// The cap.
    pub limit: Nanos,
}

impl FromStr for BudgetValue {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (window, limit) =
            text.split_once('=').ok_or_else(|| anyhow!("not WINDOW=DOLLARS, such as day=5.00"))?;
        Ok(Self { window: window_named(window)?, limit: dollars(limit)? })
    }
}

/// When a budget raises an alert: `day=80`, or `day=off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertValue {
    /// The budget's windows.
    pub window: WindowKind,
    /// The share of the budget in percent; `None` for no alert.
    pub percent: Option<u8>,
}

impl FromStr for AlertValue {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (window, percent) =
            text.split_once('=').ok_or_else(|| anyhow!("not WINDOW=PERCENT, such as day=80"))?;
        let percent = match percent {
            "off" => None,
            _ => Some(percent.trim_end_matches('%').parse().ok().filter(|p| (1..=100).contains(p))),
        };
        let percent = percent.map(|p| p.context("a percentage lies between 1 and 100")).transpose()?;
        Ok(Self { window: window_named(window)?, percent })
    }
}

/// A moment, or how long from now: `2027-01-31T00:00:00Z` or `30d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryValue {
    /// At this moment.
    At(Timestamp),
    /// So long after the command runs.
    After(Span),
}

impl ExpiryValue {
    /// The moment that is meant.
    #[must_use]
    pub const fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::After(span) => now.plus_secs(span.secs as i64),
        }
    }
}

impl FromStr for ExpiryValue {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(moment) = text.parse() {
            return Ok(Self::At(moment));
        }
        let span: Span =
            text.parse().context("neither a time such as 2027-01-31T00:00:00Z nor a span such as 30d")?;
        ensure!(span.secs > 0, "a key that expires at once is of no use");
        Ok(Self::After(span))
    }
}

/// A moment that has passed, or how long ago it was: `2026-11-22T10:00:00Z` or `3d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PastValue {
    /// This moment.
    At(Timestamp),
    /// So long before the command runs.
    Ago(Span),
}

impl PastValue {
    /// The moment that is meant.
    #[must_use]
    pub fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::Ago(span) => now.plus_secs(i64::from(span.secs).saturating_neg()),
        }
    }
}

impl FromStr for PastValue {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(moment) = text.parse() {
            return Ok(Self::At(moment));
        }
        let span =
            text.parse().context("neither a time such as 2026-11-22T10:00:00Z nor a span such as 3d")?;
        Ok(Self::Ago(span))
    }
}

/// A stretch of time: `0`, `90s`, `15m`, `1h`, `30d`, `2w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its seconds; at most those of a hundred years of weeks, so that sums with them fit.
    pub secs: u32,
}

impl FromStr for Span {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "0" {
            return Ok(Self { secs: 0 });
        }
        let (count, unit) = text.split_at_checked(text.len().saturating_sub(1)).unwrap_or_default();
        let unit_secs = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "w" => 604_800,
            _ => bail!("not a span of time such as 90s, 15m, 1h or 30d"),
        };
        let digits = !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit());
        ensure!(digits, "not a span of time such as 90s, 15m, 1h or 30d");
        let secs = count.parse::<u32>().ok().and_then(|count| count.checked_mul(unit_secs));
        Ok(Self { secs: secs.context("too long a span of time")? })
    }
}

/// Reads a key's id, with or without its `key_`.
///
/// # Errors
/// Anything else; a full key gets words of its own and is not repeated in them.
pub fn key_id(text: &str) -> Result<KeyId> {
    ensure!(
        without_keys(text) == text,
        "that is a full key: name it by its id, and rotate it, because your shell's history now holds it"
    );
    text.parse().context("not a key's id, which is key_ and 11 letters and digits")
}

/// Reads a revision, with or without its `@`.
///
/// # Errors
/// Anything but a number.
pub fn revision(text: &str) -> Result<Revision> {
    text.trim_start_matches('@').parse().map(Revision).context("not a revision such as 12 or @12")
}

/// Reads a moment; a date alone is its first moment in UTC.
///
/// # Errors
/// Anything else.
pub fn moment(text: &str) -> Result<Timestamp> {
    let midnight = || format!("{text}T00:00:00Z").parse();
    let moment = text.parse().or_else(|_| midnight());
    moment.map_err(|_| anyhow!("not a time such as 2026-11-01 or 2026-11-01T06:00:00Z"))
}

/// Reads dollars, with or without the sign; never negative.
///
/// # Errors
/// Anything but a decimal amount with at most nine decimals.
pub fn dollars(text: &str) -> Result<Nanos> {
    let amount: Nanos =
        text.trim_start_matches('$').parse().context("not an amount of dollars such as 5.00")?;
    ensure!(!amount.is_negative(), "an amount cannot be negative");
    Ok(amount)
}

/// Reads a network, or one address as the network of itself.
///
/// # Errors
/// Anything else.
pub fn network(text: &str) -> Result<IpNet> {
    let one = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| one()).context("not a network such as 10.0.0.0/8, nor an address")
}

/// Reads an endpoint by its name in JSON.
///
/// # Errors
/// Names all endpoints.
pub fn endpoint(text: &str) -> Result<Endpoint> {
    named(text)
}

/// A kind of window by its name: `total`, `day`, `week` or `month`.
///
/// # Errors
/// Another name.
pub fn window_named(text: &str) -> Result<WindowKind> {
    named(text)
}

/// The variant of this name; the error lists all names.
fn named<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T> {
    let name: StrDeserializer<'_, NameError> = text.into_deserializer();
    T::deserialize(name).map_err(|error| anyhow!("{error}"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use super::*;

    #[test]
    fn a_server_is_a_plain_web_address() {
        let server: ServerUrl = "https://nemo.example/gate/".parse().unwrap();
        assert_eq!(
            server.at(&["api", "keys", "a/b?"]).as_str(),
            "https://nemo.example/gate/api/keys/a%2Fb%3F"
        );
        assert_eq!(server.to_string(), "https://nemo.example/gate");
        for bad in
            ["", "nemo", "ftp://x", "http://", "http://u:p@x", "http://u@x", "http://x/?a=1", "http://x/#a"]
        {
            assert!(bad.parse::<ServerUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_https_and_this_machine_are_private() {
        for (url, private) in [
            ("http://127.0.0.1:4141", true),
            ("http://[::1]:4141", true),
            ("http://localhost", true),
            ("https://nemo.example", true),
            ("http://nemo.example", false),
            ("http://10.0.0.1", false),
            ("http://localhost.example", false),
        ] {
            assert_eq!(url.parse::<ServerUrl>().unwrap().is_private(), private, "{url}");
        }
    }

    #[test]
    fn an_org_is_named_by_its_id_or_its_name() {
        let id = "0197b5a0-0000-7000-8000-000000000001";
        assert_eq!(id.parse::<OrgName>().unwrap(), OrgName::Id(id.parse().unwrap()));
        assert_eq!("Acme".parse::<OrgName>().unwrap(), OrgName::Named("Acme".into()));
        assert!(" ".parse::<OrgName>().is_err());
    }

    #[test]
    fn a_budget_is_a_window_and_dollars() {
        let limit = Nanos::from_nanos(5_500_000_000);
        for text in ["day=5.50", "day=$5.5"] {
            assert_eq!(text.parse::<BudgetValue>().unwrap(), BudgetValue { window: WindowKind::Day, limit });
        }
        for bad in ["5", "day", "day=", "day=-1", "day=1e3", "hour=1", "=1", "day=1,000", "day=0.0000000001"]
        {
            assert!(bad.parse::<BudgetValue>().is_err(), "{bad}");
        }
        let told = "hour=1".parse::<BudgetValue>().unwrap_err().to_string();
        assert!(told.contains("`total`") && told.contains("`month`"), "{told}");
    }

    #[test]
    fn an_alert_is_a_window_and_a_percentage_or_off() {
        let alert = |text: &str| text.parse::<AlertValue>().unwrap().percent;
        assert_eq!((alert("day=80"), alert("month=100%"), alert("day=off")), (Some(80), Some(100), None));
        for bad in ["day=0", "day=101", "day=-1", "day=", "80", "day=none"] {
            assert!(bad.parse::<AlertValue>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_span_is_a_number_and_a_unit() {
        let secs = |text: &str| text.parse::<Span>().unwrap().secs;
        assert_eq!((secs("0"), secs("90s"), secs("15m"), secs("1h")), (0, 90, 900, 3_600));
        assert_eq!((secs("30d"), secs("2w")), (2_592_000, 1_209_600));
        for bad in ["", "1", "h", "-1h", "+1h", "1.5h", "1 h", "1H", "1ü", "9999999999w"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_past_is_a_moment_or_a_span_before_now() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let moment = |text: &str| text.parse::<PastValue>().unwrap().moment(now).to_string();
        assert_eq!(moment("3d"), "2026-11-19T10:00:00.000000Z");
        assert_eq!(moment("2026-11-21T10:00:00Z"), "2026-11-21T10:00:00.000000Z");
        assert!("yesterday".parse::<PastValue>().is_err());
    }

    #[test]
    fn an_expiry_is_a_moment_or_a_span_from_now() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let moment = |text: &str| text.parse::<ExpiryValue>().unwrap().moment(now).to_string();
        assert_eq!(moment("30d"), "2026-12-22T10:00:00.000000Z");
        assert_eq!(moment("2027-01-31T00:00:00+01:00"), "2027-01-30T23:00:00.000000Z");
        for bad in ["0", "0d", "tomorrow", "2027-01-31"] {
            assert!(bad.parse::<ExpiryValue>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_moment_is_a_time_or_the_beginning_of_a_day() {
        let text = |text: &str| moment(text).unwrap().to_string();
        assert_eq!(text("2026-11-01"), "2026-11-01T00:00:00.000000Z");
        assert_eq!(text("2026-11-01T06:00:00+01:00"), "2026-11-01T05:00:00.000000Z");
        for bad in ["", "2026-11", "2026-11-31", "yesterday", "T00:00:00Z"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_is_a_network_of_its_own() {
        assert_eq!(network("10.0.0.1").unwrap().to_string(), "10.0.0.1/32");
        assert_eq!(network("fd00::/8").unwrap().to_string(), "fd00::/8");
        assert!(network("10.0.0.0/33").is_err());
        assert_eq!(endpoint("count_tokens").unwrap(), Endpoint::CountTokens);
        assert!(endpoint("chat").is_err());
    }
}
