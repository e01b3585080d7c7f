//! What was spent, by whom and when. Added up by the read model; nothing is computed here.

use actix_web::HttpResponse;
use nemo_events::limits::Endpoint;
use nemo_events::{KeyId, OrgId, Position, Timestamp};
use nemo_read_model::{Answer, Every, GroupBy, Spend, SpendFilter, SpendQuery};
use serde::{Deserialize, Serialize};

use super::asked::{Asked, Reply};
use super::failures;
use super::input::Query;
use super::shapes::{SpendRow, SpendTotal};
use crate::read_side::Unread;

/// `GET /api/spend`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpendAsked {
    #[serde(default)]
    by: GroupBy,
    #[serde(default)]
    every: Every,
    /// First moment that counts, on a quarter-hour.
    from: Option<Timestamp>,
    /// First moment that counts no more, on a quarter-hour.
    to: Option<Timestamp>,
    key: Option<KeyId>,
    org: Option<OrgId>,
    app: Option<String>,
    job: Option<String>,
    env: Option<String>,
    cost_centre: Option<String>,
    tag: Option<String>,
    provider: Option<String>,
    model: Option<String>,
    endpoint: Option<Endpoint>,
    min_position: Option<u64>,
}

/// Spend by group and time, as of `position`; `total` is the sum of the rows.
#[derive(Debug, Serialize)]
struct SpendAnswer {
    by: GroupBy,
    every: Every,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    rows: Vec<SpendRow>,
    total: SpendTotal,
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
