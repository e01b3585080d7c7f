//! The limits that an org's new keys get, and the bounds of all its keys. Each form sets its part; the other stays.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use maud::{Markup, html};
use nemo_events::OrgId;
use nemo_events::org::OrgLimits;
use nemo_projections::OrgState;
use nemo_projections::decide::SetOrgLimits;

use super::{FormPage, org_of, shown_in_form};
use crate::dashboard::keys::limits_form::{self, Use};
use crate::dashboard::keys::limits_read::{NAMES, fields_of, read_bounds, read_defaults};
use crate::dashboard::keys::wrong::Wrong;
use crate::dashboard::{Fields, Shows, Visit, see_other};

/// Which part of an org's limits a form is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Defaults,
    Bounds,
}

impl Part {
    const fn title(self) -> &'static str {
        match self {
            Self::Defaults => "Limits that new keys get",
            Self::Bounds => "Bounds of all keys",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Defaults => "limits",
            Self::Bounds => "bounds",
        }
    }

    fn about(self) -> Markup {
        html! {
            @match self {
                Self::Defaults => p { "A key that states limits of its own gets those instead. Keys that exist keep theirs. Leave everything empty for no defaults." },
                Self::Bounds => p { "No new key may be wider, and none may become so. Keys that are wider already stay as they are until they change. Leave everything empty for no bounds." },
            }
        }
    }

    /// What the form shows of the limits in force.
    fn entered(self, limits: &OrgLimits) -> Fields {
        let part = match self {
            Self::Defaults => &limits.key_defaults,
            Self::Bounds => &limits.key_bounds,
        };
        part.as_ref().map(fields_of).unwrap_or_default()
    }

    /// All limits of the org, with what the form says in place of this part.
    fn read(self, sent: &Fields, before: &OrgLimits) -> Result<OrgLimits, Wrong> {
        let OrgLimits { key_defaults, key_bounds } = before;
        Ok(match self {
            Self::Defaults => OrgLimits {
                key_defaults: read_defaults(sent, key_defaults.as_ref())?,
                key_bounds: key_bounds.clone(),
            },
            Self::Bounds => OrgLimits {
                key_defaults: key_defaults.clone(),
                key_bounds: read_bounds(sent, key_bounds.as_ref())?,
            },
        })
    }
}

/// The form with the defaults that are in force.
pub(in crate::dashboard) async fn limits_form(visit: Visit) -> Shows {
    form(visit, Part::Defaults).await
}

/// Sets them.
pub(in crate::dashboard) async fn set_limits(visit: Visit, sent: Fields) -> Shows {
    set(visit, sent, Part::Defaults).await
}

/// The form with the bounds that are in force.
pub(in crate::dashboard) async fn bounds_form(visit: Visit) -> Shows {
    form(visit, Part::Bounds).await
}

/// Sets them.
pub(in crate::dashboard) async fn set_bounds(visit: Visit, sent: Fields) -> Shows {
    set(visit, sent, Part::Bounds).await
}

async fn form(visit: Visit, part: Part) -> Shows {
    let (id, org) = org_of(&visit.asked).await?;
    let entered = part.entered(&org.answer.limits);
    Ok(shown(&visit, id, &org.answer, part, &entered, (StatusCode::OK, &Wrong::default())))
}

async fn set(visit: Visit, sent: Fields, part: Part) -> Shows {
    let (id, org) = org_of(&visit.asked).await?;
    let org = org.answer;
    let (status, wrong) = match part.read(&sent, &org.limits) {
        Err(wrong) => (StatusCode::UNPROCESSABLE_ENTITY, wrong),
        Ok(limits) => match visit.asked.manage_org(id, SetOrgLimits { limits }).await {
            Ok(_) => return Ok(see_other(&format!("/orgs/{id}"))),
            Err(reply) => {
                let failure = shown_in_form(reply)?;
                (failure.status, Wrong::refused(&failure, &NAMES))
            }
        },
    };
    Ok(shown(&visit, id, &org, part, &sent, (status, &wrong)))
}

fn shown(
    visit: &Visit,
    id: OrgId,
    org: &OrgState,
    part: Part,
    fields: &Fields,
    (status, wrong): (StatusCode, &Wrong),
) -> HttpResponse {
    let (back, action) = (format!("/orgs/{id}"), format!("/orgs/{id}/{}", part.path()));
    let of = if part == Part::Bounds { Use::Bound } else { Use::Key };
    let form = FormPage {
        title: part.title(),
        action: &action,
        back: (&back, &org.name),
        refused: wrong.whole().map(|why| (status, why)),
        fields: html! { (part.about()) (limits_form::show(of, fields, wrong)) },
        button: html! { button .main { @if part == Part::Bounds { "Set bounds" } @else { "Set limits" } } },
    };
    form.reply(&visit.viewer)
}
