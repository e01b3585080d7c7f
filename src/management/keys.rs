//! Keys: list, show, label, limit, block, unblock, revoke, and let a flagged model be called again.
//! What hands out a secret is in `key_secrets.rs`.

use actix_web::HttpResponse;
use nemo_events::key::Labels;
use nemo_events::limits::KeyLimits;
use nemo_events::{KeyId, OrgId, PepperId, Position, Revision};
use nemo_projections::CorruptLog;
use nemo_projections::decide::{
    Block, ClearModel, KeyCommand, Relabel, RetireSecret, Revoke, SetLimits, Unblock,
};
use nemo_projections::key::Status;
use nemo_read_model::{Answer, Cursor, KeyFilter, Page};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::asked::{Asked, Reply};
use super::failures;
use super::input::{AsOf, Body, Nothing, Query, Why};
use super::orgs;
use super::shapes::{Key, KeyRow};
use crate::error::FailureReply;
use crate::ledger::{Done, ExecuteError, KeyAccount};

/// `GET /api/keys`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyQuery {
    /// Only keys of this org.
    org: Option<OrgId>,
    /// Only keys of this status.
    status: Option<Status>,
    /// Only keys whose name contains this, whose id begins with it, or one of whose secrets ends in it.
    q: Option<String>,
    /// Only keys of this application.
    app: Option<String>,
    /// Only keys of this job.
    job: Option<String>,
    /// Only keys of this environment.
    env: Option<String>,
    /// Only keys of this cost centre.
    cost_centre: Option<String>,
    /// Only keys with this tag.
    tag: Option<String>,
    /// Only keys that need this pepper.
    pepper: Option<PepperId>,
    /// Where to go on: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows on the page: 50 unless stated, at most 200.
    limit: Option<usize>,
    /// Waits until lists reflect this position: that of a write whose effect must be seen.
    min_position: Option<u64>,
}

/// `POST /api/keys/{id}/retire-secret`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretVersion {
    /// Which secret.
    version: u32,
}

/// `POST /api/keys/{id}/clear-model`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FlaggedModel {
    /// The provider.
    provider: String,
    /// The model's name there.
    provider_model: String,
}

/// One key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyAnswer {
    /// The key as it is now.
    key: Key,
    /// The revision of the key's stream that this is.
    revision: Option<Revision>,
    /// A position at which the read side has it.
    position: Position,
}

/// A key that was revoked.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RevokedKey)]
pub(super) struct Revoked {
    #[serde(flatten)]
    answer: KeyAnswer,
    /// Calls that were open when it was revoked, on any node; they are being cut.
    calls_cut: usize,
}

/// A page of keys, as of `position`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyPage {
    /// The rows.
    keys: Vec<KeyRow>,
    /// The `cursor` of the next page; `null` on the last one.
    next_cursor: Option<Cursor>,
    /// The last event that the page reflects.
    position: Option<Position>,
}

impl From<Answer<Page<nemo_read_model::KeyRow>>> for KeyPage {
    fn from(Answer { value: Page { rows, next }, position }: Answer<Page<nemo_read_model::KeyRow>>) -> Self {
        Self { keys: rows.into_iter().map(KeyRow::from).collect(), next_cursor: next, position }
    }
}

/// Lists keys, newest first.
pub(super) async fn list(asked: Asked, Query(query): Query<KeyQuery>) -> Reply {
    let page = asked.page(query.cursor.as_deref(), query.limit)?;
    let KeyQuery { org, status, q, app, job, env, cost_centre, tag, pepper, min_position, .. } = query;
    let needs_pepper = pepper.map(|pepper| (pepper, asked.app().ledger.now()));
    let filter = KeyFilter {
        org,
        status,
        search: q,
        app,
        job,
        env,
        cost_centre,
        tag,
        needs_pepper,
        ..KeyFilter::default()
    };
    let found = asked.read(min_position, move |reader| reader.keys(&filter, &page)).await?;
    Ok(HttpResponse::Ok().json(KeyPage::from(found)))
}

/// Shows one key, from its own account.
pub(super) async fn show(asked: Asked, Query(_): Query<AsOf>) -> Reply {
    let done = look_at(&asked, asked.key_id()?).await?;
    let (position, revision) = (asked.position_of(&done).await?, done.revision);
    Ok(HttpResponse::Ok().json(KeyAnswer { key: done.answer, revision, position }))
}

/// One key, from its own account: never behind.
pub(crate) async fn look_at(asked: &Asked, id: KeyId) -> Result<Done<Key>, FailureReply> {
    let look = asked.app().ledger.look(id, move |account, now| Key::of(id, account, now)).await;
    let Done { answer, revision, position } = look.map_err(|error| asked.not_executed(&error))?;
    Ok(Done { answer: shown(asked, answer)?, revision, position })
}

/// Replaces the labels, all of them.
pub(super) async fn relabel(asked: Asked, Body(labels): Body<Labels>) -> Reply {
    change(asked, Relabel { labels }).await
}

/// Replaces the limits, all of them.
pub(super) async fn set_limits(asked: Asked, Body(limits): Body<KeyLimits>) -> Reply {
    let id = asked.key_id()?;
    let done = limit(&asked, id, limits).await?;
    Ok(HttpResponse::Ok().json(answer(&asked, id, &done).await?))
}

/// Replaces the limits by others that are within the bounds of the key's org.
pub(crate) async fn limit(
    asked: &Asked,
    id: KeyId,
    limits: KeyLimits,
) -> Result<Done<KeyAccount>, FailureReply> {
    let ledger = &asked.app().ledger;
    // A key has one org for life, so that nothing can change between this look and the decision.
    let org = ledger.look(id, |account, _| account.key.as_ref().map(|key| key.org)).await;
    let org = org.map_err(|error| asked.not_executed(&error))?.answer;
    let org = org.ok_or_else(|| asked.refused(failures::no_such_key()))?;
    let bounds = orgs::look_at(asked, org).await?.answer.limits.key_bounds;
    asked.manage_key(id, SetLimits { limits, bounds }).await
}

/// Blocks a key: it is refused until it is unblocked.
pub(super) async fn block(asked: Asked, Body(Why { reason }): Body<Why>) -> Reply {
    change(asked, Block { reason }).await
}

/// Unblocks a key.
pub(super) async fn unblock(asked: Asked, Body(Nothing {}): Body<Nothing>) -> Reply {
    change(asked, Unblock).await
}

/// Ends an earlier secret's overlap now.
pub(super) async fn retire_secret(
    asked: Asked,
    Body(SecretVersion { version }): Body<SecretVersion>,
) -> Reply {
    change(asked, RetireSecret { version }).await
}

/// Lets a key call a model again that a provider billed above the hold.
pub(super) async fn clear_model(asked: Asked, Body(model): Body<FlaggedModel>) -> Reply {
    let FlaggedModel { provider, provider_model } = model;
    change(asked, ClearModel { provider, provider_model }).await
}

/// Revokes a key, for good, and cuts its running calls; that is not left half done if the client hangs up.
pub(super) async fn revoke(asked: Asked, Body(Why { reason }): Body<Why>) -> Reply {
    let id = asked.key_id()?;
    let done = end(&asked, id, reason).await?;
    let calls_cut = done.answer.key.as_ref().map_or(0, |key| key.open_calls.len());
    Ok(HttpResponse::Ok().json(Revoked { answer: answer(&asked, id, &done).await?, calls_cut }))
}

/// The same for whoever shows it in another way.
pub(crate) async fn end(
    asked: &Asked,
    id: KeyId,
    reason: Option<String>,
) -> Result<Done<KeyAccount>, FailureReply> {
    let (app, context) = (asked.app().clone(), asked.context());
    let work = async move { app.ledger.revoke_key(id, Revoke { reason }, context).await };
    asked.to_the_end(work).await?.map_err(|error| asked.not_executed(&error))
}

/// What a command on a key led to, as it is shown.
pub(super) async fn answer(
    asked: &Asked,
    id: KeyId,
    done: &Done<KeyAccount>,
) -> Result<KeyAnswer, FailureReply> {
    let key = shown(asked, Key::of(id, &done.answer, asked.app().ledger.now()))?;
    Ok(KeyAnswer { key, revision: done.revision, position: asked.position_of(done).await? })
}

fn shown(asked: &Asked, key: Result<Option<Key>, CorruptLog>) -> Result<Key, FailureReply> {
    let key = key.map_err(|corrupt| asked.not_executed(&ExecuteError::Damaged(corrupt.to_string())))?;
    key.ok_or_else(|| asked.refused(failures::no_such_key()))
}

async fn change<C: KeyCommand + Send + 'static>(asked: Asked, command: C) -> Reply {
    let id = asked.key_id()?;
    let done = asked.manage_key(id, command).await?;
    Ok(HttpResponse::Ok().json(answer(&asked, id, &done).await?))
}
