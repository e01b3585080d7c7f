//! Figures, with their exact values in the title.

use maud::{Markup, html};
use nemo_events::{Nanos, Rate};

use crate::figures::money;

/// A sum, a limit or a budget.
#[must_use]
pub fn total(amount: Nanos) -> Markup {
    shown(&money::total(amount), &amount.to_string())
}

/// What one call cost or holds.
#[must_use]
pub fn one_call(amount: Nanos) -> Markup {
    shown(&money::one_call(amount), &amount.to_string())
}

/// A price for a million units.
#[must_use]
pub fn rate(rate: Rate) -> Markup {
    shown(&money::rate(rate), &rate.to_string())
}

/// How many.
#[must_use]
pub fn count(count: u64) -> Markup {
    html! { span .number { (money::grouped(count)) } }
}

fn shown(text: &str, exact: &str) -> Markup {
    html! { span .money title={ "$" (exact) } { (text) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_value_is_in_the_title() {
        let amount = Nanos::from_nanos(12_345_678);
        assert_eq!(
            total(amount).into_string(),
            "<span class=\"money\" title=\"$0.012345678\">$0.0123</span>"
        );
    }
}
