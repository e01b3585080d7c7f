//! Revokes that race with calls and with each other, many times over.

use std::collections::BTreeSet;
use std::time::Instant;

use futures_util::future::join_all;
use nemo_test_stores::on_each_store;
use serde_json::{Value, json};

use crate::concurrency::account::Account;
use crate::fake_provider::Behaviour;
use crate::harness::{Answer, Key, Nemo};

const ROUNDS: usize = 60;
const CALLERS: usize = 4;

/// One answer, the marker of its call, and when it was asked for.
struct Asked {
    asked: Instant,
    marker: String,
    answer: Answer,
}

struct Revoked {
    answered: Instant,
    answer: Value,
}

#[on_each_store]
async fn nothing_is_authorised_behind_a_revoke_however_they_race() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    // What a race between two keys would show up as.
    let bystander = nemo.rich_key().await;
    for round in 0..ROUNDS {
        let key = nemo.rich_key().await;
        let calls = join_all((0..CALLERS).map(|caller| until_refused(&key, caller)));
        // Both go out at the same moment: before any call, or between two of many.
        let revokes = join_all((0..2).map(|_| revoke_after(&key, round as u64 % 6)));
        let (asked, revoked, other) = tokio::join!(calls, revokes, bystander.chat(json!({})));
        other.ok();
        check(&nemo, &key, asked.into_iter().flatten().collect(), revoked).await;
    }
    assert_eq!(bystander.books_balance().await.len(), ROUNDS);
}

/// Calls until a call is refused.
async fn until_refused(key: &Key, caller: usize) -> Vec<Asked> {
    let mut asked = Vec::new();
    for n in 0.. {
        let marker = format!("{}/{caller}/{n}", key.id());
        let body = key.body(json!({"user": marker, "stream": (caller + n).is_multiple_of(2)})).to_string();
        let request = key.request(body.into()).header("user-agent", &marker);
        let (at, answer) = (Instant::now(), Answer::of(request).await);
        let refused = answer.status != 200;
        asked.push(Asked { asked: at, marker, answer });
        if refused {
            break;
        }
    }
    asked
}

/// Revokes once so many calls have ended, or the other revoke was first.
async fn revoke_after(key: &Key, calls: u64) -> Revoked {
    loop {
        let shown = key.shown().await;
        if shown["status"] == "revoked" || shown["attribution"]["total"]["calls"].as_u64().unwrap() >= calls {
            break;
        }
    }
    let answer = super::revoke(key).await;
    Revoked { answered: Instant::now(), answer }
}

async fn check(nemo: &Nemo, key: &Key, asked: Vec<Asked>, revoked: Vec<Revoked>) {
    let calls = key.books_balance().await;
    let account = Account::of(&key.events().await);
    assert!(account.broken.is_empty(), "{:?}", account.broken);
    assert_eq!(account.count("KeyRevoked"), 1);
    assert!(
        revoked.iter().all(|revoked| revoked.answer["key"]["status"] == "revoked"),
        "{:?}",
        revoked[0].answer
    );
    let authorized: BTreeSet<&str> = account.calls.values().map(|call| call.agent.as_str()).collect();
    for request in nemo.provider().requests() {
        let marker = request.json()["user"].as_str().unwrap_or_default().to_owned();
        assert!(
            !marker.starts_with(key.id()) || authorized.contains(marker.as_str()),
            "{marker} was never authorised"
        );
    }
    let bill = nemo.provider().bill().by_user();
    for call in account.calls.values() {
        assert!(bill.get(&call.agent).is_none_or(|billed| *billed <= call.charged), "{call:?}: {bill:?}");
    }
    let first = revoked.iter().map(|revoked| revoked.answered).min().unwrap();
    for Asked { asked, marker, answer } in asked {
        let call = answer.header("x-nemo-call-id").and_then(|id| calls.iter().find(|call| call.id == id));
        let code = if answer.status == 200 { cut_code(&answer) } else { Some(answer.code()) };
        match code {
            // A whole answer: paid for, and asked for before anybody was told of the revoke.
            None => {
                assert_eq!(call.expect("it is in the ledger").ended["ending"], "completed");
                assert!(asked < first, "{marker} was answered after the revoke was acknowledged");
            }
            // Refused, or cut: where it was authorised it ended by the revoke.
            Some(code) => {
                assert_eq!(code, "key_revoked", "{answer:?}");
                assert_eq!(call.is_some(), authorized.contains(marker.as_str()), "{answer:?}");
                assert!(call.is_none_or(|call| call.end != "CallForfeited"), "{call:?}");
            }
        }
    }
}

/// What a stream that was cut says.
fn cut_code(answer: &Answer) -> Option<String> {
    let text = std::str::from_utf8(&answer.body).unwrap();
    let data = crate::harness::sse_data(text);
    data.iter().find_map(|data| {
        let event: Value = serde_json::from_str(data).ok()?;
        Some(event["error"]["code"].as_str()?.to_owned())
    })
}
