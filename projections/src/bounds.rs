//! An org's upper bounds for the limits of its keys: whether limits lie within them, and where they do not.
//!
//! A bound says of one respect what every key must say too, at most as widely: whatever a key within the bounds
//! may do, the bounds allow. A respect that the bounds leave out is not bounded. What merely shapes a call and
//! limits nothing (`when_short`, the output limits that a request gets which has none) cannot be a bound.

use std::fmt;

use ipnet::IpNet;
use nemo_events::Nanos;
use nemo_events::limits::{Budget, KeyLimits, WindowKind};

use crate::Refusal;
use crate::decide::model_matches;

/// Stands for "any text" where a pattern is itself compared with a pattern: patterns hold no control characters,
/// so that only a `*` can take it in.
const ANY_TEXT: &str = "\u{1}";
/// Names of a list that are spelt out.
const SPELT_OUT: usize = 8;

/// One respect in which limits are wider than a bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wider {
    /// The field of the limits.
    pub field: &'static str,
    /// What the bound asks for.
    pub bound: String,
    /// What the limits say instead.
    pub instead: String,
}

impl fmt::Display for Wider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, bound, instead } = self;
        write!(f, "{field}: {bound} ({instead})")
    }
}

/// Refuses limits that are not within the bounds, if there are any.
pub(crate) fn guard(limits: &KeyLimits, bounds: Option<&KeyLimits>) -> Result<(), Refusal> {
    let wider = bounds.map(|bounds| wider_than(limits, bounds)).unwrap_or_default();
    if wider.is_empty() { Ok(()) } else { Err(Refusal::OutsideBounds(wider)) }
}

/// Every respect in which limits are wider than the bounds; none, if they lie within them.
#[must_use]
pub fn wider_than(limits: &KeyLimits, bounds: &KeyLimits) -> Vec<Wider> {
    // Taken apart, so that a new limit does not compile before it is decided how it is bounded.
    let KeyLimits {
        budgets,
        unlimited: _,
        max_call_cost,
        requests_per_minute,
        tokens_per_minute,
        concurrent_calls,
        models,
        endpoints,
        addresses,
        expires_at,
        when_short: _,
        default_output_tokens: _,
        default_reasoning_output_tokens: _,
    } = bounds;
    let mut wider: Vec<Wider> = budgets.iter().filter_map(|bound| budget(limits, bound)).collect();
    let dollars = |amount: &Nanos| format!("${amount}");
    wider.extend(at_most("max_call_cost", limits.max_call_cost, *max_call_cost, dollars));
    let number = |rate: &u32| rate.to_string();
    wider.extend(at_most("requests_per_minute", limits.requests_per_minute, *requests_per_minute, number));
    let tokens = |rate: &u64| rate.to_string();
    wider.extend(at_most("tokens_per_minute", limits.tokens_per_minute, *tokens_per_minute, tokens));
    wider.extend(at_most("concurrent_calls", limits.concurrent_calls, *concurrent_calls, number));
    let pattern = |wish: &String, bounds: &[String]| bounds.iter().any(|bound| covers(bound, wish));
    wider.extend(only("models", limits.models.as_deref(), models.as_deref(), pattern));
    wider.extend(only("endpoints", limits.endpoints.as_deref(), endpoints.as_deref(), |wish, bounds| {
        bounds.contains(wish)
    }));
    wider.extend(only("addresses", limits.addresses.as_deref(), addresses.as_deref(), lies_within));
    wider.extend(at_most("expires_at", limits.expires_at, *expires_at, ToString::to_string));
    wider
}

/// A cap on a longer window caps every window within it.
const fn caps(budget: WindowKind, window: WindowKind) -> bool {
    use WindowKind as W;
    matches!(
        (budget, window),
        (W::Total, _) | (W::Month, W::Month | W::Day) | (W::Week, W::Week | W::Day) | (W::Day, W::Day)
    )
}

fn budget(limits: &KeyLimits, bound: &Budget) -> Option<Wider> {
    let Budget { window, limit: most, .. } = bound;
    let own = limits.budgets.iter().filter(|budget| caps(budget.window, *window)).min_by_key(|b| b.limit);
    if own.is_some_and(|own| own.limit <= *most) {
        return None;
    }
    let instead = match own {
        Some(own) => format!("the {} budget is ${}", own.window, own.limit),
        None if limits.unlimited => "there is no cap".to_owned(),
        None => "there is none".to_owned(),
    };
    Some(Wider {
        field: "budgets",
        bound: format!("a {window} budget of at most ${most} is needed"),
        instead,
    })
}

fn at_most<T: Ord>(
    field: &'static str,
    wish: Option<T>,
    bound: Option<T>,
    text: impl Fn(&T) -> String,
) -> Option<Wider> {
    let bound = bound?;
    if wish.as_ref().is_some_and(|wish| *wish <= bound) {
        return None;
    }
    let instead = wish.map_or_else(|| "there is none".to_owned(), |wish| format!("it is {}", text(&wish)));
    Some(Wider { field, bound: format!("a limit of at most {} is needed", text(&bound)), instead })
}

fn only<T: ToString>(
    field: &'static str,
    wish: Option<&[T]>,
    bound: Option<&[T]>,
    is_within: impl Fn(&T, &[T]) -> bool,
) -> Option<Wider> {
    let bound = bound?;
    let instead = match wish {
        None => "all are allowed".to_owned(),
        Some(wish) => {
            let outside: Vec<&T> = wish.iter().filter(|one| !is_within(one, bound)).collect();
            if outside.is_empty() {
                return None;
            }
            format!("{} outside", listed(&outside))
        }
    };
    let bound = format!("nothing beyond {} may be allowed", listed(&bound.iter().collect::<Vec<_>>()));
    Some(Wider { field, bound, instead })
}

fn listed<T: ToString>(names: &[&T]) -> String {
    let spelt: Vec<_> = names.iter().take(SPELT_OUT).map(|name| name.to_string()).collect();
    let more = names.len().saturating_sub(SPELT_OUT);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", spelt.join(", "))
}

/// Whether every name that matches `pattern` matches `bound` as well.
///
/// Exact: a text that stands for "any" and occurs in no pattern can only be taken in by a `*` of the bound, and
/// what that `*` takes in may be anything. The other way round, the pattern with that text in it is itself a name
/// that the pattern matches. For the same reason no set of bounds covers a pattern that none of them covers alone.
fn covers(bound: &str, pattern: &str) -> bool {
    model_matches(bound, &pattern.replace('*', ANY_TEXT))
}

/// Whether all addresses of a network belong to some of the others, which may share them between themselves: two
/// halves hold the whole.
fn lies_within(network: &IpNet, others: &[IpNet]) -> bool {
    IpNet::aggregate(&others.to_vec()).iter().any(|other| other.contains(network))
}
