//! An event of a key in a person's words: what happened, the circumstances, and what it cost.

use nemo_events::key::{
    BudgetAlertRaised, CallAuthorized, CallCorrected, CallForfeited, CallSettled, CallVoided, CallsRefused,
    Ending, Evidence, ForfeitReason, VoidReason,
};
use nemo_events::{KeyEvent, Nanos};

use crate::audit::{Entry, OfCall};
use crate::dashboard::components::Tone;
use crate::figures::money::{self, grouped};
use crate::figures::time::to_the_second;

/// What a row of the list says.
pub(super) struct Told {
    /// What happened.
    pub(super) what: String,
    /// The circumstances, each by itself.
    pub(super) how: Vec<String>,
    /// What it cost, or holds.
    pub(super) amount: Option<Nanos>,
    pub(super) tone: Tone,
}

impl Told {
    fn new(what: impl Into<String>, tone: Tone) -> Self {
        Self { what: what.into(), how: Vec::new(), amount: None, tone }
    }

    fn with(mut self, how: impl IntoIterator<Item = String>) -> Self {
        self.how.extend(how.into_iter().filter(|how| !how.is_empty()));
        self
    }

    const fn costs(mut self, amount: Nanos) -> Self {
        self.amount = Some(amount);
        self
    }
}

/// Types of events and what they are called where one is chosen.
pub(super) const TYPES: [(&str, &str); 20] = [
    ("CallSettled", "Calls billed"),
    ("CallAuthorized", "Calls authorised"),
    ("CallVoided", "Calls that cost nothing"),
    ("CallForfeited", "Calls unconfirmed"),
    ("CallCorrected", "Corrections"),
    ("CallsRefused", "Refusals"),
    ("BudgetAlertRaised", "Budget alerts"),
    ("KeyCreated", "Created"),
    ("KeyRelabelled", "Relabelled"),
    ("KeyLimitsSet", "Limits set"),
    ("KeyBlocked", "Blocked"),
    ("KeyUnblocked", "Unblocked"),
    ("KeySecretRotated", "Secret rotated"),
    ("KeySecretRetired", "Secret retired"),
    ("KeyDigestRenewed", "Digest renewed"),
    ("KeyModelCleared", "Model cleared"),
    ("KeyRevoked", "Revoked"),
    ("AllotmentRequired", "Org budgets in force"),
    ("AllotmentReceived", "Slices received"),
    ("AllotmentReturned", "Slices returned"),
];

/// What an event says.
pub(super) fn told(entry: &Entry) -> Told {
    let call = entry.call.as_ref();
    let reason = |reason: &Option<String>| reason.clone();
    match &entry.event {
        KeyEvent::KeyCreated(e) => Told::new("Key created", Tone::Good)
            .with([format!("“{}”", e.labels.name), format!("secret …{}", e.secret.last_four)]),
        KeyEvent::KeyRelabelled(e) => {
            Told::new("Labels changed", Tone::Info).with([format!("“{}”", e.labels.name)])
        }
        KeyEvent::KeyLimitsSet(e) => {
            let budgets = e.limits.budgets.iter().map(|b| format!("{} {}", money::total(b.limit), b.window));
            let capped = !e.limits.budgets.is_empty();
            Told::new("Limits set", Tone::Info).with(budgets).with((!capped).then(|| "no cap".to_owned()))
        }
        KeyEvent::KeyBlocked(e) => Told::new("Key blocked", Tone::Warning).with(reason(&e.reason)),
        KeyEvent::KeyUnblocked(_) => Told::new("Key unblocked", Tone::Good),
        KeyEvent::KeySecretRotated(e) => Told::new("Secret rotated", Tone::Info)
            .with([format!("new one …{}", e.secret.last_four)])
            .with([format!("earlier ones until {}", to_the_second(e.previous_valid_until))])
            .with(e.leaked.then(|| "the earlier one leaked".to_owned())),
        KeyEvent::KeySecretRetired(e) => {
            Told::new("Secret retired", Tone::Info).with([format!("version {}", e.version)])
        }
        KeyEvent::KeyDigestRenewed(e) => Told::new("Digest renewed", Tone::Info)
            .with([format!("version {} under pepper {}", e.secret.version, e.secret.pepper)]),
        KeyEvent::KeyModelCleared(e) => {
            Told::new("Model cleared", Tone::Info).with([format!("{} at {}", e.provider_model, e.provider)])
        }
        KeyEvent::KeyRevoked(e) => Told::new("Key revoked", Tone::Bad).with(reason(&e.reason)),
        KeyEvent::CallAuthorized(e) => authorized(e),
        KeyEvent::CallSettled(e) => settled(e, call),
        KeyEvent::CallVoided(e) => voided(e, call),
        KeyEvent::CallForfeited(e) => forfeited(e, call),
        KeyEvent::CallCorrected(e) => corrected(e, call),
        KeyEvent::CallsRefused(e) => refused(e),
        KeyEvent::BudgetAlertRaised(e) => alerted(e),
        KeyEvent::AllotmentRequired(_) => {
            Told::new("Org budgets in force", Tone::Info).with(["calls draw on slices of them".to_owned()])
        }
        KeyEvent::AllotmentReceived(e) => Told::new("Slice of the org's budgets received", Tone::Info)
            .with([format!("{} in all for {}", money::one_call(e.total), e.day)]),
        KeyEvent::AllotmentReturned(e) => Told::new("Slice of the org's budgets returned", Tone::Info)
            .with([format!("{} in all of {}", money::one_call(e.total), e.day)]),
    }
}

fn from(address: Option<&String>) -> Option<String> {
    address.map(|address| format!("from {address}"))
}

fn of(call: Option<&OfCall>) -> impl Iterator<Item = String> {
    let model = call.map(|call| call.provider_model.clone());
    model.into_iter().chain(from(call.and_then(|call| call.address.as_ref())))
}

fn authorized(e: &CallAuthorized) -> Told {
    Told::new("Call authorised", Tone::Info)
        .with([e.provider_model.clone(), format!("holds {}", money::one_call(e.hold.amount))])
        .with((e.attempt > 1).then(|| format!("attempt {} at {}", e.attempt, e.provider)))
        .with(from(e.client.address.as_ref()))
}

fn settled(e: &CallSettled, call: Option<&OfCall>) -> Told {
    let usage = &e.usage;
    let input = usage.input.saturating_add(usage.cache_read).saturating_add(usage.cache_write);
    let tokens = format!("{} in, {} out", grouped(input), grouped(usage.output));
    let ending = match e.ending {
        Ending::Completed => None,
        Ending::ClientLeft => Some("the client left"),
        Ending::ProviderFailed => Some("the provider broke off"),
        Ending::TimedOut => Some("the provider fell silent"),
        Ending::DeadlineReached => Some("the deadline came"),
        Ending::KeyRevoked => Some("the key was revoked"),
        Ending::Stopped => Some("the gateway stopped"),
    };
    let estimated = (e.evidence == Evidence::Estimated).then(|| "estimated".to_owned());
    let over = e.over_hold.then(|| "more than the hold".to_owned());
    let tone = if e.over_hold { Tone::Bad } else { Tone::Good };
    let model = call.map(|call| call.provider_model.clone());
    let address = from(call.and_then(|call| call.address.as_ref()));
    let how = model.into_iter().chain([tokens]).chain(address).chain(ending.map(str::to_owned));
    Told::new("Call billed", tone).with(how).with(estimated).with(over).costs(e.cost)
}

fn voided(e: &CallVoided, call: Option<&OfCall>) -> Told {
    let why = match e.reason {
        VoidReason::NotSent => "nothing was sent",
        VoidReason::NotConnected => "the provider could not be reached",
        VoidReason::ProviderRefused => "the provider refused",
        VoidReason::ProviderFailed => "the provider failed",
    };
    let status = e.status.map(|status| format!("status {status}"));
    Told::new("Call cost nothing", Tone::Ended)
        .with(of(call))
        .with([why.to_owned()])
        .with(status)
        .costs(Nanos::ZERO)
}

fn forfeited(e: &CallForfeited, call: Option<&OfCall>) -> Told {
    let why = match e.reason {
        ForfeitReason::TimedOut => "the provider fell silent",
        ForfeitReason::Reset => "the connection broke",
        ForfeitReason::NodeDied => "the node died",
        ForfeitReason::DeadlinePassed => "the deadline passed",
        ForfeitReason::Cut => "it was cut",
    };
    Told::new("Call unconfirmed", Tone::Warning).with(of(call)).with([why.to_owned()]).costs(e.charged)
}

fn corrected(e: &CallCorrected, call: Option<&OfCall>) -> Told {
    let change = format!("{} → {}", money::one_call(e.charged_before), money::one_call(e.charged));
    Told::new("Charge corrected", Tone::Info).with(of(call)).with([change, e.reason.clone()]).costs(e.charged)
}

fn refused(e: &CallsRefused) -> Told {
    let count = e.refusals.iter().fold(0_u64, |sum, refusal| sum.saturating_add(refusal.count));
    let how = e.refusals.iter().map(|refusal| {
        let from = match (&refusal.address, refusal.other_addresses) {
            (Some(address), _) => format!(" from {address}"),
            (None, Some(others)) => format!(" from {others} further addresses"),
            (None, None) => String::new(),
        };
        format!("{} × {}{from}", grouped(refusal.count), refusal.code.replace('_', " "))
    });
    let what =
        if count == 1 { "Call refused".to_owned() } else { format!("{} calls refused", grouped(count)) };
    let alert = (!e.alerts.is_empty()).then(|| format!("alert: {}", e.alerts.join(", ").replace('_', " ")));
    Told::new(what, Tone::Warning).with(how).with(alert)
}

fn alerted(e: &BudgetAlertRaised) -> Told {
    let spent = format!("{} of {} {}", money::total(e.settled), money::total(e.limit), e.window);
    Told::new(format!("Budget alert: {} % reached", e.percent), Tone::Warning).with([spent])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_event_can_be_chosen() {
        for (name, _) in KeyEvent::TYPES {
            assert!(TYPES.iter().any(|(known, _)| known == name), "{name}");
        }
        assert_eq!(TYPES.len(), KeyEvent::TYPES.len());
    }
}
