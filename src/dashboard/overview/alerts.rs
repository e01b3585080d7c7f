//! What needs a look, the worst first. Nothing where nothing does.

use maud::{Markup, html};
use nemo_read_model::{CapLevel, OverCause};

use crate::dashboard::components::{Tone, in_future, key_label, notice, total};
use crate::figures::money::grouped;
use crate::management::overview::{Cap, Overview};
use crate::read_side::State;

/// The alerts.
pub(super) fn show(found: &Overview) -> Markup {
    html! {
        (ledger(found))
        (over(found))
        (used(found))
    }
}

fn ledger(found: &Overview) -> Markup {
    let state = found.ledger.read_model.state;
    html! {
        @if let Some(trouble) = &found.ledger.trouble {
            (notice(Tone::Bad, "The ledger does not take events", &html! {
                p { "New calls are refused until it does: " (trouble) ". " a href="/ledger" { "Open ledger" } }
            }))
        }
        @match state {
            State::Current => {}
            State::Opening | State::CatchingUp => {
                (notice(Tone::Info, "These figures are being brought up to date", &html! {
                    p {
                        "They show the ledger as it was at position "
                        (grouped(found.position.map_or(0, |position| position.0)))
                        @if let Some(end) = found.ledger.read_model.catch_up_to { " of " (grouped(end.0)) }
                        ". Calls and changes are not affected."
                    }
                }))
            }
            State::Broken | State::Damaged => {
                (notice(Tone::Bad, "Lists and reports do not follow the ledger", &html! {
                    p {
                        "They show it as it was at position "
                        (grouped(found.position.map_or(0, |position| position.0)))
                        ". Where an event is damaged the log says which: stop Nemo and run "
                        code { "nemo ledger verify" } "."
                    }
                }))
            }
        }
    }
}

fn over(found: &Overview) -> Markup {
    let (over, named) = (found.caps.over, &found.caps.over_caps);
    if over == 0 {
        return html! {};
    }
    let title = format!("{} spent more than a cap allows", keys(over));
    notice(
        Tone::Bad,
        &title,
        &html! {
            ul .plain {
                @for cap in named {
                    li {
                        (key_label(cap.key, &cap.name, &cap.last_four)) ": " (total(cap.spent)) " of " (total(cap.limit))
                        " " (super::window(cap.window)) ", " (cause(cap)) "."
                    }
                }
            }
            p { "Their calls are refused " (until(named)) ". " (review()) }
        },
    )
}

fn cause(cap: &Cap) -> &'static str {
    match cap.cause {
        Some(OverCause::CapLowered) => "because the cap was lowered below what was spent",
        Some(OverCause::ProviderReportedMore) => "because a provider reported more than a call was held for",
        None => "for a reason that is not known",
    }
}

fn until(caps: &[Cap]) -> &'static str {
    if caps.iter().all(|cap| cap.resets_at.is_none()) {
        "until the cap is raised"
    } else {
        "until the cap is raised or its window ends"
    }
}

fn used(found: &Overview) -> Markup {
    let (used_up, near) = (found.caps.used_up, found.caps.near);
    let title = match (used_up, near) {
        (0, 0) => return html! {},
        (0, near) => format!("{} close to a cap", come(near)),
        (used_up, 0) => format!("{} used up a cap", have(used_up)),
        (used_up, 1) => format!("{} used up a cap and 1 more comes close", have(used_up)),
        (used_up, near) => format!("{} used up a cap and {} more come close", have(used_up), grouped(near)),
    };
    let alerting = found.closest.iter().filter(|cap| cap.level != CapLevel::Free);
    let next = alerting.filter_map(|cap| cap.resets_at).min();
    notice(
        Tone::Warning,
        &title,
        &html! {
            p {
                @if used_up > 0 { "Calls that do not fit are refused until the cap is raised or its window ends" }
                @else { "More than 80% is spent, or than the share that the cap names" }
                @if let Some(next) = next { "; the next window ends " (in_future(next, found.now)) }
                ". " (review())
            }
        },
    )
}

fn review() -> Markup {
    html! { a href="/keys?status=near" { "Review these keys" } }
}

fn keys(count: u64) -> String {
    if count == 1 { "1 key".to_owned() } else { format!("{} keys", grouped(count)) }
}

fn have(count: u64) -> String {
    format!("{} {}", keys(count), if count == 1 { "has" } else { "have" })
}

fn come(count: u64) -> String {
    format!("{} {}", keys(count), if count == 1 { "comes" } else { "come" })
}
