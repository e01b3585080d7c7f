//! Links with which one person, once, chooses a password. Their codes stand in no event and on no disk: a link
//! ends with the node's process.
//!
//! A link is taken while somebody uses it and comes back if that fails, so that of two who use it at the same
//! time one is turned away, and a name that is taken costs nobody the link.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nemo_events::operator::LinkPurpose;
use nemo_events::{Digest, LinkId, Revision, Timestamp};
use zeroize::Zeroizing;

use super::token::{CannotGenerate, random_digits};

const DOMAIN: &[u8] = b"nemo/link/v1";
/// 190 bits.
const CODE_DIGITS: usize = 32;
/// Links that may wait to be used at a time.
const MOST: usize = 256;

/// The links of this node.
#[derive(Debug, Clone, Default)]
pub struct Links(Arc<Mutex<HashMap<Digest, Link>>>);

/// What a link leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// The very first operator comes. Holds as long as there is nobody.
    First,
    /// What an admin made it for.
    Issued {
        /// Tells it from others.
        id: LinkId,
        /// For what.
        purpose: LinkPurpose,
        /// The revision at which it was made.
        made: Revision,
        /// Until when it holds.
        until: Timestamp,
    },
}

/// What stands behind the `#` of a link.
pub struct Code(Zeroizing<String>);

/// A link in somebody's hands.
#[derive(Debug)]
pub struct Taken {
    links: Links,
    held: Option<(Digest, Link)>,
}

impl Code {
    /// The text, for the one who shows the link.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl Links {
    /// Makes a link. One for the same operator's password, made before, leads nowhere any more; nor does the
    /// first one that was made before.
    ///
    /// # Errors
    /// [`CannotGenerate`] if the operating system gives no randomness.
    pub fn make(&self, link: Link, now: Timestamp) -> Result<Code, CannotGenerate> {
        let code = Code(random_digits(CODE_DIGITS)?);
        let mut links = self.lock();
        links.retain(|_, known| known.holds(now) && !known.is_replaced_by(&link));
        while links.len() >= MOST {
            let soonest = links.iter().min_by_key(|(_, link)| link.until()).map(|(digest, _)| *digest);
            let Some(soonest) = soonest else { break };
            links.remove(&soonest);
        }
        links.insert(digest(code.expose_secret()), link);
        Ok(code)
    }

    /// Takes a link to use it; `None` if it leads nowhere, or somebody else is using it.
    #[must_use]
    pub fn take(&self, code: &str, now: Timestamp) -> Option<Taken> {
        let held = self.lock().remove_entry(&digest(code.trim()))?;
        held.1.holds(now).then(|| Taken { links: self.clone(), held: Some(held) })
    }

    /// Forgets all links.
    pub fn forget_all(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Link>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// What it leads to.
    #[must_use]
    pub fn link(&self) -> &Link {
        self.held.as_ref().map_or(&Link::First, |(_, link)| link)
    }

    /// It was used, for good.
    pub fn spend(mut self) {
        self.held = None;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some((digest, link)) = self.held.take() {
            self.links.lock().insert(digest, link);
        }
    }
}

impl Link {
    fn holds(&self, now: Timestamp) -> bool {
        now < self.until()
    }

    const fn until(&self) -> Timestamp {
        match self {
            Self::First => Timestamp::MAX,
            Self::Issued { until, .. } => *until,
        }
    }

    fn is_replaced_by(&self, later: &Self) -> bool {
        match (self, later) {
            (Self::First, Self::First) => true,
            (Self::Issued { purpose: before, .. }, Self::Issued { purpose: later, .. }) => {
                matches!(before, LinkPurpose::Password { .. }) && before == later
            }
            _ => false,
        }
    }
}

fn digest(code: &str) -> Digest {
    Digest::of_fields(DOMAIN, &[code.as_bytes()])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use nemo_events::{OperatorId, Role};
    use uuid::Uuid;

    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;

    fn issued(purpose: LinkPurpose) -> Link {
        let id = LinkId::from_uuid(Uuid::nil());
        Link::Issued { id, purpose, made: Revision(1), until: NOW.plus_secs(3_600) }
    }

    #[test]
    fn a_link_is_used_once_and_comes_back_if_that_failed() {
        let links = Links::default();
        let link = issued(LinkPurpose::Invitation { role: Role::Auditor });
        let code = links.make(link.clone(), NOW).unwrap();
        let taken = links.take(code.expose_secret(), NOW).unwrap();
        assert_eq!(taken.link(), &link);
        assert!(links.take(code.expose_secret(), NOW).is_none(), "somebody else is using it");
        drop(taken);
        links.take(code.expose_secret(), NOW).unwrap().spend();
        assert!(links.take(code.expose_secret(), NOW).is_none());
    }

    #[test]
    fn a_link_leads_nowhere_once_it_is_too_old() {
        let links = Links::default();
        let code = links.make(issued(LinkPurpose::Invitation { role: Role::Admin }), NOW).unwrap();
        assert!(links.take(code.expose_secret(), NOW.plus_secs(3_600)).is_none());
        let first = links.make(Link::First, NOW).unwrap();
        assert!(links.take(first.expose_secret(), NOW.plus_secs(1_000_000)).is_some());
        links.forget_all();
        assert!(links.take(first.expose_secret(), NOW).is_none());
    }

    #[test]
    fn another_link_for_the_same_password_replaces_the_one_before() {
        let links = Links::default();
        let operator = |n| OperatorId::from_uuid(Uuid::from_u128(n));
        let of = |n| issued(LinkPurpose::Password { operator: operator(n) });
        let (one, other) = (links.make(of(1), NOW).unwrap(), links.make(of(2), NOW).unwrap());
        let again = links.make(of(1), NOW).unwrap();
        assert!(links.take(one.expose_secret(), NOW).is_none());
        assert!(links.take(other.expose_secret(), NOW).is_some());
        assert!(links.take(again.expose_secret(), NOW).is_some());
        assert!(!format!("{links:?}").contains(again.expose_secret()));
    }
}
