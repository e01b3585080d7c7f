//! Creating and rotating keys: the only two answers that ever hold a full key, once.

use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder};
use nemo_events::key::Labels;
use nemo_events::limits::KeyLimits;
use nemo_events::{KeyEvent, KeyId, OrgId, Timestamp};
use nemo_projections::decide::{Create, KeyCommand, Rotate};
use nemo_projections::{KeyState, Refusal};
use serde::{Deserialize, Serialize};
use tracing::error;
use utoipa::ToSchema;

use super::asked::{Asked, Reply};
use super::input::Body;
use super::keys::{self, KeyAnswer};
use super::orgs;
use crate::auth::token::{CannotGenerate, VirtualKeyText};
use crate::error::{Failure, FailureReply};
use crate::ledger::{Done, ExecuteError, KeyAccount};

/// How long earlier secrets go on working after a rotation, unless the request says otherwise.
const OVERLAP_SECS: u32 = 3_600;
/// Public ids that are tried. Two keys of one id are unlikely at 65 bits, and no more than that.
const ATTEMPTS: u32 = 3;
/// A secret has one version until it is rotated.
const FIRST_VERSION: u32 = 1;

/// `POST /api/keys`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    /// The org that will own it, for life.
    pub(crate) org: OrgId,
    /// What people will call it.
    pub(crate) name: String,
    /// The application that will use it.
    pub(crate) app: Option<String>,
    /// The job within the application.
    pub(crate) job: Option<String>,
    /// The environment, such as `prod`.
    pub(crate) env: Option<String>,
    /// The cost centre that pays.
    pub(crate) cost_centre: Option<String>,
    /// Free tags.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// What it may do; without any, what its org gives new keys.
    pub(crate) limits: Option<KeyLimits>,
}

/// `POST /api/keys/{id}/rotate`
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = KeyRotation)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    /// How long earlier secrets go on working: an hour unless stated, at most 30 days.
    pub(crate) overlap_secs: Option<u32>,
    /// The secret is in wrong hands: earlier ones end at once.
    #[serde(default)]
    pub(crate) leaked: bool,
}

/// A key with its new secret. Neither printed nor logged: there is no `Debug`.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyWithSecret)]
pub(super) struct WithSecret<'a> {
    #[serde(flatten)]
    answer: KeyAnswer,
    /// The full key. This is the only time that it is shown.
    secret: &'a str,
}

/// A key with the secret that was just made for it. Neither printed nor logged: there is no `Debug`.
pub(crate) struct Issued {
    /// The full key.
    pub(crate) text: VirtualKeyText,
    /// The key, as of the event.
    pub(crate) done: Done<KeyAccount>,
}

/// Under which public id a key is created.
#[derive(Clone, Copy)]
pub(crate) enum NewId {
    /// One that nobody has had.
    Fresh,
    /// This one. Whoever asks twice is refused the second time: that is how one form makes one key.
    Only(KeyId),
}

/// Rotates a key if nobody has since its secret had this version: one form makes one secret.
struct RotateFrom {
    version: u32,
    rotate: Rotate,
}

impl KeyCommand for RotateFrom {
    fn decide(&self, state: Option<&KeyState>, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let events = self.rotate.decide(state, now)?;
        let version = state.and_then(KeyState::current_secret).map(|secret| secret.version);
        if version == Some(self.version) { Ok(events) } else { Err(Refusal::SecretRotated) }
    }
}

/// Creates a key.
pub(super) async fn create(asked: Asked, Body(wish): Body<NewKey>) -> Reply {
    let issued = issue(&asked, wish, NewId::Fresh).await?;
    with_secret(&asked, HttpResponse::Created(), &issued).await
}

/// Gives a key a new secret; earlier ones work on for a while, unless they leaked.
pub(super) async fn rotate(asked: Asked, Body(wish): Body<Rotation>) -> Reply {
    let issued = renew(&asked, asked.key_id()?, wish, None).await?;
    with_secret(&asked, HttpResponse::Ok(), &issued).await
}

/// Creates a key. Without limits it gets its org's defaults; without those it is refused, because a
/// key needs a budget or has to be called unlimited by name.
pub(crate) async fn issue(asked: &Asked, wish: NewKey, under: NewId) -> Result<Issued, FailureReply> {
    let org = orgs::look_at(asked, wish.org).await?.answer;
    let NewKey { org: id, name, app, job, env, cost_centre, tags, limits } = wish;
    let labels = Labels { name, app, job, env, cost_centre, tags };
    let limits = limits.or_else(|| org.limits.key_defaults.clone()).unwrap_or_default();
    for _ in 0..ATTEMPTS {
        let text = match under {
            NewId::Fresh => VirtualKeyText::generate(),
            NewId::Only(id) => VirtualKeyText::generate_for(&id),
        };
        let text = text.map_err(|error| no_secret(asked, &error))?;
        let secret = asked.app().secrets.now().peppers().seal(&text, FIRST_VERSION);
        let (labels, limits) = (labels.clone(), limits.clone());
        let bounds = org.limits.key_bounds.clone();
        let command = Create { org: id, standing: org.standing, labels, limits, bounds, secret };
        match (asked.app().ledger.manage_key(text.key_id(), command, asked.context()).await, under) {
            (Ok(done), _) => return Ok(Issued { text, done }),
            (Err(ExecuteError::Refused(Refusal::KeyExists)), NewId::Fresh) => {}
            (Err(error), _) => return Err(asked.not_executed(&error)),
        }
    }
    error!("no free key id was found: is the randomness any good?");
    Err(asked.refused(Failure::internal()))
}

/// Gives a key a new secret; where `from` is given, only if the present one has this version.
pub(crate) async fn renew(
    asked: &Asked,
    id: KeyId,
    wish: Rotation,
    from: Option<u32>,
) -> Result<Issued, FailureReply> {
    let text = VirtualKeyText::generate_for(&id).map_err(|error| no_secret(asked, &error))?;
    // The decision gives it the next version.
    let secret = asked.app().secrets.now().peppers().seal(&text, FIRST_VERSION);
    let Rotation { overlap_secs, leaked } = wish;
    let overlap_secs = overlap_secs.unwrap_or(if leaked { 0 } else { OVERLAP_SECS });
    let rotate = Rotate { secret, overlap_secs, leaked };
    let done = match from {
        Some(version) => asked.manage_key(id, RotateFrom { version, rotate }).await?,
        None => asked.manage_key(id, rotate).await?,
    };
    Ok(Issued { text, done })
}

async fn with_secret(asked: &Asked, mut reply: HttpResponseBuilder, Issued { text, done }: &Issued) -> Reply {
    let answer = keys::answer(asked, text.key_id(), done).await?;
    reply.insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    Ok(reply.json(WithSecret { answer, secret: text.expose_secret() }))
}

fn no_secret(asked: &Asked, error: &CannotGenerate) -> FailureReply {
    error!(%error, "no secret can be made");
    asked.refused(Failure::internal())
}
