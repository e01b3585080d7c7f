//! Spend cannot be hidden: whatever clients and providers do to each other, every call has exactly one end, the
//! provider's own bill is never above what is charged, and what is charged is never above the limit. What each single
//! fault is charged is in `ends`; here is what only shows when somebody means it.

mod clients;
mod mixed;
mod providers;

use serde_json::{Value, json};

use crate::concurrency::account::Account;
use crate::fake_provider::{Behaviour, FakeProvider, Phase};
use crate::harness::{Call, Key, Nemo, Setup, until};

/// A chat request as bytes, for clients that send it in their own way: head, body.
fn bytes(nemo: &Nemo, key: &Key, more: Value) -> (String, String) {
    let (body, secret, host) = (key.body(more).to_string(), key.secret(), nemo.address());
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {secret}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    (head, body)
}

/// The same whose connection ends with its answer.
fn last(nemo: &Nemo, key: &Key, more: Value) -> String {
    let (head, body) = bytes(nemo, key, more);
    format!("{head}connection: close\r\n\r\n{body}")
}

/// What must hold of a key once nothing runs any more: each call has one end, nothing was authorised that did not fit,
/// and these providers together billed no more than is charged. The calls.
async fn nothing_is_hidden(key: &Key, providers: &[&FakeProvider]) -> Vec<Call> {
    let calls = key.ended_calls().await;
    let mut billed = 0;
    for provider in providers {
        billed += provider.until_settled().await.unwrap().for_user(key.id());
    }
    let account = Account::of(&key.events().await);
    assert!(account.broken.is_empty(), "{:?}", account.broken);
    assert_eq!((account.held, account.calls.len()), (0, calls.len()));
    assert!(billed <= account.settled, "billed {billed}, charged {}: {calls:#?}", account.settled);
    if let Some(limit) = account.limit {
        assert!(account.settled <= limit, "charged {} of {limit}", account.settled);
    }
    assert_eq!(key.charged().await, account.settled);
    calls
}

/// The served ledger is whole, and every projection is its fold.
async fn verified(nemo: &Nemo) {
    let mut verify = nemo.cli();
    verify.args(["ledger", "verify", "--serving"]);
    let told = tokio::task::spawn_blocking(move || verify.output().unwrap()).await.unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
}
