//! What replay tells of a key besides its state: what one event changed, when something was first seen, and what
//! came after a moment. Pure functions of two folds of the same stream.

use nemo_events::{Nanos, Revision, Timestamp};
use serde::{Deserialize, Serialize};

use crate::attribution::{Attribution, ModelUse, Seen, Used};
use crate::budget::Windows;
use crate::key::Status;
use crate::{CorruptLog, KeyState};
use nemo_events::limits::WindowKind;

/// A key at a revision: what decides, and what is told of it.
#[derive(Debug, Clone, Copy)]
pub struct Then<'a> {
    /// The state.
    pub key: &'a KeyState,
    /// Who used it for what.
    pub attribution: &'a Attribution,
}

/// Something that one event changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = KeyChange))]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Change {
    /// The key came into being.
    Created,
    /// Whether it may be used.
    Status {
        /// Before.
        from: Status,
        /// Since.
        to: Status,
    },
    /// Its labels.
    Labels,
    /// Its limits.
    Limits,
    /// Its secrets, or until when they work.
    Secrets,
    /// What it is charged in all.
    Spend {
        /// Before.
        from: Nanos,
        /// Since.
        to: Nanos,
    },
    /// What open calls hold.
    Held {
        /// Before.
        from: Nanos,
        /// Since.
        to: Nanos,
    },
    /// A call came from an address for the first time.
    FirstAddress {
        /// The address.
        value: String,
    },
    /// A call was made by a user agent for the first time.
    FirstUserAgent {
        /// The user agent.
        value: String,
    },
    /// A model was called for the first time.
    FirstModel {
        /// The provider.
        provider: String,
        /// The model's name there.
        value: String,
    },
    /// Calls were refused.
    Refused {
        /// How many.
        count: u64,
    },
    /// A model was flagged, or cleared.
    FlaggedModels,
}

/// What came to be known of a key for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = FirstSeenKind))]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// Where a call came from.
    Address,
    /// What made it.
    UserAgent,
    /// A model that was called.
    Model,
}

/// The first time that something was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = FirstSeenMark))]
pub struct Mark {
    /// Of what kind it is.
    pub kind: MarkKind,
    /// What it is.
    pub value: String,
    /// The event that it came with.
    pub revision: Revision,
    /// When that was recorded.
    pub time: Timestamp,
}

/// What a key did after a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = KeyAfter))]
pub struct After {
    /// Calls that ended since, and what they and corrections came to. Below zero where charges were only lowered.
    pub used: Used,
    /// What was seen for the first time since, in order.
    pub first_seen: Vec<Mark>,
}

/// What the last event changed, in the order in which it should be told.
#[must_use]
pub fn changes(before: Option<Then<'_>>, after: Then<'_>) -> Vec<Change> {
    let Some(before) = before else { return vec![Change::Created] };
    let mut changes = Vec::new();
    let mut changed = |happened: bool, change: Change| changes.extend(happened.then_some(change));
    let (was, is) = (before.key, after.key);
    changed(was.status != is.status, Change::Status { from: was.status, to: is.status });
    changed(was.labels_revision != is.labels_revision, Change::Labels);
    changed(was.limits != is.limits, Change::Limits);
    changed(was.secrets != is.secrets, Change::Secrets);
    let (spent, spends) = (before.attribution.total.spend, after.attribution.total.spend);
    changed(spent != spends, Change::Spend { from: spent, to: spends });
    let (held, holds) = (held(&was.windows), held(&is.windows));
    changed(held != holds, Change::Held { from: held, to: holds });
    let known = marks(before.attribution).len();
    for mark in marks(after.attribution).into_iter().skip(known) {
        changes.push(mark.into_change(after.attribution));
    }
    let (refused, refuses) = (refusals(before.attribution), refusals(after.attribution));
    if refuses > refused {
        changes.push(Change::Refused { count: refuses.saturating_sub(refused) });
    }
    if was.flagged_models != is.flagged_models {
        changes.push(Change::FlaggedModels);
    }
    changes
}

/// Everything that was seen for the first time, in order. As bounded as what is remembered of it.
#[must_use]
pub fn marks(attribution: &Attribution) -> Vec<Mark> {
    let seen = |kind| {
        move |seen: &Seen| Mark {
            kind,
            value: seen.value.clone(),
            revision: seen.first_revision,
            time: seen.first_seen,
        }
    };
    let model = |model: &ModelUse| Mark {
        kind: MarkKind::Model,
        value: model.model.clone(),
        revision: model.first_revision,
        time: model.first_seen,
    };
    let addresses = attribution.addresses.values.iter().map(seen(MarkKind::Address));
    let agents = attribution.user_agents.values.iter().map(seen(MarkKind::UserAgent));
    let mut marks: Vec<_> = addresses.chain(agents).chain(attribution.models().iter().map(model)).collect();
    marks.sort_by_key(|mark| mark.revision);
    marks
}

impl After {
    /// What came after `revision`, where `then` was so and `now` is.
    ///
    /// # Errors
    /// Folds of which one is not the other's future.
    pub fn between(then: &Attribution, revision: Revision, now: &Attribution) -> Result<Self, CorruptLog> {
        const NOT_ITS_FUTURE: CorruptLog = CorruptLog("what is now did not follow from what was then");
        let calls = now.total.calls.checked_sub(then.total.calls).ok_or(NOT_ITS_FUTURE)?;
        let spend = now.total.spend.checked_sub(then.total.spend).ok_or(NOT_ITS_FUTURE)?;
        let first_seen = marks(now).into_iter().filter(|mark| mark.revision > revision).collect();
        Ok(Self { used: Used { calls, spend }, first_seen })
    }
}

impl Mark {
    fn into_change(self, attribution: &Attribution) -> Change {
        let Self { kind, value, revision, time: _ } = self;
        match kind {
            MarkKind::Address => Change::FirstAddress { value },
            MarkKind::UserAgent => Change::FirstUserAgent { value },
            MarkKind::Model => {
                let model =
                    attribution.models().iter().find(|m| m.first_revision == revision && m.model == value);
                Change::FirstModel { provider: model.map(|m| m.provider.clone()).unwrap_or_default(), value }
            }
        }
    }
}

/// What open calls hold in all: the window without an end has every one of them.
fn held(windows: &Windows) -> Nanos {
    windows.at(WindowKind::Total, Timestamp::EPOCH).held
}

fn refusals(attribution: &Attribution) -> u64 {
    let counts = attribution.refusals.iter().map(|refusal| refusal.count);
    counts.fold(attribution.refusals_other, u64::saturating_add)
}
