//! Signing in, and what does not get in.

use nemo_test_stores::on_each_store;

use crate::harness::{Answer, Nemo, PASSWORD, token_in};

#[tokio::test]
async fn the_cookie_is_for_this_host_alone_and_for_no_script() {
    let nemo = Nemo::start().await;
    nemo.ada().await;
    let answer = nemo.log_in("Ada", PASSWORD).await;
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-nemo-session="), "{cookie}");
    for part in ["; HttpOnly", "; Secure", "; SameSite=Strict", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(
        !cookie.contains("Domain") && !cookie.contains("Expires") && !cookie.contains("Max-Age"),
        "{cookie}"
    );
    assert_eq!(answer.header("location"), Some("/#"), "a code behind the # does not go along");
}

#[tokio::test]
async fn a_login_has_a_token_of_its_own_whatever_was_sent_before() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    let planted = "A".repeat(43);
    let form = nemo.form("/login", &[("name", "Ada"), ("password", PASSWORD)]);
    let answer = Answer::browsed(form.header("cookie", format!("__Host-nemo-session={planted}"))).await;
    let token = token_in(&answer).unwrap();
    assert!(token != planted && token != ada.token && token.len() >= 43);
    let with_planted = ada.with_token(&planted);
    assert!(!with_planted.is_in().await, "what somebody else chose opens nothing");
    assert!(ada.is_in().await);
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_are_told_alike() {
    let nemo = Nemo::start().await;
    nemo.ada().await;
    let wrong_password = nemo.log_in("Ada", "Seven-Loud-Herons").await;
    let wrong_name = nemo.log_in("Bob", PASSWORD).await;
    let told = |answer: &Answer| {
        let text = answer.text().split("role=\"alert\"").nth(1).expect("an alert");
        text.split('<').next().unwrap().to_owned()
    };
    assert_eq!((wrong_password.status, wrong_name.status), (401, 401));
    assert_eq!(told(&wrong_password), told(&wrong_name));
    assert!(token_in(&wrong_password).is_none() && token_in(&wrong_name).is_none());
    assert!(wrong_name.text().contains("value=\"Bob\""), "what was entered is kept");
    for secret in ["Seven-Loud-Herons", PASSWORD] {
        assert!(!wrong_password.text().contains(secret) && !wrong_name.text().contains(secret));
    }
}

#[tokio::test]
async fn guessing_is_slowed_down_however_many_try_at_a_time() {
    let nemo = Nemo::start().await;
    nemo.person("Ada", "admin").await;
    let guesses: Vec<String> = (0..40).map(|n| format!("Seven-Quiet-Heron{n}")).collect();
    let guesses = guesses.iter().map(|guess| nemo.log_in("Ada", guess));
    let answers = futures_util::future::join_all(guesses).await;
    let looked_at = answers.iter().filter(|answer| answer.status == 401).count();
    let turned_away: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(looked_at <= 12 && looked_at + turned_away.len() == 40, "{looked_at} looked at");
    for answer in turned_away {
        let wait: u64 = answer.header("retry-after").expect("how long").parse().unwrap();
        assert!((1..=60).contains(&wait) && answer.text().contains("Too many attempts"), "{wait}");
    }
}

#[tokio::test]
async fn keys_are_refused_in_their_own_words_and_not_sent_back() {
    let nemo = Nemo::start().await;
    nemo.ada().await;
    let (master, secret) = (nemo.master_key().to_owned(), nemo.rich_key().await.secret());
    let cases = [
        (master.as_str(), "That is the master key. It must never be typed into a browser."),
        (secret.as_str(), "That is a virtual key."),
    ];
    for (secret, words) in cases {
        for (name, password) in [("Ada", secret), (secret, PASSWORD), ("Ada", &format!(" {secret}"))] {
            let answer = nemo.log_in(name, password).await;
            assert_eq!(answer.status, 403, "{}", answer.text());
            assert!(answer.text().contains(words), "{}", answer.text());
            assert!(!answer.text().contains(secret) && !answer.text().contains(&secret[20..40]));
        }
        let link = nemo.invitation("admin").await;
        assert_eq!(nemo.join(&link, "Mallory", secret).await.status, 403);
        assert!(!nemo.stderr().text().contains(&secret[20..40]));
    }
    nemo.stderr().until("rotate-master-key").await;
    assert_eq!(nemo.log_in("Ada", PASSWORD).await.status, 303, "these were no guesses");
}

#[tokio::test]
async fn the_way_back_leads_to_a_page_of_this_gateway_only() {
    let nemo = Nemo::start().await;
    let ada = nemo.ada().await;
    let asked = Answer::browsed(nemo.http().get(nemo.url("/operators?a=b%26c"))).await;
    assert_eq!((asked.status, asked.header("location")), (303, Some("/login?next=/operators%3Fa%3Db%2526c")));
    for (next, place) in [("/keys?q=a", "/keys?q=a#"), ("//evil.test", "/#"), ("https://evil.test/", "/#")] {
        let fields = [("name", "Ada"), ("password", PASSWORD), ("next", next)];
        let answer = Answer::browsed(nemo.form("/login", &fields)).await;
        assert_eq!(answer.header("location"), Some(place));
    }
    let again = ada.page("/login?next=/operators").await;
    assert_eq!((again.status, again.header("location")), (303, Some("/operators")));
    let module = nemo.http().get(nemo.url("/operators")).header("sec-fetch-mode", "cors");
    assert_eq!(Answer::browsed(module).await.status, 401, "a module is told, not led away");
}

#[on_each_store]
async fn failed_logins_are_counted_in_the_ledger_without_what_was_typed() {
    let nemo = Nemo::start().await;
    nemo.ada().await;
    nemo.log_in("Ada", "My-Secret-Is-Elsewhere").await;
    nemo.log_in("Ada", "My-Secret-Is-Elsewhere").await;
    nemo.log_in("My-Password-As-A-Name", "whatever it was").await;
    nemo.terminate().await;
    nemo.restart().await;
    let events = nemo.operator_events().await;
    let failed: Vec<_> = events.iter().filter(|event| event["type"] == "LoginsFailed").collect();
    assert_eq!(failed.len(), 1, "{events:?}");
    let counts = failed[0]["data"]["failures"].as_array().unwrap();
    let count = |known: bool| counts.iter().find(|count| count["operator"].is_string() == known).unwrap();
    assert_eq!((&count(true)["count"], &count(true)["code"]), (&2.into(), &"login_failed".into()));
    assert_eq!((&count(false)["count"], &count(true)["address"]), (&1.into(), &"127.0.0.1".into()));
    let all = serde_json::to_string(&events).unwrap();
    assert!(!all.contains("Elsewhere") && !all.contains("As-A-Name"), "{all}");
}
