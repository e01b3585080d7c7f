//! Signing in and out.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use maud::html;
use tracing::warn;

use super::{Wrong, begin, cookie_notice, must_be_from_here, password_field, told};
use crate::app::App;
use crate::auth::password::Password;
use crate::auth::session::{Viewer, no_cookie};
use crate::dashboard::components::{Field, Tone, hidden, notice};
use crate::dashboard::page::{Page, Place};
use crate::dashboard::visit::{Fields, see_other};
use crate::people::{self, Login};
use crate::request_id;

/// `GET /login`
pub async fn show(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    let next = Fields::parse(request.query_string());
    let next = way_back(next.as_sent("next"));
    if Viewer::of(&app, &request).is_some() {
        return see_other(next);
    }
    page(&app, &request, next, "", &Wrong::NOTHING)
}

/// `POST /login`
pub async fn submit(app: web::Data<App>, request: HttpRequest, form: Fields) -> HttpResponse {
    let (next, name) = (way_back(form.as_sent("next")), form.text("name"));
    let logged_in = match must_be_from_here(&request) {
        Err(failure) => Err(failure),
        Ok(()) => {
            let password = Password::typed(form.as_sent("password").to_owned());
            people::log_in(&app, &request, Login { name: name.to_owned(), password }).await
        }
    };
    match logged_in {
        Ok(logged_in) => begin(&logged_in, next),
        Err(failure) => {
            // A key that was typed into the wrong field is not sent back.
            let name = if name.contains("k-nemo-") { "" } else { name };
            page(&app, &request, next, name, &told(failure))
        }
    }
}

/// `POST /logout`
pub async fn leave(app: web::Data<App>, request: HttpRequest, viewer: Viewer) -> HttpResponse {
    let context = people::as_viewer(&viewer, request_id::of(&request));
    if let Err(error) = people::leave(&app, &viewer, context).await {
        warn!(%error, "that somebody signed out could not be written down");
    }
    HttpResponse::SeeOther().insert_header((LOCATION, "/login")).cookie(no_cookie()).finish()
}

fn page(app: &App, request: &HttpRequest, next: &str, name: &str, wrong: &Wrong) -> HttpResponse {
    let nobody = app.lifecycle.has_started() && app.ledger.operators(nemo_projections::Operators::is_empty);
    let first = html! {
        p {
            "The server printed a link when it was started, with which the first person chooses a name and a password. "
            "Open that link; a restart prints a new one."
        }
    };
    let content = html! {
        @if nobody { (notice(Tone::Info, "Nobody can sign in yet", &first)) }
        (cookie_notice(app, request).unwrap_or_default())
        form .fields method="post" action="/login" data-no-keys {
            (wrong.above(&["name", "password"]))
            (hidden("next", next))
            (Field {
                name: "name", label: "Name", value: name, wrong: wrong.beside("name"), autocomplete: "username",
                required: true, maxlength: Some(64), ..Field::default()
            }.show())
            (Field { autocomplete: "current-password", ..password_field("password", "Password", wrong) }.show())
            button .main { "Sign in" }
        }
        p .hint {
            "Forgotten? An admin can give you a link for a new password, or whoever runs the server: "
            code { "nemo operators link NAME" } "."
        }
        p .hint { "To try a model with a virtual key, go to the " a href="/playground" { "playground" } "." }
    };
    let page = Page::new(Place::Elsewhere, "Sign in").status(wrong.status()).modules(&["people.js"]);
    wrong.on(page.reply_alone(&html! { div .stack { (content) } }))
}

/// A path of this gateway, and never another site.
fn way_back(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next.starts_with("//") && !next.starts_with("/login");
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#'));
    if is_path && is_plain { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_never_leads_elsewhere() {
        assert_eq!(way_back("/keys?q=a%20b"), "/keys?q=a%20b");
        for next in [
            "",
            "//evil.test",
            "/\\evil.test",
            "https://evil.test",
            "/a\r\nset-cookie: x",
            "/login?next=/",
            "keys",
        ] {
            assert_eq!(way_back(next), "/", "{next}");
        }
    }
}
