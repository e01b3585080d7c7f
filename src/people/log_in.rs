//! Logging in: a name and a password for a session. What fails says the same whatever was wrong, takes as
//! long, and is counted.

use std::time::Instant;

use actix_web::HttpRequest;
use nemo_events::{OperatorId, PasswordId, SessionId};
use nemo_projections::Refusal;
use nemo_projections::decide::StartSession;
use tracing::{error, warn};
use uuid::Uuid;

use super::{LoggedIn, as_operator, cannot_hash, recorded_address};
use crate::app::App;
use crate::auth::address;
use crate::auth::password::Password;
use crate::auth::throttle::Attempt;
use crate::auth::token::Presented;
use crate::error::Failure;
use crate::management::failures;

/// What somebody typed.
#[derive(Debug)]
pub struct Login {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Password,
}

/// Logs somebody in.
///
/// # Errors
/// Why not. Nothing tells whether the name or the password was wrong.
pub async fn log_in(app: &App, request: &HttpRequest, login: Login) -> Result<LoggedIn, Failure> {
    let Login { name, password } = login;
    refuse_keys(app, request, &[&name, password.expose_secret()])?;
    let attempt = begin(app, request, &name)?;
    let found = app.ledger.operators(|operators| {
        let (id, operator) = operators.named(&name)?;
        Some((id, operator.password?))
    });
    let checked = check(app, password, found.map(|(_, password)| password)).await;
    let known = found.filter(|_| matches!(checked, Ok(true)));
    match (checked, known) {
        (Err(failure), _) => {
            attempt.take_back();
            Err(failure)
        }
        (Ok(_), None) => {
            Err(failed(app, request, found.map(|(id, _)| id), Failure::from(&Refusal::LoginFailed)))
        }
        (Ok(_), Some((id, password))) => {
            app.people.throttle.succeeded(&attempt);
            let logged_in = start(app, request, id, password).await?;
            app.people.metrics.logged_in();
            Ok(logged_in)
        }
    }
}

/// Whether a password is the one that counts.
pub(super) async fn check(
    app: &App,
    password: Password,
    counts: Option<PasswordId>,
) -> Result<bool, Failure> {
    let digest = counts.map(|id| app.people.passwords.get(id)).transpose();
    let digest = digest.map_err(|error| {
        error!(error = %anyhow::Error::from(error), "passwords cannot be read");
        Failure::passwords_unusable()
    })?;
    app.people.hasher.verify(password, move || digest.flatten()).await.map_err(cannot_hash)
}

/// Begins a session for whoever has proved to be this operator.
pub(super) async fn start(
    app: &App,
    request: &HttpRequest,
    operator: OperatorId,
    password: PasswordId,
) -> Result<LoggedIn, Failure> {
    let session = SessionId::from_uuid(Uuid::now_v7());
    let command = StartSession { operator, session, password, address: recorded_address(app, request) };
    let done = app.ledger.manage_operators(command, as_operator(operator, request)).await;
    let state = done.map_err(|error| failures::of_command(&error))?.answer;
    let began = state.head().ok_or_else(Failure::internal)?;
    let token = app.people.sessions.open(session, operator, began, Instant::now());
    let token = token.map_err(|_| Failure::internal())?;
    Ok(LoggedIn { operator, token })
}

/// Counts an attempt to log in or to use a link, or says how long to wait.
pub(super) fn begin(app: &App, request: &HttpRequest, name: &str) -> Result<Attempt, Failure> {
    let address = address::of(request, &app.config.server.trusted_proxies);
    app.people.throttle.begin(name, address, Instant::now()).map_err(|wait| {
        let why = "Too many attempts failed. Wait before the next one; trying earlier changes nothing.";
        let operator = app.ledger.operators(|operators| operators.named(name).map(|(id, _)| id));
        failed(app, request, operator, Failure::too_many_logins(why, wait))
    })
}

/// A login that failed, counted.
pub(super) fn failed(
    app: &App,
    request: &HttpRequest,
    operator: Option<OperatorId>,
    failure: Failure,
) -> Failure {
    app.ledger.count_failed_login(operator, failure.code, recorded_address(app, request));
    app.people.metrics.refused(failure.code);
    failure
}

/// Keys belong into no browser form. Whatever looks like one is told apart by its beginning alone, so that a
/// key with a slip in it is refused as well.
pub(super) fn refuse_keys(app: &App, request: &HttpRequest, texts: &[&str]) -> Result<(), Failure> {
    if texts.iter().any(|text| text.contains("mk-nemo-")) {
        let ours = texts.iter().any(|text| match Presented::classify(text.trim()) {
            Presented::Master(key) => {
                app.secrets.now().master_keys().recognise(&key, app.ledger.now()).is_some()
            }
            Presented::Virtual(_) | Presented::Neither => false,
        });
        if ours {
            warn!("the master key was sent by a browser: rotate it (`nemo secrets rotate-master-key`)");
        }
        return Err(failed(app, request, None, Failure::master_key_in_browser()));
    }
    if texts.iter().any(|text| text.contains("sk-nemo-")) {
        return Err(failed(app, request, None, Failure::virtual_key_in_login()));
    }
    Ok(())
}
