//! Removing an org: it is archived, and every key of it is revoked. History stays.
//!
//! Archiving comes first and alone makes this node refuse the org's keys; revoking them makes that
//! final everywhere. Whatever interrupts it, asking again goes on where it ended.

use std::pin::pin;

use actix_web::{HttpResponse, web};
use futures_util::{StreamExt, stream};
use nemo_events::{OrgId, Position};
use nemo_projections::decide::{ArchiveOrg, Revoke};
use nemo_projections::key::Status;
use nemo_read_model::{KeyFilter, KeyRow, Limit, PageRequest};
use serde::Serialize;
use utoipa::ToSchema;

use super::asked::{Asked, Reply};
use super::failures;
use super::input::{Body, Why};
use super::orgs::{self, OrgAnswer};
use crate::app::App;
use crate::error::{Failure, FailureReply};
use crate::ledger::{Context, Done, KeyAccount};

/// Keys that are revoked at the same time.
const AT_ONCE: usize = 16;
/// The reason that keys are revoked for where the request gives none.
const REASON: &str = "its org was archived";

/// An org that was archived.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrgRemoved {
    #[serde(flatten)]
    answer: OrgAnswer,
    /// Keys that were revoked by this request.
    keys_revoked: usize,
    /// Calls that were open with them, on any node; they are being cut.
    calls_cut: usize,
}

/// What was done so far.
#[derive(Debug, Clone, Copy, Default)]
struct Swept {
    keys: usize,
    calls: usize,
    position: Option<Position>,
}

/// Archives an org and revokes its keys.
pub(super) async fn remove(asked: Asked, Body(Why { reason }): Body<Why>) -> Reply {
    let id = asked.org_id()?;
    Ok(HttpResponse::Ok().json(archive(&asked, id, reason).await?))
}

/// Archives an org and revokes its keys.
pub(crate) async fn archive(
    asked: &Asked,
    id: OrgId,
    reason: Option<String>,
) -> Result<OrgRemoved, FailureReply> {
    let done = asked.manage_org(id, ArchiveOrg { reason: reason.clone() }).await?;
    let mut answer = orgs::answer(asked, id, done).await?;
    let reason = reason.unwrap_or_else(|| REASON.to_owned());
    let work =
        Sweep { app: asked.app().clone(), org: id, reason, context: asked.context() }.run(answer.position);
    let swept = asked.to_the_end(work).await?.map_err(|failure| asked.refused(not_all(failure)))?;
    answer.position = swept.position.map_or(answer.position, |position| position.max(answer.position));
    Ok(OrgRemoved { answer, keys_revoked: swept.keys, calls_cut: swept.calls })
}

/// Revokes all keys of an org.
struct Sweep {
    app: web::Data<App>,
    org: OrgId,
    reason: String,
    context: Context,
}

impl Sweep {
    /// Revokes the keys that the read model knows of once it has got to `archived_at`; a key whose
    /// creation was decided just before that may come late, and is refused all the same.
    async fn run(self, archived_at: Position) -> Result<Swept, Failure> {
        let unread = |error| failures::of_read(&error);
        self.app.read_side.reach(archived_at).await.map_err(unread)?;
        let mut swept = Swept::default();
        let mut page = PageRequest { after: None, limit: Limit::at_most(Limit::MAX) };
        loop {
            if let Some(why) = self.app.lifecycle.why_no_calls() {
                return Err(Failure::ledger_unavailable(&why));
            }
            let filter = KeyFilter { org: Some(self.org), ..KeyFilter::default() };
            let (request, ask) = (page.clone(), filter);
            let found =
                self.app.read_side.read(move |reader| reader.keys(&ask, &request)).await.map_err(unread)?;
            swept = self.revoke(swept, found.value.rows).await?;
            match found.value.next {
                Some(next) => page.after = Some(next),
                None => return Ok(swept),
            }
        }
    }

    /// A key that is revoked already is asked for again while calls of it are open: whoever revoked it
    /// may not have got to cutting them. One that cannot be revoked now keeps none of the others.
    async fn revoke(&self, mut swept: Swept, rows: Vec<KeyRow>) -> Result<Swept, Failure> {
        let todo = rows.into_iter().filter(|row| row.status != Status::Revoked || row.open_calls > 0);
        let each = stream::iter(todo).map(async |row| {
            let command = Revoke { reason: Some(self.reason.clone()) };
            (row.status, self.app.ledger.revoke_key(row.key, command, self.context.clone()).await)
        });
        let mut each = pin!(each.buffer_unordered(AT_ONCE));
        let mut failed = None;
        while let Some((status, done)) = each.next().await {
            match done {
                Ok(done) => swept.count(status, &done),
                Err(error) => failed = failed.or_else(|| Some(failures::of_command(&error))),
            }
        }
        failed.map_or(Ok(swept), Err)
    }
}

impl Swept {
    fn count(&mut self, before: Status, done: &Done<KeyAccount>) {
        self.keys = self.keys.saturating_add(usize::from(before != Status::Revoked));
        self.calls =
            self.calls.saturating_add(done.answer.key.as_ref().map_or(0, |key| key.open_calls.len()));
        self.position = self.position.max(done.position);
    }
}

/// Some keys are left, and nothing is lost by asking again.
fn not_all(failure: Failure) -> Failure {
    let message = format!(
        "The org is archived, so its keys are refused, but not all of them are revoked yet: send the request again. {}",
        failure.message
    );
    Failure { message, ..failure }
}
