//! Rows of lists, as the read model has them.

use nemo_events::key::Labels;
use nemo_events::limits::{Endpoint, KeyLimits};
use nemo_events::org::OrgLimits;
use nemo_events::{CallId, KeyId, Nanos, OrgId, Revision, Timestamp, Usage};
use nemo_projections::key::Status;
use nemo_projections::org::Standing;
use nemo_read_model::CallEnd;
use serde::Serialize;
use utoipa::ToSchema;

/// A key in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyRow {
    /// `key_` and 11 letters and digits.
    pub(crate) id: KeyId,
    /// The org that owns it.
    pub(crate) org: OrgId,
    /// `active`, `blocked` or `revoked`; expiry is in `limits.expires_at`.
    pub(crate) status: Status,
    /// What it is for.
    pub(crate) labels: Labels,
    /// What it may do.
    pub(crate) limits: KeyLimits,
    /// The last four characters of its current secret.
    pub(crate) last_four: String,
    /// When it was created.
    pub(crate) created_at: Timestamp,
    /// When labels, limits, status or secret last changed.
    pub(crate) changed_at: Timestamp,
    /// When a call was last authorised.
    pub(crate) last_used_at: Option<Timestamp>,
    /// Calls that ended.
    pub(crate) calls: u64,
    /// What they are charged.
    pub(crate) spend: Nanos,
    /// Calls that have not ended.
    pub(crate) open_calls: u64,
    /// What they hold.
    pub(crate) held: Nanos,
    /// Its last event.
    pub(crate) revision: Revision,
}

/// An org in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrgRow {
    /// Its UUID.
    pub(crate) id: OrgId,
    /// What people call it.
    pub(crate) name: String,
    /// `active`, `suspended` or `archived`.
    pub(crate) status: Standing,
    /// When it was created.
    pub(crate) created_at: Timestamp,
    /// When it last changed.
    pub(crate) changed_at: Timestamp,
    /// Limits for its keys.
    pub(crate) limits: OrgLimits,
    /// How many keys it has, revoked ones included.
    pub(crate) keys: u64,
    /// Its last event.
    pub(crate) revision: Revision,
}

/// A call in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallRow {
    /// The call.
    pub(crate) id: CallId,
    /// The key that made it.
    pub(crate) key: KeyId,
    /// When it was authorised.
    pub(crate) authorized_at: Timestamp,
    /// Its first event in the key's stream.
    pub(crate) authorized_revision: Revision,
    /// The route it came in by.
    pub(crate) endpoint: Endpoint,
    /// The model as the caller named it.
    pub(crate) model: String,
    /// The provider.
    pub(crate) provider: String,
    /// The model's name there.
    pub(crate) provider_model: String,
    /// Revision of the labels that it is attributed to.
    pub(crate) labels_revision: Revision,
    /// What it could cost at most.
    pub(crate) hold: Nanos,
    /// The answer streams.
    pub(crate) streams: bool,
    /// What the caller claims it is for.
    pub(crate) tags: Vec<String>,
    #[serde(flatten)]
    end: End,
}

/// How a call stands; `outcome` is `open`, `settled`, `voided` or `forfeited`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallStanding)]
#[serde(untagged)]
enum End {
    Open { outcome: Open },
    Ended(Box<Ended>),
}

/// What is said of a call that has not ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OpenOutcome)]
enum Open {
    /// It runs.
    Open,
}

/// The end of a call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallEnded)]
struct Ended {
    /// Outcome, and `evidence` and `ending`, or `reason`.
    #[serde(flatten)]
    end: CallEnd,
    /// When.
    ended_at: Timestamp,
    /// Its event in the key's stream.
    ended_revision: Revision,
    /// What the call is charged now.
    cost: Nanos,
    /// What it used.
    usage: Usage,
    /// The provider's HTTP status.
    status: Option<u16>,
    /// Milliseconds to the first byte of the answer's body.
    first_byte_ms: Option<u64>,
    /// Milliseconds to the end.
    duration_ms: Option<u64>,
    /// The provider reported more than the hold's bounds.
    over_hold: bool,
    /// The last correction of the charge.
    corrected_revision: Option<Revision>,
}

impl From<nemo_read_model::KeyRow> for KeyRow {
    fn from(row: nemo_read_model::KeyRow) -> Self {
        Self {
            id: row.key,
            org: row.org,
            status: row.status,
            labels: row.labels,
            limits: row.limits,
            last_four: row.last_four,
            created_at: row.created_at,
            changed_at: row.changed_at,
            last_used_at: row.last_used_at,
            calls: row.calls,
            spend: row.spend,
            open_calls: row.open_calls,
            held: row.held,
            revision: row.revision,
        }
    }
}

impl From<nemo_read_model::OrgRow> for OrgRow {
    fn from(row: nemo_read_model::OrgRow) -> Self {
        Self {
            id: row.org,
            name: row.name,
            status: row.standing,
            created_at: row.created_at,
            changed_at: row.changed_at,
            limits: row.limits,
            keys: row.keys,
            revision: row.revision,
        }
    }
}

impl From<nemo_read_model::CallRow> for CallRow {
    fn from(row: nemo_read_model::CallRow) -> Self {
        let end = match row.ended {
            None => End::Open { outcome: Open::Open },
            Some(ended) => End::Ended(Box::new(ended.into())),
        };
        Self {
            id: row.call,
            key: row.key,
            authorized_at: row.authorized_at,
            authorized_revision: row.authorized_revision,
            endpoint: row.endpoint,
            model: row.model,
            provider: row.provider,
            provider_model: row.provider_model,
            labels_revision: row.labels_revision,
            hold: row.hold,
            streams: row.streams,
            tags: row.claims,
            end,
        }
    }
}

impl From<nemo_read_model::EndedCall> for Ended {
    fn from(ended: nemo_read_model::EndedCall) -> Self {
        Self {
            end: ended.end,
            ended_at: ended.at,
            ended_revision: ended.revision,
            cost: ended.cost,
            usage: ended.usage,
            status: ended.status,
            first_byte_ms: ended.first_byte_ms,
            duration_ms: ended.duration_ms,
            over_hold: ended.over_hold,
            corrected_revision: ended.corrected_revision,
        }
    }
}
