//! Limits from the fields of a form, and back.
//!
//! A field that is empty does not limit. Nothing that cannot be read is taken for nothing: it is told beside its
//! field, and no limit is changed.

use std::str::FromStr;

use nemo_events::limits::{Budget, Endpoint, KeyLimits, WhenShort, WindowKind};
use nemo_events::{Nanos, Timestamp};

use super::wrong::Wrong;
use crate::dashboard::Fields;

/// Names of the fields, as refusals name them.
pub(in crate::dashboard) const NAMES: [&str; 11] = [
    "budgets",
    "max_call_cost",
    "requests_per_minute",
    "tokens_per_minute",
    "concurrent_calls",
    "models",
    "endpoints",
    "addresses",
    "expires_at",
    "default_output_tokens",
    "default_reasoning_output_tokens",
];

/// The endpoints that a key can be held to.
pub(super) const ENDPOINTS: [Endpoint; 6] = [
    Endpoint::ChatCompletions,
    Endpoint::Completions,
    Endpoint::Responses,
    Endpoint::Embeddings,
    Endpoint::Messages,
    Endpoint::CountTokens,
];

/// The fields of a budget: its amount, and the share at which an alert is raised.
pub(super) const fn budget_fields(window: WindowKind) -> (&'static str, &'static str) {
    match window {
        WindowKind::Total => ("budget_total", "alert_total"),
        WindowKind::Day => ("budget_day", "alert_day"),
        WindowKind::Week => ("budget_week", "alert_week"),
        WindowKind::Month => ("budget_month", "alert_month"),
    }
}

/// The fields of limits that are there.
pub(in crate::dashboard) fn fields_of(limits: &KeyLimits) -> Fields {
    let text = |value: Option<String>| value.unwrap_or_default();
    let lines = |values: Option<Vec<String>>| values.unwrap_or_default().join("\n");
    let mut fields = vec![
        ("max_call_cost", text(limits.max_call_cost.map(|most| most.to_string()))),
        ("requests_per_minute", text(limits.requests_per_minute.map(|rate| rate.to_string()))),
        ("tokens_per_minute", text(limits.tokens_per_minute.map(|rate| rate.to_string()))),
        ("concurrent_calls", text(limits.concurrent_calls.map(|calls| calls.to_string()))),
        ("models", lines(limits.models.clone())),
        (
            "addresses",
            lines(limits.addresses.as_ref().map(|all| all.iter().map(ToString::to_string).collect())),
        ),
        ("expires_at", text(limits.expires_at.map(to_the_second))),
        ("when_short", if limits.when_short == WhenShort::Clamp { "clamp" } else { "refuse" }.to_owned()),
        ("default_output_tokens", text(limits.default_output_tokens.map(|tokens| tokens.to_string()))),
        (
            "default_reasoning_output_tokens",
            text(limits.default_reasoning_output_tokens.map(|tokens| tokens.to_string())),
        ),
    ];
    for budget in &limits.budgets {
        let (amount, alert) = budget_fields(budget.window);
        fields.push((amount, budget.limit.to_string()));
        fields.push((alert, text(budget.alert_at_percent.map(|percent| percent.to_string()))));
    }
    fields.extend(limits.endpoints.iter().flatten().map(|endpoint| ("endpoints", endpoint.to_string())));
    if limits.unlimited {
        fields.push(("unlimited", "yes".to_owned()));
    }
    Fields::of(fields)
}

/// The limits that a form states. `before` are those that it was filled with: what a field cannot show in full
/// and was not changed stays as it was.
pub(super) fn read(sent: &Fields, before: Option<&KeyLimits>) -> Result<KeyLimits, Wrong> {
    let limits = read_any(sent, before)?;
    if limits.unlimited || !limits.budgets.is_empty() {
        return Ok(limits);
    }
    let mut wrong = Wrong::default();
    wrong.with("budgets", "Give it a budget, or tick that it has no cap.");
    Err(wrong)
}

/// What an org gives new keys; `None` where the form states nothing.
pub(in crate::dashboard) fn read_defaults(
    sent: &Fields,
    before: Option<&KeyLimits>,
) -> Result<Option<KeyLimits>, Wrong> {
    let states_something = read_any(sent, before)? != KeyLimits::default();
    states_something.then(|| read(sent, before)).transpose()
}

/// What an org bounds its keys to; `None` where the form states nothing.
pub(in crate::dashboard) fn read_bounds(
    sent: &Fields,
    before: Option<&KeyLimits>,
) -> Result<Option<KeyLimits>, Wrong> {
    let bounds = read_any(sent, before)?;
    Ok((bounds != KeyLimits::default()).then_some(bounds))
}

/// Budgets alone.
pub(in crate::dashboard) fn read_budgets(sent: &Fields) -> Result<Vec<Budget>, Wrong> {
    Ok(read_any(sent, None)?.budgets)
}

/// The same where no budget need be among them.
fn read_any(sent: &Fields, before: Option<&KeyLimits>) -> Result<KeyLimits, Wrong> {
    let mut reader = Reader { sent, wrong: Wrong::default() };
    let limits = KeyLimits {
        budgets: WindowKind::ALL.into_iter().filter_map(|window| reader.budget(window)).collect(),
        unlimited: sent.is_set("unlimited"),
        max_call_cost: reader.money("max_call_cost"),
        requests_per_minute: reader.number("requests_per_minute"),
        tokens_per_minute: reader.number("tokens_per_minute"),
        concurrent_calls: reader.number("concurrent_calls"),
        models: reader.list("models").map(|names| names.into_iter().map(str::to_owned).collect()),
        endpoints: reader.endpoints(),
        addresses: reader.addresses(),
        expires_at: reader.moment(before.and_then(|limits| limits.expires_at)),
        when_short: if sent.text("when_short") == "clamp" { WhenShort::Clamp } else { WhenShort::Refuse },
        default_output_tokens: reader.number("default_output_tokens"),
        default_reasoning_output_tokens: reader.number("default_reasoning_output_tokens"),
    };
    if limits.unlimited && !limits.budgets.is_empty() {
        reader.wrong.with(
            "unlimited",
            "A key has either a budget or no cap. Empty the budgets, or take the tick away.",
        );
    }
    if reader.wrong.is_nothing() { Ok(limits) } else { Err(reader.wrong) }
}

struct Reader<'a> {
    sent: &'a Fields,
    wrong: Wrong,
}

impl Reader<'_> {
    fn budget(&mut self, window: WindowKind) -> Option<Budget> {
        let (amount, alert) = budget_fields(window);
        let limit = self.money(amount)?;
        Some(Budget { window, limit, alert_at_percent: self.number(alert) })
    }

    fn money(&mut self, name: &'static str) -> Option<Nanos> {
        let text = self.sent.text(name);
        let amount = Nanos::from_str(text.strip_prefix('$').unwrap_or(text));
        self.given(name, text, amount.ok(), "Write dollars as 25 or 2.50.")
    }

    fn number<N: FromStr>(&mut self, name: &'static str) -> Option<N> {
        let text = self.sent.text(name);
        self.given(name, text, text.parse().ok(), "Write a whole number.")
    }

    /// What a field holds; what cannot be read is told.
    fn given<T>(&mut self, name: &'static str, text: &str, value: Option<T>, how: &str) -> Option<T> {
        if text.is_empty() {
            return None;
        }
        if value.is_none() {
            self.wrong.with(name, how);
        }
        value
    }

    /// Lines, or what commas separate; `None` where there are none.
    fn list(&self, name: &'static str) -> Option<Vec<&str>> {
        let parts = self.sent.as_sent(name).split([',', '\n']).map(str::trim);
        let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
        (!parts.is_empty()).then_some(parts)
    }

    fn endpoints(&mut self) -> Option<Vec<Endpoint>> {
        let chosen: Vec<&str> = self.sent.all("endpoints").collect();
        let known: Vec<_> = ENDPOINTS.into_iter().filter(|known| chosen.contains(&known.as_str())).collect();
        if known.len() != chosen.len() {
            self.wrong.with("endpoints", "One of these is no endpoint.");
        }
        (!known.is_empty()).then_some(known)
    }

    fn addresses(&mut self) -> Option<Vec<ipnet::IpNet>> {
        let parts = self.list("addresses")?;
        let network = |text: &str| {
            let alone = || text.parse::<std::net::IpAddr>().ok().map(ipnet::IpNet::from);
            text.parse().ok().or_else(alone)
        };
        let networks: Vec<_> = parts.iter().filter_map(|text| network(text)).collect();
        if networks.len() != parts.len() {
            self.wrong
                .with("addresses", "Write networks as 10.0.0.0/8 or 2001:db8::/32, or single addresses.");
        }
        Some(networks)
    }

    /// A moment in UTC, as browsers send one, with seconds or without.
    fn moment(&mut self, before: Option<Timestamp>) -> Option<Timestamp> {
        let text = self.sent.text("expires_at");
        if before.is_some_and(|before| to_the_second(before) == text) {
            return before;
        }
        let forms = [text.to_owned(), format!("{text}Z"), format!("{text}:00Z"), format!("{text}T00:00:00Z")];
        let moment = forms.iter().find_map(|form| form.parse().ok());
        self.given("expires_at", text, moment, "Write a moment in UTC as 2026-12-31T18:00.")
    }
}

/// As browsers write a moment in a field.
fn to_the_second(at: Timestamp) -> String {
    at.to_datetime().format("%Y-%m-%dT%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails loudly")]
    use super::*;

    #[test]
    fn limits_survive_their_form() {
        let budget = |window, limit: &str, alert| Budget {
            window,
            limit: limit.parse().unwrap(),
            alert_at_percent: alert,
        };
        let limits = KeyLimits {
            budgets: vec![
                budget(WindowKind::Total, "10", None),
                budget(WindowKind::Month, "0.000000001", Some(50)),
            ],
            max_call_cost: Some("0.5".parse().unwrap()),
            requests_per_minute: Some(60),
            tokens_per_minute: Some(u64::MAX),
            concurrent_calls: Some(3),
            models: Some(vec!["gpt-*".into(), "claude".into()]),
            endpoints: Some(vec![Endpoint::ChatCompletions, Endpoint::Messages]),
            addresses: Some(vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()]),
            expires_at: Some("2026-12-31T10:00:00.123456Z".parse().unwrap()),
            when_short: WhenShort::Clamp,
            default_output_tokens: Some(100),
            default_reasoning_output_tokens: Some(200),
            ..KeyLimits::default()
        };
        assert_eq!(read(&fields_of(&limits), Some(&limits)).unwrap(), limits);
        let unlimited = KeyLimits { unlimited: true, ..KeyLimits::default() };
        assert_eq!(read(&fields_of(&unlimited), None).unwrap(), unlimited);
    }

    #[test]
    fn what_cannot_be_read_is_told_beside_its_field_and_never_taken_for_nothing() {
        let cases = [
            ("budget_day=2%2C50", "budget_day"),
            ("budget_day=1&alert_day=half", "alert_day"),
            ("budget_day=1&requests_per_minute=1e3", "requests_per_minute"),
            ("budget_day=1&concurrent_calls=-1", "concurrent_calls"),
            ("budget_day=1&addresses=10.0.0.0%2F40", "addresses"),
            ("budget_day=1&endpoints=everything", "endpoints"),
            ("budget_day=1&expires_at=tomorrow", "expires_at"),
            ("budget_day=1&unlimited=yes", "unlimited"),
            ("", "budgets"),
        ];
        for (sent, field) in cases {
            let wrong = read(&Fields::parse(sent), None).unwrap_err();
            assert!(wrong.of(field).is_some(), "{sent}: {wrong:?}");
        }
    }

    #[test]
    fn an_org_may_state_nothing_and_bounds_need_no_budget() {
        let nothing = Fields::parse("when_short=refuse");
        assert_eq!((read_defaults(&nothing, None), read_bounds(&nothing, None)), (Ok(None), Ok(None)));
        let rate = Fields::parse("requests_per_minute=5");
        assert!(read_defaults(&rate, None).unwrap_err().of("budgets").is_some());
        assert_eq!(read_bounds(&rate, None).unwrap().unwrap().requests_per_minute, Some(5));
        assert!(read_bounds(&Fields::parse("requests_per_minute=x"), None).is_err());
    }

    #[test]
    fn people_write_amounts_moments_and_addresses_in_more_ways_than_one() {
        let sent =
            Fields::parse("budget_month=%2425&expires_at=2026-12-31T18%3A00&addresses=10.1.2.3%2C%20::1");
        let limits = read(&sent, None).unwrap();
        assert_eq!(limits.budgets[0].limit.to_string(), "25");
        assert_eq!(limits.expires_at.unwrap().to_string(), "2026-12-31T18:00:00.000000Z");
        assert_eq!(limits.addresses.unwrap()[0].to_string(), "10.1.2.3/32");
        let day = read(&Fields::parse("budget_month=1&expires_at=2026-12-31"), None).unwrap();
        assert_eq!(day.expires_at.unwrap().to_string(), "2026-12-31T00:00:00.000000Z");
    }
}
