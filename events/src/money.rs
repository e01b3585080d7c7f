//! Exact money: integers of nano-dollars. No floating point, no silent overflow.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const NANOS_PER_DOLLAR: u64 = 1_000_000_000;
const DECIMALS: usize = 9;

/// Why a text is no amount of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not digits with at most one decimal point.
    #[error("not a decimal amount")]
    NotDecimal,
    /// Finer than a nano-dollar.
    #[error("more than {DECIMALS} decimals")]
    TooPrecise,
    /// Outside of what 64 bits hold (about ±9.2 billion dollars).
    #[error("amount out of range")]
    OutOfRange,
}

/// An amount in nano-dollars. JSON: an exact decimal string of dollars, such as `"0.000125"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(i64);

/// A price in nano-dollars per million units. JSON: a decimal string of dollars per million.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rate(i64);

impl Nanos {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self(i64::MAX);

    /// `None` where the sum does not fit.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// `None` where the difference does not fit.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }

    /// The difference, never below zero.
    #[must_use]
    pub fn minus_or_zero(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0).max(0))
    }

    /// Whether the amount is below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }
}

impl Rate {
    /// Free.
    pub const ZERO: Self = Self(0);
}

macro_rules! decimal_amount {
    ($($name:ident),*) => {$(
        impl $name {
            /// Wraps an integer of nano-dollars (for a rate: per million units).
            #[must_use]
            pub const fn from_nanos(nanos: i64) -> Self {
                Self(nanos)
            }

            /// The integer of nano-dollars (for a rate: per million units).
            #[must_use]
            pub const fn as_nanos(self) -> i64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_decimal(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("$")?;
                write_decimal(self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = MoneyError;

            fn from_str(text: &str) -> Result<Self, MoneyError> {
                parse_decimal(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::text::deserialize(deserializer)
            }
        }
    )*};
}

decimal_amount!(Nanos, Rate);

fn write_decimal(nanos: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let sign = if nanos < 0 { "-" } else { "" };
    let (whole, fraction) =
        (nanos.unsigned_abs() / NANOS_PER_DOLLAR, nanos.unsigned_abs() % NANOS_PER_DOLLAR);
    if fraction == 0 {
        return write!(f, "{sign}{whole}");
    }
    let digits = format!("{fraction:09}");
    write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
}

fn parse_decimal(text: &str) -> Result<i64, MoneyError> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return Err(MoneyError::NotDecimal);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > DECIMALS {
        return Err(MoneyError::TooPrecise);
    }
    let whole: i64 = whole.parse().map_err(|_| MoneyError::OutOfRange)?;
    let nanos: i64 = format!("{fraction:0<DECIMALS$}").parse().map_err(|_| MoneyError::OutOfRange)?;
    let signed = |amount: i64| if negative { amount.checked_neg() } else { Some(amount) };
    whole
        .checked_mul(NANOS_PER_DOLLAR.cast_signed())
        .and_then(signed)
        .and_then(|dollars| dollars.checked_add(signed(nanos)?))
        .ok_or(MoneyError::OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_amount_survives_its_text(nanos: i64) {
            prop_assume!(nanos > i64::MIN + 1_000_000_000);
            prop_assert_eq!(Nanos::from_nanos(nanos).to_string().parse(), Ok(Nanos::from_nanos(nanos)));
        }
    }

    #[test]
    fn a_text_that_is_no_exact_amount_is_refused() {
        for text in ["", ".", "1.", ".5", "1e3", "+1", "1,5", " 1", "--1", "0x1", "١"] {
            assert_eq!(text.parse::<Nanos>(), Err(MoneyError::NotDecimal), "{text}");
        }
        assert_eq!("0.0000000001".parse::<Nanos>(), Err(MoneyError::TooPrecise));
        assert_eq!("9223372037".parse::<Nanos>(), Err(MoneyError::OutOfRange));
        assert_eq!("0.5000000000000".parse::<Nanos>(), Ok(Nanos::from_nanos(500_000_000)));
        assert_eq!(Nanos::from_nanos(-1).to_string(), "-0.000000001");
    }
}
