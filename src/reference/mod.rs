//! `/docs`: the reference of the HTTP interface as pages, made of the OpenAPI document. No script at all, and
//! nothing from anywhere else.
//!
//! - The pages are made once; they hold nothing of this gateway's own, so they need no key.
//! - Every `type` of a problem leads to its row of `/docs/errors`.

mod errors;
mod operations;
mod page;
mod shapes;

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use actix_web::http::header::{HeaderName, X_CONTENT_TYPE_OPTIONS};
use actix_web::web::Bytes;

pub(crate) use self::page::markdown;

/// Nothing may be loaded but our own style sheet, nothing sent, nothing framed.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const STYLE: &str = include_str!("style.css");

static OPERATIONS: LazyLock<Bytes> = LazyLock::new(|| operations::page().into_string().into());
static ERRORS: LazyLock<Bytes> = LazyLock::new(|| errors::page().into_string().into());

/// `GET /docs`
pub async fn operations() -> HttpResponse {
    reply("text/html; charset=utf-8", OPERATIONS.clone())
}

/// `GET /docs/errors`
pub async fn errors() -> HttpResponse {
    reply("text/html; charset=utf-8", ERRORS.clone())
}

/// `GET /docs/style.css`
pub async fn style() -> HttpResponse {
    reply("text/css; charset=utf-8", Bytes::from_static(STYLE.as_bytes()))
}

fn reply(media: &'static str, body: Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, media))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((OPENER_POLICY, "same-origin"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(body)
}
