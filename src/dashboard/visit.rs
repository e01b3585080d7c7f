//! A visit: who looks at a page, what they asked, and what their form holds.

use std::future::{Ready, ready};
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::LOCATION;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use nemo_events::{Right, Timestamp};

use crate::auth::session::Viewer;
use crate::error::{Failure, FailureReply};
use crate::management::asked::Asked;

/// More than any form needs.
const FORM_MAX_BYTES: usize = 64 * 1024;

/// What a page's handler answers.
pub type Shows = Result<HttpResponse, FailureReply>;

/// Somebody who may see the page, and what the functions behind `/api` need of them.
pub struct Visit {
    /// Who.
    pub viewer: Viewer,
    /// Their request, as managers make them.
    pub(crate) asked: Asked,
    query: Fields,
}

impl Visit {
    /// What the query string holds.
    #[must_use]
    pub const fn query(&self) -> &Fields {
        &self.query
    }

    /// Whether they may do something: what a page hides the route refuses.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        self.viewer.role.may(right)
    }

    /// The time that everything on the page is told by.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.asked.app().ledger.now()
    }
}

impl FromRequest for Visit {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let viewer = match Viewer::from_request(request, payload).into_inner() {
            Ok(viewer) => viewer,
            Err(nobody) => return ready(Err(nobody.into())),
        };
        let query = Fields::parse(request.query_string());
        let asked = Asked::from_request(request, payload).into_inner();
        ready(asked.map(|asked| Self { viewer, asked, query }).map_err(Into::into))
    }
}

/// To another page, which is then loaded for itself.
#[must_use]
pub fn see_other(path: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, path)).finish()
}

/// The fields of a form or of a query string, as they were sent: names may repeat.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// What cannot be understood is as good as not sent.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(web::Query::from_query(text).map(web::Query::into_inner).unwrap_or_default())
    }

    /// Fields with these values.
    #[must_use]
    pub fn of(fields: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// A field without the blanks around it; empty where it was not sent.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.as_sent(name).trim()
    }

    /// A field as it was sent; empty where it was not.
    #[must_use]
    pub fn as_sent(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// A field without the blanks around it; `None` where nothing is left.
    #[must_use]
    pub fn given(&self, name: &str) -> Option<String> {
        let text = self.text(name);
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Everything that was sent under a name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a tick was set.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// The same fields with one of them given another value, or left out.
    #[must_use]
    pub fn with(&self, name: &str, value: Option<&str>) -> Self {
        let others = self.0.iter().filter(|(known, _)| known != name).cloned();
        Self(others.chain(value.map(|value| (name.to_owned(), value.to_owned()))).collect())
    }

    /// As a path with a query string; fields that hold nothing are left out.
    #[must_use]
    pub fn to_url(&self, path: &str) -> String {
        let mut url = path.to_owned();
        for (name, value) in self.0.iter().filter(|(_, value)| !value.is_empty()) {
            url.push(if url.len() == path.len() { '?' } else { '&' });
            push_encoded(&mut url, name);
            url.push('=');
            push_encoded(&mut url, value);
        }
        url
    }
}

/// Text as it stands in a query string.
fn push_encoded(url: &mut String, text: &str) {
    use std::fmt::Write as _;
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            url.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

impl FromRequest for Fields {
    type Error = FailureReply;
    type Future = Pin<Box<dyn Future<Output = Result<Self, FailureReply>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), web::Payload::from_request(request, payload));
        Box::pin(async move {
            let refused = |failure| FailureReply::to(&request, failure);
            let broken = |_| refused(Failure::invalid_request("The form could not be read."));
            let body = payload.await.map_err(broken)?.to_bytes_limited(FORM_MAX_BYTES).await;
            let too_large = |_| refused(Failure::request_too_large(FORM_MAX_BYTES));
            let body = body.map_err(too_large)?.map_err(broken)?;
            Ok(Self::parse(&String::from_utf8_lossy(&body)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_survive_the_way_through_an_address() {
        let fields = Fields::parse("q=a%20%26b&status=&key=1&key=2");
        assert_eq!((fields.text("q"), fields.text("nothing"), fields.given("status")), ("a &b", "", None));
        assert_eq!(fields.all("key").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(fields.to_url("/keys"), "/keys?q=a%20%26b&key=1&key=2");
        assert_eq!(Fields::parse("q=a%20%26b&key=1&key=2").to_url("/keys"), fields.to_url("/keys"));
        assert_eq!(fields.with("key", Some("é")).with("q", None).to_url("/k"), "/k?key=%C3%A9");
        assert_eq!(Fields::parse("%ff=%").to_url("/k"), "/k?%EF%BF%BD=%25");
        assert_eq!(Fields::default().to_url("/k"), "/k");
    }
}
