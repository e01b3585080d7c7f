//! Attribution adds up, whatever happened.

#![expect(clippy::arithmetic_side_effects, clippy::panic, reason = "a test fails loudly")]

use super::*;
use nemo_events::Digest;
use nemo_events::key::{CallForfeited, CallSettled, CallVoided, ForfeitReason, RefusalCount, VoidReason};
use proptest::prelude::*;
use uuid::Uuid;

/// A key's use under test, with a plain list of its calls beside it.
struct Story {
    attribution: Attribution,
    now: Timestamp,
    revision: u64,
    calls: Vec<Call>,
}

struct Call {
    id: CallId,
    authorized_at: Timestamp,
    model: u32,
    charged: Option<i64>,
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

fn read<T: serde::de::DeserializeOwned>(event: &serde_json::Value) -> T {
    T::deserialize(event).unwrap_or_else(|e| panic!("{e}"))
}

impl Story {
    fn starting(at: &str) -> Self {
        Self { attribution: Attribution::default(), now: time(at), revision: 0, calls: Vec::new() }
    }

    fn happen(&mut self, event: impl Into<KeyEvent>) {
        let at = At { revision: Revision(self.revision), time: self.now };
        self.revision += 1;
        self.attribution.evolve(&event.into(), at).unwrap_or_else(|e| panic!("{e}"));
    }

    fn authorize(&mut self, model: u32) -> CallId {
        let id = CallId::from_uuid(Uuid::from_u128(self.calls.len() as u128));
        self.calls.push(Call { id, authorized_at: self.now, model, charged: None });
        let hold = serde_json::json!({"amount": "1", "input_amount": "1", "input_tokens": 1,
            "output_tokens": 1, "basis": "bytes"});
        let event: CallAuthorized = read(&serde_json::json!({"call": id, "request": Uuid::nil(),
            "attempt": 1, "secret_version": 1, "endpoint": "messages", "model": "asked", "provider": "p",
            "provider_model": format!("m{model}"), "price_card": Digest::ZERO, "hold": hold,
            "output_limit": 1, "deadline": self.now, "labels_revision": 0,
            "client": {"address": format!("10.0.0.{model}"), "user_agent": "curl"}}));
        self.happen(event);
        id
    }

    fn settle(&mut self, call: CallId, cost: i64, evidence: Evidence) {
        self.charge(call, cost);
        let event: CallSettled = read(&serde_json::json!({"call": call, "usage": {},
            "cost": Nanos::from_nanos(cost), "evidence": evidence, "ending": "completed", "duration_ms": 0}));
        self.happen(event);
    }

    fn forfeit(&mut self, call: CallId, charged: i64) {
        self.charge(call, charged);
        let (charged, reason) = (Nanos::from_nanos(charged), ForfeitReason::Reset);
        self.happen(CallForfeited { call, charged, reason });
    }

    fn void(&mut self, call: CallId) {
        self.charge(call, 0);
        let (reason, status, duration_ms) = (VoidReason::NotSent, None, 0);
        self.happen(CallVoided { call, reason, status, duration_ms });
    }

    fn correct(&mut self, call: CallId, charged: i64) {
        let before = self.charge(call, charged);
        let ended = self.calls.iter().find(|c| c.id == call).map(|c| c.authorized_at);
        self.happen(CallCorrected {
            call,
            charged_before: Nanos::from_nanos(before),
            charged: Nanos::from_nanos(charged),
            ended_at: Revision(0),
            authorized_at: ended.unwrap_or(Timestamp::EPOCH),
            allotted: false,
            usage: None,
            reason: "evidence".into(),
        });
    }

    fn charge(&mut self, call: CallId, cost: i64) -> i64 {
        let found = self.calls.iter_mut().find(|c| c.id == call);
        found.and_then(|c| c.charged.replace(cost)).unwrap_or_default()
    }

    fn naive(&self, counts: impl Fn(&Call) -> bool) -> Used {
        let ended = self.calls.iter().filter(|c| c.charged.is_some() && counts(c));
        ended.fold(Used::default(), |sum, c| Used {
            calls: sum.calls + 1,
            spend: Nanos::from_nanos(sum.spend.as_nanos() + c.charged.unwrap_or_default()),
        })
    }
}

#[test]
fn spend_counts_in_the_day_and_month_of_the_authorisation() {
    let mut story = Story::starting("2026-11-30T23:59:59Z");
    let (old, new) = (story.authorize(1), story.authorize(1));
    story.settle(old, 5, Evidence::Reported);
    assert_eq!(story.attribution.day(story.now), Used { calls: 1, spend: Nanos::from_nanos(5) });
    story.now = time("2026-12-01T00:00:01Z");
    story.settle(new, 7, Evidence::Reported);
    assert_eq!(story.attribution.day(story.now), Used::default());
    assert_eq!(story.attribution.month(story.now), Used::default());
    assert_eq!(story.attribution.total.spend, Nanos::from_nanos(12));
}

#[test]
fn a_correction_clears_the_doubt_once() {
    let mut story = Story::starting("2026-11-22T12:00:00Z");
    let (lost, guessed) = (story.authorize(1), story.authorize(2));
    story.forfeit(lost, 100);
    story.settle(guessed, 40, Evidence::Estimated);
    assert_eq!((story.attribution.unconfirmed, story.attribution.estimated), (1, 1));
    story.correct(lost, 30);
    story.correct(lost, 20);
    story.correct(guessed, 10);
    assert_eq!((story.attribution.unconfirmed, story.attribution.estimated), (0, 0));
    let spend: Vec<i64> = story.attribution.models().iter().map(|m| m.used.spend.as_nanos()).collect();
    assert_eq!(spend, [20, 10]);
}

#[test]
fn lists_stay_bounded_and_count_the_rest() {
    let mut story = Story::starting("2026-11-22T12:00:00Z");
    for model in 0..100 {
        let call = story.authorize(model);
        story.settle(call, 1, Evidence::Reported);
        let (code, address, other_addresses) = (format!("code{model}"), None, None);
        let refusals = vec![RefusalCount { code, address, other_addresses, count: 2 }];
        story.happen(CallsRefused { since: story.now, refusals, alerts: Vec::new() });
    }
    let attribution = &story.attribution;
    assert_eq!((attribution.addresses.values.len(), attribution.addresses.more_calls), (64, 36));
    assert_eq!(attribution.user_agents.values.first().map(|seen| seen.calls), Some(100));
    assert_eq!((attribution.refusals.len(), attribution.refusals_other), (64, 72));
    let shown = attribution.top_models().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((shown.top.len(), shown.other.calls), (16, 84));
}

#[test]
fn an_end_without_a_beginning_stops_the_fold() {
    let call = CallId::from_uuid(Uuid::nil());
    let voided = CallVoided { call, reason: VoidReason::NotSent, status: None, duration_ms: 0 };
    let at = At { revision: Revision(1), time: Timestamp::EPOCH };
    assert!(Attribution::default().evolve(&voided.into(), at).is_err());
}

proptest! {
    #[test]
    fn models_and_other_add_up_to_the_total(
        steps in prop::collection::vec((0_u8..6, 0_usize..200, 0_u32..80, 0_i64..1000), 1..200),
    ) {
        let mut story = Story::starting("2026-11-29T00:00:00Z");
        for (step, which, model, cost) in steps {
            story.now = story.now.plus_secs(1 + i64::from(model) * 100);
            let open: Vec<CallId> =
                story.calls.iter().filter(|c| c.charged.is_none()).map(|c| c.id).collect();
            let ended: Vec<CallId> =
                story.calls.iter().filter(|c| c.charged.is_some()).map(|c| c.id).collect();
            let pick = |from: &[CallId]| from.get(which % from.len().max(1)).copied();
            match (step, pick(&open), pick(&ended)) {
                (2, Some(call), _) => story.settle(call, cost, Evidence::Reported),
                (3, Some(call), _) => story.settle(call, cost, Evidence::Estimated),
                (4, Some(call), _) => story.forfeit(call, cost),
                (5, Some(call), _) if cost < 500 => story.void(call),
                (5, _, Some(call)) => story.correct(call, cost),
                _ => {
                    story.authorize(model);
                }
            }
        }
        let sum = |parts: &[ModelUse], other: Used| parts.iter().fold(
            (other.calls, other.spend.as_nanos()),
            |(calls, spend), m| (calls + m.used.calls, spend + m.used.spend.as_nanos()),
        );
        let now = story.now;
        let (attribution, total) = (&story.attribution, story.naive(|_| true));
        let shown = attribution.top_models().unwrap_or_else(|e| panic!("{e}"));
        prop_assert_eq!(attribution.total, total);
        prop_assert_eq!(sum(attribution.models(), attribution.other), (total.calls, total.spend.as_nanos()));
        prop_assert_eq!(sum(&shown.top, shown.other), (total.calls, total.spend.as_nanos()));
        for (kind, used) in [(WindowKind::Day, attribution.day(now)), (WindowKind::Month, attribution.month(now))] {
            let start = window_start(kind, now);
            prop_assert_eq!(used, story.naive(|c| window_start(kind, c.authorized_at) == start));
        }
        if story.calls.iter().all(|c| c.model < 64) {
            prop_assert!(attribution.other.calls == 0);
        }
        let text = serde_json::to_string(attribution).unwrap_or_else(|e| panic!("{e}"));
        prop_assert_eq!(&serde_json::from_str::<Attribution>(&text).ok(), &Some(attribution.clone()));
    }
}
