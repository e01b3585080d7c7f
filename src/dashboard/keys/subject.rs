//! The key that a form is about, and what the forms of one key have in common.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use maud::{Markup, html};

use super::wrong::Wrong;
use crate::dashboard::components::{Field, dialog_form, hidden, secret_hint};
use crate::dashboard::{Fields, Page, Place, Shows, Visit, see_other};
use crate::error::{Failure, FailureReply};
use crate::management::keys::look_at;
use crate::management::shapes::Key;

/// What a form asks: its title, its fields, and its button with the classes that it has.
pub(super) struct Ask<'a> {
    pub(super) title: &'a str,
    pub(super) fields: Markup,
    pub(super) button: (&'a str, &'a str),
}

/// The key that is named in the path, from its own account.
pub(super) async fn subject(visit: &Visit) -> Result<Key, FailureReply> {
    Ok(look_at(&visit.asked, visit.asked.key_id()?).await?.answer)
}

/// The page of a form about one key, which is also what a dialog shows. `action` is the last part of its path.
pub(super) fn form_page(
    visit: &Visit,
    key: &Key,
    action: &str,
    ask: &Ask<'_>,
    (status, wrong): (StatusCode, &Wrong),
    sent: &Fields,
) -> HttpResponse {
    let own = format!("/keys/{}", key.id);
    let (label, class) = ask.button;
    let buttons = html! {
        a .button href=(back(sent, key)) data-close { "Cancel" }
        button class=(class) { (label) }
    };
    let fields = html! {
        @if !sent.text("to").is_empty() { (hidden("to", sent.text("to"))) }
        (ask.fields)
    };
    let path = format!("{own}/{action}");
    let form = dialog_form(ask.title, &path, &visit.viewer.csrf, wrong.whole(), &fields, &buttons);
    let heading = html! { a .plain href=(own) { (key.labels.name) } " " @if let Some(last) = key.secrets.last() { small .muted { (secret_hint(&last.last_four)) } } };
    Page::new(Place::Keys, ask.title)
        .status(status)
        .heading(heading)
        .under("/keys", "Keys")
        .sheets(&["keys.css"])
        .modules(&["keys.js"])
        .reply(&visit.viewer, &html! { div .card.narrow { (form) } })
}

/// Where a form leads to once it is done: the list, if it came from there, or the key's page.
pub(super) fn done(sent: &Fields, key: &Key) -> HttpResponse {
    see_other(&back(sent, key))
}

fn back(sent: &Fields, key: &Key) -> String {
    if sent.text("to") == "list" { "/keys".to_owned() } else { format!("/keys/{}", key.id) }
}

/// A refusal in its form, where the key can be looked at at all.
pub(super) fn refused(failure: &Failure, fields: &[&'static str]) -> (StatusCode, Wrong) {
    (failure.status, Wrong::refused(failure, fields))
}

/// Nothing is wrong yet.
pub(super) fn fresh() -> (StatusCode, Wrong) {
    (StatusCode::OK, Wrong::default())
}

/// Why somebody does something; recorded with the event.
pub(super) fn reason(sent: &Fields, wrong: &Wrong) -> Markup {
    Field {
        name: "reason",
        label: "Reason",
        hint: "Recorded with the event, for those who look at it later.",
        value: sent.text("reason"),
        wrong: wrong.of("reason"),
        maxlength: Some(500),
        ..Field::default()
    }
    .show()
}

/// What is left to do for a key that is revoked: nothing.
pub(super) fn is_over(visit: &Visit, key: &Key) -> Shows {
    use nemo_projections::key::Status;
    if key.status == Status::Revoked {
        let why = "The key is revoked. That is final: create another one.";
        return Err(visit.asked.refused(Failure::new(StatusCode::CONFLICT, "key_revoked", why)));
    }
    Ok(HttpResponse::Ok().finish())
}
