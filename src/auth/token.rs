//! Key texts: how a virtual key (`sk-nemo-1…`) and a master key (`mk-nemo-1…`) are read, made and hidden.
//!
//! Both are prefix, format version, public id, secret, checksum. Their types share nothing, neither
//! text parses as the other, and neither can be printed, serialised, compared or cloned: a key leaves
//! its type only through `expose_secret`. A text that is no key is refused without an allocation.

use std::fmt;

use nemo_events::ids::{InvalidId, KEY_ID_LEN};
use nemo_events::{KeyId, MasterKeyId};
use rand::TryRng;
use rand::rngs::{SysError, SysRng};
use zeroize::Zeroizing;

/// The text of a virtual key: makes inference calls and can do nothing else.
///
/// ```
/// use nemo::auth::token::VirtualKeyText;
/// fn infer(_: &VirtualKeyText) {}
/// infer(&VirtualKeyText::generate().unwrap());
/// ```
///
/// ```compile_fail
/// use nemo::auth::token::{MasterKeyText, VirtualKeyText};
/// fn infer(_: &VirtualKeyText) {}
/// infer(&MasterKeyText::generate().unwrap());
/// ```
pub struct VirtualKeyText {
    id: KeyId,
    text: Zeroizing<String>,
}

impl VirtualKeyText {
    /// Reads a key as a caller presented it.
    ///
    /// # Errors
    /// Anything but a well-formed virtual key is [`NotAKey`]; that includes a master key.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        let id = Self::id_in(text)?;
        Ok(Self { id, text: Zeroizing::new(text.to_owned()) })
    }

    /// Makes a new key, id and secret, from the operating system's randomness.
    ///
    /// # Errors
    /// [`CannotGenerate`] if the operating system gives none.
    pub fn generate() -> Result<Self, CannotGenerate> {
        let id = random_digits(KEY_ID_LEN)?;
        Self::with_new_secret(&id)
    }

    /// Makes another secret for an existing key: what a rotation hands out.
    ///
    /// # Errors
    /// [`CannotGenerate`] if the operating system gives no randomness.
    pub fn generate_for(id: &KeyId) -> Result<Self, CannotGenerate> {
        Self::with_new_secret(id.digits())
    }

    /// The public id that names the key's stream.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.id
    }

    /// The last four characters, for people to tell keys apart.
    #[must_use]
    pub fn last_four(&self) -> &str {
        last_four(&self.text)
    }

    /// The full text. For the response that shows it once and for the digest; never for a log.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.text
    }

    fn with_new_secret(id: &str) -> Result<Self, CannotGenerate> {
        let text = VIRTUAL.write(id)?;
        Ok(Self { id: Self::id_in(&text)?, text })
    }

    fn id_in(text: &str) -> Result<KeyId, NotAKey> {
        KeyId::from_digits(VIRTUAL.check(text)?).map_err(|_| NotAKey::Alphabet)
    }
}

impl fmt::Debug for VirtualKeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…{}", VIRTUAL.family, self.last_four())
    }
}

/// The text of a master key: manages, and cannot make an inference call.
///
/// ```
/// use nemo::auth::token::MasterKeyText;
/// fn manage(_: &MasterKeyText) {}
/// manage(&MasterKeyText::generate().unwrap());
/// ```
///
/// ```compile_fail
/// use nemo::auth::token::{MasterKeyText, VirtualKeyText};
/// fn manage(_: &MasterKeyText) {}
/// manage(&VirtualKeyText::generate().unwrap());
/// ```
pub struct MasterKeyText {
    id: MasterKeyId,
    text: Zeroizing<String>,
}

impl MasterKeyText {
    /// Reads a key as somebody presented it.
    ///
    /// # Errors
    /// Anything but a well-formed master key is [`NotAKey`]; that includes a virtual key.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        let id = Self::id_in(text)?;
        Ok(Self { id, text: Zeroizing::new(text.to_owned()) })
    }

    /// Makes a new key from the operating system's randomness.
    ///
    /// # Errors
    /// [`CannotGenerate`] if the operating system gives none.
    pub fn generate() -> Result<Self, CannotGenerate> {
        let id = random_digits(KEY_ID_LEN)?;
        let text = MASTER.write(&id)?;
        Ok(Self { id: Self::id_in(&text)?, text })
    }

    /// The public id, by which the ledger names this master key.
    #[must_use]
    pub const fn id(&self) -> &MasterKeyId {
        &self.id
    }

    /// The last four characters, for people to tell keys apart.
    #[must_use]
    pub fn last_four(&self) -> &str {
        last_four(&self.text)
    }

    /// The full text. For its file, its digest and the header of a management call; never for a log.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.text
    }

    fn id_in(text: &str) -> Result<MasterKeyId, NotAKey> {
        MASTER.check(text)?.parse().map_err(|_: InvalidId| NotAKey::Alphabet)
    }
}

impl fmt::Debug for MasterKeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…{}", MASTER.family, self.last_four())
    }
}

/// What a caller presented where a key belongs.
#[derive(Debug)]
pub enum Presented {
    /// A well-formed virtual key; whether it is one of ours, its stream knows.
    Virtual(VirtualKeyText),
    /// A well-formed master key; whether it is ours, its verifier knows.
    Master(MasterKeyText),
    /// No key of either kind.
    Neither,
}

impl Presented {
    /// Tells which kind of key a text is.
    #[must_use]
    pub fn classify(text: &str) -> Self {
        VirtualKeyText::parse(text)
            .map(Self::Virtual)
            .or_else(|_| MasterKeyText::parse(text).map(Self::Master))
            .unwrap_or(Self::Neither)
    }
}

/// Why a text is not a key of the kind asked for. Holds nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// Too long or too short.
    #[error("not a key: wrong length")]
    Length,
    /// Begins like no key, or like a key of another kind or format version.
    #[error("not a key: wrong prefix")]
    Prefix,
    /// Holds something other than letters and digits.
    #[error("not a key: a character that keys do not have")]
    Alphabet,
    /// Looks right, but was mistyped or made up.
    #[error("not a key: the checksum does not match, so a character is wrong")]
    Checksum,
}

/// A secret that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CannotGenerate {
    /// The operating system gave no randomness.
    #[error("the operating system gives no randomness")]
    NoRandomness(#[from] SysError),
    /// What was made does not read back, which the tests rule out; it is not handed out.
    #[error("the key that was made does not read back")]
    BadKey(#[from] NotAKey),
    /// As `BadKey`, for a pepper's id.
    #[error("the id that was made does not read back")]
    BadId(#[from] InvalidId),
}

/// Fills `bytes` from the operating system's randomness.
pub(super) fn fill_random(bytes: &mut [u8]) -> Result<(), SysError> {
    SysRng.try_fill_bytes(bytes)
}

/// `count` base62 digits from the operating system's randomness, every digit as likely as any other.
pub(super) fn random_digits(count: usize) -> Result<Zeroizing<String>, SysError> {
    let mut digits = Zeroizing::new(String::with_capacity(count));
    let mut bytes = Zeroizing::new([0; 64]);
    while digits.len() < count {
        fill_random(bytes.as_mut_slice())?;
        let missing = count - digits.len();
        digits.extend(bytes.iter().filter_map(|byte| unbiased_digit(*byte)).take(missing));
    }
    Ok(digits)
}

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const VERSION: &str = "1";
const CHECKSUM_LEN: usize = 6;

const VIRTUAL: Format = Format { family: "sk-nemo-", secret_len: 36 };
const MASTER: Format = Format { family: "mk-nemo-", secret_len: 43 };

/// What distinguishes the two kinds of key in writing.
struct Format {
    family: &'static str,
    secret_len: usize,
}

impl Format {
    const fn len(&self) -> usize {
        self.family.len() + VERSION.len() + KEY_ID_LEN + self.secret_len + CHECKSUM_LEN
    }

    /// Checks a whole text and returns the public id's digits in it.
    fn check<'text>(&self, text: &'text str) -> Result<&'text str, NotAKey> {
        if text.len() != self.len() {
            return Err(NotAKey::Length);
        }
        let digits = text.strip_prefix(self.family).and_then(|rest| rest.strip_prefix(VERSION));
        let digits = digits.ok_or(NotAKey::Prefix)?;
        if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(NotAKey::Alphabet);
        }
        let (covered, sum) = text.split_at_checked(text.len() - CHECKSUM_LEN).ok_or(NotAKey::Length)?;
        if !checksum(covered).eq(sum.chars()) {
            return Err(NotAKey::Checksum);
        }
        digits.get(..KEY_ID_LEN).ok_or(NotAKey::Length)
    }

    /// Writes a key of this public id with a new secret.
    fn write(&self, id: &str) -> Result<Zeroizing<String>, SysError> {
        // The full capacity at once: growing would leave copies of the secret behind.
        let mut text = Zeroizing::new(String::with_capacity(self.len()));
        text.extend([self.family, VERSION, id, random_digits(self.secret_len)?.as_str()]);
        let sum = checksum(&text);
        text.extend(sum);
        Ok(text)
    }
}

/// The CRC-32 (ISO-HDLC) of a text in base62, zero-padded, most significant digit first.
fn checksum(covered: &str) -> impl Iterator<Item = char> + use<> {
    let crc = crc32fast::hash(covered.as_bytes());
    let places = [62_u32.pow(5), 62_u32.pow(4), 62_u32.pow(3), 62_u32.pow(2), 62, 1];
    places.into_iter().map(move |place| digit(crc / place % 62))
}

/// The digit that a random byte stands for, if any: 248 is the largest multiple of 62 in a byte, and
/// the 8 values above it would make some digits likelier than others.
fn unbiased_digit(byte: u8) -> Option<char> {
    (byte < 248).then(|| digit(u32::from(byte % 62)))
}

fn digit(value: u32) -> char {
    // Callers stay below 62, so this never falls back.
    let index = usize::try_from(value).unwrap_or_default();
    DIGITS.get(index).copied().map(char::from).unwrap_or_default()
}

fn last_four(text: &str) -> &str {
    text.len().checked_sub(4).and_then(|start| text.get(start..)).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at its first surprise")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VECTORS: [(&str, &str); 2] = [
        ("sk-nemo-10123456789A0000000000000000000000000000000000003of8hU", "0123456789A"),
        ("sk-nemo-1zzzzzzzzzzzABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij3bMjKG", "zzzzzzzzzzz"),
    ];

    fn sealed(format: &Format, body: &str) -> String {
        let mut text = format!("{}{VERSION}{body}", format.family);
        text.extend(checksum(&text));
        text
    }

    /// `\bsk-nemo-1[0-9A-Za-z]{53}\b` on a text that holds nothing else.
    fn matches_the_documented_pattern(text: &str) -> bool {
        text.strip_prefix("sk-nemo-1")
            .is_some_and(|rest| rest.len() == 53 && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
    }

    #[test]
    fn the_published_vectors_are_keys() {
        for (text, id) in VECTORS {
            let key = VirtualKeyText::parse(text).unwrap();
            assert_eq!(key.key_id().digits(), id);
            assert_eq!(key.expose_secret(), text);
            assert_eq!(key.last_four(), &text[58..]);
            assert!(matches_the_documented_pattern(text));
        }
    }

    #[test]
    fn each_fault_has_its_name() {
        let (text, _) = VECTORS[0];
        let refusal = |text: &str| VirtualKeyText::parse(text).map(|_| ()).unwrap_err();
        assert_eq!(refusal(""), NotAKey::Length);
        assert_eq!(refusal(&text[..61]), NotAKey::Length);
        assert_eq!(refusal(&format!("{text}0")), NotAKey::Length);
        assert_eq!(refusal(&format!(" {}", &text[..61])), NotAKey::Prefix);
        assert_eq!(refusal(&text.replace("sk-nemo-1", "sk-nemo-2")), NotAKey::Prefix);
        assert_eq!(refusal(&text.replace("sk-nemo-1", "mk-nemo-1")), NotAKey::Prefix);
        assert_eq!(refusal(&text.replace("89A", "8_A")), NotAKey::Alphabet);
        assert_eq!(refusal(&text.replace("89A00", "89Aé0")), NotAKey::Length);
        assert_eq!(refusal(&text.replace("89A00", "89Aé")), NotAKey::Alphabet);
        assert_eq!(refusal(&text.replace("89A", "89B")), NotAKey::Checksum);
    }

    #[test]
    fn a_small_checksum_is_padded_with_zeros() {
        // Found by search: the CRC-32 of this text is below 62^4.
        let covered =
            (0..).map(|n: u64| n.to_string()).find(|t| crc32fast::hash(t.as_bytes()) < 62_u32.pow(4));
        let sum: String = checksum(&covered.unwrap()).collect();
        assert_eq!(sum.len(), CHECKSUM_LEN);
        assert!(sum.starts_with("00"));
    }

    #[test]
    fn a_generated_virtual_key_reads_back_and_matches_the_documented_pattern() {
        for _ in 0..200 {
            let key = VirtualKeyText::generate().unwrap();
            assert!(matches_the_documented_pattern(key.expose_secret()));
            let again = VirtualKeyText::parse(key.expose_secret()).unwrap();
            assert_eq!(again.key_id(), key.key_id());
        }
    }

    #[test]
    fn a_generated_master_key_reads_back() {
        let key = MasterKeyText::generate().unwrap();
        assert_eq!(key.expose_secret().len(), 69);
        assert!(key.expose_secret().starts_with("mk-nemo-1"));
        assert_eq!(MasterKeyText::parse(key.expose_secret()).unwrap().id(), key.id());
        assert_eq!(key.id().as_str().len(), KEY_ID_LEN);
    }

    #[test]
    fn a_rotated_key_keeps_its_id_and_gets_another_secret() {
        let old = VirtualKeyText::generate().unwrap();
        let new = VirtualKeyText::generate_for(&old.key_id()).unwrap();
        assert_eq!(new.key_id(), old.key_id());
        assert_ne!(new.expose_secret(), old.expose_secret());
    }

    #[test]
    fn two_generated_keys_differ_in_id_and_secret() {
        let (one, two) = (VirtualKeyText::generate().unwrap(), VirtualKeyText::generate().unwrap());
        assert_ne!(one.key_id(), two.key_id());
        assert_ne!(one.expose_secret()[20..56], two.expose_secret()[20..56]);
    }

    #[test]
    fn every_digit_stands_for_equally_many_random_bytes() {
        let drawn: String = (0..=u8::MAX).filter_map(unbiased_digit).collect();
        for digit in DIGITS.iter().copied().map(char::from) {
            assert_eq!(drawn.matches(digit).count(), 4, "{digit}");
        }
    }

    #[test]
    fn neither_kind_of_key_reads_as_the_other() {
        let (virtual_key, master_key) =
            (VirtualKeyText::generate().unwrap(), MasterKeyText::generate().unwrap());
        assert!(MasterKeyText::parse(virtual_key.expose_secret()).is_err());
        assert!(VirtualKeyText::parse(master_key.expose_secret()).is_err());
        assert!(matches!(Presented::classify(virtual_key.expose_secret()), Presented::Virtual(_)));
        assert!(matches!(Presented::classify(master_key.expose_secret()), Presented::Master(_)));
        assert!(matches!(Presented::classify("sk-proj-something"), Presented::Neither));
    }

    #[test]
    fn a_key_in_debug_output_shows_its_last_four_characters_and_no_more() {
        let key = Presented::classify(VECTORS[0].0);
        assert_eq!(format!("{key:?}"), "Virtual(sk-nemo-…f8hU)");
        let master = MasterKeyText::generate().unwrap();
        assert_eq!(format!("{master:?}"), format!("mk-nemo-…{}", master.last_four()));
    }

    proptest! {
        #[test]
        fn every_change_of_a_single_character_is_refused(
            body in "[0-9A-Za-z]{47}", at in 0..62_usize, other in any::<char>()
        ) {
            let text = sealed(&VIRTUAL, &body);
            prop_assert!(VirtualKeyText::parse(&text).is_ok());
            for replacement in DIGITS.iter().copied().map(char::from).chain([other]) {
                let changed: String =
                    text.char_indices().map(|(i, c)| if i == at { replacement } else { c }).collect();
                prop_assert!(changed == text || VirtualKeyText::parse(&changed).is_err());
            }
        }

        #[test]
        fn two_neighbours_swapped_before_the_checksum_are_refused(body in "[0-9A-Za-z]{54}", at in 9..62_usize) {
            let text = sealed(&MASTER, &body);
            prop_assert!(MasterKeyText::parse(&text).is_ok());
            let mut swapped = text.clone().into_bytes();
            swapped.swap(at, at + 1);
            let swapped = String::from_utf8(swapped).unwrap();
            prop_assert!(swapped == text || MasterKeyText::parse(&swapped).is_err());
        }

        #[test]
        fn any_text_is_classified_without_a_panic(text in any::<String>()) {
            prop_assert!(matches!(Presented::classify(&text), Presented::Neither));
        }
    }
}
