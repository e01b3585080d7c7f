//! One's own account: another password, and signing out everywhere.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse};
use maud::html;

use super::setup::{chosen, passwords};
use super::{Wrong, begin, password_field, told};
use crate::auth::password::Password;
use crate::auth::session::no_cookie;
use crate::dashboard::components::{Field, Tone, csrf, status};
use crate::dashboard::page::{Page, Place};
use crate::dashboard::visit::{Fields, Shows, Visit};
use crate::people;

/// `GET /account`
pub async fn show(visit: Visit) -> HttpResponse {
    page(&visit, &Wrong::NOTHING)
}

/// `POST /account/password`
pub async fn change_password(visit: Visit, request: HttpRequest, form: Fields) -> HttpResponse {
    let changed = match chosen(&form) {
        Err(failure) => Err(failure),
        Ok(password) => {
            let before = Password::typed(form.as_sent("before").to_owned());
            people::change_password(visit.asked.app(), &request, &visit.viewer, before, password).await
        }
    };
    match changed {
        Ok(logged_in) => begin(&logged_in, "/account?changed=password"),
        Err(failure) => page(&visit, &told(failure)),
    }
}

/// `POST /account/sign-out`
pub async fn sign_out(visit: Visit) -> Shows {
    let done = people::sign_out(visit.asked.app(), visit.viewer.id, visit.asked.context()).await;
    done.map_err(|error| visit.asked.not_executed(&error))?;
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, "/login")).cookie(no_cookie()).finish())
}

fn page(visit: &Visit, wrong: &Wrong) -> HttpResponse {
    let viewer = &visit.viewer;
    let changed = visit.query().text("changed") == "password";
    let content = html! {
        div .grid.two {
            section .card {
                header { h2 { "Password" } @if changed { (status("changed", Tone::Good)) } }
                form .fields method="post" action="/account/password" data-no-keys {
                    (csrf(&viewer.csrf))
                    (wrong.above(&["before", "password", "again"]))
                    (Field {
                        autocomplete: "current-password", ..password_field("before", "Password until now", wrong)
                    }.show())
                    (passwords("New password", wrong))
                    div .buttons {
                        span .hint { "Ends all your other sessions." }
                        button .main { "Change password" }
                    }
                }
            }
            section .card {
                header { h2 { "Sessions" } }
                form .fields method="post" action="/account/sign-out" {
                    (csrf(&viewer.csrf))
                    p { "Ends all your sessions, on every device, this one included." }
                    div .buttons { button .danger { "Sign out everywhere" } }
                }
            }
        }
    };
    let page = Page::new(Place::Elsewhere, "Your account")
        .lede(html! { (viewer.name) ", " (viewer.role) })
        .status(wrong.status())
        .modules(&["people.js"]);
    wrong.on(page.reply(viewer, &content))
}
