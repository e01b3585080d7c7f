//! Creating, renaming, suspending and resuming an org.

use maud::{Markup, html};
use nemo_events::OrgId;
use nemo_events::org::OrgLimits;
use nemo_projections::OrgState;
use nemo_projections::decide::{CreateOrg, OrgCommand, RenameOrg, ResumeOrg, SuspendOrg};
use uuid::Uuid;

use super::{FormPage, as_a_whole, org_of, shown_in_form};
use crate::auth::session::Viewer;
use crate::dashboard::components::Field;
use crate::dashboard::{Fields, Shows, Visit, see_other};
use crate::error::Failure;
use crate::management::asked::Asked;

/// The form for a new org.
pub(in crate::dashboard) async fn create_form(visit: Visit) -> Shows {
    Ok(creating("", None).reply(&visit.viewer))
}

/// Creates it.
pub(in crate::dashboard) async fn create(visit: Visit, fields: Fields) -> Shows {
    let name = fields.text("name");
    let id = OrgId::from_uuid(Uuid::now_v7());
    let command = CreateOrg { name: name.to_owned(), limits: OrgLimits::default() };
    match visit.asked.create_org(id, command).await {
        Ok(_) => Ok(see_other(&format!("/orgs/{id}"))),
        Err(reply) => Ok(creating(name, Some(&shown_in_form(reply)?)).reply(&visit.viewer)),
    }
}

fn creating<'a>(name: &str, refused: Option<&'a Failure>) -> FormPage<'a> {
    FormPage {
        title: "Create org",
        action: "/orgs/new",
        back: ("/orgs", "Orgs"),
        refused: as_a_whole(refused),
        fields: name_field(name, "Whose keys these are: a team, a customer, a company.", refused),
        button: html! { button .main { "Create org" } },
    }
}

/// The form for another name.
pub(in crate::dashboard) async fn rename_form(visit: Visit) -> Shows {
    let (id, org) = org_of(&visit.asked).await?;
    Ok(renaming(&visit.viewer, id, &org.answer, &org.answer.name, None))
}

/// Renames the org.
pub(in crate::dashboard) async fn rename(visit: Visit, fields: Fields) -> Shows {
    let (id, org) = org_of(&visit.asked).await?;
    let name = fields.text("name");
    match visit.asked.manage_org(id, RenameOrg { name: name.to_owned() }).await {
        Ok(_) => Ok(see_other(&format!("/orgs/{id}"))),
        Err(reply) => Ok(renaming(&visit.viewer, id, &org.answer, name, Some(&shown_in_form(reply)?))),
    }
}

fn renaming(
    viewer: &Viewer,
    id: OrgId,
    org: &OrgState,
    name: &str,
    refused: Option<&Failure>,
) -> actix_web::HttpResponse {
    let (back, action) = (format!("/orgs/{id}"), format!("/orgs/{id}/rename"));
    let form = FormPage {
        title: "Rename org",
        action: &action,
        back: (&back, &org.name),
        refused: as_a_whole(refused),
        fields: name_field(name, "Its id stays, and so does everything that is known by it.", refused),
        button: html! { button .main { "Rename" } },
    };
    form.reply(viewer)
}

fn name_field(name: &str, hint: &str, refused: Option<&Failure>) -> Markup {
    let wrong = refused.filter(|failure| failure.message.contains("name")).map(|_| "Choose another name.");
    let field = Field {
        name: "name",
        label: "Name",
        hint,
        value: name,
        wrong,
        required: true,
        maxlength: Some(128),
        ..Field::default()
    };
    field.show()
}

/// Asks whether to suspend the org, and why.
pub(in crate::dashboard) async fn suspend_form(visit: Visit) -> Shows {
    let (id, org) = org_of(&visit.asked).await?;
    Ok(suspending(&visit.viewer, id, &org.answer, "", None))
}

/// Suspends it.
pub(in crate::dashboard) async fn suspend(visit: Visit, fields: Fields) -> Shows {
    let (id, org) = org_of(&visit.asked).await?;
    let reason = fields.given("reason");
    let entered = fields.text("reason");
    let again = |failure: &Failure| suspending(&visit.viewer, id, &org.answer, entered, Some(failure));
    done(&visit.asked, id, SuspendOrg { reason }, again).await
}

fn suspending(
    viewer: &Viewer,
    id: OrgId,
    org: &OrgState,
    reason: &str,
    refused: Option<&Failure>,
) -> actix_web::HttpResponse {
    let (back, action) = (format!("/orgs/{id}"), format!("/orgs/{id}/suspend"));
    let form = FormPage {
        title: "Suspend org",
        action: &action,
        back: (&back, &org.name),
        refused: as_a_whole(refused),
        fields: html! {
            p { "New calls with all keys of " strong .anywhere { (org.name) } " are refused until it is resumed. Running calls end as they would. Nothing is lost." }
            (reason_field(reason))
        },
        button: html! { button .danger.main { "Suspend" } },
    };
    form.reply(viewer)
}

/// Asks whether to resume the org.
pub(in crate::dashboard) async fn resume_form(visit: Visit) -> Shows {
    let (id, org) = org_of(&visit.asked).await?;
    Ok(resuming(&visit.viewer, id, &org.answer, None))
}

/// Resumes it.
pub(in crate::dashboard) async fn resume(visit: Visit) -> Shows {
    let (id, org) = org_of(&visit.asked).await?;
    let again = |failure: &Failure| resuming(&visit.viewer, id, &org.answer, Some(failure));
    done(&visit.asked, id, ResumeOrg, again).await
}

fn resuming(
    viewer: &Viewer,
    id: OrgId,
    org: &OrgState,
    refused: Option<&Failure>,
) -> actix_web::HttpResponse {
    let (back, action) = (format!("/orgs/{id}"), format!("/orgs/{id}/resume"));
    let form = FormPage {
        title: "Resume org",
        action: &action,
        back: (&back, &org.name),
        refused: as_a_whole(refused),
        fields: html! { p { "Keys of " strong .anywhere { (org.name) } " work again, but for those that are blocked, expired or revoked themselves." } },
        button: html! { button .main { "Resume" } },
    };
    form.reply(viewer)
}

/// Why somebody does something.
pub(super) fn reason_field(reason: &str) -> Markup {
    let hint = "Recorded with the event, for whoever asks later.";
    let field = Field {
        name: "reason",
        label: "Reason",
        hint,
        value: reason,
        maxlength: Some(500),
        ..Field::default()
    };
    field.show()
}

async fn done<C: OrgCommand + Send + 'static>(
    asked: &Asked,
    id: OrgId,
    command: C,
    again: impl FnOnce(&Failure) -> actix_web::HttpResponse,
) -> Shows {
    match asked.manage_org(id, command).await {
        Ok(_) => Ok(see_other(&format!("/orgs/{id}"))),
        Err(reply) => Ok(again(&shown_in_form(reply)?)),
    }
}
