//! One key's work on one day. The same key and day give the same calls, whoever asks and whenever.

use std::net::Ipv4Addr;

use chrono::NaiveDate;
use nemo_events::{CallId, RequestId, Timestamp, Usage};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use uuid::Builder;

use super::cast::{Role, Work};
use super::plan::{Act, Call, End, Step};
use super::rhythm::is_weekend;
use super::story;

/// All demos are alike.
const SEED: u64 = 0x6e65_6d6f;
/// Bytes of a request for each of its tokens, in tenths: what the cheap bound of the input sees.
const BYTES_PER_TEN_TOKENS: u64 = 36;

/// The calls that a key makes on the day of this number.
pub(super) fn calls(role: &'static Role, number: i64, date: NaiveDate) -> Vec<Step> {
    if number < role.from_day {
        return Vec::new();
    }
    let mut dice = dice(role, number);
    let count = count(&role.work, number, date, &mut dice);
    let count = count.saturating_mul(story::times_as_many(role, number));
    (0..count).filter_map(|_| call(role, number, date, &mut dice)).collect()
}

/// Chance that depends on nothing but the key and the day.
pub(super) fn dice(role: &Role, number: i64) -> Xoshiro256PlusPlus {
    let name = role.id.bytes().fold(SEED, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    Xoshiro256PlusPlus::seed_from_u64(name.wrapping_add(number.unsigned_abs().wrapping_mul(0x9e37_79b9)))
}

fn count(work: &Work, number: i64, date: NaiveDate, dice: &mut Xoshiro256PlusPlus) -> u32 {
    let share = if is_weekend(date) { work.weekend_percent } else { 100 };
    let day = u32::try_from(number).unwrap_or(u32::MAX);
    let grown = work.growth_permille.saturating_mul(day.min(120)).saturating_add(1_000);
    let usual = work.per_day.saturating_mul(share).saturating_mul(grown) / 100_000;
    usual.saturating_mul(dice.random_range(80..=120)) / 100
}

fn call(role: &'static Role, number: i64, date: NaiveDate, dice: &mut Xoshiro256PlusPlus) -> Option<Step> {
    let work = &role.work;
    let at = work.rhythm.moment(date, dice);
    let input = dice.random_range(work.input.0..work.input.1);
    let output = dice.random_range(work.output.0..work.output.1);
    let streams = dice.random_range(0..100) < work.streams_percent;
    let ([a, b, c], hosts) = work.network;
    let mut call = Call {
        secret_version: None,
        address: Ipv4Addr::new(a, b, c, dice.random_range(0..hosts).saturating_add(10)),
        agent: work.agent,
        // Chats leave the limit to Nemo; programs state one.
        output_limit: (!streams).then(|| work.output.1.next_power_of_two()),
        ..base(role, pick(work.models, dice)?, (input, output), at, dice)
    };
    call.streams = streams;
    call.end = usual_end(&call, dice);
    story::befall(&mut call, number, at);
    story::is_made(&call, number, at).then(|| Step { at, act: Act::Call(Box::new(call)) })
}

/// A call of the current secret that completes.
pub(super) fn base(
    role: &'static Role,
    model: &'static str,
    (input, output): (u64, u64),
    at: Timestamp,
    dice: &mut Xoshiro256PlusPlus,
) -> Call {
    let first_byte_ms = dice.random_range(280..1_900);
    let tokens_per_second = dice.random_range(45..110);
    // A share of most prompts is the same as last time.
    let cache_read =
        if model.starts_with("claude") { input.saturating_mul(dice.random_range(0..7)) / 10 } else { 0 };
    Call {
        id: CallId::from_uuid(uuid(at, dice)),
        request: RequestId::from_uuid(uuid(at, dice)),
        role,
        secret_version: None,
        model,
        usage: Usage { input: input.saturating_sub(cache_read), cache_read, output, ..Usage::default() },
        input_bound: input.saturating_mul(BYTES_PER_TEN_TOKENS) / 10,
        output_limit: None,
        streams: false,
        address: Ipv4Addr::UNSPECIFIED,
        agent: "",
        first_byte_ms,
        duration_ms: (output.saturating_mul(1_000) / tokens_per_second).saturating_add(first_byte_ms),
        end: End::Completed,
    }
}

/// Most calls complete; providers being what they are, some do not.
fn usual_end(call: &Call, dice: &mut Xoshiro256PlusPlus) -> End {
    match dice.random_range(0..1_000) {
        0..=14 if call.streams => End::ClientLeft,
        15..=21 => End::ProviderRefused(429),
        22..=25 => End::ProviderFailed(503),
        26..=27 => End::Silence,
        _ => End::Completed,
    }
}

fn pick(weighted: &[(&'static str, u32)], dice: &mut Xoshiro256PlusPlus) -> Option<&'static str> {
    let mut at = dice.random_range(0..weighted.iter().map(|(_, weight)| *weight).sum::<u32>());
    let found = weighted.iter().find(|(_, weight)| {
        let here = at < *weight;
        at = at.saturating_sub(*weight);
        here
    });
    found.map(|(name, _)| *name)
}

/// A UUID of version 7 as the gateway would have made it then.
fn uuid(at: Timestamp, dice: &mut Xoshiro256PlusPlus) -> uuid::Uuid {
    let millis = u64::try_from(at.as_micros() / 1_000).unwrap_or_default();
    Builder::from_unix_timestamp_millis(millis, &dice.random()).into_uuid()
}
