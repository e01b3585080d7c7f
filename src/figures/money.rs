//! Money for people: totals in cents, small amounts and single calls with the digits that matter.
//! Only zero is shown as `$0.00`. Integers throughout; files carry the exact amount instead.

use nemo_events::{Nanos, Rate};

/// Decimals that an amount in nano-dollars has.
const DECIMALS: u32 = 9;
/// From ten cents on, cents are fine enough.
const TEN_CENTS: u64 = 100_000_000;
/// Half of the last digit that a small total shows.
const HALF_OF_FOURTH_DECIMAL: u64 = 50_000;

/// A sum, a limit or a budget: `$1,234.56`, below ten cents `$0.0123`.
#[must_use]
pub fn total(amount: Nanos) -> String {
    let nanos = amount.as_nanos().unsigned_abs();
    match nanos {
        0 => "$0.00".to_owned(),
        1..HALF_OF_FOURTH_DECIMAL => format!("{}<$0.0001", sign(amount)),
        HALF_OF_FOURTH_DECIMAL..TEN_CENTS => rounded(amount, 4),
        _ => rounded(amount, 2),
    }
}

/// What one call cost or holds: four significant digits, `$0.001234`, and never fewer than cents.
#[must_use]
pub fn one_call(amount: Nanos) -> String {
    let nanos = amount.as_nanos().unsigned_abs();
    // A nano-dollar has one digit and is the ninth decimal.
    let decimals = nanos.checked_ilog10().map_or(2, |log| (DECIMALS + 3).saturating_sub(log));
    rounded(amount, decimals.clamp(2, DECIMALS))
}

/// A price for a million units, exact, with cents at least: `$2.50`, `$0.075`.
#[must_use]
pub fn rate(rate: Rate) -> String {
    let exact = rate.to_string();
    let decimals = exact.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let filled = match decimals {
        0 => ".00",
        1 => "0",
        _ => "",
    };
    format!("${exact}{filled}")
}

fn sign(amount: Nanos) -> &'static str {
    if amount.is_negative() { "-" } else { "" }
}

fn rounded(amount: Nanos, decimals: u32) -> String {
    let step = 10_u64.pow(DECIMALS - decimals);
    let steps = (amount.as_nanos().unsigned_abs() + step / 2) / step;
    let per_dollar = 10_u64.pow(decimals);
    let (dollars, fraction) = (grouped(steps / per_dollar), steps % per_dollar);
    let width = usize::try_from(decimals).unwrap_or_default();
    format!("{}${dollars}.{fraction:0width$}", sign(amount))
}

/// A whole number with its thousands apart: `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && place % 3 == first {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nanos(text: &str) -> Nanos {
        text.parse().unwrap_or_else(|error| unreachable!("{text}: {error}"))
    }

    #[test]
    fn a_total_has_cents_and_a_small_one_four_decimals() {
        let cases = [
            ("0", "$0.00"),
            ("1234.56", "$1,234.56"),
            ("1234567.895", "$1,234,567.90"),
            ("5", "$5.00"),
            ("0.1", "$0.10"),
            ("0.099999", "$0.1000"),
            ("0.0123", "$0.0123"),
            ("0.00005", "$0.0001"),
            ("0.000049999", "<$0.0001"),
            ("0.000000001", "<$0.0001"),
            ("-0.000000001", "-<$0.0001"),
            ("-12.345", "-$12.35"),
            ("9223372036.854775807", "$9,223,372,036.85"),
        ];
        for (exact, shown) in cases {
            assert_eq!(total(nanos(exact)), shown, "{exact}");
        }
    }

    #[test]
    fn a_rate_is_exact_and_has_cents() {
        for (exact, shown) in [("0", "$0.00"), ("2.5", "$2.50"), ("0.075", "$0.075"), ("12.25", "$12.25")] {
            assert_eq!(rate(exact.parse().unwrap_or_default()), shown, "{exact}");
        }
    }

    #[test]
    fn one_call_has_four_significant_digits() {
        let cases = [
            ("0", "$0.00"),
            ("0.00123456", "$0.001235"),
            ("0.5", "$0.5000"),
            ("1.23456", "$1.235"),
            ("12.3456", "$12.35"),
            ("123.456", "$123.46"),
            ("12345.678", "$12,345.68"),
            ("0.000000125", "$0.000000125"),
            ("0.0000012344", "$0.000001234"),
            ("-0.0042", "-$0.004200"),
        ];
        for (exact, shown) in cases {
            assert_eq!(one_call(Nanos::from_nanos(to_nanos(exact))), shown, "{exact}");
        }
    }

    fn to_nanos(exact: &str) -> i64 {
        let kept: String = exact.chars().take(exact.find('.').map_or(exact.len(), |dot| dot + 10)).collect();
        nanos(&kept).as_nanos()
    }

    proptest! {
        #[test]
        fn only_zero_looks_like_zero(amount: i64) {
            let amount = Nanos::from_nanos(amount);
            for shown in [total(amount), one_call(amount)] {
                let zero = shown.chars().all(|c| matches!(c, '$' | '0' | '.' | ','));
                prop_assert_eq!(zero, amount == Nanos::ZERO, "{}", shown);
            }
        }

        #[test]
        fn grouping_keeps_every_digit(number: u64) {
            prop_assert_eq!(grouped(number).replace(',', ""), number.to_string());
        }
    }
}
