//! Master keys and peppers by what may be told of them: which are in force here, since when, until when, and
//! how many keys need which pepper. They are changed on disk (`nemo secrets`), never from here: a new master
//! key does not travel.

use actix_web::HttpResponse;
use nemo_events::{MasterKeyId, PepperId, Position, Timestamp};
use nemo_read_model::{Answer, MasterKeyRow, PepperRow, ReadModelError, Reader};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::asked::{Asked, Reply};
use super::input::Query;
use crate::auth::secrets::Secrets;
use crate::error::FailureReply;

/// `GET /api/secrets`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretQuery {
    /// Waits until lists reflect this position: that of a write whose effect must be seen.
    min_position: Option<u64>,
}

/// All secrets.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SecretList {
    /// The rows.
    pub(crate) secrets: Vec<SecretRow>,
    /// Why the files on disk are not in force as they are; `null` if they are.
    pub(crate) trouble: Option<String>,
    /// As of where times and counts are; `null` while lists cannot be read, and those are not known.
    pub(crate) position: Option<Position>,
}

/// One secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SecretRow {
    /// What it is.
    pub(crate) kind: Kind,
    /// Its public id.
    pub(crate) id: String,
    /// Whether it works.
    pub(crate) status: Status,
    /// When the ledger first heard of it.
    pub(crate) since: Option<Timestamp>,
    /// From then on it is refused.
    pub(crate) valid_until: Option<Timestamp>,
    /// It was given away.
    pub(crate) leaked: bool,
    /// Keys that need it; of peppers only.
    pub(crate) keys: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SecretKind)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// It manages.
    MasterKey,
    /// Digests of keys are made with it.
    Pepper,
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SecretStatus)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// In force; what is new is made with it.
    Current,
    /// Still in force beside the current one.
    Overlapping,
    /// Refused.
    Retired,
}

/// What the ledger says of them.
struct Told {
    master_keys: Vec<MasterKeyRow>,
    peppers: Vec<PepperRow>,
    position: Option<Position>,
}

/// Lists master keys and peppers, oldest first.
pub(super) async fn list(asked: Asked, Query(SecretQuery { min_position }): Query<SecretQuery>) -> Reply {
    Ok(HttpResponse::Ok().json(gather(&asked, min_position).await?))
}

/// Master keys and peppers, oldest first.
pub(crate) async fn gather(asked: &Asked, min_position: Option<u64>) -> Result<SecretList, FailureReply> {
    let now = asked.app().ledger.now();
    let told = asked.read(min_position, move |reader| told(reader, now)).await;
    let told = match told {
        Ok(Answer { value, .. }) => Some(value),
        // What is in force is known without the read model, and must be when it is not to be had.
        Err(_) if min_position.is_none() => None,
        Err(failure) => return Err(failure),
    };
    let in_force = &asked.app().secrets;
    let secrets = rows(&in_force.now(), told.as_ref(), now);
    let position = told.and_then(|told| told.position);
    Ok(SecretList { secrets, trouble: in_force.trouble(), position })
}

fn told(reader: &Reader, now: Timestamp) -> Result<Answer<Told>, ReadModelError> {
    let Answer { value: master_keys, .. } = reader.master_keys()?;
    let Answer { value: peppers, position } = reader.peppers(now)?;
    Ok(Answer { value: Told { master_keys, peppers, position }, position })
}

fn rows(secrets: &Secrets, told: Option<&Told>, now: Timestamp) -> Vec<SecretRow> {
    let keys = secrets.master_keys();
    let earlier = keys.earlier().iter().map(|key| {
        let status = if key.works_at(now) { Status::Overlapping } else { Status::Retired };
        let end = key.retired;
        master_key(key.verifier.id(), status, end.map(|e| e.valid_until), end.is_some_and(|e| e.leaked), told)
    });
    let current = master_key(keys.current().id(), Status::Current, None, false, told);
    let peppers = secrets.peppers();
    let current_pepper = &peppers.current().id;
    let retired = peppers.retired().iter().map(|id| pepper(id, Status::Retired, told));
    let older = peppers.iter().skip(1).map(|named| pepper(&named.id, Status::Overlapping, told));
    let current_pepper = pepper(current_pepper, Status::Current, told);
    earlier.chain([current]).chain(retired).chain(older).chain([current_pepper]).collect()
}

fn master_key(
    id: &MasterKeyId,
    status: Status,
    valid_until: Option<Timestamp>,
    leaked: bool,
    told: Option<&Told>,
) -> SecretRow {
    let row = told.and_then(|told| told.master_keys.iter().find(|row| row.master_key == *id));
    SecretRow {
        kind: Kind::MasterKey,
        id: id.to_string(),
        status,
        since: row.map(|row| row.installed_at),
        valid_until,
        leaked,
        keys: None,
    }
}

fn pepper(id: &PepperId, status: Status, told: Option<&Told>) -> SecretRow {
    let row = told.and_then(|told| told.peppers.iter().find(|row| row.pepper == *id));
    SecretRow {
        kind: Kind::Pepper,
        id: id.to_string(),
        status,
        since: row.map(|row| row.added_at),
        valid_until: row.and_then(|row| row.retired_at),
        leaked: false,
        keys: row.map(|row| row.keys),
    }
}
