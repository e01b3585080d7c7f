//! One org: what it is, what its keys come to, what new ones get.

use maud::{Markup, html};
use nemo_events::limits::{Budget, KeyLimits};
use nemo_events::{OrgId, Timestamp};
use nemo_projections::OrgState;
use nemo_projections::org::Standing;
use nemo_read_model::{Answer, OrgUse};

use super::{budgets, org_of, standing};
use crate::dashboard::components::{Tone, absolute, ago, copyable, count, empty, key_label, notice, total};
use crate::dashboard::overview::window;
use crate::dashboard::{Page, Place, Shows, Visit};
use crate::error::FailureReply;
use crate::figures::money::grouped;
use crate::management::orgs::{outside_bounds, spend_of};
use crate::management::shapes::{KeysOutside, OrgBudgetUse};
use nemo_events::Right;

/// Shows it.
pub(in crate::dashboard) async fn show(visit: Visit) -> Shows {
    let (id, done) = org_of(&visit.asked).await?;
    let now = visit.now();
    // What its keys come to may be missing: the org itself is shown all the same.
    let its_use = visit.asked.read(None, move |reader| reader.org_use(id, now)).await;
    let org = done.answer;
    let spend = spend_of(&visit.asked, id, &org).await;
    let shared = OrgBudgetUse::all(&org, spend.as_ref(), now);
    let outside = outside_bounds(&visit.asked, id, &org.limits, None).await;
    let heading = html! { (org.name) " " (standing(org.standing)) };
    let mut page = Page::new(Place::Orgs, &org.name)
        .sheets(&["keys.css", "key.css"])
        .heading(heading)
        .under("/orgs", "Orgs");
    if visit.may(Right::ManageOrgs) {
        page = page.actions(actions(id, &org));
    }
    let content = html! {
        div .stack {
            div .grid.two {
                section .card aria-labelledby="org-heading" { (facts(id, &org, now)) }
                section .card aria-labelledby="use-heading" { (use_of(id, &its_use, now)) }
            }
            section .card aria-labelledby="budgets-heading" { (budgets::section(id, &org, &shared, visit.may(Right::ManageOrgs), now)) }
            div .grid.two {
                section .card aria-labelledby="defaults-heading" { (defaults(id, &org, visit.may(Right::ManageOrgs))) }
                section .card aria-labelledby="bounds-heading" { (bounds(id, &org, outside.as_ref(), visit.may(Right::ManageOrgs))) }
            }
        }
    };
    Ok(page.reply(&visit.viewer, &content))
}

fn actions(id: OrgId, org: &OrgState) -> Markup {
    let path = format!("/orgs/{id}");
    html! {
        @if org.standing != Standing::Archived {
            a .button.in-dialog href={ (path) "/rename" } { "Rename" }
            @if org.standing == Standing::Suspended { a .button.main.in-dialog href={ (path) "/resume" } { "Resume" } }
            @else { a .button.in-dialog href={ (path) "/suspend" } { "Suspend" } }
        }
        // An archived org may have keys left where revoking them was interrupted.
        a .button.danger.in-dialog href={ (path) "/archive" } {
            @if org.standing == Standing::Archived { "Revoke remaining keys" } @else { "Archive" }
        }
    }
}

fn facts(id: OrgId, org: &OrgState, now: Timestamp) -> Markup {
    html! {
        header { h2 #org-heading { "Org" } }
        dl .facts {
            dt { "Id" } dd { (copyable(&id.to_string(), "org id")) }
            dt { "Status" } dd {
                (standing(org.standing))
                @match org.standing {
                    Standing::Active => {}
                    Standing::Suspended => { " " span .muted { "Calls with its keys are refused until it is resumed." } }
                    Standing::Archived => { " " span .muted { "For good. Its keys are refused; history stays." } }
                }
            }
            dt { "Created" } dd { (absolute(org.created_at)) " (" (ago(org.created_at, now)) ")" }
        }
    }
}

fn use_of(id: OrgId, its_use: &Result<Answer<OrgUse>, FailureReply>, now: Timestamp) -> Markup {
    html! {
        header {
            h2 #use-heading { "Its keys" }
            a href={ "/keys?org=" (id) } { "Show keys" }
        }
        @match its_use {
            Ok(Answer { value, .. }) => {
                dl .facts {
                    dt { "Active" } dd { (count(value.active)) }
                    @if value.blocked > 0 { dt { "Blocked" } dd { (count(value.blocked)) } }
                    dt { "Revoked" } dd { (count(value.revoked)) }
                    dt { "Spent this month" } dd { (total(value.month)) }
                    dt { "Spent in all" } dd { (total(value.total)) }
                    dt { "Calls in flight" } dd { (count(value.open_calls)) }
                    dt { "Last used" } dd { @if let Some(at) = value.last_used_at { (ago(at, now)) } @else { "never" } }
                }
            }
            Err(reply) => { p .muted { (reply.failure().message) } }
        }
    }
}

fn defaults(id: OrgId, org: &OrgState, may_change: bool) -> Markup {
    let living = org.standing != Standing::Archived;
    let change = html! {
        @if may_change && living { a .button.in-dialog href={ "/orgs/" (id) "/limits" } { "Set defaults" } }
    };
    html! {
        header { h2 #defaults-heading { "Limits that new keys get" } @if org.limits.key_defaults.is_some() { (change) } }
        @match &org.limits.key_defaults {
            Some(limits) => {
                (limits_of(limits))
                p .muted.small { "A key that states limits of its own gets those instead. Keys that exist keep theirs." }
            }
            None => {
                (empty("No defaults", &html! { p { "Every new key must state a budget of its own." } }, &change))
            }
        }
    }
}

fn bounds(id: OrgId, org: &OrgState, outside: Option<&KeysOutside>, may_change: bool) -> Markup {
    let living = org.standing != Standing::Archived;
    let change = html! {
        @if may_change && living { a .button.in-dialog href={ "/orgs/" (id) "/bounds" } { "Set bounds" } }
    };
    html! {
        header { h2 #bounds-heading { "Bounds of all keys" } @if org.limits.key_bounds.is_some() { (change) } }
        @match &org.limits.key_bounds {
            Some(bounds) => {
                (limits_of(bounds))
                p .muted.small { "No new key may be wider, and none may become so." }
                @match outside {
                    Some(outside) => (wider_already(outside)),
                    None => p .muted { "Which keys are wider already cannot be told just now." },
                }
            }
            None => {
                (empty("No bounds", &html! { p { "Its keys may be given any limits." } }, &change))
            }
        }
    }
}

/// Keys that were there before the bounds.
fn wider_already(KeysOutside { count, keys }: &KeysOutside) -> Markup {
    let listed = u64::try_from(keys.len()).unwrap_or(u64::MAX);
    html! {
        @if *count > 0 {
            (notice(Tone::Warning, &format!("{} wider already", if *count == 1 { "1 key is".to_owned() } else { format!("{} keys are", grouped(*count)) }), &html! {
                p { "They were there before the bounds, and stay as they are until they change." }
                ul .plain {
                    @for key in keys {
                        li { (key_label(key.id, &key.name, &key.last_four)) " " span .muted { (key.fields.join(", ").replace('_', " ")) } }
                    }
                    @if *count > listed { li .muted { "and " (grouped(count.saturating_sub(listed))) " more" } }
                }
            }))
        }
    }
}

/// Limits as facts; what is not limited is left out.
fn limits_of(limits: &KeyLimits) -> Markup {
    html! {
        dl .facts {
            @if limits.unlimited || !limits.budgets.is_empty() {
                dt { "Budgets" } dd {
                    @if limits.unlimited { "No cap: a leak of such a key has no limit on spend." }
                    ul .plain { @for Budget { window: kind, limit, .. } in &limits.budgets { li { (total(*limit)) " " (window(*kind)) } } }
                }
            }
            @if let Some(most) = limits.max_call_cost { dt { "One call" } dd { "at most " (total(most)) } }
            @if let Some(rate) = limits.requests_per_minute { dt { "Requests" } dd { (grouped(rate.into())) " per minute" } }
            @if let Some(rate) = limits.tokens_per_minute { dt { "Tokens" } dd { (grouped(rate)) " per minute" } }
            @if let Some(most) = limits.concurrent_calls { dt { "At the same time" } dd { (grouped(most.into())) " calls" } }
            @if let Some(models) = &limits.models { dt { "Models" } dd { code { (models.join(", ")) } } }
            @if let Some(endpoints) = &limits.endpoints {
                dt { "Endpoints" } dd { @for (place, endpoint) in endpoints.iter().enumerate() { @if place > 0 { ", " } (endpoint) } }
            }
            @if let Some(addresses) = &limits.addresses {
                dt { "Addresses" } dd { @for (place, network) in addresses.iter().enumerate() { @if place > 0 { ", " } (network) } }
            }
            @if let Some(at) = limits.expires_at { dt { "Expire" } dd { (absolute(at)) } }
        }
    }
}
