//! Who is at work while the program is killed: callers, each of which remembers what it was told, and a manager
//! who creates, changes and revokes keys, and remembers what was acknowledged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::harness::{Key, Nemo, nanos, sse_data};

/// How many tokens a call may have.
pub(super) const OUTPUT_LIMIT: u64 = 50;

/// What one caller was told, up to where the connection broke.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// The id of its key.
    pub(super) key: String,
    /// By this the call is known at the provider and in the ledger.
    pub(super) marker: String,
    /// None where not even a head came.
    pub(super) status: Option<u16>,
    /// The code of an error.
    pub(super) code: Option<String>,
    /// `x-nemo-call-id`.
    pub(super) call: Option<String>,
    /// What it was told that the call cost.
    pub(super) cost: Option<i128>,
    /// The last byte of a successful answer was there.
    pub(super) whole: bool,
    /// The connection broke.
    pub(super) lost: bool,
}

/// A key that a manager made, changed and revoked, as far as it came.
#[derive(Clone, Debug)]
pub(super) struct Managed {
    pub(super) id: String,
    pub(super) secret: String,
    /// Steps that were acknowledged, of [`STEPS`].
    pub(super) acknowledged: usize,
    /// Steps that were asked for.
    pub(super) asked: usize,
}

/// The events of a managed key, in order.
pub(super) const STEPS: [&str; 4] = ["KeyCreated", "KeyRelabelled", "KeyLimitsSet", "KeyRevoked"];

/// What came of a load.
#[derive(Debug, Default)]
pub(super) struct Load {
    pub(super) told: Vec<Told>,
    pub(super) managed: Vec<Managed>,
    /// Relabellings of the first key: acknowledged, asked for.
    pub(super) relabelled: (usize, usize),
    /// Somebody's connection broke.
    pub(super) lost: bool,
}

/// Everything that a load needs; nothing of it depends on the program being alive.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) address: SocketAddr,
    pub(super) http: Client,
    pub(super) master_key: String,
    pub(super) org: String,
    pub(super) keys: Vec<Key>,
    pub(super) markers: Arc<AtomicU64>,
}

impl Bench {
    pub(super) async fn of(nemo: &Nemo, keys: &[Key], markers: &Arc<AtomicU64>) -> Bench {
        Bench {
            address: nemo.address(),
            http: nemo.http().clone(),
            master_key: nemo.master_key().to_owned(),
            org: nemo.org().await.to_owned(),
            keys: keys.to_vec(),
            markers: Arc::clone(markers),
        }
    }

    /// So many callers at once, each making so many calls, until a connection breaks.
    pub(super) async fn run(self, callers: usize, calls: usize) -> Load {
        let calling = join_all((0..callers).map(|caller| self.clone().call_on(caller, calls)));
        let (told, mut load) = tokio::join!(calling, self.clone().manage());
        load.told = told.into_iter().flatten().collect();
        load.lost |= load.told.iter().any(|told| told.lost);
        load
    }

    async fn call_on(self, caller: usize, calls: usize) -> Vec<Told> {
        let mut told = Vec::new();
        for n in 0..calls {
            let key = &self.keys[caller % self.keys.len()];
            told.push(self.call(key, caller + n).await);
            if told.last().is_some_and(|told| told.lost) {
                break;
            }
        }
        told
    }

    /// Two of three calls stream; half of those ask for usage.
    async fn call(&self, key: &Key, variety: usize) -> Told {
        let marker = format!("{}/{:08}", key.id(), self.markers.fetch_add(1, Ordering::SeqCst));
        let mut body = key
            .body(json!({"user": marker, "max_tokens": OUTPUT_LIMIT, "stream": !variety.is_multiple_of(3)}));
        if variety % 6 == 1 {
            body["stream_options"] = json!({"include_usage": true});
        }
        let request = self.http.post(format!("http://{}/v1/chat/completions", self.address));
        let request = request.bearer_auth(key.secret()).header("user-agent", &marker).json(&body);
        let mut told = Told {
            key: key.id().to_owned(),
            marker,
            status: None,
            code: None,
            call: None,
            cost: None,
            whole: false,
            lost: true,
        };
        if let Ok(response) = request.send().await {
            told.listen(response).await;
        }
        told
    }

    /// Creates a key, relabels, limits and revokes it, and relabels a busy key in between.
    async fn manage(self) -> Load {
        let mut load = Load::default();
        for _ in 0..2 {
            if let Err(unheard) = self.manage_one(&mut load).await {
                load.lost = unheard == Unheard::Lost;
                break;
            }
        }
        load
    }

    async fn manage_one(&self, load: &mut Load) -> Result<(), Unheard> {
        load.managed.push(self.create().await?);
        let key = load.managed.last_mut().unwrap();
        self.change(key, &mut load.relabelled).await
    }

    async fn create(&self) -> Result<Managed, Unheard> {
        let wish = json!({"org": self.org, "name": "managed", "limits": {"unlimited": true}});
        let created = self.write(Method::POST, "/api/keys", wish).await?;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (id, secret) = (text(&created["key"]["id"]), text(&created["secret"]));
        Ok(Managed { id, secret, acknowledged: 1, asked: 1 })
    }

    async fn change(&self, key: &mut Managed, relabelled: &mut (usize, usize)) -> Result<(), Unheard> {
        let path = |rest: &str| format!("/api/keys/{}/{rest}", key.id);
        let steps = [
            (Method::PUT, path("labels"), json!({"name": "relabelled"})),
            (Method::PUT, path("limits"), json!({"budgets": [{"window": "day", "limit": "1"}]})),
            (Method::POST, path("revoke"), json!({"reason": "done"})),
        ];
        for (method, path, body) in steps {
            key.asked += 1;
            self.write(method, &path, body).await?;
            key.acknowledged += 1;
            relabelled.1 += 1;
            let labels = json!({"name": format!("busy {}", self.markers.fetch_add(1, Ordering::SeqCst))});
            self.write(Method::PUT, &self.keys[0].path("/labels"), labels).await?;
            relabelled.0 += 1;
        }
        Ok(())
    }

    /// What it answers.
    async fn write(&self, method: Method, path: &str, body: Value) -> Result<Value, Unheard> {
        let request = self.http.request(method, format!("http://{}{path}", self.address));
        let response = request.bearer_auth(&self.master_key).json(&body).send().await?;
        let status = response.status();
        let answer: Value = response.json().await?;
        if status == 503 && answer["code"] == "ledger_unavailable" {
            return Err(Unheard::Unavailable);
        }
        assert!(status.is_success(), "{path}: {status} {answer}");
        Ok(answer)
    }
}

/// Why nobody knows whether something that a manager asked for was done.
#[derive(Debug, PartialEq, Eq)]
enum Unheard {
    /// The connection broke.
    Lost,
    /// The ledger's store did not say in time.
    Unavailable,
}

impl From<reqwest::Error> for Unheard {
    fn from(_: reqwest::Error) -> Unheard {
        Unheard::Lost
    }
}

impl Told {
    async fn listen(&mut self, mut response: reqwest::Response) {
        let header =
            |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        (self.status, self.call) = (Some(response.status().as_u16()), header("x-nemo-call-id"));
        self.cost = header("x-nemo-cost").map(|cost| nanos(&cost.into()));
        let streams = header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        let mut body = Vec::new();
        self.lost = loop {
            match response.chunk().await {
                Ok(Some(bytes)) => body.extend_from_slice(&bytes),
                end => break end.is_err(),
            }
        };
        let text = String::from_utf8_lossy(&body);
        if streams {
            self.hear_stream(&text);
        } else if !self.lost {
            let body: Value = serde_json::from_str(&text).unwrap();
            self.code = body["error"]["code"].as_str().map(str::to_owned);
            self.whole = self.status == Some(200);
        }
    }

    fn hear_stream(&mut self, text: &str) {
        let data = sse_data(text);
        self.whole = data.last().is_some_and(|last| last == "[DONE]");
        for event in data.iter().filter_map(|data| serde_json::from_str::<Value>(data).ok()) {
            if !event["usage"]["cost"].is_null() {
                self.cost = Some(nanos(&event["usage"]["cost"]));
            }
            if let Some(code) = event["error"]["code"].as_str() {
                self.code = Some(code.to_owned());
            }
        }
    }
}
