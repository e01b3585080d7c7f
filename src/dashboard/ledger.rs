//! `/ledger`: where the ledger and what follows it stand, which nodes write it, and which secrets are in force,
//! by id. Shown also while the store does not answer: then more than ever.

use maud::{Markup, html};
use nemo_events::Timestamp;
use nemo_read_model::NodeRow;

use super::components::{Column, Tone, absolute, ago, copyable, count, in_future, notice, status, table};
use super::{Page, Place, Shows, Visit};
use crate::error::FailureReply;
use crate::figures::money::grouped;
use crate::management::secrets::{self, Kind, SecretList, SecretRow};
use crate::management::status::{self as ledger_status, Status};
use crate::management::webhooks::{self, WebhookRow, WebhookState};
use crate::read_side::{Progress, State};
use crate::store;
use nemo_events::Right;

/// Shows it.
pub(super) async fn show(visit: Visit) -> Shows {
    let asked = &visit.asked;
    let found = ledger_status::gather(asked.app()).await;
    // A read model that cannot be read is part of what is shown.
    let nodes = asked.read(None, |reader| reader.nodes()).await.map(|answer| answer.value);
    let secrets = match visit.may(Right::ManageLedger) {
        true => secrets::gather(asked, None).await.ok(),
        false => None,
    };
    let webhooks = match visit.may(Right::ManageLedger) {
        true => Some(webhooks::gather(asked.app()).await.webhooks),
        false => None,
    };
    let lede = html! { "Everything that ever happened, in one order. Nothing is changed or removed." };
    let page = Page::new(Place::Ledger, "Ledger").lede(lede).sheets(&["overview.css"]).modules(&["live.js"]);
    let content = html! {
        div data-live="ledger" data-position=[found.position] {
            div .stack {
                @if let Some(trouble) = &found.store.trouble {
                    (notice(Tone::Bad, "New calls are refused", &html! { p { "Until this is mended: " (trouble) "." } }))
                }
                div .grid.two {
                    section .card aria-labelledby="ledger-heading" { (ledger(&found)) }
                    section .card aria-labelledby="lists-heading" { (lists(&found)) }
                }
                section .card.flush aria-labelledby="nodes-heading" { (nodes_of(&found, nodes.as_deref())) }
                @if let Some(secrets) = &secrets {
                    section .card.flush aria-labelledby="secrets-heading" { (secrets_of(secrets, found.now)) }
                }
                @if let Some(webhooks) = &webhooks {
                    section .card.flush aria-labelledby="webhooks-heading" { (webhooks_of(webhooks, found.now)) }
                }
                section .card aria-labelledby="checks-heading" { (checks()) }
            }
        }
    };
    Ok(page.reply(&visit.viewer, &content))
}

fn ledger(found: &Status<'_>) -> Markup {
    let (word, tone) = match (found.store.reachable, &found.store.trouble) {
        (true, None) => ("Takes events", Tone::Good),
        (true, Some(_)) => ("Needs a look", Tone::Warning),
        (false, _) => ("Does not answer", Tone::Bad),
    };
    let kind = match found.store.kind {
        store::Kind::Embedded => "embedded, SQLite",
        store::Kind::EventStoreDb => "EventStoreDB",
    };
    html! {
        header { h2 #ledger-heading { "Ledger" } (status(word, tone)) }
        dl .facts {
            dt { "Position" } dd { @if let Some(position) = found.position { (count(position.0)) } @else { "empty, or not to be told just now" } }
            dt { "Store" } dd { (kind) }
            dt { "Place" } dd { code { (found.store.place) } }
            dt { "Calls in flight here" } dd { (grouped(u64::try_from(found.running_calls).unwrap_or(u64::MAX))) }
            dt { "This node" } dd { (found.node) }
            dt { "Program" } dd { (found.program) }
            dt { "Its clock" } dd { (absolute(found.now)) }
        }
    }
}

fn lists(found: &Status<'_>) -> Markup {
    let Progress { state, position, catch_up_to } = found.read_model;
    let (word, tone, means) = match state {
        State::Current => ("Current", Tone::Good, "They follow the ledger as it is written."),
        State::CatchingUp => ("Catching up", Tone::Info, "They read what was there when they were opened."),
        State::Opening => ("Opening", Tone::Info, "Their database is being opened."),
        State::Broken => {
            ("Stopped", Tone::Bad, "They could not go on and are opened again soon; the log says why.")
        }
        State::Damaged => {
            ("Damaged", Tone::Bad, "Their database is damaged and is built anew from the ledger.")
        }
    };
    let behind =
        found.position.map_or(0, |head| head.0).saturating_sub(position.map_or(0, |position| position.0));
    html! {
        header { h2 #lists-heading { "Lists and reports" } (status(word, tone)) }
        dl .facts {
            dt { "Reflect position" } dd { @if let Some(position) = position { (count(position.0)) } @else { "none yet" } }
            dt { "Behind by" } dd { (grouped(behind)) @if behind == 1 { " event" } @else { " events" } }
            @if let Some(end) = catch_up_to.filter(|_| state == State::CatchingUp) { dt { "Catch up to" } dd { (count(end.0)) } }
        }
        p .muted.small.apart { (means) " They decide nothing: inference and changes go on without them." }
    }
}

fn nodes_of(found: &Status<'_>, nodes: Result<&[NodeRow], &FailureReply>) -> Markup {
    let columns = [
        Column::text("Node"),
        Column::text("State"),
        Column::text("Started"),
        Column::text("Program"),
        Column::text("Start"),
    ];
    html! {
        header { h2 #nodes-heading { "Nodes" } }
        @match nodes {
            Ok(nodes) => {
                (table("Nodes", &columns, &html! {
                    @for node in nodes {
                        tr {
                            td { (node.node) @if node.node == *found.node { " " span .muted { "(this one)" } } }
                            td { (node_state(node, found)) }
                            td { (ago(node.started_at, found.now)) }
                            td { (node.program) }
                            td { code .small { (node.boot) } }
                        }
                    }
                }))
            }
            Err(reply) => { p .nothing-yet.muted { (reply.failure().message) } }
        }
    }
}

fn node_state(node: &NodeRow, found: &Status<'_>) -> Markup {
    html! {
        @if node.boot == found.boot { (status("Answers", Tone::Good)) }
        @else if let Some(at) = node.stopped_at { (status("Stopped", Tone::Ended)) " " (ago(at, found.now)) }
        // Whether another node runs is not known here: one that crashed says nothing.
        @else { (status("Started, not stopped", Tone::Info)) }
    }
}

fn secrets_of(secrets: &SecretList, now: Timestamp) -> Markup {
    let columns = [
        Column::text("Secret"),
        Column::text("Id"),
        Column::text("State"),
        Column::text("Since"),
        Column::text("Until"),
        Column::number("Keys that need it"),
    ];
    html! {
        header { h2 #secrets-heading { "Master keys and peppers" } p .muted.small { "By id. They are changed on disk, with " code { "nemo secrets" } "." } }
        @if let Some(trouble) = &secrets.trouble {
            div .nothing-yet { (notice(Tone::Warning, "The files on disk are not in force as they are", &html! { p { (trouble) } })) }
        }
        (table("Master keys and peppers", &columns, &html! {
            @for secret in &secrets.secrets { tr { (secret_row(secret, now)) } }
        }))
    }
}

fn secret_row(secret: &SecretRow, now: Timestamp) -> Markup {
    let kind = match secret.kind {
        Kind::MasterKey => "Master key",
        Kind::Pepper => "Pepper",
    };
    let (word, tone) = match secret.status {
        secrets::Status::Current => ("Current", Tone::Good),
        secrets::Status::Overlapping => ("Works still", Tone::Warning),
        secrets::Status::Retired => ("Retired", Tone::Ended),
    };
    html! {
        td { (kind) }
        td { (copyable(&secret.id, "id")) }
        td { (status(word, tone)) @if secret.leaked { " " (status("Leaked", Tone::Bad)) } }
        td { @if let Some(at) = secret.since { (ago(at, now)) } @else { "–" } }
        td { @if let Some(at) = secret.valid_until { (in_future(at, now)) } @else { "–" } }
        td .number { @if let Some(keys) = secret.keys { (count(keys)) } @else { "–" } }
    }
}

fn webhooks_of(webhooks: &[WebhookRow], now: Timestamp) -> Markup {
    let columns = [
        Column::text("Webhook"),
        Column::text("Receiver"),
        Column::text("State"),
        Column::number("Waiting"),
        Column::text("Last delivered"),
        Column::text("Last given up"),
    ];
    html! {
        header { h2 #webhooks-heading { "Webhooks" } p .muted.small { "Who is told of alerts. They are made in the configuration, and tried with " code { "nemo webhooks test" } "." } }
        @if webhooks.is_empty() {
            p .nothing-yet.muted { "There is none: alerts are in the ledger, in the metrics and on the overview." }
        } @else {
            (table("Webhooks", &columns, &html! {
                @for webhook in webhooks { tr { (webhook_row(webhook, now)) } }
            }))
        }
    }
}

fn webhook_row(webhook: &WebhookRow, now: Timestamp) -> Markup {
    let (word, tone) = match webhook.state {
        WebhookState::Delivering => ("Delivers", Tone::Good),
        WebhookState::Failing => ("Does not take messages", Tone::Bad),
        WebhookState::Elsewhere => ("Sent by another node", Tone::Info),
    };
    html! {
        td { (webhook.name) }
        td { code .small { (webhook.receiver) } }
        td {
            (status(word, tone))
            @if let Some(failing) = &webhook.failing {
                p .muted.small { "Since " (ago(failing.since, now)) ": " (failing.error) ". Given up " (in_future(failing.given_up_at, now)) "." }
            }
        }
        td .number {
            @if let Some(waiting) = webhook.backlog { (count(waiting)) } @else { "–" }
            @if let Some(oldest) = webhook.oldest { p .muted.small { "since " (ago(oldest, now)) } }
        }
        td { @if let Some(last) = &webhook.delivered { (last.kind.as_str()) " " (ago(last.at, now)) } @else { "–" } }
        td { @if let Some(last) = &webhook.given_up { (last.kind.as_str()) " " (ago(last.at, now)) } @else { "–" } }
    }
}

/// What is done from a terminal, and that the gateway does not know of it.
fn checks() -> Markup {
    html! {
        header { h2 #checks-heading { "Checks and backups" } }
        p { "Each event is checked against its hash and its predecessor whenever it is read. The rest is done from a terminal, where it can be done without this gateway, which keeps no record of it:" }
        dl .facts.apart {
            dt { code { "nemo ledger verify --serving" } } dd { "proves every hash and chain while the gateway goes on" }
            dt { code { "nemo ledger backup DIR" } } dd { "copies what was added since the last time, and proves the copy" }
            dt { code { "nemo ledger rebuild" } } dd { "builds lists and reports anew" }
        }
    }
}
