//! What happens besides the daily work. Days are counted from the demo's first; a new demo is in its thirtieth.
//!
//! | day | |
//! | --- | --- |
//! | 10 | the notebooks are given another cost centre |
//! | 11 | OpenAI's stand-in is down for half an hour; the next morning what was unconfirmed is corrected |
//! | 14 | the mobile app's key is rotated; some phones keep the old one for too long |
//! | 17 | a provider reports more than a call's bounds: the model is refused to that key until it is cleared |
//! | 21 | the nightly report's loop runs away into its budget; the next day it gets a larger one |
//! | 23 | the partner's key leaks: strange addresses and models, blocked, revoked, replaced |
//! | 26 | the partner's org is suspended for two hours |

use std::net::Ipv4Addr;

use chrono::NaiveDate;
use nemo_events::Timestamp;
use nemo_events::key::Labels;
use nemo_events::limits::WindowKind;
use rand::RngExt;

use super::cast::{INVOICES, Limits, MOBILE, NIGHTLY, ORGS, PARTNER, ROLES, Role, SANDBOX, TRADER};
use super::day::{base, dice};
use super::plan::{Act, Call, Change, End, Step};
use super::rhythm::midnight;

const OUTAGE: i64 = 11;
const ROTATION: i64 = 14;
const ABOVE_BOUND: i64 = 17;
const RUNAWAY: i64 = 21;
const LEAK: i64 = 23;
const SUSPENSION: i64 = 26;

/// How long a phone may go on with the old key.
const OVERLAP_SECS: u32 = 2 * 24 * 3_600;

/// Minutes of a day.
const fn at(hour: i64, minute: i64) -> i64 {
    hour * 60 + minute
}

fn moment(first_day: NaiveDate, day: i64, minutes: i64) -> Timestamp {
    let secs = day.saturating_mul(1_440).saturating_add(minutes).saturating_mul(60);
    midnight(first_day).plus_secs(secs)
}

/// What managers do, and strangers.
pub(super) fn acts(first_day: NaiveDate) -> impl Iterator<Item = Step> {
    let step = move |(day, minutes, act)| Step { at: moment(first_day, day, minutes), act };
    // A minute apart: what was interrupted goes on behind the last one that was written.
    let orgs =
        (0..).zip(ORGS).map(|(minute, org)| (0, at(0, 1) + minute, Act::Manage(Change::CreateOrg(org))));
    let keys = (0..).zip(ROLES).map(|(minute, role)| {
        let minutes = if role.from_day == 0 { at(0, 5) } else { at(9, 41) };
        (role.from_day, minutes + minute, Act::CreateKey(role))
    });
    orgs.chain(keys).chain(management()).map(step)
}

fn management() -> [(i64, i64, Act); 12] {
    let larger = Limits { budgets: &[(WindowKind::Day, 900)], ..NIGHTLY.limits };
    let moved = Labels { cost_centre: Some("applied-research".to_owned()), ..SANDBOX.labels() };
    [
        (4, at(3, 12), Act::Strangers(Ipv4Addr::new(203, 0, 113, 7), 214)),
        (10, at(9, 5), Act::Manage(Change::Relabel(&SANDBOX, moved))),
        (OUTAGE + 1, at(8, 50), Act::CorrectUnconfirmed("not on the provider's usage export of that day")),
        (ROTATION, at(10, 0), Act::Rotate(&MOBILE, OVERLAP_SECS)),
        (ABOVE_BOUND, at(15, 20), Act::Manage(Change::ClearModel(&INVOICES, "gpt-4o"))),
        (19, at(4, 40), Act::Strangers(Ipv4Addr::new(203, 0, 113, 7), 61)),
        (RUNAWAY + 1, at(8, 31), Act::Manage(Change::SetLimits(&NIGHTLY, larger))),
        (
            LEAK,
            at(8, 12),
            Act::Manage(Change::Block(&PARTNER, "addresses and models that are not the partner's")),
        ),
        (LEAK, at(9, 30), Act::Manage(Change::Revoke(&PARTNER, "leaked: found in a public repository"))),
        (SUSPENSION, at(9, 0), Act::Manage(Change::Suspend(&TRADER, "invoice 2217 is unpaid"))),
        (SUSPENSION, at(11, 4), Act::Manage(Change::Resume(&TRADER))),
        (27, at(2, 25), Act::Strangers(Ipv4Addr::new(203, 0, 113, 91), 38)),
    ]
}

/// How many times the usual work a key does.
pub(super) fn times_as_many(role: &Role, day: i64) -> u32 {
    if is(role, &NIGHTLY) && day == RUNAWAY { 6 } else { 1 }
}

/// What befalls a call of the daily work.
pub(super) fn befall(call: &mut Call, day: i64, at_: Timestamp) {
    let minutes = minute_of_day(at_);
    if day == OUTAGE && (at(14, 5)..at(14, 35)).contains(&minutes) && !call.model.starts_with("claude") {
        call.end = match call.input_bound % 3 {
            0 => End::ProviderFailed(503),
            1 => End::NotConnected,
            _ => End::Silence,
        };
    }
    if is(call.role, &INVOICES) && day == ABOVE_BOUND && (at(11, 0)..at(13, 0)).contains(&minutes) {
        call.end = End::AboveItsBound;
    }
    // By the hundred, fewer phones have the old key every day.
    let old_phones = ROTATION.saturating_mul(20).saturating_add(90).saturating_sub(day.saturating_mul(20));
    let after = day > ROTATION || (day == ROTATION && minutes > at(10, 0));
    if is(call.role, &MOBILE) && after && i64::from(call.id.as_uuid().as_bytes()[15]) * 100 / 256 < old_phones
    {
        call.secret_version = Some(1);
    }
}

/// Whether there is somebody who makes a call: not before the key was handed out, nor long after it was revoked.
pub(super) fn is_made(call: &Call, day: i64, at_: Timestamp) -> bool {
    let is_late = minute_of_day(at_) > at(10, 5);
    let has_begun = day > call.role.from_day || is_late;
    let goes_on = !is(call.role, &PARTNER) || day < LEAK || (day == LEAK && !is_late);
    has_begun && goes_on
}

/// Calls of whoever found the partner's key.
pub(super) fn calls(day: i64, date: NaiveDate) -> Vec<Step> {
    let (from, until, count) = match day {
        LEAK => (at(1, 52), at(9, 58), 120),
        24..=26 => (at(0, 0), at(24, 0), 9),
        _ => return Vec::new(),
    };
    // Another seed than that of the partner's own work.
    let mut dice = dice(&PARTNER, day.saturating_add(1_000));
    let models = ["gpt-4o", "gpt-4.1", "claude-opus-4-5", "o3"];
    let thief = |_| {
        let secs = dice.random_range(from * 60..until * 60);
        let moment = midnight(date).plus_secs(secs);
        let tokens = (dice.random_range(2_000..20_000), dice.random_range(1_000..4_000));
        let model = models.get(dice.random_range(0..models.len())).copied().unwrap_or("gpt-4o");
        let host = if dice.random_range(0..3) == 0 { 91 } else { 66 };
        let call = Call {
            address: Ipv4Addr::new(203, 0, 113, host),
            agent: "python-requests/2.31.0",
            output_limit: Some(4_096),
            ..base(&PARTNER, model, tokens, moment, &mut dice)
        };
        Step { at: moment, act: Act::Call(Box::new(call)) }
    };
    (0..count).map(thief).collect()
}

fn is(one: &Role, other: &Role) -> bool {
    one.id == other.id
}

fn minute_of_day(at: Timestamp) -> i64 {
    at.as_micros() / (60 * nemo_events::time::MICROS_PER_SEC) % 1_440
}
