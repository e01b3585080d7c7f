//! What a browser is shown when something did not work: what is wrong, what to do, and the id by which the
//! request is found in the log. Programs get problem details instead.

use actix_web::http::header::ACCEPT;
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};

use super::components::copyable;
use super::page::{Page, Place};
use crate::error::{Failure, Retry};

/// Whether whoever asks is somebody looking at pages. `/api` always answers programs.
#[must_use]
pub fn is_browsing(request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("text/html") && !request.path().starts_with("/api/")
}

/// The page of a failure; `again` is the path to try again, where trying again can help.
#[must_use]
pub fn page(failure: &Failure, request_id: Option<&str>, again: Option<&str>) -> HttpResponse {
    let title = title(failure.status);
    Page::new(Place::Elsewhere, title)
        .status(failure.status)
        .reply_alone(&content(failure, request_id, again))
}

/// The path that a request can be sent to again: what changes something is not sent twice by a click.
#[must_use]
pub fn again(request: &HttpRequest, failure: &Failure) -> Option<String> {
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
