//! A virtual key: what its holder does with it, and what its manager does to it.

use std::sync::Mutex;

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};

use super::answer::{Answer, Raw, Streaming};
use super::ledger::{Call, Event, nanos};
use super::nemo::Nemo;
use super::until;
use crate::fake_provider::Ending;

/// A virtual key of a gateway; goes on working when that is started again.
#[derive(Debug)]
pub(crate) struct Key {
    nemo: Nemo,
    id: String,
    secret: Mutex<String>,
}

impl Clone for Key {
    fn clone(&self) -> Key {
        Key::new(&self.nemo, &self.id, &self.secret())
    }
}

/// As its holder has it.
impl Key {
    pub(super) fn new(nemo: &Nemo, id: &str, secret: &str) -> Key {
        Key { nemo: nemo.clone(), id: id.to_owned(), secret: Mutex::new(secret.to_owned()) }
    }

    /// `key_` and its public id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The full key: the one that was shown when it was created, or when it was last rotated through this
    /// value.
    pub(crate) fn secret(&self) -> String {
        self.secret.lock().unwrap().clone()
    }

    /// Its public id, as it stands in the full key.
    pub(crate) fn public_id(&self) -> &str {
        self.id.strip_prefix("key_").unwrap()
    }

    /// The same key with another secret in hand.
    pub(crate) fn with_secret(&self, secret: &str) -> Key {
        Key::new(&self.nemo, &self.id, secret)
    }

    /// A chat request to `gpt-test` with at most 1,000 tokens out, whose `user` is the key's id; with these
    /// members more, or instead, or (null) away.
    pub(crate) fn body(&self, more: Value) -> Value {
        let mut body = json!({
            "model": "gpt-test", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 1000,
            "user": self.id,
        });
        let members = body.as_object_mut().unwrap();
        for (name, value) in more.as_object().expect("members of an object") {
            if value.is_null() {
                members.remove(name);
            } else {
                members.insert(name.clone(), value.clone());
            }
        }
        body
    }

    /// Sends [`Key::body`] and reads the whole answer.
    pub(crate) async fn chat(&self, more: Value) -> Answer {
        self.post(self.body(more).to_string()).await
    }

    /// Sends these bytes as a chat request and reads the whole answer.
    pub(crate) async fn post(&self, body: impl Into<Bytes>) -> Answer {
        Answer::of(self.request(body.into())).await
    }

    /// Sends [`Key::body`] with `stream`; returns once the head of the answer is there.
    pub(crate) async fn stream(&self, mut more: Value) -> Streaming {
        more.as_object_mut().expect("members of an object").insert("stream".to_owned(), json!(true));
        Streaming::of(self.request(self.body(more).to_string().into())).await
    }

    /// Sends [`Key::body`] over a socket of its own, and reads nothing yet: for clients that leave.
    pub(crate) async fn raw_chat(&self, more: Value) -> Raw {
        let (body, key, host) = (self.body(more).to_string(), self.secret(), self.nemo.address());
        let length = body.len();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        self.nemo.raw(head + &body).await
    }

    /// `GET` of an inference path.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.nemo.http().get(self.nemo.url(path)).bearer_auth(self.secret())).await
    }

    /// A chat request that is not sent yet.
    pub(crate) fn request(&self, body: Bytes) -> reqwest::RequestBuilder {
        let request = self.nemo.http().post(self.nemo.url("/v1/chat/completions"));
        request.bearer_auth(self.secret()).header("content-type", "application/json").body(body)
    }
}

/// As its manager has it.
impl Key {
    /// `/api/keys/{id}` and what follows it.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/api/keys/{}{rest}", self.id)
    }

    /// The key as `GET /api/keys/{id}` shows it.
    pub(crate) async fn shown(&self) -> Value {
        self.nemo.ask(&self.path("")).await["key"].take()
    }

    /// Replaces all limits.
    pub(crate) async fn set_limits(&self, limits: Value) {
        self.nemo.manage(Method::PUT, &self.path("/limits"), limits).await.ok();
    }

    /// `POST /api/keys/{id}/…`: `key.tell("revoke", json!({}))`.
    pub(crate) async fn tell(&self, what: &str, body: Value) -> Value {
        self.nemo.tell(&self.path(&format!("/{what}")), body).await
    }

    /// Gives it a new secret, which this value has from now on; the one that it had.
    pub(crate) async fn rotate(&self, how: Value) -> String {
        let rotated = self.tell("rotate", how).await;
        let secret = rotated["secret"].as_str().unwrap().to_owned();
        std::mem::replace(&mut self.secret.lock().unwrap(), secret)
    }

    /// All events of its stream, in order.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let mut from = json!(0);
        while !from.is_null() {
            let mut page = self.nemo.ask(&self.path(&format!("/events?limit=500&from={from}"))).await;
            events.extend(page["events"].as_array_mut().unwrap().drain(..).map(Event));
            from = page["next_from"].take();
        }
        events
    }

    /// The types of all its events, in order.
    pub(crate) async fn history(&self) -> Vec<String> {
        self.events().await.iter().map(|event| event.kind().to_owned()).collect()
    }

    /// Its calls, in the order of their authorisation, whether or not they have ended.
    pub(crate) async fn calls(&self) -> Vec<Call> {
        Call::all(&self.events().await)
    }

    /// Waits until none of its calls is open; all of them.
    pub(crate) async fn ended_calls(&self) -> Vec<Call> {
        let idle = || async { (self.shown().await["open_calls"]["count"] == 0).then_some(()) };
        until("no call is open", idle).await;
        self.calls().await
    }

    /// Waits until none of its calls is open; the only one there is.
    pub(crate) async fn only_call(&self) -> Call {
        let mut calls = self.ended_calls().await;
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.remove(0)
    }

    /// What it was charged in all.
    pub(crate) async fn charged(&self) -> i128 {
        let shown = self.shown().await;
        let windows = shown["windows"].as_array().unwrap();
        nanos(&windows.iter().find(|window| window["window"] == "total").unwrap()["settled"])
    }

    /// What the provider billed for it, as of now.
    pub(crate) fn provider_bill(&self) -> i128 {
        self.nemo.provider().bill().for_user(&self.id)
    }

    /// Waits until nothing runs any more, and checks what must always hold then: each call has exactly one end
    /// and is charged no more than its hold unless that is flagged, the account has the sum of the charges and
    /// holds nothing, and the provider billed no more than that. The calls.
    pub(crate) async fn books_balance(&self) -> Vec<Call> {
        let calls = self.ended_calls().await;
        let provider = self.nemo.provider();
        let ended = |call: &crate::fake_provider::BilledCall| call.ending != Ending::Running;
        provider
            .until("its calls of the key have ended", |p| p.bill().of_user(&self.id).all(ended))
            .await
            .unwrap();
        for call in &calls {
            assert!(call.charged() <= call.hold() || call.is_over_hold(), "{call:?}");
        }
        let charged: i128 = calls.iter().map(Call::charged).sum();
        assert_eq!(self.charged().await, charged);
        let shown = self.shown().await;
        assert!(shown["windows"].as_array().unwrap().iter().all(|window| window["held"] == "0"), "{shown}");
        let bill = self.provider_bill();
        assert!(bill <= charged, "billed {bill}, charged {charged}: {calls:?}");
        calls
    }
}

/// A key in the right form for this public id (11 characters), whose secret (36 characters) is made up.
pub(crate) fn well_formed_key(public_id: &str, secret: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let text = format!("sk-nemo-1{public_id}{secret}");
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut checksum = [b'0'; 6];
    for digit in checksum.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    text + std::str::from_utf8(&checksum).unwrap()
}

#[test]
fn a_made_up_key_has_the_documented_form() {
    let zeros = "0".repeat(36);
    assert_eq!(well_formed_key("0123456789A", &zeros), format!("sk-nemo-10123456789A{zeros}3of8hU"));
}
