//! The plan is the same whoever asks, and what is written of it is a whole ledger.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at its first surprise"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use chrono::{Datelike, Days, NaiveDate};
use nemo_events::limits::WindowKind;
use nemo_events::{EventRecord, KeyEvent, Nanos, StreamName, Timestamp};
use nemo_store::{EventStore, MAX_PAGE, MemoryStore};
use tempfile::TempDir;

use super::cast::{NIGHTLY, ROLES, Role, SANDBOX, TRAINEE, cents};
use super::plan::{Act, Call, Change, Step, between};
use super::rhythm::{is_weekend, midnight};
use super::write::Writer;
use crate::auth::secrets::Secrets;
use crate::catalogue::Catalogue;
use crate::clock::ManualClock;
use crate::config::{Config, Environment};
use crate::ledger::{Ledger, LedgerOptions, NoSnapshots};
use crate::providers::Providers;

fn first_day() -> NaiveDate {
    "2026-10-23".parse().unwrap()
}

fn now() -> Timestamp {
    "2026-11-22T09:00:00Z".parse().unwrap()
}

fn whole() -> Vec<Step> {
    between(first_day(), midnight(first_day()), now())
}

fn calls(steps: &[Step]) -> impl Iterator<Item = (Timestamp, &Call)> {
    steps.iter().filter_map(|step| match &step.act {
        Act::Call(call) => Some((step.at, call.as_ref())),
        _ => None,
    })
}

#[test]
fn a_plan_asked_for_in_pieces_is_the_same_plan() {
    let shown = |steps: &[Step]| steps.iter().map(|step| format!("{step:?}")).collect::<Vec<_>>();
    let middle = "2026-11-07T11:11:11Z".parse().unwrap();
    let later = between(first_day(), middle, now());
    let all = whole();
    let from = all.iter().position(|step| step.at > middle).unwrap();
    assert_eq!(shown(&all[from..]), shown(&later));
    assert_eq!(shown(&all), shown(&whole()));
}

#[test]
fn work_follows_the_week_and_grows() {
    let all = whole();
    let mut by_day: BTreeMap<NaiveDate, u32> = BTreeMap::new();
    for (at, call) in calls(&all).filter(|(_, call)| call.role.id == "DemoSupport") {
        assert!(call.over_at(at) < now());
        *by_day.entry(at.to_datetime().date_naive()).or_default() += 1;
    }
    let busiest =
        |weekend| by_day.iter().filter(|(day, _)| is_weekend(**day) == weekend).map(|(_, n)| *n).max();
    assert!(busiest(true) < busiest(false).map(|most| most / 2), "{by_day:?}");
    let shop = |week: u64| {
        let (from, to) = (first_day() + Days::new(7 * week), first_day() + Days::new(7 * week + 7));
        let in_it = |at: Timestamp| (from..to).contains(&at.to_datetime().date_naive());
        calls(&all).filter(|(at, call)| call.role.id == "DemoShopBot" && in_it(*at)).count()
    };
    assert!(shop(3) > shop(1) * 5 / 4, "{} {}", shop(1), shop(3));
}

#[test]
fn call_ids_are_told_apart() {
    let all = whole();
    let ids: BTreeSet<_> = calls(&all).map(|(_, call)| call.id).collect();
    assert_eq!(ids.len(), calls(&all).count());
}

#[test]
fn a_demo_that_lay_idle_is_filled_in_for_thirty_days_only() {
    let after = midnight("2026-12-01".parse().unwrap());
    let steps = between(first_day(), after, midnight("2027-06-01".parse().unwrap()));
    let first = steps.first().unwrap().at.to_datetime().date_naive();
    assert_eq!((first.year(), first.month()), (2027, 5));
}

struct Written {
    records: Vec<EventRecord>,
    _home: TempDir,
}

/// Writes it into a ledger in memory.
async fn written(steps: Vec<Step>) -> Written {
    written_until(steps, midnight(first_day()), now()).await
}

async fn written_until(steps: Vec<Step>, from: Timestamp, until: Timestamp) -> Written {
    let home = TempDir::new().unwrap();
    let (secrets, _) = Secrets::open_or_create(&home.path().join("secrets")).unwrap();
    let toml = super::toml("127.0.0.1:1".parse().unwrap());
    let config = Config::from_toml(&toml, Path::new("demo"), &Environment::default()).unwrap();
    let providers = Providers::new(&config, &Catalogue::embedded().unwrap(), None).unwrap();
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let clock = Arc::new(ManualClock::new(from));
    let options = LedgerOptions {
        store: Arc::clone(&store),
        clock: clock.clone(),
        node: "demo".parse().unwrap(),
        accounts_max_bytes: 1 << 26,
        snapshots: Arc::new(NoSnapshots),
    };
    let ledger = Ledger::open(options).await.unwrap();
    let work = Arc::clone(&ledger);
    let writing = async move {
        Writer::new(&work, &clock, &secrets, &providers).write(steps, until, |_| {}).await.unwrap();
    };
    tokio::spawn(writing).await.unwrap();
    ledger.drain().await;
    let mut records = Vec::new();
    loop {
        let page = store.read_all(records.last().map(|r: &EventRecord| r.position), MAX_PAGE).await.unwrap();
        if page.is_empty() {
            return Written { records, _home: home };
        }
        records.extend(page);
    }
}

impl Written {
    fn count(&self, kind: &str) -> usize {
        self.records.iter().filter(|record| record.event.event_type == kind).count()
    }

    /// What a key was charged.
    fn charged(&self, role: &Role) -> Nanos {
        let stream = StreamName::Key(role.key().unwrap());
        let of_key = self.records.iter().map(|record| &record.event).filter(|event| event.stream == stream);
        let charges = of_key.map(|event| {
            match KeyEvent::decode(&event.event_type, event.version, &event.data).unwrap() {
                KeyEvent::CallSettled(settled) => settled.cost.as_nanos(),
                KeyEvent::CallForfeited(forfeited) => forfeited.charged.as_nanos(),
                KeyEvent::CallCorrected(corrected) => {
                    corrected.charged.as_nanos() - corrected.charged_before.as_nanos()
                }
                _ => 0,
            }
        });
        Nanos::from_nanos(charges.sum())
    }

    fn says(&self, kind: &str, part: &str) -> bool {
        let mut of_kind = self.records.iter().filter(|record| record.event.event_type == kind);
        of_kind.any(|record| String::from_utf8_lossy(&record.event.data).contains(part))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_has_everything_in_it_ends_every_call_and_is_in_order() {
    let past = written(whole()).await;
    let ends = ["CallSettled", "CallVoided", "CallForfeited"].map(|kind| past.count(kind));
    assert_eq!(past.count("CallAuthorized"), ends.iter().sum::<usize>());
    assert!(ends.iter().all(|count| *count > 10), "{ends:?}");
    for kind in [
        "OrgSuspended",
        "OrgResumed",
        "KeyRelabelled",
        "KeyLimitsSet",
        "KeyBlocked",
        "KeySecretRotated",
        "KeyRevoked",
        "CallCorrected",
        "CallsRefused",
        "PresentationsRefused",
    ] {
        assert!(past.count(kind) > 0, "no {kind}");
    }
    let refusals = [
        "budget_exceeded",
        "rate_limit_exceeded",
        "model_not_allowed",
        "key_blocked",
        "key_revoked",
        "key_rotated",
        "org_suspended",
    ];
    for code in refusals {
        assert!(past.says("CallsRefused", code), "nothing was refused with {code}");
    }
    assert!(past.says("CallSettled", "estimated"));
    assert_eq!(past.count("KeyCreated"), ROLES.len());
    let times: Vec<_> = past.records.iter().map(|record| record.event.recorded_at).collect();
    let back = times.windows(2).map(|pair| pair[0].micros_since(pair[1])).max().unwrap();
    assert!(back <= 5 * 60_000_000, "positions follow time, but for what is committed together: {back} µs");
    assert!(times.iter().all(|at| *at < now()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runaway_loop_ends_in_its_budget() {
    let past = written(whole()).await;
    let stream = StreamName::Key(NIGHTLY.key().unwrap());
    let of_key = past.records.iter().filter(|record| record.event.stream == stream);
    let refused: Vec<_> = of_key.filter(|record| record.event.event_type == "CallsRefused").collect();
    let day = |record: &&EventRecord| {
        record.event.recorded_at.to_datetime().date_naive() == first_day() + Days::new(21)
    };
    let told =
        |record: &&EventRecord| String::from_utf8_lossy(&record.event.data).contains("budget_exceeded");
    assert!(refused.iter().any(|record| day(record) && told(record)), "{}", refused.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_every_weekday_a_new_demo_has_one_total_that_is_used_up_and_one_that_nearly_is() {
    let mut found = Vec::new();
    for later in 0..7 {
        let first_day = first_day() + Days::new(later);
        let (from, until) = (midnight(first_day), now().plus_secs(i64::try_from(later).unwrap() * 86_400));
        let mut steps = between(first_day, from, until);
        steps.retain(|step| match &step.act {
            Act::CreateKey(role) => [SANDBOX.id, TRAINEE.id].contains(&role.id),
            Act::Call(call) => [SANDBOX.id, TRAINEE.id].contains(&call.role.id),
            Act::Manage(Change::CreateOrg(_)) => true,
            _ => false,
        });
        let past = written_until(steps, from, until).await;
        let permille = |role: &Role| {
            let [(WindowKind::Total, limit)] = role.limits.budgets else {
                panic!("{} has other budgets", role.id)
            };
            past.charged(role).as_nanos() * 1_000 / cents(*limit).as_nanos()
        };
        found.push((permille(&SANDBOX), permille(&TRAINEE)));
    }
    let are_right =
        |(nearly, used_up): &(i64, i64)| (820..960).contains(nearly) && (995..=1_000).contains(used_up);
    assert!(found.iter().all(are_right), "in thousandths: {found:?}");
}
