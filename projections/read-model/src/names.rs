//! How states and ends are stored: words where rows are few, small numbers in the table of calls.

use nemo_events::key::{Ending, Evidence, ForfeitReason, VoidReason};
use nemo_projections::key::Status;
use nemo_projections::org::Standing;
use serde::Serialize;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum CallEnd {
    /// With a cost.
    Settled {
        /// What the cost rests on.
        evidence: Evidence,
        /// How the answer came to its end.
        ending: Ending,
    },
    /// Without a cost.
    Voided {
        /// Why.
        reason: VoidReason,
    },
    /// Nobody knows with what cost: *unconfirmed* until it is corrected.
    Forfeited {
        /// Why.
        reason: ForfeitReason,
    },
}

impl CallEnd {
    /// The number that stands for it in the database.
    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::Settled { evidence: Evidence::Reported, ending } => 100 + ending_code(ending),
            Self::Settled { evidence: Evidence::Estimated, ending } => 200 + ending_code(ending),
            Self::Voided { reason } => 300 + void_code(reason),
            Self::Forfeited { reason } => 400 + forfeit_code(reason),
        }
    }

    /// The end that a number stands for.
    pub(crate) fn from_code(code: i64) -> Option<Self> {
        Self::all().find(|end| end.code() == code)
    }

    fn all() -> impl Iterator<Item = Self> {
        let settled = [Evidence::Reported, Evidence::Estimated]
            .into_iter()
            .flat_map(|evidence| ENDINGS.map(|ending| Self::Settled { evidence, ending }));
        let voided = VOIDS.map(|reason| Self::Voided { reason });
        let forfeited = FORFEITS.map(|reason| Self::Forfeited { reason });
        settled.chain(voided).chain(forfeited)
    }
}

const ENDINGS: [Ending; 7] = [
    Ending::Completed,
    Ending::ClientLeft,
    Ending::ProviderFailed,
    Ending::TimedOut,
    Ending::DeadlineReached,
    Ending::KeyRevoked,
    Ending::Stopped,
];

const VOIDS: [VoidReason; 4] =
    [VoidReason::NotSent, VoidReason::NotConnected, VoidReason::ProviderRefused, VoidReason::ProviderFailed];

const FORFEITS: [ForfeitReason; 5] = [
    ForfeitReason::TimedOut,
    ForfeitReason::Reset,
    ForfeitReason::NodeDied,
    ForfeitReason::DeadlinePassed,
    ForfeitReason::Cut,
];

const fn ending_code(ending: Ending) -> i64 {
    match ending {
        Ending::Completed => 0,
        Ending::ClientLeft => 1,
        Ending::ProviderFailed => 2,
        Ending::TimedOut => 3,
        Ending::DeadlineReached => 4,
        Ending::KeyRevoked => 5,
        Ending::Stopped => 6,
    }
}

const fn void_code(reason: VoidReason) -> i64 {
    match reason {
        VoidReason::NotSent => 0,
        VoidReason::NotConnected => 1,
        VoidReason::ProviderRefused => 2,
        VoidReason::ProviderFailed => 3,
    }
}

const fn forfeit_code(reason: ForfeitReason) -> i64 {
    match reason {
        ForfeitReason::TimedOut => 0,
        ForfeitReason::Reset => 1,
        ForfeitReason::NodeDied => 2,
        ForfeitReason::DeadlinePassed => 3,
        ForfeitReason::Cut => 4,
    }
}

/// A key's status in the database: its name in JSON.
pub(crate) const fn status_name(status: Status) -> &'static str {
    match status {
        Status::Active => "active",
        Status::Blocked => "blocked",
        Status::Revoked => "revoked",
    }
}

/// An org's standing in the database: its name in JSON.
pub(crate) const fn standing_name(standing: Standing) -> &'static str {
    match standing {
        Standing::Active => "active",
        Standing::Suspended => "suspended",
        Standing::Archived => "archived",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_end_has_a_number_of_its_own() {
        let codes: BTreeSet<i64> = CallEnd::all().map(CallEnd::code).collect();
        assert_eq!(codes.len(), ENDINGS.len() * 2 + VOIDS.len() + FORFEITS.len());
        assert!(CallEnd::all().all(|end| CallEnd::from_code(end.code()) == Some(end)));
        assert_eq!(CallEnd::from_code(107), None);
    }

    #[test]
    fn names_are_those_of_json() {
        for status in [Status::Active, Status::Blocked, Status::Revoked] {
            assert_eq!(serde_json::to_value(status).ok(), Some(status_name(status).into()));
        }
        for standing in [Standing::Active, Standing::Suspended, Standing::Archived] {
            assert_eq!(serde_json::to_value(standing).ok(), Some(standing_name(standing).into()));
        }
    }
}
