//! Choosing a password by a link: the first person, others who were invited, whoever forgot theirs. The link's
//! code stands behind its `#`, which browsers do not send; the page's module puts it into the form. Without
//! script it is pasted by hand.

use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};

use super::{PASSWORD_HINT, Wrong, begin, cookie_notice, must_be_from_here, password_field, told};
use crate::app::App;
use crate::auth::password::Password;
use crate::dashboard::components::Field;
use crate::dashboard::page::{Page, Place};
use crate::dashboard::visit::Fields;
use crate::error::Failure;
use crate::people::{self, Joining};

/// `GET /setup`
pub async fn show(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    joining(&app, &request, "", &Wrong::NOTHING)
}

/// `POST /setup`
pub async fn submit(app: web::Data<App>, request: HttpRequest, form: Fields) -> HttpResponse {
    let name = form.text("name");
    let chosen = must_be_from_here(&request).and_then(|()| chosen(&form));
    let joined = match chosen {
        Err(failure) => Err(failure),
        Ok(password) => {
            let code = form.text("code").to_owned();
            people::join(&app, &request, Joining { code, name: name.to_owned(), password }).await
        }
    };
    match joined {
        Ok(logged_in) => begin(&logged_in, "/"),
        Err(failure) => {
            let name = if name.contains("k-nemo-") { "" } else { name };
            joining(&app, &request, name, &told(failure))
        }
    }
}

/// `GET /setup/password`
pub async fn show_password(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    another(&app, &request, &Wrong::NOTHING)
}

/// `POST /setup/password`
pub async fn submit_password(app: web::Data<App>, request: HttpRequest, form: Fields) -> HttpResponse {
    let chosen = must_be_from_here(&request).and_then(|()| chosen(&form));
    let set = match chosen {
        Err(failure) => Err(failure),
        Ok(password) => people::set_password(&app, &request, form.text("code"), password).await,
    };
    match set {
        Ok(logged_in) => begin(&logged_in, "/"),
        Err(failure) => another(&app, &request, &told(failure)),
    }
}

/// The password, typed twice alike.
pub(super) fn chosen(form: &Fields) -> Result<Password, Failure> {
    let password = form.as_sent("password");
    if password != form.as_sent("again") {
        let why = "These are not the same. Type the password again.";
        return Err(Failure::invalid_request(why).about("again"));
    }
    Ok(Password::typed(password.to_owned()))
}

fn joining(app: &App, request: &HttpRequest, name: &str, wrong: &Wrong) -> HttpResponse {
    let content = html! {
        (cookie_notice(app, request).unwrap_or_default())
        form .fields method="post" action="/setup" data-no-keys data-code {
            (wrong.above(&["code", "name", "password", "again"]))
            (code_field(wrong))
            (Field {
                name: "name", label: "Your name", value: name, wrong: wrong.beside("name"), autocomplete: "username",
                hint: "You sign in with it, and the ledger shows it beside what you do.", required: true,
                maxlength: Some(64), ..Field::default()
            }.show())
            (passwords("Password", wrong))
            button .main { "Create my account" }
        }
    };
    reply("Welcome to Nemo", &content, wrong)
}

fn another(app: &App, request: &HttpRequest, wrong: &Wrong) -> HttpResponse {
    let content = html! {
        (cookie_notice(app, request).unwrap_or_default())
        form .fields method="post" action="/setup/password" data-no-keys data-code {
            (wrong.above(&["code", "password", "again"]))
            (code_field(wrong))
            (passwords("New password", wrong))
            button .main { "Set my password" }
        }
        p .hint { "You are signed out everywhere else." }
    };
    reply("Choose a new password", &content, wrong)
}

fn code_field(wrong: &Wrong) -> Markup {
    let hint = "What stands behind the # of your link.";
    let wrong = wrong.beside("code");
    Field {
        name: "code",
        label: "Code",
        hint,
        wrong,
        required: true,
        maxlength: Some(64),
        ..Field::default()
    }
    .show()
}

/// Chosen by whoever will use it, and typed twice.
pub(super) fn passwords(label: &str, wrong: &Wrong) -> Markup {
    html! {
        (Field {
            hint: PASSWORD_HINT, autocomplete: "new-password", ..password_field("password", label, wrong)
        }.show())
        (Field { autocomplete: "new-password", ..password_field("again", "The same again", wrong) }.show())
    }
}

fn reply(title: &str, content: &Markup, wrong: &Wrong) -> HttpResponse {
    let page = Page::new(Place::Elsewhere, title).status(wrong.status()).modules(&["people.js"]);
    wrong.on(page.reply_alone(&html! { div .stack { (content) } }))
}
