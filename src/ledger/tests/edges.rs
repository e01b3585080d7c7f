//! Each limit at its very edge, asked of the node that saw it all and of one that starts again over the same
//! store at that moment: both say the same, word for word.

use nemo_events::Timestamp;
use nemo_events::key::KeySecret;
use nemo_events::limits::{Budget, Endpoint, KeyLimits, WhenShort, WindowKind};
use nemo_events::{Digest, Nanos, Usage};
use nemo_projections::Refusal;
use nemo_projections::decide::{Authorize, PresentedSecret, Rotate, SetLimits, Settle};
use nemo_projections::hold::Ask;

use super::support::*;
use crate::ledger::{Authorized, Context, ExecuteError};

/// One step of a story; when, and what.
enum Step {
    /// The call is made.
    Calls(Timestamp, u128),
    /// The call ends and costs its whole hold.
    Costs(Timestamp, u128),
    /// The call ends and costs nothing.
    Voids(Timestamp, u128),
    Limits(Timestamp, KeyLimits),
    /// A new secret, and for how many seconds the old one works on.
    Rotates(Timestamp, u32),
    Admits(Timestamp, Authorize),
    Refuses(Timestamp, Authorize, &'static str),
}

use Step::{Admits, Calls, Costs, Limits, Refuses, Rotates, Voids};

fn full() -> Usage {
    Usage { input: 100, output: 100, ..Usage::default() }
}

async fn plays(limits: KeyLimits, steps: Vec<Step>) {
    let node = node().await;
    let account = node.key(limits).await;
    let mut running: Vec<Authorized> = Vec::new();
    let take = |running: &mut Vec<Authorized>, n| {
        let place = running.iter().position(|running| running.event().call == call_id(n)).unwrap();
        running.swap_remove(place)
    };
    for step in steps {
        match step {
            Calls(when, n) => {
                node.clock.set(when);
                running.push(node.ledger.authorize(&account, call(n)).await.unwrap());
            }
            Costs(when, n) => {
                node.clock.set(when);
                let end = Settle { usage: full(), ..settle(call_id(n)) };
                assert_eq!(take(&mut running, n).settle(end).await.unwrap().charged.as_nanos(), HOLD);
            }
            Voids(when, n) => {
                node.clock.set(when);
                take(&mut running, n).void(void(call_id(n))).await.unwrap();
            }
            Limits(when, limits) => {
                node.clock.set(when);
                let set = SetLimits { limits, bounds: None };
                node.ledger.manage_key(key_id(1), set, Context::system()).await.unwrap();
            }
            Rotates(when, overlap_secs) => {
                node.clock.set(when);
                let rotate = Rotate { secret: another_secret(), overlap_secs, leaked: false };
                node.ledger.manage_key(key_id(1), rotate, Context::system()).await.unwrap();
            }
            Admits(when, command) => asks(&node, when, command, None).await,
            Refuses(when, command, code) => asks(&node, when, command, Some(code)).await,
        }
    }
    node.history(key_id(1)).await;
}

/// Asks the node and one that starts again now, which must say the same.
async fn asks(node: &Node, when: Timestamp, command: Authorize, code: Option<&str>) {
    let again = another_node(&node.store.memory, PACE).await;
    let mut told = Vec::new();
    for node in [node, &again] {
        node.clock.set(when);
        let account = node.account(key_id(1)).await;
        told.push(match node.ledger.consider(&account, command.clone()).await {
            Ok(event) => Ok(event),
            Err(ExecuteError::Refused(refusal)) => Err(refusal),
            Err(error) => panic!("{error}"),
        });
    }
    assert_eq!(told[0], told[1], "the node that started again at {when} says something else");
    assert_eq!(told[0].as_ref().err().map(Refusal::code), code, "at {when}");
}

fn another_secret() -> KeySecret {
    KeySecret { digest: Digest::of(b"another"), last_four: "zzzz".to_owned(), ..secret() }
}

fn with_the_other(n: u128) -> Authorize {
    let KeySecret { pepper, digest, .. } = another_secret();
    Authorize { presented: PresentedSecret { digests: vec![(pepper, digest)] }, ..call(n) }
}

fn budget(window: WindowKind, limit: i64) -> KeyLimits {
    let budget = Budget { window, limit: Nanos::from_nanos(limit), alert_at_percent: None };
    KeyLimits { budgets: vec![budget], ..KeyLimits::default() }
}

fn asking(n: u128, input_tokens: u64, output_limit: impl Into<Option<u64>>) -> Authorize {
    let plain = call(n);
    Authorize { ask: Ask { input_tokens, output_limit: output_limit.into(), ..plain.ask }, ..plain }
}

/// So many microseconds after noon.
fn after(micros: i64) -> Timestamp {
    later(noon(), micros)
}

#[tokio::test]
async fn the_last_nano_dollar_of_every_budget_fits_and_one_more_does_not() {
    for window in WindowKind::ALL {
        plays(
            budget(window, 2 * HOLD),
            vec![
                Calls(noon(), 1),
                Admits(noon(), call(2)),
                Refuses(noon(), asking(2, 101, 100), "budget_held"),
                Costs(after(1), 1),
                Admits(after(1), call(2)),
                Refuses(after(1), asking(2, 101, 100), "budget_exceeded"),
                Limits(after(2), budget(window, 2 * HOLD - 1)),
                Refuses(after(2), call(2), "budget_exceeded"),
                Limits(after(3), budget(window, 2 * HOLD)),
                Calls(after(3), 2),
                Refuses(after(4), asking(3, 1, 0), "budget_held"),
                Admits(after(4), asking(3, 0, 0)),
                Voids(after(5), 2),
                Admits(after(5), call(3)),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn a_budget_is_new_in_the_first_microsecond_of_its_window_and_what_began_before_stays_there() {
    for (window, end) in [
        (WindowKind::Day, "2026-11-19T00:00:00Z"),
        (WindowKind::Day, "2027-01-01T00:00:00Z"),
        (WindowKind::Day, "2028-02-29T00:00:00Z"),
        (WindowKind::Day, "2028-03-01T00:00:00Z"),
        (WindowKind::Week, "2026-11-23T00:00:00Z"),
        (WindowKind::Week, "2027-01-04T00:00:00Z"),
        (WindowKind::Month, "2026-12-01T00:00:00Z"),
        (WindowKind::Month, "2027-01-01T00:00:00Z"),
        (WindowKind::Month, "2027-03-01T00:00:00Z"),
        (WindowKind::Month, "2028-03-01T00:00:00Z"),
    ] {
        let end = at(end);
        plays(
            budget(window, HOLD),
            vec![
                Calls(later(end, -1), 1),
                Refuses(later(end, -1), call(2), "budget_held"),
                Admits(end, call(2)),
                Calls(end, 2),
                Refuses(end, call(3), "budget_held"),
                // It ends after midnight, and is charged to the window before it.
                Costs(later(end, 1), 1),
                Refuses(later(end, 1), call(3), "budget_held"),
                Voids(later(end, 2), 2),
                Admits(later(end, 2), call(3)),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn a_total_is_never_new() {
    plays(
        budget(WindowKind::Total, HOLD),
        vec![
            Calls(noon(), 1),
            Costs(noon(), 1),
            Refuses(at("2027-01-01T00:00:00Z"), call(2), "budget_exceeded"),
            Refuses(at("2999-12-31T23:59:59.999999Z"), call(2), "budget_exceeded"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_budget_that_comes_later_counts_what_its_window_has_spent_and_holds() {
    for window in WindowKind::ALL {
        plays(
            unlimited(),
            vec![
                Calls(noon(), 1),
                Costs(noon(), 1),
                Calls(after(1), 2),
                Limits(after(2), budget(window, 3 * HOLD - 1)),
                Refuses(after(2), call(3), "budget_held"),
                Limits(after(3), budget(window, 3 * HOLD)),
                Admits(after(3), call(3)),
                Costs(after(4), 2),
                Admits(after(4), call(3)),
                Refuses(after(4), asking(3, 101, 100), "budget_exceeded"),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn a_limit_lowered_below_what_is_used_stops_every_call_until_its_window_ends() {
    let below = || budget(WindowKind::Day, HOLD - 1);
    plays(
        budget(WindowKind::Day, 3 * HOLD),
        vec![
            Calls(noon(), 1),
            Calls(noon(), 2),
            Costs(after(1), 1),
            Limits(after(2), below()),
            // Not even a call that costs nothing.
            Refuses(after(2), asking(3, 0, 0), "budget_exceeded"),
            // What runs ends as ever.
            Costs(after(3), 2),
            Refuses(at("2026-11-18T23:59:59.999999Z"), asking(3, 0, 0), "budget_exceeded"),
            Refuses(at("2026-11-19T00:00:00Z"), call(3), "budget_exceeded"),
            Admits(at("2026-11-19T00:00:00Z"), asking(3, 99, 100)),
        ],
    )
    .await;
}

#[tokio::test]
async fn one_call_may_cost_as_much_as_it_may_and_not_a_nano_dollar_more() {
    let limits = |most| KeyLimits { max_call_cost: Some(Nanos::from_nanos(most)), ..unlimited() };
    plays(
        limits(HOLD),
        vec![
            Admits(noon(), call(1)),
            Refuses(noon(), asking(1, 101, 100), "call_too_dear"),
            Limits(noon(), limits(HOLD - 1)),
            Refuses(noon(), call(1), "call_too_dear"),
        ],
    )
    .await;
}

#[tokio::test]
async fn requests_and_tokens_come_free_in_the_very_microsecond() {
    let (third, minute) = (20_000_000, 60_000_000);
    let requests = KeyLimits { requests_per_minute: Some(3), ..unlimited() };
    plays(
        requests,
        vec![
            Calls(noon(), 1),
            Calls(noon(), 2),
            Calls(noon(), 3),
            // An end gives no request back.
            Voids(noon(), 1),
            Refuses(after(third - 1), call(4), "rate_limit_exceeded"),
            Admits(after(third), call(4)),
            Calls(after(third), 4),
            Refuses(after(2 * third - 1), call(5), "rate_limit_exceeded"),
            Admits(after(2 * third), call(5)),
        ],
    )
    .await;
    // Each call is bounded by 200 tokens.
    let tokens = KeyLimits { tokens_per_minute: Some(600), ..unlimited() };
    plays(
        tokens,
        vec![
            Calls(noon(), 1),
            Calls(noon(), 2),
            Calls(noon(), 3),
            Refuses(after(third - 1), call(4), "token_limit_exceeded"),
            Admits(after(third), call(4)),
            Refuses(after(third), asking(4, 101, 100), "token_limit_exceeded"),
            Voids(after(third), 2),
            Admits(after(third), asking(4, 300, 100)),
            Refuses(after(third), asking(4, 301, 100), "token_limit_exceeded"),
            Admits(after(minute), asking(4, 500, 100)),
            Refuses(after(minute), asking(4, 501, 100), "tokens_above_rate"),
        ],
    )
    .await;
}

#[tokio::test]
async fn as_many_calls_run_as_may_and_an_end_makes_room_for_one() {
    plays(
        KeyLimits { concurrent_calls: Some(2), ..unlimited() },
        vec![
            Calls(noon(), 1),
            Admits(noon(), call(2)),
            Calls(noon(), 2),
            Refuses(noon(), call(3), "concurrency_limit_exceeded"),
            Costs(noon(), 1),
            Admits(noon(), call(3)),
            Calls(noon(), 3),
            Refuses(noon(), call(4), "concurrency_limit_exceeded"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_key_expires_and_a_secret_is_rotated_away_in_the_very_microsecond() {
    plays(
        KeyLimits { expires_at: Some(after(1_000)), ..unlimited() },
        vec![Admits(after(999), call(1)), Refuses(after(1_000), call(1), "key_expired")],
    )
    .await;
    let overlap = 60_000_000;
    plays(
        unlimited(),
        vec![
            Refuses(noon(), with_the_other(1), "invalid_api_key"),
            Rotates(noon(), 60),
            Admits(noon(), with_the_other(1)),
            Admits(after(overlap - 1), call(1)),
            Refuses(after(overlap), call(1), "key_rotated"),
            Admits(after(overlap), with_the_other(1)),
        ],
    )
    .await;
}

#[tokio::test]
async fn scopes_and_what_happens_when_short_outlive_a_restart() {
    let limits = KeyLimits {
        models: Some(vec!["lar*".to_owned()]),
        endpoints: Some(vec![Endpoint::ChatCompletions]),
        addresses: Some(vec!["203.0.113.0/29".parse().unwrap()]),
        when_short: WhenShort::Clamp,
        ..budget(WindowKind::Day, HOLD - 1)
    };
    let from = |address: &str| Authorize { address: address.parse().unwrap(), ..call(1) };
    plays(
        limits,
        vec![
            // 99 tokens out still fit.
            Admits(noon(), call(1)),
            Refuses(noon(), asking(1, 1_091, 100), "budget_exceeded"),
            Admits(noon(), asking(1, 1_089, 100)),
            Refuses(noon(), Authorize { model: "la".to_owned(), ..call(1) }, "model_not_allowed"),
            Refuses(noon(), Authorize { endpoint: Endpoint::Messages, ..call(1) }, "endpoint_not_allowed"),
            Admits(noon(), from("::ffff:203.0.113.7")),
            Refuses(noon(), from("203.0.113.8"), "address_not_allowed"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_clock_that_steps_back_over_midnight_does_not_open_the_day_before() {
    let midnight = at("2026-11-19T00:00:00Z");
    let node = node().await;
    let account = node.key(budget(WindowKind::Day, HOLD)).await;
    node.clock.set(midnight);
    node.ledger.authorize(&account, call(1)).await.unwrap();
    let again = another_node(&node.store.memory, PACE).await;
    for node in [&node, &again] {
        node.clock.set(later(midnight, -5_000_000));
        let account = node.account(key_id(1)).await;
        let told = node.ledger.authorize(&account, call(2)).await;
        let Err(ExecuteError::Refused(Refusal::BudgetHeld(short))) = told else { panic!("{told:?}") };
        assert_eq!(short.resets_at, Some(at("2026-11-20T00:00:00Z")), "the day before had room");
        node.clock.set(later(midnight, -5_000_001));
        let told = node.ledger.authorize(&account, call(2)).await;
        assert!(matches!(told, Err(ExecuteError::ClockBehind(5_000))), "{told:?}");
    }
}
