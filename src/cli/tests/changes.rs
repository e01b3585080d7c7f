use serde_json::{Value, json};

use super::{KEY, ORG, answered, key_reply, org, run};
use crate::cli::exit::Exit;
use crate::cli::testing::{Canned, FakeServer};

fn body(server: &FakeServer, request: usize) -> Value {
    serde_json::from_str(&server.requests().get(request).unwrap().body).unwrap()
}

#[tokio::test]
async fn limits_that_are_not_given_stay() {
    let server = FakeServer::answering(vec![Canned::json(&key_reply()), Canned::json(&key_reply())]).await;
    let ran = run(&server, &["keys", "limits", KEY, "--budget", "month=50", "--remove", "rpm"]).await;
    ran.result.unwrap();
    assert_eq!(server.lines(), [format!("GET /api/keys/{KEY}"), format!("PUT /api/keys/{KEY}/limits")]);
    let expected = json!({ "budgets": [
        { "window": "day", "limit": "5", "alert_at_percent": 80 },
        { "window": "month", "limit": "50" },
    ] });
    assert_eq!(body(&server, 1), expected);
    assert!(ran.data.contains(KEY) && ran.words.contains("next call"), "{}{}", ran.data, ran.words);
}

#[tokio::test]
async fn what_an_org_gives_and_what_it_bounds_are_changed_apart() {
    let mut before = org("acme");
    before["limits"] = json!({
        "key_defaults": { "budgets": [{ "window": "day", "limit": "1" }] },
        "key_bounds": { "budgets": [{ "window": "day", "limit": "5" }], "requests_per_minute": 60 },
    });
    let mut after = json!({ "org": before, "revision": 1, "position": 7 });
    after["keys_outside_bounds"] = json!({ "count": 3, "keys": [{ "id": KEY, "name": "nightly", "last_four": "a1b2", "fields": ["budgets"] }] });
    let answers = || vec![Canned::json(&json!({ "org": before })), Canned::json(&after)];
    let server = FakeServer::answering(answers()).await;
    let ran = run(&server, &["orgs", "bounds", ORG, "--budget", "month=50", "--remove", "rpm"]).await;
    ran.result.unwrap();
    assert_eq!(server.lines(), [format!("GET /api/orgs/{ORG}"), format!("PUT /api/orgs/{ORG}/limits")]);
    let bounds =
        json!({ "budgets": [{ "window": "day", "limit": "5" }, { "window": "month", "limit": "50" }] });
    let defaults = json!({ "budgets": [{ "window": "day", "limit": "1" }] });
    assert_eq!(body(&server, 1), json!({ "key_defaults": defaults, "key_bounds": bounds }));
    assert!(
        ran.words.contains(&format!(
            "3 keys are wider already, and so until changed: {KEY} “nightly” (budgets) and 2 more."
        )),
        "{}",
        ran.words
    );
    let server = FakeServer::answering(answers()).await;
    run(&server, &["orgs", "defaults", ORG, "--none"]).await.result.unwrap();
    assert_eq!(body(&server, 1), json!({ "key_bounds": before["limits"]["key_bounds"] }));
    let server = FakeServer::answering(vec![Canned::json(&after)]).await;
    let shown = run(&server, &["orgs", "show", ORG]).await.data;
    for part in
        ["Limits that new keys get", "day $1.00", "Bounds that no key", "60", "3 keys are wider already"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[tokio::test]
async fn limits_that_a_later_server_knows_are_not_lost_by_changing_others() {
    let reply = json!({ "key": { "limits": { "unlimited": true, "moods": [] } } });
    let server = FakeServer::answering(vec![Canned::json(&reply)]).await;
    let error = run(&server, &["keys", "limits", KEY, "--rpm", "1"]).await.result.unwrap_err();
    assert!(error.told().contains("same version"), "{}", error.told());
    assert_eq!(server.lines().len(), 1, "nothing was sent");
}

#[tokio::test]
async fn labels_that_are_not_given_stay() {
    let server = FakeServer::answering(vec![Canned::json(&key_reply()), Canned::json(&key_reply())]).await;
    let line = ["keys", "relabel", KEY, "--job", "import", "--remove", "env", "--tag", "new"];
    run(&server, &line).await.result.unwrap();
    assert_eq!(server.lines().last().unwrap(), &format!("PUT /api/keys/{KEY}/labels"));
    assert_eq!(
        body(&server, 1),
        json!({ "name": "nightly", "app": "etl", "job": "import", "tags": ["new"] })
    );
}

#[tokio::test]
async fn a_change_of_nothing_is_refused_before_anything_is_sent() {
    let server = FakeServer::answering(vec![]).await;
    for line in [["keys", "limits", KEY], ["keys", "relabel", KEY]] {
        assert_eq!(run(&server, &line).await.result.unwrap_err().exit(), Exit::Usage);
    }
    assert_eq!(server.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn small_changes_are_one_request() {
    let cases: [(&[&str], &str, Value); 4] = [
        (&["keys", "block", KEY, "--reason", "odd"], "block", json!({ "reason": "odd" })),
        (&["keys", "unblock", KEY], "unblock", json!({})),
        (&["keys", "retire-secret", KEY, "--version", "1"], "retire-secret", json!({ "version": 1 })),
        (
            &["keys", "clear-model", KEY, "--provider", "openai", "--provider-model", "o9"],
            "clear-model",
            json!({ "provider": "openai", "provider_model": "o9" }),
        ),
    ];
    for (line, path, sent) in cases {
        let server = FakeServer::answering(vec![Canned::json(&key_reply())]).await;
        let ran = run(&server, line).await;
        ran.result.unwrap();
        assert_eq!(server.lines(), [format!("POST /api/keys/{KEY}/{path}")]);
        assert_eq!(body(&server, 0), sent);
        assert!(!ran.words.is_empty() && ran.data.starts_with("Key "), "{}{}", ran.data, ran.words);
    }
}

#[tokio::test]
async fn revoking_asks_on_a_terminal_and_says_what_it_does() {
    let mut revoked = key_reply();
    revoked["calls_cut"] = json!(2);
    let server = FakeServer::answering(vec![Canned::json(&key_reply()), Canned::json(&revoked)]).await;
    let ran = answered(&server, &["keys", "revoke", KEY, "--reason", "gone"], Some("y\n")).await;
    ran.result.unwrap();
    assert_eq!(server.lines(), [format!("GET /api/keys/{KEY}"), format!("POST /api/keys/{KEY}/revoke")]);
    assert_eq!(body(&server, 1), json!({ "reason": "gone" }));
    for words in ["“nightly”", "(201) are cut", "2026-11-22 10:00:00Z", "--yes", "were cut: 2"] {
        assert!(ran.words.contains(words), "{}", ran.words);
    }

    let unchanged = FakeServer::answering(vec![Canned::json(&key_reply())]).await;
    let ran = answered(&unchanged, &["keys", "revoke", KEY], Some("\n")).await;
    assert_eq!(ran.result.unwrap_err().exit(), Exit::Failed);
    assert_eq!(unchanged.lines().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_undone_needs_yes_off_a_terminal() {
    let server = FakeServer::answering(vec![]).await;
    for line in
        [&["keys", "revoke", KEY][..], &["keys", "rotate", KEY, "--leaked"], &["orgs", "archive", ORG]]
    {
        let error = run(&server, line).await.result.unwrap_err();
        assert_eq!(error.exit(), Exit::Usage, "{line:?}");
        assert!(error.told().contains("--yes"), "{}", error.told());
    }
    assert_eq!(server.lines(), Vec::<String>::new());

    let server = FakeServer::answering(vec![Canned::json(&key_reply())]).await;
    run(&server, &["keys", "revoke", KEY, "--yes"]).await.result.unwrap();
    assert_eq!(server.lines(), [format!("POST /api/keys/{KEY}/revoke")]);
}

#[tokio::test]
async fn orgs_are_changed_by_one_request_each() {
    let cases: [(&[&str], String, Value); 5] = [
        (&["orgs", "create", "Acme"], "POST /api/orgs".to_owned(), json!({ "name": "Acme" })),
        (
            &["orgs", "rename", ORG, "Umbrella"],
            format!("PATCH /api/orgs/{ORG}"),
            json!({ "name": "Umbrella" }),
        ),
        (
            &["orgs", "suspend", ORG, "--reason", "r"],
            format!("POST /api/orgs/{ORG}/suspend"),
            json!({ "reason": "r" }),
        ),
        (&["orgs", "resume", ORG], format!("POST /api/orgs/{ORG}/resume"), json!({})),
        (&["orgs", "archive", ORG, "--yes"], format!("DELETE /api/orgs/{ORG}"), json!({ "reason": null })),
    ];
    for (line, request, sent) in cases {
        let reply =
            json!({ "org": org("Acme"), "revision": 1, "position": 5, "keys_revoked": 1200, "calls_cut": 3 });
        let server = FakeServer::answering(vec![Canned::json(&reply)]).await;
        let ran = run(&server, &[line, &["--output", "json"]].concat()).await;
        ran.result.unwrap();
        assert_eq!((server.lines(), body(&server, 0)), (vec![request], sent));
        assert_eq!(ran.data, format!("{reply}\n"));
        assert!(ran.words.contains("“Acme”"), "{}", ran.words);
    }
}

#[tokio::test]
async fn archiving_asks_on_a_terminal() {
    let reply =
        json!({ "org": org("Acme"), "revision": 1, "position": 5, "keys_revoked": 1200, "calls_cut": 3 });
    let server = FakeServer::answering(vec![Canned::json(&reply), Canned::json(&reply)]).await;
    let ran = answered(&server, &["orgs", "archive", ORG], Some("yes\n")).await;
    ran.result.unwrap();
    for words in ["revokes all its keys, for good", "--yes", "Keys revoked: 1,200. Calls cut: 3."] {
        assert!(ran.words.contains(words), "{}", ran.words);
    }
}
