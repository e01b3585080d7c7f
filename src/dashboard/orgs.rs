//! `/orgs`: who owns keys. An org's page is told from its own account and is the truth; what its keys come to is
//! told by the read model and may be missing for a while.

mod archive;
mod budgets;
mod change;
mod detail;
mod limits;
mod list;

pub(super) use archive::{archive, archive_form};
pub(super) use budgets::{budgets_form, set_budgets};
pub(super) use change::{
    create, create_form, rename, rename_form, resume, resume_form, suspend, suspend_form,
};
pub(super) use detail::show;
pub(super) use limits::{bounds_form, limits_form, set_bounds, set_limits};
pub(super) use list::list;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use maud::{Markup, html};
use nemo_events::OrgId;
use nemo_projections::OrgState;
use nemo_projections::org::Standing;

use super::components::{Tone, dialog_form, status};
use super::{Page, Place};
use crate::auth::session::Viewer;
use crate::error::{Failure, FailureReply};
use crate::ledger::Done;
use crate::management::asked::Asked;
use crate::management::orgs;

/// A standing as a word with a dot.
fn standing(standing: Standing) -> Markup {
    match standing {
        Standing::Active => status("Active", Tone::Good),
        Standing::Suspended => status("Suspended", Tone::Warning),
        Standing::Archived => status("Archived", Tone::Ended),
    }
}

/// The org in the path, from its own account.
async fn org_of(asked: &Asked) -> Result<(OrgId, Done<OrgState>), FailureReply> {
    let id = asked.org_id()?;
    Ok((id, orgs::look_at(asked, id).await?))
}

/// A form on a page of its own, which also opens as a dialog.
struct FormPage<'a> {
    title: &'a str,
    /// Where it is sent.
    action: &'a str,
    /// The page that it belongs to.
    back: (&'a str, &'a str),
    /// What it is refused for as a whole.
    refused: Option<(StatusCode, &'a str)>,
    fields: Markup,
    /// The button that does it.
    button: Markup,
}

impl FormPage<'_> {
    fn reply(&self, viewer: &Viewer) -> HttpResponse {
        let (path, name) = self.back;
        let wrong = self.refused.map(|(_, why)| why);
        let buttons = html! {
            a .button href=(path) data-close { "Cancel" }
            (self.button)
        };
        let form = dialog_form(self.title, self.action, &viewer.csrf, wrong, &self.fields, &buttons);
        let status = self.refused.map_or(StatusCode::OK, |(status, _)| status);
        let page = Page::new(Place::Orgs, self.title).status(status).under(path, name).sheets(&["keys.css"]);
        page.reply(viewer, &html! { div .card.narrow { (form) } })
    }
}

/// A refusal that can be shown beside what was entered; whatever else went wrong has a page of its own.
fn shown_in_form(reply: FailureReply) -> Result<Failure, FailureReply> {
    if reply.failure().status.is_client_error() { Ok(reply.failure().clone()) } else { Err(reply) }
}

/// What a form is refused for, as its page shows it.
fn as_a_whole(refused: Option<&Failure>) -> Option<(StatusCode, &str)> {
    refused.map(|failure| (failure.status, failure.message.as_str()))
}
