//! One call for a person: what it asked for, what it held, how it ended, what it is charged.

use nemo_events::{KeyEvent, Usage};

use super::calls::state;
use super::events::Event;
use super::table::of_pairs;
use super::{Cell, money};
use crate::cli::screen::Look;
use crate::cli::views::{CallReply, CallRow, Known};

/// Everything about a call that fits a page.
#[must_use]
pub fn page(reply: &CallReply, look: Look) -> String {
    let CallReply { call, events } = reply;
    let mut pairs = facts(call);
    pairs.extend(events.iter().flat_map(told));
    pairs.retain(|(_, cell)| *cell != Cell::Nothing);
    of_pairs(&pairs, look)
}

fn facts(call: &CallRow) -> Vec<(&'static str, Cell)> {
    let text = |text: &Option<String>| Cell::maybe(text.clone(), Cell::Text);
    let usage = call.usage.as_ref().and_then(Known::get);
    let tags = (!call.tags.is_empty()).then(|| call.tags.join(", "));
    vec![
        ("Call", Cell::Id(call.id.to_string())),
        ("Key", Cell::maybe(call.key, |key| Cell::Id(key.to_string()))),
        ("State", Cell::Id(state(call).to_owned())),
        ("Charged", Cell::maybe(call.cost, Cell::OneCall)),
        ("Held", Cell::maybe(call.hold, Cell::OneCall)),
        ("Authorised", Cell::Millisecond(call.authorized_at)),
        ("Ended", Cell::maybe(call.ended_at, Cell::Millisecond)),
        ("How", text(&call.reason.as_ref().map(|reason| reason.replace('_', " ")))),
        ("Endpoint", text(&call.endpoint)),
        ("Provider", text(&call.provider)),
        ("Model", text(&call.provider_model)),
        ("Tokens", Cell::maybe(usage.map(tokens), Cell::Text)),
        ("Claims", text(&tags)),
        ("Status", Cell::maybe(call.status.map(u64::from), |status| Cell::Id(status.to_string()))),
        ("Duration", Cell::maybe(call.duration_ms, |ms| Cell::Text(format!("{} ms", money::grouped(ms))))),
    ]
}

fn tokens(usage: &Usage) -> String {
    let (tokens_in, tokens_out) = (money::grouped(usage.tokens_in()), money::grouped(usage.tokens_out()));
    let part = |count: u64, what: &str| match count {
        0 => String::new(),
        count => format!(" ({} {what})", money::grouped(count)),
    };
    let (cached, reasoning) = (part(usage.cache_read, "cached"), part(usage.reasoning, "reasoning"));
    format!("{tokens_in} in{cached}, {tokens_out} out{reasoning}")
}

/// What only the events say.
fn told(event: &Event) -> Vec<(&'static str, Cell)> {
    let data = event.data.get().as_bytes();
    let text = |text: &Option<String>| Cell::maybe(text.clone(), Cell::Text);
    match KeyEvent::decode(&event.event_type, event.version, data) {
        Ok(KeyEvent::CallAuthorized(e)) => vec![
            ("Request", Cell::Id(e.request.to_string())),
            ("From", text(&e.client.address)),
            ("User agent", text(&e.client.user_agent)),
            ("Price card", Cell::Id(e.price_card.to_string())),
            ("Begins at", Cell::Id(format!("@{}", event.revision))),
        ],
        Ok(KeyEvent::CallSettled(e)) => vec![("Provider's id", text(&e.provider_request))],
        Ok(KeyEvent::CallCorrected(e)) => vec![
            ("Corrected", Cell::Millisecond(event.recorded_at)),
            ("Before", Cell::OneCall(e.charged_before)),
            ("Because", Cell::Text(e.reason)),
        ],
        // Other ends say nothing more, and what a later server writes is in JSON.
        _ => Vec::new(),
    }
}
