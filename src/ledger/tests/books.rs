//! The whole ledger against a naive one: keys of several orgs, all windows, limits that change, calls at the
//! same time, two nodes over one store that answer late, lie and die, clocks that step.
//!
//! Everything is judged by what is in the store afterwards, read by [`reference`], which shares no code with the
//! ledger. Every authorisation must be one that the naive ledger gives at its revision and its moment, in every
//! number; so nothing overshoots. Every refusal must be one that it gives, number by number, at a revision and a
//! moment at which the node can have decided; so nothing that fits is refused.
//!
//! `PROPTEST_CASES` makes it long, `PROPTEST_RNG_SEED` repeats a run.

mod check;
mod orgs;
#[path = "../../../projections/tests/reference/mod.rs"]
#[allow(dead_code, reason = "the tests of the projections ask more of it")]
mod reference;
mod script;
mod trouble;
mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::test_runner::{Config, RngSeed, TestRunner};
use uuid::Uuid;

use self::script::{Script, script};
use self::world::World;

/// What must happen in the histories that are tried, or they are too tame.
const EXPECTED: [&str; 25] = [
    "admitted",
    "an allotment came back",
    "behind the clock",
    "budget_exceeded",
    "budget_held",
    "budget was allotted",
    "call_too_dear",
    "committed after the crash",
    "concurrency_limit_exceeded",
    "corrected",
    "crashed with a call open",
    "crashed with an append in flight",
    "drew on a slice",
    "forfeited",
    "given up",
    "key_blocked",
    "key_revoked",
    "lowered below what is used",
    "model_flagged",
    "org_suspended",
    "rate_limit_exceeded",
    "settled",
    "settled in a later window",
    "spend was counted",
    "token_limit_exceeded",
];

type Seen = RefCell<BTreeMap<&'static str, u32>>;

#[test]
fn nothing_overshoots_and_nothing_that_fits_is_refused_whatever_happens() {
    let cases = std::env::var("PROPTEST_CASES").map_or(256, |cases| cases.parse().unwrap());
    let rng_seed = match Config::default().rng_seed {
        RngSeed::Random => RngSeed::Fixed(Uuid::now_v7().as_u64_pair().1),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    let config =
        Config { rng_seed, failure_persistence: None, max_shrink_iters: 4_096, ..Config::with_cases(cases) };
    // What is awaited within each other takes more room, unoptimised, than a test's own thread has.
    let runs = std::thread::Builder::new().stack_size(16 << 20).spawn(move || {
        let seen = Seen::default();
        let result = TestRunner::new(config).run(&script(), |script| {
            play(&script, &seen);
            Ok(())
        });
        (result.map_err(|failure| failure.to_string()), seen.into_inner())
    });
    let (result, seen) = runs.unwrap().join().unwrap();
    if let Err(failure) = result {
        panic!("PROPTEST_RNG_SEED={rng_seed}\n{failure}");
    }
    println!("{cases} cases from seed {rng_seed}: {seen:?}");
    let missing: Vec<_> = EXPECTED.iter().filter(|outcome| !seen.contains_key(*outcome)).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}; seen: {seen:?}; PROPTEST_RNG_SEED={rng_seed}");
}

fn play(script: &Script, seen: &Seen) {
    // A runtime of its own: what a dead node left behind ends with it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world = World::start(script, seen).await;
        for act in &script.acts {
            world.act(act).await;
        }
        world.heal().await;
        world.check().await;
    });
}
