//! Block or revoke several keys: first which ones and why, then a result for each.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use futures_util::{StreamExt, stream};
use maud::{Markup, html};
use nemo_events::KeyId;
use nemo_projections::decide::{Block, Revoke};
use nemo_read_model::{Answer, KeyRow, Limit};

use super::standing;
use super::wrong::Wrong;
use crate::dashboard::components::{Column, Field, Tone, csrf, hidden, key_label, notice, status, table};
use crate::dashboard::{Fields, Page, Place, Shows, Visit};
use crate::error::FailureReply;
use crate::management::failures::of_command;

/// Keys that are changed at the same time.
const AT_ONCE: usize = 16;
/// The most that one form changes: what a page of the list holds at most.
const MOST: usize = Limit::MAX;

/// What is done to each key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Block,
    Revoke,
}

impl Deed {
    fn of(sent: &Fields) -> Self {
        if sent.text("do") == "revoke" { Self::Revoke } else { Self::Block }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Revoke => "revoke",
        }
    }

    fn title(self, count: usize) -> String {
        let verb = if self == Self::Block { "Block" } else { "Revoke" };
        if count == 1 { format!("{verb} 1 key") } else { format!("{verb} {count} keys") }
    }
}

/// `GET /keys/bulk`
pub(in crate::dashboard) async fn form(visit: Visit) -> Shows {
    let sent = visit.query().clone();
    let rows = chosen(&visit, &sent).await?;
    Ok(ask(&visit, &rows, &sent, StatusCode::OK, &Wrong::default()))
}

/// `POST /keys/bulk`
pub(in crate::dashboard) async fn submit(visit: Visit, sent: Fields) -> Shows {
    let (deed, rows) = (Deed::of(&sent), chosen(&visit, &sent).await?);
    if deed == Deed::Revoke && sent.text("count") != rows.len().to_string() {
        let mut wrong = Wrong::default();
        wrong.with("count", "This is not how many keys there are. Nothing was revoked.");
        return Ok(ask(&visit, &rows, &sent, StatusCode::UNPROCESSABLE_ENTITY, &wrong));
    }
    let results = carry_out(&visit, deed, &rows, sent.given("reason")).await?;
    Ok(told(&visit, deed, &rows, &results))
}

/// The keys that were ticked and exist, as the list knows them.
async fn chosen(visit: &Visit, sent: &Fields) -> Result<Vec<KeyRow>, FailureReply> {
    let ids: BTreeSet<KeyId> = sent.all("key").filter_map(|id| id.parse().ok()).take(MOST).collect();
    let found = visit.asked.read(None, move |reader| {
        let rows = ids.into_iter().map(|id| reader.key(id).map(|row| row.value));
        let rows: Result<Vec<_>, _> = rows.collect();
        Ok(Answer { position: None, value: rows?.into_iter().flatten().collect() })
    });
    Ok(found.await?.value)
}

/// What became of each key. Done to the end even if the browser hangs up.
async fn carry_out(
    visit: &Visit,
    deed: Deed,
    rows: &[KeyRow],
    reason: Option<String>,
) -> Result<Vec<(KeyId, Result<String, String>)>, FailureReply> {
    let (app, context) = (visit.asked.app().clone(), visit.asked.context());
    let ids: Vec<KeyId> = rows.iter().map(|row| row.key).collect();
    let work = async move {
        let each = stream::iter(ids).map(|id| {
            let (app, context, reason) = (app.clone(), context.clone(), reason.clone());
            async move {
                let done = match deed {
                    Deed::Block => {
                        let done = app.ledger.manage_key(id, Block { reason }, context).await;
                        done.map(|_| "Blocked".to_owned())
                    }
                    Deed::Revoke => app.ledger.revoke_key(id, Revoke { reason }, context).await.map(|done| {
                        match done.answer.key.as_ref().map_or(0, |key| key.open_calls.len()) {
                            0 => "Revoked".to_owned(),
                            cut => format!("Revoked; calls in flight that are cut: {cut}"),
                        }
                    }),
                };
                (id, done.map_err(|error| of_command(&error).message))
            }
        });
        each.buffered(AT_ONCE).collect::<Vec<_>>().await
    };
    visit.asked.to_the_end(work).await
}

fn ask(visit: &Visit, rows: &[KeyRow], sent: &Fields, code: StatusCode, wrong: &Wrong) -> HttpResponse {
    let deed = Deed::of(sent);
    let title = deed.title(rows.len());
    let content = if rows.is_empty() {
        html! {
            (notice(Tone::Info, "No keys were ticked", &html! { p { "Tick keys in the list, then choose what to do with them." } }))
            p .actions { a .button.main href="/keys" { "To the list" } }
        }
    } else {
        let now = visit.now();
        let listed = html! {
            @for row in rows {
                tr {
                    td { (key_label(row.key, &row.labels.name, &row.last_four)) }
                    td { (standing(row.status, row.expires_at, None, now)) }
                    td .number { (row.open_calls) }
                }
            }
        };
        html! {
            form .fields method="post" action="/keys/bulk" data-once {
                (csrf(&visit.viewer.csrf))
                (hidden("do", deed.word()))
                @for row in rows { (hidden("key", &row.key.to_string())) }
                p { (what_follows(deed)) }
                div .card.flush {
                    (table("Keys", &[Column::text("Key"), Column::text("Status"), Column::number("Calls in flight")], &listed))
                }
                @if deed == Deed::Revoke { (count_field(rows.len(), sent, wrong)) }
                (Field {
                    name: "reason", label: "Reason", value: sent.text("reason"), maxlength: Some(500),
                    hint: "Recorded with each event.", ..Field::default()
                }.show())
                div .buttons {
                    a .button href="/keys" { "Cancel" }
                    button .danger.main { (title) }
                }
            }
        }
    };
    page(&title).status(code).reply(&visit.viewer, &html! { div .middling { (content) } })
}

fn what_follows(deed: Deed) -> &'static str {
    match deed {
        Deed::Block => {
            "Calls with these keys are refused until they are unblocked. Calls in flight run to their end."
        }
        Deed::Revoke => {
            "No call will ever be authorised with these keys again, and calls in flight are cut. Their history stays."
        }
    }
}

fn count_field(count: usize, sent: &Fields, wrong: &Wrong) -> Markup {
    let hint = format!("Type {count} to show that you mean all of them.");
    Field {
        name: "count",
        label: "How many keys",
        hint: &hint,
        value: sent.as_sent("count"),
        wrong: wrong.of("count"),
        required: true,
        inputmode: "numeric",
        ..Field::default()
    }
    .show()
}

fn told(
    visit: &Visit,
    deed: Deed,
    rows: &[KeyRow],
    results: &[(KeyId, Result<String, String>)],
) -> HttpResponse {
    let failed = results.iter().filter(|(_, result)| result.is_err()).count();
    let listed = html! {
        @for (id, result) in results {
            tr {
                td {
                    @if let Some(row) = rows.iter().find(|row| row.key == *id) {
                        (key_label(row.key, &row.labels.name, &row.last_four))
                    }
                }
                td {
                    @match result {
                        Ok(word) => (status(word, Tone::Good)),
                        Err(why) => { (status("Not done", Tone::Bad)) " " (why) }
                    }
                }
            }
        }
    };
    let content = html! {
        @if failed > 0 {
            (notice(Tone::Bad, "Not all of them", &html! { p { (failed) " of " (results.len()) " were not changed. The others were." } }))
        }
        div .card.flush { (table("Results", &[Column::text("Key"), Column::text("Result")], &listed)) }
        p .actions { a .button.main href="/keys" { "To the list" } }
    };
    let title = if deed == Deed::Block { "Keys blocked" } else { "Keys revoked" };
    page(title).reply(&visit.viewer, &html! { div .middling.stack { (content) } })
}

fn page(title: &str) -> Page<'_> {
    Page::new(Place::Keys, title).under("/keys", "Keys").sheets(&["keys.css"]).modules(&["keys.js"])
}
