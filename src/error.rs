//! The only mapping from what went wrong to HTTP: status, code, safe text, and whether to retry.
//! Each code has its entry in `docs/errors.md`; a test checks that.

pub mod body;
mod refused;

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError};
use nemo_projections::Refusal;
use serde_json::json;

use self::body::{AnthropicError, AnthropicErrorDetail, FieldError, OpenAiError, OpenAiErrorDetail, Problem};
use crate::dashboard::failed;

/// Tells the official SDKs not to try again.
pub const SHOULD_RETRY: &str = "x-should-retry";

/// In whose words an error is told: decided by the route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `/v1`, as OpenAI says it.
    OpenAi,
    /// `/v1/messages`, as Anthropic says it.
    Anthropic,
    /// Everything else: problem details, RFC 9457.
    Problem,
}

impl Dialect {
    /// The dialect of a path.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        if path == "/v1/messages" || path.starts_with("/v1/messages/") {
            Self::Anthropic
        } else if path == "/v1" || path.starts_with("/v1/") {
            Self::OpenAi
        } else {
            Self::Problem
        }
    }
}

/// What a caller is told when something did not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The HTTP status.
    pub status: StatusCode,
    /// The code: stable, in `errors.md`.
    pub code: &'static str,
    /// What is wrong and what to do; no secrets.
    pub message: String,
    /// The field or parameter that it is about.
    pub param: Option<String>,
    /// What is wrong field by field, where several are.
    pub errors: Vec<FieldError>,
    /// When a retry may work, in whole seconds.
    pub retry_after_secs: Option<u64>,
    /// Whether trying the same again can help at all.
    pub retry: Retry,
}

/// Whether trying the same again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It may.
    Useful,
    /// It cannot: `x-should-retry: false`.
    Useless,
}

impl Failure {
    /// A failure that a retry cannot mend.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            param: None,
            errors: Vec::new(),
            retry_after_secs: None,
            retry: Retry::Useless,
        }
    }

    /// Names the field or parameter.
    #[must_use]
    pub fn about(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Says field by field what is wrong.
    #[must_use]
    pub fn in_fields(mut self, errors: impl IntoIterator<Item = FieldError>) -> Self {
        self.errors.extend(errors);
        self
    }

    /// Says that a retry may work, after so many microseconds, rounded up to seconds.
    #[must_use]
    pub const fn retry_after_micros(mut self, micros: u64) -> Self {
        self.retry_after_secs = Some(micros.div_ceil(1_000_000));
        self.retry = Retry::Useful;
        self
    }

    /// No key was presented.
    #[must_use]
    pub fn missing_api_key() -> Self {
        let how = "Send your virtual key as `Authorization: Bearer sk-nemo-…`.";
        Self::new(StatusCode::UNAUTHORIZED, "missing_api_key", format!("No API key was sent. {how}"))
    }

    /// What was presented is no key of ours.
    #[must_use]
    pub fn invalid_api_key() -> Self {
        Self::from(&Refusal::InvalidKey)
    }

    /// Two different keys were presented.
    #[must_use]
    pub fn two_api_keys() -> Self {
        let why = "`Authorization` and `x-api-key` carry different keys. Send one.";
        Self::new(StatusCode::UNAUTHORIZED, "invalid_api_key", why)
    }

    /// The master key was presented on an inference route.
    #[must_use]
    pub fn master_key_not_allowed() -> Self {
        let why =
            "The master key manages and cannot make inference calls. Create a virtual key and use that.";
        Self::new(StatusCode::FORBIDDEN, "master_key_not_allowed", why)
    }

    /// A virtual key was presented on a management route.
    #[must_use]
    pub fn virtual_key_not_allowed() -> Self {
        let why = "A virtual key makes inference calls and cannot manage. Use the master key.";
        Self::new(StatusCode::FORBIDDEN, "virtual_key_not_allowed", why)
    }

    /// The request cannot be understood.
    #[must_use]
    pub fn invalid_request(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", why)
    }

    /// A field that nobody priced.
    #[must_use]
    pub fn unknown_field(name: &str) -> Self {
        let why = format!(
            "`{name}` is not a field that Nemo knows the price of. If it does not change what a call costs, \
             the operator can admit it with the setting `inert_fields` in `[calls]`."
        );
        Self::new(StatusCode::BAD_REQUEST, "unknown_field", why).about(name)
    }

    /// The body is larger than the server takes.
    #[must_use]
    pub fn request_too_large(max_bytes: usize) -> Self {
        let why = format!("The body is larger than {max_bytes} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", why)
    }

    /// No such route.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this path.")
    }

    /// The key has no such call, or has forgotten it.
    #[must_use]
    pub fn no_such_call() -> Self {
        let why = "This key made no such call, or it ended more than a day ago.";
        Self::new(StatusCode::NOT_FOUND, "call_not_found", why)
    }

    /// The route exists, the method does not.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This path does not take this method.",
        )
    }

    /// The ledger cannot be reached, or this node is not ready.
    #[must_use]
    pub fn ledger_unavailable(why: &str) -> Self {
        let message = format!("The ledger is not available: {why}. Nothing was sent and nothing is billed.");
        let failure = Self::new(StatusCode::SERVICE_UNAVAILABLE, "ledger_unavailable", message);
        failure.retry_after_micros(1_000_000)
    }

    /// Too many look-ups of unknown keys from one address.
    #[must_use]
    pub fn too_many_unknown_keys(retry_after_micros: u64) -> Self {
        let why = "Too many unknown keys were tried from this address.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_unknown_keys", why)
            .retry_after_micros(retry_after_micros)
    }

    /// Somebody tries to log in too often, or too many people do.
    #[must_use]
    pub fn too_many_logins(why: &str, wait: Duration) -> Self {
        let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_logins", why).retry_after_micros(micros)
    }

    /// The file of passwords cannot be read or written.
    #[must_use]
    pub fn passwords_unusable() -> Self {
        let why = "Passwords cannot be read or written just now. The log says why.";
        let failure = Self::new(StatusCode::SERVICE_UNAVAILABLE, "passwords_unusable", why);
        failure.retry_after_micros(1_000_000)
    }

    /// The master key was typed into a form.
    #[must_use]
    pub fn master_key_in_browser() -> Self {
        let why = "That is the master key. It must never be typed into a browser. If this one is in force, it has \
                   been in one now: replace it with `nemo secrets rotate-master-key`.";
        Self::new(StatusCode::FORBIDDEN, "master_key_in_browser", why)
    }

    /// A virtual key was typed into the login.
    #[must_use]
    pub fn virtual_key_in_login() -> Self {
        let why =
            "That is a virtual key. It makes calls and logs nobody in. To try it out, go to the playground.";
        Self::new(StatusCode::FORBIDDEN, "virtual_key_in_login", why)
    }

    /// The provider cannot be connected to; nothing is billed.
    #[must_use]
    pub fn provider_unreachable(provider: &str) -> Self {
        let why = format!("The provider `{provider}` cannot be reached. Nothing is billed.");
        let failure = Self::new(StatusCode::BAD_GATEWAY, "provider_unreachable", why);
        failure.retry_after_micros(1_000_000)
    }

    /// The provider's breaker is open; nothing is billed.
    #[must_use]
    pub fn provider_suspended(provider: &str, wait: std::time::Duration) -> Self {
        let why = format!(
            "The provider `{provider}` has left call after call without an answer, so none is sent to it just now. \
             Nothing is billed."
        );
        let wait = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        Self::new(StatusCode::BAD_GATEWAY, "provider_suspended", why).retry_after_micros(wait)
    }

    /// The provider's answer is of no use, and a retry might be billed again.
    #[must_use]
    pub fn provider_failed(provider: &str, what: &str) -> Self {
        let why = format!("The provider `{provider}` {what}.");
        Self::new(StatusCode::BAD_GATEWAY, "provider_failed", why)
    }

    /// The provider did not answer in time; the call may have been billed.
    #[must_use]
    pub fn provider_timeout(provider: &str) -> Self {
        let why = format!(
            "The provider `{provider}` did not answer in time. It may have billed the call, so the hold is charged \
             until it is corrected."
        );
        Self::new(StatusCode::GATEWAY_TIMEOUT, "provider_timeout", why)
    }

    /// The node stopped while the call was running.
    #[must_use]
    pub fn stopped() -> Self {
        let why = "The gateway is stopping and had to cut the call. What was received is billed.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "gateway_stopping", why)
    }

    /// The same failure where trying again would be billed again.
    #[must_use]
    pub const fn without_retry(mut self) -> Self {
        self.retry = Retry::Useless;
        self.retry_after_secs = None;
        self
    }

    /// OpenAI's word for the kind of error.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.openai_type()
    }

    /// Something broke here.
    #[must_use]
    pub fn internal() -> Self {
        let why = "Something broke inside the gateway. The request id finds it in the log.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", why)
    }

    /// The body in a dialect.
    #[must_use]
    pub fn body(&self, dialect: Dialect, request_id: Option<&str>) -> serde_json::Value {
        let (message, code, param) = (self.message.as_str(), self.code, self.param.as_deref());
        match dialect {
            Dialect::OpenAi => {
                let error = OpenAiErrorDetail { message, kind: self.openai_type(), param, code };
                json!(OpenAiError { error })
            }
            Dialect::Anthropic => {
                let error = AnthropicErrorDetail { kind: self.anthropic_type(), message, code };
                json!(AnthropicError { kind: "error", error, request_id })
            }
            Dialect::Problem => json!(Problem {
                kind: format!("/docs/errors#{code}"),
                title: self.status.canonical_reason(),
                status: self.status.as_u16(),
                detail: message,
                code,
                param,
                errors: &self.errors,
                request_id,
            }),
        }
    }

    /// The whole reply in a dialect.
    #[must_use]
    pub fn respond(&self, dialect: Dialect, request_id: Option<&str>) -> HttpResponse {
        let content_type =
            if dialect == Dialect::Problem { "application/problem+json" } else { "application/json" };
        let mut reply = HttpResponseBuilder::new(self.status);
        reply.insert_header((CONTENT_TYPE, content_type));
        if let Some(secs) = self.retry_after_secs {
            reply.insert_header((RETRY_AFTER, secs));
        }
        if self.retry == Retry::Useless {
            reply.insert_header((SHOULD_RETRY, "false"));
        }
        reply.body(self.body(dialect, request_id).to_string())
    }

    fn openai_type(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            _ => "api_error",
        }
    }

    fn anthropic_type(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            504 => "timeout_error",
            400..=499 => "invalid_request_error",
            _ => "api_error",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// The code of the failure that a reply tells, for those who count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureCode(pub &'static str);

/// A failure on its way out, in the dialect of its route.
#[derive(Debug)]
pub struct FailureReply {
    failure: Box<Failure>,
    dialect: Dialect,
    request_id: Option<Box<str>>,
    /// Somebody looks at pages.
    looked: Option<Box<failed::Looked>>,
}

impl FailureReply {
    /// Something panicked while the request was being served.
    #[must_use]
    pub fn panicked(path: &str, request_id: String) -> Self {
        let (failure, dialect) = (Failure::internal(), Dialect::of_path(path));
        Self { failure: Box::new(failure), dialect, request_id: Some(request_id.into()), looked: None }
    }

    /// Tells a failure in the words of the request's route.
    #[must_use]
    pub fn to(request: &HttpRequest, failure: Failure) -> Self {
        let request_id = crate::request_id::of(request).map(|id| id.to_string().into());
        let dialect = Dialect::of_path(request.path());
        let is_page = dialect == Dialect::Problem && failed::is_browsing(request);
        let looked = is_page.then(|| Box::new(failed::Looked::at(request, &failure)));
        Self { failure: Box::new(failure), dialect, request_id, looked }
    }
}

impl FailureReply {
    /// Its code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.failure.code
    }

    /// What went wrong, for whoever shows it in its own place.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        &self.failure
    }

    /// The reply itself.
    #[must_use]
    pub fn into_response(self) -> HttpResponse {
        self.error_response()
    }
}

impl fmt::Display for FailureReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl ResponseError for FailureReply {
    fn status_code(&self) -> StatusCode {
        self.failure.status
    }

    fn error_response(&self) -> HttpResponse {
        let request_id = self.request_id.as_deref();
        let mut reply = match &self.looked {
            Some(looked) => failed::page(&self.failure, request_id, looked),
            None => self.failure.respond(self.dialect, request_id),
        };
        reply.extensions_mut().insert(FailureCode(self.failure.code));
        if let Some(value) = request_id.and_then(|id| id.parse().ok()) {
            reply.headers_mut().insert(crate::request_id::HEADER, value);
        }
        reply
    }
}
