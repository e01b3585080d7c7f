//! What a call that is refused would hold, and everything that stands in its way: for whoever asks before making it.
//!
//! The guards are those of the decision, in its order; but each is asked, and none ends the matter. What an org's
//! budgets would say is not in here: that takes its stream.

use nemo_events::Timestamp;
use nemo_events::key::Hold;

use super::Authorize;
use super::authorize::{self as guards, authenticate, guard_address};
use crate::{KeyState, Refusal};

/// How a call looks before it is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outlook {
    /// What it would be given; nothing where that cannot be told.
    pub size: Option<Size>,
    /// What stands in its way, in the order in which it would be met.
    pub obstacles: Vec<Refusal>,
}

/// The size of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The output limit that the provider would be sent.
    pub output_limit: u64,
    /// What would be held.
    pub hold: Hold,
}

impl Authorize {
    /// How the call looks now.
    #[must_use]
    pub fn outlook(&self, key: &KeyState, now: Timestamp) -> Outlook {
        let limits = &key.limits;
        let before_price = [
            authenticate(key, &self.presented, self.org.standing, now).map(|_| ()),
            guard_address(limits, self.address),
            self.guard_endpoint(limits),
            self.guard_model(limits),
            self.guard_repeat(key, now),
        ];
        let mut obstacles: Vec<Refusal> = before_price.into_iter().filter_map(Result::err).collect();
        let priced = match &self.priced {
            Ok(priced) => priced,
            Err(why) => return Outlook::without_size(obstacles, Refusal::Price(why.clone())),
        };
        obstacles.extend(self.guard_flag(key, priced).err());
        let granted = match guards::size(key, &priced.card, self, now) {
            Ok(granted) => granted,
            Err(why) => return Outlook::without_size(obstacles, why),
        };
        let of_size = [
            guards::guard_size(limits, &granted.hold),
            guards::guard_concurrency(key),
            guards::guard_requests(key, self.attempt, now),
            guards::guard_tokens(key, &granted.hold, now),
        ];
        obstacles.extend(of_size.into_iter().filter_map(Result::err));
        // As the decision has it, one that can never take the call comes before one that is merely held.
        let (exceeded, held): (Vec<_>, Vec<_>) =
            guards::short_budgets(key, &priced.card, self, &granted, now)
                .partition(|short| matches!(short, Refusal::BudgetExceeded(_)));
        obstacles.extend(exceeded.into_iter().chain(held));
        let size = Size { output_limit: granted.output_limit, hold: granted.hold };
        Outlook { size: Some(size), obstacles }
    }
}

impl Outlook {
    fn without_size(mut obstacles: Vec<Refusal>, why: Refusal) -> Self {
        obstacles.push(why);
        Self { size: None, obstacles }
    }
}
