//! Sums worked out from the events alone, one call after the other.

use std::collections::BTreeMap;

use nemo_events::key::{Evidence, Labels};
use nemo_events::{
    CallId, EventRecord, KeyEvent, KeyId, Nanos, OrgId, Revision, StreamName, Timestamp, Usage,
};
use nemo_read_model::SpendSums;

/// An ended call with all that it is attributed to.
#[derive(Debug, Clone)]
pub struct NaiveCall {
    pub key: KeyId,
    pub org: OrgId,
    pub labels: Labels,
    pub model: String,
    pub claims: Vec<String>,
    pub authorized_at: Timestamp,
    pub ended: bool,
    pub sums: SpendSums,
}

/// Every call of a log.
pub fn calls(records: &[EventRecord]) -> BTreeMap<CallId, NaiveCall> {
    let mut orgs = BTreeMap::new();
    let mut labels: BTreeMap<(KeyId, Revision), Labels> = BTreeMap::new();
    let mut calls: BTreeMap<CallId, NaiveCall> = BTreeMap::new();
    for record in records {
        let StreamName::Key(key) = record.event.stream else { continue };
        let event = &record.event;
        match KeyEvent::decode(&event.event_type, event.version, &event.data).unwrap() {
            KeyEvent::KeyCreated(e) => {
                orgs.insert(key, e.org);
                labels.insert((key, event.revision), e.labels);
            }
            KeyEvent::KeyRelabelled(e) => {
                labels.insert((key, event.revision), e.labels);
            }
            KeyEvent::CallAuthorized(e) => {
                let call = NaiveCall {
                    key,
                    org: orgs[&key],
                    labels: labels[&(key, e.labels_revision)].clone(),
                    model: e.provider_model,
                    claims: e.tags,
                    authorized_at: event.recorded_at,
                    ended: false,
                    sums: SpendSums::default(),
                };
                calls.insert(e.call, call);
            }
            KeyEvent::CallSettled(e) => {
                let sums = end(&mut calls, e.call, e.cost);
                sums.usage = bounded(e.usage);
                sums.estimated = u64::from(e.evidence == Evidence::Estimated);
            }
            KeyEvent::CallVoided(e) => end(&mut calls, e.call, Nanos::ZERO).voided = 1,
            KeyEvent::CallForfeited(e) => end(&mut calls, e.call, e.charged).unconfirmed = 1,
            KeyEvent::CallCorrected(e) => {
                let sums = &mut calls.get_mut(&e.call).unwrap().sums;
                (sums.cost, sums.estimated, sums.unconfirmed) = (e.charged, 0, 0);
                sums.usage = e.usage.map_or(sums.usage, bounded);
            }
            _ => {}
        }
    }
    calls
}

fn end(calls: &mut BTreeMap<CallId, NaiveCall>, call: CallId, cost: Nanos) -> &mut SpendSums {
    let call = calls.get_mut(&call).unwrap();
    call.ended = true;
    (call.sums.calls, call.sums.cost) = (1, cost);
    &mut call.sums
}

fn bounded(usage: Usage) -> Usage {
    Usage { input_audio: usage.input_audio.min(1_000_000_000_000), ..usage }
}

/// Sums of ended calls by a name that each is given.
pub fn sums<N: Ord>(
    calls: &BTreeMap<CallId, NaiveCall>,
    name: impl Fn(&NaiveCall) -> Option<N>,
) -> BTreeMap<N, SpendSums> {
    let mut sums: BTreeMap<N, SpendSums> = BTreeMap::new();
    for call in calls.values().filter(|call| call.ended) {
        if let Some(name) = name(call) {
            let sum = sums.entry(name).or_default();
            *sum = plus(sum, &call.sums);
        }
    }
    sums
}

pub fn plus(a: &SpendSums, b: &SpendSums) -> SpendSums {
    SpendSums {
        calls: a.calls + b.calls,
        voided: a.voided + b.voided,
        estimated: a.estimated + b.estimated,
        unconfirmed: a.unconfirmed + b.unconfirmed,
        cost: a.cost.checked_add(b.cost).unwrap(),
        usage: Usage {
            input: a.usage.input + b.usage.input,
            cache_read: a.usage.cache_read + b.usage.cache_read,
            input_audio: a.usage.input_audio + b.usage.input_audio,
            output: a.usage.output + b.usage.output,
            reasoning: a.usage.reasoning + b.usage.reasoning,
            ..Usage::default()
        },
    }
}
