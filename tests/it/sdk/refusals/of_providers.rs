//! What a client meets where the provider is the trouble.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::super::Sdk;
use super::{AS_THEY_LIKE, Row, chat, met};
use crate::fake_provider::{At, Behaviour, ChatRequest, How};
use crate::harness::{Key, Nemo, Setup};

/// Lost calls in a row after which a provider gets no more.
const UNKNOWN_ENDS: usize = 3;

pub(super) struct Prepared {
    nemo: Nemo,
    key: Key,
}

impl Prepared {
    /// A gateway with three providers: one that does as it is asked to, one where nobody listens, and one that
    /// reads and hangs up.
    pub(super) async fn new() -> Prepared {
        let loses = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let lost = loses.local_addr().unwrap().to_string();
        let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = loses.accept().await {
                let _ = connection.read(&mut [0; 4096]).await;
            }
        });
        let more = [("nowhere", nowhere), ("lost", lost)].map(|(name, address)| {
            format!(
                "[[providers]]\nname = \"{name}\"\nbase_url = \"http://{address}/v1\"\nno_api_key = true\n\
                 models = [\"{name}-*\"]\n[[prices]]\nprovider = \"{name}\"\nmodel = \"{name}-1\"\ninput = \"1\"\n\
                 output = \"1\"\ncontext_window = 128000\nmax_output_tokens = 16384\n"
            )
        });
        let setup = Setup::default().provider("first_byte_timeout_secs = 1").more(&more.concat());
        let nemo = setup.calls(&format!("unknown_ends_at_most = {UNKNOWN_ENDS}")).start().await;
        nemo.provider().script_by(behaviour);
        let key = nemo.key(json!({"unlimited": true})).await;
        Prepared { nemo, key }
    }

    pub(super) async fn met(&self, name: &'static str) -> BTreeSet<&'static str> {
        let Prepared { nemo, key } = self;
        let of = |more: Value| chat(key, more);
        let fails = |how: &str| of(json!({ "user": how }));
        let provider_error = |how: &str, status: u16| Row {
            case: fails(how),
            code: "provider_error",
            status,
            again_after: None,
        };
        let rows = [
            // First, while no other call is tried there.
            Row::once(of(json!({"model": "lost-1"})), "provider_suspended").again_after(1.0..=10.0),
            Row::once(of(json!({"model": "nowhere-1"})), "provider_unreachable").again_after(1.0..=1.0),
            Row::once(fails("hangs"), "provider_timeout"),
            Row::once(fails("resets"), "provider_failed"),
            Row::once(fails("says rubbish"), "provider_failed"),
            provider_error("500", 500).again_after(AS_THEY_LIKE),
            provider_error("400", 400),
            provider_error("401", 502),
        ];
        let sdk = Sdk::loaded(name).await;
        for _ in 0..UNKNOWN_ENDS {
            // Once it is suspended, the rest are not sent.
            let lost = key.chat(json!({"model": "lost-1"})).await;
            assert!(
                ["provider_failed", "provider_suspended"].contains(&lost.code().as_str()),
                "{}",
                lost.text()
            );
        }
        met(sdk, name, nemo, &rows).await
    }
}

/// What the provider does, by the request's `user`.
fn behaviour(request: &ChatRequest) -> Behaviour {
    let error = r#"{"error":{"message":"so it is"}}"#;
    match request.user.as_deref().unwrap_or_default() {
        "hangs" => Behaviour::breaking(At::Read, How::Hang),
        "resets" => Behaviour::breaking(At::Read, How::Reset),
        "says rubbish" => Behaviour::malformed_json(),
        status => Behaviour::raw(status.parse().expect("a status"), "application/json", error),
    }
}
