//! What was decided, in the words of the naive ledger.

use nemo_events::key::CallAuthorized;
use nemo_events::{KeyEvent, Timestamp};
use nemo_projections::Refusal;
use nemo_projections::refusal::BudgetShort;

use super::{Short, Verdict};

pub(crate) fn told(decided: &Result<Vec<KeyEvent>, Refusal>) -> Verdict {
    match decided.as_deref() {
        Ok([KeyEvent::CallAuthorized(event)]) => admitted(event),
        Ok(other) => panic!("no authorisation but {other:?}"),
        Err(refusal) => refused(refusal),
    }
}

pub(crate) fn admitted(event: &CallAuthorized) -> Verdict {
    Verdict::Admitted {
        output_limit: event.output_limit,
        amount: event.hold.amount.as_nanos().into(),
        input_amount: event.hold.input_amount.as_nanos().into(),
    }
}

pub(crate) fn refused(refusal: &Refusal) -> Verdict {
    match refusal {
        Refusal::RequestRate { retry_after_micros, .. } | Refusal::TokenRate { retry_after_micros, .. } => {
            Verdict::Wait(refusal.code(), (*retry_after_micros).into())
        }
        Refusal::BudgetExceeded(s) | Refusal::BudgetHeld(s) => Verdict::Short(refusal.code(), short(s)),
        _ => Verdict::Refused(refusal.code()),
    }
}

fn short(short: &BudgetShort) -> Short {
    Short {
        window: short.window,
        limit: short.limit.as_nanos().into(),
        settled: short.settled.as_nanos().into(),
        held: short.held.as_nanos().into(),
        needed: short.needed.as_nanos().into(),
        resets_at: short.resets_at.map(Timestamp::as_micros),
        output_limit_that_fits: short.output_limit_that_fits,
    }
}
