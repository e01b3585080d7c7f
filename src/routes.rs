//! Every route on one screen. Whatever is not here is closed.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::error::{Failure, FailureReply};
use crate::{health, inference, management, metrics, proxy};

/// Inference, for virtual keys.
pub fn inference(config: &mut web::ServiceConfig) {
    config
        .service(only("/v1/chat/completions").route(web::post().to(proxy::chat_completions)))
        .service(only("/v1/models").route(web::get().to(inference::models)))
        .service(only("/v1/models/{id:.+}").route(web::get().to(inference::model)))
        .service(only("/v1/key").route(web::get().to(inference::key)));
}

/// Management, for the master key, and what operators and their tools ask.
pub fn management(config: &mut web::ServiceConfig) {
    config
        .service(only("/healthz").route(web::get().to(health::alive)))
        .service(only("/readyz").route(web::get().to(health::ready)))
        .service(only("/metrics").route(web::get().to(metrics::show)))
        .configure(management::configure);
}

/// Routes that need no key. A test compares this list with what answers without one.
pub const PUBLIC: &[&str] = &["/healthz", "/readyz", "/metrics"];

/// A path that refuses every method it has no route for.
fn only(path: &str) -> actix_web::Resource {
    web::resource(path).default_service(web::to(method_not_allowed))
}

/// For paths that are not here.
///
/// # Errors
/// Always.
pub async fn not_found(request: HttpRequest) -> Result<HttpResponse, FailureReply> {
    Err(FailureReply::to(&request, Failure::not_found()))
}

/// For methods that a path does not take.
///
/// # Errors
/// Always.
pub async fn method_not_allowed(request: HttpRequest) -> Result<HttpResponse, FailureReply> {
    Err(FailureReply::to(&request, Failure::method_not_allowed()))
}
