use serde_json::{Value, json};

use super::{CALL, KEY, ORG, Ran, key, key_reply, key_row, org, run};
use crate::cli::exit::Exit;
use crate::cli::testing::{Canned, FakeServer};

#[tokio::test]
async fn a_list_follows_its_cursors_to_the_end() {
    let first = json!({ "keys": [key_row(KEY, "a")], "next_cursor": "k1f", "position": 7 });
    let second = json!({ "keys": [key_row("key_zzzzzzzzzzz", "b,c")], "next_cursor": null, "position": 7 });
    let server = FakeServer::answering(vec![Canned::json(&first), Canned::json(&second)]).await;
    let line = ["keys", "list", "--status", "blocked", "--search", "x y", "--output", "csv"];
    let ran = run(&server, &line).await;
    ran.result.unwrap();
    let lines = [
        "GET /api/keys?status=blocked&q=x+y&limit=200",
        "GET /api/keys?status=blocked&q=x+y&cursor=k1f&limit=200",
    ];
    assert_eq!(server.lines(), lines);
    let csv = "id,name,last_four,status,org,app,job,env,cost_centre,tags,unlimited,budget_total,budget_day,\
               budget_week,budget_month,spend,held,calls,open_calls,last_used_at,expires_at,created_at\n\
               key_0123456789A,a,a1b2,blocked,0197b5a0-0000-7000-8000-000000000001,,,,,,true,,,,,0,0,0,0,,\
               2027-01-31T00:00:00.000000Z,2026-11-01T08:00:00.000000Z\n\
               key_zzzzzzzzzzz,\"b,c\",a1b2,blocked,0197b5a0-0000-7000-8000-000000000001,,,,,,true,,,,,0,0,0,0,,\
               2027-01-31T00:00:00.000000Z,2026-11-01T08:00:00.000000Z\n";
    assert_eq!(ran.data, csv);
    assert_eq!(ran.words, "");
}

#[tokio::test]
async fn a_limited_list_says_that_there_is_more() {
    let page = json!({ "keys": [key_row(KEY, "a")], "next_cursor": "k1f", "position": 7 });
    let server = FakeServer::answering(vec![Canned::json(&page)]).await;
    let ran = run(&server, &["keys", "list", "--limit", "1", "--output", "jsonl"]).await;
    ran.result.unwrap();
    assert_eq!(server.lines(), ["GET /api/keys?limit=1"]);
    assert_eq!(serde_json::from_str::<Value>(&ran.data).unwrap(), key_row(KEY, "a"));
    assert!(ran.words.contains("--limit"), "{}", ran.words);
}

#[tokio::test]
async fn keys_are_a_table_for_people() {
    let page = json!({ "keys": [key_row(KEY, "a\u{1b}[31m")], "next_cursor": null, "position": 7 });
    let server = FakeServer::answering(vec![Canned::json(&page)]).await;
    let ran = run(&server, &["keys", "list"]).await;
    let table = "Key              Name    Status     App / job  Env  Budgets  Spent  Last used  Expires\n\
                 key_0123456789A  a\u{fffd}[31m  ● blocked  –          –    no cap   $0.00  –          2027-01-31 00:00Z\n";
    assert_eq!(ran.data, table);
}

#[tokio::test]
async fn an_empty_list_is_told_in_words_and_still_a_document() {
    for (output, data) in [("table", ""), ("json", "[]\n"), ("jsonl", "")] {
        let page = json!({ "keys": [], "next_cursor": null, "position": null });
        let server = FakeServer::answering(vec![Canned::json(&page)]).await;
        let ran = run(&server, &["keys", "list", "--output", output]).await;
        assert_eq!((ran.data.as_str(), ran.words.as_str()), (data, "No keys.\n"));
    }
}

#[tokio::test]
async fn a_key_is_shown_with_limit_as_spent_and_held_and_free() {
    let server = FakeServer::answering(vec![Canned::json(&key_reply())]).await;
    let ran = run(&server, &["keys", "show", "0123456789A"]).await;
    ran.result.unwrap();
    assert_eq!(server.lines(), ["GET /api/keys/key_0123456789A"]);
    let page = "\
Key        key_0123456789A
Name       nightly
Status     ● active
Org        0197b5a0-0000-7000-8000-000000000001
App        etl
Env        prod
Tags       =1+1, b
Secret     sk-nemo-…a1b2 (version 2)
Earlier    sk-nemo-…9zzz (version 1) until 2026-11-22 11:00:00Z
Created    2026-11-01 08:00:00Z
Last used  2026-11-22 10:00:00Z
Refused    3 budget_exceeded

Requests/min  58 of 60 left
Flagged       o9 at openai

Budget  Limit  = Spent  + Held  + Free  Resets
day     $5.00    $1.25   $0.50   $3.25  2026-11-23 00:00:00Z

Open call                             Model  Provider     Held  Since                 Until at most
0197b5a0-0000-7000-8000-000000000002  gpt-5  openai    $0.5000  2026-11-22 10:00:00Z  2026-11-22 10:10:00Z
… and 200 more open calls

Model         Provider  Calls      Spent  First seen
gpt-5         openai    1,199  $1,234.50  2026-11-01 09:00:00Z
other models  –             1    $0.0678  –
all models    –         1,200  $1,234.57  –
";
    assert_eq!(ran.data, page);
}

#[tokio::test]
async fn a_key_without_a_cap_or_over_its_limit_says_so() {
    let mut unlimited = key();
    unlimited["limits"] = json!({ "unlimited": true });
    unlimited["budgets"] = json!([]);
    let mut over = key();
    over["budgets"][0]["settled"] = json!("6");
    over["budgets"][0]["free"] = json!("0");
    for (key, words) in
        [(unlimited, "No cap: a leak of this key has no limit on spend."), (over, "over by $1.50")]
    {
        let server = FakeServer::answering(vec![Canned::json(&json!({ "key": key }))]).await;
        let ran = run(&server, &["keys", "show", KEY]).await;
        assert!(ran.data.contains(words), "{}", ran.data);
    }
}

#[tokio::test]
async fn a_key_in_json_is_the_reply_as_the_server_wrote_it() {
    for output in ["json", "jsonl"] {
        let server = FakeServer::answering(vec![Canned::json(&key_reply())]).await;
        let ran = run(&server, &["keys", "show", KEY, "--output", output]).await;
        assert_eq!(ran.data, format!("{}\n", key_reply()));
    }
}

#[tokio::test]
async fn a_key_in_csv_is_a_row_like_those_of_the_list() {
    let server = FakeServer::answering(vec![Canned::json(&key_reply())]).await;
    let ran = run(&server, &["keys", "show", KEY, "--output", "csv"]).await;
    let row = ran.data.lines().nth(1).unwrap();
    let expected = "key_0123456789A,nightly,a1b2,active,0197b5a0-0000-7000-8000-000000000001,etl,,prod,,'=1+1 b,\
                    false,,5,,,1234.5678,0.5,1200,201,2026-11-22T10:00:00.000000Z,,2026-11-01T08:00:00.000000Z";
    assert_eq!(row, expected);
}

#[tokio::test]
async fn what_only_a_later_server_knows_does_no_harm() {
    let bare = json!({ "key": {
        "id": KEY, "org": ORG, "status": "resting", "created_at": "2026-11-01T08:00:00Z",
        "limits": { "moods": ["good"] }, "labels": { "name": "n", "colour": "red" },
    } });
    let server = FakeServer::answering(vec![Canned::json(&bare)]).await;
    let ran = run(&server, &["keys", "show", KEY]).await;
    ran.result.unwrap();
    assert!(ran.data.contains("● resting"), "{}", ran.data);
}

#[tokio::test]
async fn calls_tell_how_they_ended_and_what_they_cost() {
    let call = |end: Value| {
        let mut call = json!({
            "id": CALL, "authorized_at": "2026-11-22T10:00:00.000000Z", "authorized_revision": 3,
            "endpoint": "responses", "model": "m", "provider": "openai", "provider_model": "gpt-5",
            "labels_revision": 0, "hold": "0.5", "streams": true, "tags": ["@night"], "outcome": "open",
        });
        call.as_object_mut().unwrap().extend(end.as_object().unwrap().clone());
        call
    };
    let end = |outcome: &str, rest: Value| {
        let mut end = json!({
            "outcome": outcome, "ended_at": "2026-11-22T10:00:05.000000Z", "ended_revision": 4,
            "cost": "0.00123456", "usage": { "input": 1200, "output": 34 }, "status": 200, "first_byte_ms": 1,
            "duration_ms": 5000, "over_hold": false, "corrected_revision": null,
        });
        end.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        end
    };
    let calls = [
        json!({}),
        end("settled", json!({ "evidence": "reported", "ending": "completed" })),
        end("settled", json!({ "evidence": "estimated", "ending": "client_left" })),
        end("forfeited", json!({ "reason": "node_died", "corrected_revision": 8 })),
        end("forfeited", json!({ "reason": "node_died", "usage": { "thoughts": 1 } })),
        end("voided", json!({ "reason": "not_sent" })),
    ];
    let page = json!({ "calls": calls.map(call), "next_cursor": null, "position": 10 });
    let ran = async |output| -> Ran {
        let server = FakeServer::answering(vec![Canned::json(&page)]).await;
        let ran = run(&server, &["keys", "calls", KEY, "--output", output]).await;
        assert_eq!(server.lines(), ["GET /api/keys/key_0123456789A/calls?limit=200"]);
        ran
    };
    let table = ran("table").await.data;
    let ends: Vec<_> = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().skip(5).collect::<Vec<_>>().join(" "))
        .collect();
    let expected = [
        "open – – –",
        "settled 1,200 34 $0.001235",
        "estimated 1,200 34 $0.001235",
        "corrected 1,200 34 $0.001235",
        "unconfirmed – – $0.001235",
        "voided 1,200 34 $0.001235",
    ];
    assert_eq!(ends, expected, "{table}");
    let csv = ran("csv").await.data;
    let settled = "0197b5a0-0000-7000-8000-000000000002,,2026-11-22T10:00:00.000000Z,responses,openai,gpt-5,'@night,\
                   settled,completed,200,1200,34,0.5,0.00123456,2026-11-22T10:00:05.000000Z,5000";
    assert_eq!(csv.lines().nth(2), Some(settled));
}

#[tokio::test]
async fn a_timeline_goes_on_from_revision_to_revision() {
    let event = |revision: u64| {
        json!({
            "revision": revision, "type": "KeyBlocked", "version": 1, "recorded_at": "2026-11-22T10:00:00.123456Z",
            "id": CALL, "position": 99, "data": { "reason": "odd" },
            "metadata": { "actor": { "kind": "master_key", "id": "0123456789A" }, "node": "n", "boot": CALL },
            "prev_hash": "00", "hash": "ff",
        })
    };
    let first = json!({ "events": [event(3)], "next_from": 4 });
    let second = json!({ "events": [event(4)], "next_from": null });
    for (output, data) in [
        (
            "table",
            "Rev  Time                      Event       By          What\n\
             @3   2026-11-22 10:00:00.123Z  KeyBlocked  master key  odd\n\
             @4   2026-11-22 10:00:00.123Z  KeyBlocked  master key  odd\n"
                .to_owned(),
        ),
        ("jsonl", format!("{}\n{}\n", event(3), event(4))),
        (
            "csv",
            "revision,recorded_at,type,version,by,summary,call,data,hash\n\
             3,2026-11-22T10:00:00.123456Z,KeyBlocked,1,master key,odd,,\"{\"\"reason\"\":\"\"odd\"\"}\",ff\n\
             4,2026-11-22T10:00:00.123456Z,KeyBlocked,1,master key,odd,,\"{\"\"reason\"\":\"\"odd\"\"}\",ff\n"
                .to_owned(),
        ),
    ] {
        // Who people are is asked first; that nobody may tell is no reason to stop.
        let script = vec![Canned::new(403, "{}"), Canned::json(&first), Canned::json(&second)];
        let server = FakeServer::answering(script).await;
        let ran = run(&server, &["keys", "timeline", KEY, "--from", "@3", "--output", output]).await;
        ran.result.unwrap();
        assert_eq!(ran.data, data);
        let lines = server.lines();
        let (people, events) = lines.split_first().unwrap();
        assert!(people.starts_with("GET /api/operators?"), "{people}");
        let path = "GET /api/keys/key_0123456789A/events";
        assert_eq!(events, [format!("{path}?from=3&limit=200"), format!("{path}?from=4&limit=200")]);
    }
}

#[tokio::test]
async fn an_org_is_found_by_its_exact_name() {
    let row = |id: &str, name: &str| json!({ "id": id, "name": name });
    let other = "0197b5a0-0000-7000-8000-00000000000f";
    let page = |orgs: Value| Canned::json(&json!({ "orgs": orgs, "next_cursor": null, "position": 1 }));
    let found = Canned::json(&json!({ "org": org("Acme"), "revision": 0, "position": 1 }));
    let ledger = |position: Value| Canned::json(&json!({ "position": position, "node": "n" }));
    let both = page(json!([row(other, "Acme Two"), row(ORG, "Acme")]));
    let server = FakeServer::answering(vec![ledger(json!(77)), both, found]).await;
    let ran = run(&server, &["orgs", "show", "Acme"]).await;
    let show = format!("GET /api/orgs/{ORG}");
    let as_of_now = "GET /api/orgs?q=Acme&min_position=77&limit=200";
    assert_eq!(server.lines(), ["GET /api/ledger", as_of_now, show.as_str()]);
    let table = "Org      0197b5a0-0000-7000-8000-000000000001\nName     Acme\nStatus   ● active\n\
                 Created  2026-11-01 08:00:00Z\n";
    assert_eq!(ran.data, table);

    let none = FakeServer::answering(vec![ledger(Value::Null), page(json!([row(ORG, "Acme Two")]))]).await;
    assert_eq!(run(&none, &["orgs", "show", "Acme"]).await.result.unwrap_err().exit(), Exit::NotFound);
    assert_eq!(none.lines().last().unwrap(), "GET /api/orgs?q=Acme&limit=200");
    let twins = page(json!([row(ORG, "Acme"), row(other, "Acme")]));
    let several = FakeServer::answering(vec![ledger(json!(77)), twins]).await;
    let error = run(&several, &["keys", "list", "--org", "Acme"]).await.result.unwrap_err();
    assert_eq!(error.exit(), Exit::Usage);
    assert!(error.told().contains(ORG) && error.told().contains(other), "{}", error.told());
}
