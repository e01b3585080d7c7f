//! What an admin does about people: inviting, roles, new passwords, signing out, removing. Each is a form on a
//! page of its own, which opens as a dialog where there is script.

use actix_web::HttpResponse;
use maud::{Markup, html};
use nemo_events::operator::LinkPurpose;
use nemo_events::{OperatorId, Role};
use nemo_projections::Refusal;
use nemo_projections::decide::{GrantRole, RemoveOperator};

use super::Wrong;
use crate::dashboard::components::{Choice, Field, absolute, copyable, dialog_form, select};
use crate::dashboard::page::{Page, Place};
use crate::dashboard::visit::{Fields, Shows, Visit, see_other};
use crate::error::{Failure, FailureReply};
use crate::ledger::ExecuteError;
use crate::management::failures;
use crate::people::{self, Invited};

const LIST: &str = "/operators";

/// `GET /operators/invite`
pub async fn show_invite(visit: Visit) -> HttpResponse {
    invite_form(&visit, &Wrong::NOTHING)
}

/// `POST /operators/invite`
pub async fn invite(visit: Visit, form: Fields) -> HttpResponse {
    let made = match form.text("role").parse() {
        Err(_) => Err(Failure::invalid_request("Choose a role.").about("role")),
        Ok(role) => {
            let purpose = LinkPurpose::Invitation { role };
            people::invite(visit.asked.app(), purpose, visit.asked.context()).await
        }
    };
    match made {
        Ok(invited) => {
            made_link(&visit, "Invitation", "Give this link to the one person it is for.", &invited)
        }
        Err(failure) => invite_form(&visit, &Wrong::from(failure)),
    }
}

/// `GET /operators/{id}/role`
pub async fn show_role(visit: Visit) -> Shows {
    let (id, name, role) = operator(&visit)?;
    Ok(role_form(&visit, id, &name, role, &Wrong::NOTHING))
}

/// `POST /operators/{id}/role`
pub async fn change_role(visit: Visit, form: Fields) -> Shows {
    let (id, name, role) = operator(&visit)?;
    let Ok(chosen) = form.text("role").parse() else {
        let wrong = Wrong::from(Failure::invalid_request("Choose a role.").about("role"));
        return Ok(role_form(&visit, id, &name, role, &wrong));
    };
    let command = GrantRole { operator: id, role: chosen };
    let done = visit.asked.app().ledger.manage_operators(command, visit.asked.context()).await;
    Ok(back(done).unwrap_or_else(|wrong| role_form(&visit, id, &name, chosen, &wrong)))
}

/// `GET /operators/{id}/remove`
pub async fn show_remove(visit: Visit) -> Shows {
    let (id, name, _) = operator(&visit)?;
    Ok(remove_form(&visit, id, &name, "", &Wrong::NOTHING))
}

/// `POST /operators/{id}/remove`
pub async fn remove(visit: Visit, form: Fields) -> Shows {
    let (id, name, _) = operator(&visit)?;
    let command = RemoveOperator { operator: id, reason: form.given("reason") };
    let done = visit.asked.app().ledger.manage_operators(command, visit.asked.context()).await;
    Ok(back(done).unwrap_or_else(|wrong| remove_form(&visit, id, &name, form.text("reason"), &wrong)))
}

/// `GET /operators/{id}/link`
pub async fn show_link(visit: Visit) -> Shows {
    let (id, name, _) = operator(&visit)?;
    Ok(link_form(&visit, id, &name, &Wrong::NOTHING))
}

/// `POST /operators/{id}/link`
pub async fn link(visit: Visit) -> Shows {
    let (id, name, _) = operator(&visit)?;
    let purpose = LinkPurpose::Password { operator: id };
    let made = people::invite(visit.asked.app(), purpose, visit.asked.context()).await;
    Ok(match made {
        Ok(invited) => {
            let what = format!("Give this link to {name}. The password until now works until it is used.");
            made_link(&visit, "Link for a new password", &what, &invited)
        }
        Err(failure) => link_form(&visit, id, &name, &Wrong::from(failure)),
    })
}

/// `GET /operators/{id}/sign-out`
pub async fn show_sign_out(visit: Visit) -> Shows {
    let (id, name, _) = operator(&visit)?;
    Ok(sign_out_form(&visit, id, &name, &Wrong::NOTHING))
}

/// `POST /operators/{id}/sign-out`
pub async fn sign_out(visit: Visit) -> Shows {
    let (id, name, _) = operator(&visit)?;
    let done = people::sign_out(visit.asked.app(), id, visit.asked.context()).await;
    Ok(back(done).unwrap_or_else(|wrong| sign_out_form(&visit, id, &name, &wrong)))
}

/// `GET /operators/sign-out`
pub async fn show_sign_everybody_out(visit: Visit) -> HttpResponse {
    everybody_form(&visit, &Wrong::NOTHING)
}

/// `POST /operators/sign-out`
pub async fn sign_everybody_out(visit: Visit) -> HttpResponse {
    let done = people::sign_everybody_out(visit.asked.app(), visit.asked.context()).await;
    back(done).unwrap_or_else(|wrong| everybody_form(&visit, &wrong))
}

/// The operator in the path: id, name, role.
fn operator(visit: &Visit) -> Result<(OperatorId, String, Role), FailureReply> {
    let id: Option<OperatorId> = visit.asked.path_id().parse().ok();
    let found = id.and_then(|id| {
        let of = |operators: &nemo_projections::Operators| {
            operators.present(id).map(|operator| (id, operator.name.clone(), operator.role))
        };
        visit.asked.app().ledger.operators(of)
    });
    found.ok_or_else(|| visit.asked.refused(Failure::from(&Refusal::OperatorUnknown)))
}

/// Back to the list; or what was wrong.
fn back<T>(done: Result<T, ExecuteError>) -> Result<HttpResponse, Wrong> {
    done.map(|_| see_other(LIST)).map_err(|error| Wrong::from(failures::of_command(&error)))
}

fn invite_form(visit: &Visit, wrong: &Wrong) -> HttpResponse {
    let fields = html! {
        (roles(None, wrong))
        p .hint { "You get a link that works once, within an hour. Whoever opens it chooses a name and a password." }
    };
    form(
        visit,
        "Invite somebody",
        "/operators/invite",
        &fields,
        &html! { button .main { "Make a link" } },
        wrong,
    )
}

fn role_form(visit: &Visit, id: OperatorId, name: &str, role: Role, wrong: &Wrong) -> HttpResponse {
    let fields = html! {
        (roles(Some(role), wrong))
        p .hint { (name) " is signed out and has the new role from the next sign-in on." }
    };
    let buttons = html! { button .main { "Give this role" } };
    form(visit, &format!("Role of {name}"), &of(id, "role"), &fields, &buttons, wrong)
}

fn remove_form(visit: &Visit, id: OperatorId, name: &str, reason: &str, wrong: &Wrong) -> HttpResponse {
    let fields = html! {
        p { (name) " is signed out at once and cannot sign in again. What they did stays attributed to them." }
        (Field {
            name: "reason", label: "Reason", hint: "For whoever reads the ledger.", value: reason,
            wrong: wrong.beside("reason"), maxlength: Some(256), ..Field::default()
        }.show())
    };
    let buttons = html! { button .danger.main { "Remove" } };
    form(visit, &format!("Remove {name}"), &of(id, "remove"), &fields, &buttons, wrong)
}

fn link_form(visit: &Visit, id: OperatorId, name: &str, wrong: &Wrong) -> HttpResponse {
    let fields = html! {
        p { "For " (name) ", who forgot theirs. You get a link that works once, within an hour; only they choose." }
    };
    let buttons = html! { button .main { "Make a link" } };
    form(visit, &format!("New password for {name}"), &of(id, "link"), &fields, &buttons, wrong)
}

fn sign_out_form(visit: &Visit, id: OperatorId, name: &str, wrong: &Wrong) -> HttpResponse {
    let fields = html! { p { "Ends all sessions of " (name) ", on every node. They can sign in again." } };
    let buttons = html! { button .main { "Sign out" } };
    form(visit, &format!("Sign {name} out"), &of(id, "sign-out"), &fields, &buttons, wrong)
}

fn everybody_form(visit: &Visit, wrong: &Wrong) -> HttpResponse {
    let fields = html! {
        p { "Ends every session on every node, yours included, and every link that waits to be used." }
    };
    let buttons = html! { button .danger.main { "Sign everybody out" } };
    form(visit, "Sign everybody out", "/operators/sign-out", &fields, &buttons, wrong)
}

fn of(id: OperatorId, what: &str) -> String {
    format!("{LIST}/{id}/{what}")
}

fn roles(chosen: Option<Role>, wrong: &Wrong) -> Markup {
    let choice =
        |role: Role| Choice { value: role.as_str(), text: role.as_str(), chosen: chosen == Some(role) };
    // The least powerful first: whoever does not choose gives little away.
    let choices = [Role::Auditor, Role::Finance, Role::Admin].map(choice);
    select("role", "Role", "", &choices, wrong.beside("role"))
}

fn form(
    visit: &Visit,
    title: &str,
    action: &str,
    fields: &Markup,
    buttons: &Markup,
    wrong: &Wrong,
) -> HttpResponse {
    let beside = ["role", "reason"].iter().any(|field| wrong.beside(field).is_some());
    let whole = wrong.0.as_ref().filter(|_| !beside).map(|failure| failure.message.as_str());
    let buttons = html! { a .button href=(LIST) data-close { "Cancel" } (buttons) };
    let form = dialog_form(title, action, &visit.viewer.csrf, whole, fields, &buttons);
    let page = Page::new(Place::Operators, title).under(LIST, "Operators").status(wrong.status());
    page.reply(&visit.viewer, &html! { div .card { (form) } })
}

/// The link, this once. Its code stands behind the `#`, so no server ever sees it before it is used.
fn made_link(visit: &Visit, title: &str, what: &str, invited: &Invited) -> HttpResponse {
    let link = format!("{}{}", visit.asked.own_address(), invited.path);
    let content = html! {
        section data-dialog {
            h2 #dialog-title { (title) }
            p { (what) }
            p .anywhere { (copyable(&link, "link")) }
            p .hint {
                "It works once, until " (absolute(invited.valid_until)) ", and is shown only now. "
                "It ends with the server's process."
            }
            div .buttons { a .button.main href=(LIST) { "Done" } }
        }
    };
    let page = Page::new(Place::Operators, title).under(LIST, "Operators");
    page.reply(&visit.viewer, &html! { div .card { (content) } })
}
