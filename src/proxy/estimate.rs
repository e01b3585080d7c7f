//! What a call is assumed to have used where nobody reported it: in the budget's favour.

use nemo_events::key::Hold;
use nemo_events::price::PriceCard;
use nemo_events::{Rate, Usage};

/// Tokens that a provider may have made and billed while the connection was being closed.
const UNSEEN_TOKENS: u64 = 256;

/// How much of the output could be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// All that was made so far, in tokens.
    Tokens(u64),
    /// Some may be hidden: assume all that the hold allows.
    Hidden,
}

/// The usage that an estimate charges. The input counts as its bound, in the dearest kind that a
/// provider may have billed it as.
pub(super) fn usage(card: &PriceCard, hold: &Hold, seen: Seen) -> Usage {
    let output = match seen {
        Seen::Tokens(tokens) => tokens.saturating_add(UNSEEN_TOKENS).min(hold.output_tokens),
        Seen::Hidden => hold.output_tokens,
    };
    let requests = u64::from(card.rates.requests.is_some_and(|rate| rate > Rate::ZERO));
    let usage = Usage { output, requests, ..Usage::default() };
    let written = card.rates.cache_write.unwrap_or_default();
    if written > card.rates.input {
        Usage { cache_write: hold.input_tokens, ..usage }
    } else {
        Usage { input: hold.input_tokens, ..usage }
    }
}
