//! Rotate: a new secret for the same key. How long the old one goes on working is chosen; a leaked one ends now.

use maud::{Markup, html};

use super::secret;
use super::subject::{Ask, form_page, fresh, is_over, refused, subject};
use super::wrong::Wrong;
use crate::dashboard::components::{hidden, tick};
use crate::dashboard::{Fields, Shows, Visit};
use crate::management::key_secrets::{Rotation, renew};
use crate::management::shapes::Key;

/// How long the old secret may go on working, in seconds.
const OVERLAPS: [(u32, &str); 5] = [
    (0, "Not at all: it ends now"),
    (900, "15 minutes"),
    (3_600, "1 hour"),
    (21_600, "6 hours"),
    (86_400, "24 hours"),
];
const USUAL: u32 = 3_600;

fn ask(key: &Key, sent: &Fields, wrong: &Wrong) -> Ask<'static> {
    let version = key.secrets.last().map_or(0, |secret| secret.version);
    let chosen = sent.text("overlap").parse().unwrap_or(USUAL);
    let fields = html! {
        (hidden("version", &version.to_string()))
        p { "The key gets a new secret, which is shown once. Its id, limits, budget and history stay." }
        fieldset .field {
            legend { "The old secret goes on working for" }
            @for (secs, words) in OVERLAPS { (overlap(secs, words, secs == chosen)) }
            @if let Some(why) = wrong.of("overlap_secs") { span .wrong { (why) } }
        }
        (tick("leaked", "yes", &html! {
            "It has leaked: the old secret ends now, whatever is chosen above."
        }, sent.is_set("leaked")))
    };
    Ask { title: "Rotate this key", fields, button: ("Make a new secret", "main") }
}

fn overlap(secs: u32, words: &str, chosen: bool) -> Markup {
    html! {
        label .tick { input type="radio" name="overlap" value=(secs) checked[chosen]; span { (words) } }
    }
}

/// `GET /keys/{id}/rotate`
pub(in crate::dashboard) async fn form(visit: Visit) -> Shows {
    let (key, state) = (subject(&visit).await?, fresh());
    is_over(&visit, &key)?;
    let sent = visit.query();
    Ok(form_page(&visit, &key, "rotate", &ask(&key, sent, &state.1), (state.0, &state.1), sent))
}

/// `POST /keys/{id}/rotate`: the answer holds the new secret, once.
pub(in crate::dashboard) async fn submit(visit: Visit, sent: Fields) -> Shows {
    let key = subject(&visit).await?;
    let leaked = sent.is_set("leaked");
    let overlap_secs = if leaked { 0 } else { sent.text("overlap").parse().unwrap_or(USUAL) };
    let wish = Rotation { overlap_secs: Some(overlap_secs), leaked };
    // A form that does not say which secret it replaces replaces none.
    let from = sent.text("version").parse().unwrap_or(0);
    match renew(&visit.asked, key.id, wish, Some(from)).await {
        Ok(issued) => Ok(secret::page(&visit, &issued, secret::Made::Rotated)),
        Err(reply) if reply.code() == "key_rotated" => {
            Ok(secret::shown_already(&visit, key.id, secret::Made::Rotated))
        }
        Err(reply) => {
            let (status, wrong) = refused(reply.failure(), &["overlap_secs"]);
            Ok(form_page(&visit, &key, "rotate", &ask(&key, &sent, &wrong), (status, &wrong), &sent))
        }
    }
}
