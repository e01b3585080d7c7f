//! Budgets that all keys of an org share: what they have left, and the form that sets them.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use maud::{Markup, html};
use nemo_events::limits::{KeyLimits, WindowKind};
use nemo_events::{Nanos, OrgId, Timestamp};
use nemo_projections::OrgState;
use nemo_projections::org::Standing;

use super::{FormPage, org_of, shown_in_form};
use crate::dashboard::components::{Spending, Tone, budget_bar, empty, in_future, notice, total};
use crate::dashboard::keys::limits_form::{self, Use};
use crate::dashboard::keys::limits_read::{NAMES, fields_of, read_budgets};
use crate::dashboard::keys::wrong::Wrong;
use crate::dashboard::{Fields, Shows, Visit, see_other};
use crate::management::orgs::share;
use crate::management::shapes::OrgBudgetUse;

/// The form with the budgets that are in force.
pub(in crate::dashboard) async fn budgets_form(visit: Visit) -> Shows {
    let (id, org) = org_of(&visit.asked).await?;
    let entered = fields_of(&KeyLimits { budgets: org.answer.budgets.clone(), ..KeyLimits::default() });
    Ok(shown(&visit, id, &org.answer, &entered, (StatusCode::OK, &Wrong::default())))
}

/// Sets them.
pub(in crate::dashboard) async fn set_budgets(visit: Visit, sent: Fields) -> Shows {
    let (id, org) = org_of(&visit.asked).await?;
    let (status, wrong) = match read_budgets(&sent) {
        Err(wrong) => (StatusCode::UNPROCESSABLE_ENTITY, wrong),
        Ok(budgets) => match share(&visit.asked, id, budgets).await {
            Ok(_) => return Ok(see_other(&format!("/orgs/{id}"))),
            Err(reply) => {
                let failure = shown_in_form(reply)?;
                (failure.status, Wrong::refused(&failure, &NAMES))
            }
        },
    };
    Ok(shown(&visit, id, &org.answer, &sent, (status, &wrong)))
}

fn shown(
    visit: &Visit,
    id: OrgId,
    org: &OrgState,
    fields: &Fields,
    (status, wrong): (StatusCode, &Wrong),
) -> HttpResponse {
    let (back, action) = (format!("/orgs/{id}"), format!("/orgs/{id}/budgets"));
    let form = FormPage {
        title: "Budgets of all keys",
        action: &action,
        back: (&back, &org.name),
        refused: wrong.whole().map(|why| (status, why)),
        fields: html! {
            p { "All keys of the org share these, beside whatever budgets they have themselves. What was spent in a window before counts. Leave everything empty for none." }
            (limits_form::budgets(Use::Shared, fields, wrong))
        },
        button: html! { button .main { "Set budgets" } },
    };
    form.reply(&visit.viewer)
}

/// The card of an org's budgets.
pub(super) fn section(
    id: OrgId,
    org: &OrgState,
    budgets: &[OrgBudgetUse],
    may_change: bool,
    now: Timestamp,
) -> Markup {
    let living = org.standing != Standing::Archived;
    let change = html! {
        @if may_change && living { a .button.in-dialog href={ "/orgs/" (id) "/budgets" } { "Set budgets" } }
    };
    html! {
        header {
            h2 #budgets-heading { "Budgets of all keys" }
            @if !budgets.is_empty() { p .muted.small { "limit = spent + held + idle + free" } (change) }
        }
        @if budgets.is_empty() {
            (empty("No budget of its own", &html! { p { "Only the budgets of its keys bind." } }, &change))
        } @else {
            @if org.standing != Standing::Active { (still_out(budgets)) }
            div .grid.two.budgets { @for budget in budgets { (one(budget, now)) } }
            p .muted.small { "Idle: in the hands of keys, in slices of today, and neither spent nor held. It is taken back where another key needs it, and when the day ends." }
        }
    }
}

fn one(budget: &OrgBudgetUse, now: Timestamp) -> Markup {
    let OrgBudgetUse { window, limit, spent, held, idle, used, free, resets_at } = budget;
    let label = match window {
        WindowKind::Total => "in all",
        WindowKind::Day => "a day",
        WindowKind::Week => "a week",
        WindowKind::Month => "a month",
    };
    let part = |name: &str, amount: &Option<Nanos>| {
        html! { div { dt { (name) } dd { @if let Some(amount) = amount { (total(*amount)) } @else { "–" } } } }
    };
    html! {
        div {
            // While lists cannot be read, all that counts is shown as held.
            (budget_bar(&Spending { label, limit: *limit, settled: spent.unwrap_or_default(), held: if spent.is_some() { held.unwrap_or_default() } else { *used } }))
            dl .sum {
                div { dt { "Limit" } dd { (total(*limit)) } }
                (part("= Spent", spent))
                (part("+ Held", held))
                (part("+ Idle", idle))
                div { dt { "+ Free" } dd { (total(*free)) } }
            }
            @if let Some(resets_at) = resets_at { p .small.muted { "Begins anew " (in_future(*resets_at, now)) } }
        }
    }
}

/// What keys of an org that is suspended or archived have in their hands still.
fn still_out(budgets: &[OrgBudgetUse]) -> Markup {
    let out = budgets.iter().filter_map(|budget| budget.held?.checked_add(budget.idle?)).max();
    html! {
        @match out {
            Some(Nanos::ZERO) => p .muted { "Nothing of it is out with its keys any more." },
            Some(out) => (notice(Tone::Info, "Some of it is still out", &html! {
                p { (total(out)) " is held by open calls or on its way back from keys. No new call draws on it." }
            })),
            None => p .muted { "What of it is still out cannot be told just now." },
        }
    }
}
