//! What a client meets where the key, its limits or the request stand in the way: nothing of it gets to a provider.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::super::client::{CLIENTS, Sdk};
use super::{Row, chat, get, met, with_header};
use crate::fake_provider::{Behaviour, Phase};
use crate::harness::{Answer, Key, Nemo, Raw, Setup, until, well_formed_key};

/// From here come keys that nobody knows: an address for each client.
fn strangers(client: &str) -> String {
    format!("198.51.100.{}", client.len())
}

/// Look-ups of unknown keys that an address has.
const LOOK_UPS: usize = 200;
const NO_CALL: &str = "/key?call=00000000-0000-7000-8000-000000000000";

pub(super) struct Prepared {
    nemo: Nemo,
    keys: Keys,
    /// Those with calls that are held at the provider.
    clients: Vec<JoinHandle<()>>,
    _connections: Vec<Raw>,
    _crash: TempDir,
}

/// Keys that cannot make a call, each for a reason of its own.
struct Keys {
    rich: Key,
    revoked: Key,
    blocked: Key,
    expired: Key,
    rotated: Key,
    of_suspended_org: Key,
    of_archived_org: Key,
    flagged: Key,
    elsewhere: Key,
    embedder: Key,
    thinker: Key,
    careful: Key,
    slow: Key,
    poor: Key,
    holding: Key,
    single: Key,
    hurried: Key,
    talkative: Key,
}

impl Prepared {
    pub(super) async fn new() -> Prepared {
        let crash = tempfile::tempdir().unwrap();
        let crash_at = crash.path().join("crash-at");
        std::fs::write(&crash_at, "").unwrap();
        let setup = Setup::default()
            .server("trusted_proxies = [\"127.0.0.1\"]\nbody_max_bytes = 20000")
            .calls("held_wait_secs = 0")
            .env("NEMO_MUTATION", "panic-with-the-model")
            .env("NEMO_CRASH_AT", &format!("@{}", crash_at.display()));
        let nemo = setup.start().await;
        nemo.provider().script(Behaviour::success(9, 7));
        let keys = Keys::new(&nemo).await;
        // An org is archived before its keys are revoked; here it dies in between.
        let org = keys.of_archived_org.shown().await["org"].as_str().unwrap().to_owned();
        std::fs::write(&crash_at, "after-append:1").unwrap();
        let archive =
            nemo.http().delete(nemo.url(&format!("/api/orgs/{org}"))).bearer_auth(nemo.master_key());
        assert!(archive.json(&json!({})).send().await.is_err());
        nemo.until_exit().await;
        std::fs::write(&crash_at, "").unwrap();
        nemo.restart().await;
        keys.prepare(&nemo).await;
        let (clients, connections) = keys.call(&nemo).await;
        Prepared { nemo, keys, clients, _connections: connections, _crash: crash }
    }

    /// Lets the calls that run come to their end.
    pub(super) async fn end(self) {
        self.nemo.provider().release();
        for client in self.clients {
            client.await.unwrap();
        }
        self.keys.rich.books_balance().await;
    }

    pub(super) async fn met(&self, name: &'static str) -> BTreeSet<&'static str> {
        let Prepared { nemo, keys, .. } = self;
        let sdk = Sdk::loaded(name).await;
        let requests = nemo.provider().request_count();
        // From here on, ten seconds.
        for n in 0..=LOOK_UPS {
            let unknown = well_formed_key(&format!("{name:0>6}{n:05}"), &"0".repeat(36));
            let ask = nemo.http().get(nemo.url("/v1/key")).header("x-forwarded-for", strangers(name));
            assert_eq!(
                Answer::of(ask.bearer_auth(unknown)).await.status,
                if n < LOOK_UPS { 401 } else { 429 }
            );
        }
        let rows =
            [keys.who_one_is(nemo, name), keys.what_may_be_done(), keys.the_request(name), keys.later()];
        let codes = met(sdk, name, nemo, &rows.into_iter().flatten().collect::<Vec<_>>()).await;
        assert_eq!(nemo.provider().request_count(), requests, "{name}: the provider heard of none of them");
        codes
    }
}

impl Keys {
    async fn new(nemo: &Nemo) -> Keys {
        let unlimited = |more: Value| async move {
            let mut limits = json!({"unlimited": true});
            limits.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            nemo.key(limits).await
        };
        let in_org = |name: &'static str| async move {
            let org = nemo.new_org(name).await;
            nemo.key_in(&org, json!({"unlimited": true})).await
        };
        let soon =
            (chrono::Utc::now() + chrono::TimeDelta::seconds(2)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
        Keys {
            rich: nemo.rich_key().await,
            revoked: nemo.rich_key().await,
            blocked: nemo.rich_key().await,
            expired: unlimited(json!({"expires_at": soon})).await,
            rotated: nemo.rich_key().await,
            of_suspended_org: in_org("suspended").await,
            of_archived_org: in_org("archived").await,
            flagged: nemo.rich_key().await,
            elsewhere: unlimited(json!({"addresses": ["10.0.0.0/8"]})).await,
            embedder: unlimited(json!({"endpoints": ["embeddings"]})).await,
            thinker: unlimited(json!({"models": ["*-think"]})).await,
            careful: unlimited(json!({"max_call_cost": "0.001"})).await,
            slow: unlimited(json!({"tokens_per_minute": 10})).await,
            poor: nemo.key(json!({"budgets": [{"window": "day", "limit": "0.0001"}]})).await,
            holding: nemo.key(json!({"budgets": [{"window": "total", "limit": "0.015"}]})).await,
            single: unlimited(json!({"concurrent_calls": 1})).await,
            hurried: unlimited(json!({"requests_per_minute": 1})).await,
            talkative: unlimited(json!({"tokens_per_minute": 1300})).await,
        }
    }

    /// Brings each to where it is refused.
    async fn prepare(&self, nemo: &Nemo) {
        self.revoked.tell("revoke", json!({})).await;
        self.blocked.tell("block", json!({})).await;
        // This one keeps the old secret.
        self.rotated.clone().rotate(json!({"leaked": true})).await;
        let org = self.of_suspended_org.shown().await["org"].as_str().unwrap().to_owned();
        nemo.tell(&format!("/api/orgs/{org}/suspend"), json!({})).await;
        nemo.provider().script_next([Behaviour::success(9, 0).output_tokens_regardless(5_000)]);
        self.flagged.chat(json!({"max_tokens": 100})).await.ok();
        until("it expires", || async { (self.expired.get("/v1/key").await.status == 401).then_some(()) })
            .await;
    }

    /// Makes calls, some of which go on.
    async fn call(&self, nemo: &Nemo) -> (Vec<JoinHandle<()>>, Vec<Raw>) {
        let url = nemo.url("/v1");
        // A request is known by its bytes, and each client writes them in its own way.
        for name in CLIENTS {
            let seen = Sdk::loaded(name).await.at_once(&url, vec![self.once(name, "ended", json!({}))]).await;
            assert_eq!(seen[0]["finish"], "stop", "{seen:?}");
        }
        nemo.provider().hold_at(Phase::Received);
        let mut clients = Vec::new();
        for name in CLIENTS {
            let (url, cases) = (url.clone(), vec![self.once(name, "running", json!({}))]);
            let sdk = Sdk::loaded(name).await;
            clients.push(tokio::spawn(async move { drop(sdk.at_once(&url, cases).await) }));
        }
        let mut connections = Vec::new();
        for key in [&self.holding, &self.single, &self.hurried, &self.talkative] {
            connections.push(key.raw_chat(json!({})).await);
        }
        let held = clients.len() + connections.len();
        nemo.provider().until_held(Phase::Received, held).await.unwrap();
        (clients, connections)
    }

    /// A request with an idempotency key of a client's.
    fn once(&self, client: &str, idempotency_key: &str, more: Value) -> Value {
        with_header(chat(&self.rich, more), "Idempotency-Key", &format!("{idempotency_key} of {client}"))
    }

    fn who_one_is(&self, nemo: &Nemo, client: &str) -> Vec<Row> {
        let with = |secret: &str| chat(&self.rich.with_secret(secret), json!({}));
        let unknown = |public_id: &str| with(&well_formed_key(public_id, &"1".repeat(36)));
        vec![
            Row::once(with_header(with("none"), "Authorization", "Basic dTpw"), "missing_api_key"),
            Row::once(with("sk-nemo-nonsense"), "invalid_api_key"),
            Row::once(unknown("zzzzzzzzzz1"), "invalid_api_key"),
            Row::once(
                with_header(unknown("zzzzzzzzzz2"), "X-Forwarded-For", &strangers(client)),
                "too_many_unknown_keys",
            )
            .again_after(10.0..=10.0),
            Row::once(with(nemo.master_key()), "master_key_not_allowed"),
            Row::once(chat(&self.revoked, json!({})), "key_revoked"),
            Row::once(get(&self.revoked, "/models"), "key_revoked"),
            Row::once(chat(&self.expired, json!({})), "key_expired"),
            Row::once(chat(&self.rotated, json!({})), "key_rotated"),
        ]
    }

    fn what_may_be_done(&self) -> Vec<Row> {
        let of = |key: &Key| chat(key, json!({}));
        vec![
            Row::once(of(&self.blocked), "key_blocked"),
            Row::once(of(&self.of_suspended_org), "org_suspended"),
            Row::once(of(&self.of_archived_org), "org_archived"),
            Row::once(of(&self.elsewhere), "address_not_allowed"),
            Row::once(get(&self.elsewhere, "/key"), "address_not_allowed"),
            Row::once(of(&self.embedder), "endpoint_not_allowed"),
            Row::once(of(&self.thinker), "model_not_allowed"),
            Row::once(of(&self.flagged), "model_flagged"),
            Row::once(of(&self.careful), "call_too_dear"),
            Row::once(of(&self.slow), "tokens_above_rate"),
            Row::once(of(&self.poor), "budget_exceeded"),
            Row::once(super::super::case(&self.poor, true, json!({})), "budget_exceeded"),
        ]
    }

    fn the_request(&self, client: &str) -> Vec<Row> {
        let of = |more: Value| chat(&self.rich, more);
        let mut unknown = of(json!({}));
        unknown["extra"] = json!({"top_a": 1});
        let large = json!({"messages": [{"role": "user", "content": "x".repeat(30_000)}]});
        let again = |more: Value, key: &str| self.once(client, key, more);
        vec![
            Row::once(of(json!({"model": "nobody-serves-this"})), "model_not_found"),
            Row::once(get(&self.rich, "/models/nobody-serves-this"), "model_not_found"),
            Row::once(of(json!({"model": "gpt-unpriced"})), "model_not_priced"),
            Row::once(of(json!({"max_tokens": 1_000_000})), "output_limit_too_high"),
            Row::once(
                of(json!({"prediction": {"type": "content", "content": "x"}})),
                "request_not_priceable",
            ),
            Row::once(of(json!({"max_tokens": 0})), "invalid_request"),
            Row::once(unknown, "unknown_field"),
            Row::once(of(large), "request_too_large"),
            Row::once(again(json!({}), "ended"), "call_already_billed"),
            Row::once(again(json!({}), "running"), "call_running"),
            Row::once(again(json!({"max_tokens": 51}), "ended"), "idempotency_key_reused"),
            Row::once(of(json!({"model": "gpt-panic"})), "internal_error"),
            Row::once(get(&self.rich, NO_CALL), "call_not_found"),
            Row::once(get(&self.rich, "/nothing"), "not_found"),
            Row::once(get(&self.rich, "/chat/completions"), "method_not_allowed"),
        ]
    }

    /// What may fit later.
    fn later(&self) -> Vec<Row> {
        let of = |key: &Key, code| Row::once(chat(key, json!({})), code);
        vec![
            of(&self.holding, "budget_held").again_after(1.0..=1.0),
            of(&self.single, "concurrency_limit_exceeded").again_after(1.0..=1.0),
            of(&self.hurried, "rate_limit_exceeded").again_after(1.0..=60.0),
            of(&self.talkative, "token_limit_exceeded").again_after(1.0..=60.0),
        ]
    }
}
