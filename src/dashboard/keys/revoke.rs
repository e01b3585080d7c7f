//! Revoke: final, so the name is typed, and what it would cut is named.

use actix_web::http::StatusCode;
use maud::html;
use nemo_events::Timestamp;

use super::subject::{Ask, done, form_page, fresh, is_over, reason, refused, subject};
use super::wrong::Wrong;
use crate::dashboard::components::{Field, ago, count};
use crate::dashboard::{Fields, Shows, Visit};
use crate::management::keys::end;
use crate::management::shapes::Key;

fn ask(key: &Key, sent: &Fields, wrong: &Wrong, now: Timestamp) -> Ask<'static> {
    let open = u64::try_from(key.open_calls.count).unwrap_or(u64::MAX);
    let hint = format!("Type {} to show that it is this key that you mean.", key.labels.name);
    let name = Field {
        name: "name",
        label: "The key's name",
        hint: &hint,
        value: sent.as_sent("name"),
        wrong: wrong.of("name"),
        required: true,
        ..Field::default()
    };
    let fields = html! {
        p { "No call will ever be authorised with this key again. Its history stays." }
        dl .facts {
            dt { "Calls in flight" }
            dd { @if open == 0 { "None" } @else { (count(open)) ", which are cut at once and charged for what they used" } }
            dt { "Last used" }
            dd { @match key.attribution.last_used_at { Some(at) => (ago(at, now)), None => "Never" } }
        }
        (name.show())
        (reason(sent, wrong))
    };
    Ask { title: "Revoke this key", fields, button: ("Revoke for good", "danger main") }
}

/// `GET /keys/{id}/revoke`
pub(in crate::dashboard) async fn form(visit: Visit) -> Shows {
    let (key, state) = (subject(&visit).await?, fresh());
    is_over(&visit, &key)?;
    let sent = visit.query();
    let ask = ask(&key, sent, &state.1, visit.now());
    Ok(form_page(&visit, &key, "revoke", &ask, (state.0, &state.1), sent))
}

/// `POST /keys/{id}/revoke`
pub(in crate::dashboard) async fn submit(visit: Visit, sent: Fields) -> Shows {
    let key = subject(&visit).await?;
    let (status, wrong) = if sent.text("name") == key.labels.name.trim() {
        match end(&visit.asked, key.id, sent.given("reason")).await {
            Ok(_) => return Ok(done(&sent, &key)),
            Err(reply) => refused(reply.failure(), &["reason"]),
        }
    } else {
        let mut wrong = Wrong::default();
        wrong.with("name", "This is not the key's name. Nothing was revoked.");
        (StatusCode::UNPROCESSABLE_ENTITY, wrong)
    };
    let ask = ask(&key, &sent, &wrong, visit.now());
    Ok(form_page(&visit, &key, "revoke", &ask, (status, &wrong), &sent))
}
