//! From a process to a node that takes calls.

use nemo_eventstoredb_simulator::{Options, Simulator};
use serde_json::{Value, json};

use super::{gateway, is_ready, readiness, written};
use crate::fake_provider::{Behaviour, Phase};
use crate::harness::{INPUT, Nemo, OUTPUT, Setup, until, well_formed_key};

/// A gateway that has started without its server.
async fn without_server() -> (Simulator, Nemo) {
    let server = Simulator::start(Options::default());
    server.stop();
    let nemo = Setup::default().on_server(&server.connection_string()).start().await;
    (server, nemo)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_server_is_away_listens_refuses_everything_and_starts_by_itself_when_it_is_back() {
    let (server, nemo) = without_server().await;
    assert_eq!(nemo.http().get(nemo.url("/healthz")).send().await.unwrap().status(), 200);
    let (status, reason) = readiness(&nemo).await;
    assert_eq!(status, 503);
    assert!(reason.contains("has not reached its ledger since it was started"), "{reason}");

    let key = well_formed_key("0123456789A", &"0".repeat(36));
    let call = nemo.http().post(nemo.url("/v1/chat/completions")).bearer_auth(&key).body("{}");
    let told = call.send().await.unwrap();
    assert_eq!(told.status(), 503);
    let told: Value = told.json().await.unwrap();
    assert_eq!(told["error"]["code"], "ledger_unavailable", "as OpenAI tells it: {told}");
    let refused = nemo.manage(reqwest::Method::GET, "/api/orgs", Value::Null).await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (503, Some("ledger_unavailable")));
    let shown = nemo.ask("/api/ledger").await;
    assert_eq!((&shown["store"]["reachable"], &shown["position"]), (&json!(false), &Value::Null));
    assert_eq!(shown["store"]["kind"], "eventstoredb");

    server.start_again();
    is_ready(&nemo).await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.rich_key().await;
    key.chat(json!({})).await.ok();
    assert_eq!(key.only_call().await.charged(), 9 * INPUT + 7 * OUTPUT);
    let shown = nemo.ask("/api/ledger").await;
    assert_eq!((&shown["store"]["reachable"], &shown["store"]["trouble"]), (&json!(true), &Value::Null));
    let starts = server.stream("gateway").iter().filter(|event| event.event_type == "NodeStarted").count();
    assert_eq!(starts, 1, "however often it tried");
    key.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_told_to_stop_before_its_server_ever_answered_stops() {
    let (_server, nemo) = without_server().await;
    assert!(nemo.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_never_makes_secrets_for_a_server() {
    let server = Simulator::start(Options::default());
    let setup = Setup::default().on_server(&server.connection_string()).without_secrets();
    let exited = setup.refused().await;
    assert_eq!(exited.status.code(), Some(1));
    assert!(exited.stderr.contains("nemo secrets create"), "{}", exited.stderr);
    assert!(written(&server) == 0, "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_for_a_server_are_made_once_and_never_over_others() {
    let nemo = Nemo::start().await;
    let dir = nemo.home().join("shared/secrets");
    let create = || {
        let mut command = nemo.local_cli();
        command.args(["secrets", "create", "--secrets-dir"]).arg(&dir).output().unwrap()
    };
    let made = create();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let master_key = std::fs::read_to_string(dir.join("master-key")).unwrap();
    let told = String::from_utf8([made.stdout, made.stderr].concat()).unwrap();
    assert!(!told.contains(master_key.trim()) && told.contains("master-key"), "{told}");
    let again = create();
    assert!(!again.status.success());
    assert_eq!(std::fs::read_to_string(dir.join("master-key")).unwrap(), master_key, "as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_another_ledger_end_the_process_as_soon_as_the_server_answers() {
    let (server, first) = gateway().await;
    first.rich_key().await;
    assert!(first.terminate().await.success());
    let before = written(&server);
    server.stop();
    let second = Setup::default().on_server(&server.connection_string()).start().await;
    assert_eq!(readiness(&second).await.0, 503, "it cannot know yet");
    server.start_again();
    let exited = second.until_exit().await;
    assert_eq!(exited.status.code(), Some(1));
    assert!(exited.stderr.contains("restore the secrets from their backup"), "{}", exited.stderr);
    assert_eq!(written(&server), before, "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_a_killed_node_left_open_are_ended_once_the_server_is_back() {
    let (server, nemo) = gateway().await;
    let key = nemo.rich_key().await;
    nemo.provider().hold_at(Phase::Received);
    let call = tokio::spawn({
        let key = key.clone();
        async move { key.request(key.body(json!({})).to_string().into()).send().await.is_err() }
    });
    until("the call is open", || async {
        let events = server.stream(&format!("key-{}", key.public_id()));
        events.iter().any(|event| event.event_type == "CallAuthorized").then_some(())
    })
    .await;
    nemo.kill9().await;
    assert!(call.await.unwrap());
    server.stop();
    nemo.restart().await;
    server.start_again();
    is_ready(&nemo).await;
    let call = key.only_call().await;
    assert_eq!((call.end.as_str(), call.charged()), ("CallForfeited", call.hold()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_cannot_use_the_same_directory() {
    let (_server, nemo) = gateway().await;
    let exited = nemo.second_refused().await;
    assert!(exited.stderr.contains("in use"), "{}", exited.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_password_is_used_and_shown_nowhere() {
    const PASSWORD: &str = "canary-of-the-store-7731";
    let server = Simulator::start(Options::default().credentials("nemo", PASSWORD));
    let lines = "user = \"nemo\"\npassword_env = \"NEMO_TEST_STORE_PASSWORD\"";
    let url = format!("esdb://127.0.0.1:{}?tls=false", server.ports()[0]);
    let with = |password: &str| {
        let setup = Setup::default().on_server(&url).more(lines);
        setup.env("NEMO_TEST_STORE_PASSWORD", password).env("NEMO_LOG", "debug")
    };
    let nemo = with(PASSWORD).start().await;
    is_ready(&nemo).await;
    let key = nemo.rich_key().await;
    nemo.provider().script(Behaviour::success(9, 7));
    key.chat(json!({})).await.ok();
    server.stop();
    until("it says so", || async { (readiness(&nemo).await.0 == 503).then_some(()) }).await;
    let shown = nemo.ask("/api/ledger").await.to_string();
    for told in [nemo.stdout().text(), nemo.stderr().text(), shown] {
        assert!(!told.contains(PASSWORD), "{told}");
    }
    server.start_again();
    let wrong = with("another").start().await;
    until("it says why", || async { readiness(&wrong).await.1.contains("denied").then_some(()) }).await;
}
