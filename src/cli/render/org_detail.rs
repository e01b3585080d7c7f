//! One org for a person: what it is, what it gives new keys, and what it bounds all of them to.

use super::keys::status;
use super::table::{of_pairs, with_headings};
use super::{Cell, money, time};
use crate::cli::screen::Look;
use crate::cli::views::{KeysOutside, Limits, OrgBudgetUse, OrgReply};

/// Everything about an org that fits a page.
#[must_use]
pub fn page(reply: &OrgReply, look: Look) -> String {
    let org = &reply.org;
    let facts = [
        ("Org", Cell::Id(org.id.to_string())),
        ("Name", Cell::Text(org.name.clone())),
        ("Status", status(&org.status)),
        ("Created", Cell::Second(org.created_at)),
    ];
    let mut page = of_pairs(&facts, look);
    if !org.budgets.is_empty() {
        page = format!("{page}\n{}", headroom(&org.budgets, look));
    }
    let parts = [
        ("Limits that new keys get", &org.limits.key_defaults),
        ("Bounds that no key may be wider than", &org.limits.key_bounds),
    ];
    for (title, limits) in parts {
        if let Some(limits) = limits {
            page = format!("{page}\n{title}\n{}", of_pairs(&pairs(limits), look));
        }
    }
    match &reply.keys_outside_bounds {
        Some(outside) if outside.count > 0 => format!("{page}\n{}\n", that_stand_outside(outside)),
        Some(_) | None => page,
    }
}

/// Keys that are wider than the bounds of their org, in a sentence.
#[must_use]
pub fn that_stand_outside(outside: &KeysOutside) -> String {
    let named =
        outside.keys.iter().map(|key| format!("{} “{}” ({})", key.id, key.name, key.fields.join(", ")));
    let named: Vec<_> = named.collect();
    let more = outside.count.saturating_sub(u64::try_from(named.len()).unwrap_or(u64::MAX));
    let more = if more == 0 { String::new() } else { format!(" and {} more", money::grouped(more)) };
    let (are, count) = if outside.count == 1 {
        ("key is", "1".to_owned())
    } else {
        ("keys are", money::grouped(outside.count))
    };
    format!("{count} {are} wider already, and so until changed: {}{more}.", named.join("; "))
}

fn headroom(budgets: &[OrgBudgetUse], look: Look) -> String {
    let rows = budgets.iter().map(|budget| {
        let OrgBudgetUse { window, limit, spent, held, idle, free, resets_at } = budget;
        vec![
            Cell::Id(window.to_string()),
            Cell::Total(*limit),
            Cell::maybe(*spent, Cell::Total),
            Cell::maybe(*held, Cell::Total),
            Cell::maybe(*idle, Cell::Total),
            Cell::Total(*free),
            Cell::maybe(*resets_at, Cell::Second),
        ]
    });
    let headings =
        ["Budget of all keys", "Limit", "= Spent", "+ Held", "+ Idle with keys", "+ Free", "Resets"];
    with_headings(&headings, &rows.collect::<Vec<_>>(), look)
}

fn pairs(limits: &Limits) -> Vec<(&'static str, Cell)> {
    let budgets = limits.budgets.iter().map(|cap| format!("{} {}", cap.window, money::total(cap.limit)));
    let budgets = budgets.collect::<Vec<_>>().join(", ");
    let no_cap = limits.unlimited.then(|| "none: a leak of such a key has no limit on spend".to_owned());
    let list = |list: &Option<Vec<String>>| list.as_ref().map(|list| list.join(", "));
    let pairs = [
        ("Budgets", (!budgets.is_empty()).then_some(budgets).or(no_cap)),
        ("One call", limits.max_call_cost.map(|most| format!("at most {}", money::total(most)))),
        ("Requests/min", limits.requests_per_minute.map(money::grouped)),
        ("Tokens/min", limits.tokens_per_minute.map(money::grouped)),
        ("At once", limits.concurrent_calls.map(money::grouped)),
        ("Models", list(&limits.models)),
        ("Endpoints", list(&limits.endpoints)),
        ("Addresses", list(&limits.addresses)),
        ("Expires", limits.expires_at.map(time::to_the_second)),
        ("When short", limits.when_short.clone()),
    ];
    pairs.into_iter().filter_map(|(name, text)| Some((name, Cell::Text(text?)))).collect()
}
