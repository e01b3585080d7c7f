//! Digests: what is kept of a key instead of the key, and the peppers without which they are worth nothing.
//!
//! A virtual key's digest is an HMAC under a pepper, so that a stolen ledger cannot be searched for keys.
//! A master key's (`master_keys.rs`) is a plain domain-separated SHA-256: it never enters the ledger, and
//! 256 random bits cannot be guessed. Digests compare in constant time; nothing here looks for the first
//! match and stops.

use std::collections::HashSet;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use nemo_events::key::KeySecret;
use nemo_events::{Digest, PepperId};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::token::{CannotGenerate, VirtualKeyText, fill_random};

const VIRTUAL_KEY_DOMAIN: &[u8] = b"nemo/vk/v1\0";
const KEYED_DOMAIN: &[u8] = b"nemo/keyed/v1\0";
const PEPPER_FINGERPRINT_DOMAIN: &[u8] = b"nemo/pepper-fingerprint/v1\0";

/// Length of a pepper in bytes.
pub const PEPPER_LEN: usize = 32;

/// 32 random bytes that every virtual key's digest depends on. Boxed, so that a move leaves no copy.
pub struct Pepper(Box<Zeroizing<[u8; PEPPER_LEN]>>);

impl Pepper {
    /// Makes a pepper from the operating system's randomness.
    ///
    /// # Errors
    /// [`CannotGenerate`] if the operating system gives none.
    pub fn generate() -> Result<Self, CannotGenerate> {
        let mut pepper = Self::zero();
        fill_random(pepper.0.as_mut_slice())?;
        Ok(pepper)
    }

    /// Reads the 64 lower-case hex digits that [`Self::expose_hex`] writes.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut pepper = Self::zero();
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != PEPPER_LEN || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in pepper.0.iter_mut().zip(pairs) {
            *byte = hex_value(*high)? << 4 | hex_value(*low)?;
        }
        Some(pepper)
    }

    /// The pepper as 64 lower-case hex digits, for its file and nothing else.
    #[must_use]
    pub fn expose_hex(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(2 * PEPPER_LEN));
        let nibbles = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        text.extend(nibbles.filter_map(|nibble| char::from_digit(u32::from(nibble), 16)));
        text
    }

    /// HMAC-SHA256 of the full key: what the key's stream keeps of it.
    #[must_use]
    pub fn digest(&self, key: &VirtualKeyText) -> Digest {
        self.hmac(&[VIRTUAL_KEY_DOMAIN, key.expose_secret().as_bytes()])
    }

    /// HMAC-SHA256 of bytes that are no key. No domain makes it a key's digest, or another domain's.
    #[must_use]
    pub fn keyed(&self, domain: &str, bytes: &[u8]) -> Digest {
        let domain_len = (domain.len() as u64).to_be_bytes();
        self.hmac(&[KEYED_DOMAIN, &domain_len, domain.as_bytes(), bytes])
    }

    /// Tells this pepper from another and opens nothing: a hash of an HMAC that has no other use.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        let mac = self.hmac(&[PEPPER_FINGERPRINT_DOMAIN]);
        Digest::of_fields(PEPPER_FINGERPRINT_DOMAIN, &[mac.as_bytes()])
    }

    fn zero() -> Self {
        Self(Box::new(Zeroizing::new([0; PEPPER_LEN])))
    }

    fn hmac(&self, message: &[&[u8]]) -> Digest {
        // HMAC fills a short key up with zeros; doing so here makes the constructor one that cannot fail.
        let mut block = Zeroizing::new([0; 64]);
        for (to, from) in block.iter_mut().zip(self.0.iter()) {
            *to = *from;
        }
        let mut mac = Hmac::<Sha256>::new((&*block).into());
        message.iter().for_each(|part| mac.update(part));
        Digest::from_bytes(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(redacted)")
    }
}

/// A pepper and the name by which digests refer to it.
#[derive(Debug)]
pub struct NamedPepper {
    /// The name.
    pub id: PepperId,
    /// The secret.
    pub pepper: Pepper,
}

impl NamedPepper {
    /// Makes a pepper and names it after its fingerprint, so that no two peppers share a name.
    ///
    /// # Errors
    /// [`CannotGenerate`] if the operating system gives no randomness.
    pub fn generate() -> Result<Self, CannotGenerate> {
        let pepper = Pepper::generate()?;
        let id = format!("p-{:.12}", pepper.fingerprint().to_string()).parse()?;
        Ok(Self { id, pepper })
    }
}

/// All peppers: the current one, which new digests are made with, and older ones, which still verify,
/// oldest first.
#[derive(Debug)]
pub struct Peppers {
    current: NamedPepper,
    older: Vec<NamedPepper>,
    /// Names of those that went out of use on purpose, as opposed to being lost.
    retired: Vec<PepperId>,
}

impl Peppers {
    /// Takes the peppers, each id at most once.
    ///
    /// # Errors
    /// [`OccursTwice`] names an id that does not.
    pub fn new(
        current: NamedPepper,
        older: Vec<NamedPepper>,
        retired: Vec<PepperId>,
    ) -> Result<Self, OccursTwice> {
        let ids = older.iter().chain([&current]).map(|named| &named.id).chain(&retired);
        each_once(ids.map(PepperId::as_str))?;
        Ok(Self { current, older, retired })
    }

    /// Makes the first pepper.
    ///
    /// # Errors
    /// [`CannotGenerate`] if the operating system gives no randomness.
    pub fn generate() -> Result<Self, CannotGenerate> {
        Ok(Self { current: NamedPepper::generate()?, older: Vec::new(), retired: Vec::new() })
    }

    /// The pepper that new digests are made with.
    #[must_use]
    pub const fn current(&self) -> &NamedPepper {
        &self.current
    }

    /// Names of those that went out of use.
    #[must_use]
    pub fn retired(&self) -> &[PepperId] {
        &self.retired
    }

    /// Puts a new pepper in the current one's place, which still verifies.
    ///
    /// # Errors
    /// [`CannotGenerate`] if the operating system gives no randomness.
    pub fn renewed(mut self) -> Result<Self, CannotGenerate> {
        let before = std::mem::replace(&mut self.current, NamedPepper::generate()?);
        self.older.push(before);
        Ok(self)
    }

    /// Takes an older pepper out of use. `None` where it is not one of the older ones.
    #[must_use]
    pub fn without(mut self, id: &PepperId) -> Option<Self> {
        let at = self.older.iter().position(|named| named.id == *id)?;
        let NamedPepper { id, .. } = self.older.remove(at);
        self.retired.push(id);
        Some(self)
    }

    /// All peppers, the current one first.
    pub fn iter(&self) -> impl Iterator<Item = &NamedPepper> {
        std::iter::once(&self.current).chain(&self.older)
    }

    /// The digests that a presented key has under every pepper, the current one first.
    ///
    /// Taken before anything is looked up, so that an unknown key costs what a known one does.
    #[must_use]
    pub fn present(&self, key: &VirtualKeyText) -> Vec<(PepperId, Digest)> {
        self.iter().map(|named| (named.id.clone(), named.pepper.digest(key))).collect()
    }

    /// What the key's stream is to keep of a new key: its digest under the current pepper.
    #[must_use]
    pub fn seal(&self, key: &VirtualKeyText, version: u32) -> KeySecret {
        KeySecret {
            version,
            digest: self.current.pepper.digest(key),
            pepper: self.current.id.clone(),
            last_four: key.last_four().to_owned(),
        }
    }

    /// HMAC of bytes that are no key under the current pepper: what to record.
    #[must_use]
    pub fn keyed(&self, domain: &str, bytes: &[u8]) -> Digest {
        self.current.pepper.keyed(domain, bytes)
    }

    /// The same HMAC under every pepper, the current one first: what to compare a record with, so that
    /// an idempotency key recorded before a new pepper came still holds.
    #[must_use]
    pub fn keyed_under_each(&self, domain: &str, bytes: &[u8]) -> Vec<Digest> {
        self.iter().map(|named| named.pepper.keyed(domain, bytes)).collect()
    }

    /// Every pepper's fingerprint, oldest first, the current one's last.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<(PepperId, Digest)> {
        let oldest_first = self.older.iter().chain([&self.current]);
        oldest_first.map(|named| (named.id.clone(), named.pepper.fingerprint())).collect()
    }
}

/// Two peppers, or two master keys, of one id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` occurs twice")]
pub struct OccursTwice(pub String);

pub(super) fn each_once<'ids>(ids: impl Iterator<Item = &'ids str>) -> Result<(), OccursTwice> {
    let mut seen = HashSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(OccursTwice(id.to_owned()));
        }
    }
    Ok(())
}

const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop at its first surprise")]
mod tests {
    use super::*;

    const KEY: &str = "sk-nemo-10123456789A0000000000000000000000000000000000003of8hU";

    fn pepper(digit: char) -> Pepper {
        Pepper::from_hex(&digit.to_string().repeat(64)).unwrap()
    }

    fn named(id: &str, digit: char) -> NamedPepper {
        NamedPepper { id: id.parse().unwrap(), pepper: pepper(digit) }
    }

    #[test]
    fn a_key_digest_is_the_documented_hmac() {
        // printf 'nemo/vk/v1\0%s' "$KEY" | openssl dgst -sha256 -mac HMAC -macopt hexkey:$(printf '1%.0s' {1..64})
        let digest = pepper('1').digest(&VirtualKeyText::parse(KEY).unwrap());
        assert_eq!(digest.to_string(), "718ff3a87e97717ef810f3ff70e5da30040ea17cc4fb3c4eac81d9341c64161a");
    }

    #[test]
    fn a_key_is_presented_under_every_pepper_and_sealed_under_the_current_one() {
        let peppers = Peppers::new(named("new", '2'), vec![named("old", '1')], vec![]).unwrap();
        let key = VirtualKeyText::parse(KEY).unwrap();
        let presented = peppers.present(&key);
        let sealed = peppers.seal(&key, 3);
        assert_eq!(presented.len(), 2);
        assert_eq!(presented.first(), Some(&(sealed.pepper, sealed.digest)));
        assert_eq!(presented.last(), Some(&("old".parse().unwrap(), pepper('1').digest(&key))));
        assert_eq!((sealed.version, sealed.last_four.as_str()), (3, "f8hU"));
    }

    #[test]
    fn a_pepper_name_that_occurs_twice_is_refused() {
        let twice = Peppers::new(named("a", '1'), vec![named("b", '2'), named("a", '3')], vec![]);
        assert_eq!(twice.unwrap_err(), OccursTwice("a".to_owned()));
    }

    #[test]
    fn keyed_digests_of_different_domains_bytes_and_peppers_differ() {
        let key = VirtualKeyText::parse(KEY).unwrap();
        let all = [
            pepper('1').keyed("body", b"x"),
            pepper('2').keyed("body", b"x"),
            pepper('1').keyed("bod", b"yx"),
            pepper('1').keyed("", b"bodyx"),
            pepper('1').keyed("nemo/vk/v1\0", KEY.as_bytes()),
            pepper('1').digest(&key),
            pepper('1').fingerprint(),
            pepper('2').fingerprint(),
        ];
        for (n, one) in all.iter().enumerate() {
            assert!(all.iter().skip(n + 1).all(|other| other != one));
        }
    }

    #[test]
    fn what_was_recorded_under_an_older_pepper_is_still_recognised() {
        let recorded =
            Peppers::new(named("old", '1'), vec![], vec![]).unwrap().keyed("idempotency-key", b"abc");
        let now = Peppers::new(named("new", '2'), vec![named("old", '1')], vec![]).unwrap();
        assert_ne!(now.keyed("idempotency-key", b"abc"), recorded);
        assert!(now.keyed_under_each("idempotency-key", b"abc").contains(&recorded));
    }

    #[test]
    fn a_pepper_survives_its_hex_and_nothing_else_is_read() {
        let pepper = Pepper::generate().unwrap();
        let hex = pepper.expose_hex();
        assert_eq!(Pepper::from_hex(&hex).unwrap().fingerprint(), pepper.fingerprint());
        for bad in ["", "00", &hex.replace(|_| true, "g"), &"A".repeat(64), &"0".repeat(63), &"0".repeat(66)]
        {
            assert!(Pepper::from_hex(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_generated_pepper_is_named_after_its_fingerprint() {
        let named = NamedPepper::generate().unwrap();
        let fingerprint = named.pepper.fingerprint().to_string();
        assert!(fingerprint.starts_with(named.id.as_str().strip_prefix("p-").unwrap()));
        assert_eq!(named.id.as_str().len(), 14);
    }

    #[test]
    fn peppers_in_debug_output_are_redacted() {
        let peppers = Peppers::generate().unwrap();
        let shown = format!("{peppers:?}");
        assert!(!shown.contains(peppers.current().pepper.expose_hex().as_str()));
        assert!(shown.contains("Pepper(redacted)"));
    }
}
