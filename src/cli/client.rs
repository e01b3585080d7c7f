//! The management API over HTTP: one request, one answer, or why there is none and what to do.
//!
//! The master key goes to the named server and nowhere else: no redirects, no proxy, no second try.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Method, RequestBuilder, Response, StatusCode, redirect, retry};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::auth::token::MasterKeyText;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::values::ServerUrl;

/// How long a request may take, connecting included.
const TIMEOUT: Duration = Duration::from_secs(30);
/// No page of any list is larger.
const ANSWER_MAX_BYTES: usize = 64 * 1024 * 1024;

/// A server and the master key that manages it.
pub struct Client {
    http: reqwest::Client,
    server: ServerUrl,
    bearer: HeaderValue,
}

/// Whether a request that went wrong may have changed something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Reads,
    Changes,
}

/// Problem details, RFC 9457, as Nemo writes them.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
    code: Option<String>,
    param: Option<String>,
    request_id: Option<String>,
}

impl Client {
    /// A client of a server.
    ///
    /// # Errors
    /// Where the system's certificates cannot be used.
    pub fn new(server: ServerUrl, key: &MasterKeyText) -> Result<Self, CommandError> {
        Self::trusting(server, key, None)
    }

    /// A client that trusts these authorities in place of the system's, if there are any.
    ///
    /// # Errors
    /// Where the certificates cannot be used.
    pub fn trusting(
        server: ServerUrl,
        key: &MasterKeyText,
        authorities: Option<Vec<Certificate>>,
    ) -> Result<Self, CommandError> {
        let text = Zeroizing::new(format!("Bearer {}", key.expose_secret()));
        let mut bearer =
            HeaderValue::from_str(&text).map_err(|_| broken("The master key cannot be sent."))?;
        bearer.set_sensitive(true);
        let mut http = reqwest::Client::builder();
        if let Some(authorities) = authorities {
            http = http.tls_certs_only(authorities);
        }
        let http = http
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .user_agent(concat!("nemo-cli/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| broken(&format!("No HTTP client: {}.", chain(&error))))?;
        Ok(Self { http, server, bearer })
    }

    /// The server.
    #[must_use]
    pub const fn server(&self) -> &ServerUrl {
        &self.server
    }

    /// Reads something.
    ///
    /// # Errors
    /// The server's refusal, or why there is no answer.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, CommandError> {
        let mut url = self.server.at(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.answer(self.http.get(url), Effect::Reads).await
    }

    /// Changes something.
    ///
    /// # Errors
    /// The server's refusal, or why there is no answer; then it may have happened all the same.
    pub async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, CommandError> {
        let request = self.http.request(method, self.server.at(path)).json(body);
        self.answer(request, Effect::Changes).await
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        effect: Effect,
    ) -> Result<T, CommandError> {
        let sent = request.header(AUTHORIZATION, self.bearer.clone()).send().await;
        let response = sent.map_err(|error| self.no_answer(&error, effect))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read(response).await.map_err(|error| match error {
            Unread::Broken(error) => self.no_answer(&error, effect),
            Unread::TooLarge => broken("The server's answer is too large."),
        })?;
        if !status.is_success() {
            return Err(self.refusal(status, &headers, &body));
        }
        serde_json::from_slice(&body).map_err(|error| self.not_understood(&error, effect))
    }

    fn no_answer(&self, error: &reqwest::Error, effect: Effect) -> CommandError {
        let server = &self.server;
        if error.is_connect() {
            let what = format!("Cannot connect to {server}: {}.", innermost(error));
            let next = match is_about_certificates(error) {
                true => "If an authority of your own vouches for it, name its certificate with --ca-file.",
                false => "Is the server running there? Name another one with --server or NEMO_SERVER.",
            };
            return CommandError::new(Exit::Unreachable, what).next(next.to_owned());
        }
        let why = if error.is_timeout() {
            format!("did not answer within {} s", TIMEOUT.as_secs())
        } else {
            format!("broke off: {}", innermost(error))
        };
        CommandError::new(Exit::Unreachable, format!("{server} {why}.")).next(effect.after_silence())
    }

    fn not_understood(&self, error: &serde_json::Error, effect: Effect) -> CommandError {
        let what = format!("The answer of {} is not understood: {error}.", self.server);
        let next = "Is Nemo running there, and in the same version as this command?";
        let done = if effect == Effect::Changes { "The change was made. " } else { "" };
        CommandError::new(Exit::Failed, what).next(format!("{done}{next}"))
    }

    fn refusal(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> CommandError {
        let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
        let header =
            |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned);
        let about = problem.param.as_ref().map_or_else(String::new, |param| format!(" (about `{param}`)"));
        let told = problem.detail.or(problem.title);
        let told = told.unwrap_or_else(|| format!("{} answered {status}.", self.server));
        let next = self.next_step(status, problem.code.as_deref(), header(RETRY_AFTER.as_str()));
        CommandError::new(exit_for(status, problem.code.as_deref()), format!("{told}{about}"))
            .with_code(problem.code)
            .with_request_id(problem.request_id.or_else(|| header("x-request-id")))
            .next(next)
    }

    fn next_step(&self, status: StatusCode, code: Option<&str>, wait_secs: Option<String>) -> Option<String> {
        let next = match (status.as_u16(), code) {
            (401, Some("master_key_replaced")) => {
                "Name the new master key's file with --master-key-file or NEMO_MASTER_KEY_FILE.".to_owned()
            }
            (401, _) => format!(
                "Is this the master key of {}? Name its file with --master-key-file or NEMO_MASTER_KEY_FILE.",
                self.server
            ),
            (404, Some("key_not_found")) => "`nemo keys list` shows the keys that there are.".to_owned(),
            (404, Some("call_not_found")) => "`nemo keys calls KEY` shows the calls of a key.".to_owned(),
            (404, Some("org_not_found")) => "`nemo orgs list` shows the orgs that there are.".to_owned(),
            (300..=399, _) => {
                "Redirects are not followed: give --server the address that it leads to.".to_owned()
            }
            (404, None | Some("not_found")) => {
                "Is Nemo running there? Name another server with --server or NEMO_SERVER.".to_owned()
            }
            (429 | 500..=599, _) => match wait_secs {
                Some(secs) => format!("Try again in {secs} s."),
                None => "The request id finds it in the server's log.".to_owned(),
            },
            _ => return None,
        };
        Some(next)
    }
}

impl Effect {
    fn after_silence(self) -> Option<String> {
        let look = "The change may have been made all the same: look before repeating it.";
        (self == Self::Changes).then(|| look.to_owned())
    }
}

/// The exit code that says what the server said.
fn exit_for(status: StatusCode, code: Option<&str>) -> Exit {
    match (status.as_u16(), code) {
        // What is wrong stands on the server, not on the command line.
        (_, Some("configuration_invalid")) => Exit::Failed,
        (400 | 422, _) => Exit::Usage,
        (401 | 403, _) => Exit::NotAllowed,
        (404, _) => Exit::NotFound,
        (502..=504, _) => Exit::Unreachable,
        _ => Exit::Failed,
    }
}

enum Unread {
    Broken(reqwest::Error),
    TooLarge,
}

/// Reads a whole answer, which may hold a new key: no copy of it is left in memory.
async fn read(mut response: Response) -> Result<Zeroizing<Vec<u8>>, Unread> {
    let mut body = Zeroizing::new(Vec::with_capacity(16 * 1024));
    while let Some(chunk) = response.chunk().await.map_err(Unread::Broken)? {
        if body.len().saturating_add(chunk.len()) > ANSWER_MAX_BYTES {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn broken(what: &str) -> CommandError {
    CommandError::new(Exit::Failed, what)
}

fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn is_about_certificates(error: &dyn Error) -> bool {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    causes.any(|cause| cause.to_string().contains("certificate"))
}

/// The cause at the bottom: reqwest's own words only repeat the address.
fn innermost(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.last().map_or_else(String::new, ToString::to_string)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::testing::{Canned, FakeServer, client_of, master_key};

    async fn refused(status: u16, body: &str) -> CommandError {
        let server = FakeServer::answering(vec![Canned::new(status, body)]).await;
        client_of(&server).get::<Value>(&["api", "keys"], &[]).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_request_carries_the_master_key_and_its_path_and_query() {
        let server = FakeServer::answering(vec![Canned::new(200, "{}")]).await;
        let query = [("q", "a b&c".to_owned())];
        client_of(&server).get::<Value>(&["api", "keys", "key_1"], &query).await.unwrap();
        let [request] = server.requests().try_into().unwrap();
        assert!(request.head.starts_with("GET /api/keys/key_1?q=a+b%26c HTTP/1.1\r\n"), "{}", request.head);
        let bearer = format!("authorization: Bearer {}\r\n", master_key().expose_secret());
        assert!(request.head.contains(&bearer), "{}", request.head);
    }

    #[tokio::test]
    async fn a_change_carries_its_body() {
        let server = FakeServer::answering(vec![Canned::new(201, r#"{"x":1}"#)]).await;
        let body = json!({ "name": "Acme" });
        let answer: Value = client_of(&server).send(Method::POST, &["api", "orgs"], &body).await.unwrap();
        assert_eq!(answer, json!({ "x": 1 }));
        assert_eq!(server.requests().first().unwrap().body, body.to_string());
    }

    #[tokio::test]
    async fn a_refusal_tells_the_servers_words_code_and_request_id() {
        let problem = json!({
            "status": 404, "title": "Not Found", "detail": "There is no such key.", "code": "key_not_found",
            "param": null, "request_id": "0197b5a0",
        });
        let error = refused(404, &problem.to_string()).await;
        assert_eq!(error.exit(), Exit::NotFound);
        let told = error.told();
        for part in ["There is no such key.", "[key_not_found]", "request id: 0197b5a0", "nemo keys list"] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[tokio::test]
    async fn each_kind_of_refusal_has_its_exit_code() {
        let cases = [
            (400, Exit::Usage),
            (422, Exit::Usage),
            (401, Exit::NotAllowed),
            (403, Exit::NotAllowed),
            (404, Exit::NotFound),
            (409, Exit::Failed),
            (429, Exit::Failed),
            (500, Exit::Failed),
            (503, Exit::Unreachable),
            (307, Exit::Failed),
        ];
        for (status, exit) in cases {
            let error = refused(status, "<html>").await;
            assert_eq!(error.exit(), exit, "{status}");
            assert!(error.told().contains(&status.to_string()), "{}", error.told());
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_unreachable() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let client = Client::new(format!("http://127.0.0.1:{port}").parse().unwrap(), master_key()).unwrap();
        let error = client.get::<Value>(&["api", "keys"], &[]).await.unwrap_err();
        assert_eq!(error.exit(), Exit::Unreachable);
        assert!(error.told().contains("--server"), "{}", error.told());
    }

    #[tokio::test]
    async fn a_change_without_an_answer_may_have_happened() {
        let server = FakeServer::answering(vec![Canned::hang_up()]).await;
        let error =
            client_of(&server).send::<Value>(Method::POST, &["api", "orgs"], &json!({})).await.unwrap_err();
        assert_eq!(error.exit(), Exit::Unreachable);
        assert!(error.told().contains("may have been made"), "{}", error.told());
        assert_eq!(server.requests().len(), 1, "sent once only");
    }

    #[tokio::test]
    async fn an_answer_that_is_not_understood_quotes_no_key() {
        let body = r#"{"secret":["sk-nemo-1zzzzzzzzzzzABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij3bMjKG"]}"#;
        let server = FakeServer::answering(vec![Canned::new(200, body)]).await;
        let error = client_of(&server).get::<Vec<u8>>(&["api"], &[]).await.unwrap_err();
        assert_eq!(error.exit(), Exit::Failed);
        assert!(!error.told().contains("zzzz"), "{}", error.told());
    }
}
