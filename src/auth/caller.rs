//! The holder of a virtual key, as inference routes take it.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::{FromRequest, HttpRequest, web};
use nemo_events::KeyId;
use nemo_projections::Refusal;
use nemo_projections::decide::PresentedSecret;

use super::address;
use super::misses::ColdMisses;
use super::token::{Presented, VirtualKeyText};
use crate::app::App;
use crate::error::{Failure, FailureReply};
use crate::ledger::{Account, ExecuteError, KeyFold};

/// A virtual key whose secret matched and which may be used, from where the request comes. It cannot manage
/// anything.
pub struct Caller {
    account: Arc<Account<KeyFold>>,
    presented: PresentedSecret,
    address: IpAddr,
    _sealed: (),
}

impl Caller {
    /// The key.
    #[must_use]
    pub fn key(&self) -> KeyId {
        self.account.id()
    }

    /// Its account.
    #[must_use]
    pub const fn account(&self) -> &Arc<Account<KeyFold>> {
        &self.account
    }

    /// The digests of what was presented; decisions check them again.
    #[must_use]
    pub const fn presented(&self) -> &PresentedSecret {
        &self.presented
    }

    /// Where the request comes from.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }
}

impl FromRequest for Caller {
    type Error = FailureReply;
    type Future = Pin<Box<dyn Future<Output = Result<Self, FailureReply>>>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let Some(app) = request.app_data::<web::Data<App>>() else {
                return Err(FailureReply::to(&request, Failure::internal()));
            };
            authenticate(&request, app).await.map_err(|failure| FailureReply::to(&request, failure))
        })
    }
}

async fn authenticate(request: &HttpRequest, app: &App) -> Result<Caller, Failure> {
    if let Some(why) = app.lifecycle.why_no_calls() {
        return Err(Failure::ledger_unavailable(&why));
    }
    let address = address::of(request, &app.config.server.trusted_proxies).ok_or_else(Failure::internal)?;
    let recorded = address::client(address, None, app.config.server.record_clients).address;
    let stranger = |failure: Failure| {
        app.ledger.count_stranger(failure.code, recorded.as_deref());
        failure
    };
    let text = presented_text(request.headers()).map_err(stranger)?;
    let key = match Presented::classify(text) {
        Presented::Virtual(key) => key,
        Presented::Master(_) => return Err(stranger(Failure::master_key_not_allowed())),
        Presented::Neither => return Err(stranger(Failure::invalid_api_key())),
    };
    let presented = PresentedSecret { digests: app.secrets.now().peppers().present(&key) };
    let account = look_up(app, &key, address).await.map_err(stranger)?;
    drop(key);
    match app.ledger.authenticate(&account, presented.clone(), address).await {
        Ok(_version) => Ok(Caller { account, presented, address, _sealed: () }),
        Err(ExecuteError::Refused(Refusal::InvalidKey)) => {
            app.misses.missed(account.id(), address);
            Err(stranger(Failure::invalid_api_key()))
        }
        Err(error) => {
            if let ExecuteError::Refused(refusal) = &error {
                app.ledger.count_refusal(account.id(), refusal, recorded.as_deref());
            }
            Err(Failure::from(&error))
        }
    }
}

/// Reads the account of a well-formed key, with a bound on what strangers can make the store read.
async fn look_up(app: &App, key: &VirtualKeyText, address: IpAddr) -> Result<Arc<Account<KeyFold>>, Failure> {
    let id = key.key_id();
    if let Some(account) = app.ledger.key_in_memory(id) {
        return Ok(account);
    }
    if app.misses.is_unknown(id) {
        return Err(Failure::invalid_api_key());
    }
    if !app.misses.may_look_up(address) {
        return Err(Failure::too_many_unknown_keys(ColdMisses::retry_after_micros()));
    }
    let account = app.ledger.key_for_caller(id).await.map_err(|error| Failure::from(&error))?;
    if account.revision().is_none() {
        app.misses.missed(id, address);
        return Err(Failure::invalid_api_key());
    }
    Ok(account)
}

/// The one key that the headers carry. Cookies and the URL are never looked at.
fn presented_text(headers: &HeaderMap) -> Result<&str, Failure> {
    let invalid = |_| Failure::invalid_api_key();
    let bearer = match headers.get(AUTHORIZATION) {
        None => None,
        Some(value) => {
            let value = value.to_str().map_err(invalid)?;
            let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
        }
    };
    let api_key = match headers.get("x-api-key") {
        None => None,
        Some(value) => Some(value.to_str().map_err(invalid)?.trim()).filter(|key| !key.is_empty()),
    };
    match (bearer, api_key) {
        (None, None) => Err(Failure::missing_api_key()),
        (Some(bearer), Some(api_key)) if bearer != api_key => Err(Failure::two_api_keys()),
        (Some(key), _) | (None, Some(key)) => Ok(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn the_key_comes_from_either_header_and_two_must_agree() {
        let both = headers(&[("authorization", "Bearer a"), ("x-api-key", "a")]);
        assert_eq!(presented_text(&both), Ok("a"));
        let differ = headers(&[("authorization", "Bearer a"), ("x-api-key", "b")]);
        assert_eq!(presented_text(&differ).map_err(|f| f.code), Err("invalid_api_key"));
        assert_eq!(presented_text(&headers(&[("x-api-key", "b")])), Ok("b"));
        assert_eq!(presented_text(&headers(&[("authorization", "bearer  b ")])), Ok("b"));
        let none = headers(&[("authorization", "Bearer "), ("cookie", "key=a")]);
        assert_eq!(presented_text(&none).map_err(|f| f.code), Err("missing_api_key"));
    }
}
