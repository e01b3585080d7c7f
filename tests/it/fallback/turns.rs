//! Which ends of a call are followed by another attempt, and which are not.

use super::*;
use crate::fake_provider::{At, How};

#[tokio::test]
async fn what_cost_nothing_and_was_not_the_request_s_fault_is_tried_at_the_next_provider() {
    let pool = Pool::start().await;
    let nemo = &pool.nemo;
    let mut behaviours: Vec<_> = [401, 403, 404, 408, 409, 500, 502, 503, 529].map(Behaviour::error).into();
    behaviours.extend([
        Behaviour::rate_limited(7),
        Behaviour::redirect(307),
        Behaviour::error_leaking_the_key(401),
    ]);
    for (round, behaviour) in behaviours.into_iter().enumerate() {
        let key = nemo.rich_key().await;
        nemo.provider().script_next([behaviour]);
        let answer = ask(&key, round % 2 == 1).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-nemo-attempts"), Some("2"));
        let calls = pool.books_balance(&key).await;
        assert_eq!(ends(&calls), [("fake", VOIDED), ("second", SETTLED)]);
        assert_eq!(answer.header("x-nemo-call-id"), Some(calls[1].id.as_str()));
        assert_eq!((calls[0].charged(), calls[1].charged()), (0, PLAIN));
        let (request, answered) = (&calls[0].authorized["request"], answer.header("x-request-id"));
        assert_eq!(request.as_str(), answered, "one request");
    }
    assert_eq!(pool.asked(), [12, 12, 0]);
    assert_eq!(nemo.provider().redirects_followed(), 0);
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_or_takes_no_key_is_passed_on_from() {
    let pool = Pool::start().await;
    let provider = pool.nemo.provider();
    let key = pool.nemo.rich_key().await;
    provider.refuse();
    ask(&key, false).await.ok();
    provider.resume();
    provider.accept_keys(["sk-another"]);
    assert_eq!(ask(&key, true).await.status, 200);
    pool.second.refuse();
    ask(&key, false).await.ok();
    let calls = pool.books_balance(&key).await;
    assert_eq!(ends(&calls[..2]), [("fake", VOIDED), ("second", SETTLED)]);
    assert_eq!(ends(&calls[2..4]), [("fake", VOIDED), ("second", SETTLED)]);
    assert_eq!(ends(&calls[4..]), [("fake", VOIDED), ("second", VOIDED), ("third", SETTLED)]);
    assert_eq!(calls[6].charged(), 2 * PLAIN, "by the price of whoever served it");
    let fell_back = async |provider, why| {
        counted(
            &pool.nemo,
            "nemo_provider_fallbacks_total",
            &[("provider", provider), ("why", why), ("next", "other")],
        )
        .await
    };
    assert_eq!(fell_back("fake", "unreachable").await, 1);
    assert_eq!(fell_back("fake", "4xx").await, 2);
    assert_eq!(fell_back("second", "unreachable").await, 1);
    // One request's attempts are read together, by the id that its client was told.
    let request = calls[4].authorized["request"].as_str().unwrap();
    let told = pool.nemo.ask(&key.path(&format!("/events?request={request}"))).await;
    let events = told["events"].as_array().unwrap();
    assert_eq!(events.len(), 6, "{told}");
    assert!(events.iter().all(|event| event["metadata"]["request"] == request), "{told}");
    let wrong = pool.nemo.manage(reqwest::Method::GET, &key.path("/events?request=x"), Value::Null).await;
    wrong.refused(400, "invalid_request");
    let log = pool.nemo.stderr();
    assert!(!log.text().contains(FakeProvider::KEY));
}

#[tokio::test]
async fn what_was_the_request_s_fault_is_told_at_once() {
    let pool = Pool::start().await;
    for status in [400, 413, 415, 422] {
        let key = pool.nemo.rich_key().await;
        pool.nemo.provider().script_next([Behaviour::error(status)]);
        let answer = ask(&key, status % 2 == 1).await;
        assert_eq!((answer.status, answer.header("x-nemo-attempts")), (status, None));
        assert_eq!(ends(&pool.books_balance(&key).await), [("fake", VOIDED)]);
    }
    assert_eq!(pool.asked(), [4, 0, 0]);
}

#[tokio::test]
async fn what_was_billed_or_may_have_been_is_never_made_again() {
    let pool =
        Pool::with(Setup::default().provider("first_byte_timeout_secs = 1\nidle_timeout_secs = 1")).await;
    let error = br#"{"error":{"message":"broke","type":"server_error"},
        "usage":{"prompt_tokens":9,"completion_tokens":7,"total_tokens":16}}"#;
    let behaviours = [
        Behaviour::raw(503, "application/json", error.as_slice()),
        Behaviour::raw(429, "application/json", error.as_slice()),
        Behaviour::malformed_json(),
        Behaviour::raw(200, "application/json", r#"{"error":{"message":"overloaded"}}"#),
        Behaviour::breaking(At::Unread, How::Reset),
        Behaviour::breaking(At::Read, How::Reset),
        Behaviour::breaking(At::Read, How::Close),
        Behaviour::breaking(At::Read, How::Hang),
        Behaviour::breaking(At::Head, How::Reset),
        Behaviour::breaking(At::Chunk(1), How::Close),
    ];
    let most = 2 * behaviours.len();
    for behaviour in behaviours {
        for streams in [false, true] {
            let key = pool.nemo.rich_key().await;
            pool.nemo.provider().script_next([behaviour.clone()]);
            let answer = ask(&key, streams).await;
            assert_eq!(answer.header("x-nemo-attempts"), None, "{behaviour:?}");
            let calls = pool.books_balance(&key).await;
            assert!(calls.len() == 1 && calls[0].end != VOIDED, "{behaviour:?}: {calls:?}");
        }
    }
    assert!(pool.asked()[0] <= most);
    assert_eq!(pool.asked()[1..], [0, 0]);
}

#[tokio::test]
async fn a_name_that_asks_for_its_provider_is_tried_nowhere_else() {
    let pool = Pool::start().await;
    let key = pool.nemo.rich_key().await;
    pool.nemo.provider().script(Behaviour::error(503));
    let answer = key.chat(json!({"model": "fake/gpt-test"})).await;
    assert_eq!((answer.status, answer.header("x-nemo-attempts")), (503, None));
    key.chat(json!({"model": "third/gpt-test"})).await.ok();
    assert_eq!(pool.asked(), [1, 0, 1]);
    for (model, turns) in [
        ("gpt-test", json!(["fake", "second", "third"])),
        ("fake/gpt-test", json!(["fake"])),
        ("gpt-none", json!([])),
    ] {
        let request = key.request(key.body(json!({ "model": model })).to_string().into());
        let told = Answer::of(request.header("x-nemo-dry-run", "true")).await.ok();
        assert_eq!(told["providers"], turns, "{told}");
    }
}

#[tokio::test]
async fn of_several_keys_at_one_provider_the_next_is_taken_where_one_is_refused() {
    // Two entries at the same address: the ledger knows by its name which key made a call.
    let nemo = Setup::default().env("SPARE", "sk-spare").start().await;
    let spare = format!(
        "[[providers]]\nname = \"fake-spare\"\nbase_url = \"{}\"\napi_key_env = \"SPARE\"\ncatalogue = \"fake\"\n",
        nemo.provider().base_url()
    );
    nemo.append_to_config(&spare);
    nemo.terminate().await;
    nemo.restart().await;
    nemo.provider().accept_keys(["sk-spare"]);
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.rich_key().await;
    ask(&key, false).await.ok();
    let calls = key.books_balance().await;
    assert_eq!(ends(&calls), [("fake", VOIDED), ("fake-spare", SETTLED)]);
    assert_eq!(calls[0].ended["status"], 401);
    assert_eq!(nemo.provider().bill().by_api_key().keys().collect::<Vec<_>>(), ["sk-spare"]);
}
