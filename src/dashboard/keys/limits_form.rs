//! Limits as fields of a form: those of a key, those that an org gives new keys, and the bounds of all its keys.

use maud::{Markup, html};
use nemo_events::limits::{Endpoint, WindowKind};

use super::limits_read::{ENDPOINTS, budget_fields};
use super::wrong::Wrong;
use crate::dashboard::Fields;
use crate::dashboard::components::{Choice, Field, select, tick};

/// What the limits are for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::dashboard) enum Use {
    /// A key may do so much.
    Key,
    /// No key may be wider: what only shapes a call, or raises an alert, is no part of it.
    Bound,
    /// All keys of an org may do so much together. Only budgets can be shared.
    Shared,
}

impl Use {
    /// What it means that a field is empty.
    const fn of_nothing(self) -> &'static str {
        match self {
            Self::Key | Self::Shared => "Empty: all.",
            Self::Bound => "Empty: not bounded.",
        }
    }
}

/// The fields: budgets first, and what limits besides below them.
pub(in crate::dashboard) fn show(of: Use, sent: &Fields, wrong: &Wrong) -> Markup {
    html! {
        (budgets(of, sent, wrong))
        details open[has_more(sent, wrong)] {
            summary { "Rates, models, addresses, expiry" }
            div .fields {
                (rates(sent, wrong))
                (scopes(of, sent, wrong))
                @if of == Use::Key { (output(sent, wrong)) }
            }
        }
    }
}

/// Budgets alone.
pub(in crate::dashboard) fn budgets(of: Use, sent: &Fields, wrong: &Wrong) -> Markup {
    let windows = [
        (WindowKind::Month, "A month"),
        (WindowKind::Week, "A week"),
        (WindowKind::Day, "A day"),
        (WindowKind::Total, "In all"),
    ];
    html! {
        fieldset .field {
            legend { "Budget, in dollars" }
            span .hint {
                @match of {
                    Use::Key => "The most that it can spend; calls beyond are refused.",
                    Use::Bound => "A key needs such a budget, or a smaller one. A budget of a longer window counts for the shorter.",
                    Use::Shared => "The most that all its keys can spend together; calls beyond are refused.",
                }
                " Months, weeks and days are UTC."
            }
            div .row.budgets {
                @for (window, label) in windows { (budget(of, window, label, sent, wrong)) }
            }
            @if let Some(why) = wrong.of("budgets") { span .wrong role="alert" { (why) } }
        }
        @if of == Use::Key {
            div .field {
                (tick("unlimited", "yes", &html! {
                    strong { "No cap" } ": a leak of this key has no limit on spend."
                }, sent.is_set("unlimited")))
                @if let Some(why) = wrong.of("unlimited") { span .wrong role="alert" { (why) } }
            }
        }
    }
}

fn budget(of: Use, window: WindowKind, label: &'static str, sent: &Fields, wrong: &Wrong) -> Markup {
    let (amount, alert) = budget_fields(window);
    html! {
        div .stack {
            (Field {
                name: amount, label, value: sent.as_sent(amount), wrong: wrong.of(amount),
                inputmode: "decimal", placeholder: "–", ..Field::default()
            }.show())
            @if of == Use::Key {
                (Field {
                    name: alert, label: "Alert at %", value: sent.as_sent(alert), wrong: wrong.of(alert),
                    inputmode: "numeric", placeholder: "80", ..Field::default()
                }.show())
            }
        }
    }
}

fn rates(sent: &Fields, wrong: &Wrong) -> Markup {
    let number = |name: &'static str, label: &'static str| {
        let (value, wrong) = (sent.as_sent(name), wrong.of(name));
        Field { name, label, value, wrong, inputmode: "numeric", placeholder: "no limit", ..Field::default() }
    };
    html! {
        div .row {
            (number("requests_per_minute", "Requests a minute").show())
            (number("tokens_per_minute", "Tokens a minute").show())
            (number("concurrent_calls", "Calls at the same time").show())
            (Field { inputmode: "decimal", ..number("max_call_cost", "Dearest call, in dollars") }.show())
        }
    }
}

fn scopes(of: Use, sent: &Fields, wrong: &Wrong) -> Markup {
    let empty = of.of_nothing();
    let models = format!("One a line; * stands for anything, as in gpt-*. {empty}");
    let addresses = format!("Networks that calls may come from, one a line. {empty}");
    let (none, expiry) = match of {
        Use::Key | Use::Shared => ("None ticked: all.", "From this moment on it is refused. Empty: never."),
        Use::Bound => {
            ("None ticked: not bounded.", "A key needs an expiry no later than this. Empty: not bounded.")
        }
    };
    html! {
        div .row {
            (lines("models", "Models", &models, sent, wrong))
            (lines("addresses", "Addresses", &addresses, sent, wrong))
        }
        fieldset .field {
            legend { "Endpoints" }
            span .hint { (none) }
            div .ticks { @for endpoint in ENDPOINTS { (endpoint_tick(endpoint, sent)) } }
            @if let Some(why) = wrong.of("endpoints") { span .wrong { (why) } }
        }
        (Field {
            name: "expires_at", label: "Expires (UTC)", value: sent.as_sent("expires_at"), wrong: wrong.of("expires_at"),
            kind: "datetime-local", hint: expiry, ..Field::default()
        }.show())
    }
}

fn endpoint_tick(endpoint: Endpoint, sent: &Fields) -> Markup {
    let set = sent.all("endpoints").any(|name| name == endpoint.as_str());
    tick("endpoints", endpoint.as_str(), &html! { code { (endpoint) } }, set)
}

fn output(sent: &Fields, wrong: &Wrong) -> Markup {
    let number = |name: &'static str, label: &'static str, placeholder: &'static str| {
        let (value, wrong) = (sent.as_sent(name), wrong.of(name));
        Field { name, label, value, wrong, inputmode: "numeric", placeholder, ..Field::default() }
    };
    let clamp = sent.text("when_short") == "clamp";
    let choices = [
        Choice { value: "refuse", text: "is refused", chosen: !clamp },
        Choice { value: "clamp", text: "gets a lower output limit", chosen: clamp },
    ];
    html! {
        div .row {
            (select("when_short", "A call that does not fit the budget", "", &choices, None))
            (number("default_output_tokens", "Output tokens, unless asked", "4096").show())
            (number("default_reasoning_output_tokens", "The same for models that reason", "16384").show())
        }
    }
}

fn lines(name: &'static str, label: &str, hint: &str, sent: &Fields, wrong: &Wrong) -> Markup {
    html! {
        div .field {
            label for=(name) { (label) }
            textarea id=(name) name=(name) rows="3" aria-describedby={ (name) "-hint" }
                aria-invalid=[wrong.of(name).map(|_| "true")] spellcheck="false" { (sent.as_sent(name)) }
            @if let Some(why) = wrong.of(name) { span .wrong { (why) } }
            span .hint id={ (name) "-hint" } { (hint) }
        }
    }
}

/// Whether anything stands in the part that is folded up.
fn has_more(sent: &Fields, wrong: &Wrong) -> bool {
    let names = super::limits_read::NAMES.iter().filter(|name| **name != "budgets");
    names.clone().any(|name| !sent.text(name).is_empty() || wrong.of(name).is_some())
        || sent.text("when_short") == "clamp"
}
