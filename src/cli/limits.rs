//! The options that limit a key, and what they make of limits that are there already.
//! Options that are not given change nothing.

use std::collections::BTreeSet;

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use nemo_events::limits::{Budget, Endpoint, KeyLimits, WhenShort, WindowKind};
use nemo_events::{Nanos, Timestamp};

use crate::cli::exit::CommandError;
use crate::cli::values::{AlertValue, BudgetValue, ExpiryValue, dollars, endpoint, network};

/// Limits of a key, as given on the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitOptions {
    /// A cap on spend for total, day, week or month (UTC), such as day=5.00; repeatable
    #[arg(long = "budget", value_name = "WINDOW=DOLLARS")]
    pub budgets: Vec<BudgetValue>,
    /// No cap: a leak of this key has no limit on spend
    #[arg(long, conflicts_with = "budgets")]
    pub unlimited: bool,
    /// Raise an alert when so much of a budget is used, such as day=80, or day=off; repeatable
    #[arg(long = "alert-at", value_name = "WINDOW=PERCENT")]
    pub alerts: Vec<AlertValue>,
    /// The most that one call may cost
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    pub max_call_cost: Option<Nanos>,
    /// Calls per minute
    #[arg(long, value_name = "CALLS", value_parser = clap::value_parser!(u32).range(1..))]
    pub rpm: Option<u32>,
    /// Tokens per minute, in and out together
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..))]
    pub tpm: Option<u64>,
    /// Calls at the same time
    #[arg(long, value_name = "CALLS", value_parser = clap::value_parser!(u32).range(1..))]
    pub concurrency: Option<u32>,
    /// A model that may be called; * stands for anything; repeatable
    #[arg(long = "model", value_name = "PATTERN")]
    pub models: Vec<String>,
    /// An endpoint that may be called, such as chat_completions; repeatable
    #[arg(long = "endpoint", value_name = "ENDPOINT", value_parser = endpoint)]
    pub endpoints: Vec<Endpoint>,
    /// A network that calls may come from; repeatable
    #[arg(long = "address", value_name = "CIDR", value_parser = network)]
    pub addresses: Vec<IpNet>,
    /// When the key stops working: an RFC 3339 time, or a span from now such as 30d
    #[arg(long, value_name = "WHEN")]
    pub expires: Option<ExpiryValue>,
    /// What happens to a call whose output limit does not fit the budget
    #[arg(long, value_name = "WHAT")]
    pub when_short: Option<WhenShortValue>,
    /// Output limit for a request that has none
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..))]
    pub default_output_tokens: Option<u32>,
    /// The same for reasoning models
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..))]
    pub default_reasoning_output_tokens: Option<u32>,
}

/// What happens to a call whose output limit does not fit the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhenShortValue {
    /// It is refused
    Refuse,
    /// Its output limit is lowered to what fits
    Clamp,
}

/// A limit that can be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "each name is the option's that sets it")]
pub enum Removable {
    BudgetTotal,
    BudgetDay,
    BudgetWeek,
    BudgetMonth,
    MaxCallCost,
    Rpm,
    Tpm,
    Concurrency,
    Models,
    Endpoints,
    Addresses,
    Expires,
    DefaultOutputTokens,
    DefaultReasoningOutputTokens,
}

impl LimitOptions {
    /// Whether nothing is said about limits.
    #[must_use]
    pub fn are_silent(&self) -> bool {
        *self == Self::default()
    }

    /// The limits of a new key; `None` leaves them to the org's defaults.
    ///
    /// # Errors
    /// Options that contradict each other, or that leave open what caps the spend.
    pub fn for_new_key(&self, now: Timestamp) -> Result<Option<KeyLimits>, CommandError> {
        if self.are_silent() {
            return Ok(None);
        }
        if self.budgets.is_empty() && !self.unlimited {
            let what = "Limits without a budget: give --budget WINDOW=DOLLARS, or --unlimited for no cap.";
            return Err(CommandError::usage(what));
        }
        self.changed(KeyLimits::default(), now).map(Some)
    }

    /// The limits after what is given here.
    ///
    /// # Errors
    /// Options that contradict each other.
    pub fn changed(&self, mut limits: KeyLimits, now: Timestamp) -> Result<KeyLimits, CommandError> {
        self.check_windows()?;
        if self.unlimited {
            limits.unlimited = true;
            limits.budgets.clear();
        }
        for budget in &self.budgets {
            limits.unlimited = false;
            set_budget(&mut limits.budgets, *budget);
        }
        for alert in &self.alerts {
            set_alert(&mut limits.budgets, *alert)?;
        }
        replace(&mut limits.max_call_cost, self.max_call_cost);
        replace(&mut limits.requests_per_minute, self.rpm);
        replace(&mut limits.tokens_per_minute, self.tpm);
        replace(&mut limits.concurrent_calls, self.concurrency);
        replace(&mut limits.models, unless_empty(&self.models));
        replace(&mut limits.endpoints, unless_empty(&self.endpoints));
        replace(&mut limits.addresses, unless_empty(&self.addresses));
        replace(&mut limits.expires_at, self.expires.map(|expiry| expiry.moment(now)));
        replace(&mut limits.default_output_tokens, self.default_output_tokens);
        replace(&mut limits.default_reasoning_output_tokens, self.default_reasoning_output_tokens);
        limits.when_short = match self.when_short {
            Some(WhenShortValue::Refuse) => WhenShort::Refuse,
            Some(WhenShortValue::Clamp) => WhenShort::Clamp,
            None => limits.when_short,
        };
        Ok(limits)
    }

    fn check_windows(&self) -> Result<(), CommandError> {
        let distinct: BTreeSet<_> = self.budgets.iter().map(|budget| budget.window).collect();
        if distinct.len() == self.budgets.len() {
            return Ok(());
        }
        Err(CommandError::usage("Two budgets for the same window: give each window once."))
    }
}

/// Takes limits away; what is not there stays away.
#[must_use]
pub fn without(mut limits: KeyLimits, removed: &[Removable]) -> KeyLimits {
    let mut drop_budget = |window| limits.budgets.retain(|budget| budget.window != window);
    for limit in removed {
        match limit {
            Removable::BudgetTotal => drop_budget(WindowKind::Total),
            Removable::BudgetDay => drop_budget(WindowKind::Day),
            Removable::BudgetWeek => drop_budget(WindowKind::Week),
            Removable::BudgetMonth => drop_budget(WindowKind::Month),
            Removable::MaxCallCost => limits.max_call_cost = None,
            Removable::Rpm => limits.requests_per_minute = None,
            Removable::Tpm => limits.tokens_per_minute = None,
            Removable::Concurrency => limits.concurrent_calls = None,
            Removable::Models => limits.models = None,
            Removable::Endpoints => limits.endpoints = None,
            Removable::Addresses => limits.addresses = None,
            Removable::Expires => limits.expires_at = None,
            Removable::DefaultOutputTokens => limits.default_output_tokens = None,
            Removable::DefaultReasoningOutputTokens => limits.default_reasoning_output_tokens = None,
        }
    }
    limits
}

/// A new amount keeps the alert that the window's budget had.
pub fn set_budget(budgets: &mut Vec<Budget>, BudgetValue { window, limit }: BudgetValue) {
    match budgets.iter_mut().find(|budget| budget.window == window) {
        Some(budget) => budget.limit = limit,
        None => budgets.push(Budget { window, limit, alert_at_percent: None }),
    }
}

fn set_alert(budgets: &mut [Budget], alert: AlertValue) -> Result<(), CommandError> {
    let window = alert.window;
    let Some(budget) = budgets.iter_mut().find(|budget| budget.window == window) else {
        let what =
            format!("There is no {window} budget to raise an alert for: give --budget {window}=DOLLARS too.");
        return Err(CommandError::usage(what));
    };
    budget.alert_at_percent = alert.percent;
    Ok(())
}

fn replace<T>(limit: &mut Option<T>, given: Option<T>) {
    if given.is_some() {
        *limit = given;
    }
}

fn unless_empty<T: Clone>(given: &[T]) -> Option<Vec<T>> {
    (!given.is_empty()).then(|| given.to_vec())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::cli::exit::Exit;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        limits: LimitOptions,
    }

    fn options(args: &[&str]) -> LimitOptions {
        Line::try_parse_from(["x"].iter().chain(args)).unwrap().limits
    }

    fn now() -> Timestamp {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn every_option_reaches_its_limit() {
        let given = options(&[
            "--budget=day=5.00",
            "--budget=month=$50",
            "--alert-at=day=80",
            "--max-call-cost=0.25",
            "--rpm=60",
            "--tpm=100000",
            "--concurrency=4",
            "--model=gpt-5*",
            "--model=claude-*",
            "--endpoint=chat_completions",
            "--address=10.0.0.0/8",
            "--expires=30d",
            "--when-short=clamp",
            "--default-output-tokens=1000",
            "--default-reasoning-output-tokens=9000",
        ]);
        let expected = json!({
            "budgets": [
                { "window": "day", "limit": "5", "alert_at_percent": 80 },
                { "window": "month", "limit": "50" },
            ],
            "max_call_cost": "0.25", "requests_per_minute": 60, "tokens_per_minute": 100_000,
            "concurrent_calls": 4, "models": ["gpt-5*", "claude-*"], "endpoints": ["chat_completions"],
            "addresses": ["10.0.0.0/8"], "expires_at": "2026-12-22T10:00:00.000000Z", "when_short": "clamp",
            "default_output_tokens": 1000, "default_reasoning_output_tokens": 9000,
        });
        assert_eq!(serde_json::to_value(given.for_new_key(now()).unwrap()).unwrap(), expected);
    }

    #[test]
    fn a_new_key_without_options_takes_the_orgs_defaults() {
        assert_eq!(options(&[]).for_new_key(now()).unwrap(), None);
    }

    #[test]
    fn limits_without_a_budget_must_say_unlimited() {
        assert_eq!(options(&["--rpm=1"]).for_new_key(now()).unwrap_err().exit(), Exit::Usage);
        assert!(options(&["--rpm=1", "--unlimited"]).for_new_key(now()).unwrap().unwrap().unlimited);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        assert!(Line::try_parse_from(["x", "--unlimited", "--budget=day=1"]).is_err());
        for twice in [["--budget=day=1", "--budget=day=2"], ["--budget=day=1", "--alert-at=week=50"]] {
            assert_eq!(options(&twice).for_new_key(now()).unwrap_err().exit(), Exit::Usage, "{twice:?}");
        }
        for zero in ["--rpm=0", "--tpm=0", "--concurrency=0", "--max-call-cost=-1"] {
            assert!(Line::try_parse_from(["x", zero]).is_err(), "{zero}");
        }
    }

    #[test]
    fn a_change_keeps_what_is_not_given() {
        let before = options(&["--budget=day=5", "--budget=total=9", "--alert-at=day=80", "--rpm=60"]);
        let before = before.for_new_key(now()).unwrap().unwrap();
        let after = options(&["--budget=day=6", "--tpm=10"]).changed(before.clone(), now()).unwrap();
        let expected = json!({
            "budgets": [
                { "window": "day", "limit": "6", "alert_at_percent": 80 },
                { "window": "total", "limit": "9" },
            ],
            "requests_per_minute": 60, "tokens_per_minute": 10,
        });
        assert_eq!(serde_json::to_value(&after).unwrap(), expected);
        let unlimited = options(&["--unlimited"]).changed(before, now()).unwrap();
        assert_eq!(
            serde_json::to_value(&unlimited).unwrap(),
            json!({ "unlimited": true, "requests_per_minute": 60 })
        );
        let capped = options(&["--budget=day=1"]).changed(unlimited, now()).unwrap();
        assert!(!capped.unlimited && capped.budgets.len() == 1);
    }

    #[test]
    fn every_limit_but_the_last_word_on_short_budgets_can_be_taken_away() {
        let full = options(&[
            "--budget=total=4",
            "--budget=day=1",
            "--budget=week=2",
            "--budget=month=3",
            "--max-call-cost=1",
            "--rpm=1",
            "--tpm=1",
            "--concurrency=1",
            "--model=a",
            "--endpoint=responses",
            "--address=::1",
            "--expires=1d",
            "--default-output-tokens=1",
            "--default-reasoning-output-tokens=1",
        ]);
        let full = full.for_new_key(now()).unwrap().unwrap();
        assert_eq!(without(full, Removable::value_variants()), KeyLimits::default());
    }
}
