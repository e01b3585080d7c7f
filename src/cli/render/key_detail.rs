//! One key for a person: what it is, what it may do, and limit = spent + held + free for each budget.

use super::keys::status;
use super::table::{of_pairs, with_headings};
use super::{Cell, money, time};
use crate::cli::screen::Look;
use crate::cli::views::{BudgetUse, Key, KeyUse, Limits, OpenCalls, RateUse, Secret, Used};

/// Everything about a key that fits a page.
#[must_use]
pub fn page(key: &Key, look: Look) -> String {
    let sections = [
        of_pairs(&facts(key), look),
        of_pairs(&limits(key), look),
        headroom(key, look),
        open_calls(&key.open_calls, look),
        spend_by_model(&key.attribution, look),
    ];
    let sections: Vec<_> = sections.into_iter().filter(|section| !section.trim().is_empty()).collect();
    sections.join("\n")
}

fn facts(key: &Key) -> Vec<(&'static str, Cell)> {
    let labels = &key.labels;
    let tags = (!labels.tags.is_empty()).then(|| labels.tags.join(", "));
    let labels = [
        ("App", &labels.app),
        ("Job", &labels.job),
        ("Env", &labels.env),
        ("Cost centre", &labels.cost_centre),
        ("Tags", &tags),
    ];
    let labels = labels.into_iter().filter_map(|(name, text)| Some((name, Cell::Text(text.clone()?))));
    let mut facts = vec![
        ("Key", Cell::Id(key.id.to_string())),
        ("Name", Cell::Text(key.labels.name.clone())),
        ("Status", status(&key.status)),
        ("Org", Cell::Id(key.org.to_string())),
    ];
    facts.extend(labels);
    facts.extend(key.secrets.iter().rev().map(secret));
    facts.push(("Created", Cell::Second(key.created_at)));
    facts.push(("Last used", Cell::maybe(key.attribution.last_used_at, Cell::Second)));
    let refusals = key.attribution.refusals.iter();
    let refusals: Vec<_> = refusals.map(|r| format!("{} {}", money::grouped(r.count), r.code)).collect();
    facts.extend((!refusals.is_empty()).then(|| ("Refused", Cell::Text(refusals.join(", ")))));
    facts
}

fn secret(secret: &Secret) -> (&'static str, Cell) {
    let Secret { version, last_four, valid_until } = secret;
    let hint = format!("sk-nemo-…{last_four} (version {version})");
    match valid_until {
        None => ("Secret", Cell::Text(hint)),
        Some(until) => ("Earlier", Cell::Text(format!("{hint} until {}", time::to_the_second(*until)))),
    }
}

fn limits(key: &Key) -> Vec<(&'static str, Cell)> {
    let Limits { max_call_cost, models, endpoints, addresses, expires_at, when_short, .. } = &key.limits;
    let list = |list: &Option<Vec<String>>| list.as_ref().map(|list| list.join(", "));
    let rate = |rate: Option<RateUse>| rate.map(|RateUse { limit, remaining }| of(remaining, limit));
    let rates = &key.rates;
    let flagged =
        key.flagged_models.iter().map(|model| format!("{} at {}", model.provider_model, model.provider));
    let flagged = flagged.collect::<Vec<_>>().join(", ");
    let limits = [
        ("Models", list(models)),
        ("Endpoints", list(endpoints)),
        ("Addresses", list(addresses)),
        ("Expires", expires_at.map(time::to_the_second)),
        ("One call", max_call_cost.map(|most| format!("at most {}", money::total(most)))),
        ("Requests/min", rate(rates.requests_per_minute)),
        ("Tokens/min", rate(rates.tokens_per_minute)),
        ("At once", rate(rates.concurrent_calls)),
        ("When short", when_short.clone()),
        ("Flagged", (!flagged.is_empty()).then_some(flagged)),
    ];
    limits.into_iter().filter_map(|(name, text)| Some((name, Cell::Text(text?)))).collect()
}

fn of(remaining: u64, limit: u64) -> String {
    format!("{} of {} left", money::grouped(remaining), money::grouped(limit))
}

fn headroom(key: &Key, look: Look) -> String {
    if key.limits.unlimited {
        return "No cap: a leak of this key has no limit on spend.\n".to_owned();
    }
    let rows: Vec<_> = key.budgets.iter().map(budget).collect();
    if rows.is_empty() {
        return String::new();
    }
    with_headings(&["Budget", "Limit", "= Spent", "+ Held", "+ Free", "Resets", ""], &rows, look)
}

fn budget(budget: &BudgetUse) -> Vec<Cell> {
    let BudgetUse { window, limit, settled, held, free, resets_at } = budget;
    let used = settled.checked_add(*held);
    let over = used.and_then(|used| used.checked_sub(*limit)).filter(|over| over.as_nanos() > 0);
    let note = over.map_or_else(String::new, |over| format!("over by {}", money::total(over)));
    vec![
        Cell::Id(window.to_string()),
        Cell::Total(*limit),
        Cell::Total(*settled),
        Cell::Total(*held),
        Cell::Total(*free),
        Cell::maybe(*resets_at, Cell::Second),
        Cell::Id(note),
    ]
}

fn open_calls(open: &OpenCalls, look: Look) -> String {
    if open.calls.is_empty() {
        return String::new();
    }
    let rows = open.calls.iter().map(|call| {
        vec![
            Cell::Id(call.id.to_string()),
            Cell::Text(call.provider_model.clone()),
            Cell::Text(call.provider.clone()),
            Cell::OneCall(call.hold),
            Cell::Second(call.authorized_at),
            Cell::Second(call.deadline),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let table =
        with_headings(&["Open call", "Model", "Provider", "Held", "Since", "Until at most"], &rows, look);
    let listed = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    match open.count.saturating_sub(listed) {
        0 => table,
        more => format!("{table}… and {} more open calls\n", money::grouped(more)),
    }
}

fn spend_by_model(used: &KeyUse, look: Look) -> String {
    if used.total == Used::default() {
        return String::new();
    }
    let sums = |used: Used| [Cell::Count(used.calls), Cell::Total(used.spend)];
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for model in &used.models {
        let names = [Cell::Text(model.model.clone()), Cell::Text(model.provider.clone())];
        rows.push(
            names.into_iter().chain(sums(model.used)).chain([Cell::Second(model.first_seen)]).collect(),
        );
    }
    let together = [("other models", used.other_models), ("all models", used.total)];
    for (name, used) in together.into_iter().filter(|(_, used)| *used != Used::default()) {
        let names = [Cell::Text(name.to_owned()), Cell::Nothing];
        rows.push(names.into_iter().chain(sums(used)).chain([Cell::Nothing]).collect());
    }
    with_headings(&["Model", "Provider", "Calls", "Spent", "First seen"], &rows, look)
}
