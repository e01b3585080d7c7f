//! `kill -9` between the stream of a key and its org's, at each place where money or knowledge of it is under way: what
//! was cut can be asked for again, and not a nano-dollar of the org's budget is lost or spent twice.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nemo_events::{Revision, StreamName};
use nemo_store::{Direction, MAX_PAGE};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{adds_up, set, shown};
use crate::fake_provider::Behaviour;
use crate::harness::{INPUT, Key, Nemo, OUTPUT, Setup, nanos};

/// Output limits of calls; a large one is an org's money for many small ones.
const LARGE: u64 = 1_000;
const MIDDLE: u64 = 100;
const SMALL: u64 = 7;
const SIZES: [u64; 3] = [LARGE, MIDDLE, SMALL];

/// What is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// Setting the org's first budgets, when keys have spent already.
    Budgets,
    /// The first call on them.
    FirstCall,
    /// A call that fits only with a part of what another key has idle.
    CallOnSomeIdle,
    /// A call that fits only with all of it.
    CallOnAllIdle,
}

/// Whose stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Org,
    /// The key whose call is cut.
    Cut,
    /// A key that called before, and has some idle where that matters.
    Earlier,
}

/// An event of a type, in somebody's stream.
type Event = (Whose, &'static str);

/// Places in the order of the saga; the event that is the last before it, and one that comes after it.
const PLACES: [(&str, Cut, Event, Event); 7] = [
    ("told-all-keys", Cut::Budgets, (Whose::Earlier, "AllotmentRequired"), (Whose::Org, "SpendCounted")),
    ("allotted", Cut::FirstCall, (Whose::Org, "BudgetAllotted"), (Whose::Cut, "AllotmentReceived")),
    ("received", Cut::FirstCall, (Whose::Cut, "AllotmentReceived"), (Whose::Cut, "CallAuthorized")),
    (
        "returned",
        Cut::CallOnSomeIdle,
        (Whose::Earlier, "AllotmentReturned"),
        (Whose::Cut, "AllotmentReceived"),
    ),
    (
        "returned",
        Cut::CallOnAllIdle,
        (Whose::Earlier, "AllotmentReturned"),
        (Whose::Cut, "AllotmentReceived"),
    ),
    ("reclaimed", Cut::CallOnSomeIdle, (Whose::Org, "AllotmentReclaimed"), (Whose::Cut, "AllotmentReceived")),
    ("reclaimed", Cut::CallOnAllIdle, (Whose::Org, "AllotmentReclaimed"), (Whose::Cut, "AllotmentReceived")),
];

/// Who comes first after the start: the key that was cut, or another one that wants all there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    TheSame,
    Another,
}

#[tokio::test]
async fn wherever_it_is_killed_an_orgs_money_is_neither_lost_nor_spent_twice() {
    let gateway = Gateway::start().await;
    for (place, cut, there, missing) in PLACES {
        for first in [First::TheSame, First::Another] {
            let told = format!("{place}, {cut:?}, {first:?} comes first");
            let org = gateway.org(cut).await;
            let events = gateway.kill_at(place, cut, &org).await;
            let has = |(whose, kind): Event| events[&whose].iter().any(|found| found == kind);
            assert!(has(there) && !has(missing), "{told}: {events:?}");
            org.is_within(org.limit, &told).await;
            org.goes_on(cut, first, &told).await;
        }
    }
    gateway.nemo.kill9().await;
    let verified = gateway.nemo.verify();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

/// What a call holds, by its output limit.
type Holds = BTreeMap<u64, i128>;

/// A gateway that is killed where a file says.
struct Gateway {
    nemo: Nemo,
    crash_at: PathBuf,
    holds: Holds,
    _home: TempDir,
}

/// An org, its budget, and its keys. The third one has no part in what is cut.
struct Org {
    nemo: Nemo,
    id: String,
    limit: i128,
    holds: Holds,
    cut: Key,
    earlier: Key,
    other: Key,
}

impl Gateway {
    async fn start() -> Gateway {
        let home = Setup::home();
        let crash_at = home.path().join("crash-at");
        std::fs::write(&crash_at, "").unwrap();
        let nemo = Setup::default().env("NEMO_CRASH_AT", &format!("@{}", crash_at.display())).start().await;
        nemo.provider().script(Behaviour::full_hold(9));
        let mut holds = Holds::new();
        for size in SIZES {
            let sample = nemo.rich_key().await;
            sample.chat(json!({ "max_tokens": size })).await.ok();
            holds.insert(size, sample.only_call().await.hold());
        }
        Gateway { nemo, crash_at, holds, _home: home }
    }

    /// An org for which everything has happened up to what is cut, with room for one large call and a little more.
    async fn org(&self, cut: Cut) -> Org {
        let (nemo, hold) = (&self.nemo, self.holds[&LARGE]);
        let id = nemo.new_org("shared").await;
        let key = || nemo.key_in(&id, json!({"unlimited": true}));
        let (one, two, three) = (key().await, key().await, key().await);
        let cheap = 9 * INPUT + 7 * OUTPUT;
        let limit = hold + if cut == Cut::CallOnAllIdle { cheap } else { hold / 2 };
        let holds = self.holds.clone();
        let org = Org { nemo: nemo.clone(), id, limit, holds, cut: one, earlier: two, other: three };
        match cut {
            Cut::Budgets => {
                org.cut.chat(json!({ "max_tokens": SMALL })).await.ok();
                org.earlier.chat(json!({ "max_tokens": MIDDLE })).await.ok();
            }
            Cut::FirstCall => org.set_limit(limit).await,
            Cut::CallOnSomeIdle | Cut::CallOnAllIdle => {
                org.set_limit(limit).await;
                nemo.provider().script_next([Behaviour::success(9, 7)]);
                org.earlier.chat(json!({ "max_tokens": LARGE })).await.ok();
                org.earlier.ended_calls().await;
            }
        }
        org
    }

    /// Kills it while it does what is cut, and starts it again; the events that the kill left, by stream.
    async fn kill_at(&self, place: &str, cut: Cut, org: &Org) -> BTreeMap<Whose, Vec<String>> {
        std::fs::write(&self.crash_at, format!("{place}:1")).unwrap();
        let request = match cut {
            Cut::Budgets => {
                let request = self.nemo.http().put(self.nemo.url(&format!("/api/orgs/{}/budgets", org.id)));
                request.bearer_auth(self.nemo.master_key()).json(&json!({ "budgets": total(org.limit) }))
            }
            _ => org.cut.request(org.cut.body(json!({ "max_tokens": LARGE })).to_string().into()),
        };
        let answer = request.send().await;
        assert!(answer.is_err(), "{place}: it lives on: {answer:?}");
        self.nemo.until_exit().await;
        std::fs::write(&self.crash_at, "").unwrap();
        let events = self.events_of(org).await;
        self.nemo.restart().await;
        events
    }

    /// The types of an org's events, from the store of a gateway that does not run.
    async fn events_of(&self, org: &Org) -> BTreeMap<Whose, Vec<String>> {
        let key = |key: &Key| StreamName::Key(key.id().parse().unwrap());
        let streams = [
            (Whose::Org, StreamName::Org(org.id.parse().unwrap())),
            (Whose::Cut, key(&org.cut)),
            (Whose::Earlier, key(&org.earlier)),
        ];
        let store = self.nemo.open_store().await;
        let mut events = BTreeMap::new();
        for (whose, stream) in streams {
            let read = store.read_stream(&stream, Revision(0), Direction::Forwards, MAX_PAGE).await.unwrap();
            let kinds = read.iter().map(|record| record.event.event_type.to_string()).collect();
            events.insert(whose, kinds);
        }
        store.close().await;
        events
    }
}

impl Org {
    async fn set_limit(&self, limit: i128) {
        set(&self.nemo, &self.id, total(limit)).await.ok();
    }

    /// What was cut is asked for again, and another key spends the rest; in either order.
    async fn goes_on(&self, cut: Cut, first: First, told: &str) {
        if first == First::TheSame {
            if cut == Cut::Budgets {
                self.set_limit(self.limit).await;
            }
            self.call_again(told).await;
            self.spend_the_rest(self.limit, told).await;
            return;
        }
        self.spend_the_rest(self.limit, told).await;
        let raised = self.limit + self.holds[&LARGE];
        self.set_limit(raised).await;
        self.call_again(told).await;
        self.spend_the_rest(raised, told).await;
    }

    async fn call_again(&self, told: &str) {
        let before = self.cut.calls().await.len();
        let again = self.cut.chat(json!({ "max_tokens": LARGE })).await;
        assert_eq!(again.status, 200, "{told}: {}", again.text());
        assert_eq!(self.cut.ended_calls().await.len(), before + 1, "{told}");
    }

    /// The key that had no part in it calls until not even a small call fits, and no other is refused before.
    async fn spend_the_rest(&self, limit: i128, told: &str) {
        for size in SIZES {
            let refused = loop {
                let answer = self.other.chat(json!({ "max_tokens": size })).await;
                if answer.status != 200 {
                    break answer;
                }
                self.other.ended_calls().await;
            };
            assert_eq!(
                (refused.status, refused.code().as_str()),
                (402, "budget_exceeded"),
                "{told}: {refused:?}"
            );
            let left = limit - self.is_within(limit, told).await;
            let hold = self.holds[&size];
            assert!(left < hold, "{told}: {left} are left, a call of {size} tokens holds {hold}");
        }
        let mut billed = 0;
        for key in self.keys() {
            key.books_balance().await;
            billed += key.provider_bill();
        }
        assert_eq!(self.is_within(limit, told).await, billed, "{told}: the provider's bill is the ledger");
    }

    /// What all keys were charged and hold is within the budget, and what the org says of it adds up; the sum.
    async fn is_within(&self, limit: i128, told: &str) -> i128 {
        let mut sum = 0;
        for key in self.keys() {
            let shown = key.shown().await;
            let windows = shown["windows"].as_array().unwrap();
            let all = windows.iter().find(|window| window["window"] == "total").unwrap();
            sum += nanos(&all["settled"]) + nanos(&all["held"]);
        }
        assert!(sum <= limit, "{told}: {sum} of {limit}");
        let budget = shown(&self.nemo, &self.id).await["budgets"][0].clone();
        adds_up(&budget);
        assert_eq!(nanos(&budget["limit"]), limit, "{told}: {budget}");
        sum
    }

    fn keys(&self) -> [&Key; 3] {
        [&self.cut, &self.earlier, &self.other]
    }
}

fn total(limit: i128) -> Value {
    let dollars = format!("{}.{:09}", limit / 1_000_000_000, limit % 1_000_000_000);
    json!([{"window": "total", "limit": dollars}])
}
