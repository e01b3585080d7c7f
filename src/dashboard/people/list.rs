//! Who may sign in.

use maud::{Markup, html};
use nemo_events::{Role, Timestamp};

use crate::dashboard::components::{Column, Tone, ago, status, table};
use crate::dashboard::page::{Page, Place};
use crate::dashboard::visit::{Shows, Visit};
use crate::people::{self, Person};

const COLUMNS: &[Column] = &[
    Column::text("Name"),
    Column::text("Role"),
    Column::text("Last signed in"),
    Column::text("Password chosen"),
    Column::number("Sessions here"),
    Column::unseen("What can be done"),
];

/// `GET /operators`
pub async fn show(visit: Visit) -> Shows {
    let app = visit.asked.app();
    let people = app.ledger.operators(Clone::clone);
    let people = people::everybody(app, &people);
    let (now, me) = (visit.now(), visit.viewer.id);
    let (present, gone): (Vec<_>, Vec<_>) = people.iter().partition(|person| person.removed_at.is_none());
    let rows = html! { @for person in &present { (row(person, person.id == me, now)) } };
    let content = html! {
        section .card.flush { (table("People who may sign in", COLUMNS, &rows)) }
        @if present.len() == 1 {
            p .hint { "You are the only one. A second admin can let you in again if you forget your password." }
        }
        @if !gone.is_empty() { (removed(&gone, now)) }
        section .card {
            header { h2 { "Roles" } }
            dl .facts {
                dt { "admin" } dd { "Everything: keys, orgs, prices, people." }
                dt { "finance" } dd { "Looks at spend, prices, keys and orgs. Changes nothing." }
                dt { "auditor" }
                dd { "Looks at keys, orgs, spend, the ledger and its history. What an auditor reads is recorded." }
            }
        }
    };
    let lede = html! { "Everybody chooses their own password, by a link that works once." };
    let actions = html! {
        a .button.in-dialog href="/operators/sign-out" { "Sign everybody out" }
        a .button.main.in-dialog href="/operators/invite" { "Invite" }
    };
    let page = Page::new(Place::Operators, "Operators").lede(lede).actions(actions);
    Ok(page.reply(&visit.viewer, &html! { div .stack { (content) } }))
}

fn row(person: &Person, is_me: bool, now: Timestamp) -> Markup {
    let of = |what: &str| format!("/operators/{}/{what}", person.id);
    html! {
        tr {
            td { strong { (person.name) } @if is_me { " " span .muted { "(you)" } } }
            td { (role(person.role)) }
            td { (maybe(person.last_login_at, now)) }
            td { (maybe(person.password_set_at, now)) }
            td .number { (person.sessions) }
            td {
                div .actions {
                    @if is_me {
                        a .button.quiet href="/account" { "Your account" }
                    } @else {
                        a .button.quiet.in-dialog href=(of("role")) { "Role" }
                        a .button.quiet.in-dialog href=(of("link")) { "New password" }
                        a .button.quiet.in-dialog href=(of("sign-out")) { "Sign out" }
                        a .button.quiet.danger.in-dialog href=(of("remove")) { "Remove" }
                    }
                }
            }
        }
    }
}

fn role(role: Role) -> Markup {
    let tone = if role == Role::Admin { Tone::Warning } else { Tone::Info };
    status(role.as_str(), tone)
}

fn removed(gone: &[&Person], now: Timestamp) -> Markup {
    html! {
        details {
            summary { "Removed (" (gone.len()) ")" }
            ul {
                @for person in gone {
                    li { (person.name) ", " (person.role.as_str()) ", removed " (maybe(person.removed_at, now)) }
                }
            }
        }
    }
}

fn maybe(at: Option<Timestamp>, now: Timestamp) -> Markup {
    at.map_or_else(|| html! { "–" }, |at| ago(at, now))
}
