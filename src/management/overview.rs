//! How the gateway is doing: what the first page shows, and the same for programs.

use actix_web::HttpResponse;
use nemo_events::limits::WindowKind;
use nemo_events::{Actor, KeyId, Nanos, OrgId, Position, Right, StreamName, Timestamp};
use nemo_projections::budget::window_start;
use nemo_read_model::{Answer, CapLevel, ClosestCap, JobSums, KeyCounts, OverCause, OverviewQuery};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::asked::{Asked, Reply};
use super::input::Query;
use crate::error::FailureReply;
use crate::read_side::Progress;

/// Days by job, today included.
const DAYS: u32 = 30;
/// Keys that are listed as close to a cap, or as over it.
const KEYS: usize = 5;
/// Deeds that are listed.
const DEEDS: usize = 8;

/// `GET /api/overview`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OverviewAsked {
    /// Waits until reports reflect this position: that of a write whose effect must be seen.
    min_position: Option<u64>,
}

/// How the gateway is doing, as of `position`. Days and months are UTC; calls count where they were authorised.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Overview {
    /// The moment that months, windows and ages are counted from.
    pub(crate) now: Timestamp,
    /// The last event that it reflects.
    pub(crate) position: Option<Position>,
    /// Where the ledger stands.
    pub(crate) ledger: LedgerState,
    /// Keys by what may be done with them.
    pub(crate) keys: Keys,
    /// Calls of this month.
    pub(crate) month: MonthSums,
    /// This month's days that are over beside the same days of last month; `null` on the first day.
    pub(crate) compared: Option<Compared>,
    /// Calls of the last 30 days by day and job; where there were none there is no row.
    pub(crate) days: Vec<Day>,
    /// First moment of the first of those days.
    pub(crate) days_from: Timestamp,
    /// This month's refusals by code, the most frequent first.
    pub(crate) refusals: Vec<Refused>,
    /// Keys with caps that need a look.
    pub(crate) caps: Caps,
    /// The keys with the least room in proportion, each by its tightest cap.
    pub(crate) closest: Vec<Cap>,
    /// What people and the master key changed last, the latest first; nothing for whoever may not read the ledger.
    pub(crate) deeds: Vec<Deed>,
}

/// Where the ledger stands, and what is wrong with it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OverviewLedger)]
pub(crate) struct LedgerState {
    /// Its end; `null` while it is empty or cannot be told.
    pub(crate) position: Option<Position>,
    /// How far lists and reports reflect it.
    pub(crate) read_model: Progress,
    /// Why calls are not taken just now.
    pub(crate) trouble: Option<String>,
}

/// Keys by what may be done with them: each counts once in the first four.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyCounts)]
pub(crate) struct Keys {
    /// May be used.
    pub(crate) active: u64,
    /// Refused until unblocked.
    pub(crate) blocked: u64,
    /// Not blocked, and past their end.
    pub(crate) expired: u64,
    /// Refused for good.
    pub(crate) revoked: u64,
    /// Active ones that made no call for 30 days.
    pub(crate) idle: u64,
}

/// What calls come to.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = JobSums)]
pub(crate) struct Sums {
    /// Calls that ended, voided ones included.
    pub(crate) calls: u64,
    /// Calls among them that cost nothing.
    pub(crate) voided: u64,
    /// What they are charged.
    pub(crate) cost: Nanos,
}

/// Calls of a month.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MonthSums {
    /// The month's first moment.
    pub(crate) from: Timestamp,
    /// What its calls come to.
    #[serde(flatten)]
    pub(crate) sums: Sums,
}

/// Days of two months beside one another.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DaysCompared)]
pub(crate) struct Compared {
    /// How many days from the first on: those that are over, and that last month has too.
    pub(crate) days: u32,
    /// This month's.
    pub(crate) this: Sums,
    /// Last month's.
    pub(crate) last: Sums,
    /// First moment of last month.
    pub(crate) last_month: Timestamp,
}

/// Calls of one job on one day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobDay)]
pub(crate) struct Day {
    /// The day's first moment.
    pub(crate) day: Timestamp,
    /// The job, as their keys were labelled; `null` for keys without one.
    pub(crate) job: Option<String>,
    /// What they come to.
    #[serde(flatten)]
    pub(crate) sums: Sums,
}

/// How often calls were refused for one reason.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RefusedCount)]
pub(crate) struct Refused {
    /// The reason's code.
    pub(crate) code: String,
    /// How often.
    pub(crate) count: u64,
}

/// Keys with caps that need a look, each counted by its worst cap.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CapAlerts)]
pub(crate) struct Caps {
    /// Keys that spent more than a cap allows.
    pub(crate) over: u64,
    /// Keys with a cap that is used up.
    pub(crate) used_up: u64,
    /// Keys with a cap that is used beyond the share at which it raises an alert.
    pub(crate) near: u64,
    /// The worst of those that are over a cap.
    pub(crate) over_caps: Vec<Cap>,
}

/// A key and one of its caps.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyCap)]
pub(crate) struct Cap {
    /// The key.
    pub(crate) key: KeyId,
    /// Its name.
    pub(crate) name: String,
    /// The last four characters of its secret.
    pub(crate) last_four: String,
    /// Which windows the cap counts.
    pub(crate) window: WindowKind,
    /// The cap.
    pub(crate) limit: Nanos,
    /// What calls of the present window are charged; holds are not in it.
    pub(crate) spent: Nanos,
    /// How far it is used up.
    pub(crate) level: CapLevel,
    /// Why more was spent than it allows, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<OverCause>,
    /// When the window ends; `null` for the total.
    pub(crate) resets_at: Option<Timestamp>,
}

/// What somebody changed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OverviewDeed)]
pub(crate) struct Deed {
    /// Where in the log.
    pub(crate) position: Position,
    /// When.
    pub(crate) recorded_at: Timestamp,
    /// The event's type.
    #[serde(rename = "type")]
    pub(crate) event_type: String,
    /// Who did it.
    #[schema(value_type = Object)]
    pub(crate) actor: Actor,
    /// The key that it was done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<KeyId>,
    /// The org that it was done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) org: Option<OrgId>,
    /// The present name of either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
}

/// Tells how the gateway is doing.
pub(super) async fn show(asked: Asked, Query(query): Query<OverviewAsked>) -> Reply {
    Ok(HttpResponse::Ok().json(gather(&asked, query.min_position).await?))
}

/// How the gateway is doing.
pub(crate) async fn gather(asked: &Asked, min_position: Option<u64>) -> Result<Overview, FailureReply> {
    let (app, now) = (asked.app(), asked.app().ledger.now());
    // Who did what is for those who may read the ledger.
    let deeds = if asked.may(Right::ReadLedger) { DEEDS } else { 0 };
    let question = OverviewQuery { now, days: DAYS, keys: KEYS, deeds };
    let Answer { value: found, position } =
        asked.read(min_position, move |reader| reader.overview(&question)).await?;
    let head = app.ledger.head().await;
    let trouble = head.as_ref().err().cloned().or_else(|| app.ledger.store_trouble());
    let alerts = found.alerts;
    Ok(Overview {
        now,
        position,
        ledger: LedgerState { position: head.ok().flatten(), read_model: app.read_side.progress(), trouble },
        keys: found.keys.into(),
        month: MonthSums { from: window_start(WindowKind::Month, now), sums: found.month.into() },
        compared: found.compared.map(|compared| Compared {
            days: compared.days,
            this: compared.this.into(),
            last: compared.last.into(),
            last_month: compared.last_month,
        }),
        days: found.days.into_iter().map(|d| Day { day: d.day, job: d.job, sums: d.sums.into() }).collect(),
        days_from: found.days_from,
        refusals: found.refusals.into_iter().map(|(code, count)| Refused { code, count }).collect(),
        caps: Caps {
            over: alerts.over,
            used_up: alerts.used_up,
            near: alerts.near,
            over_caps: alerts.over_caps.into_iter().map(|alert| Cap::of(alert.of, alert.cause)).collect(),
        },
        closest: found.closest.into_iter().map(|close| Cap::of(close, None)).collect(),
        deeds: found.deeds.into_iter().map(Deed::from).collect(),
    })
}

impl From<KeyCounts> for Keys {
    fn from(counts: KeyCounts) -> Self {
        let KeyCounts { active, blocked, expired, revoked, idle } = counts;
        Self { active, blocked, expired, revoked, idle }
    }
}

impl From<JobSums> for Sums {
    fn from(sums: JobSums) -> Self {
        let JobSums { calls, voided, cost } = sums;
        Self { calls, voided, cost }
    }
}

impl Cap {
    fn of(close: ClosestCap, cause: Option<OverCause>) -> Self {
        let ClosestCap { key, name, last_four, cap } = close;
        let nemo_read_model::CapUse { window, limit, spent, level, resets_at } = cap;
        Self { key, name, last_four, window, limit, spent, level, cause, resets_at }
    }
}

impl From<nemo_read_model::Deed> for Deed {
    fn from(deed: nemo_read_model::Deed) -> Self {
        let (key, org) = match deed.stream {
            StreamName::Key(key) => (Some(key), None),
            StreamName::Org(org) => (None, Some(org)),
            StreamName::Operators | StreamName::Prices | StreamName::Gateway | StreamName::Checkpoints => {
                (None, None)
            }
        };
        Self {
            position: deed.position,
            recorded_at: deed.recorded_at,
            event_type: deed.event_type,
            actor: deed.actor,
            key,
            org,
            name: deed.name,
        }
    }
}
