//! The provider's own errors, redirects, and what it says about our key.

use nemo_test_stores::on_each_store;

use super::*;

#[on_each_store]
async fn its_own_errors_pass_in_its_own_words_and_cost_nothing() {
    let nemo = Nemo::start().await;
    for status in [400, 404, 408, 409, 413, 422, 429, 500, 503, 529] {
        let behaviour = || if status == 429 { Behaviour::rate_limited(7) } else { Behaviour::error(status) };
        let (answer, call) = whole(&nemo, behaviour()).await;
        assert_eq!(answer.status, status);
        let theirs: Value = serde_json::from_str(&nemo.twin_of_provider(behaviour()).await).unwrap();
        let told = answer.json();
        assert_eq!(
            (&told["error"]["message"], &told["error"]["type"]),
            (&theirs["error"]["message"], &theirs["error"]["type"])
        );
        assert_eq!(answer.header("retry-after"), (status == 429).then_some("7"), "{status}");
        let retryable = matches!(status, 408 | 409 | 429) || status >= 500;
        assert_eq!(answer.forbids_retry(), !retryable, "{status}");
        voided(&call, if status < 500 { "provider_refused" } else { "provider_failed" });
        assert_eq!(call.ended["status"], status);
        let (answer, call) = streamed_in_vain(&nemo, behaviour()).await;
        assert_eq!((answer.status, call.charged()), (status, 0));
    }
}

#[on_each_store]
async fn an_error_that_reports_usage_is_charged_for_it() {
    let nemo = Nemo::start().await;
    let body = r#"{"error":{"message":"filtered"},"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}"#;
    for status in [400, 500] {
        let (answer, call) = whole(&nemo, Behaviour::raw(status, "application/json", body)).await;
        assert_eq!((answer.status, answer.json()["error"]["message"].as_str()), (status, Some("filtered")));
        settled(&call, "reported", "provider_failed", 9 * INPUT + 4 * OUTPUT);
    }
}

#[on_each_store]
async fn its_trouble_with_our_key_is_not_the_caller_s() {
    let nemo = Nemo::start().await;
    for status in [401, 402, 403, 407] {
        let (answer, call) = whole(&nemo, Behaviour::error(status)).await;
        final_error(&answer, 502, "provider_error");
        assert!(answer.text().contains(&status.to_string()), "{}", answer.text());
        voided(&call, "provider_refused");
    }
    nemo.provider().accept_keys(["sk-another"]);
    let key = nemo.rich_key().await;
    let answer = key.chat(json!({})).await;
    final_error(&answer, 502, "provider_error");
    assert!(!answer.text().contains("API key"), "{}", answer.text());
    voided(&key.only_call().await, "provider_refused");
}

#[on_each_store]
async fn a_provider_that_repeats_its_key_is_not_repeated() {
    let nemo = Nemo::start().await;
    for status in [400, 401, 429, 500] {
        let (answer, _) = whole(&nemo, Behaviour::error_leaking_the_key(status)).await;
        let whole = format!("{answer:?}{}", answer.text());
        assert!(!whole.contains(&nemo.provider().key()) && !whole.contains("0123456789abcdef"), "{whole}");
        assert_eq!(answer.code(), "provider_error");
    }
    assert!(!nemo.stderr().text().contains(&nemo.provider().key()));
}

#[on_each_store]
async fn a_redirect_is_never_followed() {
    let nemo = Nemo::start().await;
    for status in [301, 302, 303, 307, 308] {
        let (answer, call) = whole(&nemo, Behaviour::redirect(status)).await;
        final_error(&answer, 502, "provider_error");
        assert_eq!(answer.header("location"), None);
        voided(&call, "provider_refused");
    }
    assert_eq!((nemo.provider().redirects_followed(), nemo.provider().request_count()), (0, 5));
}

#[on_each_store]
async fn an_error_that_breaks_off_or_never_ends_is_told_without_its_words() {
    let nemo = Nemo::start().await;
    let endless = Behaviour::raw(500, "application/json", vec![b' '; 1 << 20]);
    let errors = [
        Behaviour::error(500).breaks(At::Head, How::Reset),
        Behaviour::error(500).breaks(At::Head, How::Hang),
        Behaviour::error(500).missing_bytes(10),
        endless,
        Behaviour::raw(500, "text/html", "<html>busy</html>"),
    ];
    for behaviour in errors {
        let (answer, call) = whole(&nemo, behaviour).await;
        answer.refused(500, "provider_error");
        assert!(!answer.forbids_retry() && call.ended["status"] == 500);
        voided(&call, "provider_failed");
    }
}

#[on_each_store]
async fn a_model_that_the_provider_does_not_have_costs_nothing() {
    let price = "[[prices]]\nprovider = \"fake\"\nmodel = \"gpt-gone\"\ninput = \"1\"\noutput = \"1\"\n\
                 context_window = 1000\nmax_output_tokens = 1000\n";
    let nemo = Setup::default().more(price).start().await;
    let key = nemo.rich_key().await;
    let answer = key.chat(json!({"model": "gpt-gone"})).await;
    final_error(&answer, 404, "model_not_found");
    voided(&key.only_call().await, "provider_refused");
}
