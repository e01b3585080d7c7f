//! Webhooks as rows.

use super::{Cell, Column, Shape, Tone};
use crate::cli::views::{TestedWebhook, WebhookRow};

/// A row for each webhook.
pub static WEBHOOKS: Shape<WebhookRow> = Shape {
    columns: &[
        Column::new("name", "Name", |it| Cell::Id(it.name.clone())),
        Column::new("receiver", "Receiver", |it| Cell::Id(it.receiver.clone())),
        Column::new("state", "State", |it| Cell::Status(it.state.clone(), tone(&it.state))),
        Column::new("backlog", "Waiting", |it| Cell::maybe(it.backlog, Cell::Count)),
        Column::new("oldest", "since", |it| Cell::maybe(it.oldest, Cell::Second)),
        Column::new("delivered_at", "Last delivered", |it| {
            Cell::maybe(it.delivered.as_ref().map(|delivered| delivered.at), Cell::Second)
        }),
        Column::in_files("delivered_type", |it| {
            Cell::maybe(it.delivered.as_ref().map(|delivered| delivered.kind.clone()), Cell::Id)
        }),
        Column::in_files("attempts", |it| {
            Cell::maybe(it.failing.as_ref().map(|failing| failing.attempts), Cell::Count)
        }),
        Column::in_files("error", |it| {
            Cell::maybe(it.failing.as_ref().map(|failing| failing.error.clone()), Cell::Text)
        }),
        Column::new("given_up_at", "Last given up", |it| {
            Cell::maybe(it.given_up.as_ref().map(|given_up| given_up.at), Cell::Second)
        }),
        Column::in_files("position", |it| Cell::maybe(it.position, Cell::Count)),
        Column::new("events", "Told of", |it| Cell::Text(it.events.join(", "))),
    ],
    none: "There is no webhook. [[webhooks]] in the configuration makes one.",
};

/// What came of a test.
pub static TESTED: Shape<TestedWebhook> = Shape {
    columns: &[
        Column::new("delivered", "Delivered", |it| {
            Cell::Text(if it.delivered { "yes" } else { "no" }.to_owned())
        }),
        Column::new("status", "Answer", |it| Cell::maybe(it.status, Cell::Count)),
        Column::new("duration_ms", "ms", |it| Cell::Count(it.duration_ms)),
        Column::new("id", "Message", |it| Cell::Id(it.id.clone())),
        Column::in_files("error", |it| Cell::maybe(it.error.clone(), Cell::Text)),
    ],
    none: "",
};

fn tone(state: &str) -> Tone {
    match state {
        "delivering" => Tone::Good,
        "failing" => Tone::Bad,
        _ => Tone::Ended,
    }
}
