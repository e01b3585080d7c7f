//! One command, and one fault of its append.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nemo_eventstoredb_simulator::{AppendFault, Counts, LateAnswer, Simulator};
use reqwest::Method;
use serde_json::{Value, json};

use super::every_fault;
use crate::fake_provider::{Behaviour, Phase};
use crate::harness::{Answer, INPUT, Key, Nemo, OUTPUT, Setup, until};

/// An authorisation's two seconds, and time for a busy machine.
const SOON: Duration = Duration::from_secs(6);
/// What every call of these tests costs.
const COST: i128 = 9 * INPUT + 7 * OUTPUT;

/// A gateway that waits for its server so long.
async fn gateway(timeout_secs: u32) -> Nemo {
    let setup = Setup::default().on_simulated(1).store(&format!("timeout_secs = {timeout_secs}"));
    let nemo = setup.start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    nemo
}

/// A key, once the node has got over the fault before.
async fn new_key(nemo: &Nemo) -> Key {
    nemo.until_ready().await;
    nemo.rich_key().await
}

/// What goes wrong with the next append to a key, and how often it has happened to any by now.
struct Wrong<'a> {
    server: &'a Simulator,
    faults: u64,
    fault: &'a AppendFault,
}

impl<'a> Wrong<'a> {
    fn with_key(nemo: &'a Nemo, key: &str, fault: &'a AppendFault) -> Wrong<'a> {
        let server = nemo.server().unwrap();
        let faults = server.counts().faults;
        server.next_append_to(&nemo.on_server(&format!("key-{key}")), fault.clone());
        Wrong { server, faults, fault }
    }

    /// The fault has happened.
    async fn has_happened(&self) {
        let happened = |counts: &Counts| counts.faults > self.faults;
        self.server.until(&format!("{:?} has happened", self.fault), happened).await;
    }
}

/// Each event of a key is there once, under an id of its own; its types in order.
fn written_once(nemo: &Nemo, key: &Key) -> Vec<String> {
    let events = nemo.server().unwrap().stream(&nemo.on_server(&format!("key-{}", key.public_id())));
    let ids: BTreeSet<_> = events.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), events.len(), "{events:?}");
    events.into_iter().map(|event| event.event_type).collect()
}

/// The outcome of the append is known, and the key's account with it.
async fn known_again(nemo: &Nemo, key: &Key) {
    let path = key.path("");
    let asked = || async { nemo.manage(Method::GET, &path, Value::Null).await.status };
    until("the key is known again", || async { (asked().await == 200).then_some(()) }).await;
}

/// After everything: what a caller was told is what the key's account says, now and once appends that were held
/// back have had their chance.
async fn told_the_truth(nemo: &Nemo, key: &Key, told: &Answer, fault: &AppendFault) {
    for late in [false, true] {
        if late {
            nemo.server().unwrap().commit_late();
        }
        known_again(nemo, key).await;
        let calls = key.books_balance().await;
        let settled = calls.iter().filter(|call| call.end == "CallSettled").count();
        match told.status {
            200 => {
                assert_eq!((settled, key.charged().await), (1, COST), "{fault:?}: {calls:?}");
                let id = told.header("x-nemo-call-id").expect("an answer names its call");
                assert!(calls.iter().any(|call| call.id == id && call.end == "CallSettled"), "{fault:?}");
            }
            _ => {
                told.refused(503, "ledger_unavailable");
                assert_eq!((settled, key.charged().await), (0, 0), "{fault:?}: {calls:?}");
                assert!(calls.iter().all(|call| call.end == "CallVoided"), "{fault:?}: {calls:?}");
            }
        }
        written_once(nemo, key);
    }
}

/// The first append of a call meets the fault. Statuses by fault.
async fn authorised(nemo: &Nemo) -> Vec<(AppendFault, u16)> {
    let mut told = Vec::new();
    for fault in every_fault() {
        let key = new_key(nemo).await;
        let requests = nemo.provider().request_count();
        let wrong = Wrong::with_key(nemo, key.public_id(), &fault);
        let began = Instant::now();
        let answer = key.chat(json!({})).await;
        assert!(began.elapsed() < SOON, "{fault:?}: {:?}", began.elapsed());
        wrong.has_happened().await;
        told_the_truth(nemo, &key, &answer, &fault).await;
        let sent = nemo.provider().request_count() - requests;
        assert_eq!(sent, usize::from(answer.status == 200), "{fault:?}: sent once, or not at all");
        told.push((fault, answer.status));
    }
    println!("{told:?}");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorisation_whose_append_goes_wrong_is_there_once_or_void() {
    let nemo = gateway(1).await;
    let told = authorised(&nemo).await;
    // The server is back at once, and noticed in time: nearly everything is mended within the two seconds.
    assert!(told.iter().filter(|(_, status)| *status == 200).count() >= told.len() / 2, "{told:?}");
    assert!(nemo.terminate().await.success());
    assert!(nemo.verify().status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorisation_of_which_nobody_hears_in_time_is_refused_and_voided() {
    let nemo = gateway(5).await;
    let told = authorised(&nemo).await;
    let silent = |fault: &AppendFault| {
        matches!(fault, AppendFault::Silent | AppendFault::SilentAfterCommit)
            || *fault == AppendFault::LateCommit(LateAnswer::Nothing)
    };
    assert!(told.iter().all(|(fault, status)| !silent(fault) || *status == 503), "{told:?}");
    assert!(nemo.terminate().await.success());
    assert!(nemo.verify().status.success());
}

/// The append that settles a stream meets the fault: its last words wait until the bill is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_whose_append_goes_wrong_is_there_once() {
    let nemo = gateway(1).await;
    for fault in every_fault() {
        for stream in [true, false] {
            let key = new_key(&nemo).await;
            nemo.provider().hold_at(Phase::BeforeLast);
            let asked = tokio::spawn({
                let key = key.clone();
                async move { key.chat(json!({ "stream": stream })).await }
            });
            nemo.provider().until_held(Phase::BeforeLast, 1).await.unwrap();
            let wrong = Wrong::with_key(&nemo, key.public_id(), &fault);
            nemo.provider().release();
            wrong.has_happened().await;
            let answer = asked.await.unwrap();
            assert_eq!(answer.status, 200, "{fault:?}: {answer:?}");
            assert!(!stream || answer.text().ends_with("data: [DONE]\n\n"), "{fault:?}: {}", answer.text());
            told_the_truth(&nemo, &key, &answer, &fault).await;
            assert_eq!(
                written_once(&nemo, &key),
                ["KeyCreated", "CallAuthorized", "CallSettled"],
                "{fault:?}"
            );
        }
    }
    assert!(nemo.terminate().await.success());
    assert!(nemo.verify().status.success());
}

/// A key whose creation was acknowledged is there once and works; one that was not acknowledged is there once or
/// not at all, and nobody has its secret.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_creation_goes_wrong_is_there_once_or_unknown() {
    let nemo = gateway(1).await;
    let org = nemo.org().await.to_owned();
    for fault in every_fault() {
        nemo.until_ready().await;
        let before = keys_on_server(&nemo);
        let wrong = Wrong::with_key(&nemo, "", &fault);
        let wish = json!({"org": org, "name": "test", "limits": {"unlimited": true}});
        let created = nemo.manage(Method::POST, "/api/keys", wish).await;
        wrong.has_happened().await;
        nemo.until_ready().await;
        nemo.server().unwrap().commit_late();
        let new: Vec<String> =
            keys_on_server(&nemo).into_iter().filter(|key| !before.contains(key)).collect();
        assert!(new.len() <= 1, "{fault:?}: {new:?}");
        if created.status != 503 {
            let body = created.ok();
            let (id, secret) = (body["key"]["id"].as_str().unwrap(), body["secret"].as_str().unwrap());
            assert_eq!(new, [format!("key-{}", id.strip_prefix("key_").unwrap())], "{fault:?}");
            let used = nemo.http().get(nemo.url("/v1/key")).bearer_auth(secret);
            assert_eq!(Answer::of(used).await.status, 200, "{fault:?}");
        } else {
            created.refused(503, "ledger_unavailable");
        }
        // Whoever tries again gets a key.
        new_key(&nemo).await.chat(json!({})).await.ok();
    }
    assert!(nemo.terminate().await.success());
    assert!(nemo.verify().status.success());
}

/// The names of all streams of keys; fails where one of them begins twice.
fn keys_on_server(nemo: &Nemo) -> Vec<String> {
    let prefix = nemo.on_server("");
    let created = nemo.server().unwrap().all().into_iter().filter(|event| event.event_type == "KeyCreated");
    let names: Vec<_> = created.map(|event| event.stream.strip_prefix(&prefix).unwrap().to_owned()).collect();
    let different: BTreeSet<_> = names.iter().collect();
    assert_eq!(different.len(), names.len(), "{names:?}");
    names
}

/// A revoke that was acknowledged is final; one that was not can be repeated until it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoke_whose_append_goes_wrong_is_final_once_it_is_acknowledged() {
    let nemo = gateway(1).await;
    for fault in every_fault() {
        let key = new_key(&nemo).await;
        // Callers try all the while.
        let calling = tokio::spawn(call_until_refused(key.clone()));
        until("calls go through", || async { (!key.calls().await.is_empty()).then_some(()) }).await;
        let wrong = Wrong::with_key(&nemo, key.public_id(), &fault);
        until("the revoke is acknowledged", || async {
            let path = key.path("/revoke");
            let answer = nemo.manage(Method::POST, &path, json!({"reason": "fault"})).await;
            if answer.status == 503 {
                answer.refused(503, "ledger_unavailable");
                return None;
            }
            answer.ok();
            Some(())
        })
        .await;
        let at_revoke = written_once(&nemo, &key);
        assert_eq!(
            at_revoke.iter().filter(|kind| *kind == "KeyRevoked").count(),
            1,
            "{fault:?}: {at_revoke:?}"
        );
        wrong.has_happened().await;
        nemo.server().unwrap().commit_late();
        key.chat(json!({})).await.refused(401, "key_revoked");
        calling.await.unwrap();
        key.books_balance().await;
        let kinds = written_once(&nemo, &key);
        let behind = kinds.iter().skip_while(|kind| *kind != "KeyRevoked");
        assert!(behind.clone().all(|kind| kind != "CallAuthorized"), "{fault:?}: {kinds:?}");
        assert_eq!(behind.filter(|kind| *kind == "KeyRevoked").count(), 1, "{fault:?}: {kinds:?}");
    }
    assert!(nemo.terminate().await.success());
    assert!(nemo.verify().status.success());
}

/// Calls until the key is revoked; an outage is no reason to stop.
async fn call_until_refused(key: Key) {
    loop {
        let answer = key.chat(json!({})).await;
        match answer.status {
            200 => {}
            503 => {
                let code = answer.code();
                assert!(code == "ledger_unavailable" || code == "key_revoked", "{answer:?}");
            }
            _ => {
                answer.refused(401, "key_revoked");
                return;
            }
        }
    }
}
