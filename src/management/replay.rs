//! A key as it was: behind any of its events, as of any position or time.

use actix_web::HttpResponse;
use nemo_events::{Digest, Position, Revision, Timestamp};
use nemo_projections::replay::{After, Change, Mark};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::asked::{Asked, Reply};
use super::failures;
use super::input::Query;
use super::shapes::Key;
use crate::audit::{self, Replay, ReplayError};
use crate::error::{Failure, FailureReply};
use crate::ledger::{ExecuteError, Moment};

/// `GET /api/keys/{id}/state`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MomentQuery {
    /// Behind this event of the key's stream.
    revision: Option<u64>,
    /// As of this position of the ledger: behind the key's last event there or before.
    position: Option<u64>,
    /// As of this time: behind the key's last event that was recorded then or before.
    time: Option<Timestamp>,
    /// Understood and not needed: the ledger itself is read.
    #[serde(rename = "min_position")]
    _min_position: Option<u64>,
}

/// A key as it was behind one of its events.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyState {
    /// The key as it was. Windows and rates are those of `as_of`.
    key: Key,
    /// The last event that it reflects.
    revision: Revision,
    /// When that was recorded.
    recorded_at: Timestamp,
    /// Where it is in the ledger.
    position: Position,
    /// Its hash.
    hash: Digest,
    /// The moment of which windows and rates are told.
    as_of: Timestamp,
    /// What the event changed; empty where no moment was asked for.
    changes: Vec<Change>,
    /// What was seen for the first time in the key's whole life: addresses, user agents, models, in order.
    marks: Vec<Mark>,
    /// What came after the event.
    after: After,
    /// The key's last event by now.
    head: Revision,
}

/// Shows a key as it was.
pub(super) async fn state(asked: Asked, Query(query): Query<MomentQuery>) -> Reply {
    let id = asked.key_id()?;
    let moment = query.moment().map_err(|failure| asked.refused(failure))?;
    let replay = audit::replay(&asked.app().ledger, id, moment).await;
    let replay = replay.map_err(|error| not_replayed(&asked, &error))?;
    let Replay { account, revision, recorded_at, position, hash, as_of, changes, marks, after, head, .. } =
        replay;
    let key = Key::of(id, &account, as_of);
    let key = key.map_err(|corrupt| asked.not_executed(&ExecuteError::Damaged(corrupt.to_string())))?;
    let key = key.ok_or_else(|| asked.refused(failures::no_such_key()))?;
    let state = KeyState { key, revision, recorded_at, position, hash, as_of, changes, marks, after, head };
    Ok(HttpResponse::Ok().json(state))
}

impl MomentQuery {
    fn moment(&self) -> Result<Option<Moment>, Failure> {
        let revision = self.revision.map(|revision| Moment::Revision(Revision(revision)));
        let position = self.position.map(|position| Moment::Position(Position(position)));
        let moments = [revision, position, self.time.map(Moment::Time)];
        let mut moments = moments.into_iter().flatten();
        match (moments.next(), moments.next()) {
            (moment, None) => Ok(moment),
            (_, Some(_)) => {
                Err(Failure::invalid_request("Name one moment: a revision, a position or a time."))
            }
        }
    }
}

/// Why there is no state to show, as a reply.
pub(crate) fn not_replayed(asked: &Asked, error: &ReplayError) -> FailureReply {
    match error {
        ReplayError::Ledger(error) => asked.not_executed(error),
        ReplayError::NoSuchKey => asked.refused(failures::no_such_key()),
        ReplayError::BeforeCreation => asked.refused(failures::before_creation()),
        ReplayError::BeyondHead(head) => asked.refused(failures::beyond_head(*head)),
    }
}
