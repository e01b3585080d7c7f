//! A secret, once: the reply to the `POST` that made it, kept by nobody. There is no other page that has one, and
//! no address at which this one could be seen again.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use maud::{Markup, html};
use nemo_events::KeyId;
use nemo_projections::KeyState;

use super::{caps_in_words, rates_in_words};
use crate::dashboard::components::{Tone, copyable, notice, secret_hint};
use crate::dashboard::{Page, Place, Visit};
use crate::management::key_secrets::Issued;

/// How a secret came into being.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// With its key.
    Created,
    /// In the place of another.
    Rotated,
}

/// The page that shows it.
pub(super) fn page(visit: &Visit, issued: &Issued, made: Made) -> HttpResponse {
    let Issued { text, done } = issued;
    let (id, key) = (text.key_id(), done.answer.key.as_ref());
    let name = key.map(|key| key.labels.name.as_str()).unwrap_or_default();
    let content = html! {
        section .dialog-body data-dialog data-secret={ (name) } {
            h2 #dialog-title { "Save this key now" }
            (notice(Tone::Warning, "This is the only time the full key is shown.", &html! {
                p { "Only a fingerprint of it is kept. If you lose it, rotate the key to get a new one." }
            }))
            div .secret {
                code #secret { (text.expose_secret()) }
                button .main type="button" data-copy-secret hidden { "Copy key" }
            }
            @if let Some(key) = key { (facts(key, text.last_four())) }
            (use_it(visit, id))
            form .acknowledge method="get" action={ "/keys/" (id) } {
                label .tick { input type="checkbox" required data-saved; span { "I have saved this key in a safe place" } }
                div .buttons {
                    span .hint { "It cannot be shown again, by anybody." }
                    button .main data-done { "Done" }
                }
            }
        }
    };
    let title = match made {
        Made::Created => "Key created",
        Made::Rotated => "Key rotated",
    };
    Page::new(Place::Keys, title)
        .under("/keys", "Keys")
        .sheets(&["keys.css"])
        .modules(&["keys.js"])
        .reply(&visit.viewer, &html! { div .card.narrow.flush { (content) } })
}

fn facts(key: &KeyState, last_four: &str) -> Markup {
    html! {
        dl .facts {
            dt { "Shown later as" }
            dd { strong { (key.labels.name) } " " (secret_hint(last_four)) }
            dt { "May spend" }
            dd { (caps_in_words(&key.limits)) }
            @if let Some(rates) = rates_in_words(&key.limits) { dt { "At most" } dd { (rates) } }
        }
    }
}

/// How to use the key, without the key: the variable stands in its place.
fn use_it(visit: &Visit, id: KeyId) -> Markup {
    let model = first_model(visit);
    let curl = format!(
        "curl {}/v1/chat/completions \\\n  -H \"Authorization: Bearer $NEMO_API_KEY\" \\\n  -H \"Content-Type: application/json\" \\\n  -d '{{\"model\": \"{model}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Say hello.\"}}]}}'",
        visit.asked.inference_url()
    );
    html! {
        details {
            summary { "Use it" }
            div .stack {
                p .small {
                    "In a file that your application reads as its environment: "
                    button .quiet type="button" data-download="nemo.env" hidden { "Download .env file" }
                    " " code { "NEMO_API_KEY=" "…" }
                }
                pre .sample tabindex="0" aria-label="Example with curl" { code { (curl) } }
                p { (copyable(&id.to_string(), "key id")) }
            }
        }
    }
}

/// A model that can be called, for the example.
fn first_model(visit: &Visit) -> String {
    let app = visit.asked.app();
    let models = app.terms().providers.models(&|_| true, visit.now());
    models.into_iter().next().map_or_else(|| "MODEL".to_owned(), |model| model.id)
}

/// The form was sent again: what it made is there, and its secret was shown.
pub(super) fn shown_already(visit: &Visit, id: KeyId, made: Made) -> HttpResponse {
    let (title, what) = match made {
        Made::Created => ("This form has made its key already", "created"),
        Made::Rotated => ("The key has been rotated since this form was opened", "rotated"),
    };
    let content = html! {
        section data-dialog {
            (notice(Tone::Info, title, &html! {
                p {
                    "A secret is shown once, when it is made, so it cannot be shown again. Nothing was " (what)
                    " a second time. If nobody saved the secret, rotate the key."
                }
            }))
            p .actions {
                a .button.main href={ "/keys/" (id) } { "To the key" }
                a .button href={ "/keys/" (id) "/rotate" } { "Rotate it" }
            }
        }
    };
    Page::new(Place::Keys, "Shown already")
        .status(StatusCode::CONFLICT)
        .under("/keys", "Keys")
        .reply(&visit.viewer, &html! { div .card.narrow { (content) } })
}
