//! A way out of an endless loop in the client.
//!
//! When the server ends a subscription without an error, `Subscription::next_subscription_event` of
//! kurrentdb 1.2.0 (`commands.rs`) keeps the ended stream and polls it again and again without ever
//! yielding: the thread is lost, and the task cannot be stopped. All that it does in the loop besides is to
//! log a warning. So the subscription is polled with a log of its own, which unwinds out of the loop on
//! that warning. A test holds that this still works.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber, dispatcher};

/// The only trace that the loop leaves.
const WARNING: &str = "Received an unknown subscription message";

/// Kept for good: a log that comes and goes makes `tracing` ask every place in the program anew.
static WIRE: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Wire));

/// The loop was entered.
struct Tripped;

/// Polls once; `Ready(None)` where the client would go in a circle. The future must not be polled then.
pub(super) fn poll<F: Future>(future: Pin<&mut F>, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
    // The future is dropped after an unwinding, so nobody sees what that left behind.
    let polled = catch_unwind(AssertUnwindSafe(|| dispatcher::with_default(&WIRE, || future.poll(context))));
    match polled {
        Ok(poll) => poll.map(Some),
        Err(cause) if cause.is::<Tripped>() => Poll::Ready(None),
        Err(cause) => resume_unwind(cause),
    }
}

struct Wire;

impl Subscriber for Wire {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("kurrentdb") && *metadata.level() == tracing::Level::WARN
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn event(&self, event: &Event<'_>) {
        let mut looked = Looked { tripped: false };
        event.record(&mut looked);
        if looked.tripped {
            resume_unwind(Box::new(Tripped) as Box<dyn Any + Send>);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Looked {
    tripped: bool,
}

impl Visit for Looked {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.tripped |= field.name() == "message" && format!("{value:?}") == WARNING;
    }
}
