//! Who is logged in, as pages and the API see it, and that a write was meant by them.
//!
//! - A request is somebody's if its cookie has the token of a session that goes on, here and in the ledger.
//! - A write must come from a page of this very gateway: its `Origin` is our own, and it repeats a secret that
//!   only our pages know. Cookies are `SameSite=Strict` as well; each of the three would do.

use std::future::{Ready, ready};
use std::time::Instant;

use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Payload;
use actix_web::http::header::{HOST, HeaderMap, HeaderName, LOCATION, ORIGIN};
use actix_web::http::{Method, StatusCode};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError, web};
use nemo_events::{OperatorId, Role, SessionId};
use subtle::ConstantTimeEq;

use super::sessions::{Activity, Token};
use crate::app::App;
use crate::error::{Failure, FailureReply};

/// The cookie. Its prefix makes browsers refuse it from any other host or path, and over plain HTTP but for
/// the machine itself.
pub const SESSION_COOKIE: &str = "__Host-nemo-session";
/// Repeats the session's secret where a form does not.
pub const CSRF_HEADER: HeaderName = HeaderName::from_static("x-nemo-csrf");
/// Sent by pages that look for news by themselves: such a request keeps no session alive.
pub const BACKGROUND_HEADER: HeaderName = HeaderName::from_static("x-nemo-background");

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// A person who is logged in. As a page's parameter it sends everybody else to the login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// Who.
    pub id: OperatorId,
    /// Their name.
    pub name: String,
    /// What they are here for.
    pub role: Role,
    /// What every form repeats in its field `csrf`, and every other write in [`CSRF_HEADER`].
    pub csrf: String,
    /// Which of their sessions this is.
    pub session: SessionId,
}

impl Viewer {
    /// Whoever's session a request carries; `None` without one that goes on.
    #[must_use]
    pub fn of(app: &App, request: &HttpRequest) -> Option<Self> {
        let cookie = request.cookie(SESSION_COOKIE)?;
        let background = request.headers().contains_key(BACKGROUND_HEADER);
        let activity = if background { Activity::Background } else { Activity::Person };
        let session = app.people.sessions.find(cookie.value(), activity, Instant::now())?;
        app.ledger.operators(|operators| {
            let operator = operators.in_session(session.operator, session.began)?;
            Some(Self {
                id: session.operator,
                name: operator.name.clone(),
                role: operator.role,
                csrf: session.csrf,
                session: session.id,
            })
        })
    }

    /// Whether this is the secret of their session.
    #[must_use]
    pub fn vouches(&self, csrf: &str) -> bool {
        self.csrf.as_bytes().ct_eq(csrf.as_bytes()).into()
    }

    /// Whether a write that carries its secret in a header was meant by them.
    ///
    /// # Errors
    /// [`cross_site`] if not, or if it cannot be told.
    pub fn meant(&self, request: &HttpRequest) -> Result<(), Failure> {
        let csrf = request.headers().get(CSRF_HEADER).and_then(|value| value.to_str().ok());
        let meant = is_from_here(request) && csrf.is_some_and(|csrf| self.vouches(csrf));
        if meant { Ok(()) } else { Err(cross_site()) }
    }
}

/// Whether a method only reads.
#[must_use]
pub fn only_reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Whether a request was made by a page of this very gateway. A form of a page without referrer says `null`;
/// then the browser's own word counts, which no page can forge.
#[must_use]
pub fn is_from_here(request: &HttpRequest) -> bool {
    let headers = request.headers();
    match only(headers, &ORIGIN) {
        Some("null") => only(headers, &FETCH_SITE) == Some("same-origin"),
        Some(origin) => {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            host.is_some()
                && host == only(headers, &HOST).or_else(|| request.uri().authority().map(|a| a.as_str()))
        }
        None => false,
    }
}

/// Whether a person waits for a page, rather than a module for data.
#[must_use]
pub fn is_navigation(request: &HttpRequest) -> bool {
    only(request.headers(), &FETCH_MODE).is_none_or(|mode| mode == "navigate")
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name);
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The write may have been made by another site.
#[must_use]
pub fn cross_site() -> Failure {
    let why = "This change does not come from a page of this gateway, or that page is of an earlier login. Open \
               the page again and repeat it.";
    Failure::new(StatusCode::FORBIDDEN, "cross_site_request", why)
}

/// Nobody is logged in.
#[must_use]
pub fn session_ended() -> Failure {
    Failure::new(StatusCode::UNAUTHORIZED, "session_ended", "You are not logged in any more. Log in again.")
}

/// Somebody is, and may not do this.
#[must_use]
pub fn role_not_allowed(role: Role) -> Failure {
    let why = format!("Your role, {role}, does not include this. An admin can give you another one.");
    Failure::new(StatusCode::FORBIDDEN, "role_not_allowed", why)
}

/// The cookie that begins a session.
#[must_use]
pub fn cookie(token: &Token) -> Cookie<'static> {
    hardened(Cookie::new(SESSION_COOKIE, token.expose_secret().to_owned()))
}

/// The cookie that ends one in its browser.
#[must_use]
pub fn no_cookie() -> Cookie<'static> {
    let mut cookie = hardened(Cookie::new(SESSION_COOKIE, ""));
    cookie.make_removal();
    cookie
}

fn hardened(mut cookie: Cookie<'static>) -> Cookie<'static> {
    cookie.set_http_only(true);
    cookie.set_secure(true);
    cookie.set_same_site(SameSite::Strict);
    cookie.set_path("/");
    cookie
}

/// Why there is no viewer.
#[derive(Debug)]
pub enum NoViewer {
    /// Nobody is logged in: where to send them.
    LogIn(String),
    /// Told as data.
    Failed(FailureReply),
}

impl NoViewer {
    /// To the login and back, for a person; an error for a module.
    #[must_use]
    pub fn to(request: &HttpRequest) -> Self {
        if !is_navigation(request) {
            return Self::Failed(FailureReply::to(request, session_ended()));
        }
        // Where somebody wanted to write nothing can be gone back to but the page that it was.
        let page = request.uri().path_and_query().map_or("/", |page| page.as_str());
        Self::LogIn(format!("/login?next={}", percent_encoded(page)))
    }
}

/// All but letters, digits and `/-._~`, which mean themselves in a query string.
fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

impl std::fmt::Display for NoViewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LogIn(_) => f.write_str("nobody is logged in"),
            Self::Failed(reply) => reply.fmt(f),
        }
    }
}

impl ResponseError for NoViewer {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::LogIn(_) => StatusCode::SEE_OTHER,
            Self::Failed(reply) => reply.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::LogIn(place) => HttpResponse::SeeOther().insert_header((LOCATION, place.as_str())).finish(),
            Self::Failed(reply) => reply.error_response(),
        }
    }
}

impl FromRequest for Viewer {
    type Error = NoViewer;
    type Future = Ready<Result<Self, NoViewer>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let admitted = request.extensions().get::<Self>().cloned();
        if let Some(viewer) = admitted {
            return ready(Ok(viewer));
        }
        let Some(app) = request.app_data::<web::Data<App>>() else {
            return ready(Err(NoViewer::Failed(FailureReply::to(request, Failure::internal()))));
        };
        ready(match Self::of(app, request) {
            None => Err(NoViewer::to(request)),
            Some(viewer) if only_reads(request.method()) => Ok(viewer),
            Some(viewer) => match viewer.meant(request) {
                Ok(()) => Ok(viewer),
                Err(failure) => Err(NoViewer::Failed(FailureReply::to(request, failure))),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::panic, reason = "a test fails loudly")]
    use actix_web::test::TestRequest;

    use super::*;

    fn from_here(headers: &[(&'static str, &'static str)]) -> bool {
        let request =
            headers.iter().fold(TestRequest::post(), |request, header| request.insert_header(*header));
        is_from_here(&request.to_http_request())
    }

    #[test]
    fn a_write_comes_from_here_only_if_its_origin_is_our_own() {
        let host = ("host", "nemo.test:4141");
        assert!(from_here(&[host, ("origin", "http://nemo.test:4141")]));
        assert!(from_here(&[host, ("origin", "https://nemo.test:4141")]));
        for origin in [
            "http://nemo.test",
            "http://nemo.test:4142",
            "http://evil.test",
            "http://nemo.test:4141.evil.test",
            "ftp://nemo.test:4141",
            "nemo.test:4141",
            "",
        ] {
            let request = TestRequest::post().insert_header(host).insert_header(("origin", origin));
            assert!(!is_from_here(&request.to_http_request()), "{origin}");
        }
        assert!(!from_here(&[host]), "no origin at all");
        let twice = TestRequest::post().insert_header(host);
        let twice = twice.append_header(("origin", "http://nemo.test:4141"));
        let twice = twice.append_header(("origin", "http://evil.test"));
        assert!(!is_from_here(&twice.to_http_request()));
    }

    #[test]
    fn a_page_without_referrer_is_believed_only_with_its_browsers_word() {
        let (host, null) = (("host", "nemo.test"), ("origin", "null"));
        assert!(from_here(&[host, null, ("sec-fetch-site", "same-origin")]));
        for site in ["same-site", "cross-site", "none", ""] {
            let request = TestRequest::post().insert_header(host).insert_header(null);
            let request = request.insert_header(("sec-fetch-site", site));
            assert!(!is_from_here(&request.to_http_request()), "{site}");
        }
        assert!(!from_here(&[host, null]));
    }

    #[test]
    fn the_cookie_is_for_this_host_alone_and_for_no_script() {
        let cookie = no_cookie().to_string();
        for part in ["__Host-nemo-session=", "HttpOnly", "Secure", "SameSite=Strict", "Path=/", "Max-Age=0"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains("Domain"));
    }

    #[test]
    fn the_way_back_is_a_path_in_a_query_string() {
        let request = TestRequest::with_uri("/keys?q=a%26b&status=active").to_http_request();
        let NoViewer::LogIn(place) = NoViewer::to(&request) else { panic!("a person waits") };
        assert_eq!(place, "/login?next=/keys%3Fq%3Da%2526b%26status%3Dactive");
    }
}
