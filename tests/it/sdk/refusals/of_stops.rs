//! What a client meets while the gateway stops.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::json;

use super::super::{Sdk, capped};
use super::{Row, chat, met};
use crate::fake_provider::Phase;
use crate::harness::{Answer, Setup, until};

pub(super) async fn met_by(name: &'static str) -> BTreeSet<&'static str> {
    let nemo = Setup::default().server("drain_secs = 3600").start().await;
    let key = capped(&nemo).await;
    let [first, second] = [Sdk::loaded(name).await, Sdk::loaded(name).await];
    nemo.provider().hold_at(Phase::Received);
    let cut = Row::once(chat(&key, json!({})), "gateway_stopping");
    let (url, cases) = (nemo.url("/v1"), vec![cut.case.clone()]);
    let running = tokio::spawn(async move { first.at_once(&url, cases).await });
    nemo.provider().until_held(Phase::Received, 1).await.unwrap();
    nemo.signal(Signal::TERM);
    until("it says that it stops", || async {
        let ready = Answer::of(nemo.http().get(nemo.url("/readyz"))).await;
        (ready.status == 503).then_some(())
    })
    .await;
    let too_late = Row::once(chat(&key, json!({})), "ledger_unavailable").again_after(1.0..=1.0);
    let mut codes = met(second, name, &nemo, &[too_late]).await;
    // The second signal ends the patience with the calls that run.
    nemo.signal(Signal::TERM);
    cut.was_seen(name, &running.await.unwrap()[0]);
    codes.insert(cut.code);
    codes
}
