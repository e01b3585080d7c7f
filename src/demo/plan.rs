//! What happens, and when: the daily work of every key and the story around it, in order of time.
//!
//! A plan is a pure function of its first day and of the stretch that is asked for, so that a demo that was
//! interrupted, or started again days later, goes on where its ledger ends. Nothing in it is decided: the
//! ledger will refuse what must be refused.

use std::net::Ipv4Addr;

use chrono::{Days, NaiveDate};
use nemo_events::key::Labels;
use nemo_events::{CallId, RequestId, Timestamp, Usage};

use super::cast::{Limits, Org, ROLES, Role};
use super::{day, story};

/// One thing that happens.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) at: Timestamp,
    pub(super) act: Act,
}

/// What is asked of the ledger.
#[derive(Debug)]
pub(super) enum Act {
    Call(Box<Call>),
    CreateKey(&'static Role),
    /// With the overlap in seconds.
    Rotate(&'static Role, u32),
    /// Unconfirmed calls turn out to have cost nothing.
    CorrectUnconfirmed(&'static str),
    Manage(Change),
    /// Strings that are no key of ours, from one address.
    Strangers(Ipv4Addr, u32),
}

/// What a manager changes.
#[derive(Debug)]
pub(super) enum Change {
    CreateOrg(&'static Org),
    Suspend(&'static Org, &'static str),
    Resume(&'static Org),
    Relabel(&'static Role, Labels),
    SetLimits(&'static Role, Limits),
    Block(&'static Role, &'static str),
    Revoke(&'static Role, &'static str),
    /// A model that was billed above its hold may be called again.
    ClearModel(&'static Role, &'static str),
}

/// A call as its client and its provider would have it.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) id: CallId,
    pub(super) request: RequestId,
    pub(super) role: &'static Role,
    /// The secret that is presented, if not the current one.
    pub(super) secret_version: Option<u32>,
    pub(super) model: &'static str,
    pub(super) usage: Usage,
    /// The request's size as a bound of its tokens.
    pub(super) input_bound: u64,
    pub(super) output_limit: Option<u64>,
    pub(super) streams: bool,
    pub(super) address: Ipv4Addr,
    pub(super) agent: &'static str,
    pub(super) first_byte_ms: u64,
    pub(super) duration_ms: u64,
    pub(super) end: End,
}

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Completed,
    /// The provider reports far more output than it was allowed.
    AboveItsBound,
    ClientLeft,
    /// The provider's status.
    ProviderRefused(u16),
    ProviderFailed(u16),
    NotConnected,
    Silence,
}

/// How many days of past a new demo has, today not counted.
pub(super) const DAYS: u64 = 30;

/// Everything that happens after one moment and is over before another, in order.
pub(super) fn between(first_day: NaiveDate, after: Timestamp, until: Timestamp) -> Vec<Step> {
    let mut steps: Vec<Step> = story::acts(first_day).collect();
    // Of a demo that lay idle for long, only the last days are filled in.
    let last = until.to_datetime().date_naive();
    let earliest = last.checked_sub_days(Days::new(DAYS)).unwrap_or(last).max(first_day);
    for (number, date) in first_day.iter_days().take_while(|date| *date <= last).enumerate() {
        if date >= earliest && date >= after.to_datetime().date_naive() {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            steps.extend(ROLES.iter().flat_map(|role| day::calls(role, number, date)));
            steps.extend(story::calls(number, date));
        }
    }
    steps.retain(|step| step.at > after && step.act.over_at(step.at) < until);
    steps.sort_by_key(|step| step.at);
    steps
}

impl Act {
    fn over_at(&self, at: Timestamp) -> Timestamp {
        match self {
            Self::Call(call) => call.over_at(at),
            _ => at,
        }
    }
}

impl Call {
    /// When it ends, if it begins at `at`.
    pub(super) fn over_at(&self, at: Timestamp) -> Timestamp {
        let micros = i64::try_from(self.duration_ms).unwrap_or(i64::MAX).saturating_mul(1_000);
        Timestamp::from_micros(at.as_micros().saturating_add(micros))
    }
}
