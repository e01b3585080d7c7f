//! Creating and rotating keys: the only two answers that ever hold a full key, once.

use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder};
use nemo_events::OrgId;
use nemo_events::key::Labels;
use nemo_events::limits::KeyLimits;
use nemo_projections::decide::{Create, Rotate};
use nemo_projections::{OrgState, Refusal};
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
pub(super) struct NewKey {
    /// The org that will own it, for life.
    org: OrgId,
    /// What people will call it.
    name: String,
    /// The application that will use it.
    app: Option<String>,
    /// The job within the application.
    job: Option<String>,
    /// The environment, such as `prod`.
    env: Option<String>,
    /// The cost centre that pays.
    cost_centre: Option<String>,
    /// Free tags.
    #[serde(default)]
    tags: Vec<String>,
    /// What it may do; without any, what its org gives new keys.
    limits: Option<KeyLimits>,
}

/// `POST /api/keys/{id}/rotate`
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = KeyRotation)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    /// How long earlier secrets go on working: an hour unless stated, at most 30 days.
    overlap_secs: Option<u32>,
    /// The secret is in wrong hands: earlier ones end at once.
    #[serde(default)]
    leaked: bool,
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

/// Creates a key. Without limits it gets its org's defaults; without those it is refused, because a
/// key needs a budget or has to be called unlimited by name.
pub(super) async fn create(asked: Asked, Body(wish): Body<NewKey>) -> Reply {
    let org = orgs::look_at(&asked, wish.org).await?.answer;
    let (text, done) = create_under_new_id(&asked, wish, &org).await?;
    with_secret(&asked, HttpResponse::Created(), &text, &done).await
}

/// Gives a key a new secret; earlier ones work on for a while, unless they leaked.
pub(super) async fn rotate(asked: Asked, Body(wish): Body<Rotation>) -> Reply {
    let id = asked.key_id()?;
    let text = VirtualKeyText::generate_for(&id).map_err(|error| no_secret(&asked, &error))?;
    // The decision gives it the next version.
    let secret = asked.app().secrets.now().peppers().seal(&text, FIRST_VERSION);
    let Rotation { overlap_secs, leaked } = wish;
    let overlap_secs = overlap_secs.unwrap_or(if leaked { 0 } else { OVERLAP_SECS });
    let done = asked.manage_key(id, Rotate { secret, overlap_secs, leaked }).await?;
    with_secret(&asked, HttpResponse::Ok(), &text, &done).await
}

async fn create_under_new_id(
    asked: &Asked,
    wish: NewKey,
    org: &OrgState,
) -> Result<(VirtualKeyText, Done<KeyAccount>), FailureReply> {
    let NewKey { org: id, name, app, job, env, cost_centre, tags, limits } = wish;
    let labels = Labels { name, app, job, env, cost_centre, tags };
    let limits = limits.or_else(|| org.limits.key_defaults.clone()).unwrap_or_default();
    for _ in 0..ATTEMPTS {
        let text = VirtualKeyText::generate().map_err(|error| no_secret(asked, &error))?;
        let secret = asked.app().secrets.now().peppers().seal(&text, FIRST_VERSION);
        let (labels, limits) = (labels.clone(), limits.clone());
        let command = Create { org: id, standing: org.standing, labels, limits, secret };
        match asked.app().ledger.manage_key(text.key_id(), command, asked.context()).await {
            Ok(done) => return Ok((text, done)),
            Err(ExecuteError::Refused(Refusal::KeyExists)) => {}
            Err(error) => return Err(asked.not_executed(&error)),
        }
    }
    error!("no free key id was found: is the randomness any good?");
    Err(asked.refused(Failure::internal()))
}

async fn with_secret(
    asked: &Asked,
    mut reply: HttpResponseBuilder,
    text: &VirtualKeyText,
    done: &Done<KeyAccount>,
) -> Reply {
    let answer = keys::answer(asked, text.key_id(), done).await?;
    reply.insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    Ok(reply.json(WithSecret { answer, secret: text.expose_secret() }))
}

fn no_secret(asked: &Asked, error: &CannotGenerate) -> FailureReply {
    error!(%error, "no secret can be made");
    asked.refused(Failure::internal())
}
