//! What people and the master key changed last.

use maud::{Markup, html};

use crate::dashboard::actors::Actors;
use crate::dashboard::components::{Column, ago, table};
use crate::figures::money::grouped;
use crate::management::overview::{Deed, Overview};

/// The latest changes.
pub(super) fn show(found: &Overview, actors: &Actors<'_>) -> Markup {
    let columns =
        [Column::text("When"), Column::text("Who"), Column::text("What"), Column::number("Position")];
    let rows = html! {
        @for deed in &found.deeds {
            tr {
                td { (ago(deed.recorded_at, found.now)) }
                td { (actors.name(&deed.actor)) }
                td { (words(&deed.event_type)) " " (object(deed)) }
                td .number { (grouped(deed.position.0)) }
            }
        }
    };
    html! {
        header { h2 #deeds-heading { "Latest changes" } }
        @if found.deeds.is_empty() {
            p .muted.nothing-yet { "Nobody changed anything yet." }
        } @else {
            (table("Latest changes", &columns, &rows))
        }
    }
}

fn object(deed: &Deed) -> Markup {
    let name = deed.name.as_deref();
    html! {
        @if let Some(key) = deed.key { a .anywhere href={ "/keys/" (key) } { (name.unwrap_or("a key")) } }
        @else if let Some(org) = deed.org { a .anywhere href={ "/orgs/" (org) } { (name.unwrap_or("an org")) } }
    }
}

/// `KeyLimitsSet` as people say it. What is not known here is taken apart into its words.
fn words(event_type: &str) -> String {
    let known = match event_type {
        "KeyCreated" => "created key",
        "KeyRelabelled" => "relabelled key",
        "KeyLimitsSet" => "set limits of key",
        "KeyBlocked" => "blocked key",
        "KeyUnblocked" => "unblocked key",
        "KeySecretRotated" => "rotated key",
        "KeySecretRetired" => "retired a secret of key",
        "KeyModelCleared" => "cleared a model of key",
        "KeyRevoked" => "revoked key",
        "CallCorrected" => "corrected a call of key",
        "OrgCreated" => "created org",
        "OrgRenamed" => "renamed org",
        "OrgLimitsSet" => "set limits of org",
        "OrgBudgetsSet" => "set budgets of org",
        "OrgSuspended" => "suspended org",
        "OrgResumed" => "resumed org",
        "OrgArchived" => "archived org",
        "OperatorCreated" => "became an operator",
        "OperatorLinkIssued" => "made a link for an operator",
        "OperatorPasswordSet" => "set a password",
        "OperatorRoleGranted" => "gave an operator another role",
        "OperatorRemoved" => "removed an operator",
        "LedgerExported" => "exported events of the ledger",
        other => return apart(other),
    };
    known.to_owned()
}

fn apart(event_type: &str) -> String {
    let mut words = String::with_capacity(event_type.len().saturating_add(8));
    for character in event_type.chars() {
        if character.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(character.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_is_new_here_is_told_by_its_words() {
        assert_eq!(words("KeyRevoked"), "revoked key");
        assert_eq!(words("BudgetAllotted"), "budget allotted");
    }
}
