//! Recognising master keys without holding them: the current one, those whose overlap runs, those replaced.
//!
//! A key that was replaced is remembered, so that whoever still presents it is told so instead of being
//! taken for a stranger, and so that its use can be recorded. An end, once given, never moves later.

use std::fmt;

use nemo_events::{Digest, MasterKeyId, Timestamp};

use super::pepper::{OccursTwice, each_once};
use super::token::MasterKeyText;

const MASTER_KEY_DOMAIN: &[u8] = b"nemo/mk/v1\0";
const MASTER_KEY_FINGERPRINT_DOMAIN: &[u8] = b"nemo/mk-fingerprint/v1\0";
/// Earlier keys that are remembered; the oldest are forgotten, and refused as strangers.
const EARLIER_KEPT: usize = 32;

/// Recognises one master key without holding it.
#[derive(Clone)]
pub struct MasterKeyVerifier {
    id: MasterKeyId,
    digest: Digest,
}

impl MasterKeyVerifier {
    /// The verifier of this key.
    #[must_use]
    pub fn of(key: &MasterKeyText) -> Self {
        Self { id: key.id().clone(), digest: master_key_digest(key) }
    }

    /// The verifier with this digest, as read from its file.
    #[must_use]
    pub const fn from_parts(id: MasterKeyId, digest: Digest) -> Self {
        Self { id, digest }
    }

    /// The public id of the key that it recognises.
    #[must_use]
    pub const fn id(&self) -> &MasterKeyId {
        &self.id
    }

    /// What its file holds.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Whether this is the key. Takes constant time.
    #[must_use]
    pub fn is(&self, key: &MasterKeyText) -> bool {
        self.digest == master_key_digest(key)
    }

    /// Tells this key's digest from another's and opens nothing.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of_fields(MASTER_KEY_FINGERPRINT_DOMAIN, &[self.digest.as_bytes()])
    }
}

impl fmt::Debug for MasterKeyVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKeyVerifier({})", self.id)
    }
}

/// The end of a master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retired {
    /// From this moment on it is refused.
    pub valid_until: Timestamp,
    /// It was given away.
    pub leaked: bool,
}

/// A master key that is not the current one any more.
#[derive(Debug, Clone)]
pub struct EarlierKey {
    /// Recognises it.
    pub verifier: MasterKeyVerifier,
    /// Its end; `None` where nobody gave it one.
    pub retired: Option<Retired>,
}

impl EarlierKey {
    /// Whether it works at this moment.
    #[must_use]
    pub fn works_at(&self, now: Timestamp) -> bool {
        self.retired.is_none_or(|end| now < end.valid_until)
    }

    fn end(&mut self, end: Retired) {
        let before = self.retired.unwrap_or(Retired { valid_until: Timestamp::MAX, leaked: false });
        self.retired = Some(Retired {
            valid_until: before.valid_until.min(end.valid_until),
            leaked: before.leaked || end.leaked,
        });
    }
}

/// What a presented master key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recognised {
    /// A master key in force.
    InForce(MasterKeyId),
    /// One that was replaced, and the moment from which it is refused.
    Replaced(MasterKeyId, Timestamp),
}

/// The master keys: the current one, and earlier ones, oldest first.
#[derive(Debug, Clone)]
pub struct MasterKeys {
    current: MasterKeyVerifier,
    earlier: Vec<EarlierKey>,
}

impl MasterKeys {
    /// Takes the keys, each id at most once.
    ///
    /// # Errors
    /// [`OccursTwice`] names an id that does not.
    pub fn new(current: MasterKeyVerifier, earlier: Vec<EarlierKey>) -> Result<Self, OccursTwice> {
        each_once(earlier.iter().map(|key| &key.verifier).chain([&current]).map(|key| key.id.as_str()))?;
        Ok(Self { current, earlier })
    }

    /// One key and none before it.
    #[must_use]
    pub const fn only(current: MasterKeyVerifier) -> Self {
        Self { current, earlier: Vec::new() }
    }

    /// The verifier of the current key.
    #[must_use]
    pub const fn current(&self) -> &MasterKeyVerifier {
        &self.current
    }

    /// Those before it, oldest first.
    #[must_use]
    pub fn earlier(&self) -> &[EarlierKey] {
        &self.earlier
    }

    /// Whether there is a key of this id, current or earlier.
    #[must_use]
    pub fn knows(&self, id: &MasterKeyId) -> bool {
        self.current.id == *id || self.earlier.iter().any(|key| key.verifier.id == *id)
    }

    /// What the presented key is at this moment; `None` for a stranger. Asks every verifier, whichever
    /// matches.
    #[must_use]
    pub fn recognise(&self, key: &MasterKeyText, now: Timestamp) -> Option<Recognised> {
        let current = self.current.is(key).then(|| Recognised::InForce(self.current.id.clone()));
        self.earlier.iter().fold(current, |found, earlier| {
            let id = || earlier.verifier.id.clone();
            let this = earlier.verifier.is(key).then(|| match earlier.retired {
                Some(end) if now >= end.valid_until => Recognised::Replaced(id(), end.valid_until),
                _ => Recognised::InForce(id()),
            });
            found.or(this)
        })
    }

    /// The keys that work at this moment, the current one last.
    #[must_use]
    pub fn in_force(&self, now: Timestamp) -> Vec<MasterKeyId> {
        let earlier = self.earlier.iter().filter(|key| key.works_at(now)).map(|key| key.verifier.id.clone());
        earlier.chain([self.current.id.clone()]).collect()
    }

    /// The keys once `new` is the current one. All that work now end with `end`, or before it if they did.
    #[must_use]
    pub fn replaced_by(&self, new: MasterKeyVerifier, end: Retired, now: Timestamp) -> Self {
        let mut earlier = self.earlier.clone();
        earlier.push(EarlierKey { verifier: self.current.clone(), retired: None });
        let surplus = earlier.len().saturating_sub(EARLIER_KEPT);
        earlier.drain(..surplus);
        Self { current: new, earlier }.earlier_ended(end, now)
    }

    /// The keys once all earlier ones that work now end with `end`, or before it if they did.
    #[must_use]
    pub fn earlier_ended(mut self, end: Retired, now: Timestamp) -> Self {
        self.earlier.iter_mut().filter(|key| key.works_at(now)).for_each(|key| key.end(end));
        self
    }
}

fn master_key_digest(key: &MasterKeyText) -> Digest {
    Digest::of_fields(MASTER_KEY_DOMAIN, &[key.expose_secret().as_bytes()])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop at its first surprise")]
mod tests {
    use super::*;

    fn key() -> MasterKeyText {
        MasterKeyText::generate().unwrap()
    }

    fn end(secs: i64, leaked: bool) -> Retired {
        Retired { valid_until: Timestamp::EPOCH.plus_secs(secs), leaked }
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::EPOCH.plus_secs(secs)
    }

    #[test]
    fn a_master_key_is_recognised_and_another_is_not() {
        let (ours, another) = (key(), key());
        let verifier = MasterKeyVerifier::of(&ours);
        assert!(verifier.is(&ours) && !verifier.is(&another));
        assert_ne!(verifier.fingerprint(), *verifier.digest());
        assert_ne!(verifier.fingerprint(), MasterKeyVerifier::of(&another).fingerprint());
        assert!(!format!("{verifier:?}").contains(&verifier.digest().to_string()));
    }

    #[test]
    fn both_keys_work_until_the_overlap_ends_and_the_old_one_is_remembered_after_it() {
        let (old, new) = (key(), key());
        let keys = MasterKeys::only(MasterKeyVerifier::of(&old));
        let keys = keys.replaced_by(MasterKeyVerifier::of(&new), end(10, false), at(0));
        for now in [at(0), at(9)] {
            assert_eq!(keys.recognise(&old, now), Some(Recognised::InForce(old.id().clone())));
            assert_eq!(keys.recognise(&new, now), Some(Recognised::InForce(new.id().clone())));
        }
        assert_eq!(keys.recognise(&old, at(10)), Some(Recognised::Replaced(old.id().clone(), at(10))));
        assert_eq!(keys.recognise(&new, at(10)), Some(Recognised::InForce(new.id().clone())));
        assert_eq!(keys.recognise(&key(), at(0)), None);
        assert_eq!(keys.in_force(at(9)), [old.id().clone(), new.id().clone()]);
        assert_eq!(keys.in_force(at(10)), [new.id().clone()]);
    }

    #[test]
    fn an_end_never_moves_later_and_a_leak_ends_every_key_that_works() {
        let [a, b, c, d] = [key(), key(), key(), key()];
        let keys = MasterKeys::only(MasterKeyVerifier::of(&a));
        let keys = keys.replaced_by(MasterKeyVerifier::of(&b), end(5, false), at(0));
        let keys = keys.replaced_by(MasterKeyVerifier::of(&c), end(20, false), at(1));
        let keys = keys.replaced_by(MasterKeyVerifier::of(&d), end(7, true), at(7));
        let ends: Vec<_> = keys.earlier().iter().map(|key| key.retired).collect();
        assert_eq!(ends, [Some(end(5, false)), Some(end(7, true)), Some(end(7, true))]);
        assert_eq!(keys.in_force(at(7)), [d.id().clone()]);
    }

    #[test]
    fn an_id_that_occurs_twice_is_refused() {
        let verifier = MasterKeyVerifier::of(&key());
        let earlier = EarlierKey { verifier: verifier.clone(), retired: None };
        assert!(MasterKeys::new(verifier, vec![earlier]).is_err());
    }
}
