//! Whether the secrets at hand are those that the ledger was written with. With others every key would be
//! refused, or worse, new ones would be digested with a pepper that is lost at the next restore.
//!
//! Every pepper that the ledger knows is at hand or was retired on purpose; the master key that it knows
//! last is at hand; a master key's end is never later than the ledger has it.

use std::fmt::Display;

use nemo_events::gateway::{MasterKeyInstalled, MasterKeyRetired, PepperAdded, PepperRetired};
use nemo_events::{Digest, GatewayEvent, MasterKeyId, PepperId};

use crate::auth::master_keys::Retired;
use crate::auth::secrets::{Fingerprints, MasterKeyPrint};

/// The secrets do not fit the ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretsMismatch {
    /// The same name with another content.
    #[error(
        "the {what} {name} is not the one that this ledger was written with: restore the secrets from their backup"
    )]
    Other {
        /// Pepper or master key.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// One that the ledger needs is not there.
    #[error(
        "the {what} {name}, which this ledger was written with, is missing: restore the secrets from their backup"
    )]
    Missing {
        /// Pepper or master key.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A master key works again, or for longer than the ledger has it.
    #[error(
        "the master key {id} was replaced, and these secrets would let it work again: restore the latest backup of \
         the secrets"
    )]
    Revived {
        /// The key's id.
        id: MasterKeyId,
    },
}

/// Compares what the ledger knows with what is at hand. Returns the events that tell it what is new.
///
/// # Errors
/// [`SecretsMismatch`]
pub fn compare(known: &[GatewayEvent], ours: &Fingerprints) -> Result<Vec<GatewayEvent>, SecretsMismatch> {
    let known = Known::of(known);
    let peppers = known.peppers(ours)?;
    let master_keys = known.master_keys(&ours.master_keys)?;
    Ok(peppers.into_iter().chain(master_keys).collect())
}

/// What the ledger's events say of its secrets, in their order.
#[derive(Default)]
struct Known<'a> {
    peppers: Vec<(&'a PepperId, Digest)>,
    retired_peppers: Vec<&'a PepperId>,
    master_keys: Vec<(&'a MasterKeyId, Digest)>,
    retired_keys: Vec<(&'a MasterKeyId, Retired)>,
}

impl<'a> Known<'a> {
    fn of(events: &'a [GatewayEvent]) -> Self {
        let mut known = Self::default();
        for event in events {
            match event {
                GatewayEvent::PepperAdded(e) => known.peppers.push((&e.pepper, e.fingerprint)),
                GatewayEvent::PepperRetired(e) => known.retired_peppers.push(&e.pepper),
                GatewayEvent::MasterKeyInstalled(e) => known.master_keys.push((&e.master_key, e.fingerprint)),
                GatewayEvent::MasterKeyRetired(MasterKeyRetired { master_key, valid_until, leaked }) => {
                    let retired = Retired { valid_until: *valid_until, leaked: *leaked };
                    known.retired_keys.push((master_key, retired));
                }
                GatewayEvent::NodeStarted(_)
                | GatewayEvent::NodeStopped(_)
                | GatewayEvent::PresentationsRefused(_) => {}
            }
        }
        known
    }

    fn peppers(&self, ours: &Fingerprints) -> Result<Vec<GatewayEvent>, SecretsMismatch> {
        let at_hand = |id: &PepperId| {
            ours.peppers.iter().any(|(name, _)| name == id)
                || ours.retired_peppers.contains(id)
                || self.retired_peppers.contains(&id)
        };
        if let Some((lost, _)) = self.peppers.iter().find(|(id, _)| !at_hand(id)) {
            return Err(SecretsMismatch::Missing { what: "pepper", name: lost.to_string() });
        }
        let new = new("pepper", &self.peppers, &ours.peppers)?;
        let added = new.into_iter().map(|(pepper, fingerprint)| PepperAdded { pepper, fingerprint }.into());
        let known = |id: &&PepperId| self.peppers.iter().any(|(known, _)| known == id);
        let retired =
            ours.retired_peppers.iter().filter(known).filter(|id| !self.retired_peppers.contains(id));
        Ok(added.chain(retired.map(|pepper| PepperRetired { pepper: pepper.clone() }.into())).collect())
    }

    fn master_keys(&self, ours: &[MasterKeyPrint]) -> Result<Vec<GatewayEvent>, SecretsMismatch> {
        if let Some((last, _)) = self.master_keys.last()
            && !ours.iter().any(|key| key.id == **last)
        {
            return Err(SecretsMismatch::Missing { what: "master key", name: last.to_string() });
        }
        if let Some(revived) = ours.iter().find(|key| self.revives(key)) {
            return Err(SecretsMismatch::Revived { id: revived.id.clone() });
        }
        let prints: Vec<_> = ours.iter().map(|key| (key.id.clone(), key.fingerprint)).collect();
        let mut replaces = self.master_keys.last().map(|(id, _)| (*id).clone());
        let mut events = Vec::new();
        for (master_key, fingerprint) in new("master key", &self.master_keys, &prints)? {
            let before = replaces.replace(master_key.clone());
            events.push(MasterKeyInstalled { master_key, fingerprint, replaces: before }.into());
        }
        let ended = ours.iter().filter_map(|key| Some((key, key.retired?)));
        let ended = ended.filter(|(key, end)| self.end_of(&key.id) != Some(*end));
        events.extend(ended.map(|(key, Retired { valid_until, leaked })| {
            MasterKeyRetired { master_key: key.id.clone(), valid_until, leaked }.into()
        }));
        Ok(events)
    }

    /// The latest word on a master key's end.
    fn end_of(&self, id: &MasterKeyId) -> Option<Retired> {
        self.retired_keys.iter().rev().find(|(known, _)| *known == id).map(|(_, end)| *end)
    }

    fn revives(&self, key: &MasterKeyPrint) -> bool {
        let Some(known) = self.end_of(&key.id) else { return false };
        key.retired.is_none_or(|end| end.valid_until > known.valid_until)
    }
}

/// Those of `ours` that the ledger does not know, in their order.
fn new<T: Clone + PartialEq + Display>(
    what: &'static str,
    known: &[(&T, Digest)],
    ours: &[(T, Digest)],
) -> Result<Vec<(T, Digest)>, SecretsMismatch> {
    let known_as =
        |name: &T| known.iter().find(|(known, _)| *known == name).map(|(_, fingerprint)| *fingerprint);
    let other = |(name, print): &&(T, Digest)| known_as(name).is_some_and(|known| known != *print);
    if let Some((name, _)) = ours.iter().find(other) {
        return Err(SecretsMismatch::Other { what, name: name.to_string() });
    }
    Ok(ours.iter().filter(|(name, _)| known_as(name).is_none()).cloned().collect())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use nemo_events::Timestamp;

    use super::*;

    fn key(id: &str, end: Option<(i64, bool)>) -> MasterKeyPrint {
        let retired =
            end.map(|(secs, leaked)| Retired { valid_until: Timestamp::EPOCH.plus_secs(secs), leaked });
        MasterKeyPrint {
            id: format!("{id:0>11}").parse().unwrap(),
            fingerprint: Digest::of(id.as_bytes()),
            retired,
        }
    }

    fn ours(master_keys: &[MasterKeyPrint], peppers: &[&str], retired: &[&str]) -> Fingerprints {
        Fingerprints {
            master_keys: master_keys.to_vec(),
            peppers: peppers.iter().map(|id| (id.parse().unwrap(), Digest::of(id.as_bytes()))).collect(),
            retired_peppers: retired.iter().map(|id| id.parse().unwrap()).collect(),
        }
    }

    /// The ledger after these secrets, one after the other, and the last one's new events.
    fn after(all: &[Fingerprints]) -> (Vec<GatewayEvent>, Vec<GatewayEvent>) {
        let (mut known, mut last) = (Vec::new(), Vec::new());
        for secrets in all {
            last = compare(&known, secrets).unwrap();
            known.extend(last.clone());
        }
        (known, last)
    }

    #[test]
    fn what_is_known_is_not_told_again() {
        let secrets = ours(&[key("a", None)], &["p1"], &[]);
        let (known, first) = after(std::slice::from_ref(&secrets));
        assert_eq!(first.len(), 2);
        assert_eq!(compare(&known, &secrets), Ok(Vec::new()));
    }

    #[test]
    fn keys_replaced_while_nobody_looked_are_told_in_their_order() {
        let last = [key("a", Some((5, false))), key("b", Some((9, true))), key("c", None)];
        let (known, events) = after(&[ours(&[key("a", None)], &["p1"], &[]), ours(&last, &["p1"], &[])]);
        let told: Vec<_> = events
            .iter()
            .map(|event| match event {
                GatewayEvent::MasterKeyInstalled(e) => {
                    format!("{}<{}", e.master_key, e.replaces.as_ref().unwrap())
                }
                GatewayEvent::MasterKeyRetired(e) => format!("{}-{}", e.master_key, e.leaked),
                other => format!("{other:?}"),
            })
            .map(|told| told.replace('0', ""))
            .collect();
        assert_eq!(told, ["b<a", "c<b", "a-false", "b-true"]);
        assert_eq!(compare(&known, &ours(&last, &["p1"], &[])), Ok(Vec::new()));
    }

    #[test]
    fn a_replaced_key_never_works_again() {
        let ended = [key("a", Some((5, false))), key("b", None)];
        let (known, _) = after(&[ours(&[key("a", None)], &["p"], &[]), ours(&ended, &["p"], &[])]);
        for keys in [
            vec![key("a", None), key("b", None)],
            vec![key("a", Some((6, false))), key("b", None)],
            vec![key("b", None), key("a", None)],
        ] {
            let revived = compare(&known, &ours(&keys, &["p"], &[]));
            assert!(matches!(revived, Err(SecretsMismatch::Revived { .. })), "{revived:?}");
        }
        // Sooner is fine, and so is having forgotten it.
        let sooner = [key("a", Some((1, true))), key("b", None)];
        assert_eq!(compare(&known, &ours(&sooner, &["p"], &[])).unwrap().len(), 1);
        assert_eq!(compare(&known, &ours(&[key("b", None)], &["p"], &[])), Ok(Vec::new()));
        let lost = compare(&known, &ours(&[key("a", Some((5, false))), key("c", None)], &["p"], &[]));
        assert!(matches!(lost, Err(SecretsMismatch::Missing { .. })));
    }

    #[test]
    fn a_pepper_is_at_hand_or_retired_on_purpose() {
        let keys = [key("a", None)];
        let (known, _) = after(&[ours(&keys, &["p1", "p2", "p3"], &[])]);
        let lost = compare(&known, &ours(&keys, &["p2", "p3"], &[]));
        assert_eq!(lost, Err(SecretsMismatch::Missing { what: "pepper", name: "p1".to_owned() }));
        let retired = compare(&known, &ours(&keys, &["p2", "p3"], &["p1"])).unwrap();
        assert_eq!(retired, [PepperRetired { pepper: "p1".parse().unwrap() }.into()]);
        let known = [known, retired].concat();
        assert_eq!(compare(&known, &ours(&keys, &["p2", "p3"], &["p1"])), Ok(Vec::new()));
        assert_eq!(compare(&known, &ours(&keys, &["p2", "p3"], &[])), Ok(Vec::new()));
    }
}
