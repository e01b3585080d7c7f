//! What is measured of requests, whatever they ask for: a layer around all routes.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;

use super::declare::metrics;
use super::histogram::{Histogram, Seconds};
use super::labelled::{Labelled, Labels, OTHER};
use crate::app::App;
use crate::error::{FailureCode, FailureReply};

/// A request for which there is no route.
const NO_ROUTE: &str = "none";

metrics! {
    /// The metrics of requests.
    pub struct HttpMetrics {
        /// Requests answered, by the route's pattern; `none` where there is no such route.
        requests: Labelled<Answered, Counter> = "nemo_http_requests";
        /// Time until the head of an answer was ready; bodies that stream go on longer.
        head: Labelled<Route, Histogram<Seconds>> = "nemo_http_request_seconds";
        /// Requests answered with an error, by its code in errors.md.
        failures: Labelled<Code, Counter> = "nemo_http_failures";
    }
}

/// A route.
#[derive(Debug, EncodeLabelSet)]
pub struct Route {
    route: String,
}

/// A route and what was answered there.
#[derive(Debug, EncodeLabelSet)]
pub struct Answered {
    route: String,
    method: &'static str,
    status: u16,
}

/// A code of `errors.md`.
#[derive(Debug, EncodeLabelSet)]
pub struct Code {
    code: &'static str,
}

impl Labels for Route {
    const NAMES: &'static [&'static str] = &["route"];
    const MOST: usize = 128;

    fn rest() -> Self {
        Self { route: OTHER.to_owned() }
    }
}

impl Labels for Answered {
    const NAMES: &'static [&'static str] = &["route", "method", "status"];
    /// More than there are routes times methods, so that nobody who tries them all crowds others out.
    const MOST: usize = 1_024;

    fn rest() -> Self {
        Self { route: OTHER.to_owned(), method: OTHER, status: 0 }
    }
}

impl Labels for Code {
    const NAMES: &'static [&'static str] = &["code"];
    const MOST: usize = 128;

    fn rest() -> Self {
        Self { code: OTHER }
    }
}

impl HttpMetrics {
    fn answered(&self, route: &str, method: &'static str, status: StatusCode, since: Instant) {
        let status = status.as_u16();
        let is_it =
            |known: &Answered| known.status == status && known.method == method && known.route == route;
        self.requests.of(is_it, || Answered { route: route.to_owned(), method, status }).inc();
        let route_is = |known: &Route| known.route == route;
        self.head.of(route_is, || Route { route: route.to_owned() }).took(since.elapsed());
    }

    fn failed(&self, code: &'static str) {
        self.failures.of(|known| known.code == code, || Code { code }).inc();
    }
}

/// Measures a request. The outermost layer, so that whatever answers is seen.
///
/// # Errors
/// Those of the layers within.
pub async fn measure<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let since = Instant::now();
    let method = method(request.method());
    let Some(app) = request.app_data::<web::Data<App>>().cloned() else { return next.call(request).await };
    let http = &app.metrics.http;
    let reply = next.call(request).await;
    match &reply {
        Ok(reply) => {
            let route = reply.request().match_pattern();
            http.answered(route.as_deref().unwrap_or(NO_ROUTE), method, reply.status(), since);
            if let Some(FailureCode(code)) = reply.response().extensions().get() {
                http.failed(code);
            }
        }
        // A panic, whose request is gone with it.
        Err(error) => {
            http.answered(NO_ROUTE, method, error.as_response_error().status_code(), since);
            if let Some(failure) = error.as_error::<FailureReply>() {
                http.failed(failure.code());
            }
        }
    }
    reply
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => OTHER,
    }
}
