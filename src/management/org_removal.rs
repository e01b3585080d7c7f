//! Removing an org: it is archived, and every key of it is revoked. History stays.
//!
//! Archiving comes first and alone makes this node refuse the org's keys; revoking them makes that
//! final everywhere. Whatever interrupts it, asking again goes on where it ended: revoked keys are
//! passed over.

use actix_web::{HttpResponse, web};
use futures_util::{StreamExt, TryStreamExt, stream};
use nemo_events::{KeyId, OrgId, Position};
use nemo_projections::decide::{ArchiveOrg, Revoke};
use nemo_projections::key::Status;
use nemo_read_model::{KeyFilter, Limit, PageRequest};
use serde::Serialize;

use super::asked::{Asked, Reply};
use super::failures;
use super::input::{Body, Why};
use super::orgs::{self, OrgAnswer};
use crate::app::App;
use crate::error::Failure;
use crate::ledger::Context;

/// Keys that are revoked at the same time.
const AT_ONCE: usize = 16;
/// The reason that keys are revoked for where the request gives none.
const REASON: &str = "its org was archived";

/// An org that was archived.
#[derive(Debug, Serialize)]
struct OrgRemoved {
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
    let done = asked.manage_org(id, ArchiveOrg { reason: reason.clone() }).await?;
    let mut answer = orgs::answer(&asked, id, done).await?;
    let reason = reason.unwrap_or_else(|| REASON.to_owned());
    let work =
        Sweep { app: asked.app().clone(), org: id, reason, context: asked.context() }.run(answer.position);
    let swept = asked.to_the_end(work).await?.map_err(|failure| asked.refused(not_all(failure)))?;
    answer.position = swept.position.map_or(answer.position, |position| position.max(answer.position));
    Ok(HttpResponse::Ok().json(OrgRemoved { answer, keys_revoked: swept.keys, calls_cut: swept.calls }))
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
            if self.app.lifecycle.is_stopping() {
                return Err(Failure::ledger_unavailable("this node is stopping"));
            }
            let filter = KeyFilter { org: Some(self.org), ..KeyFilter::default() };
            let (request, ask) = (page.clone(), filter);
            let found =
                self.app.read_side.read(move |reader| reader.keys(&ask, &request)).await.map_err(unread)?;
            let living =
                found.value.rows.iter().filter(|row| row.status != Status::Revoked).map(|row| row.key);
            swept = self.revoke(swept, living.collect()).await?;
            match found.value.next {
                Some(next) => page.after = Some(next),
                None => return Ok(swept),
            }
        }
    }

    async fn revoke(&self, swept: Swept, keys: Vec<KeyId>) -> Result<Swept, Failure> {
        let each = stream::iter(keys).map(|key| {
            let command = Revoke { reason: Some(self.reason.clone()) };
            self.app.ledger.revoke_key(key, command, self.context.clone())
        });
        let sum = each.buffer_unordered(AT_ONCE).try_fold(swept, |sum, done| async move {
            Ok(Swept {
                keys: sum.keys.saturating_add(1),
                calls: sum.calls.saturating_add(done.answer.key.map_or(0, |key| key.open_calls.len())),
                position: sum.position.max(done.position),
            })
        });
        sum.await.map_err(|error| failures::of_command(&error))
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
