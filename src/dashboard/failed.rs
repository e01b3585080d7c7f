//! What a browser is shown when something did not work: what is wrong, what to do, and the id by which the
//! request is found in the log. Programs get problem details instead.

use actix_web::http::header::ACCEPT;
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use maud::{Markup, html};

use super::components::copyable;
use super::page::{Page, Place};
use crate::app::App;
use crate::auth::session::Viewer;
use crate::error::{Failure, FailureReply, Retry};

/// Whether whoever asks is somebody looking at pages. `/api` always answers programs.
#[must_use]
pub fn is_browsing(request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("text/html") && !request.path().starts_with("/api/")
}

/// What the page of a failure shows besides the failure.
#[derive(Debug)]
pub struct Looked {
    /// Who looked, if anybody is signed in.
    viewer: Option<Viewer>,
    /// The path to try again, where trying again can help.
    again: Option<String>,
}

impl Looked {
    /// Who looked at what.
    #[must_use]
    pub fn at(request: &HttpRequest, failure: &Failure) -> Self {
        let admitted = request.extensions().get::<Viewer>().cloned();
        let app = request.app_data::<web::Data<App>>();
        let viewer = admitted.or_else(|| Viewer::of(app?, request));
        Self { viewer, again: again(request, failure) }
    }
}

/// The page of a failure, among the places of whoever is signed in.
#[must_use]
pub fn page(failure: &Failure, request_id: Option<&str>, looked: &Looked) -> HttpResponse {
    let page = Page::new(Place::Elsewhere, title(failure.status)).status(failure.status);
    let content = content(failure, request_id, looked.again.as_deref());
    match &looked.viewer {
        Some(viewer) => page.reply(viewer, &html! { div .card { (content) } }),
        None => page.reply_alone(&content),
    }
}

/// How a page says no to somebody before its handler runs.
pub fn refuse(request: &HttpRequest, viewer: Option<&Viewer>, failure: Failure) -> HttpResponse {
    if !is_browsing(request) {
        return FailureReply::to(request, failure).into_response();
    }
    let looked = Looked { viewer: viewer.cloned(), again: again(request, &failure) };
    let request_id = crate::request_id::of(request).map(|id| id.to_string());
    page(&failure, request_id.as_deref(), &looked)
}

/// The path that a request can be sent to again: what changes something is not sent twice by a click.
fn again(request: &HttpRequest, failure: &Failure) -> Option<String> {
    let helps = failure.retry == Retry::Useful && request.method() == Method::GET;
    helps.then(|| request.uri().to_string())
}

/// The same as a part of a page.
#[must_use]
pub fn content(failure: &Failure, request_id: Option<&str>, again: Option<&str>) -> Markup {
    html! {
        div .stack {
            p { (failure.message) }
            p .muted.small {
                a href={ "/docs/errors#" (failure.code) } { code { (failure.code) } }
                @if let Some(id) = request_id { " · Request " (copyable(id, "request id")) }
            }
            p .actions {
                @if let Some(again) = again { a .button.main href=(again) { "Try again" } }
                a .button href="/" { "To the overview" }
            }
        }
    }
}

fn title(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "Sign in first",
        403 => "Not allowed",
        404 => "Nothing is here",
        405 => "Not possible here",
        409 => "That clashes with what is so already",
        413 => "Too large",
        429 => "Too many attempts",
        503 => "Not available just now",
        400..=499 => "That is not understood",
        _ => "Something broke",
    }
}
