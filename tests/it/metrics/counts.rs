//! After a mixed load every number is the one that the ledger's events give.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::json;

use super::page::Page;
use crate::fake_provider::{At, Behaviour, How, Phase, Report};
use crate::harness::{Call, Event, Key, Nemo, Setup, until};

/// What a provider may do to a call.
fn behaviour(kind: usize) -> Behaviour {
    match kind % 9 {
        0 => Behaviour::success(9, 40),
        1 => Behaviour::error(400),
        2 => Behaviour::error(500),
        3 => Behaviour::error(429),
        4 => Behaviour::success(9, 40).reports(Report::Nothing),
        5 => Behaviour::breaking(At::Read, How::Reset),
        6 => Behaviour::malformed_json(),
        // More than the hold: charged as reported, flagged.
        7 => Behaviour::success(9, 40).reports(Report::numbers("9", "5000")),
        _ => Behaviour::error_leaking_the_key(503),
    }
}

/// Sixty calls that end in every way, by keys that are refused now and then, and one of the last key, whose
/// client leaves. How many answers had each code.
async fn mixed_load(nemo: &Nemo, keys: &[Key]) -> BTreeMap<String, i128> {
    let calls = (0..60).map(|turn| async move {
        let key = &keys[turn % (keys.len() - 1)];
        let models = ["gpt-test", "gpt-think", "gpt-house", "gpt-unpriced", "unheard-of"];
        let more = json!({"model": models[turn % models.len()], "stream": turn % 2 == 1, "max_tokens": 100});
        key.chat(more).await
    });
    let mut codes = BTreeMap::new();
    for answer in join_all(calls).await {
        if answer.status != 200 {
            *codes.entry(answer.code()).or_default() += 1;
        }
    }
    // Somebody leaves in the middle of a stream.
    nemo.provider().script(Behaviour::success(9, 40).finishes_unheard());
    nemo.provider().hold_at(Phase::MidStream(2));
    let leaver = keys.last().unwrap();
    let mut leaving = leaver.raw_chat(json!({"stream": true})).await;
    leaving.until("one two").await;
    leaving.hang_up().await;
    leaver.ended_calls().await;
    nemo.provider().release();
    codes
}

/// Everything that keys' streams hold.
async fn events_of(keys: &[Key]) -> Vec<Event> {
    let mut events = Vec::new();
    for key in keys {
        events.extend(key.events().await);
    }
    events
}

fn sum(calls: &[Call], wanted: impl Fn(&Call) -> bool, of: impl Fn(&Call) -> i128) -> i128 {
    calls.iter().filter(|call| wanted(call)).map(of).sum()
}

/// The page says of calls what their events say.
fn agrees(page: &Page, calls: &[Call]) {
    let count = |wanted: &dyn Fn(&Call) -> bool| sum(calls, wanted, |_| 1);
    assert_eq!(page.sum("nemo_calls_authorized_total", &[]), count(&|_| true));
    assert_eq!(page.sum("nemo_holds_nanodollars_total", &[]), sum(calls, |_| true, Call::hold));
    assert_eq!(page.sum("nemo_charged_nanodollars_total", &[]), sum(calls, |_| true, Call::charged));
    assert_eq!(page.sum("nemo_calls_over_hold_total", &[]), count(&Call::is_over_hold));
    assert_eq!(page.sum("nemo_calls_corrected_total", &[]), 0);
    for model in ["gpt-test", "gpt-think"] {
        let of_model = |call: &Call| call.authorized["provider_model"] == model;
        let labels = [("provider", "fake"), ("model", model)];
        assert_eq!(page.sum("nemo_calls_authorized_total", &labels), count(&of_model), "{model}");
        let charged = sum(calls, of_model, Call::charged);
        assert_eq!(page.sum("nemo_charged_nanodollars_total", &labels), charged, "{model}");
    }
    let mut ends: BTreeMap<(&str, &str, &str), i128> = BTreeMap::new();
    for call in calls {
        let text = |name: &str| call.ended[name].as_str();
        let (end, reason) = match call.end.as_str() {
            "CallSettled" => ("settled", text("ending").unwrap()),
            "CallVoided" => ("voided", text("reason").unwrap()),
            "CallForfeited" => ("forfeited", text("reason").unwrap()),
            other => panic!("{other:?} ends no call: {call:?}"),
        };
        *ends.entry((end, reason, text("evidence").unwrap_or("none"))).or_default() += 1;
    }
    for ((end, reason, evidence), count) in &ends {
        let labels = [("provider", "fake"), ("end", *end), ("reason", *reason), ("evidence", *evidence)];
        assert_eq!(page.sum("nemo_calls_ended_total", &labels), *count, "{end} {reason} {evidence}");
    }
    assert_eq!(page.sum("nemo_calls_ended_total", &[]), count(&|_| true));
    assert!(ends.len() >= 6, "the load is mixed: {ends:?}");
    let tokens = |call: &Call| {
        let usage = call.ended["usage"].as_object().into_iter().flatten();
        let counted = usage.filter(|(kind, _)| *kind != "reasoning" && *kind != "requests");
        counted.map(|(_, tokens)| i128::from(tokens.as_u64().unwrap())).sum()
    };
    assert_eq!(page.sum("nemo_tokens_total", &[]), sum(calls, |_| true, tokens));
}

/// Nothing is open, nothing waits, nothing is held.
fn is_idle(page: &Page) {
    for name in ["nemo_calls_open", "nemo_held_nanodollars", "nemo_calls_running", "nemo_commands_waiting"] {
        assert_eq!(page.sum(name, &[]), 0, "{name}");
    }
    assert_eq!(page.sum("nemo_ready", &[]), 1);
    assert_eq!(page.sum("nemo_store_up", &[]), 1);
}

/// How often each code was refused, as the ledger recorded it.
fn refusals(events: &[Event]) -> BTreeMap<String, i128> {
    let mut counts = BTreeMap::new();
    for event in events.iter().filter(|event| event.kind() == "CallsRefused") {
        for refusal in event.data()["refusals"].as_array().unwrap() {
            let code = refusal["code"].as_str().unwrap().to_owned();
            *counts.entry(code).or_default() += i128::from(refusal["count"].as_u64().unwrap());
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_mixed_load_metrics_and_ledger_agree_to_the_last_call() {
    let nemo = Setup::default().provider("first_byte_timeout_secs = 5").start().await;
    let calls = AtomicUsize::new(0);
    nemo.provider().script_by(move |_| behaviour(calls.fetch_add(1, Ordering::Relaxed)));
    let rich = nemo.rich_key().await;
    let poor = nemo.key(json!({"budgets": [{"window": "total", "limit": "0.000001"}]})).await;
    let other = nemo.rich_key().await;
    let blocked = nemo.rich_key().await;
    blocked.tell("block", json!({})).await;
    let keys = [rich, poor, other, blocked, nemo.rich_key().await];
    let told = mixed_load(&nemo, &keys).await;
    for stranger in ["sk-nemo-1nonsense", "nonsense"] {
        keys[0].with_secret(stranger).chat(json!({})).await.refused(401, "invalid_api_key");
    }

    let page = until_idle(&nemo).await;
    is_idle(&page);
    let position = nemo.ask("/api/ledger").await["position"].as_u64().unwrap();
    let written = page.sum("nemo_ledger_events_total", &[]);
    assert_eq!(written, i128::from(position), "every event of this ledger was written by this process");
    assert!((page.real("nemo_commit_events_sum") - position as f64).abs() < 0.5, "{}", page.text);
    assert!((page.real("nemo_append_events_sum") - position as f64).abs() < 0.5, "{}", page.text);
    assert_eq!(page.real("nemo_ledger_position"), position as f64);
    let calls: Vec<Call> = join_all(keys.iter().map(Key::calls)).await.concat();
    assert!(calls.len() > 15, "{}", calls.len());
    agrees(&page, &calls);

    // Counts of refusals are written at the latest when the node stops.
    nemo.terminate().await;
    nemo.restart().await;
    let events = events_of(&keys).await;
    let recorded = refusals(&events);
    assert!(recorded.len() >= 3, "{recorded:?}");
    for (code, count) in &recorded {
        assert_eq!(page.sum("nemo_refusals_total", &[("code", code)]), *count, "{code}");
        assert_eq!(told.get(code), Some(count), "what callers were told: {told:?}");
    }
    let strangers = [("code", "invalid_api_key")];
    assert_eq!(page.sum("nemo_refusals_total", &strangers), 2);
    assert_eq!(page.sum("nemo_http_failures_total", &strangers), 2);
    let all: i128 = recorded.values().sum::<i128>() + 2;
    assert_eq!(page.sum("nemo_refusals_total", &[]), all);
    counters_start_anew(&nemo, keys.last().unwrap()).await;
}

async fn counters_start_anew(nemo: &Nemo, key: &Key) {
    let page = Page::of(nemo).await;
    agrees_with_nothing(&page);
    let before = key.calls().await.len();
    nemo.provider().script(Behaviour::success(9, 40));
    key.chat(json!({"model": "gpt-think"})).await.ok();
    let calls = key.ended_calls().await.split_off(before);
    let page = Page::of(nemo).await;
    assert_eq!(page.sum("nemo_calls_authorized_total", &[]), 1);
    assert_eq!(page.sum("nemo_calls_ended_total", &[("end", "settled"), ("reason", "completed")]), 1);
    assert_eq!(page.sum("nemo_charged_nanodollars_total", &[]), sum(&calls, |_| true, Call::charged));
    let labels = [("provider", "fake"), ("outcome", "2xx")];
    assert_eq!(page.sum("nemo_provider_calls_total", &labels), 1);
    assert_eq!(page.sum("nemo_provider_first_byte_seconds_count", &[("provider", "fake")]), 1);
    assert_eq!(page.sum("nemo_provider_call_seconds_count", &[("provider", "fake")]), 1);
    let labels = [("route", "/v1/chat/completions"), ("method", "POST"), ("status", "200")];
    assert_eq!(page.sum("nemo_http_requests_total", &labels), 1);
}

fn agrees_with_nothing(page: &Page) {
    for name in ["nemo_calls_authorized_total", "nemo_calls_ended_total", "nemo_refusals_total"] {
        assert_eq!(page.sum(name, &[]), 0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_and_open_is_what_the_keys_say() {
    let nemo = Nemo::start().await;
    let keys = [nemo.rich_key().await, nemo.rich_key().await];
    nemo.provider().script(Behaviour::success(9, 40));
    nemo.provider().hold_at(Phase::Received);
    let held = async {
        nemo.provider().until_held(Phase::Received, 3).await.unwrap();
        let mut holds = 0;
        for key in &keys {
            holds += key.calls().await.iter().map(Call::hold).sum::<i128>();
        }
        let page = Page::of(&nemo).await;
        assert_eq!(page.sum("nemo_calls_open", &[]), 3);
        assert_eq!(page.sum("nemo_held_nanodollars", &[]), holds);
        assert_eq!(page.sum("nemo_calls_running", &[]), 3);
        nemo.provider().release();
    };
    let (a, b, c, ()) = tokio::join!(
        keys[0].chat(json!({})),
        keys[1].chat(json!({"stream": true})),
        keys[1].chat(json!({"max_tokens": 7})),
        held
    );
    assert_eq!((a.status, b.status, c.status), (200, 200, 200));
    for key in &keys {
        key.ended_calls().await;
    }
    is_idle(&until_idle(&nemo).await);

    // A call that a crash left open is nobody's any more: it is ended, and counted as that.
    nemo.provider().hold_at(Phase::Received);
    let raw = keys[0].raw_chat(json!({})).await;
    nemo.provider().until_held(Phase::Received, 1).await.unwrap();
    nemo.kill9().await;
    nemo.restart().await;
    nemo.provider().release();
    drop(raw);
    keys[0].ended_calls().await;
    let page = until_idle(&nemo).await;
    is_idle(&page);
    assert_eq!(page.sum("nemo_calls_ended_total", &[("end", "forfeited"), ("reason", "node_died")]), 1);
    let lost = keys[0].calls().await.pop().unwrap();
    assert_eq!(page.sum("nemo_charged_nanodollars_total", &[]), lost.charged());
    assert_eq!(page.sum("nemo_calls_authorized_total", &[]), 0);
}

async fn until_idle(nemo: &Nemo) -> Page {
    let idle = || async {
        let page = Page::of(nemo).await;
        let busy = page.sum("nemo_calls_running", &[]) + page.sum("nemo_commands_waiting", &[]);
        (busy == 0).then_some(page)
    };
    until("nothing runs", idle).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_read_models_lag_is_told_and_passes() {
    let nemo = Nemo::start().await;
    nemo.rich_key().await;
    let current = || async {
        let page = Page::of(&nemo).await;
        let behind = page.real("nemo_read_model_positions_behind");
        let is_current = page.sum("nemo_read_model_state", &[("state", "current")]) == 1;
        (behind == 0.0 && is_current).then_some(page)
    };
    let page = until("the read model is current", current).await;
    assert_eq!(page.real("nemo_read_model_seconds_behind"), 0.0);
    assert_eq!(page.real("nemo_read_model_position"), page.real("nemo_ledger_position"));
    assert_eq!(page.sum("nemo_read_model_state", &[]), 1, "one state at a time");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_tells_what_it_uses() {
    let nemo = Nemo::start().await;
    let page = Page::of(&nemo).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let started = page.real("process_start_time_seconds");
    assert!(started <= now + 1.0 && started > now - 120.0, "{started} {now}");
    assert!(page.real("process_resident_memory_bytes") > 1e6);
    assert!(page.real("process_threads") >= 3.0);
    let open = page.real("process_open_fds");
    assert!(open > 5.0 && open < page.real("process_max_fds"), "{open}");
    assert!(page.real("process_cpu_seconds_total") > 0.0);
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("node", "node-1")];
    assert_eq!(page.sum("nemo_build_info", &labels), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_where_managers_are_and_names_nobody() {
    let nemo = Setup::default().server("management_listen = \"127.0.0.1:0\"").start().await;
    let key = nemo.key_in(nemo.org().await, json!({"budgets": [{"window": "day", "limit": "1"}]})).await;
    key.chat(json!({})).await.ok();
    let elsewhere = format!("http://{}/metrics", nemo.address());
    let answer = crate::harness::Answer::of(nemo.http().get(elsewhere)).await;
    assert_eq!(answer.status, 404, "not where applications are: {}", answer.text());
    let page = Page::of(&nemo).await;
    let org = nemo.org().await.to_owned();
    for name in [key.public_id(), &key.secret()[20..], &org, "127.0.0.1", "acme", nemo.master_key()] {
        assert!(!page.text.contains(name), "{name}: {}", page.text);
    }
}
