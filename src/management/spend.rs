//! What was spent, by whom and when. Added up by the read model; nothing is computed here.

use actix_web::HttpResponse;
use nemo_events::limits::Endpoint;
use nemo_events::{KeyId, OrgId, Position, Timestamp};
use nemo_read_model::{Answer, Every, GroupBy, Spend, SpendFilter, SpendQuery};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::asked::{Asked, Reply};
use super::failures;
use super::input::Query;
use super::shapes::{SpendRow, SpendTotal};
use crate::read_side::Unread;

/// `GET /api/spend`
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SpendQuery)]
#[serde(deny_unknown_fields)]
pub(super) struct SpendAsked {
    /// What has rows of its own.
    #[serde(default)]
    by: GroupBy,
    /// How finely time is divided.
    #[serde(default)]
    every: Every,
    /// First moment that counts, on a quarter-hour.
    from: Option<Timestamp>,
    /// First moment that counts no more, on a quarter-hour.
    to: Option<Timestamp>,
    /// Only this key's.
    key: Option<KeyId>,
    /// Only this org's.
    org: Option<OrgId>,
    /// Only calls of this application, as labelled when they were authorised; likewise the other labels.
    app: Option<String>,
    /// Only of this job.
    job: Option<String>,
    /// Only of this environment.
    env: Option<String>,
    /// Only of this cost centre.
    cost_centre: Option<String>,
    /// Only with this tag.
    tag: Option<String>,
    /// Only of this provider.
    provider: Option<String>,
    /// Only of this model, as its provider names it.
    model: Option<String>,
    /// Only by this route.
    endpoint: Option<Endpoint>,
    /// Waits until reports reflect this position: that of a write whose effect must be seen.
    min_position: Option<u64>,
}

/// Spend by group and time, as of `position`; `total` is the sum of the rows.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SpendReport)]
pub(super) struct SpendAnswer {
    /// What has rows of its own.
    by: GroupBy,
    /// How finely time is divided.
    every: Every,
    /// First moment that counts.
    from: Option<Timestamp>,
    /// First moment that counts no more.
    to: Option<Timestamp>,
    /// By time, then by group.
    rows: Vec<SpendRow>,
    /// The sum of the rows.
    total: SpendTotal,
    /// The last event that the report reflects.
    position: Option<Position>,
}

/// Adds up spend. Calls count where they were authorised: at that time, under the labels of that time.
pub(super) async fn spend(asked: Asked, Query(query): Query<SpendAsked>) -> Reply {
    let SpendAsked { by, every, from, to, min_position, .. } = query;
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        return Err(asked.refused(failures::of_read(&Unread::InvalidQuery("`from` must lie before `to`"))));
    }
    let filter = SpendFilter {
        key: query.key,
        org: query.org,
        app: query.app,
        job: query.job,
        env: query.env,
        cost_centre: query.cost_centre,
        tag: query.tag,
        provider: query.provider,
        provider_model: query.model,
        endpoint: query.endpoint,
    };
    let question = SpendQuery { group_by: by, every, from, to, filter };
    let Answer { value: Spend { rows, total }, position } =
        asked.read(min_position, move |reader| reader.spend(&question)).await?;
    let rows = rows.into_iter().map(SpendRow::from).collect();
    Ok(HttpResponse::Ok().json(SpendAnswer { by, every, from, to, rows, total: total.into(), position }))
}
