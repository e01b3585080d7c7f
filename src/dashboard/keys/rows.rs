//! Rows of the list of keys.

use std::collections::BTreeMap;

use maud::{Markup, html};
use nemo_events::{Nanos, OrgId, Timestamp};
use nemo_projections::key::Status;
use nemo_read_model::{CapUse, KeyRow};

use super::{standing, window_words};
use crate::dashboard::components::{Column, Spending, ago, budget_bar, in_future, key_label, table, total};

/// What rows are shown by.
pub(super) struct Listed<'a> {
    /// Names of the orgs that the rows have.
    pub(super) orgs: &'a BTreeMap<OrgId, String>,
    /// Whether their viewer may change them.
    pub(super) may_manage: bool,
    /// The time that they are told by.
    pub(super) now: Timestamp,
}

impl Listed<'_> {
    /// The rows as a table.
    pub(super) fn table(&self, rows: &[KeyRow]) -> Markup {
        let shown = [
            Column::text("Key"),
            Column::text("Status"),
            Column::text("App / job"),
            Column::text("Env"),
            Column::text("Budget"),
            Column::text("Last used"),
        ];
        let mut columns = shown.to_vec();
        if self.may_manage {
            columns.insert(0, Column::unseen("Choose"));
            columns.push(Column::unseen("Change"));
        }
        html! {
            div .keys { (table("Keys", &columns, &html! { @for row in rows { (self.row(row)) } })) }
        }
    }

    fn row(&self, row: &KeyRow) -> Markup {
        let caps = row.caps(self.now);
        let (cap, labels) = (caps.first(), &row.labels);
        html! {
            tr data-row {
                @if self.may_manage {
                    td .choose { input type="checkbox" name="key" value=(row.key) aria-label={ "Choose " (labels.name) }; }
                }
                td .key { (key_label(row.key, &labels.name, &row.last_four)) }
                td .state { (standing(row.status, row.expires_at, cap.map(|cap| cap.level), self.now)) }
                td .job {
                    span .anywhere { (app_and_job(labels.app.as_deref(), labels.job.as_deref())) }
                    @if let Some(org) = self.orgs.get(&row.org).filter(|name| !name.is_empty()) {
                        div .small.muted.anywhere { (org) }
                    }
                }
                td .env { @if let Some(env) = &labels.env { span .chip { (env) } } }
                td .cap { (spending(row, cap)) }
                td .used {
                    @match row.last_used_at { Some(at) => (ago(at, self.now)), None => span .muted { "Never used" } }
                    @if let Some(at) = row.expires_at { (self.expiry(at)) }
                }
                @if self.may_manage { td .more { (more(row)) } }
            }
        }
    }

    fn expiry(&self, at: Timestamp) -> Markup {
        let word = if at <= self.now { "expired " } else { "expires " };
        html! { div .small.muted.nowrap { (word) (in_future(at, self.now)) } }
    }
}

fn app_and_job(app: Option<&str>, job: Option<&str>) -> String {
    match (app, job) {
        (Some(app), Some(job)) => format!("{app} / {job}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => String::new(),
    }
}

/// The cap that has the least room, or what was spent without any.
fn spending(row: &KeyRow, cap: Option<&CapUse>) -> Markup {
    let Some(CapUse { window, limit, spent, .. }) = cap else {
        return html! { div .budget { div .of { span { (total(row.spend)) " in all" } span { "No cap" } } } };
    };
    budget_bar(&Spending { label: window_words(*window), limit: *limit, settled: *spent, held: Nanos::ZERO })
}

/// What can be done to one key. A popover of the browser's own, so it works without script.
fn more(row: &KeyRow) -> Markup {
    if row.status == Status::Revoked {
        return html! {};
    }
    let (own, menu) = (format!("/keys/{}", row.key), format!("more-{}", row.key));
    let (action, word) =
        if row.status == Status::Blocked { ("unblock", "Unblock") } else { ("block", "Block") };
    let links = [
        ("rotate", "Rotate"),
        ("limits", "Limits"),
        ("labels", "Labels"),
        (action, word),
        ("revoke", "Revoke"),
    ];
    html! {
        button .quiet type="button" popovertarget=(menu) aria-label={ "More for " (row.labels.name) } { "More" }
        div .popover id=(menu) popover {
            ul .links {
                @for (action, word) in links {
                    li { a .in-dialog .danger[action == "revoke"] href={ (own) "/" (action) "?to=list" } { (word) } }
                }
            }
        }
    }
}

/// What can be done to all that are ticked.
pub(super) fn bulk_bar() -> Markup {
    html! {
        footer .bulk {
            span .hint data-bulk-count { "Tick keys to change several at once." }
            button .quiet name="do" value="block" { "Block …" }
            button .quiet.danger name="do" value="revoke" { "Revoke …" }
        }
    }
}
