//! The fold of a key's stream: everything that a decision about the key needs.

mod secrets;
mod slices;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nemo_events::key::{
    CallAuthorized, CallCorrected, CallForfeited, CallSettled, CallVoided, Hold, KeyCreated, KeySecret,
    Labels,
};
use nemo_events::limits::KeyLimits;
use nemo_events::{CallId, Digest, KeyEvent, Nanos, OrgId, PriceCardId, Revision, Timestamp};
use serde::{Deserialize, Serialize};

pub use secrets::{SECRETS_KEPT, SecretState};
pub use slices::{SLICES_KEPT_DAYS, Slice, Slices};

use crate::alerts::Alerts;
use crate::budget::Windows;
use crate::rate::{Bucket, Place};
use crate::repeat::{Billed, Repeats};
use crate::{At, CorruptLog};

/// How long ended calls are remembered, and forgotten ones from their correction on; a later correction
/// names the revision that ended them.
const ENDED_CALLS_KEPT_SECS: i64 = 24 * 3600;
/// How many ended calls are remembered at most, so that a busy key's fold stays small.
const ENDED_CALLS_KEPT: usize = 20_000;
/// Whether the key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = KeyStatus))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It may.
    Active,
    /// Not until it is unblocked.
    Blocked,
    /// Never again.
    Revoked,
}

/// A call that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCall {
    /// When it was authorised: the windows that it counts in.
    pub authorized_at: Timestamp,
    /// What it may cost at most.
    pub hold: Hold,
    /// The card that prices it.
    pub price_card: PriceCardId,
    /// The provider that serves it.
    pub provider: String,
    /// The model's name at the provider.
    pub provider_model: String,
    /// When its owner cuts it.
    pub deadline: Timestamp,
    /// Where its tokens stand in the rate of tokens.
    pub tokens_at: Place,
    /// HMAC of its idempotency key, if it has one.
    #[serde(default)]
    pub idempotency_key: Option<Digest>,
    /// It draws on its day's slice.
    pub allotted: bool,
}

/// A call that ended, as long as it is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedCall {
    /// When it was authorised.
    pub authorized_at: Timestamp,
    /// What it held.
    pub hold: Nanos,
    /// What it is charged now.
    pub charged: Nanos,
    /// The revision of the event that ended it.
    pub ended_at: Revision,
    /// It was forfeited and not corrected since: a settlement that comes late may still lower it.
    pub unconfirmed: bool,
    /// It drew on its day's slice.
    pub allotted: bool,
}

/// A virtual key, as far as its stream tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyState {
    /// The org that owns it.
    pub org: OrgId,
    /// When it was created.
    pub created_at: Timestamp,
    /// Whether it may be used.
    pub status: Status,
    /// What it is for.
    pub labels: Labels,
    /// Revision of the event that set the labels.
    pub labels_revision: Revision,
    /// What it may do.
    pub limits: KeyLimits,
    /// Its secrets, oldest first; the last one is the current one.
    pub secrets: Vec<SecretState>,
    /// Spend by window.
    pub windows: Windows,
    /// Requests of the last minute.
    pub request_rate: Bucket,
    /// Tokens of the last minute.
    pub token_rate: Bucket,
    /// Calls that have not ended.
    pub open_calls: BTreeMap<CallId, OpenCall>,
    /// Calls that ended lately.
    pub ended_calls: BTreeMap<CallId, EndedCall>,
    /// The same, in the order in which they ended.
    pub ended_order: VecDeque<(Timestamp, CallId)>,
    /// Calls that were made with an idempotency key.
    #[serde(default)]
    pub repeats: Repeats,
    /// Models (provider, name there) that a provider billed above the hold.
    pub flagged_models: BTreeSet<(String, String)>,
    /// What was told of the key.
    #[serde(default)]
    pub alerts: Alerts,
    /// What it may draw of its org's budgets.
    pub slices: Slices,
}

impl KeyState {
    /// Folds one event into the state of its key; `None` is a key that does not exist.
    ///
    /// # Errors
    /// An event that no decision could have written at this place.
    pub fn evolve(state: &mut Option<Self>, event: &KeyEvent, at: At) -> Result<(), CorruptLog> {
        if let KeyEvent::KeyCreated(created) = event {
            return match state {
                Some(_) => Err(CorruptLog("a key was created twice")),
                None => {
                    *state = Some(Self::created(created, at));
                    Ok(())
                }
            };
        }
        state.as_mut().ok_or(CorruptLog("a key's first event is not its creation"))?.apply(event, at)
    }

    /// The secret that new callers should use.
    #[must_use]
    pub fn current_secret(&self) -> Option<&KeySecret> {
        self.secrets.last().map(|s| &s.secret)
    }

    /// Whether the fold knows the call, open or ended.
    #[must_use]
    pub fn knows_call(&self, call: CallId) -> bool {
        self.open_calls.contains_key(&call) || self.ended_calls.contains_key(&call)
    }

    /// Whether every call that ended or was corrected since a moment is among the ended calls.
    #[must_use]
    pub fn remembers_since(&self, moment: Timestamp) -> bool {
        let oldest = self.ended_order.front();
        self.ended_order.len() < ENDED_CALLS_KEPT || oldest.is_none_or(|(ended, _)| *ended < moment)
    }

    /// The same key, having forgotten every call that has ended, and which calls were made with an idempotency key.
    /// Whether those are remembered changes nothing else of what later events lead to; but what is decided must
    /// know them.
    #[must_use]
    pub fn without_ended_calls(&self) -> Self {
        Self {
            org: self.org,
            created_at: self.created_at,
            status: self.status,
            labels: self.labels.clone(),
            labels_revision: self.labels_revision,
            limits: self.limits.clone(),
            secrets: self.secrets.clone(),
            windows: self.windows.clone(),
            request_rate: self.request_rate,
            token_rate: self.token_rate,
            open_calls: self.open_calls.clone(),
            ended_calls: BTreeMap::new(),
            ended_order: VecDeque::new(),
            repeats: Repeats::default(),
            flagged_models: self.flagged_models.clone(),
            alerts: self.alerts.clone(),
            slices: self.slices.clone(),
        }
    }

    /// The limit of requests per minute as a plain number.
    #[must_use]
    pub fn request_limit(&self) -> Option<u64> {
        self.limits.requests_per_minute.map(u64::from)
    }

    fn created(created: &KeyCreated, at: At) -> Self {
        Self {
            org: created.org,
            created_at: at.time,
            status: Status::Active,
            labels: created.labels.clone(),
            labels_revision: at.revision,
            limits: created.limits.clone(),
            secrets: vec![SecretState::new(created.secret.clone())],
            windows: Windows::default(),
            request_rate: Bucket::default(),
            token_rate: Bucket::default(),
            open_calls: BTreeMap::new(),
            ended_calls: BTreeMap::new(),
            ended_order: VecDeque::new(),
            repeats: Repeats::default(),
            flagged_models: BTreeSet::new(),
            alerts: Alerts::default(),
            slices: Slices::default(),
        }
    }

    fn apply(&mut self, event: &KeyEvent, at: At) -> Result<(), CorruptLog> {
        // Before the call that an event ends is forgotten.
        let mut slices = std::mem::take(&mut self.slices);
        let moved = self.move_slices(&mut slices, event, at.time);
        self.slices = slices;
        moved?;
        match event {
            KeyEvent::KeyCreated(_) => return Err(CorruptLog("a key was created twice")),
            KeyEvent::KeyRelabelled(e) => {
                self.living()?;
                self.labels = e.labels.clone();
                self.labels_revision = at.revision;
            }
            KeyEvent::KeyLimitsSet(e) => self.limits_set(&e.limits, at.time)?,
            KeyEvent::KeyBlocked(_) => self.set_status(Status::Blocked)?,
            KeyEvent::KeyUnblocked(_) => self.set_status(Status::Active)?,
            KeyEvent::KeyRevoked(_) => self.set_status(Status::Revoked)?,
            KeyEvent::KeySecretRotated(e) => {
                self.secret_rotated(&e.secret, e.previous_valid_until, at.time)?
            }
            KeyEvent::KeySecretRetired(e) => self.secret_mut(e.version)?.valid_until = Some(at.time),
            KeyEvent::KeyDigestRenewed(e) => self.secret_mut(e.secret.version)?.renewed(&e.secret),
            KeyEvent::KeyModelCleared(e) => {
                self.living()?;
                self.flagged_models.remove(&(e.provider.clone(), e.provider_model.clone()));
            }
            KeyEvent::CallAuthorized(e) => self.call_authorized(e, at.time)?,
            KeyEvent::CallSettled(e) => self.call_settled(e, at)?,
            KeyEvent::CallVoided(CallVoided { call, .. }) => {
                self.repeats.voided(self.open_call(*call)?.idempotency_key, *call);
                self.end_call(*call, Nanos::ZERO, 0, false, at)?;
            }
            KeyEvent::CallForfeited(CallForfeited { call, charged, .. }) => {
                let OpenCall { hold, idempotency_key, .. } = *self.open_call(*call)?;
                if *charged > hold.amount {
                    return Err(CorruptLog("a call was forfeited above its hold"));
                }
                self.repeats.billed(idempotency_key, *call, Billed { charged: *charged, status: None });
                self.end_call(*call, *charged, hold.tokens(), true, at)?;
            }
            KeyEvent::CallCorrected(e) => self.call_corrected(e, at.time)?,
            KeyEvent::CallsRefused(e) => self.alerts.calls_refused(e, at.time),
            KeyEvent::BudgetAlertRaised(e) => self.alerts.budget_raised(e, &self.windows)?,
            KeyEvent::AllotmentRequired(_) => self.living()?,
            KeyEvent::AllotmentReceived(_) | KeyEvent::AllotmentReturned(_) => {}
        }
        Ok(())
    }

    /// Revocation is final: after it, calls end and are corrected, and that is all.
    fn living(&self) -> Result<(), CorruptLog> {
        if self.status == Status::Revoked { Err(CorruptLog("a revoked key changed")) } else { Ok(()) }
    }

    fn set_status(&mut self, status: Status) -> Result<(), CorruptLog> {
        self.living()?;
        self.status = status;
        Ok(())
    }

    /// What was counted under the old rates is drained by them first.
    fn limits_set(&mut self, limits: &KeyLimits, now: Timestamp) -> Result<(), CorruptLog> {
        self.living()?;
        self.request_rate = self.request_rate.drained(self.request_limit(), now);
        self.token_rate = self.token_rate.drained(self.limits.tokens_per_minute, now);
        self.alerts.limits_set(limits, &self.windows);
        self.limits = limits.clone();
        Ok(())
    }

    fn call_authorized(&mut self, e: &CallAuthorized, now: Timestamp) -> Result<(), CorruptLog> {
        if self.status != Status::Active {
            return Err(CorruptLog("a call was authorised with a key that was blocked or revoked"));
        }
        if self.knows_call(e.call) {
            return Err(CorruptLog("a call was authorised twice"));
        }
        self.windows.hold(now, e.hold.amount)?;
        // Further attempts serve a request that was counted.
        let requests = u64::from(e.attempt <= 1);
        self.request_rate = self.request_rate.plus(self.request_limit(), requests, now);
        self.token_rate = self.token_rate.plus(self.limits.tokens_per_minute, e.hold.tokens(), now);
        let open = OpenCall {
            authorized_at: now,
            hold: e.hold,
            price_card: e.price_card,
            provider: e.provider.clone(),
            provider_model: e.provider_model.clone(),
            deadline: e.deadline,
            tokens_at: self.token_rate.place(),
            idempotency_key: e.idempotency_key,
            allotted: e.allotted,
        };
        self.open_calls.insert(e.call, open);
        self.forget_ended(now);
        self.repeats.authorized(e, now)
    }

    fn call_settled(&mut self, e: &CallSettled, at: At) -> Result<(), CorruptLog> {
        let open = self.open_call(e.call)?;
        if e.cost > open.hold.amount && !e.over_hold {
            return Err(CorruptLog("a call cost more than its hold and nobody said so"));
        }
        let idempotency_key = open.idempotency_key;
        if e.over_hold {
            let model = (open.provider.clone(), open.provider_model.clone());
            self.flagged_models.insert(model);
        }
        self.repeats.billed(idempotency_key, e.call, Billed { charged: e.cost, status: e.status });
        self.end_call(e.call, e.cost, e.usage.tokens(), false, at)
    }

    fn open_call(&self, call: CallId) -> Result<&OpenCall, CorruptLog> {
        self.open_calls.get(&call).ok_or(CorruptLog("a call ended that was not open"))
    }

    fn end_call(
        &mut self,
        call: CallId,
        charged: Nanos,
        tokens: u64,
        unconfirmed: bool,
        at: At,
    ) -> Result<(), CorruptLog> {
        let open = self.open_calls.remove(&call).ok_or(CorruptLog("a call ended that was not open"))?;
        let hold = open.hold;
        self.windows.end(open.authorized_at, hold.amount, charged)?;
        let limit = self.limits.tokens_per_minute;
        let places = self.open_calls.values_mut().map(|other| &mut other.tokens_at);
        let tokens = (hold.tokens(), tokens);
        self.token_rate = self.token_rate.corrected(limit, open.tokens_at, tokens, at.time, places);
        let ended = EndedCall {
            authorized_at: open.authorized_at,
            hold: hold.amount,
            charged,
            ended_at: at.revision,
            unconfirmed,
            allotted: open.allotted,
        };
        self.ended_calls.insert(call, ended);
        self.ended_order.push_back((at.time, call));
        Ok(())
    }

    fn call_corrected(&mut self, e: &CallCorrected, now: Timestamp) -> Result<(), CorruptLog> {
        if self.open_calls.contains_key(&e.call) {
            return Err(CorruptLog("a call was corrected that has not ended"));
        }
        if let Some(ended) = self.ended_calls.get_mut(&e.call) {
            if ended.charged != e.charged_before || ended.authorized_at != e.authorized_at {
                return Err(CorruptLog("a correction starts from another charge or moment"));
            }
            if ended.allotted != e.allotted {
                return Err(CorruptLog("a correction moves a slice that the call did not draw on"));
            }
            if e.charged > ended.hold {
                return Err(CorruptLog("a correction charges more than the hold"));
            }
            ended.charged = e.charged;
            ended.unconfirmed = false;
        } else {
            self.remember_again(e, now);
        }
        if e.charged.is_negative() || e.charged > e.charged_before {
            return Err(CorruptLog("a correction raises a charge or falls below zero"));
        }
        self.windows.correct(e.authorized_at, e.charged_before, e.charged)
    }

    /// A call that was forgotten is remembered from its correction on, so that the next one starts from it.
    /// What it once held does not matter any more: a charge only falls.
    fn remember_again(&mut self, e: &CallCorrected, now: Timestamp) {
        self.forget_ended(now);
        let ended = EndedCall {
            authorized_at: e.authorized_at,
            hold: e.charged_before,
            charged: e.charged,
            ended_at: e.ended_at,
            unconfirmed: false,
            allotted: e.allotted,
        };
        self.ended_calls.insert(e.call, ended);
        self.ended_order.push_back((now, e.call));
    }

    fn forget_ended(&mut self, now: Timestamp) {
        let horizon = now.plus_secs(ENDED_CALLS_KEPT_SECS.wrapping_neg());
        while let Some((ended, call)) = self.ended_order.front().copied() {
            if ended >= horizon && self.ended_order.len() <= ENDED_CALLS_KEPT {
                break;
            }
            self.ended_order.pop_front();
            self.ended_calls.remove(&call);
        }
    }
}

// The tokens that a hold counts against the rate.
pub(crate) trait HoldTokens {
    /// In and out together.
    fn tokens(&self) -> u64;
}

impl HoldTokens for Hold {
    fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}
