//! Pages of people: signing in, choosing a password, and who else may sign in. What they type is read once and
//! shown to nobody again.

pub mod account;
pub mod changes;
pub mod list;
pub mod login;
pub mod setup;

use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};
use tracing::error;

use super::components::{Field, Tone, notice};
use crate::app::App;
use crate::auth::session::{cookie, cross_site, is_from_here};
use crate::error::Failure;
use crate::people::LoggedIn;

/// What was refused, and beside which field it is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Wrong(Option<Failure>);

impl Wrong {
    /// Nothing.
    pub(super) const NOTHING: Self = Self(None);

    /// This.
    pub(super) const fn from(failure: Failure) -> Self {
        Self(Some(failure))
    }

    /// The text beside a field.
    fn beside(&self, field: &str) -> Option<&str> {
        let failure = self.0.as_ref()?;
        (failure.param.as_deref() == Some(field)).then_some(failure.message.as_str())
    }

    /// The text above all fields, where it belongs to none of these.
    fn above(&self, fields: &[&str]) -> Markup {
        let beside = |failure: &&Failure| failure.param.as_deref().is_some_and(|at| fields.contains(&at));
        let failure = self.0.as_ref().filter(|failure| !beside(failure));
        html! {
            @if let Some(failure) = failure { p .wrong role="alert" data-wrong=(failure.code) { (failure.message) } }
        }
    }

    fn status(&self) -> StatusCode {
        self.0.as_ref().map_or(StatusCode::OK, |failure| failure.status)
    }

    /// The reply of a page that shows it.
    fn on(&self, mut page: HttpResponse) -> HttpResponse {
        if let Some(secs) = self.0.as_ref().and_then(|failure| failure.retry_after_secs) {
            page.headers_mut().insert(RETRY_AFTER, secs.into());
        }
        page
    }
}

/// A field for a password. What was typed is never sent back.
fn password_field<'a>(name: &'a str, label: &'a str, wrong: &'a Wrong) -> Field<'a> {
    let wrong = wrong.beside(name);
    Field { name, label, wrong, kind: "password", required: true, maxlength: Some(512), ..Field::default() }
}

/// What helps to choose one.
const PASSWORD_HINT: &str = "At least 12 characters. Several words make a good one.";

/// A form of somebody who is not signed in has no session's secret; where it comes from is checked all the same.
fn must_be_from_here(request: &HttpRequest) -> Result<(), Failure> {
    if is_from_here(request) { Ok(()) } else { Err(cross_site()) }
}

/// The session begins: its cookie, and the page to go on with. The `#` keeps a link's code from going along.
fn begin(logged_in: &LoggedIn, place: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, format!("{place}#")))
        .cookie(cookie(&logged_in.token))
        .finish()
}

/// Browsers keep the cookie of a session over HTTPS and, over plain HTTP, on the machine itself only. Where that
/// is not so, signing in would seem to work and lead back to the login: this says so before.
fn cookie_notice(app: &App, request: &HttpRequest) -> Option<Markup> {
    let info = request.connection_info();
    let host = info.host();
    let secure = app.config.server.tls_cert_file.is_some() || info.scheme() == "https";
    if secure || is_this_machine(host) {
        return None;
    }
    let text = html! {
        p {
            "This page came over plain HTTP from another machine. Browsers keep no session then. Open it over HTTPS, "
            "or on the machine itself as " code { "http://localhost" } "."
        }
    };
    Some(notice(Tone::Warning, "Signing in does not work here", &text))
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let loopback = name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    loopback || name == "localhost" || name.ends_with(".localhost")
}

/// A failure that is nobody's fault goes into the log; the page tells what can be told.
fn told(failure: Failure) -> Wrong {
    if failure.status.is_server_error() {
        error!(code = failure.code, "a form of people could not be served");
    }
    Wrong::from(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_kept_on_this_machine_and_nowhere_else_without_https() {
        for host in ["localhost", "localhost:4141", "127.0.0.1:4141", "[::1]:4141", "nemo.localhost:80"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["192.0.2.1:4141", "nemo.example", "localhost.example", "[2001:db8::1]:80", ""] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
