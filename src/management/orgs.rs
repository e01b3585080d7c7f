//! Orgs: create, list, show, rename, limit, suspend, resume. Archiving is in `org_removal.rs`.

use actix_web::HttpResponse;
use nemo_events::limits::Budget;
use nemo_events::org::OrgLimits;
use nemo_events::{OrgEvent, OrgId, Position, Revision, Timestamp};
use nemo_projections::decide::{CreateOrg, OrgCommand, RenameOrg, ResumeOrg, SetOrgLimits, SuspendOrg};
use nemo_projections::org::Standing;
use nemo_projections::{OrgState, Refusal};
use nemo_read_model::{Answer, Cursor, OrgFilter, OrgSpend, Page, Reader};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::asked::{Asked, Reply};
use super::input::{AsOf, Body, Nothing, Query, Why};
use super::shapes::{KeysOutside, Org, OrgRow};
use crate::error::FailureReply;
use crate::ledger::Done;

/// Keys outside the bounds of their org that are listed one by one, the newest first.
const KEYS_OUTSIDE_SHOWN: usize = 20;

/// `POST /api/orgs`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOrg {
    /// What people call it.
    name: String,
    /// Limits for its keys.
    #[serde(default)]
    limits: OrgLimits,
}

/// `PATCH /api/orgs/{id}`
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = OrgRename)]
#[serde(deny_unknown_fields)]
pub(super) struct Rename {
    /// Its name from now on.
    name: String,
}

/// `PUT /api/orgs/{id}/budgets`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrgBudgets {
    /// All of them, at most one for each kind of window; none leaves only those of its keys.
    budgets: Vec<Budget>,
}

/// `GET /api/orgs`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrgQuery {
    /// Only orgs whose name contains this.
    q: Option<String>,
    /// Only orgs of this status.
    status: Option<Standing>,
    /// Where to go on: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows on the page: 50 unless stated, at most 200.
    limit: Option<usize>,
    /// Waits until lists reflect this position: that of a write whose effect must be seen.
    min_position: Option<u64>,
}

/// One org.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrgAnswer {
    /// The org as it is now.
    org: Org,
    /// The revision of the org's stream that this is.
    revision: Option<Revision>,
    /// A position at which the read side has it.
    pub(super) position: Position,
    /// Keys that are wider than the org's bounds, because they were there first: told where an org is shown or its
    /// limits are set. `null` for an org without bounds, and while lists cannot be read.
    keys_outside_bounds: Option<KeysOutside>,
}

/// A page of orgs, as of `position`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrgPage {
    /// The rows.
    orgs: Vec<OrgRow>,
    /// The `cursor` of the next page; `null` on the last one.
    next_cursor: Option<Cursor>,
    /// The last event that the page reflects.
    position: Option<Position>,
}

impl From<Answer<Page<nemo_read_model::OrgRow>>> for OrgPage {
    fn from(Answer { value: Page { rows, next }, position }: Answer<Page<nemo_read_model::OrgRow>>) -> Self {
        Self { orgs: rows.into_iter().map(OrgRow::from).collect(), next_cursor: next, position }
    }
}

/// Changes nothing: its answer is the org as it is, durable.
struct LookAtOrg;

impl OrgCommand for LookAtOrg {
    fn decide(&self, _state: Option<&OrgState>, _now: Timestamp) -> Result<Vec<OrgEvent>, Refusal> {
        Ok(Vec::new())
    }
}

/// Creates an org.
pub(super) async fn create(asked: Asked, Body(wish): Body<NewOrg>) -> Reply {
    let id = OrgId::from_uuid(Uuid::now_v7());
    let command = CreateOrg { name: wish.name, limits: wish.limits };
    let done = asked.create_org(id, command).await?;
    Ok(HttpResponse::Created().json(answer(&asked, id, done).await?))
}

/// Shows one org, from its own account.
pub(super) async fn show(asked: Asked, Query(_): Query<AsOf>) -> Reply {
    let id = asked.org_id()?;
    let mut answer = answer(&asked, id, look_at(&asked, id).await?).await?;
    answer.keys_outside_bounds = outside_bounds(&asked, id, &answer.org.limits, None).await;
    Ok(HttpResponse::Ok().json(answer))
}

/// Lists orgs, newest first.
pub(super) async fn list(asked: Asked, Query(query): Query<OrgQuery>) -> Reply {
    let page = asked.page(query.cursor.as_deref(), query.limit)?;
    let filter = OrgFilter { search: query.q, standing: query.status, ..OrgFilter::default() };
    let found = asked.read(query.min_position, move |reader| reader.orgs(&filter, &page)).await?;
    Ok(HttpResponse::Ok().json(OrgPage::from(found)))
}

/// Renames an org.
pub(super) async fn rename(asked: Asked, Body(Rename { name }): Body<Rename>) -> Reply {
    change(asked, RenameOrg { name }).await
}

/// Replaces the limits for an org's keys, all of them.
pub(super) async fn set_limits(asked: Asked, Body(limits): Body<OrgLimits>) -> Reply {
    let id = asked.org_id()?;
    let done = asked.manage_org(id, SetOrgLimits { limits }).await?;
    let mut answer = answer(&asked, id, done).await?;
    let since = Some(answer.position.0);
    answer.keys_outside_bounds = outside_bounds(&asked, id, &answer.org.limits, since).await;
    Ok(HttpResponse::Ok().json(answer))
}

/// Keys that are wider than the org's bounds, as far as lists can be read: they tell only what follows from a change
/// that is made already.
pub(crate) async fn outside_bounds(
    asked: &Asked,
    id: OrgId,
    limits: &OrgLimits,
    min_position: Option<u64>,
) -> Option<KeysOutside> {
    let bounds = limits.key_bounds.clone()?;
    let ask = move |reader: &Reader| reader.keys_outside(id, &bounds, KEYS_OUTSIDE_SHOWN);
    asked.read(min_position, ask).await.ok().map(|found| KeysOutside::from(found.value))
}

/// Replaces the org's own budgets, all of them.
pub(super) async fn set_budgets(asked: Asked, Body(OrgBudgets { budgets }): Body<OrgBudgets>) -> Reply {
    let id = asked.org_id()?;
    let done = share(&asked, id, budgets).await?;
    Ok(HttpResponse::Ok().json(answer(&asked, id, done).await?))
}

/// Replaces the budgets that all keys of an org that exists share.
pub(crate) async fn share(
    asked: &Asked,
    id: OrgId,
    budgets: Vec<Budget>,
) -> Result<Done<OrgState>, FailureReply> {
    look_at(asked, id).await?;
    let done = asked.app().ledger.set_org_budgets(id, budgets, asked.context()).await;
    let Done { answer, revision, position } = done.map_err(|error| asked.not_executed(&error))?;
    Ok(Done { answer: answer.org, revision, position })
}

/// Suspends an org: its keys are refused until it is resumed.
pub(super) async fn suspend(asked: Asked, Body(Why { reason }): Body<Why>) -> Reply {
    change(asked, SuspendOrg { reason }).await
}

/// Resumes an org.
pub(super) async fn resume(asked: Asked, Body(Nothing {}): Body<Nothing>) -> Reply {
    change(asked, ResumeOrg).await
}

/// The org of an id, from its own account.
pub(crate) async fn look_at(asked: &Asked, id: OrgId) -> Result<Done<OrgState>, FailureReply> {
    asked.manage_org(id, LookAtOrg).await
}

/// What a command on an org led to, as it is shown.
pub(super) async fn answer(
    asked: &Asked,
    id: OrgId,
    done: Done<OrgState>,
) -> Result<OrgAnswer, FailureReply> {
    let (position, revision) = (asked.position_of(&done).await?, done.revision);
    let (spend, now) = (spend_of(asked, id, &done.answer).await, asked.app().ledger.now());
    let org = Org::of(id, done.answer, spend.as_ref(), now);
    Ok(OrgAnswer { org, revision, position, keys_outside_bounds: None })
}

/// What the keys of an org with budgets of its own spent and hold, as far as lists can be read.
pub(crate) async fn spend_of(asked: &Asked, id: OrgId, org: &OrgState) -> Option<OrgSpend> {
    if org.budgets.is_empty() {
        return None;
    }
    let now = asked.app().ledger.now();
    asked.read(None, move |reader| reader.org_spend(id, now)).await.ok().map(|found| found.value)
}

async fn change<C: OrgCommand + Send + 'static>(asked: Asked, command: C) -> Reply {
    let id = asked.org_id()?;
    let done = asked.manage_org(id, command).await?;
    Ok(HttpResponse::Ok().json(answer(&asked, id, done).await?))
}
