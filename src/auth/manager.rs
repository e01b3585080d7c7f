//! Whoever manages, as management routes take it: the holder of the master key, or a person who is logged in.
//!
//! A [`Manager`] comes into being here and nowhere else, from a master key that was verified, or from a
//! session whose person may do what the route needs. No virtual key leads to one, and none leads to a virtual
//! key or to a [`Caller`](super::caller::Caller): the two types share nothing. The master key never works
//! from a browser, where scripts, extensions and other sites could use it or carry it off.
//!
//! ```compile_fail,E0603
//! use nemo::auth::manager::Manager;
//! fn forge(id: nemo_events::MasterKeyId) -> Manager {
//!     Manager(nemo::auth::manager::Who::MasterKey(id))
//! }
//! ```
//!
//! ```compile_fail,E0277
//! use nemo::auth::{caller::Caller, manager::Manager};
//! fn promote(caller: Caller) -> Manager {
//!     caller.into()
//! }
//! ```

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, ORIGIN};
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use nemo_events::{Actor, MasterKeyId, RequestId, Timestamp};
use tracing::warn;

use super::address;
use super::guard::{Admitted, Needs, note};
use super::master_keys::{MasterKeys, Recognised};
use super::session::{SESSION_COOKIE, Viewer, only_reads, role_not_allowed, session_ended};
use super::token::Presented;
use crate::app::App;
use crate::error::{Failure, FailureReply};
use crate::ledger::Context;

/// Headers that browsers add by themselves and programs do not. `sec-fetch-mode` is none of them:
/// Node's `fetch` sends it.
const BROWSER_MARKS: [HeaderName; 4] =
    [ORIGIN, COOKIE, HeaderName::from_static("sec-fetch-site"), HeaderName::from_static("sec-fetch-dest")];

/// Somebody who may manage. Cannot make an inference call.
#[derive(Debug)]
pub struct Manager(Who);

#[derive(Debug)]
enum Who {
    MasterKey(MasterKeyId),
    Person(Viewer),
}

impl Manager {
    /// On whose behalf a command is executed.
    #[must_use]
    pub fn context(&self, request: Option<RequestId>) -> Context {
        let actor = match &self.0 {
            Who::MasterKey(id) => Actor::MasterKey { id: id.clone() },
            Who::Person(viewer) => Actor::Operator { id: viewer.id },
        };
        Context { actor, request, call: None }
    }

    /// The person, if it is one.
    #[must_use]
    pub const fn viewer(&self) -> Option<&Viewer> {
        match &self.0 {
            Who::MasterKey(_) => None,
            Who::Person(viewer) => Some(viewer),
        }
    }
}

impl FromRequest for Manager {
    type Error = FailureReply;
    type Future = Ready<Result<Self, FailureReply>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let app = request.app_data::<web::Data<App>>();
        let manager = app.ok_or_else(Failure::internal).and_then(|app| {
            if let Some(person) = person(app, request) {
                return person.map(|viewer| Self(Who::Person(viewer)));
            }
            let (secrets, now) = (app.secrets.now(), app.ledger.now());
            authenticate(request.headers(), secrets.master_keys(), now)
                .inspect_err(|failure| record_misuse(app, request, failure))
        });
        ready(manager.map_err(|failure| FailureReply::to(request, failure)))
    }
}

/// The person whose session a request carries; `None` for a request that has none, or has a key as well.
fn person(app: &App, request: &HttpRequest) -> Option<Result<Viewer, Failure>> {
    if let Some(Admitted(viewer)) = request.extensions().get() {
        return Some(Ok(viewer.clone()));
    }
    if request.headers().contains_key(AUTHORIZATION) || request.cookie(SESSION_COOKIE).is_none() {
        return None;
    }
    Some(admitted(app, request))
}

fn admitted(app: &App, request: &HttpRequest) -> Result<Viewer, Failure> {
    let viewer = Viewer::of(app, request).ok_or_else(session_ended)?;
    if !only_reads(request.method()) {
        viewer.meant(request)?;
    }
    let needs = request.extensions().get::<Needs>().copied();
    match needs {
        Some(needs) if needs.right.is_some_and(|right| viewer.role.may(right)) => {
            note(app, request, needs, &viewer);
            Ok(viewer)
        }
        // A route that does not say what it needs of people is none for them.
        Some(_) | None => Err(role_not_allowed(viewer.role)),
    }
}

/// Whoever still has a master key that was replaced forgot about it, or should not have it: counted in the
/// ledger like strings that are no key, with the address, which tells the two apart.
fn record_misuse(app: &App, request: &HttpRequest, failure: &Failure) {
    if failure.code == "master_key_replaced" {
        let server = &app.config.server;
        let address = address::of(request, &server.trusted_proxies);
        let recorded = address.and_then(|at| address::client(at, None, server.record_clients).address);
        warn!(client.address = ?recorded, "a master key that was replaced is still being used");
        app.ledger.count_stranger(failure.code, recorded.as_deref());
    }
}

fn authenticate(headers: &HeaderMap, keys: &MasterKeys, now: Timestamp) -> Result<Manager, Failure> {
    let text = presented_text(headers)?;
    // Before the key is looked at, so that a page in a browser cannot even try keys out.
    if BROWSER_MARKS.iter().any(|mark| headers.contains_key(mark)) {
        return Err(browser_not_allowed());
    }
    match Presented::classify(text) {
        Presented::Virtual(_) => Err(Failure::virtual_key_not_allowed()),
        Presented::Neither => Err(invalid_master_key()),
        Presented::Master(key) => match keys.recognise(&key, now) {
            Some(Recognised::InForce(master_key)) => Ok(Manager(Who::MasterKey(master_key))),
            Some(Recognised::Replaced(_, since)) => Err(replaced(since)),
            None => Err(invalid_master_key()),
        },
    }
}

/// The one key in `Authorization`. `x-api-key`, cookies and the URL are never looked at.
fn presented_text(headers: &HeaderMap) -> Result<&str, Failure> {
    let mut values = headers.get_all(AUTHORIZATION);
    let value = values.next().ok_or_else(missing_master_key)?;
    if values.next().is_some() {
        return Err(invalid_master_key());
    }
    let value = value.to_str().map_err(|_| invalid_master_key())?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(missing_master_key());
    }
    Ok(token)
}

fn missing_master_key() -> Failure {
    let why = "No key was sent. Management takes the master key as `Authorization: Bearer mk-nemo-…`.";
    Failure::new(StatusCode::UNAUTHORIZED, "missing_api_key", why)
}

fn invalid_master_key() -> Failure {
    let why = "This is not the master key of this gateway.";
    Failure::new(StatusCode::UNAUTHORIZED, "invalid_api_key", why)
}

fn replaced(since: Timestamp) -> Failure {
    let why = format!(
        "This master key was replaced; it is refused since {since}. Use the new one, which is where \
         `nemo secrets rotate-master-key` wrote it."
    );
    Failure::new(StatusCode::UNAUTHORIZED, "master_key_replaced", why)
}

fn browser_not_allowed() -> Failure {
    let why = "The master key does not work from a browser (the request carries `Origin`, `Cookie`, \
               `Sec-Fetch-Site` or `Sec-Fetch-Dest`). Use it from a program on a machine that you trust.";
    Failure::new(StatusCode::FORBIDDEN, "browser_not_allowed", why)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]
    use actix_web::http::header::HeaderValue;

    use super::super::master_keys::{MasterKeyVerifier, Retired};
    use super::super::token::{MasterKeyText, VirtualKeyText};
    use super::*;

    /// The outcome of a request with the master key (or whatever `text` is) and another header.
    fn outcome(text: &str, other: Option<&'static str>) -> Result<MasterKeyId, &'static str> {
        let master = MasterKeyText::generate().unwrap();
        let keys = MasterKeys::only(MasterKeyVerifier::of(&master));
        let text = text.replace("MASTER", master.expose_secret());
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&text).unwrap());
        if let Some(name) = other {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
        }
        let manager = authenticate(&headers, &keys, Timestamp::EPOCH).map_err(|failure| failure.code)?;
        let Manager(Who::MasterKey(id)) = manager else { panic!("nobody is logged in") };
        assert_eq!(&id, master.id());
        Ok(id)
    }

    #[test]
    fn the_master_key_makes_a_manager() {
        assert!(outcome("Bearer MASTER", None).is_ok());
        assert!(outcome("bearer  MASTER ", None).is_ok());
        assert!(outcome("Bearer MASTER", Some("sec-fetch-mode")).is_ok(), "Node's fetch sends it");
    }

    #[test]
    fn no_browser_can_use_the_master_key() {
        for mark in ["origin", "cookie", "sec-fetch-site", "sec-fetch-dest"] {
            assert_eq!(outcome("Bearer MASTER", Some(mark)), Err("browser_not_allowed"), "{mark}");
        }
    }

    #[test]
    fn nothing_else_makes_a_manager() {
        let virtual_key = VirtualKeyText::generate().unwrap();
        let another = MasterKeyText::generate().unwrap();
        let of = |text: &str| outcome(&format!("Bearer {text}"), None);
        assert_eq!(of(virtual_key.expose_secret()), Err("virtual_key_not_allowed"));
        assert_eq!(of(another.expose_secret()), Err("invalid_api_key"));
        assert_eq!(of("rubbish"), Err("invalid_api_key"));
        assert_eq!(of(""), Err("missing_api_key"));
        assert_eq!(outcome("Basic MASTER", None), Err("missing_api_key"));
        assert_eq!(outcome("MASTER", None), Err("missing_api_key"));
    }

    #[test]
    fn a_replaced_master_key_is_told_so_and_makes_no_manager() {
        let old = MasterKeyText::generate().unwrap();
        let new = MasterKeyVerifier::of(&MasterKeyText::generate().unwrap());
        let (now, soon) = (Timestamp::EPOCH, Timestamp::EPOCH.plus_secs(1));
        let keys = MasterKeys::only(MasterKeyVerifier::of(&old));
        let keys = keys.replaced_by(new, Retired { valid_until: soon, leaked: false }, now);
        let mut headers = HeaderMap::new();
        let text = format!("Bearer {}", old.expose_secret());
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&text).unwrap());
        assert!(authenticate(&headers, &keys, now).is_ok());
        assert_eq!(authenticate(&headers, &keys, soon).unwrap_err().code, "master_key_replaced");
    }

    #[test]
    fn a_key_elsewhere_than_in_one_authorization_header_is_not_looked_at() {
        let keys = MasterKeys::only(MasterKeyVerifier::of(&MasterKeyText::generate().unwrap()));
        let authenticate =
            |headers: &HeaderMap, keys: &MasterKeys| authenticate(headers, keys, Timestamp::EPOCH);
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-api-key"), HeaderValue::from_static("x"));
        assert_eq!(authenticate(&headers, &keys).unwrap_err().code, "missing_api_key");
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer b"));
        assert_eq!(authenticate(&headers, &keys).unwrap_err().code, "invalid_api_key");
    }
}
