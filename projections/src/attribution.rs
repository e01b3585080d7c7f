//! Who used a key, from where, for which models and how much: what a page about one key shows at once.
//!
//! Bounded whatever the key does: lists hold a fixed number of entries and count the rest. Spend is
//! exact: the models and `other` always add up to the total. A call counts once it has ended, and in
//! the windows of its authorisation, as in budgets.

use std::collections::BTreeMap;

use nemo_events::key::{CallAuthorized, CallCorrected, CallsRefused, Evidence};
use nemo_events::limits::WindowKind;
use nemo_events::{CallId, KeyEvent, Nanos, Revision, Timestamp};
use serde::{Deserialize, Serialize};

use crate::budget::window_start;
use crate::{At, CorruptLog};

/// Models that are listed by name in [`Attribution::top_models`].
pub const TOP_MODELS: usize = 16;
/// Models that are counted one by one; calls of any further one go to `other`.
pub const MODELS_KEPT: usize = 64;
/// Addresses, user agents and refusal codes that are remembered, of each.
pub const VALUES_KEPT: usize = 64;
/// Forfeited and estimated calls whose model is remembered for a correction. Beyond that the oldest are
/// forgotten: they stay counted as what they were, and a correction of one moves `other`.
pub const UNCERTAIN_KEPT: usize = 4096;

/// Ended calls and what they are charged, in nano-dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Used {
    /// Calls that ended, voided ones included.
    pub calls: u64,
    /// What they are charged.
    pub spend: Nanos,
}

/// What a key did with one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ModelUse {
    /// The provider.
    pub provider: String,
    /// The model's name there.
    pub model: String,
    /// Revision of the first call.
    pub first_revision: Revision,
    /// When it was authorised.
    pub first_seen: Timestamp,
    /// Its ended calls.
    pub used: Used,
}

/// A key's dearest models, and all others together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopModels {
    /// At most [`TOP_MODELS`], the dearest first.
    pub top: Vec<ModelUse>,
    /// The rest. Below zero only where a correction concerns a call whose model was forgotten.
    pub other: Used,
}

/// A value that calls came with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = SeenValue))]
pub struct Seen {
    /// The value.
    pub value: String,
    /// Revision of the first call that came with it.
    pub first_revision: Revision,
    /// When that call was authorised.
    pub first_seen: Timestamp,
    /// When the last one was.
    pub last_seen: Timestamp,
    /// How many there were.
    pub calls: u64,
}

/// The first 64 values, in the order of their first call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FirstSeen {
    /// The values.
    pub values: Vec<Seen>,
    /// Calls that came with any further value.
    pub more_calls: u64,
}

/// How often a key was refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RefusedFor {
    /// The refusal's code.
    pub code: String,
    /// How often.
    pub count: u64,
}

/// Use of a key, as far as its stream tells.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attribution {
    /// All ended calls.
    pub total: Used,
    /// When a call was last authorised.
    pub last_used_at: Option<Timestamp>,
    /// Where authorised calls came from.
    pub addresses: FirstSeen,
    /// What made them.
    pub user_agents: FirstSeen,
    /// Refusals by code, the first [`VALUES_KEPT`] codes.
    pub refusals: Vec<RefusedFor>,
    /// Refusals with any further code.
    pub refusals_other: u64,
    /// Calls that cost nothing.
    pub voided: u64,
    /// Calls that settled on an estimate which nobody has corrected.
    pub estimated: u64,
    /// Calls that were forfeited and not corrected since.
    pub unconfirmed: u64,
    day: Window,
    month: Window,
    models: Vec<ModelUse>,
    other: Used,
    open: BTreeMap<CallId, OpenUse>,
    uncertain: BTreeMap<CallId, UncertainUse>,
}

/// The latest window of a kind that anything happened in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    start: Timestamp,
    used: Used,
}

/// A call that has not ended. `model` is its place in the list; `None` stands for `other`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct OpenUse {
    authorized_at: Timestamp,
    model: Option<usize>,
}

/// A call that ended without a bill from the provider. `doubt` is gone once it was corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct UncertainUse {
    model: Option<usize>,
    doubt: Option<Doubt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Doubt {
    Estimated,
    Unconfirmed,
}

const OVERFLOW: CorruptLog = CorruptLog("a key's spend does not add up");

impl Attribution {
    /// Folds one event of the key. Events that are not about use change nothing.
    ///
    /// # Errors
    /// An event that no decision could have written at this place.
    pub fn evolve(&mut self, event: &KeyEvent, at: At) -> Result<(), CorruptLog> {
        match event {
            KeyEvent::CallAuthorized(e) => self.authorized(e, at),
            KeyEvent::CallSettled(e) => {
                let doubt = (e.evidence == Evidence::Estimated).then_some(Doubt::Estimated);
                self.ended(e.call, e.cost, doubt, at.time)
            }
            KeyEvent::CallVoided(e) => {
                self.voided = self.voided.saturating_add(1);
                self.ended(e.call, Nanos::ZERO, None, at.time)
            }
            KeyEvent::CallForfeited(e) => self.ended(e.call, e.charged, Some(Doubt::Unconfirmed), at.time),
            KeyEvent::CallCorrected(e) => self.corrected(e, at.time),
            KeyEvent::CallsRefused(e) => {
                self.refused(e);
                Ok(())
            }
            KeyEvent::KeyCreated(_)
            | KeyEvent::KeyRelabelled(_)
            | KeyEvent::KeyLimitsSet(_)
            | KeyEvent::KeyBlocked(_)
            | KeyEvent::KeyUnblocked(_)
            | KeyEvent::KeySecretRotated(_)
            | KeyEvent::KeySecretRetired(_)
            | KeyEvent::KeyDigestRenewed(_)
            | KeyEvent::KeyModelCleared(_)
            | KeyEvent::KeyRevoked(_)
            | KeyEvent::BudgetAlertRaised(_)
            | KeyEvent::AllotmentRequired(_)
            | KeyEvent::AllotmentReceived(_)
            | KeyEvent::AllotmentReturned(_) => Ok(()),
        }
    }

    /// Calls of the UTC day that `now` falls in.
    #[must_use]
    pub fn day(&self, now: Timestamp) -> Used {
        self.day.at(WindowKind::Day, now)
    }

    /// Calls of the UTC month that `now` falls in.
    #[must_use]
    pub fn month(&self, now: Timestamp) -> Used {
        self.month.at(WindowKind::Month, now)
    }

    /// Every model that is counted by itself, in the order of the first call: at most [`MODELS_KEPT`].
    #[must_use]
    pub fn models(&self) -> &[ModelUse] {
        &self.models
    }

    /// The dearest models and the rest; together they are the total.
    ///
    /// # Errors
    /// Amounts that do not fit, which the fold has excluded.
    pub fn top_models(&self) -> Result<TopModels, CorruptLog> {
        let mut top = self.models.clone();
        top.sort_by_key(|model| std::cmp::Reverse((model.used.spend, model.used.calls)));
        let mut other = self.other;
        for rest in top.drain(TOP_MODELS.min(top.len())..) {
            other.add(rest.used.calls, rest.used.spend)?;
        }
        Ok(TopModels { top, other })
    }

    fn authorized(&mut self, e: &CallAuthorized, at: At) -> Result<(), CorruptLog> {
        let model = self.model_place(e, at);
        if self.open.insert(e.call, OpenUse { authorized_at: at.time, model }).is_some() {
            return Err(CorruptLog("a call was authorised twice"));
        }
        self.last_used_at = Some(at.time);
        self.addresses.note(e.client.address.as_deref(), at);
        self.user_agents.note(e.client.user_agent.as_deref(), at);
        Ok(())
    }

    fn model_place(&mut self, e: &CallAuthorized, at: At) -> Option<usize> {
        let known = self.models.iter().position(|m| m.model == e.provider_model && m.provider == e.provider);
        if known.is_some() || self.models.len() >= MODELS_KEPT {
            return known;
        }
        self.models.push(ModelUse {
            provider: e.provider.clone(),
            model: e.provider_model.clone(),
            first_revision: at.revision,
            first_seen: at.time,
            used: Used::default(),
        });
        self.models.len().checked_sub(1)
    }

    fn ended(
        &mut self,
        call: CallId,
        charged: Nanos,
        doubt: Option<Doubt>,
        now: Timestamp,
    ) -> Result<(), CorruptLog> {
        let open = self.open.remove(&call).ok_or(CorruptLog("a call ended that was not open"))?;
        if let Some(doubt) = doubt {
            let count = self.doubtful(doubt);
            *count = count.saturating_add(1);
            // Call ids begin with their time, so the first one is the oldest.
            if self.uncertain.len() >= UNCERTAIN_KEPT {
                self.uncertain.pop_first();
            }
            self.uncertain.insert(call, UncertainUse { model: open.model, doubt: Some(doubt) });
        }
        self.book(open.authorized_at, open.model, 1, charged, now)
    }

    fn corrected(&mut self, e: &CallCorrected, now: Timestamp) -> Result<(), CorruptLog> {
        let kept = self.uncertain.get_mut(&e.call);
        let model = kept.as_ref().and_then(|kept| kept.model);
        if let Some(doubt) = kept.and_then(|kept| kept.doubt.take()) {
            let count = self.doubtful(doubt);
            *count = count.saturating_sub(1);
        }
        let change = e.charged.checked_sub(e.charged_before).ok_or(OVERFLOW)?;
        self.book(e.authorized_at, model, 0, change, now)
    }

    const fn doubtful(&mut self, doubt: Doubt) -> &mut u64 {
        match doubt {
            Doubt::Estimated => &mut self.estimated,
            Doubt::Unconfirmed => &mut self.unconfirmed,
        }
    }

    fn book(
        &mut self,
        authorized_at: Timestamp,
        model: Option<usize>,
        calls: u64,
        change: Nanos,
        now: Timestamp,
    ) -> Result<(), CorruptLog> {
        let model = model.and_then(|place| self.models.get_mut(place));
        model.map_or(&mut self.other, |model| &mut model.used).add(calls, change)?;
        self.total.add(calls, change)?;
        for (window, kind) in [(&mut self.day, WindowKind::Day), (&mut self.month, WindowKind::Month)] {
            window.roll(kind, now);
            if window.start == window_start(kind, authorized_at) {
                window.used.add(calls, change)?;
            }
        }
        Ok(())
    }

    fn refused(&mut self, e: &CallsRefused) {
        for refusal in &e.refusals {
            if let Some(known) = self.refusals.iter_mut().find(|r| r.code == refusal.code) {
                known.count = known.count.saturating_add(refusal.count);
            } else if self.refusals.len() < VALUES_KEPT {
                self.refusals.push(RefusedFor { code: refusal.code.clone(), count: refusal.count });
            } else {
                self.refusals_other = self.refusals_other.saturating_add(refusal.count);
            }
        }
    }
}

impl Used {
    fn add(&mut self, calls: u64, change: Nanos) -> Result<(), CorruptLog> {
        self.calls = self.calls.checked_add(calls).ok_or(OVERFLOW)?;
        self.spend = self.spend.checked_add(change).ok_or(OVERFLOW)?;
        Ok(())
    }
}

impl Default for Window {
    fn default() -> Self {
        Self { start: Timestamp::EPOCH, used: Used::default() }
    }
}

impl Window {
    fn roll(&mut self, kind: WindowKind, now: Timestamp) {
        let start = window_start(kind, now);
        if start > self.start {
            *self = Self { start, used: Used::default() };
        }
    }

    fn at(&self, kind: WindowKind, now: Timestamp) -> Used {
        if self.start == window_start(kind, now) { self.used } else { Used::default() }
    }
}

impl FirstSeen {
    fn note(&mut self, value: Option<&str>, at: At) {
        let Some(value) = value else { return };
        if let Some(known) = self.values.iter_mut().find(|seen| seen.value == value) {
            known.last_seen = at.time;
            known.calls = known.calls.saturating_add(1);
        } else if self.values.len() < VALUES_KEPT {
            self.values.push(Seen {
                value: value.to_owned(),
                first_revision: at.revision,
                first_seen: at.time,
                last_seen: at.time,
                calls: 1,
            });
        } else {
            self.more_calls = self.more_calls.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests;
