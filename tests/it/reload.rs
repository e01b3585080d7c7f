//! Providers, their keys, prices and `[calls]` change while calls run: new calls go by what is new, running
//! calls by what they began with, and a configuration that cannot be used changes nothing.

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::fake_provider::{Behaviour, FakeProvider, Phase, UsdPerMillion};
use crate::harness::{Answer, INPUT, Log, Nemo, OUTPUT, Setup, until};

const TWICE: [(&str, &str); 3] = [
    ("input = \"2.50\"", "input = \"5\""),
    ("cache_read = \"1.25\"", "cache_read = \"2.50\""),
    ("output = \"10\"", "output = \"20\""),
];

/// Rewrites the configuration file.
fn rewrite(nemo: &Nemo, how: impl FnOnce(String) -> String) {
    let path = nemo.home().join("nemo.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, how(text)).unwrap();
}

fn replace(nemo: &Nemo, pairs: &[(&str, &str)]) {
    rewrite(nemo, |text| {
        pairs.iter().fold(text, |text, (old, new)| {
            assert!(text.contains(old), "{old} does not stand in {text}");
            text.replace(old, new)
        })
    });
}

async fn reload(nemo: &Nemo) -> Answer {
    nemo.manage(Method::POST, "/api/reload", json!({})).await
}

/// What a reload says that found nothing new, with some members more or instead.
fn changed(more: Value) -> Value {
    let none = json!({"added": [], "removed": [], "changed": []});
    let mut said = json!({"providers": none, "prices": none, "calls": [], "webhooks": [], "needs_restart": [], "notices": []});
    said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    said
}

#[tokio::test]
async fn a_reload_of_the_same_configuration_says_that_nothing_changed() {
    let nemo = Nemo::start().await;
    assert_eq!(reload(&nemo).await.ok(), changed(json!({})));
    // A price that only stands on another line is the same price.
    rewrite(&nemo, |text| format!("# A comment.\n\n{text}"));
    assert_eq!(reload(&nemo).await.ok(), changed(json!({})));
}

#[tokio::test]
async fn a_new_price_is_for_new_calls_and_a_running_call_keeps_its_card() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    nemo.provider().script(Behaviour::success(9, 7));
    nemo.provider().hold_at(Phase::Received);
    let running = tokio::spawn({
        let key = key.clone();
        async move { key.chat(json!({})).await }
    });
    nemo.provider().until_held(Phase::Received, 1).await.unwrap();
    replace(&nemo, &TWICE);
    let said = reload(&nemo).await.ok();
    let both = json!({"added": [], "removed": [], "changed": ["fake/gpt-test", "fake/gpt-think"]});
    assert_eq!(said, changed(json!({ "prices": both })));
    nemo.provider().release();
    let price = 9 * INPUT + 7 * OUTPUT;
    assert_eq!(running.await.unwrap().cost(), price);
    assert_eq!(key.chat(json!({})).await.cost(), 2 * price);
    let calls = key.books_balance().await;
    assert_eq!(calls.iter().map(crate::harness::Call::charged).collect::<Vec<_>>(), [price, 2 * price]);
    assert_ne!(calls[0].authorized["price_card"], calls[1].authorized["price_card"]);
    assert_eq!(calls[1].hold(), 2 * calls[0].hold());

    // Back again: the first card is found again by its content.
    replace(&nemo, &TWICE.map(|(old, new)| (new, old)));
    reload(&nemo).await.ok();
    assert_eq!(key.chat(json!({})).await.cost(), price);
    let calls = key.ended_calls().await;
    assert_eq!(calls[0].authorized["price_card"], calls[2].authorized["price_card"]);
    // Past calls keep their price over a restart as well, and nothing is priced anew.
    nemo.terminate().await;
    nemo.restart().await;
    assert_eq!(key.charged().await, 4 * price);
}

#[tokio::test]
async fn providers_come_and_go_and_running_calls_stay_with_theirs() {
    let nemo = Nemo::start().await;
    let (key, second) = (nemo.rich_key().await, FakeProvider::start().await);
    second.set_price("other-1", UsdPerMillion { input: "1", cached: "1", output: "1" });
    std::fs::write(nemo.home().join("second-key"), second.key()).unwrap();
    let ask = || key.chat(json!({"model": "other-1"}));
    ask().await.refused(404, "model_not_found");
    let table = format!(
        "\n[[providers]]\nname = \"second\"\nbase_url = \"{}\"\napi_key_file = \"{}/second-key\"\n\
         output_limit_field = \"max_completion_tokens\"\n\
         [[prices]]\nprovider = \"second\"\nmodel = \"other-1\"\ninput = \"1\"\noutput = \"1\"\n\
         context_window = 1000\nmax_output_tokens = 1000\n# the end",
        second.base_url(),
        nemo.home().display()
    );
    rewrite(&nemo, |text| text + &table);
    let said = reload(&nemo).await.ok();
    assert_eq!(
        (&said["providers"]["added"], &said["prices"]["added"]),
        (&json!(["second"]), &json!(["second/other-1"]))
    );
    ask().await.ok();
    assert_eq!(second.request_count(), 1);
    assert!(key.get("/v1/models").await.ok().to_string().contains("other-1"));

    second.hold_at(Phase::Received);
    let running = tokio::spawn({
        let key = key.clone();
        async move { key.chat(json!({"model": "other-1"})).await }
    });
    second.until_held(Phase::Received, 1).await.unwrap();
    rewrite(&nemo, |text| text.replace(&table, ""));
    let said = reload(&nemo).await.ok();
    assert_eq!(
        (&said["providers"]["removed"], &said["prices"]["removed"]),
        (&json!(["second"]), &json!(["second/other-1"]))
    );
    ask().await.refused(404, "model_not_found");
    second.release();
    running.await.unwrap().ok();
    assert!(!key.get("/v1/models").await.ok().to_string().contains("other-1"));
    key.chat(json!({})).await.ok();
}

#[tokio::test]
async fn a_key_that_was_rotated_at_the_provider_is_read_again() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    key.chat(json!({})).await.ok();
    let fresh = "sk-fake-provider-key-rotated-98765432100";
    nemo.provider().accept_keys([fresh]);
    key.chat(json!({})).await.refused(502, "provider_error");
    std::fs::write(nemo.home().join("provider-key"), fresh).unwrap();
    let said = reload(&nemo).await;
    assert_eq!(said.ok(), changed(json!({"providers": {"added": [], "removed": [], "changed": ["fake"]}})));
    assert!(!said.text().contains("sk-fake") && !nemo.stderr().text().contains("sk-fake"));
    key.chat(json!({})).await.ok();
    assert_eq!(
        nemo.provider().requests().last().unwrap().header("authorization"),
        Some(format!("Bearer {fresh}").as_str())
    );
}

#[tokio::test]
async fn what_cannot_be_used_changes_nothing_and_says_where_it_stands() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let (path, provider_key) = (nemo.home().join("nemo.toml"), nemo.home().join("provider-key"));
    let good = std::fs::read_to_string(&path).unwrap();
    let twice = TWICE.iter().fold(good.clone(), |text, (old, new)| text.replace(old, new));
    let lines = twice.lines().count();
    let at_end = |tail: &str| {
        (format!("{twice}\n{tail}"), format!("nemo.toml:{}", lines + 1 + usize::from(twice.ends_with('\n'))))
    };
    for ((text, place), why) in [
        (at_end("nonsense"), ""),
        (at_end("colour = 1"), "colour"),
        (
            (twice.replace("[calls]", "[calls]\ndeadline_secs = \"soon\""), "nemo.toml:".to_owned()),
            "calls.deadline_secs",
        ),
        ((twice.replace("input = \"5\"", "input = \"free\""), "nemo.toml:".to_owned()), "prices.input"),
    ] {
        std::fs::write(&path, text).unwrap();
        let answer = reload(&nemo).await;
        let said = answer.refused(422, "configuration_invalid").json()["detail"].as_str().unwrap().to_owned();
        assert!(said.contains("nothing changed") && said.contains(why), "{said}");
        assert!(said.contains(place.rsplit_once(':').unwrap().0), "{said} does not name {place}");
        assert_eq!(key.chat(json!({})).await.cost(), 9 * INPUT + 7 * OUTPUT);
    }
    std::fs::write(&path, &twice).unwrap();
    std::fs::rename(&provider_key, nemo.home().join("away")).unwrap();
    let answer = reload(&nemo).await;
    let said = answer.refused(422, "configuration_invalid").json()["detail"].as_str().unwrap().to_owned();
    assert!(said.contains("the provider fake cannot be used") && said.contains("provider-key"), "{said}");
    assert_eq!(key.chat(json!({})).await.cost(), 9 * INPUT + 7 * OUTPUT);
    std::fs::remove_file(&path).unwrap();
    reload(&nemo).await.refused(422, "configuration_invalid");
    nemo.stderr().until("everything goes on as before").await;

    // Mended, it is taken as if nothing had been.
    std::fs::rename(nemo.home().join("away"), &provider_key).unwrap();
    std::fs::write(&path, &twice).unwrap();
    reload(&nemo).await.ok();
    assert_eq!(key.chat(json!({})).await.cost(), 2 * (9 * INPUT + 7 * OUTPUT));
}

#[tokio::test]
async fn what_only_a_restart_can_change_is_named() {
    let nemo = Nemo::start().await;
    let (key, address) = (nemo.rich_key().await, nemo.address());
    replace(&nemo, &[("workers = 2", "workers = 3\nbody_max_bytes = 2048\nnode = \"another\"")]);
    let restart = json!(["server.node", "server.workers", "server.body_max_bytes"]);
    for _ in 0..2 {
        assert_eq!(
            reload(&nemo).await.ok(),
            changed(json!({ "needs_restart": restart })),
            "as long as it holds"
        );
    }
    assert_eq!(nemo.address(), address);
    key.chat(json!({"messages": [{"role": "user", "content": "x".repeat(4096)}]})).await.ok();
    nemo.terminate().await;
    nemo.restart().await;
    assert_eq!(reload(&nemo).await.ok(), changed(json!({})));
}

#[tokio::test]
async fn settings_of_calls_take_effect() {
    let nemo = Setup::default().calls("deadline_secs = 60").start().await;
    let key = nemo.rich_key().await;
    key.chat(json!({"top_a": 1})).await.refused(400, "unknown_field");
    replace(&nemo, &[("deadline_secs = 60", "deadline_secs = 90\ninert_fields = [\"top_a\"]")]);
    assert_eq!(reload(&nemo).await.ok(), changed(json!({"calls": ["deadline_secs", "inert_fields"]})));
    key.chat(json!({"top_a": 1})).await.ok();
    let events = key.events().await;
    let call = events.iter().find(|event| event.kind() == "CallAuthorized").unwrap();
    let at = |text: &Value| chrono::DateTime::parse_from_rfc3339(text.as_str().unwrap()).unwrap();
    let allowed = at(&call.data()["deadline"]) - at(&call.whole()["recorded_at"]);
    assert_eq!(allowed.num_seconds(), 90);
}

#[tokio::test]
async fn the_hangup_signal_reloads_as_well() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    nemo.provider().script(Behaviour::success(9, 7));
    replace(&nemo, &TWICE);
    nemo.signal(Signal::HUP);
    nemo.stderr().until("the configuration was read again").await;
    assert_eq!(key.chat(json!({})).await.cost(), 2 * (9 * INPUT + 7 * OUTPUT));
    replace(&nemo, &[("[calls]", "[cals]")]);
    nemo.signal(Signal::HUP);
    nemo.stderr().until("everything goes on as before").await;
    assert_eq!(key.chat(json!({})).await.cost(), 2 * (9 * INPUT + 7 * OUTPUT));
    assert!(nemo.stderr().text().contains("did you mean `calls`"), "{}", nemo.stderr().text());
}

/// The start stands still where it reads the provider's key, which is a pipe, until somebody writes one.
#[tokio::test]
async fn a_hangup_during_the_start_does_not_end_the_process_and_is_done_afterwards() {
    let nemo = Nemo::start().await;
    assert!(nemo.terminate().await.success());
    let (path, kept) = (nemo.home().join("provider-key"), nemo.home().join("provider-key.kept"));
    std::fs::rename(&path, &kept).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut serve = nemo.local_cli();
    serve.arg("serve").arg("--config").arg("nemo.toml").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = serve.spawn().unwrap();
    let (stdout, log) = (Log::of(child.stdout.take().unwrap()), Log::of(child.stderr.take().unwrap()));
    // Opens once somebody reads.
    let pipe = path.clone();
    let pipe = tokio::task::spawn_blocking(move || File::options().write(true).open(pipe).unwrap());
    let mut pipe = pipe.await.unwrap();
    std::fs::copy(&kept, nemo.home().join("next")).unwrap();
    std::fs::rename(nemo.home().join("next"), &path).unwrap();
    let process = Pid::from_child(&child);
    kill_process(process, Signal::HUP).unwrap();
    pipe.write_all(&std::fs::read(&kept).unwrap()).unwrap();
    drop(pipe);
    stdout.until("is listening on").await;
    log.until("the configuration was read again").await;
    kill_process(process, Signal::TERM).unwrap();
    let ended = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert!(ended.success(), "{ended}");
}

#[tokio::test]
async fn reloads_under_load_lose_no_call_and_price_each_by_one_card() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.rich_key().await;
    let over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..6)
        .map(|_| {
            let (key, over) = (key.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                let mut costs = Vec::new();
                while !over.load(Ordering::SeqCst) {
                    let answer = key.chat(json!({})).await;
                    answer.ok();
                    costs.push(answer.cost());
                }
                costs
            })
        })
        .collect();
    for round in 0..12 {
        let pairs = if round % 2 == 0 { TWICE } else { TWICE.map(|(old, new)| (new, old)) };
        replace(&nemo, &pairs);
        assert_eq!(reload(&nemo).await.ok()["prices"]["changed"], json!(["fake/gpt-test", "fake/gpt-think"]));
        let seen = nemo.provider().request_count();
        until("calls were made by this price", || async {
            (nemo.provider().request_count() >= seen + 6).then_some(())
        })
        .await;
    }
    over.store(true, Ordering::SeqCst);
    let mut told = Vec::new();
    for caller in callers {
        told.extend(caller.await.unwrap());
    }
    let price = 9 * INPUT + 7 * OUTPUT;
    let (plain, twice) = (
        told.iter().filter(|cost| **cost == price).count(),
        told.iter().filter(|cost| **cost == 2 * price).count(),
    );
    assert!(plain > 0 && twice > 0 && plain + twice == told.len(), "{told:?}");
    let calls = key.books_balance().await;
    assert_eq!(calls.len(), told.len());
    assert_eq!(key.charged().await, told.iter().sum::<i128>());
    let mut costs_by_card = std::collections::BTreeMap::new();
    for call in &calls {
        let card = call.authorized["price_card"].as_str().unwrap().to_owned();
        assert_eq!(*costs_by_card.entry(card).or_insert(call.charged()), call.charged());
    }
    assert_eq!(costs_by_card.len(), 2, "the same prices are the same card");
}
