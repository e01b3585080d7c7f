//! Archiving an org, which revokes its keys: for good, so the name is to be typed.

use actix_web::HttpResponse;
use maud::{Markup, html};
use nemo_events::OrgId;
use nemo_projections::OrgState;
use nemo_projections::org::Standing;
use nemo_read_model::OrgUse;

use super::change::reason_field;
use super::{FormPage, as_a_whole, org_of, shown_in_form};
use crate::dashboard::components::Field;
use crate::dashboard::{Fields, Shows, Visit, see_other};
use crate::error::Failure;
use crate::figures::money::grouped;
use crate::management::org_removal;

/// What the form holds.
#[derive(Default)]
struct Entered<'a> {
    name: &'a str,
    reason: &'a str,
    /// The name is not the org's.
    is_another: bool,
    refused: Option<Failure>,
}

/// Asks whether to archive the org.
pub(in crate::dashboard) async fn archive_form(visit: Visit) -> Shows {
    let (id, org) = org_of(&visit.asked).await?;
    Ok(shown(&visit, id, &org.answer, &Entered::default()).await)
}

/// Archives it and revokes its keys.
pub(in crate::dashboard) async fn archive(visit: Visit, fields: Fields) -> Shows {
    let (id, org) = org_of(&visit.asked).await?;
    let org = org.answer;
    let entered = Entered { name: fields.text("name"), reason: fields.text("reason"), ..Entered::default() };
    if entered.name != org.name.trim() {
        let entered = Entered { is_another: true, ..entered };
        return Ok(shown(&visit, id, &org, &entered).await);
    }
    let reason = fields.given("reason");
    match org_removal::archive(&visit.asked, id, reason).await {
        Ok(_) => Ok(see_other(&format!("/orgs/{id}"))),
        Err(reply) => {
            let refused = Some(shown_in_form(reply)?);
            Ok(shown(&visit, id, &org, &Entered { refused, ..entered }).await)
        }
    }
}

async fn shown(visit: &Visit, id: OrgId, org: &OrgState, entered: &Entered<'_>) -> HttpResponse {
    let now = visit.now();
    let its_use = visit.asked.read(None, move |reader| reader.org_use(id, now)).await.ok();
    let (back, action) = (format!("/orgs/{id}"), format!("/orgs/{id}/archive"));
    let wrong = entered.is_another.then_some("This is not the org's name.");
    let name = Field {
        name: "name",
        label: "Type the org's name",
        value: entered.name,
        wrong,
        required: true,
        maxlength: Some(128),
        ..Field::default()
    };
    let form = FormPage {
        title: "Archive org",
        action: &action,
        back: (&back, &org.name),
        refused: as_a_whole(entered.refused.as_ref()),
        fields: html! {
            p { (consequences(org, its_use.as_ref().map(|answer| &answer.value))) }
            (name.show())
            (reason_field(entered.reason))
        },
        button: html! { button .danger.main { @if org.standing == Standing::Archived { "Revoke remaining keys" } @else { "Archive and revoke keys" } } },
    };
    form.reply(&visit.viewer)
}

fn consequences(org: &OrgState, its_use: Option<&OrgUse>) -> Markup {
    html! {
        strong .anywhere { (org.name) } " is archived for good. "
        @match its_use.map(|its_use| (its_use.active.saturating_add(its_use.blocked), its_use.open_calls)) {
            None => "All its keys are revoked; how many that are cannot be told just now. ",
            Some((0, _)) => "It has no key that is not revoked already. ",
            Some((keys, calls)) => {
                strong { @if keys == 1 { "1 key is revoked" } @else { (grouped(keys)) " keys are revoked" } }
                ", for good"
                @if calls == 1 { ", and 1 call in flight is cut" } @else if calls > 0 { ", and " (grouped(calls)) " calls in flight are cut" }
                ". "
            }
        }
        "History stays."
    }
}
