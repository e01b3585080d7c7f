//! People who log in: list, make links for, give roles, sign out, remove. Nobody sets a password from here:
//! people choose their own, with a link.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use nemo_events::operator::LinkPurpose;
use nemo_events::{OperatorEvent, OperatorId, Position, Role, Timestamp};
use nemo_projections::decide::{GrantRole, OperatorCommand, RemoveOperator};
use nemo_projections::{Operators, Refusal};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::asked::{Asked, Reply};
use super::input::{Body, Nothing, Query, Why};
use crate::error::{Failure, FailureReply};
use crate::ledger::Done;
use crate::people::{self, Invited, Person};

const PAGE: usize = 50;
const PAGE_MAX: usize = 200;

/// `GET /api/operators`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OperatorQuery {
    /// Also those who were removed.
    #[serde(default)]
    removed: bool,
    /// Where to go on: `next_cursor` of the page before.
    cursor: Option<OperatorId>,
    /// Rows on the page: 50 unless stated, at most 200.
    limit: Option<usize>,
    /// Understood and not needed: the ledger itself is read.
    #[serde(rename = "min_position")]
    _min_position: Option<u64>,
}

/// `POST /api/operators/links`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Invitation {
    /// What the person who comes by the link will be here for.
    role: Role,
}

/// `PUT /api/operators/{id}/role`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRole {
    /// Which.
    role: Role,
}

/// A page of people who log in, in the order in which they came.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OperatorPage {
    /// The rows.
    operators: Vec<Person>,
    /// The `cursor` of the next page; `null` on the last one.
    next_cursor: Option<OperatorId>,
    /// A position at which the ledger says so.
    position: Position,
}

/// One person.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OperatorAnswer {
    /// The person as they are now.
    operator: Person,
    /// A position at which the ledger says so.
    position: Position,
}

/// A link, shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OperatorLink {
    /// Where it leads at this gateway, with its code behind the `#`: for one person, in a browser, once.
    path: String,
    /// Until when it holds; it ends earlier with the process of the node that made it.
    valid_until: Timestamp,
}

/// Everybody was signed out.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SignedOut {
    /// A position at which the ledger says so.
    position: Position,
}

/// Changes nothing: its answer is who may log in, durable.
struct LookAtOperators;

impl OperatorCommand for LookAtOperators {
    fn decide(&self, _: &Operators, _: Timestamp) -> Result<Vec<OperatorEvent>, Refusal> {
        Ok(Vec::new())
    }
}

/// Lists people.
pub(super) async fn list(asked: Asked, Query(query): Query<OperatorQuery>) -> Reply {
    let done = execute(&asked, LookAtOperators).await?;
    let limit = query.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let people = people::everybody(asked.app(), &done.answer).into_iter();
    let mut rows: Vec<Person> = people
        .filter(|person| query.removed || person.removed_at.is_none())
        .filter(|person| query.cursor.is_none_or(|after| person.id > after))
        .take(limit.saturating_add(1))
        .collect();
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(|last| last.id);
    let position = asked.position_of(&done).await?;
    Ok(HttpResponse::Ok().json(OperatorPage { operators: rows, next_cursor, position }))
}

/// Makes a link for another person.
pub(super) async fn invite(asked: Asked, Body(Invitation { role }): Body<Invitation>) -> Reply {
    link(&asked, LinkPurpose::Invitation { role }).await
}

/// Makes a link for an operator who forgot their password.
pub(super) async fn forgotten(asked: Asked, Body(Nothing {}): Body<Nothing>) -> Reply {
    let operator = operator_id(&asked)?;
    link(&asked, LinkPurpose::Password { operator }).await
}

/// Gives a person another role.
pub(super) async fn grant(asked: Asked, Body(NewRole { role }): Body<NewRole>) -> Reply {
    let operator = operator_id(&asked)?;
    change(&asked, operator, GrantRole { operator, role }).await
}

/// Removes a person.
pub(super) async fn remove(asked: Asked, Body(Why { reason }): Body<Why>) -> Reply {
    let operator = operator_id(&asked)?;
    change(&asked, operator, RemoveOperator { operator, reason }).await
}

/// Ends all sessions of a person.
pub(super) async fn sign_out(asked: Asked, Body(Nothing {}): Body<Nothing>) -> Reply {
    let id = operator_id(&asked)?;
    let done = people::sign_out(asked.app(), id, asked.context()).await;
    let done = done.map_err(|error| asked.not_executed(&error))?;
    answer(&asked, id, &done).await
}

/// Ends everybody's sessions.
pub(super) async fn sign_everybody_out(asked: Asked, Body(Nothing {}): Body<Nothing>) -> Reply {
    let done = people::sign_everybody_out(asked.app(), asked.context()).await;
    let done = done.map_err(|error| asked.not_executed(&error))?;
    Ok(HttpResponse::Ok().json(SignedOut { position: asked.position_of(&done).await? }))
}

async fn link(asked: &Asked, purpose: LinkPurpose) -> Reply {
    let made = people::invite(asked.app(), purpose, asked.context()).await;
    let Invited { path, valid_until } = made.map_err(|failure| asked.refused(failure))?;
    let mut reply = HttpResponse::Created();
    Ok(reply.insert_header((CACHE_CONTROL, "no-store")).json(OperatorLink { path, valid_until }))
}

async fn change(asked: &Asked, id: OperatorId, command: impl OperatorCommand + Send + 'static) -> Reply {
    let done = execute(asked, command).await?;
    answer(asked, id, &done).await
}

async fn answer(asked: &Asked, id: OperatorId, done: &Done<Operators>) -> Reply {
    let people = people::everybody(asked.app(), &done.answer);
    let operator = people.into_iter().find(|person| person.id == id).ok_or_else(|| unknown(asked))?;
    Ok(HttpResponse::Ok().json(OperatorAnswer { operator, position: asked.position_of(done).await? }))
}

async fn execute(
    asked: &Asked,
    command: impl OperatorCommand + Send + 'static,
) -> Result<Done<Operators>, FailureReply> {
    let done = asked.app().ledger.manage_operators(command, asked.context()).await;
    done.map_err(|error| asked.not_executed(&error))
}

fn operator_id(asked: &Asked) -> Result<OperatorId, FailureReply> {
    asked.path_id().parse().map_err(|_| unknown(asked))
}

fn unknown(asked: &Asked) -> FailureReply {
    asked.refused(Failure::from(&Refusal::OperatorUnknown))
}
