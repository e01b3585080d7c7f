//! The one suite that every adapter passes. Each function is one promise and takes an empty store.
//!
//! [`contract_tests!`](crate::contract_tests) makes a test of each:
//!
//! ```ignore
//! nemo_store::contract_tests!(async || Arc::new(MemoryStore::new()) as Arc<dyn EventStore>);
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test suite: it fails by panicking"
)]

mod appending;
mod closing;
mod reading;
mod script;
mod subscribing;

pub use appending::*;
pub use closing::*;
pub use reading::*;
pub use script::{Append, Script};
pub use subscribing::*;

use std::time::Duration;

/// A promise that is not kept within this time is broken.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs one promise, with a limit on its time.
pub async fn within_patience(promise: impl Future<Output = ()>) {
    tokio::time::timeout(PATIENCE, promise).await.expect("the store answers in time");
}

/// One `#[tokio::test]` for each promise, on a store that `$make` (an async closure that returns
/// `Arc<dyn EventStore>` and whatever must live as long) makes for it.
#[macro_export]
macro_rules! contract_tests {
    ($make:expr) => {
        $crate::contract_tests! { $make =>
            an_append_behind_another_revision_conflicts_and_writes_nothing,
            an_append_ahead_of_the_stream_conflicts_and_writes_nothing,
            the_same_events_again_succeed_at_the_same_position,
            the_same_events_again_succeed_after_others_followed,
            the_same_events_sent_twice_at_once_succeed_at_one_position,
            a_resend_with_a_foreign_event_conflicts_and_writes_nothing,
            events_that_do_not_continue_their_stream_are_invalid_and_not_written,
            an_append_shows_as_a_whole_or_not_at_all,
            of_many_appenders_at_one_revision_exactly_one_wins,
            many_streams_grow_at_the_same_time,
            a_list_is_appended_in_its_order,
            of_a_list_only_what_comes_before_a_conflict_is_written,
            stored_bytes_come_back_verbatim,
            a_stream_is_read_in_pages_in_both_directions,
            a_stream_that_does_not_exist_is_empty,
            the_edges_of_a_stream_are_as_documented,
            no_read_returns_more_than_a_page,
            all_events_are_read_in_one_order_in_pages,
            the_head_is_the_position_of_the_last_append,
            a_subscription_from_the_start_delivers_everything_in_order,
            a_subscription_from_a_position_delivers_what_comes_behind_it,
            a_subscription_misses_nothing_while_others_append,
            a_slow_subscriber_misses_nothing,
            a_dropped_subscription_disturbs_nobody,
            a_closed_store_refuses_everything_and_closing_again_is_harmless,
            a_subscription_ends_when_the_store_closes,
            appends_around_a_close_are_answered,
        }
    };
    ($make:expr => $($promise:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let (store, _kept) = ($make)().await;
                $crate::contract::within_patience($crate::contract::$promise(store)).await;
            }
        )*
    };
}
