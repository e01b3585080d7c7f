//! What the files of secrets look like: read strictly, written whole, never quoted in an error.

use std::fmt::Write as _;
use std::path::Path;

use nemo_events::{Digest, MasterKeyId, PepperId, Timestamp};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::auth::master_keys::{EarlierKey, MasterKeyVerifier, MasterKeys, Retired};
use crate::auth::pepper::{NamedPepper, Pepper, Peppers};
use crate::auth::secret_files::{FileFault, Holds, SecretsError};

/// What `master.toml` says.
#[derive(Debug, Clone)]
pub(super) struct Master {
    /// The keys that it recognises.
    pub(super) keys: MasterKeys,
    /// Keys that leaked, as long as nobody has finished looking at what was done with them.
    pub(super) leak_in_hand: Vec<MasterKeyId>,
}

/// `peppers.toml`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeppersFile {
    current: PepperId,
    #[serde(default)]
    retired: Vec<PepperId>,
    pepper: Vec<PepperEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PepperEntry {
    id: PepperId,
    #[serde(deserialize_with = "pepper_from_hex")]
    secret: Pepper,
}

/// `master.toml`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MasterFile {
    current: MasterKeyId,
    #[serde(default)]
    leak_in_hand: Vec<MasterKeyId>,
    master_key: Vec<MasterEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MasterEntry {
    id: MasterKeyId,
    digest: Digest,
    valid_until: Option<Timestamp>,
    #[serde(default)]
    leaked: bool,
}

/// A file's shape and what it stands for.
pub(super) trait Stored: DeserializeOwned {
    /// What it stands for.
    type Value;

    /// Checks what its shape cannot say. The error quotes nothing but ids.
    fn into_value(self) -> Result<Self::Value, String>;
}

impl Stored for PeppersFile {
    type Value = Peppers;

    fn into_value(self) -> Result<Peppers, String> {
        let all = self.pepper.into_iter().map(|entry| NamedPepper { id: entry.id, pepper: entry.secret });
        let (current, older) = take_current(all.collect(), |named| named.id == self.current)?;
        Peppers::new(current, older, self.retired).map_err(|twice| twice.to_string())
    }
}

impl Stored for MasterFile {
    type Value = Master;

    fn into_value(self) -> Result<Master, String> {
        let all = self.master_key.into_iter().map(MasterEntry::into_key).collect::<Result<Vec<_>, _>>()?;
        let (current, earlier) = take_current(all, |key| *key.verifier.id() == self.current)?;
        if current.retired.is_some() {
            return Err("the current one has an end".to_owned());
        }
        let keys = MasterKeys::new(current.verifier, earlier).map_err(|twice| twice.to_string())?;
        Ok(Master { keys, leak_in_hand: self.leak_in_hand })
    }
}

impl MasterEntry {
    fn into_key(self) -> Result<EarlierKey, String> {
        let Self { id, digest, valid_until, leaked } = self;
        if leaked && valid_until.is_none() {
            return Err(format!("`{id}` leaked and has no end"));
        }
        let retired = valid_until.map(|valid_until| Retired { valid_until, leaked });
        Ok(EarlierKey { verifier: MasterKeyVerifier::from_parts(id, digest), retired })
    }
}

fn take_current<T>(mut all: Vec<T>, is_current: impl Fn(&T) -> bool) -> Result<(T, Vec<T>), String> {
    let at = all.iter().position(is_current).ok_or("the current one is not listed")?;
    Ok((all.remove(at), all))
}

fn pepper_from_hex<'de, D: Deserializer<'de>>(from: D) -> Result<Pepper, D::Error> {
    let text = Zeroizing::new(String::deserialize(from)?);
    Pepper::from_hex(&text).ok_or_else(|| D::Error::custom("not 64 hex digits"))
}

/// Reads a file of secrets.
pub(super) fn read<F: Stored>(path: &Path) -> Result<F::Value, SecretsError> {
    let text = Holds::Secrets.read(path)?;
    let garbled = |fault| Holds::Secrets.error(path, FileFault::Garbled(fault));
    // The parser's own message may quote the file, so only the place is taken from it.
    let file: F = toml::from_str(&text).map_err(|error| garbled(fault_line(&text, &error)))?;
    file.into_value().map_err(garbled)
}

fn fault_line(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    format!("line {}", before.matches('\n').count().saturating_add(1))
}

/// The text of `peppers.toml`. One allocation: a text that grows leaves copies behind.
pub(super) fn peppers_toml(peppers: &Peppers) -> Zeroizing<String> {
    let retired: Vec<_> = peppers.retired().iter().map(|id| format!("\"{id}\"")).collect();
    let retired =
        if retired.is_empty() { String::new() } else { format!("retired = [{}]\n", retired.join(", ")) };
    let head = format!(
        "# Without these peppers no key of this ledger can be verified. Keep a copy apart from the ledger's.\n\
         current = \"{}\"\n{retired}",
        peppers.current().id
    );
    let mut entries: Vec<_> = peppers
        .iter()
        .map(|NamedPepper { id, pepper }| {
            (format!("\n[[pepper]]\nid = \"{id}\"\nsecret = \""), pepper.expose_hex())
        })
        .collect();
    // The file tells the peppers oldest first, the current one last.
    entries.rotate_left(1);
    let parts = entries.iter().flat_map(|(id, secret)| [id.as_str(), secret.as_str(), "\"\n"]);
    let parts: Vec<&str> = std::iter::once(head.as_str()).chain(parts).collect();
    Zeroizing::new(parts.concat())
}

/// The text of `master.toml`.
pub(super) fn master_toml(master: &Master) -> String {
    let Master { keys, leak_in_hand } = master;
    let mut text =
        format!("# Recognises master keys and holds none.\ncurrent = \"{}\"\n", keys.current().id());
    if !leak_in_hand.is_empty() {
        let ids: Vec<_> = leak_in_hand.iter().map(|id| format!("\"{id}\"")).collect();
        let _ = writeln!(text, "leak_in_hand = [{}]", ids.join(", "));
    }
    for EarlierKey { verifier, retired } in keys.earlier() {
        push_entry(&mut text, verifier);
        if let Some(Retired { valid_until, leaked }) = retired {
            let _ = writeln!(text, "valid_until = \"{valid_until}\"\nleaked = {leaked}");
        }
    }
    push_entry(&mut text, keys.current());
    text
}

fn push_entry(text: &mut String, verifier: &MasterKeyVerifier) {
    let (id, digest) = (verifier.id(), verifier.digest());
    let _ = write!(text, "\n[[master_key]]\nid = \"{id}\"\ndigest = \"{digest}\"\n");
}
