//! A key's events as a file for spreadsheets, written as it is read: however long the stream is, a page of it is in
//! memory.

use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use nemo_events::{Actor, KeyEvent, KeyId, Metadata, Revision};

use super::query::KeyQuery;
use crate::app::App;
use crate::audit::{self, ActivityFilter, Entry, Look};
use crate::dashboard::{Shows, Visit};
use crate::ledger::ExecuteError;

/// Events that are written at once.
const PAGE: usize = 500;
const COLUMNS: [&str; 18] = [
    "revision",
    "position",
    "recorded_at",
    "type",
    "model",
    "provider",
    "provider_model",
    "address",
    "user_agent",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "hold_usd",
    "refused",
    "call",
    "actor",
    "hash",
    "data",
];

/// Where the file has got to.
struct Progress {
    app: web::Data<App>,
    key: KeyId,
    filter: ActivityFilter,
    next: Option<Revision>,
    /// The headings are still to be written.
    is_new: bool,
}

/// `GET /keys/{id}/activity.csv`: oldest first.
///
/// # Errors
/// There is no such key, or it cannot be read.
pub(in crate::dashboard) async fn download(visit: Visit) -> Shows {
    let asked = &visit.asked;
    let key = asked.existing_key().await?;
    let progress = Progress {
        app: asked.app().clone(),
        key,
        filter: KeyQuery::of(visit.query()).filter,
        next: Some(Revision::FIRST),
        is_new: true,
    };
    let body = stream::try_unfold(progress, |mut progress| async move {
        match progress.page().await {
            Ok(Some(bytes)) => Ok(Some((bytes, progress))),
            Ok(None) => Ok(None),
            // The file ends in the middle, and the browser says so.
            Err(error) => Err(actix_web::error::ErrorInternalServerError(error.to_string())),
        }
    });
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{key}-activity.csv\"")))
        .streaming(Box::pin(body)))
}

impl Progress {
    async fn page(&mut self) -> Result<Option<Bytes>, ExecuteError> {
        let Some(from) = self.next else { return Ok(None) };
        let found = audit::activity(&self.app, self.key, &self.filter, Look::Forwards(from), PAGE).await?;
        self.next = found.next;
        let mut text = String::new();
        if std::mem::take(&mut self.is_new) {
            line(&mut text, COLUMNS.map(str::to_owned));
        }
        for entry in &found.entries {
            line(&mut text, cells(entry));
        }
        Ok(Some(text.into()))
    }
}

fn cells(entry: &Entry) -> [String; 18] {
    let (event, call) = (&entry.record.event, entry.call.as_ref());
    let text = |value: Option<&String>| value.cloned().unwrap_or_default();
    let usage = match &entry.event {
        KeyEvent::CallSettled(e) => Some(&e.usage),
        KeyEvent::CallCorrected(e) => e.usage.as_ref(),
        _ => None,
    };
    let input =
        usage.map(|usage| usage.input.saturating_add(usage.cache_read).saturating_add(usage.cache_write));
    let cost = match &entry.event {
        KeyEvent::CallSettled(e) => Some(e.cost),
        KeyEvent::CallForfeited(e) => Some(e.charged),
        KeyEvent::CallCorrected(e) => e.charged.checked_sub(e.charged_before),
        _ => None,
    };
    let hold = if let KeyEvent::CallAuthorized(e) = &entry.event { Some(e.hold.amount) } else { None };
    let (refused, refused_from) = match &entry.event {
        KeyEvent::CallsRefused(e) => {
            let counts = e.refusals.iter().map(|refusal| format!("{} {}", refusal.count, refusal.code));
            let addresses = e.refusals.iter().filter_map(|refusal| refusal.address.clone());
            (counts.collect::<Vec<_>>().join("; "), addresses.collect::<Vec<_>>().join("; "))
        }
        _ => (String::new(), String::new()),
    };
    let metadata = serde_json::from_slice::<Metadata>(&event.metadata).ok();
    let actor = metadata.as_ref().map(|metadata| actor(&metadata.actor)).unwrap_or_default();
    let called = metadata.and_then(|metadata| metadata.call).map(|call| call.to_string()).unwrap_or_default();
    let shown = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    let dollars =
        |value: Option<nemo_events::Nanos>| value.map(|value| value.to_string()).unwrap_or_default();
    [
        event.revision.0.to_string(),
        entry.record.position.0.to_string(),
        event.recorded_at.to_string(),
        event.event_type.to_string(),
        text(call.map(|call| &call.model)),
        text(call.map(|call| &call.provider)),
        text(call.map(|call| &call.provider_model)),
        call.and_then(|call| call.address.clone()).unwrap_or(refused_from),
        text(call.and_then(|call| call.user_agent.as_ref())),
        shown(input),
        shown(usage.map(|usage| usage.output)),
        dollars(cost),
        dollars(hold),
        refused,
        called,
        actor,
        event.hash.to_string(),
        String::from_utf8_lossy(&event.data).into_owned(),
    ]
}

fn actor(actor: &Actor) -> String {
    match actor {
        Actor::Operator { id } => format!("operator {id}"),
        Actor::MasterKey { id } => format!("master key {id}"),
        Actor::VirtualKey { .. } => "the key".to_owned(),
        Actor::System => "gateway".to_owned(),
    }
}

fn line<const N: usize>(text: &mut String, cells: [String; N]) {
    for (n, cell) in cells.iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        text.push_str(&quoted(cell));
    }
    text.push_str("\r\n");
}

/// A cell as RFC 4180 wants it, and so that no spreadsheet takes it for a formula.
fn quoted(cell: &str) -> String {
    let is_number = cell.parse::<f64>().is_ok();
    let armed = !is_number && cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if armed { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (cell, written) in [
            ("=1+1", "'=1+1"),
            ("+49", "+49"),
            ("+cmd", "'+cmd"),
            ("-0.5", "-0.5"),
            ("-x", "'-x"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("a,\"b\"", "\"a,\"\"b\"\"\""),
            ("=a,b", "\"'=a,b\""),
            ("plain", "plain"),
        ] {
            assert_eq!(quoted(cell), written);
        }
    }
}
