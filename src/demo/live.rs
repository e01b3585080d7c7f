//! Live traffic: some of the demo's keys go on calling, over HTTP like any client, about one call a second.
//!
//! The keys' secrets are in memory only: those of a demo that is taken up again were lost with the process
//! before, so the keys are rotated first.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use rand::RngExt;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::cast::{Role, SHOP, SUPPORT, TRAINEE};
use crate::auth::token::VirtualKeyText;
use crate::server::Addresses;

/// Who goes on calling. The trainee's budget is used up: that is to be seen too.
pub(super) const CALLERS: [&Role; 3] = [&SHOP, &SUPPORT, &TRAINEE];
/// The pause between two calls, in milliseconds.
const PAUSE_MILLIS: std::ops::Range<u64> = 350..1_700;
/// How long a caller waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// One that calls.
pub(super) struct Caller {
    role: &'static Role,
    bearer: HeaderValue,
}

impl Caller {
    pub(super) fn new(role: &'static Role, key: &VirtualKeyText) -> anyhow::Result<Self> {
        let text = zeroize::Zeroizing::new(format!("Bearer {}", key.expose_secret()));
        let mut bearer = HeaderValue::from_str(&text)?;
        bearer.set_sensitive(true);
        Ok(Self { role, bearer })
    }
}

/// Traffic that flows until it is stopped.
pub struct Traffic {
    stop: CancellationToken,
    task: JoinHandle<Option<()>>,
}

impl Traffic {
    /// Lets it flow to a gateway.
    pub(super) fn start(gateway: &Addresses, callers: Vec<Caller>) -> anyhow::Result<Self> {
        let Addresses { inference, scheme, .. } = gateway;
        let everywhere = inference.ip().is_unspecified();
        let host = if everywhere { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { inference.ip() };
        let url = format!("{scheme}://{}/v1/chat/completions", SocketAddr::new(host, inference.port()));
        let http = reqwest::Client::builder()
            .no_proxy()
            .retry(reqwest::retry::never())
            .timeout(PATIENCE)
            .user_agent(concat!("nemo-demo/", env!("CARGO_PKG_VERSION"), " (simulated traffic)"))
            .build()?;
        let stop = CancellationToken::new();
        let flow = stop.clone().run_until_cancelled_owned(async move {
            while let Some(caller) = callers.get(next(callers.len())) {
                let pause = rand::rng().random_range(PAUSE_MILLIS);
                tokio::time::sleep(Duration::from_millis(pause)).await;
                call(&http, &url, caller).await;
            }
        });
        Ok(Self { stop, task: tokio::spawn(flow) })
    }

    /// Stops it. A call under way is left, as by a client that hangs up.
    pub async fn stop(self) {
        self.stop.cancel();
        // It has no result, and a panic in it was logged.
        let _ = self.task.await;
    }
}

/// Who calls next: each only half as often as the one before.
fn next(callers: usize) -> usize {
    let mut dice = rand::rng();
    (0..callers.saturating_sub(1)).find(|_| dice.random()).unwrap_or(callers.saturating_sub(1))
}

/// Makes one call and reads its answer. Whatever becomes of it, the ledger tells.
async fn call(http: &reqwest::Client, url: &str, caller: &Caller) {
    let (body, cut_after) = {
        let mut dice = rand::rng();
        let models = caller.role.work.models;
        let model = models.get(dice.random_range(0..models.len())).map_or("gpt-4o-mini", |(model, _)| model);
        let stream = dice.random_range(0..100) < caller.role.work.streams_percent;
        let question = QUESTIONS.get(dice.random_range(0..QUESTIONS.len())).copied().unwrap_or("Hello?");
        let context = "This is simulated traffic of a demo. ".repeat(dice.random_range(5..60));
        let messages =
            json!([{ "role": "system", "content": context }, { "role": "user", "content": question }]);
        let body = json!({ "model": model, "messages": messages, "stream": stream,
            "max_tokens": dice.random_range(20..600) });
        // Now and then somebody does not wait for the end.
        (body, (dice.random_range(0..25) == 0).then_some(8))
    };
    let request = http.post(url).header(AUTHORIZATION, caller.bearer.clone());
    let request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
    match request.send().await {
        Ok(answer) => {
            let mut chunks = answer.bytes_stream().take(cut_after.unwrap_or(usize::MAX));
            while let Some(Ok(_)) = chunks.next().await {}
        }
        Err(error) => debug!(%error, "a demo call had no answer"),
    }
}

const QUESTIONS: [&str; 6] = [
    "Which of these is in stock in Bremen?",
    "Summarise this complaint in one sentence.",
    "Translate the last paragraph into Danish.",
    "Is this a question about an invoice or about a delivery?",
    "What would you cook with celeriac and two eggs?",
    "Write a polite answer that says no.",
];
