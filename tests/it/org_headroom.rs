//! Budgets that all keys of an org share, as managers set them and see what is left: the API, the command line, the
//! pages. That they hold across a crash is in `kills`.

#[cfg(feature = "failpoints")]
mod kills;

use reqwest::Method;
use serde_json::{Value, json};

use crate::fake_provider::Behaviour;
use crate::harness::{Answer, Nemo, nanos, until};

async fn set(nemo: &Nemo, org: &str, budgets: Value) -> Answer {
    nemo.manage(Method::PUT, &format!("/api/orgs/{org}/budgets"), json!({ "budgets": budgets })).await
}

async fn shown(nemo: &Nemo, org: &str) -> Value {
    nemo.ask(&format!("/api/orgs/{org}")).await["org"].clone()
}

/// limit = spent + held + idle + free, to the nano.
fn adds_up(budget: &Value) {
    let part = |name: &str| nanos(&budget[name]);
    assert_eq!(part("limit"), ["spent", "held", "idle", "free"].map(part).iter().sum::<i128>(), "{budget}");
    assert_eq!(part("used"), ["spent", "held", "idle"].map(part).iter().sum::<i128>(), "{budget}");
}

async fn cli(nemo: &Nemo, line: &[&str]) -> (String, String) {
    let mut command = nemo.cli();
    command.args(line);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{line:?}\n{out}\n{err}");
    (out, err)
}

#[tokio::test]
async fn budgets_of_an_org_are_set_as_a_whole_and_what_was_spent_before_counts() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let org = nemo.new_org("shared").await;
    let key = nemo.key_in(&org, json!({"unlimited": true})).await;
    key.chat(json!({"max_tokens": 50})).await.ok();
    key.books_balance().await;
    let spent = key.charged().await;
    let position = nemo.ask("/api/ledger").await["position"].clone();
    nemo.ask(&format!("/api/keys?min_position={position}")).await;

    let budgets = json!([{"window": "total", "limit": "2"}, {"window": "day", "limit": "1"}]);
    let reply = set(&nemo, &org, budgets).await.ok();
    let told = reply["org"]["budgets"].as_array().unwrap().clone();
    assert_eq!(told.len(), 2);
    for budget in &told {
        adds_up(budget);
        assert_eq!(nanos(&budget["spent"]), spent, "{budget}");
        assert_eq!(budget["resets_at"].is_null(), budget["window"] == "total");
    }
    for (nonsense, said) in [
        (
            json!([{"window": "day", "limit": "1"}, {"window": "day", "limit": "2"}]),
            "at most one for each window",
        ),
        (json!([{"window": "day", "limit": "-1"}]), "cannot be negative"),
        (json!([{"window": "year", "limit": "1"}]), "year"),
        (json!([{"window": "day", "limit": "1", "alert_at_percent": 80}]), "raise no alerts"),
    ] {
        let refused = set(&nemo, &org, nonsense).await;
        refused.refused(400, "invalid_request");
        assert!(refused.text().contains(said), "{}", refused.text());
    }
    assert_eq!(shown(&nemo, &org).await["budgets"].as_array().unwrap().len(), 2, "nothing was changed");

    let (_, words) =
        cli(&nemo, &["orgs", "budgets", &org, "--budget", "month=50", "--remove", "total"]).await;
    assert!(words.contains("month $50.00 of $50.00 free") || words.contains("of $50.00 free"), "{words}");
    let (page, _) = cli(&nemo, &["orgs", "show", &org]).await;
    for part in ["Budget of all keys", "+ Idle with keys", "day", "month", "$50.00"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("total "), "{page}");
    let (_, words) = cli(&nemo, &["orgs", "budgets", &org, "--none"]).await;
    assert!(words.contains("no budget of its own"), "{words}");
    assert_eq!(shown(&nemo, &org).await["budgets"], json!([]));

    let ada = nemo.ada().await;
    let wrong = ada.send(&format!("/orgs/{org}/budgets"), &[("budget_day", "much")]).await;
    assert!(wrong.status == 422 && wrong.text().contains("Write dollars as 25 or 2.50."), "{}", wrong.text());
    let done = ada.send(&format!("/orgs/{org}/budgets"), &[("budget_week", "7")]).await;
    assert_eq!(done.status, 303, "{}", done.text());
    let page = ada.page(&format!("/orgs/{org}")).await;
    for part in ["Budgets of all keys", "limit = spent + held + idle + free", "$7.00", "a week"] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    nemo.manage(Method::DELETE, &format!("/api/orgs/{org}"), Value::Null).await.ok();
    set(&nemo, &org, json!([])).await.refused(409, "org_archived");
}

#[tokio::test]
async fn what_is_left_of_an_orgs_budget_adds_up_while_its_keys_spend_and_when_it_is_used_up() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let org = nemo.new_org("shared").await;
    set(&nemo, &org, json!([{"window": "total", "limit": "1"}, {"window": "day", "limit": "2"}])).await.ok();
    let (one, two) = (
        nemo.key_in(&org, json!({"unlimited": true})).await,
        nemo.key_in(&org, json!({"unlimited": true})).await,
    );
    for key in [&one, &two, &one] {
        key.chat(json!({"max_tokens": 50})).await.ok();
    }
    one.books_balance().await;
    two.books_balance().await;
    let spent = one.charged().await + two.charged().await;
    let budgets = || async { shown(&nemo, &org).await["budgets"].as_array().unwrap().clone() };
    until("what was spent is told", || async {
        let told = budgets().await;
        told.iter().for_each(adds_up);
        told.iter().all(|budget| nanos(&budget["spent"]) == spent).then_some(())
    })
    .await;
    assert!(budgets().await.iter().all(|budget| nanos(&budget["held"]) == 0), "no call is open");

    // What keys have idle comes back once the budget is lowered to what is spent.
    let dollars = format!("{}.{:09}", spent / 1_000_000_000, spent % 1_000_000_000);
    set(&nemo, &org, json!([{"window": "total", "limit": dollars}])).await.ok();
    until("nothing is idle", || async { (nanos(&budgets().await[0]["idle"]) == 0).then_some(()) }).await;
    let told = budgets().await[0].clone();
    adds_up(&told);
    assert_eq!((nanos(&told["spent"]), nanos(&told["free"])), (spent, 0), "{told}");
    let refused = two.chat(json!({"max_tokens": 50})).await;
    refused.refused(402, "budget_exceeded");
    assert!(refused.text().contains("the org's total budget"), "{}", refused.text());

    nemo.tell(&format!("/api/orgs/{org}/suspend"), json!({})).await;
    let page = nemo.ada().await.page(&format!("/orgs/{org}")).await;
    assert!(page.text().contains("Nothing of it is out with its keys any more."), "{}", page.text());
}
