//! Choosing a password: the first operator by the link of the first start, others by a link that an admin made,
//! everybody who is logged in by the password before. Nobody chooses one for somebody else.
//!
//! The hash is on disk before the ledger names it. If what comes between fails, the link is good for another
//! attempt, and a hash that nobody names lets nobody in.

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use nemo_events::operator::LinkPurpose;
use nemo_events::{OperatorId, PasswordId};
use nemo_projections::decide::{Found, Join, Newcomer, OperatorCommand, PasswordProof, SetPassword};
use nemo_projections::{Operators, Refusal};
use tokio::sync::oneshot;
use tracing::{error, warn};
use uuid::Uuid;

use super::log_in::{begin, check, failed, refuse_keys, start};
use super::{LoggedIn, as_operator, cannot_hash, sweep};
use crate::app::App;
use crate::auth::links::{Link, Taken};
use crate::auth::password::Password;
use crate::auth::session::Viewer;
use crate::error::Failure;
use crate::ledger::{Context, ExecuteError};
use crate::management::failures;

/// What whoever comes by a link typed.
#[derive(Debug)]
pub struct Joining {
    /// What stood behind the `#` of the link.
    pub code: String,
    /// The name that they want to log in with.
    pub name: String,
    /// The password that they chose.
    pub password: Password,
}

/// Makes an operator of whoever has a link for that, and logs them in.
///
/// # Errors
/// Why not. The link is good for another attempt unless it is spent.
pub async fn join(
    app: &web::Data<App>,
    request: &HttpRequest,
    joining: Joining,
) -> Result<LoggedIn, Failure> {
    let Joining { code, name, password } = joining;
    refuse_keys(app, request, &[&name, password.expose_secret()])?;
    password.check(&name).map_err(|bad| Failure::invalid_request(bad.to_string()).about("password"))?;
    let taken = take(app, request, &code)?;
    let newcomer = Newcomer {
        operator: OperatorId::from_uuid(Uuid::now_v7()),
        name,
        password: PasswordId::from_uuid(Uuid::now_v7()),
    };
    let (operator, chosen) = (newcomer.operator, newcomer.password);
    match taken.link().clone() {
        Link::First => choose(app, request, password, Found { newcomer }, (operator, chosen), taken).await?,
        Link::Issued { id, purpose: LinkPurpose::Invitation { role }, made, .. } => {
            let join = Join { newcomer, role, link: (id, made) };
            choose(app, request, password, join, (operator, chosen), taken).await?;
        }
        Link::Issued { purpose: LinkPurpose::Password { .. }, .. } => return Err(wrong_link()),
    }
    start(app, request, operator, chosen).await
}

/// Gives another password to whoever forgot theirs and has a link, and logs them in.
///
/// # Errors
/// As [`join`].
pub async fn set_password(
    app: &web::Data<App>,
    request: &HttpRequest,
    code: &str,
    password: Password,
) -> Result<LoggedIn, Failure> {
    refuse_keys(app, request, &[password.expose_secret()])?;
    let taken = take(app, request, code)?;
    let Link::Issued { id, purpose: LinkPurpose::Password { operator }, made, .. } = *taken.link() else {
        return Err(wrong_link());
    };
    check_new(app, operator, &password)?;
    let chosen = PasswordId::from_uuid(Uuid::now_v7());
    let command = SetPassword { operator, password: chosen, proof: PasswordProof::Link(id, made) };
    choose(app, request, password, command, (operator, chosen), taken).await?;
    start(app, request, operator, chosen).await
}

/// Gives another password to somebody who knows theirs, ends all their sessions, and begins a new one.
///
/// # Errors
/// Why not.
pub async fn change_password(
    app: &web::Data<App>,
    request: &HttpRequest,
    viewer: &Viewer,
    before: Password,
    password: Password,
) -> Result<LoggedIn, Failure> {
    refuse_keys(app, request, &[before.expose_secret(), password.expose_secret()])?;
    check_new(app, viewer.id, &password)?;
    let attempt = begin(app, request, &viewer.name)?;
    let counts = app.ledger.operators(|operators| operators.present(viewer.id)?.password);
    if !check(app, before, counts).await.inspect_err(|_| attempt.take_back())? {
        let failure = Failure::from(&Refusal::LoginFailed).about("before");
        return Err(failed(app, request, Some(viewer.id), failure));
    }
    app.people.throttle.succeeded(&attempt);
    let before = counts.ok_or_else(|| Failure::from(&Refusal::LoginFailed))?;
    let chosen = PasswordId::from_uuid(Uuid::now_v7());
    let command = SetPassword { operator: viewer.id, password: chosen, proof: PasswordProof::Before(before) };
    choose(app, request, password, command, (viewer.id, chosen), None).await?;
    start(app, request, viewer.id, chosen).await
}

/// Takes a link out of its place. An unknown code costs a look into memory, so it needs no throttle.
fn take(app: &App, request: &HttpRequest, code: &str) -> Result<Taken, Failure> {
    let taken = app.people.links.take(code, app.ledger.now());
    taken.ok_or_else(|| failed(app, request, None, Failure::from(&Refusal::LinkSpent).about("code")))
}

fn wrong_link() -> Failure {
    Failure::invalid_request("This link is for another page. Open it as it was given to you.").about("code")
}

fn check_new(app: &App, operator: OperatorId, password: &Password) -> Result<(), Failure> {
    let name = app.ledger.operators(|operators| Some(operators.present(operator)?.name.clone()));
    let name = name.ok_or_else(|| Failure::from(&Refusal::OperatorUnknown))?;
    password.check(&name).map_err(|bad| Failure::invalid_request(bad.to_string()).about("password"))
}

/// Puts the hash on disk, then writes the command down. That is not left half done if the client hangs up.
async fn choose<C: OperatorCommand + Send + 'static>(
    app: &web::Data<App>,
    request: &HttpRequest,
    password: Password,
    command: C,
    (operator, chosen): (OperatorId, PasswordId),
    link: impl Into<Option<Taken>>,
) -> Result<(), Failure> {
    let digest = app.people.hasher.hash(password).await.map_err(cannot_hash)?;
    let (app, context, link) = (app.clone(), as_operator(operator, request), link.into());
    let (done, answer) = oneshot::channel();
    let ledger = Arc::clone(&app.ledger);
    ledger.spawn(async move {
        let put = tokio::task::block_in_place(|| app.people.passwords.put(chosen, digest));
        let result = match put {
            Err(error) => {
                error!(error = %anyhow::Error::from(error), "a password cannot be written");
                Err(Failure::passwords_unusable())
            }
            Ok(()) => write(&app, command, context).await.map(|operators| {
                if let Some(link) = link {
                    link.spend();
                }
                forget_earlier(&app, &operators);
            }),
        };
        // Whoever hung up needs no answer.
        let _ = done.send(result);
    });
    answer.await.map_err(|_| Failure::internal())?
}

async fn write<C: OperatorCommand + Send + 'static>(
    app: &App,
    command: C,
    context: Context,
) -> Result<Operators, Failure> {
    let done = app.ledger.manage_operators(command, context).await;
    done.map(|done| done.answer).map_err(|error: ExecuteError| failures::of_command(&error))
}

/// Takes hashes off the disk that do not count any more, and ends the sessions that do not.
fn forget_earlier(app: &App, operators: &Operators) {
    sweep(app);
    let counts = |id| {
        operators.iter().any(|(_, operator)| operator.password == Some(id) && operator.removed_at.is_none())
    };
    let kept = tokio::task::block_in_place(|| app.people.passwords.keep(counts));
    if let Err(error) = kept {
        warn!(error = %anyhow::Error::from(error), "earlier hashes of passwords are still on disk");
    }
}
