//! What stands before every route that a person may use: which right it needs, and, of pages, everything that
//! must be so before a handler runs. A route that states no right is closed to everybody but the master key.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, ResponseError, Route, web};
use nemo_events::{Actor, Right};

use super::session::{NoViewer, Viewer, cross_site, is_from_here, only_reads, role_not_allowed};
use crate::app::App;
use crate::error::Failure;
use crate::ledger::Taking;

/// What a route asks of people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// The right; without one only the master key will do, and of pages everybody who is logged in.
    pub right: Option<Right>,
    /// Whether what it shows is taken away with it, which is written down.
    pub exports: bool,
}

impl Needs {
    /// A right.
    #[must_use]
    pub const fn of(right: Right) -> Self {
        Self { right: Some(right), exports: false }
    }

    /// What is written down about people who use the route.
    const fn taking(self) -> Option<Taking> {
        match self.right {
            _ if self.exports => Some(Taking::Export),
            Some(Right::Replay) => Some(Taking::Read),
            _ => None,
        }
    }
}

/// How a page says no.
pub type Refuse = fn(&HttpRequest, Option<&Viewer>, Failure) -> HttpResponse;

/// A route of the API: says what it needs of people. [`Manager`](super::manager::Manager) asks for it.
#[must_use]
pub fn api(route: Route, needs: Needs) -> Route {
    route.wrap(from_fn(move |request: ServiceRequest, next: Next<BoxBody>| async move {
        request.extensions_mut().insert(needs);
        if !request.headers().contains_key(AUTHORIZATION)
            && let Some(app) = request.app_data::<web::Data<App>>().cloned()
        {
            app.ledger.settle_operators().await;
        }
        next.call(request).await
    }))
}

/// A page: nobody but a person who is logged in and may see it gets there, and what they write was meant by
/// them. Its handler takes a [`Viewer`]; one that calls what the API calls takes a manager besides.
#[must_use]
pub fn page(route: Route, needs: Needs, refuse: Refuse) -> Route {
    route.wrap(from_fn(move |request, next| admit(request, next, needs, refuse)))
}

/// A page's request that was let in: its viewer may do what the page needs, and meant it.
#[derive(Debug, Clone)]
pub(super) struct Admitted(pub(super) Viewer);

async fn admit(
    mut request: ServiceRequest,
    next: Next<BoxBody>,
    needs: Needs,
    refuse: Refuse,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(app) = request.app_data::<web::Data<App>>().cloned() else {
        return Ok(answered(request, |request| refuse(request, None, Failure::internal())));
    };
    app.ledger.settle_operators().await;
    let Some(viewer) = Viewer::of(&app, request.request()) else {
        return Ok(answered(request, |request| NoViewer::to(request).error_response()));
    };
    let checked = match needs.right {
        Some(right) if !viewer.role.may(right) => Err(role_not_allowed(viewer.role)),
        _ if only_reads(request.method()) => Ok(()),
        _ => meant(&mut request, &viewer).await,
    };
    if let Err(failure) = checked {
        return Ok(answered(request, |request| refuse(request, Some(&viewer), failure)));
    }
    note(&app, request.request(), needs, &viewer);
    request.extensions_mut().insert(viewer.clone());
    request.extensions_mut().insert(Admitted(viewer));
    next.call(request).await
}

/// Writes down that a person looks at what is to be written down.
pub(super) fn note(app: &App, request: &HttpRequest, needs: Needs, viewer: &Viewer) {
    if let Some(taking) = needs.taking() {
        let key = request.match_info().get("id").and_then(|id| id.parse().ok());
        app.ledger.count_read(viewer.id, key, taking);
    }
}

/// A form repeats the session's secret in its body, a module in a header.
async fn meant(request: &mut ServiceRequest, viewer: &Viewer) -> Result<(), Failure> {
    if viewer.meant(request.request()).is_ok() {
        return Ok(());
    }
    if !is_from_here(request.request()) {
        return Err(cross_site());
    }
    let body = request.extract::<web::Bytes>().await.map_err(|error| {
        let too_large = error.as_response_error().status_code() == StatusCode::PAYLOAD_TOO_LARGE;
        let why = if too_large { "What was sent is too large." } else { "What was sent could not be read." };
        Failure::invalid_request(why)
    })?;
    let vouched = csrf_in(&body).is_some_and(|csrf| viewer.vouches(&csrf));
    request.set_payload(Payload::from(body));
    if vouched { Ok(()) } else { Err(cross_site()) }
}

/// The field `csrf` of a form.
fn csrf_in(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Secret {
        csrf: String,
    }
    let text = std::str::from_utf8(body).ok()?;
    Some(web::Query::<Secret>::from_query(text).ok()?.into_inner().csrf)
}

fn answered(
    request: ServiceRequest,
    answer: impl FnOnce(&HttpRequest) -> HttpResponse,
) -> ServiceResponse<BoxBody> {
    let response = answer(request.request()).map_body(|_, body| body.boxed());
    request.into_response(response)
}

/// Who a viewer is to the ledger.
#[must_use]
pub fn actor(viewer: &Viewer) -> Actor {
    Actor::Operator { id: viewer.id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_of_a_form_is_found_among_its_fields() {
        assert_eq!(csrf_in(b"name=a&csrf=abc%20d&key=1&key=2").as_deref(), Some("abc d"));
        assert_eq!(csrf_in(b"name=a"), None);
        assert_eq!(csrf_in(b""), None);
        assert_eq!(csrf_in(b"csrf=a&csrf=b"), None, "one of them may be somebody else's");
        assert_eq!(csrf_in(b"\xff"), None);
    }
}
