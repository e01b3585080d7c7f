//! What people who log in may do: three roles, and the rights that each of them has.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::InvalidId;

/// What a person is here for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Manages everything, other people included.
    Admin,
    /// Looks at spend and prices.
    Finance,
    /// Looks at what happened, and proves it.
    Auditor,
}

/// What one route or page needs of whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Create, limit, block, rotate, revoke keys; correct calls.
    ManageKeys,
    /// Look at keys and their calls.
    ReadKeys,
    /// Create, limit, suspend, archive orgs.
    ManageOrgs,
    /// Look at orgs.
    ReadOrgs,
    /// Look at spend.
    ReadSpend,
    /// Look at prices.
    ReadPrices,
    /// Change prices.
    ManagePrices,
    /// Look at where the ledger stands, read and export its events.
    ReadLedger,
    /// Look at secrets by name, read the configuration again.
    ManageLedger,
    /// See a key's events, and what was so at an earlier time.
    Replay,
    /// Invite people, give them roles, remove them, sign them out.
    ManageOperators,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Admin, Self::Finance, Self::Auditor];

    /// Whether whoever has this role may do that.
    #[must_use]
    pub const fn may(self, right: Right) -> bool {
        use Right as R;
        match self {
            Self::Admin => true,
            Self::Finance => matches!(right, R::ReadSpend | R::ReadPrices | R::ReadKeys | R::ReadOrgs),
            Self::Auditor => matches!(
                right,
                R::ReadKeys | R::ReadOrgs | R::ReadLedger | R::Replay | R::ReadSpend | R::ReadPrices
            ),
        }
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Finance => "finance",
            Self::Auditor => "auditor",
        }
    }
}

impl Right {
    /// Every right.
    pub const ALL: [Self; 11] = [
        Self::ManageKeys,
        Self::ReadKeys,
        Self::ManageOrgs,
        Self::ReadOrgs,
        Self::ReadSpend,
        Self::ReadPrices,
        Self::ManagePrices,
        Self::ReadLedger,
        Self::ManageLedger,
        Self::Replay,
        Self::ManageOperators,
    ];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(InvalidId { what: "role" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_may_everything_and_nobody_else_manages_anything() {
        const MANAGING: [Right; 5] = [
            Right::ManageKeys,
            Right::ManageOrgs,
            Right::ManagePrices,
            Right::ManageLedger,
            Right::ManageOperators,
        ];
        for right in Right::ALL {
            assert!(Role::Admin.may(right));
            if MANAGING.contains(&right) {
                assert!(!Role::Finance.may(right) && !Role::Auditor.may(right), "{right:?}");
            }
        }
        assert!(Role::Auditor.may(Right::Replay) && !Role::Finance.may(Right::Replay));
    }

    #[test]
    fn a_role_survives_its_text() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        assert!("root".parse::<Role>().is_err());
    }
}
