//! The real program in a temporary directory, with a provider of its own, and clients for both of its sides.
//! Every test starts what it needs on ports of its own, so tests run side by side.
//!
//! ```ignore
//! let nemo = Nemo::start().await;                       // or Setup::default().calls("deadline_secs = 6").start()
//! nemo.provider().script(Behaviour::success(9, 7));     // see fake_provider
//! let key = nemo.key(json!({"budgets": [{"window": "total", "limit": "1"}]})).await;
//! let answer = key.chat(json!({"max_tokens": 50})).await;
//! assert_eq!(answer.cost(), 9 * INPUT + 7 * OUTPUT);    // nano-dollars
//! let call = key.only_call().await;                     // waits until none is open; see `Call`
//! assert_eq!((call.end.as_str(), call.charged()), ("CallSettled", 92_500));
//! key.books_balance().await;                            // provider's bill ≤ charged ≤ holds, nothing open
//! nemo.kill9().await;
//! nemo.restart().await;                                 // same directory, another port; `key` goes on working
//! ```
//!
//! Nothing sleeps for a fixed time: what comes true later is waited for with [`until`], the provider's phases
//! (`until_held`, `hold_at`) or [`Log::until`]. Every answer is held against the OpenAPI document. Map: `setup`
//! configuration · `store` where ledgers are · `process` the program itself · `nemo` a running gateway · `demo` one
//! with an invented past · `person` somebody who signs in · `key` a virtual key and what it may do · `answer`
//! replies, streams, raw sockets · `described` the document · `ledger` events and calls as the API tells them.
//!
//! A test under `#[on_each_store]` is a story that holds wherever the ledger is: it runs twice, with its gateways'
//! ledgers in their data directories (`…::embedded`) and on a server (`…::eventstoredb`).
#![allow(dead_code, reason = "a vocabulary for tests: not every build of the test binary uses every word")]

mod answer;
mod demo;
mod described;
mod key;
mod ledger;
mod nemo;
mod person;
mod process;
mod setup;
mod store;

use std::time::Duration;

#[allow(unused_imports, reason = "for tests that name the type")]
pub(crate) use answer::{Answer, Raw, Streaming, Tail, sse_data};
pub(crate) use demo::Demo;
#[allow(unused_imports, reason = "for tests of the document itself")]
pub(crate) use described::{DOCUMENT, described_path};
pub(crate) use key::{Key, well_formed_key};
#[allow(unused_imports, reason = "for tests that name the type")]
pub(crate) use ledger::{Call, Event, nanos};
pub(crate) use nemo::{Nemo, new_home};
pub(crate) use person::{PASSWORD, Person, token_in};
#[allow(unused_imports, reason = "for tests that name the type")]
pub(crate) use process::{Exited, Log, nemo as program};
pub(crate) use setup::Setup;
pub(crate) use store::{Store, start_an_hour_ahead};

/// What one token of `gpt-test` and `gpt-think` costs, in nano-dollars.
pub(crate) const INPUT: i128 = 2_500;
/// The same for one that came from the provider's cache.
pub(crate) const CACHED: i128 = 1_250;
/// The same for one of output.
pub(crate) const OUTPUT: i128 = 10_000;
/// Tokens that an estimate adds for what the provider made while it was being cut off.
pub(crate) const UNSEEN: i128 = 256;

/// How long anything here is waited for before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again until the answer is `Some`.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
