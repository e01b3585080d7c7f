//! One call: what is recorded of it, and what it is charged.
//!
//! The read model knows where a call's events are. It is asked once it has got to the ledger's present end,
//! so that nothing that has happened is missing; what is decided rests on the events themselves.

use actix_web::HttpResponse;
use nemo_events::{CallId, KeyId, Nanos, Position, Revision, StreamName};
use nemo_read_model::Answer;
use nemo_store::Direction;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::asked::{Asked, Reply};
use super::history::{Event, unread};
use super::input::{AsOf, Body, Query};
use super::shapes::CallRow;
use crate::error::{Failure, FailureReply};
use crate::ledger::{CallPlaces, Corrected, Correction, Done, ExecuteError};
use nemo_projections::Refusal;

/// `POST /api/calls/{id}/correct`
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CallCorrection)]
#[serde(deny_unknown_fields)]
pub(super) struct CorrectionAsked {
    /// What the call should be charged: no more than it is now, and no more than it held.
    charged: Nanos,
    /// Why, and on what evidence.
    reason: String,
}

/// One call with its events, as of `position`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CallAnswer<'a> {
    /// The call as it stands.
    call: CallRow,
    /// Its authorisation, its end, and the last correction of its charge, as they are stored.
    events: Vec<Event<'a>>,
    /// The last event that the call is shown as of.
    position: Option<Position>,
}

/// A call whose charge was corrected.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CorrectedCall)]
pub(super) struct CorrectedAnswer {
    /// The call.
    call: CallId,
    /// The key that made it.
    key: KeyId,
    /// What it was charged before; the same as now where that was so already.
    charged_before: Nanos,
    /// What it is charged now.
    charged: Nanos,
    /// The revision of the key's stream that this is.
    revision: Option<Revision>,
    /// A position at which the read side has it.
    position: Position,
}

/// Shows one call.
pub(super) async fn show(asked: Asked, Query(_): Query<AsOf>) -> Reply {
    let (row, position) = find(&asked).await?;
    let (store, stream) = (asked.app().ledger.store(), StreamName::Key(row.key));
    let ended = row.ended.as_ref();
    let revisions =
        [Some(row.authorized_revision), ended.map(|e| e.revision), ended.and_then(|e| e.corrected_revision)];
    let mut records = Vec::new();
    for revision in revisions.into_iter().flatten() {
        let found = store.read_stream(&stream, revision, Direction::Forwards, 1).await;
        records.extend(found.map_err(|error| unread(&asked, &error))?);
    }
    let events = records.iter().map(Event::of).collect::<Result<_, _>>();
    let events = events.map_err(|error| asked.not_executed(&ExecuteError::Damaged(error.to_string())))?;
    Ok(HttpResponse::Ok().json(CallAnswer { call: row.into(), events, position }))
}

/// Lowers what an ended call is charged, on evidence.
pub(super) async fn correct(
    asked: Asked,
    Body(CorrectionAsked { charged, reason }): Body<CorrectionAsked>,
) -> Reply {
    let as_of = asked.app().ledger.now();
    let (row, _) = find(&asked).await?;
    let (call, key) = (row.call, row.key);
    let open = || asked.refused(Failure::from(&Refusal::CallNotEnded(call)));
    let ended = row.ended.as_ref().ok_or_else(open)?;
    let places = CallPlaces {
        authorized: row.authorized_revision,
        ended: ended.revision,
        corrected: ended.corrected_revision,
        as_of,
    };
    let correction = Correction { call, charged, reason };
    let done = asked.app().ledger.correct_call(key, correction, places, asked.context()).await;
    let done = done.map_err(|error| asked.not_executed(&error))?;
    let position = asked.position_of(&done).await?;
    let Done { answer: Corrected { charged_before, charged }, revision, .. } = done;
    let answer = CorrectedAnswer { call, key, charged_before, charged, revision, position };
    Ok(HttpResponse::Ok().json(answer))
}

/// The call in the path, as of the ledger's present end.
async fn find(asked: &Asked) -> Result<(nemo_read_model::CallRow, Option<Position>), FailureReply> {
    let call = asked.call_id()?;
    let head = asked.app().ledger.store().head().await;
    let head = head.map_err(|error| asked.not_executed(&ExecuteError::Unavailable(error.to_string())))?;
    let Answer { value, position } =
        asked.read(head.map(|head| head.0), move |reader| reader.call(call)).await?;
    let row = value.ok_or_else(|| asked.refused(Failure::from(&Refusal::CallUnknown(call))))?;
    Ok((row, position))
}
