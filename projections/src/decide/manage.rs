//! What a manager may ask of a key: create, relabel, limit, block, rotate, revoke.

use std::collections::BTreeSet;

use nemo_events::key::{
    KeyBlocked, KeyCreated, KeyDigestRenewed, KeyLimitsSet, KeyModelCleared, KeyRelabelled, KeyRevoked,
    KeySecret, KeySecretRetired, KeySecretRotated, KeyUnblocked, Labels, RefusalCount,
};
use nemo_events::limits::{Budget, KeyLimits, WhenShort};
use nemo_events::{KeyEvent, OrgId, Timestamp};

use super::KeyCommand;
use super::slices::{LetGo, and_return};
use crate::key::{SECRETS_KEPT, Status};
use crate::org::Standing;
use crate::{KeyState, Refusal, alerts, bounds};

const LABEL_MAX_BYTES: usize = 128;
const TAGS_MAX: usize = 16;
const PATTERNS_MAX: usize = 64;
const REASON_MAX_BYTES: usize = 512;
const OVERLAP_MAX_SECS: i64 = 30 * 24 * 3600;

/// Creates the key.
#[derive(Debug, Clone)]
pub struct Create {
    /// Its org.
    pub org: OrgId,
    /// Whether the org takes new keys.
    pub standing: Standing,
    /// What it is for.
    pub labels: Labels,
    /// What it may do.
    pub limits: KeyLimits,
    /// What its org bounds that to.
    pub bounds: Option<KeyLimits>,
    /// Its first secret.
    pub secret: KeySecret,
}

/// Replaces the labels.
#[derive(Debug, Clone)]
pub struct Relabel {
    /// All labels.
    pub labels: Labels,
}

/// Replaces the limits.
#[derive(Debug, Clone)]
pub struct SetLimits {
    /// All limits.
    pub limits: KeyLimits,
    /// What the key's org bounds them to.
    pub bounds: Option<KeyLimits>,
}

/// Blocks the key.
#[derive(Debug, Clone)]
pub struct Block {
    /// Why.
    pub reason: Option<String>,
}

/// Unblocks the key.
#[derive(Debug, Clone)]
pub struct Unblock;

/// Gives the key a new secret. The version is found by the decision.
#[derive(Debug, Clone)]
pub struct Rotate {
    /// The new secret; its version is set to the next one.
    pub secret: KeySecret,
    /// For how long the earlier secrets still work.
    pub overlap_secs: u32,
    /// The earlier secret leaked: no overlap.
    pub leaked: bool,
}

/// Ends an earlier secret's overlap now.
#[derive(Debug, Clone)]
pub struct RetireSecret {
    /// Which.
    pub version: u32,
}

/// Digests the presented secret again under the current pepper.
#[derive(Debug, Clone)]
pub struct RenewDigest {
    /// The secret as digested now.
    pub secret: KeySecret,
}

/// Lets the key call a flagged model again.
#[derive(Debug, Clone)]
pub struct ClearModel {
    /// The provider.
    pub provider: String,
    /// The model's name there.
    pub provider_model: String,
}

/// Revokes the key.
#[derive(Debug, Clone)]
pub struct Revoke {
    /// Why.
    pub reason: Option<String>,
}

/// Writes down refusals of the key.
#[derive(Debug, Clone)]
pub struct RecordRefusals {
    /// The first one's moment.
    pub since: Timestamp,
    /// The counts.
    pub refusals: Vec<RefusalCount>,
}

fn existing(state: Option<&KeyState>) -> Result<&KeyState, Refusal> {
    state.ok_or(Refusal::KeyUnknown)
}

fn living(state: Option<&KeyState>) -> Result<&KeyState, Refusal> {
    let key = existing(state)?;
    if key.status == Status::Revoked { Err(Refusal::Revoked) } else { Ok(key) }
}

impl KeyCommand for Create {
    fn decide(&self, state: Option<&KeyState>, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        if state.is_some() {
            return Err(Refusal::KeyExists);
        }
        match self.standing {
            Standing::Archived => return Err(Refusal::OrgArchived),
            Standing::Active | Standing::Suspended => {}
        }
        validate_labels(&self.labels)?;
        validate_limits(&self.limits)?;
        if self.limits.expires_at.is_some_and(|expiry| expiry <= now) {
            return Err(invalid("expires_at lies in the past"));
        }
        bounds::guard(&self.limits, self.bounds.as_ref())?;
        let (org, labels, limits) = (self.org, self.labels.clone(), self.limits.clone());
        Ok(vec![KeyCreated { org, labels, limits, secret: self.secret.clone() }.into()])
    }
}

impl KeyCommand for Relabel {
    fn decide(&self, state: Option<&KeyState>, _now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let key = living(state)?;
        validate_labels(&self.labels)?;
        Ok(unless(key.labels == self.labels, KeyRelabelled { labels: self.labels.clone() }))
    }
}

impl KeyCommand for SetLimits {
    fn decide(&self, state: Option<&KeyState>, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let key = living(state)?;
        validate_limits(&self.limits)?;
        // Limits that a later bound has left outside stay until they change; saying them again changes nothing.
        if key.limits == self.limits {
            return Ok(Vec::new());
        }
        bounds::guard(&self.limits, self.bounds.as_ref())?;
        let mut events = vec![KeyLimitsSet { limits: self.limits.clone() }.into()];
        events.extend(alerts::of_limits(key, &self.limits, now).into_iter().map(KeyEvent::from));
        Ok(events)
    }
}

impl KeyCommand for Block {
    fn decide(&self, state: Option<&KeyState>, _now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let key = living(state)?;
        validate_reason(self.reason.as_deref())?;
        Ok(unless(key.status == Status::Blocked, KeyBlocked { reason: self.reason.clone() }))
    }
}

impl KeyCommand for Unblock {
    fn decide(&self, state: Option<&KeyState>, _now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        Ok(unless(living(state)?.status == Status::Active, KeyUnblocked {}))
    }
}

impl KeyCommand for Rotate {
    fn decide(&self, state: Option<&KeyState>, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let key = living(state)?;
        let current = key.current_secret().ok_or_else(|| invalid("the key has no secret"))?;
        if self.leaked && self.overlap_secs > 0 {
            return Err(invalid("a leaked secret cannot go on working: overlap_secs must be 0"));
        }
        if i64::from(self.overlap_secs) > OVERLAP_MAX_SECS {
            return Err(invalid("overlap_secs is above 30 days"));
        }
        // One more would be forgotten before its overlap ends.
        let working = key.secrets.iter().filter(|secret| secret.works_at(now)).count();
        if self.overlap_secs > 0 && working >= SECRETS_KEPT {
            return Err(Refusal::TooManySecrets);
        }
        let version =
            current.version.checked_add(1).ok_or_else(|| invalid("the key was rotated too often"))?;
        let rotated = KeySecretRotated {
            secret: KeySecret { version, ..self.secret.clone() },
            previous_valid_until: now.plus_secs(i64::from(self.overlap_secs)),
            leaked: self.leaked,
        };
        Ok(vec![rotated.into()])
    }
}

impl KeyCommand for RetireSecret {
    fn decide(&self, state: Option<&KeyState>, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let key = living(state)?;
        let secret = key.secrets.iter().find(|s| s.secret.version == self.version);
        // The current secret has no end: retiring it would lock the job out; that is what revoking is for.
        let until = secret.and_then(|s| s.valid_until).ok_or(Refusal::SecretUnknown(self.version))?;
        Ok(unless(until <= now, KeySecretRetired { version: self.version }))
    }
}

impl KeyCommand for RenewDigest {
    fn decide(&self, state: Option<&KeyState>, _now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let key = living(state)?;
        let version = self.secret.version;
        let kept = key
            .secrets
            .iter()
            .find(|s| s.secret.version == version)
            .ok_or(Refusal::SecretUnknown(version))?;
        if kept.secret.last_four != self.secret.last_four {
            return Err(invalid("another secret cannot take the place of one that was digested again"));
        }
        Ok(unless(kept.secret == self.secret, KeyDigestRenewed { secret: self.secret.clone() }))
    }
}

impl KeyCommand for ClearModel {
    fn decide(&self, state: Option<&KeyState>, _now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let key = living(state)?;
        let (provider, provider_model) = (self.provider.clone(), self.provider_model.clone());
        let clear = !key.flagged_models.contains(&(provider.clone(), provider_model.clone()));
        Ok(unless(clear, KeyModelCleared { provider, provider_model }))
    }
}

impl KeyCommand for Revoke {
    fn decide(&self, state: Option<&KeyState>, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let key = existing(state)?;
        validate_reason(self.reason.as_deref())?;
        let events = unless(key.status == Status::Revoked, KeyRevoked { reason: self.reason.clone() });
        Ok(and_return(key, events, now, LetGo::Expired))
    }
}

impl KeyCommand for RecordRefusals {
    fn decide(&self, state: Option<&KeyState>, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let refused = alerts::calls_refused(existing(state)?, self.since, self.refusals.clone(), now);
        Ok(unless(self.refusals.is_empty(), refused))
    }
}

fn unless(so_already: bool, event: impl Into<KeyEvent>) -> Vec<KeyEvent> {
    if so_already { Vec::new() } else { vec![event.into()] }
}

fn invalid(why: impl Into<String>) -> Refusal {
    Refusal::Invalid(why.into())
}

/// Checks labels for length and control characters.
///
/// # Errors
/// [`Refusal::Invalid`] with the label and what is wrong with it.
pub fn validate_labels(labels: &Labels) -> Result<(), Refusal> {
    if labels.name.trim().is_empty() {
        return Err(invalid("name is empty"));
    }
    if labels.tags.len() > TAGS_MAX {
        return Err(invalid(format!("tags: at most {TAGS_MAX}")));
    }
    let named = [
        ("name", Some(&labels.name)),
        ("app", labels.app.as_ref()),
        ("job", labels.job.as_ref()),
        ("env", labels.env.as_ref()),
        ("cost_centre", labels.cost_centre.as_ref()),
    ];
    let tags = labels.tags.iter().map(|tag| ("tags", Some(tag)));
    for (label, text) in named.into_iter().chain(tags) {
        if let Some(text) = text {
            validate_text(label, text, LABEL_MAX_BYTES)?;
        }
    }
    Ok(())
}

pub(super) fn validate_reason(reason: Option<&str>) -> Result<(), Refusal> {
    reason.map_or(Ok(()), |text| validate_text("reason", text, REASON_MAX_BYTES))
}

pub(super) fn validate_text(what: &str, text: &str, max_bytes: usize) -> Result<(), Refusal> {
    if text.len() > max_bytes {
        return Err(invalid(format!("{what}: at most {max_bytes} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid(format!("{what}: no control characters")));
    }
    Ok(())
}

/// Checks that limits make sense together.
///
/// # Errors
/// [`Refusal::Invalid`] with the limit and what is wrong with it.
pub fn validate_limits(limits: &KeyLimits) -> Result<(), Refusal> {
    if limits.unlimited != limits.budgets.is_empty() {
        return Err(invalid(if limits.unlimited {
            "a key is either unlimited or has budgets, not both"
        } else {
            "a key needs at least one budget; to create one without any cap on spend, say \"unlimited\": true"
        }));
    }
    validate_values(limits)
}

/// Checks that an org's bounds make sense: whatever they leave out is not bounded.
pub(super) fn validate_bounds(bounds: &KeyLimits) -> Result<(), Refusal> {
    if *bounds == KeyLimits::default() {
        return Err(invalid("nothing is bounded; leave them out"));
    }
    let without_meaning = [
        ("unlimited", bounds.unlimited),
        ("budgets: alert_at_percent", bounds.budgets.iter().any(|budget| budget.alert_at_percent.is_some())),
        ("when_short", bounds.when_short != WhenShort::default()),
        ("default_output_tokens", bounds.default_output_tokens.is_some()),
        ("default_reasoning_output_tokens", bounds.default_reasoning_output_tokens.is_some()),
    ];
    if let Some((name, _)) = without_meaning.iter().find(|(_, stated)| *stated) {
        return Err(invalid(format!("{name}: bounds nothing; leave it out")));
    }
    validate_values(bounds)
}

/// Checks each value by itself, and that none is stated twice.
fn validate_values(limits: &KeyLimits) -> Result<(), Refusal> {
    validate_budgets(&limits.budgets)?;
    validate_counts(limits)?;
    let patterns = limits.models.as_deref().unwrap_or_default();
    if patterns.len() > PATTERNS_MAX {
        return Err(invalid(format!("models: at most {PATTERNS_MAX}")));
    }
    patterns.iter().try_for_each(|pattern| validate_text("models", pattern, LABEL_MAX_BYTES))
}

/// Checks budgets of a key or an org.
pub(super) fn validate_budgets(budgets: &[Budget]) -> Result<(), Refusal> {
    let windows: BTreeSet<_> = budgets.iter().map(|b| b.window).collect();
    if windows.len() != budgets.len() {
        return Err(invalid("budgets: at most one for each window"));
    }
    for budget in budgets {
        if budget.limit.is_negative() {
            return Err(invalid("budgets: a limit cannot be negative"));
        }
        if budget.alert_at_percent.is_some_and(|percent| !(1..=100).contains(&percent)) {
            return Err(invalid("budgets: alert_at_percent lies between 1 and 100"));
        }
    }
    Ok(())
}

/// A zero, or a list that names nothing, would lock the key silently: blocking it says so aloud.
fn validate_counts(limits: &KeyLimits) -> Result<(), Refusal> {
    let zeros = [
        ("max_call_cost", limits.max_call_cost.is_some_and(|n| n.as_nanos() <= 0)),
        ("requests_per_minute", limits.requests_per_minute == Some(0)),
        ("tokens_per_minute", limits.tokens_per_minute == Some(0)),
        ("concurrent_calls", limits.concurrent_calls == Some(0)),
        ("default_output_tokens", limits.default_output_tokens == Some(0)),
        ("default_reasoning_output_tokens", limits.default_reasoning_output_tokens == Some(0)),
        ("models", limits.models.as_ref().is_some_and(Vec::is_empty)),
        ("endpoints", limits.endpoints.as_ref().is_some_and(Vec::is_empty)),
        ("addresses", limits.addresses.as_ref().is_some_and(Vec::is_empty)),
    ];
    match zeros.iter().find(|(_, zero)| *zero) {
        Some((name, _)) => Err(invalid(format!("{name}: allows nothing; leave it out, or block the key"))),
        None => Ok(()),
    }
}
