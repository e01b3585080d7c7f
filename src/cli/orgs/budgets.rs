//! An org's own budgets, which all its keys share.

use clap::Args;
use nemo_events::Nanos;
use nemo_events::limits::{Budget, WindowKind};
use reqwest::Method;
use serde_json::json;

use super::{OrgArg, change};
use crate::cli::exit::CommandError;
use crate::cli::limits::set_budget;
use crate::cli::remote::Session;
use crate::cli::render::money;
use crate::cli::values::{BudgetValue, window_named};
use crate::cli::views::OrgReply;

/// Budgets that all keys of an org share; what is not given stays.
#[derive(Debug, Args)]
pub struct OrgBudgetsArgs {
    /// Which.
    #[command(flatten)]
    pub org: OrgArg,
    /// A cap on what all its keys spend together for total, day, week or month (UTC), such as month=1000; repeatable
    #[arg(long = "budget", value_name = "WINDOW=DOLLARS")]
    pub budgets: Vec<BudgetValue>,
    /// Take the budget of a window away; repeatable
    #[arg(long, value_name = "WINDOW", value_parser = window_named)]
    pub remove: Vec<WindowKind>,
    /// Take all of them away
    #[arg(long, conflicts_with = "remove")]
    pub none: bool,
}

/// `nemo orgs budgets`
pub(super) async fn budgets(args: OrgBudgetsArgs, session: &mut Session) -> Result<(), CommandError> {
    let OrgBudgetsArgs { org, budgets: given, remove, none } = args;
    if given.is_empty() && remove.is_empty() && !none {
        let what =
            "Nothing to change: give --budget WINDOW=DOLLARS, --remove one, or --none for none at all.";
        let next = "`nemo orgs show ORG` shows the budgets and what they have left.";
        return Err(CommandError::usage(what).next(next.to_owned()));
    }
    let id = session.org_id(&org.org).await?.to_string();
    let before: OrgReply = session.client.get(&["api", "orgs", &id], &[]).await?;
    let mut budgets = Vec::new();
    for budget in before.org.budgets.iter().filter(|budget| !none && !remove.contains(&budget.window)) {
        budgets.push(Budget { window: budget.window, limit: budget.limit, alert_at_percent: None });
    }
    for budget in given {
        set_budget(&mut budgets, budget);
    }
    let body = json!({ "budgets": budgets });
    change(session, Method::PUT, &["api", "orgs", &id, "budgets"], &body, said).await
}

fn said(reply: &OrgReply) -> String {
    if reply.org.budgets.is_empty() {
        return "The org has no budget of its own: only those of its keys bind.".to_owned();
    }
    let free = reply.org.budgets.iter().map(|budget| {
        let out = budget.idle.zip(budget.held).and_then(|(idle, held)| idle.checked_add(held));
        let out = out.filter(|out| *out > Nanos::ZERO);
        let out = out.map_or_else(String::new, |out| format!(", {} out with its keys", money::total(out)));
        format!("{} {} of {} free{out}", budget.window, money::total(budget.free), money::total(budget.limit))
    });
    format!("All its keys share it from the next call on: {}.", free.collect::<Vec<_>>().join("; "))
}
